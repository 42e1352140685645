//! The official client's `Presence` on three nodes at once (`tests/e2e/watchers.mjs`): all show the same list, whatever happens to
//! nodes and broker, and hear of each change once.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::Deserialize;
use tests::{
    BrokerProcess, ServerProcess, find_nats_servers, free_port, http_get, release_binary, workspace_root,
};
use tokio::time::{Instant, sleep};

use super::{Failure, Outcome, SHOWN_WITHIN};

const READY_WITHIN: Duration = Duration::from_secs(20);
/// Silence makes a node down after 5 s; a heartbeat before that is up to 1 s old.
const DOWN_WITHIN: Duration = Duration::from_millis(6_500);
const HEALED_WITHIN: Duration = Duration::from_secs(3);
/// Longer than silence is borne.
const LONG_SILENCE: Duration = Duration::from_secs(7);
/// Whatever is told once too often is told within this time: a heartbeat, and some.
const QUIET: Duration = Duration::from_millis(1_500);
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// What a member shows, and what it was told.
#[derive(Debug, Deserialize)]
struct View {
    shown: BTreeMap<String, Vec<String>>,
    told: Vec<String>,
}

struct Cluster {
    engine: String,
    broker: BrokerProcess,
    ports: [String; 3],
    nodes: Vec<ServerProcess>,
    watchers: ServerProcess,
}

const NAMES: [&str; 3] = ["a", "b", "c"];

async fn node(engine: &str, at: usize, port: &str) -> Outcome<ServerProcess> {
    let args = ["--port", port, "--node", NAMES[at], "--cluster", "watched", "--engine", engine];
    Ok(ServerProcess::start(release_binary("conformance")?, args, "listening on ", READY_WITHIN).await?)
}

impl Cluster {
    /// Three nodes, and two members on each: `a1`, `a2`, `b1` and so on.
    async fn start() -> Outcome<Self> {
        let program = find_nats_servers().pop().ok_or_else(|| Failure("no nats-server found".to_owned()))?;
        let broker = BrokerProcess::nats(&program, &[]).await?;
        let engine = format!("nats://{}", broker.addr());
        let ports = [free_port()?, free_port()?, free_port()?].map(|port| port.to_string());
        let mut nodes = Vec::new();
        for (at, port) in ports.iter().enumerate() {
            nodes.push(node(&engine, at, port).await?);
        }
        let script = workspace_root().join("tests/e2e/watchers.mjs").to_string_lossy().into_owned();
        let args = [script].into_iter().chain(nodes.iter().map(|node| format!("http://{}", node.ready())));
        let watchers = ServerProcess::start("node", args, "watching at ", READY_WITHIN).await?;
        let cluster = Self { engine, broker, ports, nodes, watchers };
        for (at, name) in NAMES.iter().enumerate() {
            for n in 1..=2 {
                cluster.ask(&format!("/join/{at}/{name}{n}")).await?;
            }
        }
        Ok(cluster)
    }

    async fn restart(&mut self, at: usize) -> Outcome {
        self.nodes[at] = node(&self.engine, at, &self.ports[at]).await?;
        Ok(())
    }

    async fn ask(&self, path: &str) -> Outcome<String> {
        let (status, body) = http_get(self.watchers.ready(), path).await?;
        if status == 200 { Ok(body) } else { Err(Failure(format!("{path}: {status}, {body}"))) }
    }

    async fn view(&self) -> Outcome<BTreeMap<String, View>> {
        Ok(serde_json::from_str(&self.ask("/view").await?)?)
    }

    /// Waits until all of these members show these keys and no others, with the same references.
    async fn show(&self, members: &[&str], keys: &[&str], within: Duration) -> Outcome {
        let start = Instant::now();
        loop {
            let view = self.view().await?;
            let shown = members.iter().map(|&member| &view[member].shown);
            let first = shown.clone().next().ok_or_else(|| Failure("no members".to_owned()))?;
            if shown.clone().all(|other| other == first) && first.keys().eq(keys) {
                return Ok(());
            }
            if start.elapsed() > within {
                let stderr: String = self.nodes.iter().map(ServerProcess::stderr).collect();
                return Err(Failure(format!(
                    "after {within:?} {members:?} should show {keys:?}: {view:#?}\n{stderr}"
                )));
            }
            sleep(LOOK_EVERY).await;
        }
    }

    /// These members were told this, in any order and each of it once: `+key` and `-key`. And they are told nothing more.
    async fn told(&self, members: &[&str], changes: &[&str]) -> Outcome {
        sleep(QUIET).await;
        let view = self.view().await?;
        let wanted: BTreeSet<_> = changes.iter().map(|&change| change.to_owned()).collect();
        for &member in members {
            let told = &view[member].told;
            let mut without_reference: Vec<_> =
                told.iter().filter_map(|change| change.split(' ').next().map(str::to_owned)).collect();
            without_reference.sort_unstable();
            assert!(without_reference.iter().eq(&wanted), "{member} was told {told:?}, wanted {wanted:?}");
        }
        self.ask("/forget").await?;
        Ok(())
    }
}

const ALL: [&str; 6] = ["a1", "a2", "b1", "b2", "c1", "c2"];
const ON_A_AND_B: [&str; 4] = ["a1", "a2", "b1", "b2"];
const ON_A_AND_C: [&str; 4] = ["a1", "a2", "c1", "c2"];
const ON_B: [&str; 2] = ["b1", "b2"];

/// All of them show all of them.
async fn together() -> Outcome<Cluster> {
    let cluster = Cluster::start().await?;
    cluster.show(&ALL, &ALL, SHOWN_WITHIN).await?;
    sleep(QUIET).await;
    cluster.ask("/forget").await?;
    Ok(cluster)
}

#[tokio::test]
async fn the_official_clients_of_three_nodes_show_the_same_when_nodes_are_killed_and_stopped() -> Outcome {
    let mut cluster = together().await?;

    // Killed: its members leave elsewhere, each once.
    cluster.nodes[2].kill_9()?;
    cluster.show(&ON_A_AND_B, &ON_A_AND_B, DOWN_WITHIN).await?;
    cluster.told(&ON_A_AND_B, &["-c1", "-c2"]).await?;

    // Started again: its clients come back by themselves, and are there once.
    cluster.restart(2).await?;
    cluster.show(&ALL, &ALL, SHOWN_WITHIN).await?;
    cluster.told(&ON_A_AND_B, &["+c1", "+c2"]).await?;

    // Killed and started at once: the new life takes the old one's place before its silence is noticed.
    cluster.nodes[2].kill_9()?;
    cluster.restart(2).await?;
    cluster.show(&ALL, &ALL, SHOWN_WITHIN).await?;
    cluster.told(&ON_A_AND_B, &["-c1", "-c2", "+c1", "+c2"]).await?;

    // Stopped for longer than silence is borne: gone, and back once it goes on. Its own members notice nothing.
    cluster.nodes[1].pause()?;
    cluster.show(&ON_A_AND_C, &ON_A_AND_C, DOWN_WITHIN).await?;
    cluster.told(&ON_A_AND_C, &["-b1", "-b2"]).await?;
    cluster.nodes[1].resume()?;
    cluster.show(&ALL, &ALL, HEALED_WITHIN).await?;
    cluster.told(&ON_A_AND_C, &["+b1", "+b2"]).await?;
    cluster.told(&ON_B, &[]).await?;

    // Told to end: at once.
    cluster.nodes[2].terminate()?;
    cluster.show(&ON_A_AND_B, &ON_A_AND_B, DOWN_WITHIN).await?;
    cluster.told(&ON_A_AND_B, &["-c1", "-c2"]).await?;
    nobody_is_left(&cluster).await
}

#[tokio::test]
async fn the_official_clients_of_three_nodes_show_the_same_when_the_broker_is_killed_and_stopped() -> Outcome
{
    let mut cluster = together().await?;

    // Who comes while the broker is away is known on that node at once, and elsewhere once it is back; nobody leaves.
    cluster.broker.kill_9()?;
    sleep(Duration::from_secs(2)).await;
    cluster.ask("/join/0/late").await?;
    let with_late = ["a1", "a2", "b1", "b2", "c1", "c2", "late"];
    cluster.show(&["a1", "a2", "late"], &with_late, HEALED_WITHIN).await?;
    cluster.broker.restart().await?;
    cluster.show(&with_late, &with_late, HEALED_WITHIN).await?;
    cluster.told(&ALL, &["+late"]).await?;

    // Half open for longer than silence is borne, in which one leaves. The links are made anew with a pause that
    // grows, up to some seconds.
    cluster.broker.pause()?;
    sleep(LONG_SILENCE).await;
    cluster.ask("/leave/late").await?;
    cluster.broker.resume()?;
    cluster.show(&ALL, &ALL, HEALED_WITHIN + Duration::from_secs(3)).await?;
    cluster.told(&ALL, &["-late"]).await?;
    nobody_is_left(&cluster).await
}

/// Everybody goes but for one, who is shown no ghost.
async fn nobody_is_left(cluster: &Cluster) -> Outcome {
    for member in &ALL[1..] {
        cluster.ask(&format!("/leave/{member}")).await?;
    }
    cluster.show(&["a1"], &["a1"], HEALED_WITHIN).await?;
    sleep(QUIET).await;
    cluster.show(&["a1"], &["a1"], HEALED_WITHIN).await
}
