//! What channels tell telemetry.

use std::fmt;
use std::time::Duration;

use bytestring::ByteString;
use heronry::Pid;
use heronry::telemetry::{Event, Level};

/// A join was answered: `heronry.channel.joined`. Phoenix's `[:phoenix, :channel_joined]`.
#[derive(Debug)]
#[non_exhaustive]
pub struct ChannelJoined {
    /// The channel's process.
    pub pid: Pid,
    /// The topic.
    pub topic: ByteString,
    /// Whether the client was let in.
    pub accepted: bool,
    /// How long `join` took.
    pub duration: Duration,
}

/// An event of a client was handled: `heronry.channel.handled_in`. Phoenix's `[:phoenix, :channel_handled_in]`.
#[derive(Debug)]
#[non_exhaustive]
pub struct ChannelHandledIn {
    /// The channel's process.
    pub pid: Pid,
    /// The topic.
    pub topic: ByteString,
    /// The event.
    pub event: ByteString,
    /// How long `handle_in` took.
    pub duration: Duration,
}

impl fmt::Display for ChannelJoined {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let outcome = if self.accepted { "joined" } else { "refused" };
        write!(f, "{} {outcome} {:?} in {:?}", self.pid, self.topic, self.duration)
    }
}

impl fmt::Display for ChannelHandledIn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?} handled {:?} in {:?}", self.pid, self.topic, self.event, self.duration)
    }
}

impl Event for ChannelJoined {
    fn name(&self) -> &'static str {
        "heronry.channel.joined"
    }

    fn level(&self) -> Level {
        Level::Debug
    }
}

impl Event for ChannelHandledIn {
    fn name(&self) -> &'static str {
        "heronry.channel.handled_in"
    }

    fn level(&self) -> Level {
        Level::Debug
    }
}
