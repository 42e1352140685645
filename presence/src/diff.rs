//! Diffs: who joined and who left a topic, told once for all that changes within a moment.
//!
//! The first change of a quiet topic is told at once; what follows within the window is told together at its end. So N
//! who join at the same time make a few diffs and not N. Where one and the same key joins and leaves within a window,
//! the diff before is told first: a diff has of each key what one step of it did, as Phoenix's have.
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

/// What changed in a topic. The entries of an update are in both lists: the old one left, the new one joined.
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

    /// Who is there and was not.
    pub fn joins(&self) -> &[Arc<Entry>] {
        &self.joins
    }

    /// Who was there and is not.
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
    joins: BTreeMap<Dot, Arc<Entry>>,
    leaves: BTreeMap<Dot, Arc<Entry>>,
    keys: HashMap<Arc<str>, Step>,
    cuts: u32,
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

    /// Takes in what one event changed, and gives what is to be told now.
    pub(crate) fn add(&mut self, seen: impl IntoIterator<Item = Seen>, now: Duration) -> Vec<TopicDiff> {
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
            if pending.conflicts(&seen) && pending.cuts < DIFFS_PER_WINDOW_MAX {
                pending.cuts += 1;
                diffs.extend(pending.take(seen.entry().shared_topic()));
            }
            pending.add(seen);
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

    fn add(&mut self, seen: Seen) {
        self.keys.insert(seen.entry().shared_key().clone(), seen.step());
        match seen {
            Seen::Join(entry) => self.join(entry),
            Seen::Leave(entry) => self.leave(entry),
            Seen::Update { old, new } => {
                self.leave(old);
                self.join(new);
            }
        }
    }

    fn join(&mut self, entry: Arc<Entry>) {
        // One that left for a moment has not left.
        if self.leaves.remove(&entry.dot()).is_none() {
            self.joins.insert(entry.dot(), entry);
        }
    }

    fn leave(&mut self, entry: Arc<Entry>) {
        // One that nobody was told of needs no leave.
        if self.joins.remove(&entry.dot()).is_none() {
            self.leaves.insert(entry.dot(), entry);
        }
    }

    /// What is to be told, if anything is.
    fn take(&mut self, topic: &Arc<str>) -> Option<TopicDiff> {
        self.keys = HashMap::new();
        if self.joins.is_empty() && self.leaves.is_empty() {
            return None;
        }
        let list = |entries: &mut BTreeMap<Dot, Arc<Entry>>| std::mem::take(entries).into_values().collect();
        let (joins, leaves) = (list(&mut self.joins), list(&mut self.leaves));
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
