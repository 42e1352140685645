//! What there is to be seen, for whoever looks: read without asking the shard's process, which alone writes.
//!
//! Topics have locks of their own, so that a long list of one delays nobody in another.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::RwLock;

use super::hash;
use crate::entry::{Dot, Entry, mix};
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
    /// The keys by the [lots](Self::lot) that they have, once somebody has asked for some of them.
    lots: Option<BTreeSet<(u64, Arc<str>)>>,
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
            topic.lots = None;
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

    /// The same, at a topic of which some keys will be [drawn](Topic::drawn), now and later.
    #[cfg(feature = "channels")]
    pub(crate) fn look_to_draw<T>(&self, topic: &str, look: impl FnOnce(&Topic) -> T) -> T {
        if self.read(topic, |topic| topic.len > 0 && topic.lots.is_none()) {
            let found = self.topics.read().get(topic).cloned();
            found.iter().for_each(|topic| topic.write().put_in_order());
        }
        self.look(topic, look)
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

    /// The entries of so many keys, of each the first ones. The keys are drawn: which they are depends on the topic and on
    /// what they are called, on all nodes alike, and on nothing else. So they stay the same while they are there.
    #[cfg(feature = "channels")]
    pub(crate) fn drawn(&self, keys_max: usize, metas_max: usize) -> Vec<Arc<Entry>> {
        let entries = |key: &Arc<str>| self.keys.get(key).into_iter().flat_map(Metas::iter).take(metas_max);
        match &self.lots {
            Some(lots) => lots.iter().take(keys_max).flat_map(|(_, key)| entries(key)).cloned().collect(),
            None => {
                let lots: BTreeSet<_> = self.lots().collect();
                lots.iter().take(keys_max).flat_map(|(_, key)| entries(key)).cloned().collect()
            }
        }
    }

    #[cfg(feature = "channels")]
    fn put_in_order(&mut self) {
        if self.lots.is_none() {
            self.lots = Some(self.lots().collect());
        }
    }

    #[cfg(feature = "channels")]
    fn lots(&self) -> impl Iterator<Item = (u64, Arc<str>)> {
        let first = |metas: &Metas| metas.iter().next().map(|entry| (lot(entry), entry.shared_key().clone()));
        self.keys.values().filter_map(first)
    }

    fn insert(&mut self, entry: &Arc<Entry>) {
        self.len += 1;
        match self.keys.get_mut(entry.key()) {
            Some(metas) => metas.insert(entry),
            None => {
                if let Some(lots) = &mut self.lots {
                    lots.insert((lot(entry), entry.shared_key().clone()));
                }
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
            if let Some(lots) = &mut self.lots {
                lots.remove(&(lot(entry), entry.shared_key().clone()));
            }
        }
    }
}

/// By this number a key's turn comes: those with the lowest ones are drawn.
fn lot(entry: &Entry) -> u64 {
    mix(hash(entry.topic()) ^ mix(hash(entry.key())))
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

#[cfg(test)]
mod tests;
