use std::sync::mpsc::{self, Sender, channel};

use proptest::prelude::*;

use super::*;
use crate::node::{Incarnation, NodeName};

const PERFECT: Faults = Faults {
    delay_min: Duration::from_millis(1),
    delay_max: Duration::from_millis(1),
    drop: 0.0,
    duplicate: 0.0,
    reorder: 0.0,
    reorder_delay_max: Duration::from_millis(20),
};

fn node(name: &str) -> NodeId {
    NodeId::new(NodeName::parse(name).expect("a name"), Incarnation::new(1))
}

fn number(n: u32) -> Bytes {
    Bytes::copy_from_slice(&n.to_be_bytes())
}

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// A network of these nodes that know that their links are up.
fn network(seed: u64, faults: Faults, names: &[&str]) -> Network {
    let mut network = Network::new(seed, faults);
    names.iter().for_each(|name| network.join(&node(name)));
    network.step(Duration::ZERO);
    network
}

fn frame(event: &Event) -> Option<u32> {
    match event {
        Event::Frame { frame, .. } => {
            Some(u32::from_be_bytes(frame.as_ref().try_into().expect("a number was sent")))
        }
        Event::Up(_) | Event::Down(_) | Event::Gap(_) => None,
    }
}

/// The numbers that come to a node until `now`.
fn numbers(network: &mut Network, now: Duration, to: &str) -> Vec<u32> {
    let told = network.step(now);
    told.iter().filter(|(id, _)| *id == node(to)).filter_map(|(_, event)| frame(event)).collect()
}

fn send(network: &mut Network, now: Duration, from: &str, n: u32) {
    network.publish(now, &node(from), &Subject::Heartbeats, number(n)).expect("the link is up");
}

/// What is told of the links of a node until `now`.
fn links(network: &mut Network, now: Duration, of: &str) -> Vec<Event> {
    let told = network.step(now).into_iter().filter(|(id, _)| *id == node(of)).map(|(_, event)| event);
    told.filter(|event| frame(event).is_none()).collect()
}

const DOWN: [Event; 2] = [Event::Down(Lane::Control), Event::Down(Lane::Data)];
const BACK: [Event; 4] =
    [Event::Up(Lane::Control), Event::Gap(Lane::Control), Event::Up(Lane::Data), Event::Gap(Lane::Data)];

proptest! {
    #[test]
    fn without_reorder_each_sender_keeps_its_order(seed: u64, drop in 0.0..0.5, duplicate in 0.0..1.0) {
        let mut network = network(seed, Faults { drop, duplicate, delay_max: ms(50), ..PERFECT }, &["a", "b"]);
        (0..200).for_each(|n| send(&mut network, ms(n.into()), "a", n));
        let came = numbers(&mut network, ms(1_000), "b");
        prop_assert!(came.is_sorted());
        prop_assert!(!came.is_empty());
    }

    #[test]
    fn a_seed_decides_everything(seed: u64) {
        let run = || {
            let faults = Faults { drop: 0.2, duplicate: 0.2, reorder: 0.3, delay_max: ms(9), ..PERFECT };
            let mut network = network(seed, faults, &["a", "b", "c"]);
            (0..100).for_each(|n| send(&mut network, ms(n.into()), if n % 2 == 0 { "a" } else { "b" }, n));
            network.step(ms(1_000))
        };
        prop_assert_eq!(run(), run());
    }
}

#[test]
fn each_fault_happens_about_as_often_as_asked() {
    let count = |faults| {
        let mut network = network(1, faults, &["a", "b"]);
        (0..10_000).for_each(|n| send(&mut network, ms(n.into()), "a", n));
        numbers(&mut network, ms(20_000), "b")
    };
    assert_eq!(count(PERFECT), (0..10_000).collect::<Vec<_>>());
    assert!((6_800..7_200).contains(&count(Faults { drop: 0.3, ..PERFECT }).len()));
    assert!((12_800..13_200).contains(&count(Faults { duplicate: 0.3, ..PERFECT }).len()));
    let reordered = count(Faults { reorder: 0.3, ..PERFECT });
    assert!(!reordered.is_sorted() && reordered.len() == 10_000);
}

#[test]
fn the_sides_of_a_partition_do_not_hear_each_other() {
    let mut network = network(1, PERFECT, &["a", "b", "c"]);
    send(&mut network, ms(0), "a", 0);
    network.partition(&[&[node("a"), node("b")]]);
    send(&mut network, ms(0), "a", 1);
    send(&mut network, ms(0), "c", 2);
    let came = network.step(ms(10));
    let came: Vec<_> = came.iter().map(|(to, event)| (to.clone(), frame(event).expect("a frame"))).collect();
    assert_eq!(came, [(node("b"), 0), (node("b"), 1)], "what was under way to the other side is lost");
    network.heal();
    send(&mut network, ms(20), "a", 3);
    assert_eq!(numbers(&mut network, ms(30), "c"), [3]);
}

#[test]
fn what_a_paused_node_says_and_hears_waits_for_it() {
    let mut network = network(1, PERFECT, &["a", "b"]);
    network.pause(&node("b"));
    send(&mut network, ms(0), "a", 1);
    send(&mut network, ms(0), "b", 2);
    assert!(network.step(ms(100)).is_empty());
    network.resume(ms(100), &node("b"));
    assert_eq!(numbers(&mut network, ms(100), "b"), [1]);
    assert_eq!(numbers(&mut network, ms(101), "a"), [2]);
}

#[test]
fn a_node_that_is_paused_for_long_is_told_of_a_gap() {
    let mut network = network(1, PERFECT, &["a", "b"]);
    network.pause(&node("b"));
    (0..70_000).for_each(|n| send(&mut network, ms(0), "a", n));
    network.step(ms(10));
    network.resume(ms(10), &node("b"));
    let told = network.step(ms(10));
    assert_eq!(told.len(), 65_537);
    assert_eq!(told.last(), Some(&(node("b"), Event::Gap(Lane::Control))));
}

#[test]
fn a_killed_broker_is_noticed_at_once_and_its_frames_are_lost() {
    let mut network = network(1, PERFECT, &["a", "b"]);
    send(&mut network, ms(0), "a", 1);
    network.kill_broker();
    assert_eq!(links(&mut network, ms(0), "b"), DOWN);
    let refused = network.publish(ms(1), &node("a"), &Subject::Heartbeats, number(2));
    assert_eq!(refused, Err(PublishError::Disconnected));
    network.start_broker();
    assert_eq!(links(&mut network, ms(2_000), "b"), BACK);
    assert_eq!(network.next_due(), None, "nothing is replayed");
}

#[test]
fn a_stopped_broker_takes_frames_until_it_is_found_dead() {
    let mut network = network(1, PERFECT, &["a", "b"]);
    network.stop_broker(ms(0));
    send(&mut network, ms(1), "a", 1);
    network.start_broker();
    assert_eq!(numbers(&mut network, ms(1_000), "b"), [1], "it was only slow");
    network.stop_broker(ms(1_000));
    send(&mut network, ms(1_001), "a", 2);
    network.join(&node("c"));
    assert!(network.step(ms(3_999)).is_empty(), "nobody knows, and nobody can connect");
    assert_eq!(network.next_due(), Some(ms(4_000)));
    assert_eq!(links(&mut network, ms(4_000), "b"), DOWN);
    network.start_broker();
    assert_eq!(links(&mut network, ms(9_000), "b"), BACK);
    assert!(numbers(&mut network, ms(9_000), "b").is_empty());
}

#[test]
fn a_node_can_lose_its_link_alone() {
    let mut network = network(1, PERFECT, &["a", "b"]);
    network.cut(&node("b"));
    assert_eq!(links(&mut network, ms(0), "b"), DOWN);
    send(&mut network, ms(0), "a", 1);
    assert!(network.step(ms(10)).is_empty());
    network.mend(&node("b"));
    assert_eq!(links(&mut network, ms(10), "b"), BACK);
}

struct Tell(Sender<(Event, Duration)>, Instant);

impl Receiver for Tell {
    fn receive(&self, event: Event) {
        let _ = self.0.send((event, self.1.elapsed()));
    }
}

fn listen(engine: &SimEngine) -> mpsc::Receiver<(Event, Duration)> {
    let (tell, told) = channel();
    engine.start(Arc::new(Tell(tell, clock::now())));
    told
}

#[tokio::test(start_paused = true)]
async fn a_frame_takes_its_time_on_the_paused_clock() {
    let sim = Sim::new(1, Faults { delay_min: ms(500), delay_max: ms(500), ..PERFECT });
    let (a, b) = (sim.engine(node("a")), sim.engine(node("b")));
    let told = listen(&b);
    a.publish(&Subject::Heartbeats, number(1)).expect("the link is up");
    tokio::time::sleep(ms(1_000)).await;
    let events: Vec<_> = told.try_iter().map(|(event, at)| (frame(&event), at.as_millis())).collect();
    assert_eq!(events, [(None, 0), (None, 0), (Some(1), 500)]);

    let again = listen(&b);
    tokio::time::sleep(ms(1)).await;
    let events: Vec<_> = again.try_iter().map(|(event, _)| event).collect();
    assert_eq!(events, [Event::Up(Lane::Control), Event::Up(Lane::Data)], "a second receiver is told too");
}

#[tokio::test(start_paused = true)]
async fn an_engine_that_is_dropped_has_left() {
    let sim = Sim::new(1, PERFECT);
    let engine = sim.engine(node("a"));
    assert!(sim.control(|network, _| network.has(&node("a"))));
    engine.stop(Duration::ZERO).await;
    assert_eq!(engine.publish(&Subject::Heartbeats, number(1)), Err(PublishError::Stopped));
    drop(engine);
    assert!(!sim.control(|network, _| network.has(&node("a"))));
}
