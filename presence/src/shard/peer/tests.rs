//! When a peer is asked for what is missing, and when again.

use heronry::node::{Incarnation, NodeId, NodeName};

use super::*;

/// A peer that is up and was asked for what is missing.
fn asked() -> Peer {
    let mut peer = peer();
    peer.gap();
    assert!(peer.ask(Duration::ZERO).is_some());
    peer
}

/// A peer that is up and of which nothing is missing.
fn peer() -> Peer {
    let mut peer = Peer::new(NodeId::new(NodeName::parse("b").unwrap(), Incarnation::new(1)));
    peer.up();
    beat(&mut peer, 0, Duration::ZERO);
    peer
}

fn beat(peer: &mut Peer, latest: u64, now: Duration) -> Option<Message> {
    peer.receive(Message::Beat { generation: 1, latest }, now, &mut Vec::new())
}

/// Asks whenever it is due until then, and gives how often.
fn ask_until(peer: &mut Peer, end: Duration) -> u32 {
    let mut asked = 0;
    while let Some(at) = peer.deadline().filter(|at| *at < end) {
        asked += u32::from(peer.ask(at).is_some());
    }
    asked
}

#[test]
fn who_is_silent_is_asked_less_and_less() {
    let mut peer = asked();
    assert_eq!(
        ask_until(&mut peer, Duration::from_secs(60)),
        9,
        "after 0.5, 1.5, 3.5, 7.5, 15.5, 25.5 s and so on"
    );
}

#[test]
fn who_is_heard_after_a_silence_is_asked_again_within_a_second() {
    let mut peer = asked();
    ask_until(&mut peer, Duration::from_secs(30));
    let now = Duration::from_secs(30);
    assert!(beat(&mut peer, 1, now).is_none(), "not at once: an answer may be on its way");
    assert!(peer.deadline().is_some_and(|at| at <= now + ASK_AGAIN_HEARD_MAX));
}

#[test]
fn however_much_is_heard_it_is_asked_no_more_than_once_a_second() {
    let mut peer = peer();
    let mut asked = 0;
    for tenth in 1..=300 {
        let now = Duration::from_millis(100) * tenth;
        asked += u32::from(beat(&mut peer, u64::from(tenth), now).is_some());
        asked += u32::from(peer.deadline().is_some_and(|at| at <= now) && peer.ask(now).is_some());
    }
    assert!((28..=32).contains(&asked), "asked {asked} times in 30 s");
}

#[test]
fn what_was_asked_while_the_link_was_down_is_asked_at_once_when_it_is_back() {
    let mut peer = asked();
    ask_until(&mut peer, Duration::from_secs(30));
    peer.relinked();
    assert!(peer.ask(Duration::from_secs(30)).is_some());
}
