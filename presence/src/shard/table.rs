//! What there is to be seen, for whoever looks: read without asking the shard's process, which alone writes.
//!
//! Topics have locks of their own, so that a long list of one delays nobody in another.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::RwLock;

use crate::entry::{Dot, Entry};
use crate::state::Seen;

/// The entries that are shown, of this node and of all others.
#[derive(Debug, Default)]
pub(crate) struct Table {
    topics: RwLock<HashMap<Arc<str>, Arc<RwLock<Topic>>>>,
    /// How often somebody has looked.
    looks: AtomicU64,
}

/// The entries of one topic, by key.
#[derive(Debug, Default)]
pub(crate) struct Topic {
    keys: HashMap<Arc<str>, Metas>,
    len: usize,
    /// It had no entries left and was taken out of the table.
    removed: bool,
}

/// The entries of one key; most have one.
#[derive(Debug)]
enum Metas {
    One(Arc<Entry>),
    Many(BTreeMap<Dot, Arc<Entry>>),
}

impl Table {
    /// Takes in what has changed. Called by the shard's process alone.
    pub(crate) fn apply(&self, changes: &[Seen]) {
        for change in changes {
            let topic = self.topic(change.entry().shared_topic());
            let is_empty = {
                let mut topic = topic.write();
                match change {
                    Seen::Join(entry) => topic.insert(entry),
                    Seen::Leave(entry) => topic.remove(entry),
                    Seen::Update { old, new } => {
                        topic.remove(old);
                        topic.insert(new);
                    }
                }
                topic.len == 0
            };
            if is_empty {
                self.forget(change.entry().topic());
            }
        }
    }

    /// Puts entries in the place of those that look the same.
    pub(crate) fn hand_over(&self, entries: &[Arc<Entry>]) {
        for entry in entries {
            let topic = self.topic(entry.shared_topic());
            let mut topic = topic.write();
            topic.remove(entry);
            topic.insert(entry);
        }
    }

    /// Takes everything out.
    pub(crate) fn drain(&self) -> Vec<Arc<Entry>> {
        let topics = std::mem::take(&mut *self.topics.write());
        let mut left = Vec::new();
        for topic in topics.into_values() {
            let mut topic = topic.write();
            topic.removed = true;
            left.extend(topic.entries().cloned());
            topic.keys.clear();
            topic.len = 0;
        }
        left
    }

    /// Looks at a topic to remember what is there: whoever is gone when that is told is told of all the same. Nothing in
    /// the topic changes meanwhile: `look` must not wait.
    pub(crate) fn look<T>(&self, topic: &str, look: impl FnOnce(&Topic) -> T) -> T {
        self.read(topic, |topic| {
            // Ordered with changes of the topic by its lock.
            self.looks.fetch_add(1, Ordering::Relaxed);
            look(topic)
        })
    }

    /// How often somebody has looked.
    pub(crate) fn looks(&self) -> u64 {
        self.looks.load(Ordering::Relaxed)
    }

    /// Reads something of a topic. Nothing in it changes meanwhile: `look` must not wait.
    pub(crate) fn read<T>(&self, topic: &str, look: impl FnOnce(&Topic) -> T) -> T {
        loop {
            let topics = self.topics.read();
            let Some(found) = topics.get(topic).cloned() else { return look(&Topic::default()) };
            drop(topics);
            let found = found.read();
            if !found.removed {
                return look(&found);
            }
        }
    }

    fn topic(&self, name: &Arc<str>) -> Arc<RwLock<Topic>> {
        if let Some(topic) = self.topics.read().get(name) {
            return topic.clone();
        }
        self.topics.write().entry(name.clone()).or_default().clone()
    }

    fn forget(&self, name: &str) {
        let mut topics = self.topics.write();
        if let Some(topic) = topics.remove(name) {
            topic.write().removed = true;
        }
    }
}

impl Topic {
    /// How many entries there are.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// How many keys there are.
    pub(crate) fn keys_len(&self) -> usize {
        self.keys.len()
    }

    /// Each key with its entries, in no particular order.
    #[cfg(feature = "channels")]
    pub(crate) fn keys(
        &self,
    ) -> impl Iterator<Item = (&Arc<str>, impl Iterator<Item = &Arc<Entry>> + Clone)> {
        self.keys.iter().map(|(key, metas)| (key, metas.iter()))
    }

    /// The entries of a key, the oldest first.
    pub(crate) fn key(&self, key: &str) -> impl Iterator<Item = &Arc<Entry>> {
        self.keys.get(key).into_iter().flat_map(Metas::iter)
    }

    /// All entries.
    pub(crate) fn entries(&self) -> impl Iterator<Item = &Arc<Entry>> {
        self.keys.values().flat_map(Metas::iter)
    }

    fn insert(&mut self, entry: &Arc<Entry>) {
        self.len += 1;
        match self.keys.get_mut(entry.key()) {
            Some(metas) => metas.insert(entry),
            None => {
                self.keys.insert(entry.shared_key().clone(), Metas::One(entry.clone()));
            }
        }
    }

    fn remove(&mut self, entry: &Entry) {
        let Some(metas) = self.keys.get_mut(entry.key()) else { return };
        if metas.remove(entry.dot()) {
            self.len -= 1;
        }
        if metas.is_empty() {
            self.keys.remove(entry.key());
        }
    }
}

impl Metas {
    /// The entries, the oldest of each node first.
    fn iter(&self) -> impl Iterator<Item = &Arc<Entry>> + Clone {
        let (one, many) = match self {
            Self::One(entry) => (Some(entry), None),
            Self::Many(entries) => (None, Some(entries.values())),
        };
        one.into_iter().chain(many.into_iter().flatten())
    }

    fn insert(&mut self, entry: &Arc<Entry>) {
        match self {
            Self::One(first) => {
                *self = Self::Many([first.clone(), entry.clone()].map(|entry| (entry.dot(), entry)).into());
            }
            Self::Many(entries) => drop(entries.insert(entry.dot(), entry.clone())),
        }
    }

    fn remove(&mut self, dot: Dot) -> bool {
        match self {
            Self::One(entry) if entry.dot() == dot => {
                *self = Self::Many(BTreeMap::new());
                true
            }
            Self::One(_) => false,
            Self::Many(entries) => entries.remove(&dot).is_some(),
        }
    }

    fn is_empty(&self) -> bool {
        match self {
            Self::One(_) => false,
            Self::Many(entries) => entries.is_empty(),
        }
    }
}
