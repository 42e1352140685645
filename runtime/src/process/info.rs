//! What one process shows of itself when asked by its pid. Erlang's `process_info/1`.
//!
//! Pure: values.

use std::time::Duration;

use crate::clock::Instant;
use crate::name::{Label, Name};
use crate::pid::Pid;

/// A process as [`info`](super::info) found it. It may have gone on since.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ProcessInfo {
    /// Its identity.
    pub pid: Pid,
    /// The process that spawned it, if a process did. It may have ended.
    pub parent: Option<Pid>,
    /// What it is called.
    pub label: Label,
    /// The name it is registered under.
    pub name: Option<Name>,
    /// Whether it is a supervisor.
    pub supervisor: bool,
    /// Whether it traps exits.
    pub trap_exit: bool,
    /// How often the child that it is was started again.
    pub restarts: u32,
    /// The processes it is linked with, in no order.
    pub links: Vec<Pid>,
    /// The processes it monitors, once for each monitor, in no order.
    pub monitors: Vec<Pid>,
    /// The processes that monitor it, once for each monitor, in no order.
    pub monitored_by: Vec<Pid>,
    /// Messages that wait in its mailbox.
    pub mailbox_len: usize,
    /// The most messages that ever waited.
    pub mailbox_len_max: usize,
    /// How many messages its mailbox holds.
    pub mailbox_limit: usize,
    /// Messages and signals that it has received.
    pub handled: u64,
    /// The callback it is in; `None` if it waits for a message, or is no server. One that awaits something else within a
    /// callback (a call, a file) is still in it.
    pub callback: Option<Callback>,
    /// How long it has held a thread, all told. An estimate: the watchdog looks every few milliseconds at what runs, so
    /// a process that has run for less may show nothing. It counts up to 119 hours.
    pub running: Duration,
    /// When it was spawned, on the clock that `tokio::time::pause` stops.
    pub started_at: Instant,
}

/// A callback of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Callback {
    /// [`Server::init`](crate::Server::init).
    Init,
    /// [`Server::handle`](crate::Server::handle).
    Handle,
    /// [`Server::handle_info`](crate::Server::handle_info).
    HandleInfo,
    /// [`Server::handle_continue`](crate::Server::handle_continue).
    HandleContinue,
    /// [`Server::format_state`](crate::Server::format_state).
    FormatState,
    /// [`Server::terminate`](crate::Server::terminate).
    Terminate,
}

impl Callback {
    /// The name of the method.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Init => "init",
            Self::Handle => "handle",
            Self::HandleInfo => "handle_info",
            Self::HandleContinue => "handle_continue",
            Self::FormatState => "format_state",
            Self::Terminate => "terminate",
        }
    }

    pub(super) fn to_bits(callback: Option<Self>) -> u8 {
        match callback {
            None => 0,
            Some(Self::Init) => 1,
            Some(Self::Handle) => 2,
            Some(Self::HandleInfo) => 3,
            Some(Self::HandleContinue) => 4,
            Some(Self::Terminate) => 5,
            Some(Self::FormatState) => 6,
        }
    }

    pub(super) fn from_bits(bits: u8) -> Option<Self> {
        [Self::Init, Self::Handle, Self::HandleInfo, Self::HandleContinue, Self::FormatState, Self::Terminate]
            .into_iter()
            .find(|callback| Self::to_bits(Some(*callback)) == bits)
    }
}
