//! The keys of one registry, their locks, and who listens.
//!
//! Entries are sharded by key and, for the end of a process, its keys by pid. Who needs both locks takes the process's
//! first. Of the user's code, only a key's `Eq` and `Hash` run under a lock.

use std::any::Any;
use std::borrow::{Borrow, Cow};
use std::collections::BTreeMap;
use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::{Arc, Weak};

use super::RegisterError;
use super::keys::{Entries, Entry, Holders, Keys, Removed, Serial};
use super::listener::{Listeners, Told};
use crate::pid::Pid;
use crate::process::{Addr, Keeper};
use crate::sync::{Mutex, RwLock};
use crate::unwind::drop_quietly;

/// How many shards keys, and pids, are spread over; a power of two, well above the number of threads that register or
/// look up at once.
const SHARDS: usize = 64;

type Shard<K, V, M> = Mutex<Keys<K, Addr<M>, V>>;

pub(super) struct Table<K, V, M> {
    hasher: RandomState,
    keys: Box<[Shard<K, V, M>]>,
    holders: Box<[Mutex<Holders<K>>]>,
    pub(super) listeners: Listeners<K, V, M>,
    pub(super) meta: RwLock<BTreeMap<Cow<'static, str>, Arc<dyn Any + Send + Sync>>>,
}

impl<K, V, M> Table<K, V, M>
where
    K: Eq + Hash + Clone + Send + Sync + 'static,
    V: Send + Sync + 'static,
    M: Send + 'static,
{
    pub(super) fn new() -> Self {
        Self {
            hasher: RandomState::new(),
            keys: (0..SHARDS).map(|_| Mutex::new(Keys::new())).collect(),
            holders: (0..SHARDS).map(|_| Mutex::new(Holders::new())).collect(),
            listeners: Listeners::new(),
            meta: RwLock::default(),
        }
    }

    fn shard<Q: Hash + ?Sized>(&self, key: &Q) -> &Shard<K, V, M> {
        &self.keys[self.hasher.hash_one(key) as usize % SHARDS]
    }

    fn holders(&self, pid: Pid) -> &Mutex<Holders<K>> {
        &self.holders[pid.id() as usize % SHARDS]
    }

    /// Registers a process. Its end takes the lock of its holders' shard after it has refused further keepers; so
    /// it finds what was entered under that lock, and after it nothing is entered.
    pub(super) fn register(
        self: &Arc<Self>,
        addr: &Addr<M>,
        key: K,
        value: V,
        unique: bool,
    ) -> Result<(Arc<K>, Serial), RegisterError> {
        let pid = addr.pid();
        let keeper: Weak<Self> = Arc::downgrade(self);
        let name = Arc::new(key.clone());
        let entry = Entry { pid, key: name.clone(), addr: addr.clone(), value: Arc::new(value) };
        let news = entry.clone();
        let mut key = Some(key);
        let shard = self.shard(&*name);
        let claimed = {
            let mut holders = self.holders(pid).lock();
            if !addr.at_exit(keeper) {
                drop(holders); // before the entry is
                return Err(RegisterError::NoProc(pid));
            }
            let mut keys = shard.lock();
            let claimed = match unique {
                true => keys.claim(&mut key, entry),
                false => Ok(keys.add(&mut key, entry)),
            };
            if let Ok(serial) = &claimed {
                self.listeners.tell(|| Told::Registered(news.clone()));
                holders.add(pid, name.clone(), *serial);
            }
            claimed
        };
        let serial = claimed.map_err(|(holder, _refused)| RegisterError::AlreadyRegistered(holder))?;
        self.listeners.flush();
        Ok((name, serial))
    }

    /// Removes what a process has under a key, as far as `wanted` agrees; how much it was.
    pub(super) fn unregister<Q>(&self, pid: Pid, key: &Q, wanted: impl Fn(Serial) -> bool) -> usize
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        let taken = self.holders(pid).lock().take(pid, key, wanted);
        self.remove(&taken)
    }

    /// Removes entries; how many it were.
    fn remove(&self, taken: &[(Arc<K>, Serial)]) -> usize {
        let removed: Vec<Removed<_, _, _>> = taken
            .iter()
            .filter_map(|(key, serial)| {
                let mut keys = self.shard(&**key).lock();
                let removed = keys.remove(&**key, *serial)?;
                self.listeners.tell(|| Told::Unregistered(key.clone(), removed.entry.pid));
                Some(removed)
            })
            .collect();
        if !removed.is_empty() {
            self.listeners.flush();
        }
        // Each by itself: two destructors that panic in one unwinding would end the program.
        removed.into_iter().map(drop_quietly).count()
    }

    pub(super) fn entries<Q>(&self, key: &Q) -> Option<Entries<K, Addr<M>, V>>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        self.shard(key).lock().entries(key)
    }

    /// Gives an entry another value; the old one, or `None` if the entry has gone.
    pub(super) fn set_value<Q>(&self, key: &Q, serial: Serial, value: Arc<V>) -> Option<Arc<V>>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        self.shard(key).lock().set_value(key, serial, value)
    }

    pub(super) fn keys(&self, pid: Pid) -> Vec<K> {
        let keys = self.holders(pid).lock().keys(pid);
        keys.iter().map(|key| (**key).clone()).collect()
    }

    pub(super) fn len(&self) -> usize {
        self.keys.iter().map(|shard| shard.lock().len()).sum()
    }

    /// All entries, each shard's as they are at one moment.
    pub(super) fn all(&self) -> impl Iterator<Item = Entries<K, Addr<M>, V>> {
        self.keys.iter().flat_map(|shard| shard.lock().snapshot())
    }
}

impl<K, V, M> Keeper for Table<K, V, M>
where
    K: Eq + Hash + Clone + Send + Sync + 'static,
    V: Send + Sync + 'static,
    M: Send + 'static,
{
    fn let_go(&self, pid: Pid) {
        self.listeners.let_go(pid);
        let taken = self.holders(pid).lock().take_all(pid);
        self.remove(&taken);
    }
}
