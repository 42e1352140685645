//! What PubSub tells telemetry.

use std::fmt;
use std::sync::Arc;

use super::BroadcastError;
use crate::name::Name;
use crate::node::NodeId;
use crate::telemetry::{Event, Level};

/// A broadcast reached this node's subscribers, but did not leave for other nodes: `heronry.pubsub.broadcast_refused`.
#[derive(Debug)]
#[non_exhaustive]
pub struct BroadcastRefused {
    /// The PubSub.
    pub pubsub: Name,
    /// The topic.
    pub topic: Arc<str>,
    /// Why.
    pub error: BroadcastError,
}

/// A broadcast of another node was dropped, since it can't be read: `heronry.pubsub.broadcast_unreadable`.
#[derive(Debug)]
#[non_exhaustive]
pub struct BroadcastUnreadable {
    /// The PubSub.
    pub pubsub: Name,
    /// The node that sent it, or in whose name it was sent.
    pub from: NodeId,
    /// What is wrong with it.
    pub why: String,
}

impl fmt::Display for BroadcastRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { pubsub, topic, error } = self;
        write!(f, "a broadcast of {pubsub} on {topic:?} reaches no other node: {error}")
    }
}

impl fmt::Display for BroadcastUnreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { pubsub, from, why } = self;
        write!(f, "a broadcast of {pubsub} from {from} is dropped: {why}")
    }
}

impl Event for BroadcastRefused {
    fn name(&self) -> &'static str {
        "heronry.pubsub.broadcast_refused"
    }

    fn level(&self) -> Level {
        Level::Warn
    }
}

impl Event for BroadcastUnreadable {
    fn name(&self) -> &'static str {
        "heronry.pubsub.broadcast_unreadable"
    }

    fn level(&self) -> Level {
        Level::Warn
    }
}
