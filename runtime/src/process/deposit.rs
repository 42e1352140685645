//! What came of putting a message into a mailbox: what is left to be done once every lock is given back.
//!
//! A mailbox may be filled by somebody who holds a lock of their own (the timers do). So nothing that is the user's runs
//! on the way: not a waker, not a telemetry handler, not the destructor of a message that gave way. They wait in here.

use std::task::Waker;

use super::addr::SendError;
use crate::telemetry::{self, Event};

/// What came of it, and whom to tell.
#[must_use = "the receiver is woken by `tell`"]
pub(crate) struct Deposit<M> {
    pub(crate) outcome: Outcome<M>,
    pub(crate) news: News,
}

/// Where the message went.
pub(crate) enum Outcome<M> {
    Queued,
    /// By the mailbox's policy this message was dropped, the new one or the oldest, and the sender does not know.
    Dropped(M),
    Refused(SendError<M>),
}

/// Who hears of it.
#[must_use = "the receiver is woken by `tell`"]
#[derive(Default)]
pub(crate) struct News {
    /// Wakes the receiver, or the task of a process that ends of it.
    waker: Option<Waker>,
    /// Boxed, to keep the usual news small.
    event: Option<Box<dyn Event>>,
}

impl<M> Deposit<M> {
    pub(super) fn new(outcome: Outcome<M>, waker: Option<Waker>, event: Option<Box<dyn Event>>) -> Self {
        Self { outcome, news: News { waker, event } }
    }

    /// Does what is left to be done, for a sender who holds no lock.
    pub(crate) fn tell(self) -> Result<(), SendError<M>> {
        self.news.tell();
        self.outcome.into_result()
    }
}

impl<M> Outcome<M> {
    /// What the sender hears of it.
    #[inline]
    pub(super) fn into_result(self) -> Result<(), SendError<M>> {
        match self {
            Self::Queued | Self::Dropped(_) => Ok(()),
            Self::Refused(error) => Err(error),
        }
    }
}

impl News {
    /// Wakes and emits. Code of the user's may run.
    #[inline]
    pub(crate) fn tell(self) {
        if let Some(waker) = self.waker {
            waker.wake();
        }
        if let Some(event) = self.event {
            telemetry::emit(&*event);
        }
    }
}
