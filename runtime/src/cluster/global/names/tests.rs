//! Nodes that claim names, in a net of values: partitions, conflicts, limits; and that one claim of a name is left.

use std::collections::VecDeque;

use proptest::prelude::*;

use super::*;
use crate::node::{Incarnation, NodeName};

fn id(at: usize) -> NodeId {
    NodeId::new(NodeName::parse(&format!("n{at}")).unwrap(), Incarnation::new(at as u64))
}

fn name(text: &str) -> Name {
    Name::parse(text.to_owned()).unwrap()
}

const WAY: Duration = Duration::from_millis(1);

/// Nodes, who is up for whom, and what is on its way. Time passes in steps of the way of a packet.
struct Net {
    nodes: Vec<Names>,
    parted: Vec<bool>,
    under_way: VecDeque<(Instant, usize, usize, Said)>,
    now: Instant,
    lost: Vec<(usize, Name, NodeId)>,
}

impl Net {
    /// Nodes that started at these times, in milliseconds ago.
    fn new(ages_ms: &[u64]) -> Self {
        let now = crate::clock::now() + Duration::from_secs(1_000_000);
        let start = |(at, age): (usize, &u64)| Names::new(id(at), now - Duration::from_millis(*age));
        let nodes: Vec<_> = ages_ms.iter().enumerate().map(start).collect();
        let parted = vec![true; nodes.len()];
        Self { nodes, parted, under_way: VecDeque::new(), now, lost: Vec::new() }
    }

    /// As [`new`](Self::new), all of them together.
    fn together(ages_ms: &[u64]) -> Self {
        let mut net = Self::new(ages_ms);
        for at in 0..ages_ms.len() {
            net.join(at);
        }
        net.pass(20);
        net
    }

    fn with<R>(&mut self, at: usize, step: impl FnOnce(&mut Names, Instant, &mut Vec<Action>) -> R) -> R {
        let mut out = Vec::new();
        let result = step(&mut self.nodes[at], self.now, &mut out);
        for action in out {
            match action {
                Action::Send(to, said) => {
                    let to = self.nodes.iter().position(|node| node.own == to).unwrap();
                    self.under_way.push_back((self.now + WAY, at, to, said));
                }
                Action::Lost(name, winner) => self.lost.push((at, name, winner)),
                Action::Overrun(node) => panic!("{node} has too many"),
            }
        }
        result
    }

    fn others(&self, at: usize) -> Vec<usize> {
        (0..self.nodes.len()).filter(|other| *other != at && !self.parted[*other]).collect()
    }

    /// The node and those that are together see each other.
    fn join(&mut self, at: usize) {
        if !std::mem::replace(&mut self.parted[at], false) {
            return;
        }
        for other in self.others(at) {
            self.with(at, |names, now, out| names.up(&id(other), now, out));
            self.with(other, |names, now, out| names.up(&id(at), now, out));
        }
    }

    /// The node is alone from now on.
    fn part(&mut self, at: usize) {
        if std::mem::replace(&mut self.parted[at], true) {
            return;
        }
        for other in self.others(at) {
            self.with(at, |names, now, out| names.down(&id(other), now, out));
            self.with(other, |names, now, out| names.down(&id(at), now, out));
        }
        self.under_way.retain(|(_, from, to, _)| *from != at && *to != at);
    }

    fn pass(&mut self, ms: u64) {
        for _ in 0..ms {
            self.now += WAY;
            while self.under_way.front().is_some_and(|(at, ..)| *at <= self.now) {
                let (_, from, to, said) = self.under_way.pop_front().unwrap();
                assert!(self.with(to, |names, now, out| names.receive(&id(from), said, now, out)));
            }
            for at in 0..self.nodes.len() {
                self.with(at, |names, now, out| names.tick(now, out));
            }
        }
    }

    fn claim(&mut self, at: usize, text: &str) -> Result<(), Refused> {
        self.with(at, |names, now, out| names.claim(&name(text), now, out))
    }

    fn whereis(&self, text: &str) -> Vec<Option<usize>> {
        let of = |names: &Names| {
            names.whereis(&name(text)).map(|node| (0..self.nodes.len()).find(|at| id(*at) == *node).unwrap())
        };
        self.nodes.iter().map(of).collect()
    }
}

#[test]
fn a_name_is_its_owners_on_all_nodes_until_it_is_withdrawn() {
    let mut net = Net::together(&[0, 5_000, 70]);
    assert_eq!(net.claim(1, "x"), Ok(()));
    assert_eq!(net.whereis("x"), [None, Some(1), None]);
    net.pass(2);
    assert_eq!(net.whereis("x"), [Some(1); 3]);
    for at in 0..3 {
        assert_eq!(net.claim(at, "x"), Err(Refused::Taken(id(1))));
    }
    net.with(1, |names, now, out| names.withdraw(&name("x"), now, out));
    net.pass(4);
    assert_eq!(net.whereis("x"), [None; 3]);
    assert!(net.nodes.iter().all(Names::is_empty));
    assert_eq!(net.claim(2, "x"), Ok(()));
}

#[test]
fn a_node_that_goes_takes_its_names_with_it_and_brings_them_back() {
    let mut net = Net::together(&[0, 0, 0]);
    net.claim(0, "x").unwrap();
    net.pass(5);
    net.part(0);
    assert_eq!(net.whereis("x"), [Some(0), None, None]);
    net.join(0);
    net.pass(10);
    assert_eq!(net.whereis("x"), [Some(0); 3]);
    assert_eq!(net.lost, []);
}

/// Claims that are a moment apart on nodes of all ages, which have met before or not: the earlier one wins.
#[test]
fn the_earlier_claim_wins_after_a_partition() {
    let ages = [[0, 0], [0, 100_000], [100_000, 0], [30, 0], [5_000, 4_500]];
    for (ages, first, met) in
        ages.iter().flat_map(|ages| [(ages, 0, false), (ages, 0, true), (ages, 1, false), (ages, 1, true)])
    {
        let second = 1 - first;
        let mut net = if met { Net::together(ages) } else { Net::new(ages) };
        net.part(0);
        net.part(1);
        net.pass(1_000);
        net.claim(first, "x").unwrap();
        net.pass(50);
        net.claim(second, "x").unwrap();
        net.pass(3_000);
        net.join(0);
        net.join(1);
        net.pass(10);
        assert_eq!(net.whereis("x"), [Some(first); 2], "ages {ages:?}, met {met}");
        assert_eq!(net.lost, [(second, name("x"), id(first))], "ages {ages:?}, met {met}");
    }
}

#[test]
fn of_claims_at_the_same_time_the_smaller_name_of_a_node_wins() {
    let mut net = Net::new(&[0, 0, 0]);
    for at in [2, 1, 0] {
        net.claim(at, "x").unwrap();
    }
    (0..3).for_each(|at| net.join(at));
    net.pass(10);
    assert_eq!(net.whereis("x"), [Some(0); 3]);
    net.lost.sort_by_key(|(at, ..)| *at);
    assert_eq!(net.lost, [(1, name("x"), id(0)), (2, name("x"), id(0))]);
}

#[test]
fn a_node_that_owns_too_much_is_cut_off() {
    let mut names = Names::new(id(0), crate::clock::now());
    let (now, mut out) = (crate::clock::now(), Vec::new());
    names.up(&id(1), now, &mut out);
    out.clear();
    let mut entries = (0..=GLOBAL_NAMES_MAX).map(|n| (Key(name(&n.to_string())), Some(1)));
    let mut seq = 0;
    loop {
        let entries: Vec<_> = entries.by_ref().take(1_000).collect();
        if entries.is_empty() {
            break;
        }
        seq += 1;
        let packet = links::Packet::batch((1, 1), seq, entries);
        assert!(names.receive(&id(1), Said { time: 0, packet }, now, &mut out));
    }
    assert_eq!(out.iter().filter(|action| **action == Action::Overrun(id(1))).count(), 1);
    assert_eq!(names.all().len(), GLOBAL_NAMES_MAX);
    names.down(&id(1), now, &mut out);
    assert!(names.is_empty());
}

#[test]
fn a_time_that_cannot_be_is_refused() {
    let mut names = Names::new(id(0), crate::clock::now());
    let (now, mut out) = (crate::clock::now(), Vec::new());
    names.up(&id(1), now, &mut out);
    let said = |time| Said { time, packet: links::Packet::hello((1, 0)) };
    assert!(!names.receive(&id(1), said(TIME_MAX + 1), now, &mut out));
    assert!(names.receive(&id(1), said(TIME_MAX), now, &mut out));
    assert_eq!(names.claim(&name("x"), now + Duration::from_secs(1), &mut out), Ok(()));
}

/// Nodes of two versions talk to each other while a cluster is updated: these bytes don't change.
#[test]
fn what_nodes_say_has_these_bytes() {
    use links::Packet;
    let entries = vec![(Key(name("db")), Some(9)), (Key(name("x")), None)];
    let table: [(Packet<Key, Time>, &[u8]); 2] = [
        (Packet::hello((7, 0)), b"\x01\x05\x07\x00\x00"),
        (Packet::batch((7, 3), 1, entries), b"\x01\x05\x07\x03\x01\x01\x02\x02db\x01\x09\x01x\x00"),
    ];
    for (packet, golden) in table {
        let said = Said { time: 5, packet };
        assert_eq!(crate::codec::encode(&said).as_deref(), Ok(golden), "{said:?}");
        assert_eq!(crate::codec::decode(golden), Ok(said));
    }
    assert!(crate::codec::decode::<Said>(b"\x01\x05\x07\x03\x01\x01\x01\x00\x00").is_err(), "an empty name");
}

#[derive(Clone, Debug)]
enum Step {
    Claim(usize, u8),
    Withdraw(usize, u8),
    Part(usize),
    Join(usize),
    Pass(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..4_usize, 0..3_u8).prop_map(|(at, name)| Step::Claim(at, name)),
        1 => (0..4_usize, 0..3_u8).prop_map(|(at, name)| Step::Withdraw(at, name)),
        2 => (0..4_usize).prop_map(Step::Part),
        2 => (0..4_usize).prop_map(Step::Join),
        3 => (0..30_u64).prop_map(Step::Pass),
    ]
}

proptest! {
    /// Of all claims that were not withdrawn one is left in the end: all nodes agree on it, and everybody else was told.
    #[test]
    fn one_claim_of_a_name_is_left_in_the_end(
        ages in prop::collection::vec(0..100_000_u64, 4),
        steps in prop::collection::vec(step(), 0..60),
    ) {
        let mut net = Net::new(&ages);
        let mut claims: HashMap<(usize, Name), ()> = HashMap::new();
        for step in steps {
            match step {
                Step::Claim(at, key) => {
                    if net.claim(at, &key.to_string()).is_ok() {
                        claims.insert((at, name(&key.to_string())), ());
                    }
                }
                Step::Withdraw(at, key) => {
                    let name = name(&key.to_string());
                    net.with(at, |names, now, out| names.withdraw(&name, now, out));
                    claims.remove(&(at, name));
                }
                Step::Part(at) => net.part(at),
                Step::Join(at) => net.join(at),
                Step::Pass(ms) => net.pass(ms),
            }
            for (at, name, _) in net.lost.drain(..) {
                prop_assert!(claims.remove(&(at, name)).is_some(), "only who has a name loses it");
            }
        }
        (0..4).for_each(|at| net.join(at));
        net.pass(100);
        for (at, name, winner) in net.lost.drain(..) {
            prop_assert!(claims.remove(&(at, name)).is_some() && winner != id(at));
        }
        for key in 0..3_u8 {
            let owners: Vec<_> = claims.keys().filter(|(_, name)| *name.as_str() == key.to_string()).collect();
            prop_assert!(owners.len() <= 1, "{owners:?}");
            prop_assert_eq!(net.whereis(&key.to_string()), vec![owners.first().map(|(at, _)| *at); 4]);
        }
    }
}
