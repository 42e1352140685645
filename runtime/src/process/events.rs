//! What processes tell telemetry.

use std::fmt;
use std::time::Duration;

use super::info::Callback;
use super::mailbox::Overflow;
use crate::exit::ExitReason;
use crate::name::Label;
use crate::pid::Pid;
use crate::telemetry::{Event, Level};

/// A process ended for a reason that is not orderly: `heronry.process.crashed`.
#[derive(Debug)]
#[non_exhaustive]
pub struct ProcessCrashed {
    /// The process.
    pub pid: Pid,
    /// Its label.
    pub label: Label,
    /// Why it ended.
    pub reason: ExitReason,
    /// How many messages were left unread in its mailbox; they are lost.
    pub unread: usize,
}

impl fmt::Display for ProcessCrashed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "process {} {} crashed: {} ({} unread)", self.pid, self.label, self.reason, self.unread)
    }
}

impl Event for ProcessCrashed {
    fn name(&self) -> &'static str {
        "heronry.process.crashed"
    }

    fn level(&self) -> Level {
        Level::Error
    }
}

/// A process holds a scheduler thread for longer than it should: `heronry.process.long_schedule`.
///
/// Told once while it lasts and once when it is over (unless the process ended with it). See
/// [`set_long_schedule`](super::set_long_schedule).
#[derive(Debug)]
#[non_exhaustive]
pub struct LongSchedule {
    /// The process.
    pub pid: Pid,
    /// Its label.
    pub label: Label,
    /// The callback that it is in, if it is a server.
    pub callback: Option<Callback>,
    /// For how long it was seen to hold the thread; up to a few milliseconds less than it did.
    pub duration: Duration,
    /// Whether it is over.
    pub ended: bool,
}

impl fmt::Display for LongSchedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { pid, label, callback, duration, ended } = self;
        let place = callback.map_or("its body", Callback::as_str);
        let verb = if *ended { "has held" } else { "holds" };
        write!(
            f,
            "process {pid} {label} {verb} its thread for {duration:?} in {place}: move the work to `Context::block`"
        )
    }
}

impl Event for LongSchedule {
    fn name(&self) -> &'static str {
        "heronry.process.long_schedule"
    }

    fn level(&self) -> Level {
        Level::Warn
    }
}

/// Messages that nobody will read: `heronry.process.dead_letters`. Their process ended before it came to them, or nobody
/// stands behind their stable address any more. They are dropped; the callers among their senders learn the reason.
///
/// Told for each end that leaves messages, orderly ones too.
#[derive(Debug)]
#[non_exhaustive]
pub struct DeadLetters {
    /// The process; the last one, if they were sent to a stable address.
    pub pid: Pid,
    /// Its label, or the id of the child.
    pub label: Label,
    /// Why it ended.
    pub reason: ExitReason,
    /// The type of the messages.
    pub message: &'static str,
    /// How many there are.
    pub count: usize,
}

impl fmt::Display for DeadLetters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { pid, label, reason, message, count } = self;
        write!(f, "{count} messages ({message}) were left unread by {pid} {label}, which ended: {reason}")
    }
}

impl Event for DeadLetters {
    fn name(&self) -> &'static str {
        "heronry.process.dead_letters"
    }

    fn level(&self) -> Level {
        Level::Debug
    }
}

/// A message was taken out of circulation, since too many incarnations of a child ended while they were at it:
/// `heronry.process.message_quarantined`. It is dropped.
#[derive(Debug)]
#[non_exhaustive]
pub struct MessageQuarantined {
    /// The last process that ended.
    pub pid: Pid,
    /// The id of the child.
    pub child: Label,
    /// The type of the message.
    pub message: &'static str,
    /// Why each incarnation ended, in order.
    pub reasons: Vec<ExitReason>,
}

impl fmt::Display for MessageQuarantined {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { pid, child, message, reasons } = self;
        write!(f, "a message ({message}) ended {} incarnations of {child} and is dropped; ", reasons.len())?;
        match reasons.last() {
            Some(last) => write!(f, "the last was {pid}: {last}"),
            None => write!(f, "the last was {pid}"),
        }
    }
}

impl Event for MessageQuarantined {
    fn name(&self) -> &'static str {
        "heronry.process.message_quarantined"
    }

    fn level(&self) -> Level {
        Level::Error
    }
}

/// A mailbox reached its limit and a message found no room: `heronry.mailbox.full`.
///
/// Told once for each time that it fills up; what becomes of the messages is the mailbox's policy.
#[derive(Debug)]
#[non_exhaustive]
pub struct MailboxFull {
    /// The process whose mailbox it is.
    pub pid: Pid,
    /// Its label.
    pub label: Label,
    /// The limit, in messages.
    pub limit: usize,
    /// The policy.
    pub overflow: Overflow,
}

impl fmt::Display for MailboxFull {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { pid, label, limit, overflow } = self;
        let then = match overflow {
            Overflow::Reject => "it refuses more until the process catches up",
            Overflow::Block => "senders wait until the process catches up",
            Overflow::DropNewest => "more is dropped until the process catches up",
            Overflow::DropOldest => "its oldest are dropped until the process catches up",
            Overflow::Exit => "the process ends",
        };
        write!(f, "the mailbox of {pid} {label} is full ({limit} messages): {then}")
    }
}

impl Event for MailboxFull {
    fn name(&self) -> &'static str {
        "heronry.mailbox.full"
    }

    fn level(&self) -> Level {
        Level::Warn
    }
}

/// A mailbox has grown long: `heronry.mailbox.long`. The process is slower than its senders.
///
/// Told once, and again when half was worked off in between.
#[derive(Debug)]
#[non_exhaustive]
pub struct MailboxLong {
    /// The process whose mailbox it is.
    pub pid: Pid,
    /// Its label.
    pub label: Label,
    /// How many messages wait.
    pub len: usize,
}

impl fmt::Display for MailboxLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { pid, label, len } = self;
        write!(f, "{len} messages wait for {pid} {label}: it is slower than its senders")
    }
}

impl Event for MailboxLong {
    fn name(&self) -> &'static str {
        "heronry.mailbox.long"
    }

    fn level(&self) -> Level {
        Level::Warn
    }
}

/// Events of a registry or a group waited for a listener or a monitor that did not keep up, and more were dropped than
/// may wait ([`EVENTS_WAITING_MAX`](super::EVENTS_WAITING_MAX)): `heronry.process.events_missed`.
///
/// The process is told so in their place, when its mailbox takes it.
#[derive(Debug)]
#[non_exhaustive]
pub struct EventsMissed {
    /// The process that asked for the events.
    pub pid: Pid,
    /// How many it missed.
    pub missed: usize,
}

impl fmt::Display for EventsMissed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { pid, missed } = self;
        write!(f, "{pid} missed {missed} events that it asked for: it is slower than what it monitors")
    }
}

impl Event for EventsMissed {
    fn name(&self) -> &'static str {
        "heronry.process.events_missed"
    }

    fn level(&self) -> Level {
        Level::Warn
    }
}
