//! Who is in which group of the cluster, as one node sees it. Each node owns the memberships of its own processes.
//!
//! Pure: what happens and the time come in, and what is to be done comes out.

use std::collections::BTreeMap;

use serde::de::{Deserializer, Error};
use serde::{Deserialize, Serialize, Serializer};

use super::super::links::{self, Links, Owned};
use crate::clock::Instant;
use crate::name::Name;
use crate::node::NodeId;

/// How many memberships one node owns, those of one process in one group counted once; a further one is refused, or, if another node does
/// not hold to it, passed over.
pub const GROUP_MEMBERS_MAX: usize = 65_536;

/// How often one process is in one group at most.
pub const GROUP_JOINS_MAX: u32 = 1_024;

/// What nodes tell each other: how often a member has joined.
pub(super) type Packet = links::Packet<Key, u32>;

/// A member of a group: the name that its node exports it under.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) group: Name,
    pub(super) member: Name,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Action {
    /// Send this.
    Send(NodeId, Packet),
    /// A member of that node joined, or left, so many times.
    Changed { node: NodeId, key: Key, joined: bool, times: u32 },
    /// A node owns more memberships than it may, or there was too much to tell one.
    Overrun(NodeId),
}

/// Members by group, with how often they joined.
#[derive(Debug, Default)]
struct Table {
    groups: BTreeMap<Name, BTreeMap<Name, u32>>,
    len: usize,
}

impl Table {
    fn get(&self, key: &Key) -> u32 {
        self.groups.get(&key.group).and_then(|members| members.get(&key.member)).copied().unwrap_or(0)
    }

    /// Sets how often a member has joined; how often it had.
    fn set(&mut self, key: &Key, times: u32) -> u32 {
        let before = if times > 0 {
            self.groups.entry(key.group.clone()).or_default().insert(key.member.clone(), times)
        } else {
            self.groups.get_mut(&key.group).and_then(|members| members.remove(&key.member))
        };
        if self.groups.get(&key.group).is_some_and(BTreeMap::is_empty) {
            self.groups.remove(&key.group);
        }
        match (before.is_some(), times > 0) {
            (false, true) => self.len += 1,
            (true, false) => self.len -= 1,
            (true, true) | (false, false) => {}
        }
        before.unwrap_or(0)
    }

    fn iter(&self) -> impl Iterator<Item = (Key, u32)> {
        self.groups.iter().flat_map(|(group, members)| {
            let key = |member: &Name| Key { group: group.clone(), member: member.clone() };
            members.iter().map(move |(member, times)| (key(member), *times))
        })
    }
}

impl Owned<Key, u32> for Table {
    fn keys(&self) -> Vec<Key> {
        self.iter().map(|(key, _)| key).collect()
    }

    fn value(&self, key: &Key) -> Option<u32> {
        Some(self.get(key)).filter(|times| *times > 0)
    }
}

#[derive(Debug)]
pub(super) struct Members {
    own: NodeId,
    links: Links<Key>,
    ours: Table,
    theirs: BTreeMap<NodeId, Table>,
}

impl Members {
    pub(super) fn new(own: NodeId) -> Self {
        Self { own, links: Links::new(), ours: Table::default(), theirs: BTreeMap::new() }
    }

    fn tables(&self) -> impl Iterator<Item = (&NodeId, &Table)> {
        std::iter::once((&self.own, &self.ours)).chain(&self.theirs)
    }

    /// The members of a group, each as often as it joined, those of this node first.
    pub(super) fn of(&self, group: &Name) -> Vec<(NodeId, Name)> {
        let mut found = Vec::new();
        for (node, table) in self.tables() {
            for (member, times) in table.groups.get(group).into_iter().flatten() {
                found.extend((0..*times).map(|_| (node.clone(), member.clone())));
            }
        }
        found
    }

    /// The groups that have members.
    pub(super) fn groups(&self) -> Vec<Name> {
        let mut groups: Vec<Name> =
            self.tables().flat_map(|(_, table)| table.groups.keys().cloned()).collect();
        groups.sort_unstable();
        groups.dedup();
        groups
    }

    /// A process of this node joins; false if this node has as many members as it may.
    pub(super) fn join(&mut self, key: &Key, now: Instant, out: &mut Vec<Action>) -> bool {
        let times = self.ours.get(key);
        let has_room = if times > 0 { times < GROUP_JOINS_MAX } else { self.ours.len < GROUP_MEMBERS_MAX };
        if has_room {
            self.set(key, times + 1, now, out);
        }
        has_room
    }

    /// A process of this node leaves, once or for good; whether it was in the group.
    pub(super) fn leave(&mut self, key: &Key, for_good: bool, now: Instant, out: &mut Vec<Action>) -> bool {
        let times = self.ours.get(key);
        if times > 0 {
            self.set(key, if for_good { 0 } else { times - 1 }, now, out);
        }
        times > 0
    }

    /// Whether a process of this node is in a group.
    pub(super) fn has(&self, key: &Key) -> bool {
        self.ours.get(key) > 0
    }

    /// The memberships that a process of this node has under a name.
    pub(super) fn under(&self, member: &Name) -> Vec<Key> {
        let groups = self.ours.groups.iter().filter(|(_, members)| members.contains_key(member));
        groups.map(|(group, _)| Key { group: group.clone(), member: member.clone() }).collect()
    }

    fn set(&mut self, key: &Key, times: u32, now: Instant, out: &mut Vec<Action>) {
        let before = self.ours.set(key, times);
        out.extend(change(&self.own, key, before, times));
        let mut todo = Vec::new();
        self.links.changed(key, &self.ours, now, &mut todo);
        self.perform(todo, out);
    }

    /// The node is up.
    pub(super) fn up(&mut self, node: &NodeId, now: Instant, out: &mut Vec<Action>) {
        let mut todo = Vec::new();
        self.links.up(node, now, &mut todo);
        self.perform(todo, out);
    }

    /// The node is down, and with it all its members.
    pub(super) fn down(&mut self, node: &NodeId, out: &mut Vec<Action>) {
        let mut todo = Vec::new();
        self.links.down(node, &mut todo);
        self.perform(todo, out);
    }

    /// Takes what another node tells.
    pub(super) fn receive(&mut self, from: &NodeId, packet: Packet, now: Instant, out: &mut Vec<Action>) {
        let mut todo = Vec::new();
        self.links.receive(from, packet, &self.ours, now, &mut todo);
        self.perform(todo, out);
    }

    /// Does what the time asks for.
    pub(super) fn tick(&mut self, now: Instant, out: &mut Vec<Action>) {
        let mut todo = Vec::new();
        self.links.tick(&self.ours, now, &mut todo);
        self.perform(todo, out);
    }

    /// When that is.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.links.deadline()
    }

    fn perform(&mut self, todo: Vec<links::Action<Key, u32>>, out: &mut Vec<Action>) {
        for action in todo {
            match action {
                links::Action::Send(to, packet) => out.push(Action::Send(to, packet)),
                links::Action::Entries(from, entries) => {
                    for (key, times) in entries {
                        self.entry(&from, &key, times.unwrap_or(0), out);
                    }
                }
                links::Action::Anew(node) => {
                    let table = self.theirs.remove(&node).unwrap_or_default();
                    out.extend(table.iter().filter_map(|(key, times)| change(&node, &key, times, 0)));
                }
                links::Action::Overrun(node) => out.push(Action::Overrun(node)),
            }
        }
    }

    fn entry(&mut self, from: &NodeId, key: &Key, times: u32, out: &mut Vec<Action>) {
        let table = self.theirs.entry(from.clone()).or_default();
        if times > 0 && table.len >= GROUP_MEMBERS_MAX && table.get(key) == 0 {
            let overrun = Action::Overrun(from.clone());
            if !out.contains(&overrun) {
                out.push(overrun);
            }
            return;
        }
        let times = times.min(GROUP_JOINS_MAX);
        let before = table.set(key, times);
        out.extend(change(from, key, before, times));
    }
}

fn change(node: &NodeId, key: &Key, before: u32, after: u32) -> Option<Action> {
    let (joined, times) = (after > before, after.abs_diff(before));
    (times > 0).then(|| Action::Changed { node: node.clone(), key: key.clone(), joined, times })
}

impl Serialize for Key {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (self.group.as_str(), self.member.as_str()).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (group, member) = <(String, String)>::deserialize(deserializer)?;
        let name = |text: String| Name::parse(text).map_err(D::Error::custom);
        Ok(Self { group: name(group)?, member: name(member)? })
    }
}

#[cfg(test)]
mod tests;
