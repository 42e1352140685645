//! Changes of an owner's entries as they travel, and the log that they are read from.
//!
//! Pure: values.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use crate::clock::Interval;
use crate::entry::Entry;

/// What a change takes on the wire at most, besides its texts.
const CHANGE_BYTES: usize = 48;

/// One change of an owner's entries.
#[derive(Clone, Debug)]
pub(crate) enum Change {
    /// An entry came, or came in the place of another.
    Add {
        /// The entry.
        entry: Arc<Entry>,
        /// The one that it takes the place of, among those that were known before the delta.
        replaces: Option<u64>,
    },
    /// An entry went.
    Remove(u64),
}

/// A stretch of an owner's history, less what came and went within it.
#[derive(Clone, Debug)]
pub(crate) struct Delta {
    pub(crate) interval: Interval,
    /// In the order in which they happened.
    pub(crate) changes: Vec<Change>,
}

/// The last changes of an owner, by the turn of the clock that made them.
#[derive(Debug)]
pub(crate) struct Log {
    /// How many are kept at least. Twice the entries are kept where that is more: then telling all entries is cheaper.
    min: usize,
    /// The clock before the first change that is kept.
    base: u64,
    turns: VecDeque<Turn>,
}

/// What a turn of the clock did. An entry is known by the turn that made it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Turn {
    Added { replaces: Option<u64> },
    Removed(u64),
}

impl Log {
    pub(crate) fn new(min: usize) -> Self {
        Self { min, base: 0, turns: VecDeque::new() }
    }

    /// Notes the next turn.
    pub(crate) fn push(&mut self, turn: Turn, entries: usize) {
        self.turns.push_back(turn);
        while self.turns.len() > self.min.max(2 * entries) {
            self.turns.pop_front();
            self.base += 1;
        }
    }

    /// Whether everything that happened after `clock` is in it.
    pub(crate) fn reaches(&self, clock: u64) -> bool {
        clock >= self.base
    }

    /// What happened after `from`, or the first part of it if that is more than `bytes_max`. What has gone since is not
    /// in it: who is told of an entry is told of the last one in its place.
    ///
    /// `from` must be within [reach](Self::reaches), and `entries` are those that there are now.
    pub(crate) fn since(&self, from: u64, entries: &BTreeMap<u64, Arc<Entry>>, bytes_max: usize) -> Delta {
        let mut changes = Vec::new();
        // Entries that came and went since `from`, with the one, known before, whose place the first of them took.
        let mut gone: HashMap<u64, Option<u64>> = HashMap::new();
        let mut to = from;
        let mut bytes = 0;
        let skip = usize::try_from(from - self.base).unwrap_or(usize::MAX);
        for turn in self.turns.iter().skip(skip) {
            if bytes >= bytes_max {
                break;
            }
            to += 1;
            match *turn {
                Turn::Added { replaces } => {
                    let replaces = replaces.and_then(|id| gone.remove(&id).unwrap_or(Some(id)));
                    match entries.get(&to) {
                        Some(entry) => {
                            bytes += size(entry);
                            changes.push(Change::Add { entry: entry.clone(), replaces });
                        }
                        None => {
                            gone.insert(to, replaces);
                        }
                    }
                }
                Turn::Removed(id) => {
                    if let Some(id) = gone.remove(&id).unwrap_or(Some(id)) {
                        bytes += CHANGE_BYTES;
                        changes.push(Change::Remove(id));
                    }
                }
            }
        }
        // What came in their place is beyond this part.
        changes.extend(gone.into_values().flatten().map(Change::Remove));
        Delta { interval: Interval { from, to }, changes }
    }
}

/// What an entry takes on the wire, about.
pub(crate) fn size(entry: &Entry) -> usize {
    entry.topic().len() + entry.key().len() + entry.open_meta().len() + CHANGE_BYTES
}
