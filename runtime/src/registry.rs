//! Registries: find processes by any key, with a value beside each. Elixir's `Registry`.
//!
//! A registry with [unique](Registry::unique) keys names processes: one for each key. One with
//! [duplicate](Registry::duplicate) keys gathers them: any number for each key.
//!
//! - A process registers itself, and only itself.
//! - Its entries are gone when it is: whoever gets its `Down`, its exit signal or its [`wait`](Addr::wait) does not
//!   find them any more.
//! - No lock is held while code of the user's runs, but for a key's `Eq` and `Hash`, which must not use the registry.
//!
//! In the place of Elixir's match specs stand closures. Its `lock` is missing: a process of the key's own serialises
//! better. A registry is a value and no process: it needs no name, no supervisor and no partitions.

mod keys;
mod listener;
mod table;
mod via;

use std::any::Any;
use std::borrow::{Borrow, Cow};
use std::fmt;
use std::hash::Hash;
use std::marker::PhantomData;
use std::sync::{Arc, Weak};

use keys::{Entries, Entry, Serial};
pub use listener::{Listener, RegistryEvent};
use table::Table;
pub use via::Via;

use crate::pid::Pid;
use crate::process::{Addr, Context};

/// The marker of a registry that has one process for each key.
#[derive(Clone, Copy, Debug)]
pub enum Unique {}

/// The marker of a registry that has any number of processes for each key.
#[derive(Clone, Copy, Debug)]
pub enum Duplicate {}

/// [`Unique`] or [`Duplicate`]; Elixir's `keys` option.
pub trait Kind {
    /// Whether a key has one process only.
    const UNIQUE: bool;
}

impl Kind for Unique {
    const UNIQUE: bool = true;
}

impl Kind for Duplicate {
    const UNIQUE: bool = false;
}

/// A process could not be registered. Nothing changed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RegisterError {
    /// The key is unique and a process has it: the one given, which may be the very process that asked.
    AlreadyRegistered(Pid),
    /// The process has ended, or is about to by an exit signal.
    NoProc(Pid),
}

impl fmt::Display for RegisterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AlreadyRegistered(holder) => write!(f, "the key is registered by {holder}"),
            Self::NoProc(pid) => write!(f, "{pid} has ended and can't be registered"),
        }
    }
}

impl std::error::Error for RegisterError {}

/// Processes that take messages of type `M`, by keys of type `K`, with a value of type `V` each; Elixir's `Registry`.
///
/// Cheap to clone; all clones are the same registry. It is a value, not a process: it needs no supervisor.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// use heronry::prelude::*;
/// use heronry::registry::{RegisterError, Registry};
///
/// let rooms = Registry::<String, u32, &'static str>::unique();
/// let at = rooms.clone();
/// let lobby = spawn(move |mut ctx: Context<&'static str>| async move {
///     at.register(&ctx, "lobby".to_owned(), 1).unwrap();
///     let again = at.register(&ctx, "lobby".to_owned(), 2);
///     assert_eq!(again.unwrap_err(), RegisterError::AlreadyRegistered(ctx.pid()));
///     assert_eq!(ctx.receive().await, Received::Message("close"));
/// });
/// # tokio::task::yield_now().await;
/// assert_eq!(rooms.lookup("lobby"), [(lobby.clone(), 1)]);
/// rooms.whereis("lobby").unwrap().send("close").unwrap();
/// lobby.wait().await;
/// assert_eq!(rooms.whereis("lobby"), None);
/// # }
/// ```
///
/// What makes sense with one process for each key only is there with unique keys only:
///
/// ```compile_fail,E0599
/// let listeners = heronry::registry::Registry::<u8, (), ()>::duplicate();
/// listeners.whereis(&1);
/// ```
pub struct Registry<K, V, M, U = Unique> {
    table: Arc<Table<K, V, M>>,
    kind: PhantomData<fn() -> U>,
}

/// One entry, for its process to take out again. Dropping this changes nothing: the entry lasts as long as its process,
/// and is one of its own under a duplicate key.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// # use heronry::prelude::*;
/// # use heronry::registry::Registry;
/// let tags = Registry::<u8, &'static str, ()>::duplicate();
/// let at = tags.clone();
/// let tagged = spawn(move |ctx: Context<()>| async move {
///     let red = at.register(&ctx, 1, "red").unwrap();
///     at.register(&ctx, 1, "round").unwrap();
///     assert!(red.unregister());
///     assert_eq!(at.values(&1, ctx.pid()), ["round"]);
/// });
/// assert_eq!(tagged.wait().await, ExitReason::Normal);
/// # }
/// ```
pub struct Registration<K, V, M> {
    table: Weak<Table<K, V, M>>,
    pid: Pid,
    key: Arc<K>,
    serial: Serial,
}

impl<K, V, M> Registration<K, V, M>
where
    K: Eq + Hash + Clone + Send + Sync + 'static,
    V: Send + Sync + 'static,
    M: Send + 'static,
{
    /// Takes the entry out; false if it had gone.
    pub fn unregister(self) -> bool {
        let Some(table) = self.table.upgrade() else { return false };
        table.unregister(self.pid, &*self.key, |serial| serial == self.serial) > 0
    }
}

impl<K, V, M> Registry<K, V, M, Unique>
where
    K: Eq + Hash + Clone + Send + Sync + 'static,
    V: Send + Sync + 'static,
    M: Send + 'static,
{
    /// An empty registry with one process for each key; `keys: :unique`.
    pub fn unique() -> Self {
        Self::default()
    }

    /// An empty registry with any number of entries for each key, also of one process; `keys: :duplicate`.
    pub fn duplicate() -> Registry<K, V, M, Duplicate> {
        Registry::default()
    }

    /// The process that has a key; `GenServer.whereis` of a `:via` tuple.
    pub fn whereis<Q>(&self, key: &Q) -> Option<Addr<M>>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        let entries = self.table.entries(key)?;
        entries.iter().next().map(|(_, entry)| entry.addr.clone())
    }

    /// Gives the entry of this process under a key another value: (new, old), or `None` if the process does not have
    /// the key. `Registry.update_value/3`.
    ///
    /// Others see the old value until `update` has returned.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// # use heronry::prelude::*;
    /// # use heronry::registry::Registry;
    /// let rooms = Registry::<u8, u32, ()>::unique();
    /// let room = spawn(move |ctx: Context<()>| async move {
    ///     rooms.register(&ctx, 7, 1).unwrap();
    ///     assert_eq!(rooms.update_value(&ctx, &7, |people| people + 1), Some((2, 1)));
    ///     assert_eq!(rooms.update_value(&ctx, &8, |people| people + 1), None);
    /// });
    /// assert_eq!(room.wait().await, ExitReason::Normal);
    /// # }
    /// ```
    pub fn update_value<Q>(&self, ctx: &Context<M>, key: &Q, update: impl FnOnce(&V) -> V) -> Option<(V, V)>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
        V: Clone,
    {
        let entries = self.table.entries(key)?;
        let (serial, entry) = entries.iter().find(|(_, entry)| entry.pid == ctx.pid())?;
        let new = Arc::new(update(&entry.value));
        let old = self.table.set_value(key, serial, new.clone())?;
        Some(((*new).clone(), (*old).clone()))
    }
}

impl<K, V, M, U: Kind> Registry<K, V, M, U>
where
    K: Eq + Hash + Clone + Send + Sync + 'static,
    V: Send + Sync + 'static,
    M: Send + 'static,
{
    /// Registers this process under a key, until it ends or unregisters. `Registry.register/3`.
    ///
    /// # Errors
    /// [`RegisterError`] if the key is unique and taken, or if the process has ended, or is about to by an exit signal.
    pub fn register(
        &self,
        ctx: &Context<M>,
        key: K,
        value: V,
    ) -> Result<Registration<K, V, M>, RegisterError> {
        let (key, serial) = self.table.register(&ctx.addr(), key, value, U::UNIQUE)?;
        Ok(Registration { table: Arc::downgrade(&self.table), pid: ctx.pid(), key, serial })
    }

    /// Takes out all entries of this process under a key; how many it were. `Registry.unregister/2`.
    pub fn unregister<Q>(&self, ctx: &Context<M>, key: &Q) -> usize
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        self.table.unregister(ctx.pid(), key, |_| true)
    }

    /// Takes out the entries of this process under a key whose value `matches`; how many it were.
    /// `Registry.unregister_match/3`.
    pub fn unregister_match<Q>(&self, ctx: &Context<M>, key: &Q, mut matches: impl FnMut(&V) -> bool) -> usize
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        let entries = self.table.entries(key);
        let own = entries.iter().flat_map(Entries::iter).filter(|(_, entry)| entry.pid == ctx.pid());
        // Chosen before the lock: the closure is the user's.
        let chosen: Vec<Serial> =
            own.filter(|(_, entry)| matches(&entry.value)).map(|(serial, _)| serial).collect();
        self.table.unregister(ctx.pid(), key, |serial| chosen.binary_search(&serial).is_ok())
    }

    /// The processes under a key and their values, in the order of their registration. `Registry.lookup/2`.
    pub fn lookup<Q>(&self, key: &Q) -> Vec<(Addr<M>, V)>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
        V: Clone,
    {
        self.matching(key, |_| true)
    }

    /// [`lookup`](Self::lookup), as far as the values match. `Registry.match/3`.
    pub fn matching<Q>(&self, key: &Q, mut matches: impl FnMut(&V) -> bool) -> Vec<(Addr<M>, V)>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
        V: Clone,
    {
        let entries = self.entries(key).into_iter();
        entries.filter(|(_, value)| matches(value)).map(|(addr, value)| (addr, (*value).clone())).collect()
    }

    /// How many entries under a key have a value that matches. `Registry.count_match/3`.
    pub fn count_match<Q>(&self, key: &Q, mut matches: impl FnMut(&V) -> bool) -> usize
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        self.entries(key).iter().filter(|(_, value)| matches(value)).count()
    }

    /// Calls `send` with all entries of a key as they are at this moment; not at all if there are none.
    /// `Registry.dispatch/3`.
    ///
    /// It runs in the caller, without a lock: it may use the registry.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// # use heronry::prelude::*;
    /// # use heronry::registry::Registry;
    /// let listeners = Registry::<&'static str, u8, u8>::duplicate();
    /// let at = listeners.clone();
    /// let listener = spawn(move |mut ctx: Context<u8>| async move {
    ///     at.register(&ctx, "clock", 40).unwrap();
    ///     assert_eq!(ctx.receive().await, Received::Message(42));
    /// });
    /// # tokio::task::yield_now().await;
    /// listeners.dispatch("clock", |entries| {
    ///     for (listener, offset) in entries {
    ///         let _ = listener.send(**offset + 2);
    ///     }
    /// });
    /// assert_eq!(listener.wait().await, ExitReason::Normal);
    /// # }
    /// ```
    pub fn dispatch<Q>(&self, key: &Q, send: impl FnOnce(&[(Addr<M>, Arc<V>)]))
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        let entries = self.entries(key);
        if !entries.is_empty() {
            send(&entries);
        }
    }

    /// The values that a process has under a key. `Registry.values/3`.
    pub fn values<Q>(&self, key: &Q, pid: Pid) -> Vec<V>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
        V: Clone,
    {
        let entries = self.entries(key).into_iter();
        entries.filter(|(addr, _)| addr.pid() == pid).map(|(_, value)| (*value).clone()).collect()
    }

    /// The keys of a process, in no particular order; a key as often as the process has it. `Registry.keys/2`.
    pub fn keys(&self, pid: Pid) -> Vec<K> {
        self.table.keys(pid)
    }

    /// How many entries there are. `Registry.count/1`.
    pub fn count(&self) -> usize {
        self.table.len()
    }

    /// What `choose` makes of all entries, in no particular order. `Registry.select/2`, with a closure for its match
    /// specs.
    ///
    /// Entries that come or go meanwhile may be in it or not.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// # use heronry::prelude::*;
    /// # use heronry::registry::Registry;
    /// let rooms = Registry::<u8, u32, ()>::unique();
    /// let room = spawn(move |ctx: Context<()>| async move {
    ///     rooms.register(&ctx, 7, 30).unwrap();
    ///     rooms.register(&ctx, 8, 2).unwrap();
    ///     let full = rooms.select(|room, _, people| (*people > 20).then_some(*room));
    ///     assert_eq!(full, [7]);
    /// });
    /// assert_eq!(room.wait().await, ExitReason::Normal);
    /// # }
    /// ```
    pub fn select<T>(&self, mut choose: impl FnMut(&K, &Addr<M>, &V) -> Option<T>) -> Vec<T> {
        let mut chosen = Vec::new();
        for entries in self.table.all() {
            let entries = entries.iter().map(|(_, entry)| entry);
            chosen.extend(entries.filter_map(|Entry { key, addr, value, .. }| choose(key, addr, value)));
        }
        chosen
    }

    /// How many of all entries match. `Registry.count_select/2`.
    pub fn count_select(&self, mut matches: impl FnMut(&K, &Addr<M>, &V) -> bool) -> usize {
        let count = |entries: Entries<K, Addr<M>, V>| {
            entries.iter().filter(|(_, Entry { key, addr, value, .. })| matches(key, addr, value)).count()
        };
        self.table.all().map(count).sum()
    }

    /// Keeps something for the registry as a whole, under a key of its own; what was there before is replaced.
    /// `Registry.put_meta/3`.
    ///
    /// ```
    /// # use heronry::registry::Registry;
    /// let rooms = Registry::<u8, (), ()>::unique();
    /// rooms.put_meta("motto", "be kind");
    /// assert_eq!(rooms.meta("motto").as_deref(), Some(&"be kind"));
    /// assert_eq!(rooms.meta::<u8>("motto"), None); // of another type
    /// assert!(rooms.delete_meta("motto"));
    /// assert_eq!(rooms.meta::<&str>("motto"), None);
    /// ```
    pub fn put_meta<T: Any + Send + Sync>(&self, key: impl Into<Cow<'static, str>>, value: T) {
        let (key, value) = (key.into(), Arc::new(value));
        let replaced = self.table.meta.write().insert(key, value);
        drop(replaced); // its destructor is the user's, so not under the lock
    }

    /// What the registry keeps under a key; `None` if that is nothing, or of another type. `Registry.meta/2`.
    pub fn meta<T: Any + Send + Sync>(&self, key: &str) -> Option<Arc<T>> {
        let value = self.table.meta.read().get(key).cloned()?;
        value.downcast().ok()
    }

    /// Forgets what the registry keeps under a key; false if it kept nothing. `Registry.delete_meta/2`.
    pub fn delete_meta(&self, key: &str) -> bool {
        let removed = self.table.meta.write().remove(key);
        removed.is_some()
    }

    fn entries<Q>(&self, key: &Q) -> Vec<(Addr<M>, Arc<V>)>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        let Some(entries) = self.table.entries(key) else { return Vec::new() };
        entries.iter().map(|(_, entry)| (entry.addr.clone(), entry.value.clone())).collect()
    }
}

impl<K, V, M, U: Kind> Default for Registry<K, V, M, U>
where
    K: Eq + Hash + Clone + Send + Sync + 'static,
    V: Send + Sync + 'static,
    M: Send + 'static,
{
    fn default() -> Self {
        Self { table: Arc::new(Table::new()), kind: PhantomData }
    }
}

impl<K, V, M, U> Clone for Registry<K, V, M, U> {
    fn clone(&self) -> Self {
        Self { table: self.table.clone(), kind: PhantomData }
    }
}

impl<K, V, M, U> fmt::Debug for Registry<K, V, M, U> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry").finish_non_exhaustive()
    }
}

impl<K: fmt::Debug, V, M> fmt::Debug for Registration<K, V, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registration").field("key", &self.key).field("pid", &self.pid).finish_non_exhaustive()
    }
}
