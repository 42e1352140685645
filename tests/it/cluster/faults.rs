//! What engines do to frames, brokers to links and machines to nodes.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use heronry::cluster::{Delivery, Node, NodeEvent, NodeOptions};
use heronry::engine::sim::{Faults, Sim};
use heronry::engine::{Lane, PublishError};
use heronry::node::NodeId;
use tokio::time::{Instant, sleep};

use super::{id, ids, payload, pubsub, settle, subscribe, take, watch};

async fn node(sim: &Sim, name: &str, life: u64) -> Node {
    let engine = Arc::new(sim.engine(id(name, life)));
    Node::start(engine, &NodeOptions::new()).await.expect("it starts")
}

async fn pair(seed: u64, faults: Faults) -> (Sim, Node, Node) {
    let sim = Sim::new(seed, faults);
    let (a, b) = (node(&sim, "a", 1).await, node(&sim, "b", 2).await);
    while a.nodes().is_empty() || b.nodes().is_empty() {
        sleep(Duration::from_millis(10)).await;
    }
    (sim, a, b)
}

fn numbered(from: &Node, numbers: std::ops::Range<u32>) -> Vec<Delivery> {
    numbers.map(|n| payload(from, Bytes::copy_from_slice(&n.to_be_bytes()))).collect()
}

#[tokio::test(start_paused = true)]
async fn duplicates_and_disorder_are_mended() {
    for seed in 0..6 {
        let rough = Faults { duplicate: 1.0, reorder: 0.3, ..Faults::default() };
        let (_sim, a, b) = pair(seed, rough).await;
        let (_b, at_b) = subscribe(&b, pubsub());
        for n in 0..2_000_u32 {
            a.publish(pubsub(), &n.to_be_bytes()).expect("it is taken");
            if n % 3 == 0 {
                sleep(Duration::from_millis(1)).await;
            }
        }
        sleep(Duration::from_secs(1)).await;
        assert_eq!(take(&at_b), numbered(&a, 0..2_000), "seed {seed}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_lost_is_told_as_a_gap_and_the_rest_arrives_in_order() {
    for seed in 0..6 {
        let lossy = Faults { drop: 0.05, reorder: 0.2, duplicate: 0.2, ..Faults::default() };
        let (_sim, a, b) = pair(seed, lossy).await;
        let (_b, at_b) = subscribe(&b, pubsub());
        for n in 0..1_000_u32 {
            a.publish(pubsub(), &n.to_be_bytes()).expect("it is taken");
            sleep(Duration::from_micros(700)).await;
        }
        sleep(Duration::from_secs(1)).await;
        let (mut next, mut is_gap, mut gaps) = (0_u32, true, 0);
        for delivery in take(&at_b) {
            match delivery {
                Delivery::Payload { payload, .. } => {
                    let n = u32::from_be_bytes((&*payload).try_into().expect("four bytes"));
                    // Only before the first is nothing known to be missing.
                    assert_eq!(n > next, is_gap && n > 0, "seed {seed}: {n} after {next}, gap {is_gap}");
                    (next, is_gap) = (n + 1, false);
                }
                Delivery::Gap { from } => {
                    assert_eq!(from.as_ref(), Some(a.id()));
                    (is_gap, gaps) = (true, gaps + 1);
                }
            }
        }
        assert!(gaps > 0 && next > 900, "seed {seed}: {gaps} gaps, up to {next}");
    }
}

#[tokio::test(start_paused = true)]
async fn while_the_broker_is_dead_nobody_is_down() {
    let (sim, a, b) = pair(1, Faults::default()).await;
    let (_watch, told) = watch(&a);
    for stands_still in [false, true] {
        sim.control(
            |network, now| if stands_still { network.stop_broker(now) } else { network.kill_broker() },
        );
        sleep(Duration::from_secs(if stands_still { 20 } else { 2 })).await;
        assert_eq!(a.publish(pubsub(), b"x"), Err(PublishError::Disconnected));
        sim.control(|network, _| network.start_broker());
        sleep(Duration::from_secs(60)).await;
        assert_eq!((a.nodes(), b.nodes()), (ids(&[&b]), ids(&[&a])));
        let mut told = take(&told);
        told.retain(|event| !matches!(event, NodeEvent::Suspect(_) | NodeEvent::Recovered(_)));
        let down = [NodeEvent::EngineDown(Lane::Control), NodeEvent::EngineDown(Lane::Data)];
        let up = [NodeEvent::EngineUp(Lane::Control), NodeEvent::EngineUp(Lane::Data)];
        assert_eq!(told, [down, up].concat());
    }
}

#[tokio::test(start_paused = true)]
async fn a_partition_parts_and_heals() {
    let (sim, a, b) = pair(2, Faults::default()).await;
    let (_watch, told) = watch(&a);
    let (_b, at_b) = subscribe(&b, pubsub());
    a.publish(pubsub(), b"before").expect("it is taken");
    settle().await;
    let parted = Instant::now();
    let sides: [&[NodeId]; 2] = [&[a.id().clone()], &[b.id().clone()]];
    sim.control(|network, _| network.partition(&sides));
    a.publish(pubsub(), b"during").expect("it is taken");
    while !a.nodes().is_empty() || !b.nodes().is_empty() {
        sleep(Duration::from_millis(10)).await;
    }
    assert!(parted.elapsed() <= Duration::from_millis(5_010), "{:?}", parted.elapsed());
    sleep(Duration::from_secs(5)).await;
    sim.control(|network, _| network.heal());
    let healed = Instant::now();
    while a.nodes().is_empty() || b.nodes().is_empty() {
        sleep(Duration::from_millis(10)).await;
    }
    assert!(healed.elapsed() <= Duration::from_millis(1_010), "{:?}", healed.elapsed());
    let b_id = b.id().clone();
    let expect = [NodeEvent::Suspect(b_id.clone()), NodeEvent::Down(b_id.clone()), NodeEvent::Up(b_id)];
    assert_eq!(take(&told), expect);
    // What was missed is seen at the next thing that comes.
    a.publish(pubsub(), b"after").expect("it is taken");
    settle().await;
    let gap = Delivery::Gap { from: Some(a.id().clone()) };
    assert_eq!(take(&at_b), [payload(&a, "before"), gap, payload(&a, "after")]);
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_dies_is_down_within_five_seconds() {
    let (sim, a, b) = pair(3, Faults::default()).await;
    sleep(Duration::from_millis(12_345)).await;
    let died = Instant::now();
    sim.control(|network, _| network.leave(b.id()));
    while !a.nodes().is_empty() {
        sleep(Duration::from_millis(10)).await;
    }
    assert!(died.elapsed() <= Duration::from_millis(5_010), "{:?}", died.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_node_that_stood_still_hears_of_the_gap() {
    let (sim, a, b) = pair(4, Faults::default()).await;
    let (_b, at_b) = subscribe(&b, pubsub());
    settle().await;
    sim.control(|network, _| network.pause(b.id()));
    for n in 0..200_000_u32 {
        a.publish(pubsub(), &n.to_be_bytes()).expect("it is taken");
        if n % 50 == 0 {
            sleep(Duration::from_millis(1)).await;
        }
    }
    sim.control(|network, now| network.resume(now, b.id()));
    sleep(Duration::from_secs(1)).await;
    let deliveries = take(&at_b);
    assert!(deliveries.iter().any(|delivery| matches!(delivery, Delivery::Gap { .. })));
    assert!(deliveries.len() < 150_000, "{} waited", deliveries.len());
    // And is up to date from then on.
    a.publish(pubsub(), b"now").expect("it is taken");
    sleep(Duration::from_secs(1)).await;
    assert_eq!(take(&at_b).last(), Some(&payload(&a, "now")));
}
