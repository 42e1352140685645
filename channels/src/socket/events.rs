//! What sockets tell telemetry.

use std::fmt;
use std::time::Duration;

use bytestring::ByteString;
use heronry::Pid;
use heronry::telemetry::{Event, Level};

use crate::close::CloseCode;
use crate::serializer::EncodeError;

/// A client connected: `heronry.socket.connected`. Phoenix's `[:phoenix, :socket_connected]`.
#[derive(Debug)]
#[non_exhaustive]
pub struct SocketConnected {
    /// The socket's process.
    pub pid: Pid,
    /// The socket's id, if it has one.
    pub id: Option<String>,
    /// `websocket` or `longpoll`.
    pub transport: &'static str,
    /// How long `connect` took.
    pub duration: Duration,
}

/// A connection ended: `heronry.socket.closed`.
#[derive(Debug)]
#[non_exhaustive]
pub struct SocketClosed {
    /// The socket's process.
    pub pid: Pid,
    /// Why, in a few words.
    pub why: String,
    /// The code that the server closed it with; `None` if the client closed it or is gone.
    pub code: Option<CloseCode>,
    /// Messages read from the client.
    pub received: u64,
    /// Messages written to the client.
    pub sent: u64,
}

/// A client reads slower than its channels write; it is disconnected: `heronry.socket.overloaded`.
#[derive(Debug)]
#[non_exhaustive]
pub struct SocketOverloaded {
    /// The socket's process.
    pub pid: Pid,
    /// What waited to be written, in bytes.
    pub bytes: usize,
    /// What may wait: [`Limits::outbound_bytes_max`](super::Limits::outbound_bytes_max).
    pub bytes_max: usize,
    /// How long the oldest of it has waited, if that is the reason and not the bytes.
    pub age: Option<Duration>,
}

/// Messages did not go to a client that reads slowly, as its mount's [`Overload`](super::Overload) says:
/// `heronry.socket.shed`. Emitted once a second for each socket at most.
#[derive(Debug)]
#[non_exhaustive]
pub struct SocketShed {
    /// The socket's process.
    pub pid: Pid,
    /// Broadcasts and pushes that were dropped since this was emitted last.
    pub dropped: u64,
    /// Broadcasts that a newer one of their key took away since then.
    pub conflated: u64,
}

/// A client sent to a topic that it has not joined or that no channel serves: `heronry.socket.topic_unmatched`.
#[derive(Debug)]
#[non_exhaustive]
pub struct TopicUnmatched {
    /// The socket's process.
    pub pid: Pid,
    /// The topic.
    pub topic: ByteString,
    /// The event.
    pub event: ByteString,
}

/// A client was refused since more connect than its mount [takes](crate::SocketOptions::connects):
/// `heronry.socket.connects_limited`.
#[derive(Debug)]
#[non_exhaustive]
pub struct ConnectsLimited {
    /// `websocket` or `longpoll`.
    pub transport: &'static str,
    /// The path of the request.
    pub path: String,
    /// After what time there will be room for one.
    pub wait: Duration,
}

/// A join was refused by a limit of its socket: `heronry.socket.join_limited`.
///
/// The limits are [`Limits::channels_max`](super::Limits::channels_max) and [`Limits::joins`](super::Limits::joins).
#[derive(Debug)]
#[non_exhaustive]
pub struct JoinLimited {
    /// The socket's process.
    pub pid: Pid,
    /// The topic.
    pub topic: ByteString,
    /// The reason that its client was told.
    pub reason: &'static str,
}

/// A channel crashed and was started again with its join's params; its client was told nothing:
/// `heronry.channel.restarted`.
#[derive(Debug)]
#[non_exhaustive]
pub struct ChannelRestarted {
    /// The channel's new process.
    pub pid: Pid,
    /// The one that crashed.
    pub old: Pid,
    /// The topic.
    pub topic: ByteString,
    /// How often channels of this topic have crashed on their socket.
    pub restarts: u32,
}

/// A broadcast did not reach the clients of one serializer, which can't carry it (bytes for clients of the V1 protocol,
/// or for those that poll); the others got it: `heronry.socket.broadcast_dropped`.
#[derive(Debug)]
#[non_exhaustive]
pub struct BroadcastDropped {
    /// The topic.
    pub topic: ByteString,
    /// The event.
    pub event: ByteString,
    /// What the serializer said.
    pub error: EncodeError,
}

/// A channel's mailbox is full and an event of its client was lost; the channel is killed, so that its client rejoins:
/// `heronry.channel.mailbox_full`.
#[derive(Debug)]
#[non_exhaustive]
pub struct ChannelMailboxFull {
    /// The channel's process.
    pub pid: Pid,
    /// The topic.
    pub topic: ByteString,
}

impl fmt::Display for SocketConnected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { pid, id, transport, duration } = self;
        write!(f, "socket {pid} connected over {transport} (id {id:?}) in {duration:?}")
    }
}

impl fmt::Display for SocketClosed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { pid, why, received, sent, code: _ } = self;
        write!(f, "socket {pid} closed: {why} ({received} messages received, {sent} sent)")
    }
}

impl fmt::Display for SocketOverloaded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { pid, bytes, bytes_max, age } = self;
        write!(
            f,
            "socket {pid} is disconnected: its client reads too slowly ({bytes} of {bytes_max} bytes wait"
        )?;
        match age {
            Some(age) => write!(f, ", the oldest for {age:?})"),
            None => f.write_str(")"),
        }
    }
}

impl fmt::Display for SocketShed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { pid, dropped, conflated } = self;
        write!(f, "socket {pid} has a slow client: {dropped} messages dropped, {conflated} conflated")
    }
}

impl fmt::Display for TopicUnmatched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { pid, topic, event } = self;
        write!(f, "socket {pid}: ignoring {event:?} for {topic:?}, which is not joined or not routed")
    }
}

impl fmt::Display for ConnectsLimited {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { transport, path, wait } = self;
        write!(
            f,
            "a client is refused at {path:?} ({transport}): too many connect, there is room in {wait:?}"
        )
    }
}

impl fmt::Display for JoinLimited {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { pid, topic, reason } = self;
        write!(f, "socket {pid} refuses the join of {topic:?}: {reason}")
    }
}

impl fmt::Display for ChannelRestarted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { pid, old, topic, restarts } = self;
        write!(
            f,
            "channel {pid} {topic:?} is in the place of {old}, which crashed (crash {restarts} of this topic)"
        )
    }
}

impl fmt::Display for BroadcastDropped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { topic, event, error } = self;
        write!(f, "the broadcast {event:?} on {topic:?} is lost for some clients: {error}")
    }
}

impl fmt::Display for ChannelMailboxFull {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { pid, topic } = self;
        write!(
            f,
            "channel {pid} {topic:?} is killed: its mailbox is full and an event of its client was lost"
        )
    }
}

impl Event for SocketConnected {
    fn name(&self) -> &'static str {
        "heronry.socket.connected"
    }

    fn level(&self) -> Level {
        Level::Debug
    }
}

impl Event for SocketClosed {
    fn name(&self) -> &'static str {
        "heronry.socket.closed"
    }

    fn level(&self) -> Level {
        match self.code {
            Some(
                CloseCode::ProtocolError
                | CloseCode::InvalidUtf8
                | CloseCode::PolicyViolation
                | CloseCode::TooBig
                | CloseCode::InternalError,
            ) => Level::Warn,
            Some(CloseCode::Normal | CloseCode::GoingAway | CloseCode::Restart | CloseCode::TryAgain)
            | None => Level::Debug,
        }
    }
}

impl Event for SocketOverloaded {
    fn name(&self) -> &'static str {
        "heronry.socket.overloaded"
    }

    fn level(&self) -> Level {
        Level::Warn
    }
}

impl Event for SocketShed {
    fn name(&self) -> &'static str {
        "heronry.socket.shed"
    }

    /// A conflated message is what was asked for; a dropped one is a loss.
    fn level(&self) -> Level {
        if self.dropped > 0 { Level::Warn } else { Level::Debug }
    }
}

impl Event for TopicUnmatched {
    fn name(&self) -> &'static str {
        "heronry.socket.topic_unmatched"
    }

    fn level(&self) -> Level {
        Level::Warn
    }
}

impl Event for ConnectsLimited {
    fn name(&self) -> &'static str {
        "heronry.socket.connects_limited"
    }

    fn level(&self) -> Level {
        Level::Warn
    }
}

impl Event for JoinLimited {
    fn name(&self) -> &'static str {
        "heronry.socket.join_limited"
    }

    fn level(&self) -> Level {
        Level::Warn
    }
}

impl Event for ChannelRestarted {
    fn name(&self) -> &'static str {
        "heronry.channel.restarted"
    }

    fn level(&self) -> Level {
        Level::Warn
    }
}

impl Event for BroadcastDropped {
    fn name(&self) -> &'static str {
        "heronry.socket.broadcast_dropped"
    }

    fn level(&self) -> Level {
        Level::Warn
    }
}

impl Event for ChannelMailboxFull {
    fn name(&self) -> &'static str {
        "heronry.channel.mailbox_full"
    }

    fn level(&self) -> Level {
        Level::Error
    }
}
