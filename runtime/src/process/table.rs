//! The process table: every live process of this node by its pid, in shards.

use std::any::Any;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::num::NonZeroU64;
use std::sync::Arc;
use std::sync::LazyLock;
use std::time::Duration;

use tokio::time::Instant;

use super::ask::{Asker, NotAsked};
use super::info::ProcessInfo;
use super::signal::Origin;
use super::watch::ExitWatcher;
use crate::exit::ExitReason;
use crate::name::{Label, Name};
use crate::pid::{Pid, Ref};
use crate::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use crate::sync::{Mutex, statics};

/// How many shards the table has; a power of two, well above the number of threads that spawn at once. Two in a model:
/// each of its executions makes them.
const SHARDS: usize = if cfg!(all(test, heronry_loom)) { 2 } else { 64 };

/// What a process is to the tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ProcessKind {
    Worker,
    Supervisor,
}

/// What inspection reads of one process.
#[derive(Clone, Debug)]
pub(crate) struct ProcessStats {
    pub(crate) pid: Pid,
    pub(crate) parent: Option<Pid>,
    pub(crate) kind: ProcessKind,
    pub(crate) label: Label,
    pub(crate) name: Option<Name>,
    pub(crate) restarts: u32,
    pub(crate) mailbox_len: usize,
    pub(crate) mailbox_len_max: usize,
    pub(crate) handled: u64,
    pub(crate) links: usize,
    pub(crate) monitors: usize,
    pub(crate) started_at: Instant,
}

/// A process without the type of its messages.
pub(crate) trait AnyProcess: Send + Sync {
    fn pid(&self) -> Pid;
    fn exit_signal(&self, from: Pid, reason: ExitReason, origin: Origin);
    /// Adds the far end of a link; false if the process has ended.
    fn add_link(&self, with: Pid) -> bool;
    fn remove_link(&self, with: Pid);
    /// Adds a watcher; the exit reason if the process has ended.
    fn add_watcher(&self, reference: Ref, watcher: Pid) -> bool;
    fn remove_watcher(&self, reference: Ref);
    /// Adds an exit watcher, or gives the reason if the process has ended.
    fn watch_exit(&self, watcher: Arc<dyn ExitWatcher>) -> Result<(), ExitReason>;
    /// Queues a request to show the state; `watcher` hears of the exit from now on.
    fn ask(&self, asker: Box<dyn Asker>, watcher: Arc<dyn ExitWatcher>) -> Result<(), NotAsked>;
    /// Delivers a `Down` if the process still wants it.
    fn down(&self, reference: Ref, pid: Pid, reason: &ExitReason);
    /// Gives the process a name; false if it has ended or has one.
    fn set_name(&self, name: &Name) -> bool;
    fn take_name(&self) -> Option<Name>;
    fn stats(&self) -> ProcessStats;
    fn info(&self) -> ProcessInfo;
    /// The watchdog found it running, and has not looked for this long before.
    fn sample(&self, time: Duration);
    fn as_any(self: Arc<Self>) -> Arc<dyn Any + Send + Sync>;
}

/// Pids are consecutive: a multiplication spreads them over the whole word, which is all that a table needs.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct PidHash(u64);

pub(crate) type PidHasher = BuildHasherDefault<PidHash>;

impl Hasher for PidHash {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u64(&mut self, word: u64) {
        self.0 = (self.0 ^ word).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(26);
    }
}

type Shard = Mutex<HashMap<Pid, Arc<dyn AnyProcess>, PidHasher>>;

statics! {
    static TABLE: LazyLock<Vec<Shard>> = LazyLock::new(|| (0..SHARDS).map(|_| Shard::default()).collect());
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    static NEXT_ID: AtomicU64 = AtomicU64::new(1);
}

fn next_id() -> NonZeroU64 {
    NonZeroU64::new(NEXT_ID.fetch_add(1, Ordering::Relaxed)).expect("invariant: 2^64 ids do not run out")
}

pub(crate) fn next_pid() -> Pid {
    Pid::new(next_id())
}

pub(crate) fn next_ref() -> Ref {
    Ref::new(next_id())
}

fn shard(pid: Pid) -> &'static Shard {
    &TABLE[pid.id() as usize % SHARDS]
}

pub(crate) fn insert(process: Arc<dyn AnyProcess>) {
    let pid = process.pid();
    shard(pid).lock().insert(pid, process);
    COUNT.fetch_add(1, Ordering::Relaxed);
}

pub(crate) fn remove(pid: Pid) {
    let removed = shard(pid).lock().remove(&pid);
    if removed.is_some() {
        COUNT.fetch_sub(1, Ordering::Relaxed);
    }
}

pub(crate) fn find(pid: Pid) -> Option<Arc<dyn AnyProcess>> {
    shard(pid).lock().get(&pid).cloned()
}

pub(crate) fn count() -> usize {
    COUNT.load(Ordering::Relaxed)
}

/// What every live process shows, in the order in which they were spawned.
pub(crate) fn snapshot() -> Vec<ProcessStats> {
    let mut processes: Vec<Arc<dyn AnyProcess>> = Vec::with_capacity(count());
    for shard in TABLE.iter() {
        processes.extend(shard.lock().values().cloned());
    }
    processes.sort_unstable_by_key(|process| process.pid());
    processes.iter().map(|process| process.stats()).collect()
}
