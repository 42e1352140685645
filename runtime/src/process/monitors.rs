//! The monitors of one process, in both directions.
//!
//! Pure: two maps. The watcher's side decides whether a `Down` is still wanted.

use std::collections::HashMap;

use super::table::PidHasher;
use crate::pid::{Pid, Ref};

#[derive(Debug, Default)]
pub(crate) struct Monitors {
    /// Whom this process watches.
    watching: Watches,
    /// Who watches this process.
    watched_by: Watches,
}

/// Refs are consecutive, as pids are.
type Watches = HashMap<Ref, Pid, PidHasher>;

impl Monitors {
    pub(crate) fn watch(&mut self, reference: Ref, target: Pid) {
        self.watching.insert(reference, target);
    }

    /// Ends a watch; the target if it was still on.
    pub(crate) fn unwatch(&mut self, reference: Ref) -> Option<Pid> {
        self.watching.remove(&reference)
    }

    pub(crate) fn add_watcher(&mut self, reference: Ref, watcher: Pid) {
        self.watched_by.insert(reference, watcher);
    }

    pub(crate) fn remove_watcher(&mut self, reference: Ref) {
        self.watched_by.remove(&reference);
    }

    pub(crate) fn watching_len(&self) -> usize {
        self.watching.len()
    }

    /// Whom this process watches: once for each monitor.
    pub(crate) fn watching(&self) -> Vec<Pid> {
        self.watching.values().copied().collect()
    }

    /// Who watches this process: once for each monitor.
    pub(crate) fn watched_by(&self) -> Vec<Pid> {
        self.watched_by.values().copied().collect()
    }

    /// (whom it watched, who watched it).
    pub(crate) fn into_parts(self) -> (Watches, Watches) {
        (self.watching, self.watched_by)
    }
}
