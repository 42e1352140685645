//! The table of a partition supervisor: the process of each partition, written by the supervisor, read by everybody.

use std::collections::HashMap;
use std::num::{NonZeroU64, NonZeroUsize};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};

use super::PartitionKey;
use crate::pid::Pid;
use crate::sync::RwLock;

/// The tables of all partition supervisors that run, by the supervisor's pid: this is how a name leads to one.
static ROUTES: LazyLock<RwLock<HashMap<Pid, Arc<Routes>>>> = LazyLock::new(RwLock::default);

/// Without a lock: routing must not be the bottleneck that partitions are there to widen.
#[derive(Debug)]
pub(in crate::supervisor) struct Routes {
    /// The id of each partition's latest process; 0 before its first.
    pids: Box<[AtomicU64]>,
    /// How many of them keys lead to.
    used: AtomicUsize,
}

impl Routes {
    pub(super) fn new(partitions: usize) -> Self {
        let pids = (0..partitions).map(|_| AtomicU64::new(0)).collect();
        Self { pids, used: AtomicUsize::new(partitions) }
    }

    /// The most partitions that there can be.
    pub(in crate::supervisor) fn max(&self) -> usize {
        self.pids.len()
    }

    pub(in crate::supervisor) fn used(&self) -> usize {
        self.used.load(Ordering::Acquire)
    }

    pub(in crate::supervisor) fn set_used(&self, partitions: usize) {
        self.used.store(partitions, Ordering::Release);
    }

    pub(super) fn set(&self, partition: usize, pid: Pid) {
        self.pids[partition].store(pid.id(), Ordering::Release);
    }

    /// The partition of a key, and its latest process; `None` if there are no partitions.
    pub(super) fn route(&self, key: &impl PartitionKey) -> Option<(usize, Option<Pid>)> {
        // A key of the user's own type may not keep its promise: better another partition than a panic in its caller.
        let used = NonZeroUsize::new(self.used())?;
        let partition = key.partition(used) % used;
        Some((partition, NonZeroU64::new(self.pids[partition].load(Ordering::Acquire)).map(Pid::new)))
    }
}

/// While it lives, the routes of a supervisor can be found by its pid.
pub(super) struct Listed(Pid);

impl Listed {
    pub(super) fn new(supervisor: Pid, routes: Arc<Routes>) -> Self {
        ROUTES.write().insert(supervisor, routes);
        Self(supervisor)
    }
}

impl Drop for Listed {
    fn drop(&mut self) {
        ROUTES.write().remove(&self.0);
    }
}

pub(super) fn find(supervisor: Pid) -> Option<Arc<Routes>> {
    ROUTES.read().get(&supervisor).cloned()
}
