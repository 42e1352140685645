//! What becomes of frames while all is well.

use std::time::Duration;

use heronry::engine::{Event, Lane, PublishError, SHARDS, ShardId, Subject};
use tokio::time::{Instant, sleep};

use super::{LINGER_MAX, Lab, Listener, Node, node};

const FRAMES: usize = 1_000;

fn numbers(prefix: &str) -> impl Iterator<Item = String> {
    (0..FRAMES).map(move |n| format!("{prefix}{n}"))
}

fn shard(number: u16) -> Subject {
    Subject::PubSub(ShardId::new(number).expect("a shard"))
}

/// All of this module.
pub async fn all(lab: &impl Lab) {
    a_receiver_is_told_that_the_links_are_up(lab).await;
    each_sender_keeps_its_order_on_each_subject(lab).await;
    who_does_not_want_a_subject_does_not_get_it(lab).await;
    every_node_hears_heartbeats(lab).await;
    an_inbox_is_of_one_node_in_one_life(lab).await;
    a_frame_may_have_as_many_bytes_as_the_engine_says(lab).await;
    bytes_arrive_as_they_were_sent(lab).await;
    any_thread_may_publish(lab).await;
    what_was_taken_before_the_end_is_sent_and_nothing_after_it(lab).await;
}

/// The first receiver, and one that takes its place.
///
/// # Panics
/// If it is not so.
pub async fn a_receiver_is_told_that_the_links_are_up(lab: &impl Lab) {
    let a = Node::start(lab, node("up-a", 1)).await;
    assert!(!a.told.has(&Event::Gap(Lane::Control)), "there was nothing to miss");
    let second = Listener::to(&*a.engine);
    second.up().await;
    a.told.forget();
    let b = Node::start(lab, node("up-b", 1)).await;
    let inbox = Subject::Inbox(a.engine.node().clone(), Lane::Data);
    b.publish(&inbox, "to the second");
    second.until("the frame", |told| !told.frames(&inbox).is_empty()).await;
    assert!(a.told.events().is_empty(), "the first is not told any more");
}

/// On broadcasts, trackers and inboxes, on both lanes at once.
///
/// # Panics
/// If it is not so.
pub async fn each_sender_keeps_its_order_on_each_subject(lab: &impl Lab) {
    let (a, b, c) = (
        Node::start(lab, node("order-a", 1)).await,
        Node::start(lab, node("order-b", 1)).await,
        Node::start(lab, node("order-c", 1)).await,
    );
    let id = c.engine.node().clone();
    let subjects =
        [shard(0), shard(SHARDS - 1), Subject::Tracker(u32::MAX, u16::MAX), Subject::Inbox(id, Lane::Data)];
    for subject in &subjects[..3] {
        c.want(subject, &a).await;
        c.hears(subject, &b).await;
    }
    for subject in &subjects {
        tokio::join!(a.publish_all(subject, numbers("a")), b.publish_all(subject, numbers("b")));
    }
    for subject in &subjects {
        c.told.until("all frames", |told| told.count(subject) >= FRAMES * 2).await;
        let came = c.told.frames(subject);
        for sender in ["a", "b"] {
            let of_sender: Vec<_> = came.iter().filter(|text| text.starts_with(sender)).cloned().collect();
            assert_eq!(of_sender, numbers(sender).collect::<Vec<_>>(), "{subject:?}");
        }
    }
}

/// Interest is said, and taken back, as often as one likes.
///
/// # Panics
/// If it is not so.
pub async fn who_does_not_want_a_subject_does_not_get_it(lab: &impl Lab) {
    let (a, b) = (Node::start(lab, node("want-a", 1)).await, Node::start(lab, node("want-b", 1)).await);
    let (wanted, other) = (Subject::Tracker(1, 7), Subject::Tracker(1, 70));
    // On the same lane, so that it comes after what is not to come.
    let marker = Subject::Inbox(b.engine.node().clone(), Lane::Control);
    b.want(&wanted, &a).await;
    b.engine.set_interest(&wanted, true);
    a.publish(&other, "nobody wants it");
    a.publish(&wanted, "one");
    a.publish(&marker, "first");
    b.told.until("the marker", |told| told.count(&marker) == 1).await;
    assert_eq!(b.told.frames(&wanted), ["one"]);
    assert!(b.told.frames(&other).is_empty());

    b.engine.set_interest(&wanted, false);
    b.engine.set_interest(&wanted, false);
    b.engine.set_interest(&other, false);
    sleep(LINGER_MAX).await;
    b.told.forget();
    a.publish(&wanted, "two");
    a.publish(&wanted, "three");
    a.publish(&marker, "second");
    b.told.until("the marker", |told| told.count(&marker) == 1).await;
    assert!(b.told.frames(&wanted).is_empty(), "it has lingered for long enough");

    b.want(&wanted, &a).await;
    b.engine.set_interest(&wanted, false);
    b.engine.set_interest(&wanted, true);
    sleep(LINGER_MAX).await;
    a.publish(&wanted, "four");
    a.publish(&marker, "third");
    b.told.until("the marker", |told| !told.frames(&marker).is_empty()).await;
    assert_eq!(b.told.frames(&wanted), ["four"], "wanted again in time, it never was left");
}

/// Without having asked for them.
///
/// # Panics
/// If it is not so.
pub async fn every_node_hears_heartbeats(lab: &impl Lab) {
    let (a, b, c) = (
        Node::start(lab, node("beat-a", 1)).await,
        Node::start(lab, node("beat-b", 1)).await,
        Node::start(lab, node("beat-c", 1)).await,
    );
    for hearer in [&b, &c] {
        hearer.hears(&Subject::Heartbeats, &a).await;
        hearer.engine.set_interest(&Subject::Heartbeats, false);
    }
    a.publish(&Subject::Heartbeats, "alive");
    for hearer in [&b, &c] {
        let alive = |told: &Listener| told.frames(&Subject::Heartbeats).contains(&"alive".to_owned());
        hearer.told.until("the heartbeat", alive).await;
    }
}

/// Names that begin alike, or that have the other's life, are others.
///
/// # Panics
/// If it is not so.
pub async fn an_inbox_is_of_one_node_in_one_life(lab: &impl Lab) {
    let a = Node::start(lab, node("sender", 1)).await;
    let ids = [node("in-box", 1), node("in-box", 2), node("in", 1), node("in-box-0000000000000001", 2)];
    for lane in [Lane::Control, Lane::Data] {
        let mut nodes = Vec::new();
        for id in &ids {
            nodes.push(Node::start(lab, id.clone()).await);
        }
        for id in &ids {
            let inbox = Subject::Inbox(id.clone(), lane);
            let to = nodes.iter().find(|other| other.engine.node() == id).expect("it was started");
            to.hears(&inbox, &a).await;
        }
        for id in &ids {
            a.publish(&Subject::Inbox(id.clone(), lane), format!("to {id}"));
        }
        for to in &nodes {
            let id = to.engine.node();
            let inbox = Subject::Inbox(id.clone(), lane);
            to.told.until("its frame", |told| !told.frames(&inbox).is_empty()).await;
            let frame = Event::Frame { subject: inbox, frame: format!("to {id}").into() };
            assert_eq!(to.told.events(), [frame]);
        }
        nodes.iter().for_each(|node| drop(node.engine.stop(Duration::ZERO)));
    }
}

/// And not one more.
///
/// # Panics
/// If it is not so.
pub async fn a_frame_may_have_as_many_bytes_as_the_engine_says(lab: &impl Lab) {
    let (a, b) = (Node::start(lab, node("size-a", 1)).await, Node::start(lab, node("size-b", 1)).await);
    let inbox = Subject::Inbox(b.engine.node().clone(), Lane::Data);
    b.hears(&inbox, &a).await;
    let limit = a.engine.caps().max_payload;
    assert!(limit >= 256 * 1024, "layers above send pieces of 256 KiB");
    let refused = a.engine.publish(&inbox, vec![0; limit + 1].into());
    assert_eq!(refused, Err(PublishError::TooLarge { bytes: limit + 1, limit }));
    a.publish(&inbox, "x".repeat(limit));
    a.publish(&inbox, "");
    b.told.until("both", |told| told.frames(&inbox).len() == 2).await;
    let sizes: Vec<_> = b.told.frames(&inbox).iter().map(String::len).collect();
    assert_eq!(sizes, [limit, 0]);
}

/// Also those that mean something to a broker.
///
/// # Panics
/// If it is not so.
pub async fn bytes_arrive_as_they_were_sent(lab: &impl Lab) {
    let (a, b) = (Node::start(lab, node("bytes-a", 1)).await, Node::start(lab, node("bytes-b@-_", 1)).await);
    let inbox = Subject::Inbox(b.engine.node().clone(), Lane::Data);
    b.hears(&inbox, &a).await;
    let all: Vec<u8> = (0..=u8::MAX).collect();
    let frames: [&[u8]; 6] =
        [b"", b"\r\n", b"\r\n-ERR 'no'\r\nPING\r\n", b"*1\r\n$4\r\nQUIT\r\n", b"+OK\r\n\0", &all];
    for frame in frames {
        a.engine.publish(&inbox, frame.to_vec().into()).expect("it is taken");
    }
    b.told.until("all frames", |told| told.frames(&inbox).len() == frames.len()).await;
    let expect = frames.map(|frame| Event::Frame { subject: inbox.clone(), frame: frame.to_vec().into() });
    assert_eq!(b.told.events(), expect);
}

/// Without a runtime.
///
/// # Panics
/// If it is not so.
pub async fn any_thread_may_publish(lab: &impl Lab) {
    let (a, b) = (Node::start(lab, node("thread-a", 1)).await, Node::start(lab, node("thread-b", 1)).await);
    let subject = shard(77);
    b.want(&subject, &a).await;
    let engine = a.engine.clone();
    let on = subject.clone();
    let thread = std::thread::spawn(move || {
        engine.set_interest(&on, true);
        engine.publish(&on, "from a thread".into())
    });
    thread.join().expect("it does not panic").expect("it is taken");
    b.told.until("the frame", |told| told.frames(&subject) == ["from a thread"]).await;
}

/// Neither way, and whoever asks is told so.
///
/// # Panics
/// If it is not so.
pub async fn what_was_taken_before_the_end_is_sent_and_nothing_after_it(lab: &impl Lab) {
    let (a, b) = (Node::start(lab, node("stop-a", 1)).await, Node::start(lab, node("stop-b", 1)).await);
    let (to_a, to_b) = (
        Subject::Inbox(a.engine.node().clone(), Lane::Data),
        Subject::Inbox(b.engine.node().clone(), Lane::Data),
    );
    b.hears(&to_b, &a).await;
    a.hears(&to_a, &b).await;
    (0..100).for_each(|n| a.publish(&to_b, n.to_string()));
    let stopping = a.engine.stop(Duration::from_secs(5));
    let refused =
        [a.engine.publish(&to_b, "late".into()), a.engine.publish(&Subject::Heartbeats, "late".into())];
    assert_eq!(refused, [Err(PublishError::Stopped), Err(PublishError::Stopped)]);
    let before = Instant::now();
    stopping.await;
    assert!(before.elapsed() < Duration::from_secs(4), "all is written long before the deadline");
    b.told.until("what was taken", |told| told.frames(&to_b).len() == 100).await;
    a.told.forget();
    b.publish(&to_a, "nobody is there");
    let again = Listener::to(&*a.engine);
    a.engine.set_interest(&shard(1), true);
    a.engine.stop(Duration::from_secs(5)).await;
    sleep(Duration::from_millis(200)).await;
    assert!(a.told.events().is_empty() && again.events().is_empty());
    assert_eq!(b.told.frames(&to_b).len(), 100);
}

/// What a receiver does not take in time is lost, and it hears of that: memory does not grow. Needs a runtime with threads to
/// spare, since the receiver blocks one.
///
/// # Panics
/// If it is not so.
pub async fn a_slow_receiver_loses_frames_and_hears_of_a_gap(lab: &impl Lab) {
    const MANY: usize = 200_000;
    let (a, b) = (Node::start(lab, node("slow-a", 1)).await, Node::start(lab, node("slow-b", 1)).await);
    let subject = shard(5);
    b.want(&subject, &a).await;
    b.told.be_slow(true);
    a.publish_all(&subject, (0..MANY).map(|n| n.to_string())).await;
    b.told.be_slow(false);
    b.told.until("the gap", |told| told.has(&Event::Gap(Lane::Data))).await;
    assert!(b.told.count(&subject) < MANY, "what was lost did not come");
    b.hears(&subject, &a).await;
}
