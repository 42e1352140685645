//! Diffs: who joined and who left a topic, told once for all that changes within a moment.
//!
//! The first change of a quiet topic is told at once; what follows within the window is told together at its end. So N
//! who join at the same time make a few diffs and not N. Where one and the same key joins and leaves within a window,
//! the diff before is told first: a diff has of each key what one step of it did, as Phoenix's have.
//!
//! What came and went within a window is not told, unless somebody has looked meanwhile: whoever was shown it has to hear
//! that it has gone.
//!
//! Pure: maps; time comes in.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use crate::entry::{Dot, Entry};
use crate::state::Seen;

/// How many diffs a topic may have within a window for the sake of keys that come and go in it. From then on only what is
/// left at the window's end is told, so that nobody can make a frame for all by each of their changes.
const DIFFS_PER_WINDOW_MAX: u32 = 8;

/// What changed in a topic. Of an update both lists have an entry: the old one left, the new one joined. One that came and went at
/// once is itself in both, if somebody may have listed it meanwhile.
#[derive(Clone, Debug)]
pub struct TopicDiff {
    topic: Arc<str>,
    joins: Vec<Arc<Entry>>,
    leaves: Vec<Arc<Entry>>,
}

impl TopicDiff {
    /// The topic.
    pub fn topic(&self) -> &str {
        &self.topic
    }

    #[cfg(feature = "channels")]
    pub(crate) fn shared_topic(&self) -> &Arc<str> {
        &self.topic
    }

    /// Who was not there and is, or was for a moment.
    pub fn joins(&self) -> &[Arc<Entry>] {
        &self.joins
    }

    /// Who was there, if only for a moment, and is not.
    pub fn leaves(&self) -> &[Arc<Entry>] {
        &self.leaves
    }
}

/// Changes that were not told yet.
#[derive(Debug)]
pub(crate) struct Batch {
    window: Duration,
    topics: HashMap<Arc<str>, Pending>,
    /// When the windows end, the first one first: all are of one length.
    ends: VecDeque<(Duration, Arc<str>)>,
}

#[derive(Debug, Default)]
struct Pending {
    joins: BTreeMap<Dot, Untold>,
    leaves: BTreeMap<Dot, Untold>,
    /// Entries that came and went, and were looked at between the two: they are told in both lists.
    passed: Vec<Arc<Entry>>,
    keys: HashMap<Arc<str>, Step>,
    cuts: u32,
}

#[derive(Debug)]
struct Untold {
    entry: Arc<Entry>,
    /// How many looks there had been before it could be seen that it came, or went.
    looks: u64,
}

/// How often somebody has looked at what there is, to remember it: before a change could be seen, and after.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Looks {
    pub(crate) before: u64,
    pub(crate) after: u64,
}

/// What a key did in a diff.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Joined,
    Left,
    Updated,
}

impl Batch {
    pub(crate) fn new(window: Duration) -> Self {
        Self { window, topics: HashMap::new(), ends: VecDeque::new() }
    }

    /// Takes in what one event changed, which can be seen by now, and gives what is to be told now.
    pub(crate) fn add(
        &mut self,
        seen: impl IntoIterator<Item = Seen>,
        looks: Looks,
        now: Duration,
    ) -> Vec<TopicDiff> {
        let (mut diffs, mut opened) = (Vec::new(), Vec::new());
        for seen in seen {
            let topic = seen.entry().shared_topic();
            let pending = match self.topics.get_mut(topic) {
                Some(pending) => pending,
                None => {
                    opened.push(topic.clone());
                    self.topics.entry(topic.clone()).or_default()
                }
            };
            let has_cuts = pending.cuts < DIFFS_PER_WINDOW_MAX;
            if pending.must_be_told_before(&seen, looks) || (has_cuts && pending.conflicts(&seen)) {
                pending.cuts += 1;
                diffs.extend(pending.take(seen.entry().shared_topic()));
            }
            pending.add(seen, looks);
        }
        for topic in opened {
            let pending = self.topics.get_mut(&topic).expect("invariant: it was opened here");
            diffs.extend(pending.take(&topic));
            self.ends.push_back((now + self.window, topic));
        }
        diffs
    }

    /// When the next window ends.
    pub(crate) fn deadline(&self) -> Option<Duration> {
        self.ends.front().map(|(end, _)| *end)
    }

    /// Gives what is to be told at the end of windows. A topic in which something happened has another window.
    pub(crate) fn due(&mut self, now: Duration) -> Vec<TopicDiff> {
        let mut diffs = Vec::new();
        while let Some((_, topic)) = self.ends.pop_front_if(|(end, _)| *end <= now) {
            let pending = self.topics.get_mut(&topic).expect("invariant: a window has a topic");
            pending.cuts = 0;
            match pending.take(&topic) {
                Some(diff) => {
                    diffs.push(diff);
                    self.ends.push_back((now + self.window, topic));
                }
                None => {
                    self.topics.remove(&topic);
                }
            }
        }
        diffs
    }

    /// Gives all that was not told yet.
    pub(crate) fn drain(&mut self) -> Vec<TopicDiff> {
        self.ends.clear();
        std::mem::take(&mut self.topics)
            .iter_mut()
            .filter_map(|(topic, pending)| pending.take(topic))
            .collect()
    }
}

impl Pending {
    /// Whether the key of that did something else since the last diff.
    fn conflicts(&self, seen: &Seen) -> bool {
        match self.keys.get(seen.entry().shared_key()) {
            None => false,
            Some(step) => *step != seen.step() || *step == Step::Updated,
        }
    }

    /// Whether it is an entry that was missed by somebody who looked: then all have to hear that it left, and after that
    /// that it is there.
    fn must_be_told_before(&self, seen: &Seen, looks: Looks) -> bool {
        match seen {
            Seen::Join(entry) | Seen::Update { old: _, new: entry } => {
                self.leaves.get(&entry.dot()).is_some_and(|left| left.looks != looks.after)
            }
            Seen::Leave(_) => false,
        }
    }

    fn add(&mut self, seen: Seen, looks: Looks) {
        self.keys.insert(seen.entry().shared_key().clone(), seen.step());
        match seen {
            Seen::Join(entry) => self.join(entry, looks),
            Seen::Leave(entry) => self.leave(entry, looks),
            Seen::Update { old, new } => {
                self.leave(old, looks);
                self.join(new, looks);
            }
        }
    }

    fn join(&mut self, entry: Arc<Entry>, looks: Looks) {
        // One that left for a moment, which nobody has seen, has not left.
        if self.leaves.remove(&entry.dot()).is_none() {
            self.joins.insert(entry.dot(), Untold { entry, looks: looks.before });
        }
    }

    fn leave(&mut self, entry: Arc<Entry>, looks: Looks) {
        match self.joins.remove(&entry.dot()) {
            // One that nobody knows of needs no leave.
            Some(joined) if joined.looks == looks.after => {}
            Some(_) => self.passed.push(entry),
            None => drop(self.leaves.insert(entry.dot(), Untold { entry, looks: looks.before })),
        }
    }

    /// What is to be told, if anything is.
    fn take(&mut self, topic: &Arc<str>) -> Option<TopicDiff> {
        self.keys = HashMap::new();
        let passed = std::mem::take(&mut self.passed);
        let list = |untold: &mut BTreeMap<Dot, Untold>| -> Vec<_> {
            let entries = std::mem::take(untold).into_values().map(|untold| untold.entry);
            passed.iter().cloned().chain(entries).collect()
        };
        let (joins, leaves) = (list(&mut self.joins), list(&mut self.leaves));
        if joins.is_empty() && leaves.is_empty() {
            return None;
        }
        Some(TopicDiff { topic: topic.clone(), joins, leaves })
    }
}

impl Seen {
    /// The entry that it is about; of an update the new one.
    pub(crate) fn entry(&self) -> &Arc<Entry> {
        match self {
            Self::Join(entry) | Self::Leave(entry) | Self::Update { old: _, new: entry } => entry,
        }
    }

    fn step(&self) -> Step {
        match self {
            Self::Join(_) => Step::Joined,
            Self::Leave(_) => Step::Left,
            Self::Update { .. } => Step::Updated,
        }
    }
}

#[cfg(test)]
mod tests;
