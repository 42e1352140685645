//! Three nodes, three processes: what each client is told when nodes and the broker between them are killed and stopped.
//!
//! The times are those that are promised: 5 s until a node that is silent is down, 3 s to heal.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};
use tests::{BrokerProcess, ServerProcess, find_nats_servers, find_redis_server, release_binary};
use tokio::time::{Instant, sleep};

use super::{Failure, Outcome};
use crate::support::Client;

const READY_WITHIN: Duration = Duration::from_secs(20);
/// Silence makes a node down after 5 s; a heartbeat before that is up to 1 s old.
const DOWN_WITHIN: Duration = Duration::from_millis(6_500);
const HEALED_WITHIN: Duration = Duration::from_secs(3);
/// 200 ms are promised; the machine of the tests may be at something else.
const LEFT_WITHIN: Duration = Duration::from_secs(1);
/// Longer than silence is borne.
const LONG_SILENCE: Duration = Duration::from_secs(7);
const TOPIC: &str = "presence:lobby";
const RESTARTS: usize = 100;

struct Nodes {
    engine: String,
    broker: BrokerProcess,
    nodes: Vec<ServerProcess>,
}

/// A member of the topic, and what it was told of the others.
struct Member {
    client: Client,
    /// The keys that are there, by the state and all diffs so far.
    told: BTreeSet<String>,
    /// Every key that joined or left since the state, in order: `+key`, `-key`.
    changes: Vec<String>,
}

impl Nodes {
    async fn nats() -> Outcome<Self> {
        let program = find_nats_servers().pop().ok_or_else(|| missing("nats-server"))?;
        let broker = BrokerProcess::nats(&program, &[]).await?;
        Self::over(format!("nats://{}", broker.addr()), broker).await
    }

    async fn redis() -> Outcome<Self> {
        let program: PathBuf = find_redis_server().ok_or_else(|| missing("redis-server"))?;
        let broker = BrokerProcess::redis(&program, &[]).await?;
        Self::over(format!("redis://{}", broker.addr()), broker).await
    }

    async fn over(engine: String, broker: BrokerProcess) -> Outcome<Self> {
        let mut nodes = Vec::new();
        for name in ["a", "b", "c"] {
            nodes.push(node(&engine, name).await?);
        }
        Ok(Self { engine, broker, nodes })
    }

    async fn member(&self, at: usize, user: &str) -> Outcome<Member> {
        Member::join(&self.nodes[at], user).await
    }
}

fn missing(program: &str) -> Failure {
    Failure(format!("no {program} found; tests/run installs it"))
}

async fn node(engine: &str, name: &str) -> Outcome<ServerProcess> {
    let args = ["--port", "0", "--node", name, "--cluster", "e2e", "--engine", engine];
    Ok(ServerProcess::start(release_binary("conformance")?, args, "listening on ", READY_WITHIN).await?)
}

fn addr(node: &ServerProcess) -> SocketAddr {
    node.ready().parse().expect("the server says where it listens")
}

impl Member {
    async fn join(node: &ServerProcess, user: &str) -> Outcome<Self> {
        let mut client = Client::connect(addr(node), &format!("user_id={user}")).await;
        client.join(TOPIC).await;
        let mut member = Self { client, told: BTreeSet::new(), changes: Vec::new() };
        while !member.told.contains(user) {
            let frame = member.client.frame().await;
            member.take(&frame);
        }
        Ok(member)
    }

    fn take(&mut self, frame: &Value) {
        let keys = |value: &Value| value.as_object().map_or(Vec::new(), |map| map.keys().cloned().collect());
        match frame[3].as_str() {
            Some("presence_state") => self.told.extend(keys(&frame[4])),
            Some("presence_diff") => {
                for key in keys(&frame[4]["leaves"]) {
                    self.told.remove(&key);
                    self.changes.push(format!("-{key}"));
                }
                for key in keys(&frame[4]["joins"]) {
                    self.changes.push(format!("+{key}"));
                    self.told.insert(key);
                }
            }
            _ => {}
        }
    }

    /// Waits until it has been told of these members and no others; how long that took.
    async fn sees(&mut self, keys: &[&str], within: Duration) -> Outcome<Duration> {
        let (start, wanted) =
            (Instant::now(), keys.iter().map(|&key| key.to_owned()).collect::<BTreeSet<_>>());
        while self.told != wanted {
            let left = within.saturating_sub(start.elapsed());
            let Ok(frame) = tokio::time::timeout(left, self.client.frame()).await else {
                let told = &self.told;
                return Err(Failure(format!("after {within:?} told of {told:?}, wanted {wanted:?}")));
            };
            self.take(&frame);
        }
        Ok(start.elapsed())
    }

    /// Takes what is told during this time.
    async fn listen(&mut self, time: Duration) {
        let until = Instant::now() + time;
        while let Ok(frame) = tokio::time::timeout_at(until, self.client.frame()).await {
            self.take(&frame);
        }
    }

    /// What its server lists.
    async fn lists(&mut self) -> BTreeSet<String> {
        let reference = self.client.push("1".into(), TOPIC, "list", json!({})).await;
        loop {
            let frame = self.client.frame().await;
            self.take(&frame);
            if frame[3] == "phx_reply" && frame[1] == reference.as_str() {
                let list = frame[4]["response"].as_object().expect("a list is an object");
                return list.keys().cloned().collect();
            }
        }
    }

    fn changes(&mut self) -> Vec<String> {
        std::mem::take(&mut self.changes)
    }
}

async fn all_see(members: &mut [Member], keys: &[&str], within: Duration) -> Outcome {
    let start = Instant::now();
    for member in members {
        member.sees(keys, within.saturating_sub(start.elapsed())).await?;
        assert_eq!(member.lists().await, member.told, "the list is what was told");
    }
    Ok(())
}

/// A member on each node, `a`, `b` and `c`, who know each other.
async fn three(nodes: &Nodes) -> Outcome<Vec<Member>> {
    let mut members = Vec::new();
    for (at, user) in ["a", "b", "c"].into_iter().enumerate() {
        members.push(nodes.member(at, user).await?);
    }
    all_see(&mut members, &["a", "b", "c"], HEALED_WITHIN).await?;
    members.iter_mut().for_each(|member| drop(member.changes()));
    Ok(members)
}

async fn a_node_is_killed_stopped_and_comes_back(mut nodes: Nodes) -> Outcome {
    let mut members = three(&nodes).await?;

    // Killed: its members leave elsewhere once its silence is too long.
    nodes.nodes[2].kill_9()?;
    members.truncate(2);
    all_see(&mut members, &["a", "b"], DOWN_WITHIN).await?;
    assert_eq!(members[0].changes(), ["-c"]);

    // Started again under its name.
    nodes.nodes[2] = node(&nodes.engine, "c").await?;
    members.push(nodes.member(2, "c").await?);
    all_see(&mut members, &["a", "b", "c"], HEALED_WITHIN).await?;
    assert_eq!(members[0].changes(), ["+c"]);

    // Told to end: at once.
    nodes.nodes[2].terminate()?;
    members.truncate(2);
    all_see(&mut members, &["a", "b"], LEFT_WITHIN).await?;
    assert_eq!(members[0].changes(), ["-c"]);

    // Stopped for longer than silence is borne, then going on: gone and back, once.
    nodes.nodes[1].pause()?;
    members[0].sees(&["a"], DOWN_WITHIN).await?;
    nodes.nodes[1].resume()?;
    all_see(&mut members, &["a", "b"], HEALED_WITHIN).await?;
    members[0].listen(Duration::from_secs(1)).await;
    assert_eq!(members[0].changes(), ["-b", "+b"]);
    Ok(())
}

#[tokio::test]
async fn over_nats_a_node_is_killed_stopped_and_comes_back() -> Outcome {
    a_node_is_killed_stopped_and_comes_back(Nodes::nats().await?).await
}

#[tokio::test]
async fn over_redis_a_node_is_killed_stopped_and_comes_back() -> Outcome {
    a_node_is_killed_stopped_and_comes_back(Nodes::redis().await?).await
}

async fn nobody_leaves_while_the_broker_is_away(mut nodes: Nodes) -> Outcome {
    let mut members = three(&nodes).await?;

    nodes.broker.kill_9()?;
    sleep(Duration::from_secs(2)).await;
    // A member that joins meanwhile is known on its own node at once.
    let mut late = nodes.member(0, "late").await?;
    members[0].sees(&["a", "b", "c", "late"], Duration::from_secs(1)).await?;
    nodes.broker.restart().await?;
    late.sees(&["a", "b", "c", "late"], HEALED_WITHIN).await?;
    all_see(&mut members, &["a", "b", "c", "late"], HEALED_WITHIN).await?;

    // Half open for longer than silence is borne: it is seen to be so, and judged like an outage.
    nodes.broker.pause()?;
    sleep(LONG_SILENCE).await;
    nodes.broker.resume()?;
    members.push(nodes.member(1, "last").await?);
    let everybody = ["a", "b", "c", "last", "late"];
    // The links are made anew with a pause that grows, up to some seconds.
    all_see(&mut members, &everybody, HEALED_WITHIN + Duration::from_secs(3)).await?;
    for member in &mut members[..3] {
        member.listen(Duration::from_millis(500)).await;
        let mut changes = member.changes();
        changes.sort();
        assert_eq!(changes, ["+last", "+late"], "nobody left, nobody came twice");
    }
    Ok(())
}

#[tokio::test]
async fn over_nats_nobody_leaves_while_the_broker_is_away() -> Outcome {
    nobody_leaves_while_the_broker_is_away(Nodes::nats().await?).await
}

#[tokio::test]
async fn over_redis_nobody_leaves_while_the_broker_is_away() -> Outcome {
    nobody_leaves_while_the_broker_is_away(Nodes::redis().await?).await
}

#[tokio::test]
async fn a_hundred_restarts_of_a_node_leave_no_ghost() -> Outcome {
    let mut nodes = Nodes::nats().await?;
    let mut watcher = nodes.member(0, "a").await?;
    for n in 0..RESTARTS {
        let member = nodes.member(2, &format!("c{n}")).await?;
        nodes.nodes[2].kill_9()?;
        drop(member);
        nodes.nodes[2] = node(&nodes.engine, "c").await?;
    }
    // The new life replaces the old one when it is heard, without waiting for silence.
    watcher.listen(HEALED_WITHIN).await;
    assert_eq!(watcher.lists().await, BTreeSet::from(["a".to_owned()]));
    let mut again = nodes.member(2, "c").await?;
    watcher.sees(&["a", "c"], HEALED_WITHIN).await?;
    again.sees(&["a", "c"], HEALED_WITHIN).await?;
    watcher.listen(LONG_SILENCE).await;
    assert_eq!(watcher.lists().await, watcher.told);
    let changes = watcher.changes();
    let count = |change: &str| changes.iter().filter(|other| *other == change).count();
    for n in 0..RESTARTS {
        assert!(count(&format!("+c{n}")) <= 1 && count(&format!("-c{n}")) == count(&format!("+c{n}")));
    }
    Ok(())
}

#[tokio::test]
async fn broadcasts_disconnects_and_polls_reach_other_nodes() -> Outcome {
    let nodes = Nodes::nats().await?;
    let mut here = Client::connect(addr(&nodes.nodes[0]), "user_id=u").await;
    let mut there = Client::connect(addr(&nodes.nodes[1]), "user_id=u").await;
    here.join("room:1").await;
    there.join("room:1").await;
    // Interest takes a moment to be known.
    let mut heard = false;
    for _ in 0..50 {
        here.push("1".into(), "room:1", "shout", json!({ "n": 1 })).await;
        if let Ok(frame) = tokio::time::timeout(Duration::from_millis(200), there.frame()).await {
            assert_eq!(frame, json!([null, null, "room:1", "shout", { "n": 1 }]));
            heard = true;
            break;
        }
    }
    assert!(heard, "a shout crosses to the other node");
    here.push("1".into(), "room:1", "disconnect_me", json!({})).await;
    assert_eq!(there.close_code().await, Some(1001));
    Ok(())
}
