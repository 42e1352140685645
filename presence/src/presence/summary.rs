//! What members of a large topic were told of it, and when they are told more: how many there are, and who some of
//! them are.
//!
//! The table says what is so now; what is told is the difference to what was told before. So nothing has to be remembered of
//! what happens meanwhile, and it costs each client the same however much that is.
//!
//! Pure: values; time comes in.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use super::presences::{PresenceDiff, Presences};
use crate::entry::{Dot, Entry};

/// When topics are told: the first change of a quiet topic at once, what follows at the end of a window.
#[derive(Debug)]
pub(super) struct Windows {
    length: Duration,
    /// Topics that were told something within their window, and whether something has changed since.
    open: HashMap<Arc<str>, bool>,
    /// When the windows end, the first one first: all are of one length.
    ends: VecDeque<(Duration, Arc<str>)>,
}

/// What the members of a topic were told.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// How many there are; `None` if they were not all told the same.
    count: Option<usize>,
    /// Who some of them are.
    sample: Vec<Arc<Entry>>,
}

/// What they are to be told.
#[derive(Debug, Default)]
pub(super) struct News {
    pub(super) count: Option<usize>,
    pub(super) diff: Option<PresenceDiff>,
}

impl Windows {
    pub(super) fn new(length: Duration) -> Self {
        Self { length, open: HashMap::new(), ends: VecDeque::new() }
    }

    /// Something has changed in a topic; whether that is to be told now.
    pub(super) fn changed(&mut self, topic: &Arc<str>, now: Duration) -> bool {
        if let Some(changed) = self.open.get_mut(topic) {
            *changed = true;
            return false;
        }
        self.begin(topic.clone(), now);
        true
    }

    /// The topics of which something is to be told at the end of their window.
    pub(super) fn due(&mut self, now: Duration) -> Vec<Arc<str>> {
        let mut due = Vec::new();
        while let Some((_, topic)) = self.ends.pop_front_if(|(end, _)| *end <= now) {
            if self.open.remove(&topic).unwrap_or(false) {
                due.push(topic.clone());
                self.begin(topic, now);
            }
        }
        due
    }

    /// When the next window ends.
    pub(super) fn deadline(&self) -> Option<Duration> {
        self.ends.front().map(|(end, _)| *end)
    }

    fn begin(&mut self, topic: Arc<str>, now: Duration) {
        self.open.insert(topic.clone(), false);
        self.ends.push_back((now + self.length, topic));
    }
}

impl Told {
    /// So many there are now, and this is the sample: what is to be told of that.
    pub(super) fn update(&mut self, count: usize, sample: Vec<Arc<Entry>>) -> News {
        let dots = |entries: &[Arc<Entry>]| entries.iter().map(|entry| entry.dot()).collect::<HashSet<Dot>>();
        let (was, is) = (dots(&self.sample), dots(&sample));
        let joins = Presences::of(sample.iter().filter(|entry| !was.contains(&entry.dot())));
        let leaves = Presences::of(self.sample.iter().filter(|entry| !is.contains(&entry.dot())));
        self.sample = sample;
        let is_news = !joins.is_empty() || !leaves.is_empty();
        let counted = (self.count != Some(count)).then_some(count);
        self.count = Some(count);
        News { count: counted, diff: is_news.then_some(PresenceDiff { joins, leaves }) }
    }

    /// One of them is told that there are so many.
    pub(super) fn told_one(&mut self, count: usize) {
        if self.count != Some(count) {
            self.count = None;
        }
    }

    pub(super) fn sample(&self) -> Presences {
        Presences::of(&self.sample)
    }
}

#[cfg(test)]
mod tests;
