//! What the endpoint tells telemetry.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use heronry::telemetry::{Event, Level};

/// A connection was closed unserved, since there are as many as there may be: `heronry.endpoint.connection_refused`.
#[derive(Debug)]
#[non_exhaustive]
pub struct ConnectionRefused {
    /// The client.
    pub peer: SocketAddr,
    /// What stood in the way.
    pub why: String,
}

/// Accepting fails: `heronry.endpoint.accept_failed`.
///
/// Clients wait in the kernel's queue meanwhile, and open connections stay as they are. Emitted at the first failure,
/// and then as often as every 10 s while it goes on.
#[derive(Debug)]
#[non_exhaustive]
pub struct AcceptFailed {
    /// What the system said, such as `Too many open files`.
    pub error: String,
    /// How often it failed since this was emitted last.
    pub times: u64,
}

/// Accepting works again: `heronry.endpoint.accept_recovered`.
#[derive(Debug)]
#[non_exhaustive]
pub struct AcceptRecovered {
    /// How long it did not.
    pub after: Duration,
}

/// A round of a drain begins: `heronry.socket.drain`. Phoenix's `[:phoenix, :socket_drain]`.
#[derive(Debug)]
#[non_exhaustive]
pub struct SocketDrain {
    /// Sockets that are told in this round.
    pub count: usize,
    /// Sockets that are told in all.
    pub total: usize,
    /// Which round it is, from 1.
    pub index: usize,
    /// How many rounds there are.
    pub rounds: usize,
    /// From one round to the next.
    pub interval: Duration,
}

impl fmt::Display for ConnectionRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the connection of {} was closed unserved: {}", self.peer, self.why)
    }
}

impl fmt::Display for AcceptFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { error, times } = self;
        write!(f, "cannot accept connections and keeps trying: {error} ({times} times)")
    }
}

impl fmt::Display for AcceptRecovered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "connections are accepted again, after {:?}", self.after)
    }
}

impl fmt::Display for SocketDrain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { count, total, index, rounds, interval } = self;
        write!(f, "draining {count} of {total} sockets (round {index} of {rounds}, {interval:?} apart)")
    }
}

impl Event for ConnectionRefused {
    fn name(&self) -> &'static str {
        "heronry.endpoint.connection_refused"
    }

    fn level(&self) -> Level {
        Level::Warn
    }
}

impl Event for AcceptFailed {
    fn name(&self) -> &'static str {
        "heronry.endpoint.accept_failed"
    }

    fn level(&self) -> Level {
        Level::Error
    }
}

impl Event for AcceptRecovered {
    fn name(&self) -> &'static str {
        "heronry.endpoint.accept_recovered"
    }

    fn level(&self) -> Level {
        Level::Info
    }
}

impl Event for SocketDrain {
    fn name(&self) -> &'static str {
        "heronry.socket.drain"
    }

    fn level(&self) -> Level {
        Level::Info
    }
}
