//! Waiting until a number of things have happened. Static: a process of its own for each measurement needs only two,
//! and the processes measured need no room for a handle.

use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::Notify;

/// Opens when the processes being spawned all run.
pub(super) static STARTED: Gate = Gate::new();
/// Opens when the work is done.
pub(super) static DONE: Gate = Gate::new();

/// Opens when what it expects has arrived; for one waiter.
pub(super) struct Gate {
    missing: AtomicU64,
    open: Notify,
}

impl Gate {
    const fn new() -> Self {
        Self { missing: AtomicU64::new(0), open: Notify::const_new() }
    }

    pub(super) fn expect(&self, arrivals: u64) {
        self.missing.store(arrivals, Ordering::Release);
    }

    /// Returns whether more are missing.
    pub(super) fn arrive(&self) -> bool {
        let more = self.missing.fetch_sub(1, Ordering::AcqRel) > 1;
        if !more {
            self.open.notify_one();
        }
        more
    }

    pub(super) async fn wait(&self) {
        self.open.notified().await;
    }
}
