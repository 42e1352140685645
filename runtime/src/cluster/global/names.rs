//! Who owns which name of the cluster, as one node sees it.
//!
//! Each node claims names for processes of its own, and is told of what others claim. There can be two claims for one name, made at the
//! same time or on two sides of a partition: the earlier one is the name's, and who made the other gives it up as soon as it hears of that.
//!
//! "Earlier" must mean the same on all nodes, and no wall clock is read. So the nodes agree on a **cluster time**: that of the
//! node whose monotonic clock began first. Every packet says what time it is for its sender, and who is behind catches up. A claim is
//! stamped once, by its owner, and all compare the same stamps, then names of nodes. If a node has to catch up by more than the way of a
//! packet, it had lived in another part of the cluster: what it has stamped then keeps its age, and is told anew.
//!
//! Pure: what happens and the time come in, and what is to be done comes out.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use serde::de::{Deserializer, Error};
use serde::{Deserialize, Serialize, Serializer};

use super::super::links::{self, Links, Owned};
use crate::clock::Instant;
use crate::name::Name;
use crate::node::NodeId;

/// How many names of the cluster one node owns; a further one is refused, or, if another node does not hold to it, passed over.
pub const GLOBAL_NAMES_MAX: usize = 65_536;

/// By how much a clock catches up without a word: ways of packets differ, clocks drift.
const SKEW: Duration = Duration::from_millis(10);

/// By how much a node may be behind before what it says is taken to be of another time than ours, that it will tell anew.
const BEHIND: Duration = Duration::from_secs(1);

/// No cluster is older, in microseconds: a hundred years.
const TIME_MAX: u64 = 100 * 366 * 24 * 3_600 * 1_000_000;

/// A time of the cluster, in microseconds.
type Time = u64;

/// What one node says to another.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Said {
    /// What time it is.
    time: Time,
    packet: links::Packet<Key, Time>,
}

/// A name, as it travels.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key(Name);

/// What is to be done.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Action {
    /// Send this.
    Send(NodeId, Said),
    /// Our claim is given up: this node's is earlier.
    Lost(Name, NodeId),
    /// A node owns more names than it may, or there was too much to tell one.
    Overrun(NodeId),
}

/// Why a name was not claimed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// The name is this node's.
    Taken(NodeId),
    /// This node owns as many as it may.
    Full,
}

#[derive(Debug)]
pub(super) struct Names {
    own: NodeId,
    started: Instant,
    /// How far the cluster's time is ahead of ours.
    ahead: Duration,
    links: Links<Key>,
    claims: Claims,
    others: HashMap<Name, BTreeMap<NodeId, Time>>,
    of_node: HashMap<NodeId, HashSet<Name>>,
}

/// What this node owns.
#[derive(Debug, Default)]
struct Claims(HashMap<Name, Time>);

impl Owned<Key, Time> for Claims {
    fn keys(&self) -> Vec<Key> {
        self.0.keys().cloned().map(Key).collect()
    }

    fn value(&self, key: &Key) -> Option<Time> {
        self.0.get(&key.0).copied()
    }
}

impl Names {
    pub(super) fn new(own: NodeId, started: Instant) -> Self {
        Self {
            own,
            started,
            ahead: Duration::ZERO,
            links: Links::new(),
            claims: Claims::default(),
            others: HashMap::new(),
            of_node: HashMap::new(),
        }
    }

    fn time(&self, now: Instant) -> Time {
        micros(now.saturating_duration_since(self.started) + self.ahead).min(TIME_MAX)
    }

    /// Whose the name is.
    pub(super) fn whereis(&self, name: &Name) -> Option<&NodeId> {
        let ours = self.claims.0.get(name).map(|time| (*time, &self.own));
        let theirs = self.others.get(name).into_iter().flatten().map(|(node, time)| (*time, node));
        theirs.chain(ours).min().map(|(_, node)| node)
    }

    /// All names that somebody owns.
    pub(super) fn all(&self) -> Vec<Name> {
        let ours = self.claims.0.keys().filter(|name| !self.others.contains_key(*name));
        ours.chain(self.others.keys()).cloned().collect()
    }

    /// Claims a name for this node.
    pub(super) fn claim(&mut self, name: &Name, now: Instant, out: &mut Vec<Action>) -> Result<(), Refused> {
        if let Some(owner) = self.whereis(name) {
            return Err(Refused::Taken(owner.clone()));
        }
        if self.claims.0.len() >= GLOBAL_NAMES_MAX {
            return Err(Refused::Full);
        }
        self.claims.0.insert(name.clone(), self.time(now));
        self.changed([name.clone()], now, out);
        Ok(())
    }

    /// Gives a name of this node up.
    pub(super) fn withdraw(&mut self, name: &Name, now: Instant, out: &mut Vec<Action>) {
        if self.claims.0.remove(name).is_some() {
            self.changed([name.clone()], now, out);
        }
    }

    fn changed(&mut self, names: impl IntoIterator<Item = Name>, now: Instant, out: &mut Vec<Action>) {
        let mut todo = Vec::new();
        for name in names {
            self.links.changed(&Key(name), &self.claims, now, &mut todo);
        }
        self.perform(todo, now, out);
    }

    /// The node is up.
    pub(super) fn up(&mut self, node: &NodeId, now: Instant, out: &mut Vec<Action>) {
        let mut todo = Vec::new();
        self.links.up(node, now, &mut todo);
        self.perform(todo, now, out);
    }

    /// The node is down, and with it all that it owns.
    pub(super) fn down(&mut self, node: &NodeId, now: Instant, out: &mut Vec<Action>) {
        let mut todo = Vec::new();
        self.links.down(node, &mut todo);
        self.perform(todo, now, out);
    }

    /// Takes what another node says; false if it is none that can be.
    pub(super) fn receive(&mut self, from: &NodeId, said: Said, now: Instant, out: &mut Vec<Action>) -> bool {
        if said.time > TIME_MAX {
            return false;
        }
        if self.links.is_up(from) {
            self.catch_up(said.time, now, out);
            let mut todo = Vec::new();
            self.links.receive(from, said.packet, &self.claims, now, &mut todo);
            // What it stamped before it has caught up with us.
            let behind = self.time(now).saturating_sub(said.time);
            let behind = if behind > micros(BEHIND) { behind } else { 0 };
            for action in &mut todo {
                let links::Action::Entries(_, entries) = action else { continue };
                for time in entries.iter_mut().filter_map(|(_, time)| time.as_mut()) {
                    *time = time.saturating_add(behind);
                }
            }
            self.perform(todo, now, out);
        }
        true
    }

    /// Does what the time asks for.
    pub(super) fn tick(&mut self, now: Instant, out: &mut Vec<Action>) {
        let mut todo = Vec::new();
        self.links.tick(&self.claims, now, &mut todo);
        self.perform(todo, now, out);
    }

    /// When that is.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.links.deadline()
    }

    fn catch_up(&mut self, told: Time, now: Instant, out: &mut Vec<Action>) {
        let behind = told.saturating_sub(self.time(now));
        self.ahead += Duration::from_micros(behind);
        if behind < micros(SKEW) {
            return;
        }
        // What others have stamped by the time that was theirs too, they will tell anew.
        let others = self.others.values_mut().flat_map(BTreeMap::values_mut);
        for time in self.claims.0.values_mut().chain(others) {
            *time = time.saturating_add(behind);
        }
        let names: Vec<Name> = self.claims.0.keys().cloned().collect();
        self.changed(names, now, out);
    }

    fn perform(&mut self, todo: Vec<links::Action<Key, Time>>, now: Instant, out: &mut Vec<Action>) {
        for action in todo {
            match action {
                links::Action::Send(to, packet) => {
                    out.push(Action::Send(to, Said { time: self.time(now), packet }));
                }
                links::Action::Entries(from, entries) => {
                    for (Key(name), time) in entries {
                        self.entry(&from, name, time, now, out);
                    }
                }
                links::Action::Anew(node) => self.forget(&node),
                links::Action::Overrun(node) => out.push(Action::Overrun(node)),
            }
        }
    }

    fn forget(&mut self, node: &NodeId) {
        for name in self.of_node.remove(node).unwrap_or_default() {
            self.remove(node, &name);
        }
    }

    fn remove(&mut self, node: &NodeId, name: &Name) {
        if let Some(claims) = self.others.get_mut(name) {
            claims.remove(node);
            if claims.is_empty() {
                self.others.remove(name);
            }
        }
    }

    /// Another node has claimed a name, or given it up.
    fn entry(&mut self, from: &NodeId, name: Name, time: Option<Time>, now: Instant, out: &mut Vec<Action>) {
        let Some(time) = time else {
            if let Some(names) = self.of_node.get_mut(from) {
                names.remove(&name);
            }
            return self.remove(from, &name);
        };
        let names = self.of_node.entry(from.clone()).or_default();
        if names.len() >= GLOBAL_NAMES_MAX && !names.contains(&name) {
            let overrun = Action::Overrun(from.clone());
            if !out.contains(&overrun) {
                out.push(overrun);
            }
            return;
        }
        names.insert(name.clone());
        self.others.entry(name.clone()).or_default().insert(from.clone(), time);
        let is_ours = self.claims.0.get(&name).is_some_and(|own| (*own, &self.own) > (time, from));
        if is_ours {
            out.push(Action::Lost(name.clone(), from.clone()));
            self.withdraw(&name, now, out);
        }
    }

    #[cfg(test)]
    fn is_empty(&self) -> bool {
        self.claims.0.is_empty() && self.others.is_empty() && self.of_node.values().all(HashSet::is_empty)
    }
}

fn micros(duration: Duration) -> Time {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

impl Serialize for Key {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.as_str())
    }
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Name::parse(text).map(Self).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests;
