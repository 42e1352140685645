//! What is registered: entries by key, and keys by process.
//!
//! Pure: two maps. What goes is returned, and a key is cloned, so that the user's own code for that runs where the
//! caller wants it, and not under the lock that it holds.

use std::borrow::Borrow;
use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;
use std::sync::Arc;

use crate::pid::Pid;
use crate::process::PidHasher;

/// One process under one key. Cloning runs no code of the user's.
#[derive(Debug)]
pub(super) struct Entry<K, A, V> {
    pub(super) pid: Pid,
    pub(super) key: Arc<K>,
    pub(super) addr: A,
    pub(super) value: Arc<V>,
}

impl<K, A: Clone, V> Clone for Entry<K, A, V> {
    fn clone(&self) -> Self {
        Self { pid: self.pid, key: self.key.clone(), addr: self.addr.clone(), value: self.value.clone() }
    }
}

/// Tells an entry from all others under the same key, before it and after.
pub(super) type Serial = u64;

/// An entry that was taken out, and the map's own key if it was the last under it; for the caller to drop.
#[derive(Debug)]
pub(super) struct Removed<K, A, V> {
    pub(super) entry: Entry<K, A, V>,
    _key: Option<K>,
}

/// The entries of one key, in the order of their registration; never none. A snapshot is a clone, in O(1).
#[derive(Debug)]
pub(super) enum Entries<K, A, V> {
    /// The usual case, without an allocation.
    One(Serial, Entry<K, A, V>),
    /// By serial: one of many goes without a walk over the others. Copied only when it changes during a dispatch.
    Many(Arc<BTreeMap<Serial, Entry<K, A, V>>>),
}

impl<K, A: Clone, V> Clone for Entries<K, A, V> {
    fn clone(&self) -> Self {
        match self {
            Self::One(serial, entry) => Self::One(*serial, entry.clone()),
            Self::Many(entries) => Self::Many(entries.clone()),
        }
    }
}

impl<K, A: Clone, V> Entries<K, A, V> {
    pub(super) fn iter(&self) -> impl Iterator<Item = (Serial, &Entry<K, A, V>)> {
        let (one, many) = match self {
            Self::One(serial, entry) => (Some((*serial, entry)), None),
            Self::Many(entries) => (None, Some(entries)),
        };
        one.into_iter()
            .chain(many.into_iter().flat_map(|all| all.iter().map(|(serial, entry)| (*serial, entry))))
    }

    fn first(&self) -> Option<&Entry<K, A, V>> {
        self.iter().next().map(|(_, entry)| entry)
    }

    fn add(&mut self, serial: Serial, entry: Entry<K, A, V>) {
        match self {
            Self::One(first, other) => {
                let all = BTreeMap::from([(*first, other.clone()), (serial, entry)]);
                *self = Self::Many(Arc::new(all));
            }
            Self::Many(all) => drop(Arc::make_mut(all).insert(serial, entry)),
        }
    }

    fn get_mut(&mut self, serial: Serial) -> Option<&mut Entry<K, A, V>> {
        match self {
            Self::One(only, entry) => (*only == serial).then_some(entry),
            Self::Many(all) if !all.contains_key(&serial) => None,
            Self::Many(all) => Arc::make_mut(all).get_mut(&serial),
        }
    }
}

/// Entries by key.
#[derive(Debug)]
pub(super) struct Keys<K, A, V> {
    by_key: HashMap<K, Entries<K, A, V>>,
    len: usize,
    next: Serial,
}

impl<K: Eq + Hash, A: Clone, V> Keys<K, A, V> {
    pub(super) fn new() -> Self {
        Self { by_key: HashMap::new(), len: 0, next: 0 }
    }

    /// How many entries there are.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Adds an entry under a key that may have others. `key` is taken if it has none.
    pub(super) fn add(&mut self, key: &mut Option<K>, entry: Entry<K, A, V>) -> Serial {
        self.next += 1;
        let serial = self.next;
        match self.by_key.get_mut(&*entry.key) {
            Some(others) => others.add(serial, entry),
            None => {
                let key = key.take().expect("invariant: a key is entered once");
                self.by_key.insert(key, Entries::One(serial, entry));
            }
        }
        self.len += 1;
        serial
    }

    /// Adds an entry under a key that may have no other; refused, with the holder, if it has.
    pub(super) fn claim(
        &mut self,
        key: &mut Option<K>,
        entry: Entry<K, A, V>,
    ) -> Result<Serial, (Pid, Entry<K, A, V>)> {
        match self.by_key.get(&*entry.key).and_then(Entries::first) {
            Some(holder) => Err((holder.pid, entry)),
            None => Ok(self.add(key, entry)),
        }
    }

    /// Takes an entry out; `None` if it has gone.
    pub(super) fn remove<Q>(&mut self, key: &Q, serial: Serial) -> Option<Removed<K, A, V>>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        let entries = self.by_key.get_mut(key)?;
        let removed = match entries {
            Entries::One(only, _) if *only != serial => return None,
            Entries::One(_, entry) => {
                let entry = entry.clone();
                Removed { entry, _key: self.by_key.remove_entry(key).map(|(key, _)| key) }
            }
            Entries::Many(all) if !all.contains_key(&serial) => return None,
            Entries::Many(all) => {
                let all = Arc::make_mut(all);
                let entry = all.remove(&serial)?;
                if all.len() == 1
                    && let Some((last, entry)) = all.pop_first()
                {
                    *entries = Entries::One(last, entry);
                }
                Removed { entry, _key: None }
            }
        };
        self.len -= 1;
        Some(removed)
    }

    /// The entries of a key as they are now.
    pub(super) fn entries<Q>(&self, key: &Q) -> Option<Entries<K, A, V>>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        self.by_key.get(key).cloned()
    }

    /// Gives an entry another value; the old one, or `None` if the entry has gone.
    pub(super) fn set_value<Q>(&mut self, key: &Q, serial: Serial, value: Arc<V>) -> Option<Arc<V>>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        let entry = self.by_key.get_mut(key)?.get_mut(serial)?;
        Some(std::mem::replace(&mut entry.value, value))
    }

    /// Everything as it is now.
    pub(super) fn snapshot(&self) -> Vec<Entries<K, A, V>> {
        self.by_key.values().cloned().collect()
    }
}

/// Keys by process: what must go with it.
#[derive(Debug)]
pub(super) struct Holders<K> {
    by_pid: HashMap<Pid, Vec<(Arc<K>, Serial)>, PidHasher>,
}

impl<K: Eq> Holders<K> {
    pub(super) fn new() -> Self {
        Self { by_pid: HashMap::default() }
    }

    pub(super) fn add(&mut self, pid: Pid, key: Arc<K>, serial: Serial) {
        self.by_pid.entry(pid).or_insert_with(|| Vec::with_capacity(1)).push((key, serial));
    }

    /// Takes out what a process has under a key, as far as `wanted` agrees.
    pub(super) fn take<Q>(
        &mut self,
        pid: Pid,
        key: &Q,
        wanted: impl Fn(Serial) -> bool,
    ) -> Vec<(Arc<K>, Serial)>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        let Some(held) = self.by_pid.get_mut(&pid) else { return Vec::new() };
        let taken = held.extract_if(.., |(own, serial)| (**own).borrow() == key && wanted(*serial)).collect();
        if held.is_empty() {
            self.by_pid.remove(&pid);
        }
        taken
    }

    /// Takes out everything of a process.
    pub(super) fn take_all(&mut self, pid: Pid) -> Vec<(Arc<K>, Serial)> {
        self.by_pid.remove(&pid).unwrap_or_default()
    }

    /// The keys of a process; a key as often as the process has it.
    pub(super) fn keys(&self, pid: Pid) -> Vec<Arc<K>> {
        self.by_pid.get(&pid).map_or(Vec::new(), |held| held.iter().map(|(key, _)| key.clone()).collect())
    }
}

#[cfg(test)]
mod tests;
