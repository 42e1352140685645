//! What engines tell telemetry.

use std::fmt;

use super::Lane;
use crate::node::NodeId;
use crate::telemetry::{Event, Level};

/// Why frames were lost on this node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DropCause {
    /// What came waited for this node's receiver, and there was no more room; a [`Gap`](super::Event::Gap) stands in its place.
    ReceiverSlow,
}

impl DropCause {
    fn as_str(self) -> &'static str {
        match self {
            Self::ReceiverSlow => "this node takes frames slower than they come",
        }
    }
}

/// Frames that an engine had taken, or that had come, were lost: `heronry.engine.frames_dropped`.
///
/// Of frames that are lost one after the other for the same cause the first is told.
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
