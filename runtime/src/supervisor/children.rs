//! The children of a supervisor with a strategy: in the order in which they start, and found at once by id and by pid.
//!
//! However many there are, no look-up walks through all: a supervisor of many children would else spend its time on it,
//! and more with each child (OTP's keeps a map beside its list of ids, for the same reason).

use std::collections::{BTreeMap, HashMap};
use std::ops::{Index, IndexMut, RangeInclusive};

use super::child::Child;
use super::strategy::Rank;
use crate::name::Label;
use crate::pid::Pid;
use crate::server::StartError;

/// A child's id never changes while it is here, and its pid only by these methods: the indexes rely on both.
#[derive(Debug, Default)]
pub(super) struct Children {
    by_rank: BTreeMap<Rank, Child>,
    by_id: HashMap<Label, Rank>,
    by_pid: HashMap<Pid, Rank>,
    /// The rank of the child that comes next.
    next: Rank,
}

impl Children {
    /// Adds a child, behind all others.
    pub(super) fn push(&mut self, child: Child) {
        let rank = self.next;
        self.next += 1;
        self.by_id.insert(child.spec.id.clone(), rank);
        if let Some(pid) = child.pid {
            self.by_pid.insert(pid, rank);
        }
        self.by_rank.insert(rank, child);
    }

    pub(super) fn remove(&mut self, rank: Rank) {
        if let Some(child) = self.by_rank.remove(&rank) {
            self.by_id.remove(&child.spec.id);
            if let Some(pid) = child.pid {
                self.by_pid.remove(&pid);
            }
        }
    }

    pub(super) fn find(&self, id: &Label) -> Option<Rank> {
        self.by_id.get(id).copied()
    }

    pub(super) fn has(&self, rank: Rank) -> bool {
        self.by_rank.contains_key(&rank)
    }

    /// Takes its pid from the child that has this one.
    pub(super) fn ended(&mut self, pid: Pid) -> Option<Rank> {
        let rank = self.by_pid.remove(&pid)?;
        self[rank].pid = None;
        Some(rank)
    }

    /// Takes its pid from a child.
    pub(super) fn take_pid(&mut self, rank: Rank) -> Option<Pid> {
        let pid = self[rank].pid.take()?;
        self.by_pid.remove(&pid);
        Some(pid)
    }

    /// Starts a child that does not run again.
    pub(super) async fn start_again(&mut self, rank: Rank, supervisor: Pid) -> Result<Pid, StartError> {
        let pid = self[rank].start_again(supervisor, None).await?;
        self.by_pid.insert(pid, rank);
        Ok(pid)
    }

    /// All, in start order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Child> {
        self.by_rank.values()
    }

    /// The ranks in a range at which there are children, in start order.
    pub(super) fn ranks(&self, range: RangeInclusive<Rank>) -> Vec<Rank> {
        self.by_rank.range(range).map(|(rank, _)| *rank).collect()
    }
}

impl Index<Rank> for Children {
    type Output = Child;

    fn index(&self, rank: Rank) -> &Child {
        self.by_rank.get(&rank).expect("invariant: a rank is used while its child is here")
    }
}

impl IndexMut<Rank> for Children {
    fn index_mut(&mut self, rank: Rank) -> &mut Child {
        self.by_rank.get_mut(&rank).expect("invariant: a rank is used while its child is here")
    }
}
