//! Who is in which group, and who monitors which group or all of them.
//!
//! Pure: maps. A change gives the monitors that must hear of it; handing it to them, in this order, is the shell's. A
//! group's name is cloned, and dropped, by the caller only: that is code of the user's, and the caller holds a lock.

use std::borrow::Borrow;
use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;
use std::sync::Arc;

use crate::pid::Pid;
use crate::process::PidHasher;

/// Tells one membership, or one monitor, from all others before it and after.
pub(super) type Serial = u64;

/// The groups of one scope: members are reached by an `A`, who monitors them by a `W`.
#[derive(Debug)]
pub(super) struct State<G, A, W> {
    groups: HashMap<G, Group<G, A, W>>,
    /// Monitors of the whole scope.
    monitors: BTreeMap<Serial, W>,
    joined: HashMap<Pid, Vec<(Arc<G>, Serial)>, PidHasher>,
    monitoring: HashMap<Pid, Vec<Monitored<G>>, PidHasher>,
    next: Serial,
}

/// It is there as long as it has a member or a monitor.
#[derive(Debug)]
struct Group<G, A, W> {
    name: Arc<G>,
    /// In the order in which they joined.
    members: BTreeMap<Serial, A>,
    monitors: BTreeMap<Serial, W>,
}

/// One monitor: of this group, or of the scope.
#[derive(Debug)]
pub(super) struct Monitored<G> {
    pid: Pid,
    group: Option<Arc<G>>,
    serial: Serial,
}

/// A membership that began or ended, and who must hear of it.
#[derive(Debug)]
pub(super) struct Change<G, A, W> {
    pub(super) group: Arc<G>,
    pub(super) member: A,
    pub(super) monitors: Vec<W>,
    /// The name of a group that is no more, for the caller to drop.
    _gone: Option<G>,
}

/// What a process had, for the caller to tell of and to drop.
#[derive(Debug)]
pub(super) struct Left<G, A, W> {
    /// Its memberships, in the order in which it joined.
    pub(super) changes: Vec<Change<G, A, W>>,
    /// What its monitors were.
    pub(super) ended: Vec<Ended<G, W>>,
}

/// A monitor that ended, for the caller to drop.
#[derive(Debug)]
pub(super) struct Ended<G, W> {
    pub(super) monitor: W,
    _gone: Option<G>,
}

impl<G> Clone for Monitored<G> {
    fn clone(&self) -> Self {
        Self { pid: self.pid, group: self.group.clone(), serial: self.serial }
    }
}

impl<G, A, W> State<G, A, W> {
    pub(super) fn new() -> Self {
        Self {
            groups: HashMap::new(),
            monitors: BTreeMap::new(),
            joined: HashMap::default(),
            monitoring: HashMap::default(),
            next: 0,
        }
    }

    fn next_serial(&mut self) -> Serial {
        self.next += 1;
        self.next
    }
}

impl<G, A, W> Group<G, A, W> {
    fn new(name: Arc<G>) -> Self {
        Self { name, members: BTreeMap::new(), monitors: BTreeMap::new() }
    }

    fn is_empty(&self) -> bool {
        self.members.is_empty() && self.monitors.is_empty()
    }
}

impl<G: Eq + Hash, A: Clone, W: Clone> State<G, A, W> {
    /// Adds a membership; a process may have several in one group. `key` is taken if the group is new.
    pub(super) fn join(
        &mut self,
        pid: Pid,
        member: A,
        key: &mut Option<G>,
        name: &Arc<G>,
    ) -> Change<G, A, W> {
        let serial = self.next_serial();
        let group = self.group(key, name);
        group.members.insert(serial, member.clone());
        let name = group.name.clone();
        self.joined.entry(pid).or_insert_with(|| Vec::with_capacity(1)).push((name.clone(), serial));
        let monitors = self.monitors_of(&name);
        Change { group: name, member, monitors, _gone: None }
    }

    /// Ends one membership of a process in a group, the latest; `None` if it has none.
    pub(super) fn leave<Q>(&mut self, pid: Pid, group: &Q) -> Option<Change<G, A, W>>
    where
        G: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        let joined = self.joined.get_mut(&pid)?;
        let at = joined.iter().rposition(|(own, _)| (**own).borrow() == group)?;
        let (group, serial) = joined.remove(at);
        if joined.is_empty() {
            self.joined.remove(&pid);
        }
        self.end_membership(group, serial)
    }

    /// Ends everything that a process has here.
    pub(super) fn ended(&mut self, pid: Pid) -> Left<G, A, W> {
        // Its monitors first: it does not hear of its own end.
        let monitoring = self.monitoring.remove(&pid).unwrap_or_default();
        let ended = monitoring.iter().filter_map(|monitored| self.unlist(monitored)).collect();
        let joined = self.joined.remove(&pid).unwrap_or_default();
        let changes =
            joined.into_iter().filter_map(|(group, serial)| self.end_membership(group, serial)).collect();
        Left { changes, ended }
    }

    fn end_membership(&mut self, group: Arc<G>, serial: Serial) -> Option<Change<G, A, W>> {
        let monitors = self.monitors_of(&group);
        let member = self.groups.get_mut(&*group)?.members.remove(&serial)?;
        let _gone = self.remove_if_empty(&group);
        Some(Change { group, member, monitors, _gone })
    }

    /// Those of the group in the order in which they began, then those of the scope.
    fn monitors_of(&self, group: &G) -> Vec<W> {
        let own = self.groups.get(group).into_iter().flat_map(|group| group.monitors.values());
        own.chain(self.monitors.values()).cloned().collect()
    }

    fn remove_if_empty(&mut self, group: &G) -> Option<G> {
        let empty = self.groups.get(group).is_some_and(Group::is_empty);
        if empty { self.groups.remove_entry(group).map(|(key, _)| key) } else { None }
    }

    /// The members of a group in the order in which they joined, each as often as it did.
    pub(super) fn members<Q>(&self, group: &Q) -> Vec<A>
    where
        G: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        self.groups.get(group).map_or(Vec::new(), |group| group.members.values().cloned().collect())
    }

    /// The groups that have members, with them.
    pub(super) fn all(&self) -> Vec<(Arc<G>, Vec<A>)> {
        let inhabited = self.groups.values().filter(|group| !group.members.is_empty());
        inhabited.map(|group| (group.name.clone(), group.members.values().cloned().collect())).collect()
    }

    /// The groups that have members.
    pub(super) fn which_groups(&self) -> Vec<Arc<G>> {
        let inhabited = self.groups.values().filter(|group| !group.members.is_empty());
        inhabited.map(|group| group.name.clone()).collect()
    }

    /// Adds a monitor of a group, to hear of every change from now on. `key` is taken if the group is new.
    pub(super) fn monitor(
        &mut self,
        pid: Pid,
        monitor: W,
        key: &mut Option<G>,
        name: &Arc<G>,
    ) -> Monitored<G> {
        let serial = self.next_serial();
        let group = self.group(key, name);
        group.monitors.insert(serial, monitor);
        let group = Some(group.name.clone());
        self.list(Monitored { pid, group, serial })
    }

    /// Adds a monitor of all groups.
    pub(super) fn monitor_scope(&mut self, pid: Pid, monitor: W) -> Monitored<G> {
        let serial = self.next_serial();
        self.monitors.insert(serial, monitor);
        self.list(Monitored { pid, group: None, serial })
    }

    fn list(&mut self, monitored: Monitored<G>) -> Monitored<G> {
        self.monitoring.entry(monitored.pid).or_default().push(monitored.clone());
        monitored
    }

    /// Ends a monitor; `None` if it had ended.
    pub(super) fn demonitor(&mut self, monitored: &Monitored<G>) -> Option<Ended<G, W>> {
        let own = self.monitoring.get_mut(&monitored.pid)?;
        own.retain(|other| other.serial != monitored.serial);
        if own.is_empty() {
            self.monitoring.remove(&monitored.pid);
        }
        self.unlist(monitored)
    }

    fn unlist(&mut self, monitored: &Monitored<G>) -> Option<Ended<G, W>> {
        match &monitored.group {
            None => {
                let monitor = self.monitors.remove(&monitored.serial)?;
                Some(Ended { monitor, _gone: None })
            }
            Some(group) => {
                let monitor = self.groups.get_mut(&**group)?.monitors.remove(&monitored.serial)?;
                Some(Ended { monitor, _gone: self.remove_if_empty(group) })
            }
        }
    }

    fn group(&mut self, key: &mut Option<G>, name: &Arc<G>) -> &mut Group<G, A, W> {
        if !self.groups.contains_key(&**name)
            && let Some(key) = key.take()
        {
            self.groups.insert(key, Group::new(name.clone()));
        }
        self.groups.get_mut(&**name).expect("invariant: a group that was not there has just been made")
    }

    #[cfg(test)]
    fn is_empty(&self) -> bool {
        self.groups.is_empty()
            && self.monitors.is_empty()
            && self.joined.is_empty()
            && self.monitoring.is_empty()
    }
}

#[cfg(test)]
mod tests;
