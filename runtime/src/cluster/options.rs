//! With what a node is started.

use std::fmt;
use std::time::Duration;

use super::failure::Patience;
use super::mac::{Mac, MacKey};
use crate::server::StartError;

/// How often a node says that it lives.
pub const HEARTBEAT_DEFAULT: Duration = Duration::from_secs(1);

/// After which silence a node is suspected: three heartbeats.
pub const SUSPECT_DEFAULT: Duration = Duration::from_secs(3);

/// After which silence a node is down.
pub const DOWN_DEFAULT: Duration = Duration::from_secs(5);

/// After which silence what is kept of a node goes.
pub const PERMDOWN_DEFAULT: Duration = Duration::from_secs(20 * 60);

/// How many other nodes one knows, those that are down included. If one more is heard, the one that is down for longest makes
/// room; if none is down, it is not taken in ([`ClusterFull`](super::ClusterFull)).
pub const NODES_MAX_DEFAULT: usize = 4_096;

/// With what a [`Node`](super::Node) is started. All nodes of a cluster should have the same.
///
/// ```
/// use std::time::Duration;
/// use heronry::cluster::{MacKey, NodeOptions};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let options = NodeOptions::new()
///     .mac_key(MacKey::new(b"thirty-two random bytes, no text")?)
///     .down(Duration::from_secs(8));
/// # drop(options); Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct NodeOptions {
    pub(super) heartbeat: Duration,
    suspect: Duration,
    down: Duration,
    permdown: Duration,
    pub(super) nodes_max: usize,
    key: Option<MacKey>,
    old_key: Option<MacKey>,
}

/// A node that could not be made or started. Nothing of it is left.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum NodeError {
    /// The times are not in order: it must be that heartbeat < suspect < down < permdown.
    Times,
    /// The engine's frames hold this many bytes, too few for anything; they must hold 1,024.
    MaxPayload(usize),
    /// Its process did not start.
    Start(StartError),
}

impl NodeOptions {
    /// The defaults: heartbeats each second, suspect after 3 s, down after 5 s, permdown after 20 min, no signatures.
    pub fn new() -> Self {
        Self {
            heartbeat: HEARTBEAT_DEFAULT,
            suspect: SUSPECT_DEFAULT,
            down: DOWN_DEFAULT,
            permdown: PERMDOWN_DEFAULT,
            nodes_max: NODES_MAX_DEFAULT,
            key: None,
            old_key: None,
        }
    }

    /// How often the node says that it lives; [`HEARTBEAT_DEFAULT`] unless said otherwise.
    #[must_use]
    pub fn heartbeat(self, period: Duration) -> Self {
        Self { heartbeat: period, ..self }
    }

    /// After which silence another node is suspected; [`SUSPECT_DEFAULT`] unless said otherwise.
    #[must_use]
    pub fn suspect(self, silence: Duration) -> Self {
        Self { suspect: silence, ..self }
    }

    /// After which silence another node is down; [`DOWN_DEFAULT`] unless said otherwise.
    #[must_use]
    pub fn down(self, silence: Duration) -> Self {
        Self { down: silence, ..self }
    }

    /// After which silence what is kept of another node goes; [`PERMDOWN_DEFAULT`] unless said otherwise.
    #[must_use]
    pub fn permdown(self, silence: Duration) -> Self {
        Self { permdown: silence, ..self }
    }

    /// How many other nodes this one knows; [`NODES_MAX_DEFAULT`] unless said otherwise.
    #[must_use]
    pub fn nodes_max(self, nodes: usize) -> Self {
        Self { nodes_max: nodes, ..self }
    }

    /// Signs all frames with this key, and takes none that is not signed.
    ///
    /// To change keys without a break, give all nodes the new one as [`old_mac_key`](Self::old_mac_key) first, then all
    /// the new one as this and the old one as that, then drop the old one. A node without a key takes signed frames too,
    /// but one with a key does not take unsigned ones: a cluster that begins to sign is in two parts until all nodes do.
    #[must_use]
    pub fn mac_key(self, key: MacKey) -> Self {
        Self { key: Some(key), ..self }
    }

    /// Takes frames that are signed with this key too; of no use without a [`mac_key`](Self::mac_key).
    #[must_use]
    pub fn old_mac_key(self, key: MacKey) -> Self {
        Self { old_key: Some(key), ..self }
    }

    pub(super) fn mac(&self) -> Option<Mac> {
        self.key.clone().map(|key| Mac::new(key, self.old_key.clone()))
    }

    pub(super) fn patience(&self) -> Result<Patience, NodeError> {
        let Self { heartbeat, suspect, down, permdown, .. } = *self;
        let in_order = Duration::ZERO < heartbeat && heartbeat < suspect && suspect < down && down < permdown;
        if in_order { Ok(Patience { suspect, down, permdown }) } else { Err(NodeError::Times) }
    }
}

impl Default for NodeOptions {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Display for NodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Times => {
                f.write_str("a node's times must be in order: 0 < heartbeat < suspect < down < permdown")
            }
            Self::MaxPayload(bytes) => {
                write!(f, "the engine's frames hold {bytes} bytes; a node needs {}", super::MAX_PAYLOAD_MIN)
            }
            Self::Start(error) => write!(f, "the node's process: {error}"),
        }
    }
}

impl std::error::Error for NodeError {}

impl From<StartError> for NodeError {
    fn from(error: StartError) -> Self {
        Self::Start(error)
    }
}
