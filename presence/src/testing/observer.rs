//! What an observer on one node sees, and what it must never see.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::diff::TopicDiff;
use crate::entry::{Dot, Entry};
use crate::state::Seen;

#[derive(Default)]
pub(super) struct Observer {
    /// What a list gives.
    list: BTreeMap<Dot, Arc<Entry>>,
    /// What somebody knows who began with nothing and was told all diffs.
    told: BTreeMap<Dot, Arc<Entry>>,
    joins: HashMap<Dot, u32>,
    /// What those know who were given the list at some time, and all diffs from then on.
    members: Vec<BTreeMap<Dot, Arc<Entry>>>,
}

impl Observer {
    pub(super) fn see(&mut self, seen: Seen, joins_max: impl Fn(&Entry) -> u32) {
        match seen {
            Seen::Join(entry) => self.join(entry, joins_max),
            Seen::Leave(entry) => self.leave(&entry),
            Seen::Update { old, new } => {
                assert_eq!(
                    (old.topic(), old.key()),
                    (new.topic(), new.key()),
                    "an update is of one presence"
                );
                self.leave(&old);
                self.join(new, joins_max);
            }
        }
    }

    fn join(&mut self, entry: Arc<Entry>, joins_max: impl Fn(&Entry) -> u32) {
        let joins = self.joins.entry(entry.dot()).or_default();
        *joins += 1;
        let max = joins_max(&entry);
        assert!(*joins <= max, "{entry:?} joins for the {joins}. time, of {max}");
        assert!(self.list.insert(entry.dot(), entry.clone()).is_none(), "{entry:?} joins and is there");
    }

    fn leave(&mut self, entry: &Entry) {
        assert!(self.list.remove(&entry.dot()).is_some(), "{entry:?} leaves and is not there");
    }

    /// Somebody is given the list.
    pub(super) fn look(&mut self) {
        self.members.push(self.list.clone());
    }

    /// How often somebody was.
    pub(super) fn looks(&self) -> u64 {
        self.members.len() as u64
    }

    /// As clients do it: first the joins, then the leaves.
    pub(super) fn hear(&mut self, diff: &TopicDiff) {
        for knows in &mut self.members {
            knows.extend(diff.joins().iter().map(|entry| (entry.dot(), entry.clone())));
            knows.retain(|dot, _| !diff.leaves().iter().any(|entry| entry.dot() == *dot));
        }
        for entry in diff.joins() {
            assert_eq!(entry.topic(), diff.topic());
            assert!(self.told.insert(entry.dot(), entry.clone()).is_none(), "told of {entry:?} twice");
        }
        for entry in diff.leaves() {
            assert!(
                self.told.remove(&entry.dot()).is_some(),
                "told that {entry:?} left, and never that it came"
            );
        }
    }

    pub(super) fn list(&self) -> Vec<Dot> {
        self.list.keys().copied().collect()
    }

    pub(super) fn members(&self) -> impl Iterator<Item = Vec<Dot>> {
        self.members.iter().map(|knows| knows.keys().copied().collect())
    }

    pub(super) fn told(&self) -> Vec<Dot> {
        self.told.keys().copied().collect()
    }
}
