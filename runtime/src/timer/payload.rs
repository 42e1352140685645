//! What a timer sends, without the type of the message.

use crate::process::{Addr, Deposit, News, Outcome, SendError};

/// What came of sending a timer's message.
pub(super) struct Sent {
    pub(super) news: News,
    /// False if the process has ended, or ends of this message.
    pub(super) alive: bool,
}

/// The message of a timer and its receiver. Values in it are the user's: it is dropped outside of any lock.
pub(super) trait Payload: Send {
    /// The period in ticks, if the timer repeats.
    fn period(&self) -> Option<u64> {
        None
    }

    /// Makes the next message of one that repeats. Runs code of the user's.
    fn prepare(&mut self) {}

    /// Puts the message into the mailbox. Runs no code of the user's: a message that found no room, or that gave way,
    /// stays here.
    fn send(&mut self) -> Sent;

    /// Drops a message that stayed. Runs code of the user's.
    fn drop_leftover(&mut self) {}
}

/// Whether the limit of the mailbox holds for a message.
#[derive(Clone, Copy, Debug)]
pub(super) enum Room {
    Limited,
    /// The process set the timer for itself.
    Own,
}

/// One message, once.
pub(super) struct Once<M> {
    addr: Addr<M>,
    message: Option<M>,
    room: Room,
}

impl<M> Once<M> {
    pub(super) fn new(addr: Addr<M>, message: M, room: Room) -> Self {
        Self { addr, message: Some(message), room }
    }
}

impl<M: Send + 'static> Payload for Once<M> {
    fn send(&mut self) -> Sent {
        send(&self.addr, &mut self.message, self.room)
    }
}

/// A message for each period.
pub(super) struct Every<M, F> {
    addr: Addr<M>,
    period: u64,
    make: F,
    message: Option<M>,
}

impl<M, F> Every<M, F> {
    pub(super) fn new(addr: Addr<M>, period: u64, make: F) -> Self {
        Self { addr, period, make, message: None }
    }
}

impl<M: Send + 'static, F: FnMut() -> M + Send + 'static> Payload for Every<M, F> {
    fn period(&self) -> Option<u64> {
        Some(self.period)
    }

    fn prepare(&mut self) {
        self.message = Some((self.make)());
    }

    fn send(&mut self) -> Sent {
        send(&self.addr, &mut self.message, Room::Limited)
    }

    fn drop_leftover(&mut self) {
        self.message = None;
    }
}

/// Stands in for a payload that the service has in hand.
pub(super) struct Away;

impl Payload for Away {
    fn send(&mut self) -> Sent {
        Sent { news: News::default(), alive: true }
    }
}

fn send<M: Send + 'static>(addr: &Addr<M>, slot: &mut Option<M>, room: Room) -> Sent {
    let Some(message) = slot.take() else { return Away.send() };
    let Deposit { outcome, news } = match room {
        Room::Limited => addr.process().deposit(message),
        Room::Own => addr.process().deposit_own(message),
    };
    let (leftover, alive) = match outcome {
        Outcome::Queued => (None, true),
        Outcome::Dropped(message) | Outcome::Refused(SendError::Full(message)) => (Some(message), true),
        Outcome::Refused(SendError::NoProc(message)) => (Some(message), false),
    };
    *slot = leftover;
    Sent { news, alive }
}
