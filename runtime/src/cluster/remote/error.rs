//! What can go wrong with processes on other nodes.

use std::fmt;
use std::time::Duration;

use super::wire::Failure;
use crate::exit::ExitReason;
use crate::name::NameError;
use crate::node::NodeName;
use crate::pid::Pid;

/// Something that a process on another node was asked and did not do.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum RemoteError {
    /// The node is not up, or was lost meanwhile. Whether it handled the call before is not known. Erlang's `noconnection`.
    NoConnection(NodeName),
    /// No process of that name is there.
    NoProc,
    /// The callee ended meanwhile, for this reason. Whether it handled the call before is not known.
    Exited(ExitReason),
    /// No reply in this time. The callee may still handle the call; its reply is then dropped.
    Timeout(Duration),
    /// The callee dropped the call without a reply: a mistake in its code.
    NoReply,
    /// The callee's mailbox is full, or what is on its way to the node is more than may be
    /// ([`SESSION_MESSAGES_MAX`](super::SESSION_MESSAGES_MAX), [`SESSION_BYTES_MAX`](super::SESSION_BYTES_MAX)); the callee has not seen it.
    Full,
    /// The two nodes don't mean the same type, or the callee takes no calls. What the error says is for people.
    Unfit(String),
    /// The message can't be written down, or is too large; it was not sent. What the error says is for people.
    Unwritable(String),
}

/// A process that other nodes can't reach under the name. Nothing changed.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum ExportError {
    /// The text can't be a name.
    Name(NameError),
    /// This process has the name.
    Taken(Pid),
    /// The process has ended, or is about to by an exit signal.
    NoProc(Pid),
    /// As many processes as may be are exported: [`EXPORTS_MAX`](super::EXPORTS_MAX).
    Full,
}

impl RemoteError {
    pub(super) fn of(failure: Failure, time: Duration) -> Self {
        match failure {
            Failure::NoProc => Self::NoProc,
            Failure::Exited(reason) => Self::Exited(reason.into()),
            Failure::Timeout => Self::Timeout(time),
            Failure::NoReply => Self::NoReply,
            Failure::Full => Self::Full,
            Failure::Unfit(what) => Self::Unfit(what),
        }
    }
}

impl fmt::Display for RemoteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoConnection(node) => write!(f, "node {node} is not up, or was lost meanwhile"),
            Self::NoProc => f.write_str("no process of that name is there"),
            Self::Exited(reason) => write!(f, "the process called has ended: {reason}"),
            Self::Timeout(time) => write!(f, "no reply in {time:?}"),
            Self::NoReply => f.write_str("the process called dropped the call without a reply"),
            Self::Full => {
                f.write_str("the mailbox of the process, or what is on its way to its node, is full")
            }
            Self::Unfit(what) => write!(f, "the process there does not take this: {what}"),
            Self::Unwritable(what) => write!(f, "the message can't be sent to another node: {what}"),
        }
    }
}

impl std::error::Error for RemoteError {}

impl fmt::Display for ExportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(error) => error.fmt(f),
            Self::Taken(holder) => write!(f, "{holder} is exported under that name"),
            Self::NoProc(pid) => write!(f, "{pid} has ended"),
            Self::Full => write!(f, "{} processes are exported, the most there may be", super::EXPORTS_MAX),
        }
    }
}

impl std::error::Error for ExportError {}

impl From<NameError> for ExportError {
    fn from(error: NameError) -> Self {
        Self::Name(error)
    }
}
