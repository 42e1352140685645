//! What happens to nodes, and what the cluster tells telemetry.

use std::fmt;

use crate::engine::Lane;
use crate::name::Name;
use crate::node::NodeId;
use crate::pid::Pid;
use crate::telemetry::{Event, Level};

/// What [`Node::watch`](super::Node::watch) tells.
///
/// A node in one of its lives is told of in this order: `Up`; `Suspect` and `Recovered` in turn; `Down`; then `Up` again,
/// or `PermDown`. A new life of a name comes as `Down` and `PermDown` of the old one and `Up` of the new.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NodeEvent {
    /// The node is there, or there again.
    Up(NodeId),
    /// The node was not heard for a while. It still counts as there.
    Suspect(NodeId),
    /// The suspect was heard.
    Recovered(NodeId),
    /// The node is lost, left, or was replaced by a new life. Nothing that it sends arrives any more, until it is up again.
    Down(NodeId),
    /// The node is lost for so long that whatever was kept of it should go; or for good, since its life is over.
    PermDown(NodeId),
    /// The engine's link of this lane is up.
    EngineUp(Lane),
    /// The engine's link of this lane is down. Nobody is judged by their silence while the control lane's is.
    EngineDown(Lane),
}

/// A node came up: `heronry.cluster.node_up`.
#[derive(Debug)]
#[non_exhaustive]
pub struct NodeUp {
    /// The node.
    pub node: NodeId,
}

/// A node went down: `heronry.cluster.node_down`.
#[derive(Debug)]
#[non_exhaustive]
pub struct NodeDown {
    /// The node.
    pub node: NodeId,
}

/// The engine's link of one lane went up or down: `heronry.cluster.engine_link`.
#[derive(Debug)]
#[non_exhaustive]
pub struct EngineLink {
    /// The lane.
    pub lane: Lane,
    /// Whether its link is up.
    pub is_up: bool,
}

/// Another node has begun to live under this one's name: `heronry.cluster.name_taken`. The others have replaced this
/// node by it and hear nothing from here any more. Names must be unique; give one of the two another.
#[derive(Debug)]
#[non_exhaustive]
pub struct NameTaken {
    /// The other one.
    pub by: NodeId,
}

/// There are as many nodes as there may be ([`NODES_MAX_DEFAULT`](super::NODES_MAX_DEFAULT)), and one was not taken in:
/// `heronry.cluster.full`.
#[derive(Debug)]
#[non_exhaustive]
pub struct ClusterFull {
    /// The limit, in nodes.
    pub limit: usize,
    /// Who was not taken in.
    pub refused: NodeId,
}

/// Why a frame went nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Dropped {
    /// It is no frame of ours, or of a version that this node does not know.
    Malformed,
    /// It is not signed by one of our keys.
    Forged,
    /// Its sender is down, has left or was replaced.
    Stranger,
    /// It was there before, or came when it had been given up.
    Duplicate,
    /// It is a part of a message without the others, or one that is too large.
    Stray,
    /// There was no room for it: messages in parts of its sender, or what waits to be delivered. A gap was told of.
    NoRoom,
}

impl Dropped {
    pub(super) const ALL: [Self; 6] =
        [Self::Malformed, Self::Forged, Self::Stranger, Self::Duplicate, Self::Stray, Self::NoRoom];

    fn as_str(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::Forged => "forged",
            Self::Stranger => "of nodes that are down or replaced",
            Self::Duplicate => "duplicate or too late",
            Self::Stray => "without their other parts",
            Self::NoRoom => "for want of room",
        }
    }
}

/// Frames were dropped: `heronry.cluster.frames_dropped`. Told once a heartbeat for each cause, with how many.
#[derive(Debug)]
#[non_exhaustive]
pub struct FramesDropped {
    /// Why.
    pub why: Dropped,
    /// How many since this was last told.
    pub count: u64,
}

/// Frames are missing in what arrives: `heronry.cluster.gaps`. Who subscribed was told, and looks anew. Told once a heartbeat,
/// with how many gaps there were.
#[derive(Debug)]
#[non_exhaustive]
pub struct Gaps {
    /// How many gaps since this was last told.
    pub count: u64,
}

/// A message of another node is none that the process it is for takes: `heronry.cluster.message_unfit`. It is dropped.
#[derive(Debug)]
#[non_exhaustive]
pub struct RemoteMessageUnfit {
    /// Who sent it.
    pub from: NodeId,
    /// Whom it was for.
    pub pid: Pid,
    /// What is wrong with it.
    pub why: String,
}

/// What there may be of remote processes, and what happens beyond it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum RemoteLimit {
    /// [`SESSION_MESSAGES_MAX`](super::SESSION_MESSAGES_MAX) messages, or [`SESSION_BYTES_MAX`](super::SESSION_BYTES_MAX) bytes, on
    /// their way to one node: what was to be sent was refused with [`RemoteError::Full`](super::RemoteError::Full).
    Session,
    /// The same, of what must be said: a `Down`, a reply, the end of a monitor. The connection with the node was given up:
    /// [`NoConnection`](crate::ExitReason::NoConnection) on both sides.
    Connection,
    /// [`EXPORTS_MAX`](super::EXPORTS_MAX) processes that other nodes can reach: one more was refused with
    /// [`ExportError::Full`](super::ExportError::Full).
    Exports,
    /// [`CALLS_SERVED_MAX`](super::CALLS_SERVED_MAX) calls of other nodes at a time: one more was answered with
    /// [`RemoteError::Full`](super::RemoteError::Full).
    Calls,
    /// [`MONITORS_SERVED_MAX`](super::MONITORS_SERVED_MAX) monitors of one other node: one more was told
    /// [`NoConnection`](crate::ExitReason::NoConnection) at once.
    Monitors,
}

impl RemoteLimit {
    pub(super) const ALL: [Self; 5] =
        [Self::Session, Self::Connection, Self::Exports, Self::Calls, Self::Monitors];

    fn as_str(self) -> &'static str {
        match self {
            Self::Session => "messages to a node that is slower than this one were refused",
            Self::Connection => "connections with nodes that are slower than this one were given up",
            Self::Exports => "processes were not exported, since as many are as may be",
            Self::Calls => "calls of other nodes were refused, since as many are served as may be",
            Self::Monitors => "monitors of another node were refused, since it has as many as may be",
        }
    }
}

/// A [limit](RemoteLimit) of remote processes was reached: `heronry.cluster.remote_limited`. Told once a heartbeat for each limit, with how
/// often.
#[derive(Debug)]
#[non_exhaustive]
pub struct RemoteLimited {
    /// Which.
    pub by: RemoteLimit,
    /// How often since this was last told.
    pub count: u64,
}

/// Two nodes had claimed one name of the cluster, and this one has given its claim up: `heronry.cluster.name_conflict`. Its process was
/// told.
#[derive(Debug)]
#[non_exhaustive]
pub struct NameConflict {
    /// The name.
    pub name: Name,
    /// The process of this node that had it.
    pub loser: Pid,
    /// The node whose claim is the earlier one.
    pub winner: NodeId,
}

/// A node owns more names or members than others keep of it, whose rest is passed over; or more changed at once than waits to be told to it,
/// and it is told everything anew: `heronry.cluster.overrun`.
#[derive(Debug)]
#[non_exhaustive]
pub struct ClusterOverrun {
    /// The node.
    pub node: NodeId,
}

impl fmt::Display for NameConflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} lost the name {} to node {}, whose claim is earlier",
            self.loser, self.name, self.winner
        )
    }
}

impl fmt::Display for ClusterOverrun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "node {} has more names or members than may be, or is told too much at once", self.node)
    }
}

impl fmt::Display for RemoteLimited {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.count, self.by.as_str())
    }
}

impl fmt::Display for RemoteMessageUnfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a message of node {} does not fit {}: {}", self.from, self.pid, self.why)
    }
}

impl fmt::Display for NodeUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "node {} is up", self.node)
    }
}

impl fmt::Display for NodeDown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "node {} is down", self.node)
    }
}

impl fmt::Display for EngineLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lane = match self.lane {
            Lane::Control => "control",
            Lane::Data => "data",
        };
        write!(f, "the engine's {lane} link is {}", if self.is_up { "up" } else { "down" })
    }
}

impl fmt::Display for NameTaken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "another node lives under this node's name, {}: the cluster hears only the newer one",
            self.by
        )
    }
}

impl fmt::Display for ClusterFull {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the cluster has {} nodes, the most there may be: {} is not taken in",
            self.limit, self.refused
        )
    }
}

impl fmt::Display for FramesDropped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} frames from other nodes were dropped: {}", self.count, self.why.as_str())
    }
}

impl fmt::Display for Gaps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} gaps in what other nodes sent", self.count)
    }
}

impl Event for EngineLink {
    fn name(&self) -> &'static str {
        "heronry.cluster.engine_link"
    }

    fn level(&self) -> Level {
        if self.is_up { Level::Info } else { Level::Warn }
    }
}

macro_rules! events {
    ($($event:ty, $name:literal, $level:ident;)*) => {
        $(impl Event for $event {
            fn name(&self) -> &'static str {
                $name
            }

            fn level(&self) -> Level {
                Level::$level
            }
        })*
    };
}

events! {
    NodeUp, "heronry.cluster.node_up", Info;
    NodeDown, "heronry.cluster.node_down", Warn;
    NameTaken, "heronry.cluster.name_taken", Error;
    ClusterFull, "heronry.cluster.full", Error;
    FramesDropped, "heronry.cluster.frames_dropped", Warn;
    Gaps, "heronry.cluster.gaps", Warn;
    NameConflict, "heronry.cluster.name_conflict", Warn;
    ClusterOverrun, "heronry.cluster.overrun", Warn;
    RemoteMessageUnfit, "heronry.cluster.message_unfit", Warn;
    RemoteLimited, "heronry.cluster.remote_limited", Warn;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_that_is_down_is_a_warning_and_one_that_is_up_is_none() {
        let level = |is_up| EngineLink { lane: Lane::Control, is_up }.level();
        assert_eq!((level(true), level(false)), (Level::Info, Level::Warn));
    }
}
