//! Sides that tell each other what they own over a net that loses and reorders; and that all know it in the end.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::node::{Incarnation, NodeName};

type Sent = Packet<u8, u32>;

#[derive(Default)]
struct Store(BTreeMap<u8, u32>);

impl Owned<u8, u32> for Store {
    fn keys(&self) -> Vec<u8> {
        self.0.keys().copied().collect()
    }

    fn value(&self, key: &u8) -> Option<u32> {
        self.0.get(key).copied()
    }
}

/// One node: what it owns, and what it knows of the others.
struct Side {
    id: NodeId,
    links: Links<u8>,
    owned: Store,
    known: BTreeMap<NodeId, BTreeMap<u8, u32>>,
}

/// Nodes and what is on its way between them.
struct Net {
    sides: Vec<Side>,
    under_way: VecDeque<(usize, usize, Sent)>,
    now: Instant,
}

impl Net {
    fn new(count: usize) -> Self {
        let side = |at: usize| {
            let name = NodeName::parse(&format!("n{at}")).unwrap();
            let id = NodeId::new(name, Incarnation::new(at as u64));
            Side { id, links: Links::new(), owned: Store::default(), known: BTreeMap::new() }
        };
        let sides = (0..count).map(side).collect();
        Self { sides, under_way: VecDeque::new(), now: crate::clock::now() }
    }

    fn with<R>(&mut self, at: usize, step: impl FnOnce(&mut Side, Instant, &mut Vec<Action<u8, u32>>) -> R) {
        let mut out = Vec::new();
        step(&mut self.sides[at], self.now, &mut out);
        for action in out {
            match action {
                Action::Send(to, packet) => {
                    let to = self.sides.iter().position(|side| side.id == to).unwrap();
                    self.under_way.push_back((at, to, packet));
                }
                Action::Entries(from, entries) => {
                    let known = self.sides[at].known.entry(from).or_default();
                    for (key, value) in entries {
                        match value {
                            Some(value) => known.insert(key, value),
                            None => known.remove(&key),
                        };
                    }
                }
                Action::Anew(from) => drop(self.sides[at].known.remove(&from)),
                Action::Overrun(_) => unreachable!("so much is not told here"),
            }
        }
    }

    fn up(&mut self, at: usize, peer: usize) {
        let peer = self.sides[peer].id.clone();
        self.with(at, |side, now, out| side.links.up(&peer, now, out));
    }

    fn down(&mut self, at: usize, peer: usize) {
        let peer = self.sides[peer].id.clone();
        self.with(at, |side, _, out| side.links.down(&peer, out));
        assert_eq!(self.sides[at].known.get(&peer), None, "all that is of a node goes with it");
    }

    fn set(&mut self, at: usize, key: u8, value: Option<u32>) {
        self.with(at, |side, now, out| {
            match value {
                Some(value) => side.owned.0.insert(key, value),
                None => side.owned.0.remove(&key),
            };
            side.links.changed(&key, &side.owned, now, out)
        });
    }

    /// Delivers one packet that is under way, and keeps a copy of it if asked to.
    fn deliver(&mut self, index: usize, keep: bool) {
        let Some((from, to, packet)) = self.under_way.get(index).cloned() else { return };
        if !keep {
            self.under_way.remove(index);
        }
        let from = self.sides[from].id.clone();
        self.with(to, |side, now, out| side.links.receive(&from, packet, &side.owned, now, out));
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        for at in 0..self.sides.len() {
            self.with(at, |side, now, out| side.links.tick(&side.owned, now, out));
        }
    }

    /// From here on everything arrives; how many packets did.
    fn settle(&mut self) -> usize {
        let mut count = 0;
        for _ in 0..20 {
            while !self.under_way.is_empty() {
                self.deliver(0, false);
                count += 1;
                assert!(count < 10_000, "they never come to rest");
            }
            self.pass(RETRY_MAX);
        }
        count
    }

    fn check(&self) {
        for side in &self.sides {
            for peer in self.sides.iter().filter(|peer| peer.id != side.id) {
                let known = side.known.get(&peer.id).cloned().unwrap_or_default();
                assert_eq!(known, peer.owned.0, "{} of {}", side.id, peer.id);
            }
            assert_eq!(side.links.deadline(), None, "{} has nothing to do", side.id);
        }
    }
}

fn two() -> Net {
    let mut net = Net::new(2);
    net.up(0, 1);
    net.up(1, 0);
    net
}

#[test]
fn what_is_owned_is_told_and_what_changes_too() {
    let mut net = two();
    net.set(0, 1, Some(10));
    net.settle();
    net.check();
    net.set(0, 1, None);
    net.set(0, 2, Some(20));
    net.set(1, 2, Some(30));
    let packets = net.settle();
    net.check();
    // A batch with its ack for each side; what changed meanwhile is in one more.
    assert_eq!(packets, 6);
}

#[test]
fn what_changes_while_a_batch_is_under_way_is_told_once() {
    let mut net = two();
    net.settle();
    for value in 0..1_000 {
        net.set(0, 7, Some(value));
    }
    assert_eq!(net.settle(), 4);
    net.check();
}

#[test]
fn more_than_a_batch_holds_comes_in_several() {
    struct Many;
    impl Owned<u32, ()> for Many {
        fn keys(&self) -> Vec<u32> {
            (0..1_200).collect()
        }
        fn value(&self, _: &u32) -> Option<()> {
            Some(())
        }
    }
    let (mut links, now, mut out) = (Links::new(), crate::clock::now(), Vec::new());
    let peer = NodeId::new(NodeName::parse("b").unwrap(), Incarnation::new(2));
    links.up::<()>(&peer, now, &mut out);
    links.receive(&peer, Packet { from: 5, to: 1, body: Body::Hello }, &Many, now, &mut out);
    let mut sizes = Vec::new();
    for seq in 1..=3 {
        let Some(Action::Send(_, Packet { from: 1, to: 5, body })) = out.pop() else { panic!() };
        let Body::Batch { seq: sent, entries } = body else { panic!() };
        assert_eq!(sent, seq);
        sizes.push(entries.len());
        links.receive(&peer, Packet { from: 5, to: 1, body: Body::Ack { seq } }, &Many, now, &mut out);
    }
    assert_eq!(sizes, [512, 512, 176]);
}

/// Only one side held the other to be down: it has forgotten, and is told again.
#[test]
fn a_side_that_begins_anew_is_told_everything_again() {
    let mut net = two();
    net.set(0, 1, Some(1));
    net.set(1, 2, Some(2));
    net.settle();
    net.down(0, 1);
    net.set(0, 1, Some(3));
    net.set(1, 2, None);
    net.settle();
    net.up(0, 1);
    net.settle();
    net.check();
}

#[test]
fn a_peer_that_never_answers_is_asked_ever_more_seldom() {
    let mut net = Net::new(2);
    net.up(0, 1);
    let mut asked = 0;
    for _ in 0..7_200 {
        net.pass(Duration::from_millis(500));
        asked += net.under_way.drain(..).count();
    }
    // In an hour: after 0, 0.5, 1.5, 3.5 … seconds, then each 30.
    assert!((120..130).contains(&asked), "{asked}");
}

#[test]
fn too_much_to_tell_begins_anew() {
    struct Wide;
    impl Owned<u32, ()> for Wide {
        fn keys(&self) -> Vec<u32> {
            vec![]
        }
        fn value(&self, _: &u32) -> Option<()> {
            None
        }
    }
    let (mut links, now, mut out) = (Links::new(), crate::clock::now(), Vec::new());
    let peer = NodeId::new(NodeName::parse("b").unwrap(), Incarnation::new(2));
    links.up::<()>(&peer, now, &mut out);
    links.receive(&peer, Packet { from: 5, to: 1, body: Body::Hello }, &Wide, now, &mut out);
    let limit = u32::try_from(PENDING_MAX).unwrap();
    for key in 0..limit {
        links.changed(&key, &Wide, now, &mut out);
    }
    out.clear();
    links.changed(&limit, &Wide, now, &mut out);
    // As the peer sees by the epoch of what it is told.
    let first = Packet { from: 2, to: 5, body: Body::Batch { seq: 1, entries: vec![] } };
    assert_eq!(out, [Action::Overrun(peer.clone()), Action::Send(peer, first)]);
}

#[derive(Clone, Debug)]
enum Step {
    Set(usize, u8, Option<u32>),
    Deliver(prop::sample::Index, bool),
    Lose(prop::sample::Index),
    Flap(usize, usize),
    Pass(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let index = any::<prop::sample::Index>;
    prop_oneof![
        3 => (0..3_usize, 0..6_u8, any::<Option<u32>>()).prop_map(|(at, key, value)| Step::Set(at, key, value)),
        6 => (index(), any::<bool>()).prop_map(|(at, keep)| Step::Deliver(at, keep)),
        1 => index().prop_map(Step::Lose),
        1 => (0..3_usize, 1..3_usize).prop_map(|(at, by)| Step::Flap(at, (at + by) % 3)),
        1 => (0..2_000_u64).prop_map(Step::Pass),
    ]
}

proptest! {
    /// Whatever is lost, doubled and swapped, and whoever held whom to be down: in the end each knows what each owns.
    #[test]
    fn all_know_what_each_owns_in_the_end(steps in prop::collection::vec(step(), 0..120)) {
        let mut net = Net::new(3);
        for (at, peer) in [(0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (2, 1)] {
            net.up(at, peer);
        }
        for step in steps {
            let len = net.under_way.len();
            match step {
                Step::Set(at, key, value) => net.set(at, key, value),
                Step::Deliver(index, keep) if len > 0 => net.deliver(index.index(len), keep),
                Step::Lose(index) if len > 0 => drop(net.under_way.remove(index.index(len))),
                Step::Deliver(..) | Step::Lose(_) => {}
                Step::Flap(at, peer) => {
                    net.down(at, peer);
                    net.up(at, peer);
                }
                Step::Pass(ms) => net.pass(Duration::from_millis(ms)),
            }
        }
        net.settle();
        net.check();
    }
}
