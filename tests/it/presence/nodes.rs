//! A tracker over many nodes, on engines in memory.

use std::sync::Arc;
use std::time::Duration;

use heronry::cluster::{Node, NodeOptions};
use heronry::engine::sim::{Faults, Sim};
use heronry::engine::{Local, LocalHub};
use heronry::node::{Incarnation, NodeId, NodeName};
use heronry::prelude::*;
use heronry::process;
use heronry_presence::TrackerOptions;
use serde_json::json;
use tokio::time::{Instant, sleep};

use super::{Running, idle};

fn id(name: &str, life: u64) -> NodeId {
    NodeId::new(NodeName::parse(name).expect("a name"), Incarnation::new(life))
}

/// Longer than what coalescing and a new node take.
const MOMENT: Duration = Duration::from_millis(250);

async fn tracker(node: &Node) -> Running {
    Running::start(TrackerOptions { node: Some(node.clone()), ..TrackerOptions::default() }).await
}

async fn local(hub: &LocalHub, name: &str, life: u64) -> (Node, Running) {
    let engine = Arc::new(Local::new(id(name, life), hub));
    let node = Node::start(engine, &NodeOptions::new()).await.expect("it starts");
    let running = tracker(&node).await;
    (node, running)
}

async fn track(running: &Running, key: &str) -> Addr<()> {
    let process = idle();
    running.tracker.track(process.pid(), "t", key, json!({ "n": 1 })).await.expect("tracked");
    process
}

#[tokio::test(start_paused = true)]
async fn all_nodes_see_the_same() {
    let hub = LocalHub::new();
    let (_a, on_a) = local(&hub, "a", 1).await;
    track(&on_a, "early").await;
    let (_b, on_b) = local(&hub, "b", 2).await;
    sleep(MOMENT).await;
    assert_eq!(on_b.keys("t"), ["early"], "who is new is told what there is");
    let late = track(&on_b, "late").await;
    sleep(MOMENT).await;
    assert_eq!(on_a.keys("t"), ["early", "late"]);
    assert_eq!(on_a.tracker.get_by_key("t", "late")[0].pid(), None, "the process is on another node");
    let [seen, own] =
        [&on_a, &on_b].map(|running| running.tracker.get_by_key("t", "late")[0].json().to_owned());
    assert_eq!(seen, own, "references too");
    on_b.tracker.update(late.pid(), "t", "late", json!({ "n": 2 })).await.expect("updated");
    sleep(MOMENT).await;
    process::kill(late.pid());
    sleep(MOMENT).await;
    assert_eq!(on_a.keys("t"), ["early"]);
    assert_eq!(on_a.told(), ["+early", "+late", "+late -late", "-late"]);
    assert_eq!(on_b.told(), ["+early", "+late", "+late -late", "-late"]);
}

#[tokio::test(start_paused = true)]
async fn a_change_is_seen_elsewhere_within_two_windows() {
    let hub = LocalHub::new();
    let (_a, on_a) = local(&hub, "a", 1).await;
    let (_b, on_b) = local(&hub, "b", 2).await;
    sleep(MOMENT).await;
    for n in 0..50 {
        let start = Instant::now();
        track(&on_a, &n.to_string()).await;
        while on_b.tracker.get_by_key("t", &n.to_string()).is_empty() {
            sleep(Duration::from_millis(1)).await;
        }
        assert!(start.elapsed() <= Duration::from_millis(45), "after {:?}", start.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn who_leaves_in_order_is_gone_at_once_and_who_does_not_after_the_silence() {
    let hub = LocalHub::new();
    let (a, on_a) = local(&hub, "a", 1).await;
    let (_b, on_b) = local(&hub, "b", 2).await;
    let (_c, on_c) = local(&hub, "c", 3).await;
    track(&on_a, "a").await;
    track(&on_c, "c").await;
    sleep(MOMENT).await;
    assert_eq!(on_b.keys("t"), ["a", "c"]);
    on_c.tree.stop().await;
    sleep(Duration::from_millis(100)).await;
    assert_eq!(on_b.keys("t"), ["a"], "its tracker has ended in order");
    a.stop().await;
    sleep(Duration::from_millis(200)).await;
    assert!(on_b.keys("t").is_empty(), "its node has left");
}

#[tokio::test(start_paused = true)]
async fn a_node_that_comes_back_in_another_life_has_left_its_entries_behind() {
    let hub = LocalHub::new();
    let (_a, on_a) = local(&hub, "a", 1).await;
    let mut lives = Vec::new();
    for life in 2..30 {
        let (b, on_b) = local(&hub, "b", life).await;
        track(&on_b, &format!("b{life}")).await;
        sleep(MOMENT).await;
        assert_eq!(on_a.keys("t"), [format!("b{life}")]);
        // Its end is not said: the next life replaces it.
        lives.push((b, on_b));
    }
}

/// Five seconds and a heartbeat: the silence after which a node is down.
const DOWN: Duration = Duration::from_millis(6_500);

async fn simulated(sim: &Sim, name: &str, life: u64) -> (Node, Running) {
    let engine = Arc::new(sim.engine(id(name, life)));
    let node = Node::start(engine, &NodeOptions::new()).await.expect("it starts");
    let running = tracker(&node).await;
    (node, running)
}

#[tokio::test(start_paused = true)]
async fn a_partition_hides_and_its_end_shows_again_without_a_flap() {
    let sim = Sim::new(1, Faults::default());
    let (a, on_a) = simulated(&sim, "a", 1).await;
    let (b, on_b) = simulated(&sim, "b", 2).await;
    track(&on_a, "ann").await;
    let gone = track(&on_b, "gone").await;
    track(&on_b, "stays").await;
    sleep(Duration::from_secs(2)).await;
    let all = ["ann", "gone", "stays"];
    assert_eq!(
        (on_a.keys("t"), on_b.keys("t")),
        (all.map(String::from).to_vec(), all.map(String::from).to_vec())
    );
    sim.control(|network, _| network.partition(&[&[a.id().clone()], &[b.id().clone()]]));
    sleep(DOWN).await;
    assert_eq!(
        (on_a.keys("t"), on_b.keys("t")),
        (vec!["ann".to_owned()], vec!["gone".into(), "stays".into()])
    );
    process::kill(gone.pid());
    track(&on_b, "new").await;
    sleep(Duration::from_secs(3)).await;
    on_a.told();
    on_b.told();
    sim.control(|network, _| network.heal());
    sleep(Duration::from_secs(3)).await;
    for running in [&on_a, &on_b] {
        assert_eq!(running.keys("t"), ["ann", "new", "stays"]);
    }
    let told = on_a.told().join(" ");
    let mut joins: Vec<_> = told.split(' ').collect();
    joins.sort_unstable();
    assert_eq!(joins, ["+new", "+stays"], "each that came back joins once, and who left meanwhile does not");
    assert_eq!(on_b.told(), ["+ann"]);
}

#[tokio::test(start_paused = true)]
async fn what_is_lost_and_doubled_is_repaired() {
    let faults = Faults { drop: 0.2, duplicate: 0.2, ..Faults::default() };
    let sim = Sim::new(7, faults);
    let mut nodes = Vec::new();
    for (at, name) in ["a", "b", "c"].into_iter().enumerate() {
        nodes.push(simulated(&sim, name, at as u64 + 1).await);
    }
    sleep(Duration::from_secs(2)).await;
    let mut processes = Vec::new();
    for n in 0..60 {
        let (_, running) = &nodes[n % 3];
        processes.push(track(running, &format!("{n:02}")).await);
        if n % 4 == 3 {
            process::kill(processes.swap_remove(n / 4).pid());
        }
        sleep(Duration::from_millis(30)).await;
    }
    sim.control(|network, _| network.set_faults(Faults::default()));
    sleep(Duration::from_secs(12)).await;
    let keys: Vec<_> = nodes.iter().map(|(_, running)| running.keys("t")).collect();
    assert_eq!(keys[0].len(), 45);
    assert!(keys.iter().all(|other| *other == keys[0]), "{keys:?}");
}

#[tokio::test(start_paused = true)]
async fn a_dead_broker_takes_nobody_away() {
    let sim = Sim::new(3, Faults::default());
    let (_a, on_a) = simulated(&sim, "a", 1).await;
    let (_b, on_b) = simulated(&sim, "b", 2).await;
    track(&on_a, "ann").await;
    sleep(Duration::from_secs(2)).await;
    on_a.told();
    on_b.told();
    sim.control(|network, _| network.kill_broker());
    sleep(Duration::from_secs(20)).await;
    track(&on_a, "meanwhile").await;
    assert_eq!(on_b.keys("t"), ["ann"]);
    sim.control(|network, _| network.start_broker());
    sleep(Duration::from_secs(3)).await;
    assert_eq!(on_b.keys("t"), ["ann", "meanwhile"]);
    assert_eq!(on_b.told(), ["+meanwhile"]);
}

#[tokio::test(start_paused = true)]
async fn a_large_topic_is_transferred_in_parts() {
    const MANY: usize = 20_000;
    let hub = LocalHub::new();
    let (_a, on_a) = local(&hub, "a", 1).await;
    // More than the log holds, and more than a message.
    let holders: Vec<_> = (0..MANY / 1_000).map(|_| idle()).collect();
    for n in 0..MANY {
        let meta = json!({ "padding": "x".repeat(100) });
        let process = &holders[n / 1_000];
        on_a.tracker.track(process.pid(), "t", &n.to_string(), meta).await.expect("tracked");
    }
    let (_b, on_b) = local(&hub, "b", 2).await;
    sleep(Duration::from_secs(2)).await;
    assert_eq!(on_b.tracker.count("t"), MANY);
}
