//! A shard of a tracker: some of the topics, on this node and on all others.
//!
//! Each node's shard is the only one that changes the entries of that node's processes, and tells the shards of the other
//! nodes. What it publishes is small: what has changed since the last time. Who finds that it has missed something asks
//! the owner, who answers with what was missed or, part by part, with all that there is.
//!
//! [`core`](self::core) decides all of it; the process (`run.rs`) carries it out.

mod core;
mod events;
mod inbox;
mod message;
mod peer;
mod run;
mod table;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use heronry::cluster::Node;
use heronry::node::NodeId;
use heronry::{Addr, ExitReason};
use parking_lot::{Mutex, RwLock};
use tokio::time::Instant;

pub(crate) use self::core::CoreOptions;
#[cfg(test)]
pub(crate) use self::core::{Core, Output};
pub use events::{TrackerLimited, TrackerMessageDropped, TrackerOverrun};
pub use inbox::INBOX_BYTES_MAX;
pub(crate) use message::Home;
#[cfg(test)]
pub(crate) use message::Message;
pub(crate) use run::{Edit, ShardArgs, ShardMsg, ShardServer};
pub(crate) use table::Table;
#[cfg(feature = "channels")]
pub(crate) use table::Topic;

use crate::diff::TopicDiff;

/// What an application does with what a tracker sees. Phoenix's `Phoenix.Tracker` behaviour.
///
/// There is one value for each shard, within the shard's process. Whatever a callback waits for the shard waits for too,
/// and a panic in one ends the shard and **all processes that it tracks**: they are linked to it, as in Phoenix, so that
/// nobody lives on whom the tracker has forgotten. Do what takes time, or may fail, in a process of its own.
///
/// ```
/// use heronry::prelude::*;
/// use heronry_presence::{TopicDiff, Tracker};
///
/// struct Log;
///
/// impl Tracker for Log {
///     type Args = ();
///     type Msg = ();
///
///     async fn init((): ()) -> Result<Self, ExitReason> {
///         Ok(Log)
///     }
///
///     async fn handle_diff(&mut self, diffs: &[TopicDiff]) {
///         for diff in diffs {
///             diff.joins().iter().for_each(|entry| println!("{} came to {}", entry.key(), diff.topic()));
///             diff.leaves().iter().for_each(|entry| println!("{} left {}", entry.key(), diff.topic()));
///         }
///     }
/// }
/// ```
pub trait Tracker: Sized + Send + 'static {
    /// What `init` is given, for each shard and each of its restarts.
    type Args: Clone + Send + Sync + 'static;
    /// What other processes may [tell](crate::TrackerRef::tell) it; `()` if nothing.
    type Msg: Send + 'static;

    /// Makes the state. If it fails, the shard does not start. Phoenix's `init/1`.
    fn init(args: Self::Args) -> impl Future<Output = Result<Self, ExitReason>> + Send;

    /// Is told who joined and who left, on this node or another; at most one diff for each topic, or a few where a
    /// key did several things. Whoever lists a topic meanwhile sees the state after it. Phoenix's `handle_diff/2`.
    fn handle_diff(&mut self, diffs: &[TopicDiff]) -> impl Future<Output = ()> + Send;

    /// Is told what another process sent. Phoenix's `handle_info/2`; does nothing unless implemented.
    fn handle_info(&mut self, msg: Self::Msg) -> impl Future<Output = ()> + Send {
        drop(msg);
        async {}
    }
}

/// What a tracker's shards and whoever uses it have in common.
pub(crate) struct Shared<M> {
    pub(crate) name: Arc<str>,
    pub(crate) id: NodeId,
    pub(crate) node: Option<Node>,
    pub(crate) options: CoreOptions,
    shards: Box<[Slot<M>]>,
    epoch: Instant,
}

/// One shard, as it is reached.
pub(crate) struct Slot<M> {
    addr: RwLock<Option<Addr<ShardMsg<M>>>>,
    table: Table,
    /// How often it was started.
    generation: AtomicU64,
    /// What a process that crashed has shown and not told.
    untold: Mutex<Vec<TopicDiff>>,
}

impl<M: Send + 'static> Shared<M> {
    pub(crate) fn new(
        name: Arc<str>,
        id: NodeId,
        node: Option<Node>,
        options: CoreOptions,
        shards: u16,
    ) -> Self {
        let slot = |_| Slot {
            addr: RwLock::new(None),
            table: Table::default(),
            generation: AtomicU64::new(0),
            untold: Mutex::default(),
        };
        let shards = (0..shards.max(1)).map(slot).collect();
        Self { name, id, node, options, shards, epoch: Instant::now() }
    }

    /// How many shards there are.
    pub(crate) fn len(&self) -> u16 {
        u16::try_from(self.shards.len()).expect("invariant: it was made of a u16")
    }

    /// The shard of a topic: the same on all nodes.
    pub(crate) fn shard(&self, topic: &str) -> &Slot<M> {
        &self.shards[(hash(topic) % self.shards.len() as u64) as usize]
    }

    /// All shards.
    pub(crate) fn shards(&self) -> impl Iterator<Item = &Slot<M>> {
        self.shards.iter()
    }

    fn slot(&self, number: u16) -> &Slot<M> {
        &self.shards[usize::from(number)]
    }

    fn home(&self, shard: u16) -> Home {
        Home { tracker: hash(&self.name), shards: self.len(), shard }
    }

    /// The time since the tracker was made.
    fn now(&self) -> Duration {
        self.epoch.elapsed()
    }
}

impl<M: Send + 'static> Slot<M> {
    /// Its process, if it runs.
    pub(crate) fn addr(&self) -> Option<Addr<ShardMsg<M>>> {
        self.addr.read().clone()
    }

    /// What there is to be seen.
    pub(crate) fn table(&self) -> &Table {
        &self.table
    }

    /// A process takes the shard over; the number of its life, or an error if another has it.
    fn begin(&self, addr: Addr<ShardMsg<M>>) -> Result<u64, ExitReason> {
        let mut held = self.addr.write();
        if held.as_ref().is_some_and(Addr::is_alive) {
            return Err(ExitReason::custom(
                "the tracker runs already: it can be in one supervision tree only",
            ));
        }
        *held = Some(addr);
        Ok(self.generation.fetch_add(1, Ordering::Relaxed) + 1)
    }

    fn end(&self) {
        *self.addr.write() = None;
    }
}

/// FNV-1a: short, and the same on every node of every version.
pub(crate) fn hash(text: &str) -> u64 {
    text.bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

impl<M> fmt::Debug for Shared<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("name", &self.name).finish_non_exhaustive()
    }
}
