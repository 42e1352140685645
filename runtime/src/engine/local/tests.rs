use std::sync::mpsc::{Receiver as Told, Sender, channel};

use super::*;
use crate::node::{Incarnation, NodeName};

struct Tell(Sender<Event>);

impl Receiver for Tell {
    fn receive(&self, event: Event) {
        let _ = self.0.send(event);
    }
}

fn node(name: &str, life: u64) -> NodeId {
    NodeId::new(NodeName::parse(name).expect("a name"), Incarnation::new(life))
}

fn started(id: NodeId, hub: &LocalHub) -> (Local, Told<Event>) {
    let local = Local::new(id, hub);
    let (tell, told) = channel();
    local.start(Arc::new(Tell(tell)));
    (local, told)
}

/// All frames that came; on a runtime of one thread, whose tasks have all run when this one has waited.
async fn frames(told: &Told<Event>) -> Vec<Bytes> {
    tokio::time::sleep(Duration::from_millis(1)).await;
    let frame = |event| match event {
        Event::Frame { frame, .. } => Some(frame),
        Event::Up(_) | Event::Down(_) | Event::Gap(_) => None,
    };
    told.try_iter().filter_map(frame).collect()
}

#[tokio::test(start_paused = true)]
async fn a_frame_goes_to_who_wants_it_and_not_back() {
    let hub = LocalHub::new();
    let (a, told_a) = started(node("a", 1), &hub);
    let (b, told_b) = started(node("b", 1), &hub);
    let (c, told_c) = started(node("c", 1), &hub);
    let subject = Subject::Tracker(1, 2);
    a.set_interest(&subject, true);
    b.set_interest(&subject, true);
    a.publish(&subject, "one".into()).unwrap();
    c.publish(&Subject::Heartbeats, "two".into()).unwrap();
    b.set_interest(&subject, false);
    a.publish(&subject, "three".into()).unwrap();
    assert_eq!(frames(&told_a).await, ["two"]);
    assert_eq!(frames(&told_b).await, ["one", "two"].map(Bytes::from));
    assert!(frames(&told_c).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_inbox_is_of_one_life() {
    let hub = LocalHub::new();
    let (a, _told) = started(node("a", 1), &hub);
    let (_first, told_first) = started(node("b", 1), &hub);
    let (second, told_second) = started(node("b", 2), &hub);
    for lane in [Lane::Control, Lane::Data] {
        a.publish(&Subject::Inbox(node("b", 1), lane), "first".into()).unwrap();
        a.publish(&Subject::Inbox(node("b", 2), lane), "second".into()).unwrap();
    }
    second.publish(&Subject::Inbox(node("b", 2), Lane::Data), "to itself".into()).unwrap();
    assert_eq!(frames(&told_first).await, ["first", "first"]);
    assert_eq!(frames(&told_second).await.len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_stopped_engine_takes_and_gives_nothing_and_is_forgotten() {
    let hub = LocalHub::new();
    let (a, told) = started(node("a", 1), &hub);
    let (b, _) = started(node("b", 1), &hub);
    a.stop(Duration::ZERO).await;
    assert_eq!(a.publish(&Subject::Heartbeats, Bytes::new()), Err(PublishError::Stopped));
    b.publish(&Subject::Heartbeats, "late".into()).unwrap();
    let (tell, again) = channel();
    a.start(Arc::new(Tell(tell)));
    assert!(frames(&told).await.is_empty() && frames(&again).await.is_empty());
    drop(b);
    assert!(hub.nodes.read().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_receiver_that_panics_loses_one_event() {
    struct Touchy(Tell);
    impl Receiver for Touchy {
        fn receive(&self, event: Event) {
            assert_ne!(event, Event::Up(Lane::Control), "as this test wants it");
            self.0.receive(event);
        }
    }
    let hub = LocalHub::new();
    let local = Local::new(node("a", 1), &hub);
    let (tell, told) = channel();
    local.start(Arc::new(Touchy(Tell(tell))));
    let (other, _) = started(node("b", 1), &hub);
    other.publish(&Subject::Heartbeats, "alive".into()).unwrap();
    assert_eq!(frames(&told).await, ["alive"]);
}
