//! Messages on their way into the mailbox.

use std::sync::Arc;
use std::task::{Context as TaskContext, Poll, Waker};

use super::super::addr::SendError;
use super::super::deposit::{Deposit, Outcome};
use super::super::events::{MailboxFull, MailboxLong};
use super::super::letter::Letter;
use super::super::mailbox::{Item, Overflow, Pushed};
use super::super::watch::ExitWatcher;
use super::wait::Wake;
use super::{Process, State};
use crate::exit::ExitReason;
use crate::sync::MutexGuard;
use crate::sync::atomic::Ordering;
use crate::telemetry::{self, Event};

/// What came of putting a message into the mailbox, before it is known who will tell.
struct Deposited<M> {
    outcome: Outcome<M>,
    wake: Wake,
    event: Option<Box<dyn Event>>,
}

/// How a message was addressed.
#[derive(Clone, Copy)]
enum Kind {
    Plain,
    Letter,
}

impl<M: Send + 'static> Process<M> {
    /// Queues a message; `watcher`, if any, hears of the exit of this process from now on.
    pub(crate) fn push(&self, message: M, watcher: Option<Arc<dyn ExitWatcher>>) -> Result<(), SendError<M>> {
        let state = self.state.lock();
        let deposited = self.deposit_locked(state, message, watcher, Kind::Plain, self.elsewhere());
        self.tell(deposited)
    }

    /// As [`push`](Self::push), but waits for room if that is the mailbox's policy.
    pub(crate) fn poll_push(
        &self,
        cx: &mut TaskContext<'_>,
        message: &mut Option<M>,
        watcher: Option<&Arc<dyn ExitWatcher>>,
    ) -> Poll<Result<(), SendError<M>>> {
        self.poll_deposit(cx, message, watcher, Kind::Plain).map(|deposited| self.tell(deposited))
    }

    /// Queues a message to the stable address that this process stands behind.
    pub(in crate::process) fn deposit_letter(&self, message: M) -> Deposit<M> {
        let state = self.state.lock();
        self.told_later(self.deposit_locked(state, message, None, Kind::Letter, self.elsewhere()))
    }

    /// [`deposit_letter`](Self::deposit_letter), but waits for room if that is the mailbox's policy.
    pub(in crate::process) fn poll_deposit_letter(
        &self,
        cx: &mut TaskContext<'_>,
        message: &mut Option<M>,
        watcher: Option<&Arc<dyn ExitWatcher>>,
    ) -> Poll<Deposit<M>> {
        self.poll_deposit(cx, message, watcher, Kind::Letter).map(|deposited| self.told_later(deposited))
    }

    #[inline]
    fn poll_deposit(
        &self,
        cx: &mut TaskContext<'_>,
        message: &mut Option<M>,
        watcher: Option<&Arc<dyn ExitWatcher>>,
        kind: Kind,
    ) -> Poll<Deposited<M>> {
        let mut state = self.state.lock();
        // Read once: the process puts aside without the lock, and whoever need not wait is not to be refused for that.
        let elsewhere = self.elsewhere();
        if state.exit_reason().is_none() && state.mailbox.must_wait(elsewhere) {
            state.relations().senders.push(cx.waker().clone());
            self.senders_wait.store(true, Ordering::Relaxed);
            return Poll::Pending;
        }
        let message = message.take().expect("invariant: a message is sent once");
        Poll::Ready(self.deposit_locked(state, message, watcher.cloned(), kind, elsewhere))
    }

    /// Has `waker` woken once there is room in the mailbox, or none to wait for; false if there is some now.
    pub(in crate::process) fn wait_for_room(&self, waker: Waker) -> bool {
        let mut state = self.state.lock();
        let full = state.mailbox.is_full(self.elsewhere());
        let waits = state.exit_reason().is_none() && full;
        if waits {
            state.relations().senders.push(waker);
            self.senders_wait.store(true, Ordering::Relaxed);
        }
        waits
    }

    /// [`push`](Self::push) for whoever holds a lock: what is the user's runs when the deposit is told.
    pub(crate) fn deposit(&self, message: M) -> Deposit<M> {
        let state = self.state.lock();
        self.told_later(self.deposit_locked(state, message, None, Kind::Plain, self.elsewhere()))
    }

    #[inline]
    fn deposit_locked(
        &self,
        mut state: MutexGuard<'_, State<M>>,
        message: M,
        watcher: Option<Arc<dyn ExitWatcher>>,
        kind: Kind,
        elsewhere: usize,
    ) -> Deposited<M> {
        if state.exited {
            return Deposited::no_proc(message);
        }
        let (pushed, watcher) = match kind {
            Kind::Plain => (state.mailbox.push(message, elsewhere), watcher),
            // The caller is the incarnation's that takes the letter.
            Kind::Letter => {
                let letter = |message| Item::Letter(Box::new(Letter::new(message, watcher)));
                (state.mailbox.push_as(message, elsewhere, letter), None)
            }
        };
        // What took the place of the oldest is in the mailbox as well.
        let is_in =
            matches!(pushed, Pushed::Queued { .. } | Pushed::Full { overflow: Overflow::DropOldest, .. });
        if let Some(watcher) = watcher.filter(|_| is_in) {
            state.relations().watchers.push(watcher);
        }
        match pushed {
            Pushed::Queued { alarm } => self.queued(&mut state, alarm),
            Pushed::Full { message, overflow, first } => {
                self.overflowed(&mut state, message, overflow, first)
            }
        }
    }

    #[inline]
    fn queued(&self, state: &mut State<M>, alarm: bool) -> Deposited<M> {
        let long = alarm.then(|| -> Box<dyn Event> {
            let (label, len) = (state.label.clone(), state.mailbox.len());
            Box::new(MailboxLong { pid: self.pid, label, len })
        });
        Deposited { outcome: Outcome::Queued, wake: self.end_wait(state), event: long }
    }

    fn overflowed(&self, state: &mut State<M>, message: M, overflow: Overflow, first: bool) -> Deposited<M> {
        let full = first.then(|| -> Box<dyn Event> {
            let (label, limit) = (state.label.clone(), state.mailbox.limit());
            Box::new(MailboxFull { pid: self.pid, label, limit, overflow })
        });
        let (outcome, wake) = match overflow {
            Overflow::Reject | Overflow::Block => (Outcome::Refused(SendError::Full(message)), Wake::Nobody),
            Overflow::DropNewest => (Outcome::Dropped(message), Wake::Nobody),
            Overflow::DropOldest => (Outcome::Dropped(message), self.end_wait(state)),
            Overflow::Exit => {
                let dies = self.doom_locked(state, ExitReason::custom("mailbox full"));
                (Outcome::Refused(SendError::NoProc(message)), if dies { Wake::Task } else { Wake::Nobody })
            }
        };
        Deposited { outcome, wake, event: full }
    }

    /// Queues a message of this process to itself, past the limit: it sends no more than it has things to do.
    pub(in crate::process) fn push_own(&self, message: M) -> Result<(), SendError<M>> {
        let deposited = self.own_deposited(message);
        self.tell(deposited)
    }

    /// [`push_own`](Self::push_own) for whoever holds a lock.
    pub(crate) fn deposit_own(&self, message: M) -> Deposit<M> {
        let deposited = self.own_deposited(message);
        self.told_later(deposited)
    }

    fn own_deposited(&self, message: M) -> Deposited<M> {
        let mut state = self.state.lock();
        if state.exited {
            return Deposited::no_proc(message);
        }
        let alarm = state.mailbox.push_own(message, self.elsewhere());
        self.queued(&mut state, alarm)
    }

    /// Does what is left to be done, for a sender who holds no lock.
    #[inline]
    fn tell(&self, deposited: Deposited<M>) -> Result<(), SendError<M>> {
        self.wait.wake(deposited.wake);
        if let Some(event) = deposited.event {
            telemetry::emit(&*event);
        }
        deposited.outcome.into_result()
    }

    /// What is left to be done, for a sender who holds a lock of their own.
    fn told_later(&self, deposited: Deposited<M>) -> Deposit<M> {
        Deposit::new(deposited.outcome, self.wait.waker(deposited.wake), deposited.event)
    }
}

impl<M> Deposited<M> {
    fn no_proc(message: M) -> Self {
        Self { outcome: Outcome::Refused(SendError::NoProc(message)), wake: Wake::Nobody, event: None }
    }
}
