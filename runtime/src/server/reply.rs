//! The reply slot of a call: written once by whoever holds [`ReplyTo`], read once by the caller.

use std::fmt;
use std::num::NonZeroU64;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll, Waker};
use std::time::Duration;

use super::call::CallError;
use crate::exit::ExitReason;
use crate::pid::Pid;
use crate::process::{self, ExitWatcher};
use crate::sync::Mutex;
use crate::sync::atomic::{AtomicU64, Ordering};
use crate::timer::{self, Deadline, Expire};

/// Where the reply to a call goes; OTP's `From`.
///
/// It can be sent on and used later, from any process or task. Dropping it unused tells the caller so at once
/// ([`CallError::NoReply`]); if the callee ends first, the caller gets its exit reason, wherever the `ReplyTo` is.
#[must_use = "the caller waits for a reply"]
pub struct ReplyTo<T: Send + 'static> {
    slot: Option<Arc<Slot<T>>>,
}

/// The caller's end.
pub(super) struct Pending<T: Send + 'static> {
    slot: Arc<Slot<T>>,
    /// How long it waits from its first poll on.
    time: Option<Duration>,
    deadline: Option<Deadline>,
}

struct Slot<T> {
    state: Mutex<State<T>>,
    /// The id of the callee's process; 0 while a call to a stable address waits for one, and for a relay.
    callee: AtomicU64,
}

enum State<T> {
    Waiting(Option<Waker>),
    /// The caller waits elsewhere: the reply is handed on, and dropping this says that there is none.
    #[cfg(feature = "ractor")]
    Relay(Box<dyn FnOnce(T) + Send>),
    Replied(T),
    Failed(CallError),
    Expired,
    /// The outcome was taken, or nobody waits any more.
    Done,
}

/// A slot and its two ends; `callee` is known unless the call is to a stable address.
pub(super) fn slot<T: Send + 'static>(callee: Option<Pid>) -> (ReplyTo<T>, Pending<T>) {
    let callee = AtomicU64::new(callee.map_or(0, Pid::id));
    let slot = Arc::new(Slot { state: Mutex::new(State::Waiting(None)), callee });
    (ReplyTo { slot: Some(slot.clone()) }, Pending { slot, time: None, deadline: None })
}

impl<T: Send + 'static> ReplyTo<T> {
    /// A slot for a caller who is none of ours; if there is no reply, `deliver` is dropped.
    #[cfg(feature = "ractor")]
    pub(crate) fn relay(deliver: impl FnOnce(T) + Send + 'static) -> Self {
        let state = Mutex::new(State::Relay(Box::new(deliver)));
        Self { slot: Some(Arc::new(Slot { state, callee: AtomicU64::new(0) })) }
    }

    /// Replies. If the caller no longer waits (its time was up), the reply is dropped.
    pub fn send(mut self, reply: T) {
        if let Some(slot) = self.slot.take() {
            slot.settle(State::Replied(reply));
        }
    }

    /// Whether the caller still waits; a reply that is costly to make need not be made otherwise.
    pub fn is_waiting(&self) -> bool {
        self.slot.as_ref().is_some_and(|slot| slot.state.lock().is_waiting())
    }
}

impl<T: Send + 'static> Drop for ReplyTo<T> {
    fn drop(&mut self) {
        let Some(slot) = self.slot.take() else { return };
        if slot.callee().is_some_and(process::is_in) {
            process::forgive_later(slot);
        } else {
            slot.forgiven();
        }
    }
}

impl<T: Send + 'static> fmt::Debug for ReplyTo<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let callee = self.slot.as_ref().and_then(|slot| slot.callee());
        f.debug_struct("ReplyTo").field("callee", &callee).finish_non_exhaustive()
    }
}

impl<T> State<T> {
    fn is_waiting(&self) -> bool {
        match self {
            Self::Waiting(_) => true,
            #[cfg(feature = "ractor")]
            Self::Relay(_) => true,
            Self::Replied(_) | Self::Failed(_) | Self::Expired | Self::Done => false,
        }
    }
}

impl<T> Slot<T> {
    fn callee(&self) -> Option<Pid> {
        NonZeroU64::new(self.callee.load(Ordering::Relaxed)).map(Pid::new)
    }

    /// The first outcome counts.
    fn settle(&self, outcome: State<T>) {
        let mut state = self.state.lock();
        if !state.is_waiting() {
            return;
        }
        let waiting = std::mem::replace(&mut *state, outcome);
        match waiting {
            State::Waiting(waker) => {
                drop(state);
                if let Some(waker) = waker {
                    waker.wake();
                }
            }
            #[cfg(feature = "ractor")]
            State::Relay(deliver) => {
                let outcome = std::mem::replace(&mut *state, State::Done);
                drop(state);
                if let State::Replied(reply) = outcome {
                    deliver(reply);
                }
            }
            State::Replied(_) | State::Failed(_) | State::Expired | State::Done => {}
        }
    }
}

impl<T: Send> ExitWatcher for Slot<T> {
    fn exited(&self, reason: &ExitReason) {
        self.settle(State::Failed(CallError::Exited(reason.clone())));
    }

    fn forgiven(&self) {
        self.settle(State::Failed(CallError::NoReply));
    }

    fn taken_by(&self, process: Pid) {
        self.callee.store(process.id(), Ordering::Relaxed);
    }

    fn is_done(&self) -> bool {
        !self.state.lock().is_waiting()
    }
}

impl<T: Send> Expire for Slot<T> {
    fn expired(&self) {
        self.settle(State::Expired);
    }
}

impl<T: Send + 'static> Pending<T> {
    /// Waits no longer than this, or as long as it takes.
    pub(super) fn within(mut self, time: Option<Duration>) -> Self {
        self.time = time;
        self
    }

    /// What tells the caller of the callee's exit.
    pub(super) fn watcher(&self) -> Arc<dyn ExitWatcher> {
        self.slot.clone()
    }
}

impl<T: Send + 'static> Future for Pending<T> {
    type Output = Result<T, CallError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Self::Output> {
        let mut state = self.slot.state.lock();
        match std::mem::replace(&mut *state, State::Done) {
            State::Replied(reply) => Poll::Ready(Ok(reply)),
            State::Failed(error) => Poll::Ready(Err(error)),
            State::Expired => Poll::Ready(Err(CallError::Timeout(self.time.unwrap_or_default()))),
            State::Waiting(waker) => {
                let waker = waker.filter(|waker| waker.will_wake(cx.waker()));
                *state = State::Waiting(Some(waker.unwrap_or_else(|| cx.waker().clone())));
                drop(state);
                if let (Some(time), None) = (self.time, &self.deadline) {
                    let deadline = timer::expire_after(time, self.slot.clone());
                    self.deadline = Some(deadline);
                }
                Poll::Pending
            }
            State::Done => unreachable!("invariant: a call is not polled after its end"),
            #[cfg(feature = "ractor")]
            State::Relay(_) => unreachable!("invariant: nobody polls for a caller who waits elsewhere"),
        }
    }
}

impl<T: Send + 'static> Drop for Pending<T> {
    fn drop(&mut self) {
        let outcome = std::mem::replace(&mut *self.slot.state.lock(), State::Done);
        drop(outcome); // a reply nobody takes: its destructor is the user's, so not under the lock
    }
}

#[cfg(test)]
#[cfg(heronry_loom)]
mod loom;
