//! This replica's own entries, by who holds them; and the log of what happened to them.
//!
//! Pure: maps and a clock. A holder is a process; here it is any value that can be compared.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

use super::Seen;
use crate::delta::{Delta, Log, Turn, size};
use crate::entry::{Dot, Entry, Holder, Origin};
use crate::limits::{Limit, TrackerLimits};
use crate::meta::Meta;

type Place = (Arc<str>, Arc<str>);

/// The entries of this replica.
#[derive(Debug)]
pub(crate) struct Own<P> {
    origin: Origin,
    clock: u64,
    entries: BTreeMap<u64, Arc<Entry>>,
    /// Who holds which entry: by holder, topic and key.
    held: BTreeMap<(P, Arc<str>, Arc<str>), u64>,
    holders: HashMap<P, usize>,
    topics: HashMap<Arc<str>, usize>,
    /// Entries whose holder has ended and that leave later, by topic and key, the oldest first.
    orphans: HashMap<Place, VecDeque<u64>>,
    /// When they leave.
    leaving: VecDeque<(Duration, u64)>,
    log: Option<Log>,
    /// Sorts before all texts.
    first: Arc<str>,
}

/// What tracking came to.
#[derive(Debug)]
pub(crate) struct Tracked {
    pub(crate) entry: Arc<Entry>,
    /// What who looks at the entries sees of it; `None` if it takes the place of one that says the same and was about to leave.
    pub(crate) seen: Option<Seen>,
}

/// Why nothing was tracked.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    Already,
    Limit(Limit, usize),
}

impl<P: Holder> Own<P> {
    /// Without entries. The log is kept only where somebody will ask for it.
    pub(crate) fn new(origin: Origin, log: Option<Log>) -> Self {
        Self {
            origin,
            clock: 0,
            entries: BTreeMap::new(),
            held: BTreeMap::new(),
            holders: HashMap::new(),
            topics: HashMap::new(),
            orphans: HashMap::new(),
            leaving: VecDeque::new(),
            log,
            first: Arc::from(""),
        }
    }

    pub(crate) fn clock(&self) -> u64 {
        self.clock
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// How many entries a process holds.
    pub(crate) fn held_by(&self, holder: P) -> usize {
        self.holders.get(&holder).copied().unwrap_or(0)
    }

    pub(crate) fn get(&self, holder: P, topic: &Arc<str>, key: &Arc<str>) -> Option<&Arc<Entry>> {
        let id = self.held.get(&(holder, topic.clone(), key.clone()))?;
        self.entries.get(id)
    }

    /// Adds an entry; or gives the process one of the same key that was about to leave, with what is said of it now.
    pub(crate) fn track(
        &mut self,
        holder: P,
        (topic, key): Place,
        meta: &Meta,
        limits: &TrackerLimits,
    ) -> Result<Tracked, Refused> {
        let held = (holder, topic.clone(), key.clone());
        if self.held.contains_key(&held) {
            return Err(Refused::Already);
        }
        check_sizes(&topic, &key, meta, limits)?;
        check(self.held_by(holder), Limit::EntriesPerProcess, limits.entries_per_process)?;
        let tracked = match self.orphan(&topic, &key) {
            Some(old) if old.says(meta) => {
                let entry = Arc::new(old.handed_to(holder.pid()));
                self.entries.insert(entry.dot().id, entry.clone());
                Tracked { entry, seen: None }
            }
            Some(old) => self.replace(holder, &old, meta),
            None => {
                let in_topic = self.topics.get(&topic).copied().unwrap_or(0);
                check(in_topic, Limit::EntriesPerTopic, limits.entries_per_topic)?;
                check(self.entries.len(), Limit::EntriesPerShard, limits.entries_per_shard)?;
                let entry = self.add(holder, (topic, key), None, meta);
                Tracked { seen: Some(Seen::Join(entry.clone())), entry }
            }
        };
        self.held.insert(held, tracked.entry.dot().id);
        *self.holders.entry(holder).or_default() += 1;
        Ok(tracked)
    }

    /// Puts what is said now in the place of what was said; `None` if the process holds nothing there.
    pub(crate) fn update(
        &mut self,
        holder: P,
        (topic, key): Place,
        meta: &Meta,
        limits: &TrackerLimits,
    ) -> Result<Option<Tracked>, Refused> {
        let held = (holder, topic, key);
        let Some(id) = self.held.get(&held) else { return Ok(None) };
        check_sizes(&held.1, &held.2, meta, limits)?;
        let old = self.entries.get(id).cloned().expect("invariant: what is held is there");
        let tracked = self.replace(holder, &old, meta);
        self.held.insert(held, tracked.entry.dot().id);
        Ok(Some(tracked))
    }

    /// Takes an entry out; `None` if the process holds nothing there.
    pub(crate) fn untrack(&mut self, holder: P, (topic, key): Place) -> Option<Seen> {
        let id = self.held.remove(&(holder, topic, key))?;
        match self.holders.get_mut(&holder) {
            Some(count) if *count > 1 => *count -= 1,
            Some(_) | None => drop(self.holders.remove(&holder)),
        }
        self.remove(id)
    }

    /// Takes out all that a process holds.
    pub(crate) fn untrack_all(&mut self, holder: P) -> Vec<Seen> {
        let ids = self.let_go(holder);
        ids.into_iter().filter_map(|id| self.remove(id)).collect()
    }

    /// A process has ended: what it holds leaves at `due`, unless another takes it over before.
    pub(crate) fn orphan_all(&mut self, holder: P, due: Duration) {
        for id in self.let_go(holder) {
            let entry = &self.entries[&id];
            let place = (entry.shared_topic().clone(), entry.shared_key().clone());
            self.orphans.entry(place).or_default().push_back(id);
            self.leaving.push_back((due, id));
        }
    }

    /// When the next orphan leaves.
    pub(crate) fn leaving_at(&self) -> Option<Duration> {
        self.leaving.front().map(|(due, _)| *due)
    }

    /// Takes out the orphans whose time has come.
    pub(crate) fn leave(&mut self, now: Duration) -> Vec<Seen> {
        let mut left = Vec::new();
        while let Some((_, id)) = self.leaving.pop_front_if(|(due, _)| *due <= now) {
            // One that was taken over is no orphan any more.
            if self.is_orphan(id) {
                left.extend(self.remove(id));
            }
        }
        left
    }

    /// What happened after `clock`, or the first part of it; `None` if that is not known any more.
    pub(crate) fn since(&self, clock: u64, bytes_max: usize) -> Option<Delta> {
        let log = self.log.as_ref().filter(|log| log.reaches(clock) && clock <= self.clock)?;
        Some(log.since(clock, &self.entries, bytes_max))
    }

    /// The entries after that one and up to `stamp`, as many as fit; and whether these are all.
    pub(crate) fn part(&self, after: u64, stamp: u64, bytes_max: usize) -> (Vec<Arc<Entry>>, bool) {
        let (mut part, mut bytes) = (Vec::new(), 0);
        for (_, entry) in self.entries.range((Bound::Excluded(after), Bound::Included(stamp.max(after)))) {
            if bytes >= bytes_max {
                return (part, false);
            }
            bytes += size(entry);
            part.push(entry.clone());
        }
        (part, true)
    }

    /// All entries, the oldest first.
    #[cfg(test)]
    pub(crate) fn entries(&self) -> impl Iterator<Item = &Arc<Entry>> {
        self.entries.values()
    }

    /// The processes that hold entries.
    pub(crate) fn holders(&self) -> impl Iterator<Item = P> {
        self.holders.keys().copied()
    }

    fn let_go(&mut self, holder: P) -> Vec<u64> {
        if self.holders.remove(&holder).is_none() {
            return Vec::new();
        }
        let from = (holder, self.first.clone(), self.first.clone());
        let held = self.held.range(from..).take_while(|((of, ..), _)| *of == holder);
        let held: Vec<_> = held.map(|(place, id)| (place.clone(), *id)).collect();
        held.into_iter()
            .map(|(place, id)| {
                self.held.remove(&place);
                id
            })
            .collect()
    }

    /// The oldest entry of that place that nobody holds; it is no orphan from now on.
    fn orphan(&mut self, topic: &Arc<str>, key: &Arc<str>) -> Option<Arc<Entry>> {
        if self.orphans.is_empty() {
            return None;
        }
        let place = (topic.clone(), key.clone());
        let ids = self.orphans.get_mut(&place)?;
        let id = ids.pop_front();
        if ids.is_empty() {
            self.orphans.remove(&place);
        }
        self.entries.get(&id?).cloned()
    }

    fn is_orphan(&mut self, id: u64) -> bool {
        let Some(entry) = self.entries.get(&id) else { return false };
        let place = (entry.shared_topic().clone(), entry.shared_key().clone());
        let Some(ids) = self.orphans.get_mut(&place) else { return false };
        let Some(at) = ids.iter().position(|other| *other == id) else { return false };
        ids.remove(at);
        if ids.is_empty() {
            self.orphans.remove(&place);
        }
        true
    }

    fn replace(&mut self, holder: P, old: &Arc<Entry>, meta: &Meta) -> Tracked {
        let place = (old.shared_topic().clone(), old.shared_key().clone());
        let entry = self.add(holder, place, Some(old.dot().id), meta);
        Tracked { seen: Some(Seen::Update { old: old.clone(), new: entry.clone() }), entry }
    }

    fn add(&mut self, holder: P, (topic, key): Place, prev: Option<u64>, meta: &Meta) -> Arc<Entry> {
        self.clock += 1;
        let dot = Dot { origin: self.origin, id: self.clock };
        let entry = Arc::new(Entry::new(dot, prev, topic, key, meta).held_by(holder.pid()));
        let replaced = prev.is_some_and(|prev| self.entries.remove(&prev).is_some());
        if !replaced {
            *self.topics.entry(entry.shared_topic().clone()).or_default() += 1;
        }
        self.entries.insert(self.clock, entry.clone());
        self.note(Turn::Added { replaces: prev });
        entry
    }

    fn remove(&mut self, id: u64) -> Option<Seen> {
        let entry = self.entries.remove(&id)?;
        self.clock += 1;
        match self.topics.get_mut(entry.shared_topic()) {
            Some(count) if *count > 1 => *count -= 1,
            Some(_) | None => drop(self.topics.remove(entry.shared_topic())),
        }
        self.note(Turn::Removed(id));
        Some(Seen::Leave(entry))
    }

    fn note(&mut self, turn: Turn) {
        let entries = self.entries.len();
        if let Some(log) = &mut self.log {
            log.push(turn, entries);
        }
    }
}

fn check_sizes(topic: &str, key: &str, meta: &Meta, limits: &TrackerLimits) -> Result<(), Refused> {
    let fits = |len: usize, limit, max| if len > max { Err(Refused::Limit(limit, max)) } else { Ok(()) };
    fits(topic.len(), Limit::TopicBytes, limits.topic_bytes)?;
    fits(key.len(), Limit::KeyBytes, limits.key_bytes)?;
    fits(meta.as_str().len(), Limit::MetaBytes, limits.meta_bytes)
}

/// Whether one more fits.
fn check(len: usize, limit: Limit, max: usize) -> Result<(), Refused> {
    if len >= max { Err(Refused::Limit(limit, max)) } else { Ok(()) }
}
