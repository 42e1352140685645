//! Three nodes, three processes: what each client is told when nodes and the broker between them are killed and stopped.
//!
//! The times are those that are promised: 5 s until a node that is silent is down, 3 s to heal. What was measured is in
//! `bench/results/failures.md`.

mod goodbye;
mod member;
mod observer;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use member::Member;
use serde_json::json;
use tests::{BrokerProcess, ServerProcess, find_nats_servers, find_redis_server, release_binary};
use tokio::time::{Instant, sleep};

use super::{Failure, Outcome};
use crate::support::Client;

const READY_WITHIN: Duration = Duration::from_secs(20);
/// Silence makes a node down after 5 s; a heartbeat before that is up to 1 s old.
const DOWN_WITHIN: Duration = Duration::from_millis(6_500);
const HEALED_WITHIN: Duration = Duration::from_secs(3);
/// Longer than silence is borne.
const LONG_SILENCE: Duration = Duration::from_secs(7);
const RESTARTS: usize = 100;
const CLUSTER: &str = "e2e";

struct Nodes {
    /// What its broker is, for people.
    over: &'static str,
    engine: String,
    broker: BrokerProcess,
    nodes: Vec<ServerProcess>,
}

impl Nodes {
    async fn nats() -> Outcome<Self> {
        let program = find_nats_servers().pop().ok_or_else(|| missing("nats-server"))?;
        let broker = BrokerProcess::nats(&program, &[]).await?;
        Self::over("NATS", format!("nats://{}", broker.addr()), broker).await
    }

    async fn redis() -> Outcome<Self> {
        let program: PathBuf = find_redis_server().ok_or_else(|| missing("redis-server"))?;
        let broker = BrokerProcess::redis(&program, &[]).await?;
        Self::over("Redis", format!("redis://{}", broker.addr()), broker).await
    }

    async fn over(over: &'static str, engine: String, broker: BrokerProcess) -> Outcome<Self> {
        let mut nodes = Vec::new();
        for name in ["a", "b", "c"] {
            nodes.push(node(&engine, name).await?);
        }
        Ok(Self { over, engine, broker, nodes })
    }

    async fn member(&self, at: usize, user: &str) -> Outcome<Member> {
        Member::join(&self.nodes[at], user).await
    }
}

fn missing(program: &str) -> Failure {
    Failure(format!("no {program} found; tests/run installs it"))
}

async fn node(engine: &str, name: &str) -> Outcome<ServerProcess> {
    let args = ["--port", "0", "--node", name, "--cluster", CLUSTER, "--engine", engine];
    Ok(ServerProcess::start(release_binary("conformance")?, args, "listening on ", READY_WITHIN).await?)
}

fn addr(node: &ServerProcess) -> SocketAddr {
    node.ready().parse().expect("the server says where it listens")
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

    // Stopped for longer than silence is borne, then going on: gone and back, once.
    nodes.nodes[1].pause()?;
    members.swap(1, 2);
    all_see(&mut members[..2], &["a", "c"], DOWN_WITHIN).await?;
    nodes.nodes[1].resume()?;
    all_see(&mut members, &["a", "b", "c"], HEALED_WITHIN).await?;
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
