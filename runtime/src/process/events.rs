//! What processes tell telemetry.

use std::fmt;

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

/// A mailbox reached its limit and refused a message: `heronry.mailbox.full`.
///
/// Told once for each time that it fills up; the sender of each refused message gets an error.
#[derive(Debug)]
#[non_exhaustive]
pub struct MailboxFull {
    /// The process whose mailbox it is.
    pub pid: Pid,
    /// Its label.
    pub label: Label,
    /// The limit, in messages.
    pub limit: usize,
}

impl fmt::Display for MailboxFull {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the mailbox of {} {} is full ({} messages): it refuses more until the process catches up",
            self.pid, self.label, self.limit
        )
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
