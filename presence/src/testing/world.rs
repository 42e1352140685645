//! Five nodes, a network, and what happens to them.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use heronry::node::{Incarnation, NodeId, NodeName};

use super::net::{Dice, Weather};
use super::observer::Observer;
use crate::diff::Looks;
use crate::entry::{Holder, Origin};
use crate::limits::TrackerLimits;
use crate::meta::Meta;
use crate::shard::{Core, CoreOptions, Home, Message, Output};

const NODES: usize = 5;
const HOME: Home = Home { tracker: 1, shards: 1, shard: 0 };
/// How long things happen, and how long the network is whole afterwards.
const STORM: Duration = Duration::from_secs(40);
const CALM: Duration = Duration::from_secs(25);
/// How long a node may be silent before the others count it as down, and as gone.
const DOWN_AFTER: Duration = Duration::from_secs(5);
const GONE_AFTER: Duration = Duration::from_secs(15);

/// What happens next, in the order of time.
enum Event {
    /// Something comes over the network.
    Deliver { from: NodeId, to: usize, bytes: Bytes },
    /// A node finds that another is up, or down, or gone.
    Look { at: usize, of: usize },
    /// Something happens on a node.
    Act,
}

impl Holder for u32 {
    fn pid(self) -> Option<heronry::Pid> {
        None
    }
}

struct Node {
    id: NodeId,
    core: Core<u32>,
    observer: Observer,
    generation: u64,
    /// How often other nodes were away.
    returns: HashMap<NodeId, u32>,
    /// What it believes of the others.
    up: BTreeMap<usize, NodeId>,
    since_cut: HashMap<usize, Duration>,
}

pub(super) struct World {
    dice: Dice,
    now: Duration,
    weather: Weather,
    options: CoreOptions,
    nodes: Vec<Option<Node>>,
    cut: BTreeMap<(usize, usize), bool>,
    events: BTreeMap<(Duration, u64), Event>,
    sent: u64,
    holders: u32,
    /// Whose entries they are.
    owners: HashMap<Origin, NodeId>,
}

impl World {
    pub(super) fn new(seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let options = CoreOptions {
            replicated: true,
            window: Duration::from_millis(20),
            heartbeat: Duration::from_secs(1),
            leave_grace: if dice.chance(30) { dice.millis(3_000) } else { Duration::ZERO },
            message_bytes: 100 + dice.below(2_000),
            log_changes_min: dice.below(40),
            limits: TrackerLimits::default(),
        };
        let weather = Weather::drawn(&mut dice);
        let nodes = (0..NODES).map(|_| None).collect();
        let mut world = Self {
            dice,
            now: Duration::ZERO,
            weather,
            options,
            nodes,
            cut: BTreeMap::new(),
            events: BTreeMap::new(),
            sent: 0,
            holders: 0,
            owners: HashMap::new(),
        };
        (0..NODES).for_each(|at| world.start(at));
        (0..120).for_each(|_| {
            let after = world.dice.millis(STORM.as_millis() as u64);
            world.at(after, Event::Act);
        });
        world
    }

    /// How many messages it took.
    pub(super) fn run(mut self) -> u64 {
        self.until(STORM);
        self.weather = Weather::FAIR;
        self.cut.clear();
        (0..NODES).for_each(|at| {
            if self.nodes[at].is_none() {
                self.start(at)
            }
        });
        self.look_around();
        self.until(STORM + CALM);
        let own = |node: &Node| node.core.own().entries().map(|entry| entry.dot()).collect::<Vec<_>>();
        let mut truth: Vec<_> = self.alive().flat_map(own).collect();
        truth.sort_unstable();
        for node in self.alive() {
            assert_eq!(node.observer.list(), truth, "{} sees what there is", node.id);
            assert_eq!(node.observer.told(), truth, "{} was told what there is", node.id);
            for knows in node.observer.members() {
                assert_eq!(
                    knows, truth,
                    "who looked at {} and was told of what changed knows what there is",
                    node.id
                );
            }
            assert_eq!(node.core.peers_len(), NODES - 1, "the table of {} does not grow", node.id);
            assert_eq!(node.core.remote_len() + node.core.own().len(), truth.len());
        }
        self.sent
    }

    fn alive(&self) -> impl Iterator<Item = &Node> {
        self.nodes.iter().flatten()
    }

    fn at(&mut self, after: Duration, event: Event) {
        let time = (self.now + after, self.sent);
        self.sent += 1;
        self.events.insert(time, event);
    }

    fn until(&mut self, end: Duration) {
        loop {
            let event = self.events.first_key_value().map(|((time, _), _)| *time);
            let ticks = self
                .nodes
                .iter()
                .enumerate()
                .filter_map(|(at, node)| Some((node.as_ref()?.core.deadline()?.max(self.now), at)));
            let tick = ticks.min();
            let next = event.into_iter().chain(tick.map(|(time, _)| time)).min();
            let Some(next) = next.filter(|next| *next <= end) else { break };
            self.now = next;
            match (tick, event) {
                (Some((time, at)), event) if event.is_none_or(|event| time <= event) => {
                    self.on(at, |node, now, output| node.core.tick(now, output));
                }
                _ => {
                    let (_, event) = self.events.pop_first().expect("there is one");
                    self.happen(event);
                }
            }
        }
        self.now = end;
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Deliver { from, to, bytes } => {
                if self.nodes[to].is_some() {
                    let message = Message::decode(&bytes, &from, HOME).expect("it was a message");
                    self.on(to, |node, now, output| node.core.receive(&from, message, now, output));
                }
            }
            Event::Look { at, of } => self.look(at, of),
            Event::Act => self.act(),
        }
    }

    /// Does something to a node, and what follows from it.
    fn on(&mut self, at: usize, act: impl FnOnce(&mut Node, Duration, &mut Output)) {
        let Some(node) = &mut self.nodes[at] else { return };
        let mut output = Output::default();
        act(node, self.now, &mut output);
        let Output { seen, handed: _, mut diffs, messages } = output;
        for seen in seen.iter().cloned() {
            let (owners, id, up, returns) = (&self.owners, &node.id, &node.up, &node.returns);
            node.observer.see(seen, |entry| {
                let owner = &owners[&entry.dot().origin];
                assert!(
                    owner == id || up.values().any(|up| up == owner),
                    "{entry:?} joins, of {owner}, which is not up"
                );
                1 + returns.get(owner).copied().unwrap_or(0)
            });
        }
        let looks = node.observer.looks();
        diffs.extend(node.core.tell(seen, Looks { before: looks, after: looks }, self.now));
        diffs.iter().for_each(|diff| node.observer.hear(diff));
        let from = node.id.clone();
        for (to, message) in messages {
            let bytes = message.encode(HOME);
            for other in 0..NODES {
                let is_meant = |id: &NodeId| to.as_ref().is_none_or(|to| to == id);
                let is_other =
                    self.nodes[other].as_ref().is_some_and(|node| node.id != from && is_meant(&node.id));
                if is_other && !self.is_cut(at, other) {
                    for delay in self.weather.delays(&mut self.dice) {
                        self.at(
                            delay,
                            Event::Deliver { from: from.clone(), to: other, bytes: bytes.clone() },
                        );
                    }
                }
            }
        }
    }

    fn is_cut(&self, a: usize, b: usize) -> bool {
        self.cut.contains_key(&(a.min(b), a.max(b)))
    }

    fn act(&mut self) {
        let at = self.dice.below(NODES);
        match self.dice.below(100) {
            0..45 => self.track(at),
            45..60 => self.change(at, |node, holder, now, output| {
                let key = Arc::from(format!("k{}", holder % 7));
                let meta = Meta::text(&format!(r#"{{"at":{}}}"#, now.as_micros())).expect("it is one");
                let place = (Arc::from("t"), key);
                drop(node.core.update(holder, place, &meta, now, output));
            }),
            60..70 => self.change(at, |node, holder, now, output| {
                node.core.untrack_all(holder, now, output);
            }),
            70..82 => self.change(at, |node, holder, now, output| node.core.ended(holder, now, output)),
            82..88 => self.kill(at),
            88..92 => self.restart_shard(at),
            92..94 => self.on(at, |node, now, output| node.core.gap(None, now, output)),
            94..96 => self.turmoil(at),
            _ => {
                let other = self.dice.below(NODES);
                if at != other {
                    self.cut_link(at, other);
                }
            }
        }
    }

    fn track(&mut self, at: usize) {
        for _ in 0..=self.dice.below(6) {
            self.holders += 1;
            let holder = self.holders;
            self.on(at, |node, now, output| {
                let meta = Meta::text(r#"{"a":1}"#).expect("it is one");
                let place = (Arc::from("t"), Arc::from(format!("k{}", holder % 7)));
                node.core.track(holder, place, &meta, now, output).expect("it is new");
            });
        }
    }

    /// So much at once that not every step of it is told; and members who look meanwhile.
    fn turmoil(&mut self, at: usize) {
        for _ in 0..30 {
            match self.dice.below(3) {
                0 => self.track(at),
                1 => self.change(at, |node, holder, now, output| node.core.untrack_all(holder, now, output)),
                _ => {
                    if let Some(node) = &mut self.nodes[at] {
                        node.observer.look();
                    }
                }
            }
        }
    }

    /// Does something to one of the holders of a node.
    fn change(&mut self, at: usize, act: impl FnOnce(&mut Node, u32, Duration, &mut Output)) {
        let Some(node) = &self.nodes[at] else { return };
        let mut holders: Vec<_> = node.core.own().holders().collect();
        holders.sort_unstable_by_key(|holder| Reverse(*holder));
        if holders.is_empty() {
            return;
        }
        let holder = holders[self.dice.below(holders.len())];
        self.on(at, |node, now, output| act(node, holder, now, output));
    }

    fn start(&mut self, at: usize) {
        let name = NodeName::parse(&format!("n{at}")).expect("it is a name");
        let id = NodeId::new(name, Incarnation::new(self.dice.next()));
        self.owners.insert(Origin::new(&id, 1, 0), id.clone());
        self.nodes[at] = Some(Node {
            core: Core::new(&id, 1, 0, self.options),
            id,
            observer: Observer::default(),
            generation: 1,
            returns: HashMap::new(),
            up: BTreeMap::new(),
            since_cut: HashMap::new(),
        });
        self.look_around();
    }

    fn kill(&mut self, at: usize) {
        self.nodes[at] = None;
        self.look_around();
        if self.dice.chance(60) {
            self.start(at);
        }
    }

    /// The shard crashes, or ends in order, and its supervisor starts it again.
    fn restart_shard(&mut self, at: usize) {
        let (options, orderly) = (self.options, self.dice.chance(50));
        if let Some(node) = &self.nodes[at] {
            self.owners.insert(Origin::new(&node.id, node.generation + 1, 0), node.id.clone());
        }
        self.on(at, |node, now, output| {
            if orderly {
                output.messages.extend(node.core.bye().map(|bye| (None, bye)));
            }
            node.generation += 1;
            node.core = Core::new(&node.id, node.generation, 0, options);
            node.observer = Observer::default();
            for id in node.up.values() {
                node.core.up(id, now, output);
            }
        });
    }

    fn cut_link(&mut self, a: usize, b: usize) {
        let link = (a.min(b), a.max(b));
        if self.cut.remove(&link).is_none() {
            self.cut.insert(link, true);
        }
        self.look_around();
    }

    /// Whatever has changed, all will find out in their time.
    fn look_around(&mut self) {
        for at in 0..NODES {
            for of in (0..NODES).filter(|of| *of != at) {
                for after in [Duration::from_millis(50), DOWN_AFTER, GONE_AFTER] {
                    let jitter = self.dice.millis(300);
                    self.at(after + jitter, Event::Look { at, of });
                }
            }
        }
    }

    fn look(&mut self, at: usize, of: usize) {
        let is_cut = self.is_cut(at, of);
        let there = self.nodes[of].as_ref().map(|node| node.id.clone()).filter(|_| !is_cut);
        let (now, Some(node)) = (self.now, &mut self.nodes[at]) else { return };
        let known = node.up.get(&of).cloned();
        match (there, known) {
            (Some(id), known) => {
                node.since_cut.remove(&of);
                if known.as_ref() != Some(&id) {
                    node.up.insert(of, id.clone());
                    self.on(at, |node, now, output| node.core.up(&id, now, output));
                }
            }
            (None, Some(id)) => {
                let since = *node.since_cut.entry(of).or_insert(now);
                if now >= since + DOWN_AFTER {
                    node.up.remove(&of);
                    *node.returns.entry(id.clone()).or_default() += 1;
                    self.on(at, |node, _, output| node.core.down(&id, output));
                    if self.dice.chance(20) {
                        self.on(at, |node, _, output| node.core.perm_down(&id, output));
                    }
                }
            }
            (None, None) => {}
        }
    }
}
