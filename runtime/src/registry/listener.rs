//! Who is told of every entry that comes and goes: Elixir's `listeners`.

use std::fmt;
use std::hash::Hash;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use super::Registry;
use super::keys::Entry;
use super::table::Table;
use crate::pid::Pid;
use crate::process::{Addr, Context, OnDrop, Outbox};
use crate::sync::RwLock;

/// What a registry tells its listeners; Elixir's `listener_message`.
#[non_exhaustive]
pub enum RegistryEvent<K, V, M> {
    /// A process was registered.
    Registered {
        /// Under this key.
        key: K,
        /// The process.
        addr: Addr<M>,
        /// With this value.
        value: Arc<V>,
    },
    /// An entry is gone: its process unregistered, or ended. (Elixir's `unregister/2` tells once for a key, not once for
    /// each entry.)
    Unregistered {
        /// The key.
        key: K,
        /// The process.
        pid: Pid,
    },
    /// More events than [`EVENTS_WAITING_MAX`](crate::process::EVENTS_WAITING_MAX) waited for the process, and were dropped:
    /// look anew, with [`select`](Registry::select).
    Missed,
}

/// Somebody who listens to a registry, until this is dropped or the process ends.
#[must_use = "dropping a listener ends it"]
pub struct Listener {
    _end: OnDrop,
}

/// An event before it is the user's: made and dropped without running code of the user's.
pub(super) enum Told<K, V, M> {
    Registered(Entry<K, Addr<M>, V>),
    Unregistered(Arc<K>, Pid),
    Missed,
}

type Events<K, V, M> = Arc<Outbox<Told<K, V, M>>>;

struct Listening<K, V, M> {
    pid: Pid,
    outbox: Events<K, V, M>,
}

pub(super) struct Listeners<K, V, M> {
    all: RwLock<Vec<Listening<K, V, M>>>,
    /// How many there are: most registries have none, and ask no lock for it.
    count: AtomicUsize,
}

impl<K, V, M> Listeners<K, V, M>
where
    K: Send + Sync + 'static,
    V: Send + Sync + 'static,
    M: Send + 'static,
{
    pub(super) fn new() -> Self {
        Self { all: RwLock::default(), count: AtomicUsize::new(0) }
    }

    /// Puts an event into everybody's outbox; the caller holds the lock of the key.
    pub(super) fn tell(&self, told: impl Fn() -> Told<K, V, M>) {
        if self.count.load(Ordering::Acquire) > 0 {
            for listening in &*self.all.read() {
                listening.outbox.push(told());
            }
        }
    }

    /// Delivers what waits; no lock is held.
    pub(super) fn flush(&self) {
        if self.count.load(Ordering::Acquire) > 0 {
            let all: Vec<_> = self.all.read().iter().map(|listening| listening.outbox.clone()).collect();
            for outbox in all {
                outbox.flush();
            }
        }
    }

    /// A process has ended.
    pub(super) fn let_go(&self, pid: Pid) {
        self.end(|listening| listening.pid == pid);
    }

    fn end(&self, whose: impl Fn(&Listening<K, V, M>) -> bool) {
        if self.count.load(Ordering::Acquire) == 0 {
            return;
        }
        let ended: Vec<_> = {
            let mut all = self.all.write();
            let ended = all.extract_if(.., |listening| whose(listening)).collect();
            self.count.store(all.len(), Ordering::Release);
            ended
        };
        for listening in ended {
            listening.outbox.end();
        }
    }
}

impl<K, V, M, U> Registry<K, V, M, U>
where
    K: Eq + Hash + Clone + Send + Sync + 'static,
    V: Send + Sync + 'static,
    M: Send + 'static,
{
    /// Tells this process of every entry that comes or goes from now on, with `wrap` to make a message of it; Elixir's
    /// `:listeners` option.
    ///
    /// Events of one key arrive in the order in which they happened. `wrap` runs, without a lock, in the process that
    /// registers or unregisters, or in another at the same time; should it panic, the listener ends and nobody else is
    /// harmed. If the mailbox is full, events wait for room in it, up to
    /// [`EVENTS_WAITING_MAX`](crate::process::EVENTS_WAITING_MAX); beyond that they are dropped, one [`RegistryEvent::Missed`]
    /// stands for them, and telemetry says so ([`EventsMissed`](crate::process::EventsMissed)). A mailbox with a policy
    /// that drops messages drops events too. A process that has ended hears nothing.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// # use heronry::prelude::*;
    /// # use heronry::registry::{Registry, RegistryEvent};
    /// let rooms = Registry::<u8, &'static str, ()>::unique();
    /// let at = rooms.clone();
    /// let porter = spawn(move |mut ctx| async move {
    ///     let _listener = at.listen(&ctx, |event| event);
    ///     let event = ctx.receive().await;
    ///     assert!(matches!(event, Received::Message(RegistryEvent::Registered { key: 7, .. })));
    ///     let event = ctx.receive().await;
    ///     assert!(matches!(event, Received::Message(RegistryEvent::Unregistered { key: 7, .. })));
    /// });
    /// # tokio::task::yield_now().await;
    /// spawn(move |ctx| async move { drop(rooms.register(&ctx, 7, "lounge")) });
    /// assert_eq!(porter.wait().await, ExitReason::Normal);
    /// # }
    /// ```
    pub fn listen<N: Send + 'static>(
        &self,
        ctx: &Context<N>,
        wrap: impl Fn(RegistryEvent<K, V, M>) -> N + Send + Sync + 'static,
    ) -> Listener {
        let wrap = move |told: Told<K, V, M>| {
            wrap(match told {
                Told::Registered(Entry { key, addr, value, .. }) => {
                    RegistryEvent::Registered { key: (*key).clone(), addr, value }
                }
                Told::Unregistered(key, pid) => RegistryEvent::Unregistered { key: (*key).clone(), pid },
                Told::Missed => RegistryEvent::Missed,
            })
        };
        let outbox = Arc::new(Outbox::new(ctx.addr(), wrap, |outbox| {
            outbox.renewed();
            Some(Told::Missed)
        }));
        let keeper: Weak<Table<K, V, M>> = Arc::downgrade(&self.table);
        let table = Arc::downgrade(&self.table);
        let listeners = &self.table.listeners;
        {
            let mut all = listeners.all.write();
            if ctx.addr().at_exit(keeper) {
                all.push(Listening { pid: ctx.pid(), outbox: outbox.clone() });
                listeners.count.store(all.len(), Ordering::Release);
            }
        }
        let end = move || {
            if let Some(table) = table.upgrade() {
                table.listeners.end(|listening| Arc::ptr_eq(&listening.outbox, &outbox));
            }
        };
        Listener { _end: OnDrop::new(end) }
    }
}

impl<K: Clone, V, M> Clone for RegistryEvent<K, V, M> {
    fn clone(&self) -> Self {
        match self {
            Self::Registered { key, addr, value } => {
                Self::Registered { key: key.clone(), addr: addr.clone(), value: value.clone() }
            }
            Self::Unregistered { key, pid } => Self::Unregistered { key: key.clone(), pid: *pid },
            Self::Missed => Self::Missed,
        }
    }
}

impl<K: fmt::Debug, V: fmt::Debug, M: Send + 'static> fmt::Debug for RegistryEvent<K, V, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Registered { key, addr, value } => {
                let mut told = f.debug_struct("Registered");
                told.field("key", key).field("addr", addr).field("value", value).finish()
            }
            Self::Unregistered { key, pid } => {
                f.debug_struct("Unregistered").field("key", key).field("pid", pid).finish()
            }
            Self::Missed => f.write_str("Missed"),
        }
    }
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listener").finish_non_exhaustive()
    }
}
