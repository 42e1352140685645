//! What trackers tell telemetry.

use std::fmt;
use std::sync::Arc;

use heronry::Pid;
use heronry::node::NodeId;
use heronry::telemetry::{Event, Level};

use super::message::MessageError;
use crate::limits::Limit;

/// A presence was not tracked since a limit was reached: `heronry.tracker.limited`.
#[derive(Debug)]
#[non_exhaustive]
pub struct TrackerLimited {
    /// The tracker.
    pub tracker: Arc<str>,
    /// The process that was to be tracked.
    pub pid: Pid,
    /// Which limit.
    pub limit: Limit,
    /// What it is set to.
    pub max: usize,
}

/// A message of another node's tracker was not understood, and was dropped: `heronry.tracker.message_dropped`.
#[derive(Debug)]
#[non_exhaustive]
pub struct TrackerMessageDropped {
    /// The tracker.
    pub tracker: Arc<str>,
    /// The node that sent it.
    pub from: NodeId,
    /// Why.
    pub why: String,
}

/// More came from other nodes than a shard could take in, and some of it was dropped; it asks them anew:
/// `heronry.tracker.overrun`.
#[derive(Debug)]
#[non_exhaustive]
pub struct TrackerOverrun {
    /// The tracker.
    pub tracker: Arc<str>,
    /// What may wait for a shard, in bytes: [`INBOX_BYTES_MAX`](super::INBOX_BYTES_MAX).
    pub bytes_max: usize,
}

impl TrackerMessageDropped {
    pub(super) fn new(tracker: Arc<str>, from: NodeId, error: MessageError) -> Self {
        Self { tracker, from, why: error.to_string() }
    }
}

impl fmt::Display for TrackerLimited {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { tracker, pid, limit, max } = self;
        write!(f, "tracker {tracker} does not track {pid}: {} is {max}", limit.as_str())
    }
}

impl fmt::Display for TrackerMessageDropped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { tracker, from, why } = self;
        write!(f, "tracker {tracker} dropped a message of {from}: {why}")
    }
}

impl fmt::Display for TrackerOverrun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { tracker, bytes_max } = self;
        write!(
            f,
            "tracker {tracker} dropped what other nodes told: {bytes_max} bytes wait already; it asks anew"
        )
    }
}

impl Event for TrackerLimited {
    fn name(&self) -> &'static str {
        "heronry.tracker.limited"
    }

    fn level(&self) -> Level {
        Level::Warn
    }
}

impl Event for TrackerMessageDropped {
    fn name(&self) -> &'static str {
        "heronry.tracker.message_dropped"
    }

    fn level(&self) -> Level {
        Level::Warn
    }
}

impl Event for TrackerOverrun {
    fn name(&self) -> &'static str {
        "heronry.tracker.overrun"
    }

    fn level(&self) -> Level {
        Level::Warn
    }
}
