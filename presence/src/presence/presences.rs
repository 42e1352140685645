//! Presences by key, as clients are told of them.
//!
//! Pure: values and their JSON.

use std::collections::BTreeMap;
use std::collections::btree_map::{IntoIter, Iter, IterMut};
use std::sync::Arc;

use serde::ser::{Serialize, SerializeMap, SerializeSeq, Serializer};
use serde_json::{Map, Value};

use crate::diff::TopicDiff;
use crate::entry::Entry;
use crate::shard::Topic;

/// The presences of a topic, or some of them, by key. Serialises as Phoenix's presence data structure:
/// `{"ann": {"metas": [{"phx_ref": ..}], "user": ..}, ..}`.
#[derive(Clone, Debug, Default)]
pub struct Presences(BTreeMap<Arc<str>, KeyPresence>);

/// The presences of one key: its metas, and what a [fetch](super::PresenceBuilder::fetch) says of it.
#[derive(Clone, Debug, Default)]
pub struct KeyPresence {
    metas: Vec<Arc<Entry>>,
    more: Map<String, Value>,
}

/// What changed in a topic, by key. Serialises as the payload of `presence_diff`: `{"joins": .., "leaves": ..}`.
#[derive(Clone, Debug, Default)]
pub struct PresenceDiff {
    /// Who is there and was not. Of a key that was there before only the metas that are new.
    pub joins: Presences,
    /// Who was there and is not. Of a key that is still there only the metas that have gone.
    pub leaves: Presences,
}

impl Presences {
    /// Of entries, each key's in their order.
    pub(crate) fn of<'a>(entries: impl IntoIterator<Item = &'a Arc<Entry>>) -> Self {
        let mut presences = BTreeMap::<_, KeyPresence>::new();
        for entry in entries {
            match presences.get_mut(entry.key()) {
                Some(presence) => presence.metas.push(entry.clone()),
                None => {
                    let presence = KeyPresence { metas: vec![entry.clone()], more: Map::new() };
                    presences.insert(entry.shared_key().clone(), presence);
                }
            }
        }
        Self(presences)
    }

    /// How many keys there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The presences of a key.
    pub fn get(&self, key: &str) -> Option<&KeyPresence> {
        self.0.get(key)
    }

    /// The keys, in their order.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(|key| &**key)
    }

    /// Each key with its presences, in the order of the keys.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &KeyPresence)> {
        self.0.iter().map(|(key, presence)| (&**key, presence))
    }

    /// Each key with its presences, to say more of them.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (&str, &mut KeyPresence)> {
        self.0.iter_mut().map(|(key, presence)| (&**key, presence))
    }

    /// Takes a diff in.
    pub(crate) fn apply(&mut self, diff: &PresenceDiff) {
        for (key, joined) in &diff.joins.0 {
            let metas = &mut self.0.entry(key.clone()).or_default().metas;
            for meta in &joined.metas {
                if !metas.iter().any(|other| other.dot() == meta.dot()) {
                    metas.push(meta.clone());
                }
            }
        }
        for (key, left) in &diff.leaves.0 {
            let Some(presence) = self.0.get_mut(key) else { continue };
            presence.metas.retain(|meta| !left.metas.iter().any(|gone| gone.dot() == meta.dot()));
            if presence.metas.is_empty() {
                self.0.remove(key);
            }
        }
    }
}

impl<'a> IntoIterator for &'a Presences {
    type Item = (&'a Arc<str>, &'a KeyPresence);
    type IntoIter = Iter<'a, Arc<str>, KeyPresence>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

impl<'a> IntoIterator for &'a mut Presences {
    type Item = (&'a Arc<str>, &'a mut KeyPresence);
    type IntoIter = IterMut<'a, Arc<str>, KeyPresence>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter_mut()
    }
}

impl IntoIterator for Presences {
    type Item = (Arc<str>, KeyPresence);
    type IntoIter = IntoIter<Arc<str>, KeyPresence>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl KeyPresence {
    /// The metas, the oldest of each node first.
    pub fn metas(&self) -> &[Arc<Entry>] {
        &self.metas
    }

    /// What was said of it by [`insert`](Self::insert).
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.more.get(name)
    }

    /// Says more of it: a field beside `metas`. (`metas` itself is the tracker's, and is not taken.)
    pub fn insert(&mut self, name: &str, value: impl Into<Value>) {
        if name != "metas" {
            self.more.insert(name.to_owned(), value.into());
        }
    }
}

impl PresenceDiff {
    pub(crate) fn of(diff: &TopicDiff) -> Self {
        Self { joins: Presences::of(diff.joins()), leaves: Presences::of(diff.leaves()) }
    }
}

impl Serialize for Presences {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(key, presence)| (&**key, presence)))
    }
}

impl Serialize for KeyPresence {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(1 + self.more.len()))?;
        map.serialize_entry("metas", &Metas(|| self.metas.iter()))?;
        for (name, value) in &self.more {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

impl Serialize for PresenceDiff {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(2))?;
        map.serialize_entry("joins", &self.joins)?;
        map.serialize_entry("leaves", &self.leaves)?;
        map.end()
    }
}

/// A list of metas, each written as it is kept.
struct Metas<F>(F);

impl<'a, I: Iterator<Item = &'a Arc<Entry>>, F: Fn() -> I> Serialize for Metas<F> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(None)?;
        (self.0)().try_for_each(|entry| list.serialize_element(entry.raw()))?;
        list.end()
    }
}

/// A topic as clients are told of it, written without being gathered first.
pub(crate) struct State<'a>(pub(crate) &'a Topic);

impl Serialize for State<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (key, metas) in self.0.keys() {
            map.serialize_entry(&**key, &One(&Metas(|| metas.clone())))?;
        }
        map.end()
    }
}

struct One<'a, F>(&'a Metas<F>);

impl<'a, I: Iterator<Item = &'a Arc<Entry>>, F: Fn() -> I> Serialize for One<'_, F> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(1))?;
        map.serialize_entry("metas", self.0)?;
        map.end()
    }
}
