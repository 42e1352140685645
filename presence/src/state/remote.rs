//! The entries of one other owner, as far as its history is known.
//!
//! Pure: a map and a clock.

use std::collections::HashMap;
use std::sync::Arc;

use super::Seen;
use crate::clock::Fit;
use crate::delta::{Change, Delta};
use crate::entry::Entry;

/// What is known of an owner: its entries as they were at one turn of its clock.
#[derive(Clone, Debug, Default)]
pub(crate) struct Remote {
    clock: u64,
    entries: HashMap<u64, Arc<Entry>>,
}

impl Remote {
    pub(crate) fn clock(&self) -> u64 {
        self.clock
    }

    pub(crate) fn entries(&self) -> impl Iterator<Item = &Arc<Entry>> {
        self.entries.values()
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Takes a delta in if it continues what is known; tells how it lies to that, and what changed. The cost is the
    /// delta's length, whatever the number of entries.
    pub(crate) fn apply(&mut self, delta: Delta, mut seen: impl FnMut(Seen)) -> Fit {
        let fit = delta.interval.fit(self.clock);
        if fit != Fit::Next {
            return fit;
        }
        self.clock = delta.interval.to;
        for change in delta.changes {
            match change {
                Change::Add { entry, replaces } => {
                    let old = replaces.and_then(|id| self.entries.remove(&id));
                    self.entries.insert(entry.dot().id, entry.clone());
                    seen(match old {
                        Some(old) => Seen::Update { old, new: entry },
                        None => Seen::Join(entry),
                    });
                }
                Change::Remove(id) => {
                    if let Some(old) = self.entries.remove(&id) {
                        seen(Seen::Leave(old));
                    }
                }
            }
        }
        fit
    }

    /// Adds a part of a snapshot that is being put together.
    pub(crate) fn add(&mut self, entries: Vec<Arc<Entry>>) {
        self.entries.extend(entries.into_iter().map(|entry| (entry.dot().id, entry)));
    }

    /// The snapshot is complete: this is what there was at that turn.
    pub(crate) fn stamp(&mut self, clock: u64) {
        self.clock = clock;
    }

    /// Puts what is newer in the place of what was known, and tells what changed.
    pub(crate) fn replace(&mut self, newer: Self, mut seen: impl FnMut(Seen)) {
        let mut old = std::mem::replace(self, newer).entries;
        for (id, entry) in &self.entries {
            if old.remove(id).is_some() {
                continue;
            }
            let replaced = entry.prev().filter(|prev| !self.entries.contains_key(prev));
            seen(match replaced.and_then(|prev| old.remove(&prev)) {
                Some(old) => Seen::Update { old, new: entry.clone() },
                None => Seen::Join(entry.clone()),
            });
        }
        old.into_values().for_each(|entry| seen(Seen::Leave(entry)));
    }
}
