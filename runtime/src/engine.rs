//! Engines: what carries bytes from node to node. One machine needs none; more ride on a message broker that exists.
//!
//! An engine is deliberately stupid: it moves frames by [`Subject`], says whether its own link is up, and loses, repeats or
//! reorders frames as its broker does. Sequence numbers, gaps, membership and everything that has meaning is above, in
//! the cluster, the same for every engine.
//!
//! Pure: the seam; the implementors are in the folder.

mod backlog;
mod connect;
mod courier;
mod events;
#[cfg(any(feature = "nats", feature = "redis"))]
mod linked;
mod local;
#[cfg(feature = "nats")]
pub mod nats;
#[cfg(feature = "redis")]
pub mod redis;
#[cfg(feature = "testing")]
pub mod sim;

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
pub use connect::{ConnectError, connect};
pub use events::{DropCause, FramesDropped, FramesRefused, LinkDown, LinkUp, ReceiverPanicked};
#[cfg(any(feature = "nats", feature = "redis"))]
pub use linked::{FRAME_AGE_MAX, OUTBOUND_BYTES_MAX, OUTBOUND_FRAMES_MAX, Safeguard};
pub use local::{LOCAL_PAYLOAD_BYTES_MAX, Local, LocalHub};

use crate::node::NodeId;

/// How many shards the topics of PubSub are spread over; the same on all nodes of a cluster, since a topic's shard is its
/// subject.
pub const SHARDS: u16 = 1024;

/// One of the [`SHARDS`] that the topics of PubSub are spread over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ShardId(u16);

/// What a frame is about, and so who gets it. Topics are never a part of it: they travel inside of the frame.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Subject {
    /// Broadcasts on the topics of a shard; for nodes that [want](Engine::set_interest) it.
    PubSub(ShardId),
    /// Signs of life; for all nodes.
    Heartbeats,
    /// The replication of a tracker, by its number in the cluster's table of trackers and its shard; for nodes that want it.
    Tracker(u32, u16),
    /// Messages to one node in one of its lives; for that node.
    Inbox(NodeId, Lane),
}

/// Which of an engine's two connections carries a frame: bulk must not delay what detects failures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Lane {
    /// Heartbeats, trackers, monitors: small and seldom.
    Control,
    /// Broadcasts and messages.
    Data,
}

/// What an engine can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Caps {
    /// The largest frame, in bytes; larger ones are refused as [`PublishError::TooLarge`], so whoever has more sends it in chunks.
    pub max_payload: usize,
}

impl Caps {
    /// Frames of up to that many bytes.
    pub fn new(max_payload: usize) -> Self {
        Self { max_payload }
    }
}

/// A way for frames to get from node to node.
///
/// All methods are called from anywhere, also from inside of processes: none waits, none panics, none needs a runtime of
/// the caller.
pub trait Engine: Send + Sync + fmt::Debug + 'static {
    /// This node.
    fn node(&self) -> &NodeId;

    /// What it can do; the same for the engine's whole life.
    fn caps(&self) -> Caps;

    /// Begins to receive: `receiver` is told which lanes are up, and from now on of every event, heartbeats and this node's own
    /// inbox included. A second call replaces the receiver. Once stopped, it does nothing.
    ///
    /// The engine holds the receiver until it is [stopped](Engine::stop), so a receiver that holds the engine ends with that alone.
    fn start(&self, receiver: Arc<dyn Receiver>);

    /// Gives a frame on its way to every node that wants the subject; whether this node gets it back is the engine's choice.
    /// `Ok` promises nothing but that the frame was taken: at most once.
    ///
    /// Frames of one node on one subject leave in the order of the calls.
    ///
    /// # Errors
    /// [`PublishError`] if it was not taken.
    fn publish(&self, subject: &Subject, frame: Bytes) -> Result<(), PublishError>;

    /// Says whether this node wants the subject. Idempotent. Heartbeats and the own inbox are always wanted.
    ///
    /// Turning it off may linger for some seconds, so that a topic that is left and joined in turn costs nothing.
    fn set_interest(&self, subject: &Subject, wanted: bool);

    /// Stops: nothing is taken or received from this call on, and connections are closed once what was taken is written or
    /// `deadline` has passed. Whoever ends the program waits for that with what is returned; it never takes longer than the deadline.
    ///
    /// A second call waits for the end of the first.
    fn stop(&self, deadline: Duration) -> Stopping;
}

/// Waits until an engine that was told to stop has come to its end. Dropped, it stops all the same.
pub type Stopping = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Where an engine delivers. Called from the engine's own tasks, for one lane in one at a time: it must not wait. If it panics,
/// the event is lost and the engine goes on.
pub trait Receiver: Send + Sync + 'static {
    /// Takes an event.
    fn receive(&self, event: Event);
}

/// What an engine tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A frame arrived.
    Frame {
        /// On this subject.
        subject: Subject,
        /// These bytes, as they were published by a node; or by a stranger: check them.
        frame: Bytes,
    },
    /// The lane's link is up, for the first time or again.
    Up(Lane),
    /// The lane's link is down: what is published on it is refused until it is up.
    Down(Lane),
    /// Frames of the lane may have been lost: it was down, or this node was too slow to take what came.
    Gap(Lane),
}

/// Why a frame was not taken. The frame is gone; the caller lives.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PublishError {
    /// The engine's queue of frames to be written is full: the broker is slower than this node.
    Full,
    /// The link is down. Nothing is kept for later: what is old when the link is back is worth nothing.
    Disconnected,
    /// The frame has this many bytes, more than the engine's limit.
    TooLarge {
        /// What it has.
        bytes: usize,
        /// What it may have.
        limit: usize,
    },
    /// The engine was stopped.
    Stopped,
}

impl ShardId {
    /// The shard of that number.
    ///
    /// `None` if it is not below [`SHARDS`].
    pub fn new(number: u16) -> Option<Self> {
        (number < SHARDS).then_some(Self(number))
    }

    /// The number.
    pub fn get(self) -> u16 {
        self.0
    }
}

impl Event {
    /// The lane that it came on.
    pub fn lane(&self) -> Lane {
        match self {
            Self::Frame { subject, .. } => subject.lane(),
            Self::Up(lane) | Self::Down(lane) | Self::Gap(lane) => *lane,
        }
    }
}

impl Subject {
    /// Which connection carries it.
    pub fn lane(&self) -> Lane {
        match self {
            Self::PubSub(_) => Lane::Data,
            Self::Heartbeats | Self::Tracker(..) => Lane::Control,
            Self::Inbox(_, lane) => *lane,
        }
    }
}

impl fmt::Display for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Control => "control",
            Self::Data => "data",
        })
    }
}

impl fmt::Display for PublishError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full => f.write_str(
                "the engine's queue is full: the broker takes frames slower than this node makes them",
            ),
            Self::Disconnected => f.write_str("the engine's link is down; it reconnects by itself"),
            Self::TooLarge { bytes, limit } => {
                write!(f, "the frame has {bytes} bytes, the engine takes {limit}: send less, or in parts")
            }
            Self::Stopped => f.write_str("the engine was stopped"),
        }
    }
}

impl std::error::Error for PublishError {}
