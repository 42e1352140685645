//! The links of one process.
//!
//! Pure: a set. Both ends hold each other's pid; a signal through a link that its receiver has undone is ignored.

use std::collections::HashSet;

use super::table::PidHasher;
use crate::pid::Pid;

#[derive(Debug, Default)]
pub(crate) struct Links(HashSet<Pid, PidHasher>);

impl Links {
    /// Adds a link; says whether it is new.
    pub(crate) fn insert(&mut self, pid: Pid) -> bool {
        self.0.insert(pid)
    }

    /// Removes a link; says whether there was one.
    pub(crate) fn remove(&mut self, pid: Pid) -> bool {
        self.0.remove(&pid)
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn pids(&self) -> Vec<Pid> {
        self.0.iter().copied().collect()
    }

    pub(crate) fn drain(self) -> impl Iterator<Item = Pid> {
        self.0.into_iter()
    }
}
