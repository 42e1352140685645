//! What happens while the broker is away, and when it is back.

use std::time::Duration;

use heronry::engine::{Event, Lane, PublishError, ShardId, Subject};
use tokio::time::{Instant, sleep};

use super::{Broker, Lab, Listener, Node, PATIENCE, node};

/// Within this a dead broker is noticed, and within this all is well again once it is back.
const NOTICED_WITHIN: Duration = Duration::from_secs(3);

/// For a machine that does something else at the moment.
const SLACK: Duration = Duration::from_millis(500);

/// How long a publish may take, whatever the broker does.
const PUBLISH_MAX: Duration = Duration::from_millis(1);

/// How much more memory a node may hold while its broker does not take anything: both queues, the buffers of connections, and
/// what an allocator keeps.
const HELD_BYTES_MAX: u64 = 128 * 1024 * 1024;

const LANES: [Lane; 2] = [Lane::Control, Lane::Data];

fn shard() -> Subject {
    Subject::PubSub(ShardId::new(9).expect("a shard"))
}

/// Publishes on both lanes and gives what came of it, after a look at how long it took. A thread can lose its core at any
/// time, so the time of one in a hundred does not count.
fn publish_timed(from: &Node, times: usize) -> Vec<Result<(), PublishError>> {
    let mut took = Vec::new();
    let mut results = Vec::new();
    for n in 0..times {
        let subject = if n % 2 == 0 { shard() } else { Subject::Heartbeats };
        let begin = Instant::now();
        results.push(from.engine.publish(&subject, vec![0; 1_024].into()));
        took.push(begin.elapsed());
    }
    took.sort_unstable();
    let p99 = took[(times * 99).div_ceil(100) - 1];
    assert!(p99 <= PUBLISH_MAX, "a publish took {p99:?}");
    results
}

async fn until_all(told: &Listener, events: impl Fn(Lane) -> Event) {
    for lane in LANES {
        told.until("the event", |told| told.has(&events(lane))).await;
    }
}

/// Both lanes, in the order in which they must come.
fn assert_back(told: &Listener) {
    for lane in LANES {
        let of_lane: Vec<_> = told
            .events()
            .into_iter()
            .filter(|event| event.lane() == lane && !matches!(event, Event::Frame { .. }))
            .collect();
        assert_eq!(of_lane, [Event::Down(lane), Event::Up(lane), Event::Gap(lane)]);
    }
}

/// A killed broker: down at once, publishes refused at once, and nothing is replayed when it is back.
///
/// # Panics
/// If it is not so.
pub async fn a_killed_broker_is_noticed_and_found_again(lab: &impl Lab, broker: &impl Broker) {
    let (a, b) = (Node::start(lab, node("kill-a", 1)).await, Node::start(lab, node("kill-b", 1)).await);
    b.want(&shard(), &a).await;
    b.hears(&Subject::Heartbeats, &a).await;
    a.told.forget();
    let begin = Instant::now();
    broker.kill().await;
    for told in [&a.told, &b.told] {
        until_all(told, Event::Down).await;
    }
    assert!(begin.elapsed() <= NOTICED_WITHIN + SLACK, "it took {:?}", begin.elapsed());
    assert!(publish_timed(&a, 1_000).iter().all(|result| *result == Err(PublishError::Disconnected)));
    let wanted_meanwhile = Subject::Tracker(3, 3);
    b.engine.set_interest(&wanted_meanwhile, true);
    sleep(Duration::from_secs(3)).await;

    let begin = Instant::now();
    broker.start().await;
    for told in [&a.told, &b.told] {
        until_all(told, Event::Gap).await;
        assert_back(told);
    }
    assert!(begin.elapsed() <= NOTICED_WITHIN + SLACK, "it took {:?}", begin.elapsed());
    assert!(b.told.frames(&shard()).is_empty(), "nothing is replayed");
    for subject in [shard(), wanted_meanwhile, Subject::Heartbeats] {
        b.hears(&subject, &a).await;
    }
}

/// A broker that stands still: publishes are taken, then refused as `Full`, and never wait; memory is bounded; within 3 s the
/// links are down. What is in the broker's sockets then may come late, which no engine can prevent: layers above know it by its
/// number.
///
/// # Panics
/// If it is not so.
pub async fn a_stopped_broker_is_noticed_and_found_again(lab: &impl Lab, broker: &impl Broker, full: bool) {
    let (a, b) = (Node::start(lab, node("stop-a", 1)).await, Node::start(lab, node("stop-b", 1)).await);
    b.want(&shard(), &a).await;
    a.told.forget();
    let before = resident_bytes();
    broker.pause();
    let begin = Instant::now();
    if full {
        let results = publish_timed(&a, 200_000);
        assert!(results[0].is_ok(), "nobody knows yet");
        assert!(results.contains(&Err(PublishError::Full)), "the last was {:?}", results.last());
        let held = resident_bytes().saturating_sub(before);
        assert!(held <= HELD_BYTES_MAX, "{held} bytes are held");
    }
    for told in [&a.told, &b.told] {
        until_all(told, Event::Down).await;
    }
    assert!(begin.elapsed() <= NOTICED_WITHIN + SLACK, "it took {:?}", begin.elapsed());
    assert!(publish_timed(&a, 1_000).iter().all(|result| *result == Err(PublishError::Disconnected)));
    sleep(Duration::from_secs(3)).await;

    let begin = Instant::now();
    broker.resume();
    for told in [&a.told, &b.told] {
        until_all(told, Event::Gap).await;
        assert_back(told);
    }
    assert!(begin.elapsed() <= NOTICED_WITHIN + SLACK, "it took {:?}", begin.elapsed());
    b.hears(&shard(), &a).await;
}

/// What was taken while the broker stood still, and was not yet written when it died, is gone: the broker that takes its place
/// hears nothing of it.
///
/// # Panics
/// If it is not so.
pub async fn what_a_dead_broker_did_not_take_is_not_sent_to_the_next(lab: &impl Lab, broker: &impl Broker) {
    let (a, b) = (Node::start(lab, node("next-a", 1)).await, Node::start(lab, node("next-b", 1)).await);
    b.want(&shard(), &a).await;
    broker.pause();
    // More than sockets hold, so that the client of the broker is left with some.
    let old = "old ".repeat(256);
    let mut taken = 0;
    for _ in 0..3 {
        taken += (0..20_000).filter(|_| a.engine.publish(&shard(), old.clone().into()).is_ok()).count();
        sleep(Duration::from_millis(200)).await;
    }
    assert!(taken > 10_000, "nobody knows yet, and {taken} were taken");
    broker.kill().await;
    until_all(&a.told, Event::Down).await;
    sleep(Duration::from_secs(3)).await;
    broker.start().await;
    until_all(&a.told, Event::Gap).await;
    b.hears(&shard(), &a).await;
    // A client that reconnects by itself waits for up to 4 s between two tries.
    sleep(Duration::from_secs(5)).await;
    assert_eq!(b.told.count(&shard()), 0, "it is replayed");
}

/// An engine is stopped at once although its broker is away, and its node is forgotten.
///
/// # Panics
/// If it is not so.
pub async fn an_engine_stops_without_its_broker(lab: &impl Lab, broker: &impl Broker) {
    let a = Node::start(lab, node("end-a", 1)).await;
    broker.kill().await;
    until_all(&a.told, Event::Down).await;
    let before = Instant::now();
    a.engine.stop(PATIENCE).await;
    assert!(before.elapsed() < Duration::from_secs(1), "there is nothing to wait for");
    assert_eq!(a.engine.publish(&shard(), "late".into()), Err(PublishError::Stopped));
    a.told.forget();
    broker.start().await;
    sleep(Duration::from_secs(2)).await;
    assert!(a.told.events().is_empty());
}

/// Whoever ends the program waits for no longer than was said, although what was taken can't be written.
///
/// # Panics
/// If it is not so.
pub async fn an_engine_stops_in_time_although_its_broker_stands_still(lab: &impl Lab, broker: &impl Broker) {
    let a = Node::start(lab, node("still-a", 1)).await;
    broker.pause();
    let large = "x".repeat(a.engine.caps().max_payload);
    // More than sockets hold.
    let taken = (0..15).filter(|_| a.engine.publish(&shard(), large.clone().into()).is_ok()).count();
    assert_eq!(taken, 15);
    let (deadline, before) = (Duration::from_millis(500), Instant::now());
    a.engine.stop(deadline).await;
    let took = before.elapsed();
    broker.resume();
    assert!(took >= deadline && took < deadline * 3, "{took:?}");
}

/// What this process holds, or 0 where that is not known.
fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|rest| rest.trim().trim_end_matches(" kB").parse::<u64>().ok()).unwrap_or(0) * 1024
}
