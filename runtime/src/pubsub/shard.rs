//! Some of the topics, each with its subscribers.

use std::collections::HashMap;
use std::sync::Arc;

use super::Entry;
use crate::sync::Mutex;

pub(super) struct Shard<S> {
    topics: Mutex<HashMap<Box<str>, Arc<Slots<S>>>>,
}

/// The subscribers of one topic. A subscription keeps its place, so that ending it costs O(1) whatever their number.
#[derive(Clone)]
pub(super) struct Slots<S> {
    entries: Vec<Option<Entry<S>>>,
    free: Vec<usize>,
}

impl<S> Slots<S> {
    pub(super) fn iter(&self) -> impl Iterator<Item = &Entry<S>> {
        self.entries.iter().flatten()
    }

    fn len(&self) -> usize {
        self.entries.len() - self.free.len()
    }
}

impl<S: Clone> Shard<S> {
    pub(super) fn new() -> Self {
        Self { topics: Mutex::default() }
    }

    /// Adds a subscriber and gives its place. A broadcast that is on its way keeps the subscribers it began with: only
    /// then are they copied.
    pub(super) fn insert(&self, topic: &str, entry: Entry<S>) -> usize {
        let mut topics = self.topics.lock();
        let slots = match topics.get_mut(topic) {
            Some(slots) => slots,
            None => topics
                .entry(topic.into())
                .or_insert_with(|| Arc::new(Slots { entries: Vec::new(), free: Vec::new() })),
        };
        let slots = Arc::make_mut(slots);
        match slots.free.pop() {
            Some(place) => {
                slots.entries[place] = Some(entry);
                place
            }
            None => {
                slots.entries.push(Some(entry));
                slots.entries.len() - 1
            }
        }
    }

    /// Ends the subscription at that place; a topic without subscribers is forgotten.
    pub(super) fn remove(&self, topic: &str, place: usize) {
        let removed = {
            let mut topics = self.topics.lock();
            let Some(slots) = topics.get_mut(topic) else { return };
            if slots.len() == 1 {
                topics.remove(topic).map(Removed::Topic)
            } else {
                let slots = Arc::make_mut(slots);
                slots.free.push(place);
                slots.entries[place].take().map(Removed::Entry)
            }
        };
        drop(removed); // the subscriber's destructor is the user's: not under the lock
    }

    pub(super) fn entries(&self, topic: &str) -> Option<Arc<Slots<S>>> {
        self.topics.lock().get(topic).cloned()
    }

    pub(super) fn count(&self, topic: &str) -> usize {
        self.topics.lock().get(topic).map_or(0, |slots| slots.len())
    }
}

/// What a removal takes out.
#[expect(dead_code, reason = "only kept to be dropped outside of the lock")]
enum Removed<S> {
    Topic(Arc<Slots<S>>),
    Entry(Entry<S>),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(tag: u8) -> Entry<u8> {
        Entry { pid: crate::pid::Pid::new(std::num::NonZeroU64::MIN), subscriber: tag }
    }

    fn tags(shard: &Shard<u8>) -> Vec<u8> {
        shard.entries("t").map_or(Vec::new(), |slots| slots.iter().map(|entry| entry.subscriber).collect())
    }

    #[test]
    fn places_are_used_again_and_empty_topics_forgotten() {
        let shard = Shard::new();
        let (a, b) = (shard.insert("t", entry(1)), shard.insert("t", entry(2)));
        shard.remove("t", a);
        assert_eq!(tags(&shard), [2]);
        assert_eq!(shard.insert("t", entry(3)), a);
        assert_eq!(tags(&shard), [3, 2]);
        shard.remove("t", a);
        shard.remove("t", b);
        assert_eq!(shard.count("t"), 0);
        assert!(shard.topics.lock().is_empty());
    }

    #[test]
    fn a_broadcast_on_its_way_keeps_its_subscribers() {
        let shard = Shard::new();
        let a = shard.insert("t", entry(1));
        let during = shard.entries("t").unwrap();
        shard.insert("t", entry(2));
        shard.remove("t", a);
        assert_eq!(during.iter().map(|entry| entry.subscriber).collect::<Vec<_>>(), [1]);
        assert_eq!(tags(&shard), [2]);
    }
}
