//! What engines tell telemetry.

use std::fmt;

use super::{Lane, PublishError};
use crate::node::NodeId;
use crate::telemetry::{Event, Level};

/// Why frames were lost on this node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DropCause {
    /// What came waited for this node's receiver, and there was no more room; a [`Gap`](super::Event::Gap) stands in its place.
    ReceiverSlow,
    /// What was taken waited for longer than it is worth (2 s) until the broker took it.
    Stale,
    /// What was taken waited to be written when the link went down.
    LinkDown,
    /// They were larger than the broker takes since it was connected anew or configured anew.
    TooLarge,
    /// What came was not for this node, or on no subject of its cluster; only something that is no node sends that.
    Foreign,
}

impl DropCause {
    fn as_str(self) -> &'static str {
        match self {
            Self::ReceiverSlow => "this node takes frames slower than they come",
            Self::Stale => "the broker takes frames slower than this node makes them",
            Self::TooLarge => "the broker's limit has become lower",
            Self::LinkDown => "the link went down",
            Self::Foreign => "they were not for this node",
        }
    }
}

/// Frames that an engine had taken, or that had come, were lost: `heronry.engine.frames_dropped`.
///
/// Told with the number of those that were lost one after the other.
#[derive(Debug)]
#[non_exhaustive]
pub struct FramesDropped {
    /// The node.
    pub node: NodeId,
    /// The lane that they were on.
    pub lane: Lane,
    /// Why.
    pub cause: DropCause,
    /// How many.
    pub count: u64,
}

impl fmt::Display for FramesDropped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { node, lane, cause, count } = self;
        write!(f, "{node} dropped {count} frames of its {lane} lane: {}", cause.as_str())
    }
}

impl Event for FramesDropped {
    fn name(&self) -> &'static str {
        "heronry.engine.frames_dropped"
    }

    fn level(&self) -> Level {
        Level::Warn
    }
}

/// The receiver of an engine panicked; the event that it was given is lost, and the engine goes on:
/// `heronry.engine.receiver_panicked`.
#[derive(Debug)]
#[non_exhaustive]
pub struct ReceiverPanicked {
    /// The node.
    pub node: NodeId,
}

impl fmt::Display for ReceiverPanicked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the receiver of the engine of {} panicked: an event is lost", self.node)
    }
}

impl Event for ReceiverPanicked {
    fn name(&self) -> &'static str {
        "heronry.engine.receiver_panicked"
    }

    fn level(&self) -> Level {
        Level::Error
    }
}

/// Frames were refused, each with this error to who published it: `heronry.engine.frames_refused`.
///
/// Of an unbroken row of refusals the first is told at once, the others by their number when it is over.
#[derive(Debug)]
#[non_exhaustive]
pub struct FramesRefused {
    /// The node.
    pub node: NodeId,
    /// The lane.
    pub lane: Lane,
    /// The error.
    pub error: PublishError,
    /// How many.
    pub count: u64,
}

impl fmt::Display for FramesRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { node, lane, error, count } = self;
        write!(f, "{node} refused {count} frames of its {lane} lane: {error}")
    }
}

impl Event for FramesRefused {
    fn name(&self) -> &'static str {
        "heronry.engine.frames_refused"
    }

    fn level(&self) -> Level {
        Level::Warn
    }
}

/// The link of a lane is up, for the first time or again: `heronry.engine.link_up`.
#[derive(Debug)]
#[non_exhaustive]
pub struct LinkUp {
    /// The node.
    pub node: NodeId,
    /// The lane.
    pub lane: Lane,
}

impl fmt::Display for LinkUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the {} link of {} is up", self.lane, self.node)
    }
}

impl Event for LinkUp {
    fn name(&self) -> &'static str {
        "heronry.engine.link_up"
    }

    fn level(&self) -> Level {
        Level::Info
    }
}

/// The link of a lane is down, or could not be brought up again: `heronry.engine.link_down`. The engine goes on trying.
#[derive(Debug)]
#[non_exhaustive]
pub struct LinkDown {
    /// The node.
    pub node: NodeId,
    /// The lane.
    pub lane: Lane,
    /// What the client of the broker says about it.
    pub reason: String,
}

impl fmt::Display for LinkDown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the {} link of {} is down: {}; it reconnects by itself", self.lane, self.node, self.reason)
    }
}

impl Event for LinkDown {
    fn name(&self) -> &'static str {
        "heronry.engine.link_down"
    }

    fn level(&self) -> Level {
        Level::Warn
    }
}
