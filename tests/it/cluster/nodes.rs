//! Who is up, and what nodes publish and send.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use heronry::cluster::{
    Channel, Delivery, MESSAGE_BYTES_MAX, MacKey, Node, NodeError, NodeEvent, NodeOptions, NodeStatus,
    SendError,
};
use heronry::engine::{Engine, Lane, LocalHub, PublishError, Subject};
use heronry::prelude::*;
use tokio::time::{Instant, sleep};

use super::{Log, id, ids, local, node, payload, pubsub, pubsub_subject, settle, subscribe, take, watch};

#[tokio::test(start_paused = true)]
async fn nodes_find_each_other_at_once_and_see_each_other_leave_at_once() {
    let hub = LocalHub::new();
    let a = node(&hub, "a", 1).await;
    assert_eq!(a.nodes(), []);
    let (_watch, told) = watch(&a);
    let b = node(&hub, "b", 2).await;
    let c = node(&hub, "c", 3).await;
    settle().await;
    for (node, others) in [(&a, ids(&[&b, &c])), (&b, ids(&[&a, &c])), (&c, ids(&[&a, &b]))] {
        assert_eq!(node.nodes(), others, "of {node:?}");
    }
    assert_eq!(a.find(b.id().name()), Some(b.id().clone()));
    assert_eq!(a.find(a.id().name()), Some(a.id().clone()));
    take(&told);
    let before = Instant::now();
    b.stop().await;
    while !a.nodes().iter().eq([c.id()]) {
        tokio::task::yield_now().await;
    }
    assert_eq!(before.elapsed(), Duration::ZERO);
    let b = b.id().clone();
    assert_eq!(take(&told), [NodeEvent::Down(b.clone()), NodeEvent::PermDown(b)]);
}

#[tokio::test(start_paused = true)]
async fn a_node_that_dies_is_down_after_its_silence() {
    let hub = LocalHub::new();
    let a = node(&hub, "a", 1).await;
    let (_watch, told) = watch(&a);
    let engine = local(&hub, "b", 2);
    let b = Node::new(engine.clone(), &NodeOptions::new()).unwrap();
    let tree = Supervisor::one_for_one().child(b.child_spec()).start().await.unwrap();
    sleep(Duration::from_secs(600)).await;
    assert_eq!(take(&told), [NodeEvent::Up(b.id().clone())]);
    // Without a word, as a machine does that loses its power.
    engine.stop(Duration::ZERO).await;
    let dead = Instant::now();
    while !a.nodes().is_empty() {
        sleep(Duration::from_millis(10)).await;
    }
    let took = dead.elapsed();
    assert!(took > Duration::from_secs(4) && took <= Duration::from_millis(5_010), "{took:?}");
    assert_eq!(take(&told), [NodeEvent::Suspect(b.id().clone()), NodeEvent::Down(b.id().clone())]);
    tree.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_restarted_node_replaces_its_old_life() {
    let hub = LocalHub::new();
    let a = node(&hub, "a", 1).await;
    let (_watch, told) = watch(&a);
    for life in 0..100 {
        let engine = local(&hub, "b", 100 - life);
        let b = Node::start(engine.clone(), &NodeOptions::new()).await.unwrap();
        settle().await;
        assert_eq!(a.nodes(), ids(&[&b]));
        let up = NodeEvent::Up(b.id().clone());
        let told = take(&told);
        match life {
            0 => assert_eq!(told, [up]),
            _ => {
                let old = id("b", 101 - life);
                assert_eq!(told, [NodeEvent::Down(old.clone()), NodeEvent::PermDown(old), up]);
            }
        }
        engine.stop(Duration::ZERO).await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_published_reaches_all_others_that_subscribed() {
    let hub = LocalHub::new();
    let (a, b, c) = (node(&hub, "a", 1).await, node(&hub, "b", 2).await, node(&hub, "c", 3).await);
    settle().await;
    let (_a, at_a) = subscribe(&a, pubsub());
    let (of_b, at_b) = subscribe(&b, pubsub());
    let (_b, again_at_b) = subscribe(&b, pubsub());
    let (_c, elsewhere) = subscribe(&c, Channel::tracker(0, 7));
    for n in 0..1_000_u32 {
        a.publish(pubsub(), &n.to_be_bytes()).unwrap();
    }
    settle().await;
    let all: Vec<_> = (0..1_000_u32).map(|n| payload(&a, Bytes::copy_from_slice(&n.to_be_bytes()))).collect();
    assert_eq!(take(&at_b), all);
    assert_eq!(take(&again_at_b), all);
    assert_eq!((take(&at_a), take(&elsewhere)), (vec![], vec![]));
    drop(of_b);
    a.publish(pubsub(), b"one more").unwrap();
    settle().await;
    assert_eq!((take(&at_b), take(&again_at_b)), (vec![], vec![payload(&a, "one more")]));
}

#[tokio::test(start_paused = true)]
async fn what_is_sent_reaches_one_node() {
    let hub = LocalHub::new();
    let (a, b, c) = (node(&hub, "a", 1).await, node(&hub, "b", 2).await, node(&hub, "c", 3).await);
    settle().await;
    let tracker = Channel::tracker(1, 2);
    let (_a, at_a) = subscribe(&a, tracker);
    let (_b, at_b) = subscribe(&b, tracker);
    let (_other, other) = subscribe(&b, Channel::tracker(1, 3));
    let (_c, at_c) = subscribe(&c, tracker);
    for lane in [Lane::Control, Lane::Data] {
        a.send(b.id(), lane, tracker, "for b".into()).unwrap();
    }
    a.send(a.id(), Lane::Data, tracker, "for a".into()).unwrap();
    assert_eq!(take(&at_a), [payload(&a, "for a")]);
    settle().await;
    assert_eq!(take(&at_b), [payload(&a, "for b"), payload(&a, "for b")]);
    assert_eq!((take(&other), take(&at_c), take(&at_a)), (vec![], vec![], vec![]));
    let old = id("b", 99);
    let refused = a.send(&old, Lane::Data, tracker, Bytes::new());
    assert_eq!(refused, Err(SendError::NoConnection(old)));
}

#[tokio::test(start_paused = true)]
async fn what_is_large_travels_in_parts() {
    let hub = LocalHub::new();
    let (a, b) = (node(&hub, "a", 1).await, node(&hub, "b", 2).await);
    settle().await;
    let (_b, at_b) = subscribe(&b, pubsub());
    let large: Bytes = (0..5_000_000_u32).map(|n| (n % 251) as u8).collect();
    a.publish(pubsub(), &large).unwrap();
    a.publish(pubsub(), b"small").unwrap();
    settle().await;
    assert_eq!(take(&at_b), [payload(&a, large.clone()), payload(&a, "small")]);
    a.send(b.id(), Lane::Control, pubsub(), large.clone()).unwrap();
    settle().await;
    assert_eq!(take(&at_b), [payload(&a, large)]);
    let too_large = a.publish(pubsub(), &vec![0; MESSAGE_BYTES_MAX + 1]);
    let limit = MESSAGE_BYTES_MAX;
    assert_eq!(too_large, Err(PublishError::TooLarge { bytes: limit + 1, limit }));
}

#[tokio::test(start_paused = true)]
async fn a_panic_of_a_subscriber_or_a_watcher_harms_nobody() {
    let hub = LocalHub::new();
    let a = node(&hub, "a", 1).await;
    let (_bad_watch, _) = a.watch(Arc::new(|_| panic!("a watcher")));
    let (_watch, told) = watch(&a);
    let _bad = a.subscribe(pubsub(), Arc::new(|_: Delivery| panic!("a subscriber")));
    let (_good, at_a) = subscribe(&a, pubsub());
    let b = node(&hub, "b", 2).await;
    settle().await;
    for _ in 0..3 {
        b.publish(pubsub(), b"x").unwrap();
    }
    settle().await;
    assert_eq!(take(&at_a), vec![payload(&b, "x"); 3]);
    assert_eq!(take(&told), [NodeEvent::Up(b.id().clone())]);
}

#[tokio::test(start_paused = true)]
async fn frames_of_strangers_are_dropped() {
    let hub = LocalHub::new();
    let key = |byte| MacKey::new(&[byte; 32]).unwrap();
    let signed = |byte| NodeOptions::new().mac_key(key(byte));
    let a = Node::start(local(&hub, "a", 1), &signed(1)).await.unwrap();
    let (_watch, told) = watch(&a);
    let (_a, at_a) = subscribe(&a, pubsub());
    // Of another key, and unsigned.
    let b = Node::start(local(&hub, "b", 2), &signed(2)).await.unwrap();
    let c = node(&hub, "c", 3).await;
    let hostile = local(&hub, "d", 4);
    let subjects = [Subject::Heartbeats, pubsub_subject(), Subject::Inbox(a.id().clone(), Lane::Data)];
    for subject in &subjects {
        for frame in [&b""[..], b"\x01", b"GET / HTTP/1.1\r\n", &[0xff; 300], &[1; 100_000]] {
            hostile.publish(subject, Bytes::copy_from_slice(frame)).unwrap();
        }
    }
    for node in [&b, &c] {
        node.publish(pubsub(), b"psst").unwrap();
    }
    sleep(Duration::from_secs(10)).await;
    assert_eq!((take(&told), take(&at_a)), (vec![], vec![]));
    // And those of the right key are not, while the keys change.
    let next = NodeOptions::new().mac_key(key(3)).old_mac_key(key(1));
    let e = Node::start(local(&hub, "e", 5), &next).await.unwrap();
    settle().await;
    assert_eq!((a.nodes(), e.nodes()), (vec![], ids(&[&a])));
    let between = NodeOptions::new().mac_key(key(1)).old_mac_key(key(3));
    let f = Node::start(local(&hub, "f", 6), &between).await.unwrap();
    settle().await;
    assert_eq!((f.nodes(), e.nodes()), (ids(&[&a, &e]), ids(&[&a, &f])));
}

#[tokio::test(start_paused = true)]
async fn who_has_the_incarnation_of_another_is_not_heard_and_takes_nothing_along() {
    let hub = LocalHub::new();
    let (a, b) = (node(&hub, "a", 1).await, node(&hub, "b", 2).await);
    settle().await;
    let (_a, at_a) = subscribe(&a, pubsub());
    b.publish(pubsub(), b"before").unwrap();
    let stranger = node(&hub, "x", 2).await;
    settle().await;
    stranger.publish(pubsub(), b"psst").unwrap();
    b.publish(pubsub(), b"beside").unwrap();
    stranger.stop().await;
    settle().await;
    b.publish(pubsub(), b"after").unwrap();
    settle().await;
    assert_eq!(take(&at_a), ["before", "beside", "after"].map(|said| payload(&b, said)));
}

#[tokio::test(start_paused = true)]
async fn a_node_whose_process_is_killed_goes_on() {
    let hub = LocalHub::new();
    let (a, b) = (Node::new(local(&hub, "a", 1), &NodeOptions::new()).unwrap(), node(&hub, "b", 2).await);
    let tree = Supervisor::one_for_one().child(a.child_spec()).start().await.unwrap();
    settle().await;
    let (_watch, told) = watch(&b);
    let (_b, at_b) = subscribe(&b, pubsub());
    let children = tree.which_children().await.unwrap();
    heronry::process::kill(children[0].pid.unwrap());
    sleep(Duration::from_secs(60)).await;
    a.publish(pubsub(), b"still here").unwrap();
    settle().await;
    assert_eq!((take(&told), take(&at_b)), (vec![], vec![payload(&a, "still here")]));
    assert_eq!((a.nodes(), b.nodes()), (ids(&[&b]), ids(&[&a])));
    // Stopped from elsewhere it ends in order, and its supervisor does not bring it back.
    a.stop().await;
    settle().await;
    assert_eq!((a.nodes(), b.nodes()), (vec![], vec![]));
    assert_eq!(a.publish(pubsub(), b"gone"), Err(PublishError::Stopped));
    assert_eq!(tree.count_children().await.unwrap().active, 0);
    // Its life is over.
    assert!(tree.restart_child("node").await.is_err());
    tree.stop().await;
}

#[tokio::test]
async fn times_must_be_in_order() {
    let second = Duration::from_secs(1);
    let wrong = [
        NodeOptions::new().heartbeat(Duration::ZERO),
        NodeOptions::new().heartbeat(3 * second),
        NodeOptions::new().suspect(5 * second),
        NodeOptions::new().permdown(5 * second),
    ];
    for options in wrong {
        let refused = Node::new(local(&LocalHub::new(), "a", 1), &options);
        assert_eq!(refused.err(), Some(NodeError::Times));
    }
}

#[tokio::test(start_paused = true)]
async fn a_process_monitors_nodes() {
    let hub = LocalHub::new();
    let (a, b) = (node(&hub, "a", 1).await, node(&hub, "b", 2).await);
    settle().await;
    let (told, up): (Log<NodeStatus>, Log<Vec<heronry::node::NodeId>>) = Default::default();
    let (into, at, ups) = (told.clone(), a.clone(), up.clone());
    let watcher = spawn(move |mut ctx: Context<NodeStatus>| async move {
        let (_watch, up) = at.monitor_nodes(&ctx, |status| status);
        ups.lock().expect("no panic under it").push(up);
        while let Received::Message(status) = ctx.receive().await {
            into.lock().expect("no panic under it").push(status);
        }
    });
    settle().await;
    let c = node(&hub, "c", 3).await;
    settle().await;
    b.stop().await;
    settle().await;
    assert_eq!(take(&up), [ids(&[&b])]);
    let told = take(&told);
    assert_eq!(told, [NodeStatus::Up(c.id().clone()), NodeStatus::Down(b.id().clone())]);
    heronry::process::kill(watcher.pid());
}
