//! Waiting for the end of a process from outside of the mailbox: calls, and code that is no process.
//!
//! Pure: a list and a future; nothing here knows a process.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll, Waker};

use crate::exit::ExitReason;
use crate::pid::Pid;
use crate::sync::Mutex;

/// Somebody outside of the process system who waits for an exit: a call, or `wait`.
pub(crate) trait ExitWatcher: Send + Sync {
    /// The process has ended.
    fn exited(&self, reason: &ExitReason);
    /// The process dropped the reply slot and goes on.
    fn forgiven(&self);
    /// That process has taken the message out of its mailbox: a stable address did not know which one will.
    fn taken_by(&self, process: Pid) {
        let _ = process;
    }
    /// Nobody waits any more.
    fn is_done(&self) -> bool;
}

/// Exit watchers; those that are done are swept out when their number has doubled, which costs O(1) a call.
#[derive(Default)]
pub(super) struct Watchers {
    waiting: Vec<Arc<dyn ExitWatcher>>,
    sweep_at: usize,
}

/// Below this many watchers a sweep is not worth its while.
const SWEEP_MIN: usize = 16;

impl Watchers {
    pub(super) fn push(&mut self, watcher: Arc<dyn ExitWatcher>) {
        if self.waiting.len() >= self.sweep_at.max(SWEEP_MIN) {
            self.waiting.retain(|watcher| !watcher.is_done());
            self.sweep_at = self.waiting.len() * 2;
        }
        self.waiting.push(watcher);
    }
}

impl IntoIterator for Watchers {
    type Item = Arc<dyn ExitWatcher>;
    type IntoIter = std::vec::IntoIter<Self::Item>;

    fn into_iter(self) -> Self::IntoIter {
        self.waiting.into_iter()
    }
}

/// Waits for one exit.
pub(crate) struct ExitWatch {
    slot: Arc<Mutex<WatchSlot>>,
}

#[derive(Default)]
struct WatchSlot {
    reason: Option<ExitReason>,
    waker: Option<Waker>,
    abandoned: bool,
}

struct Watcher(Arc<Mutex<WatchSlot>>);

impl ExitWatch {
    pub(crate) fn new() -> Self {
        Self { slot: Arc::default() }
    }

    pub(crate) fn watcher(&self) -> Arc<dyn ExitWatcher> {
        Arc::new(Watcher(self.slot.clone()))
    }
}

impl Drop for ExitWatch {
    fn drop(&mut self) {
        self.slot.lock().abandoned = true;
    }
}

impl Future for ExitWatch {
    type Output = ExitReason;

    fn poll(self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<ExitReason> {
        let mut slot = self.slot.lock();
        match slot.reason.take() {
            Some(reason) => Poll::Ready(reason),
            None => {
                slot.waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl ExitWatcher for Watcher {
    fn exited(&self, reason: &ExitReason) {
        let waker = {
            let mut slot = self.0.lock();
            slot.reason = Some(reason.clone());
            slot.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn forgiven(&self) {}

    fn is_done(&self) -> bool {
        self.0.lock().abandoned
    }
}
