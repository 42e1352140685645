//! Trackers: who is where, on this node and on all others.

use std::fmt;
use std::sync::Arc;
#[cfg(feature = "channels")]
use std::sync::Weak;
use std::time::Duration;

use heronry::SendError;
use heronry::cluster::Node;
use heronry::node::{Incarnation, NodeId, NodeName};
use heronry::prelude::*;

use crate::entry::Entry;
use crate::limits::{TrackError, TrackerLimits};
use crate::meta::{IntoMeta, Meta, MetaError};
#[cfg(feature = "channels")]
use crate::shard::Topic;
use crate::shard::{CoreOptions, Edit, ShardArgs, ShardMsg, ShardServer, Shared, Tracker};

/// How long changes of a topic are gathered before they are told, to this node and to the others: 20 ms. The first change
/// of a quiet topic is told at once.
pub const WINDOW_DEFAULT: Duration = Duration::from_millis(20);

/// How often a shard says how far it has come while nothing changes: each second. A lost message is found out by the next
/// one, so within this time.
pub const HEARTBEAT_DEFAULT: Duration = Duration::from_secs(1);

/// How many shards a tracker may have.
pub const POOL_SIZE_MAX: u16 = 1_024;

/// How much is told in one message to another node, in bytes, about: what is more goes in parts, each asked for.
const MESSAGE_BYTES: usize = 256 * 1024;

/// How many changes a shard remembers at least, so that who missed some is told those alone.
const LOG_CHANGES_MIN: usize = 10_000;

/// How long a tracker's process may take to answer.
const CALL_TIMEOUT: Duration = Duration::from_secs(5);

/// With what a tracker is made.
#[derive(Clone, Debug)]
pub struct TrackerOptions {
    /// How many shards, and so processes, the topics are spread over, **the same on all nodes**; 1 unless set, and
    /// [`POOL_SIZE_MAX`] at most. More make use of more cores where many join and leave. Phoenix's `pool_size`.
    pub pool_size: u16,
    /// How long changes are gathered before they are told; [`WINDOW_DEFAULT`] unless set.
    pub window: Duration,
    /// How often a shard tells the others how far it has come; [`HEARTBEAT_DEFAULT`] unless set. Phoenix's
    /// `broadcast_period`.
    pub heartbeat: Duration,
    /// How long after its process a presence leaves; at once unless set. If within this time another process of this
    /// node is tracked in the topic under the key, it takes the presence over: with the same meta nobody notices, with
    /// another one it is an update. So the reload of a page is no leave and join. [Untracking](TrackerRef::untrack) is not
    /// delayed.
    pub leave_grace: Duration,
    /// How much it keeps.
    pub limits: TrackerLimits,
    /// The node by which it knows the trackers of its name on other nodes; unless set it is alone, and pays nothing
    /// for others.
    pub node: Option<Node>,
}

impl Default for TrackerOptions {
    fn default() -> Self {
        Self {
            pool_size: 1,
            window: WINDOW_DEFAULT,
            heartbeat: HEARTBEAT_DEFAULT,
            leave_grace: Duration::ZERO,
            limits: TrackerLimits::default(),
            node: None,
        }
    }
}

/// A tracker; cheap to clone, all clones are the same. Phoenix's `Phoenix.Tracker`.
///
/// Processes are tracked in topics under keys, each with a [`Meta`]. An entry goes when its process ends. What there is
/// on all nodes is in a table of this node: [`list`](Self::list), [`get_by_key`](Self::get_by_key) and
/// [`count`](Self::count) read it and ask no process. Each change is told to the [`Tracker`] on every node.
///
/// Its processes run once its [`child_spec`](Self::child_spec) is in a supervision tree, before what uses it.
///
/// ```
/// use heronry::prelude::*;
/// use heronry_presence::{TopicDiff, Tracker, TrackerOptions, TrackerRef};
/// use serde_json::json;
///
/// struct Quiet;
///
/// impl Tracker for Quiet {
///     type Args = ();
///     type Msg = ();
///     async fn init((): ()) -> Result<Self, ExitReason> { Ok(Quiet) }
///     async fn handle_diff(&mut self, _: &[TopicDiff]) {}
/// }
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let tracker = TrackerRef::<Quiet>::new("workers", (), TrackerOptions::default());
/// let tree = Supervisor::one_for_one().child(tracker.child_spec()).start().await?;
///
/// let worker = spawn(|_: Context<()>| std::future::pending::<()>());
/// let phx_ref = tracker.track(worker.pid(), "jobs", "worker-1", json!({ "load": 0 })).await?;
/// assert_eq!(tracker.count("jobs"), 1);
/// let entry = &tracker.list("jobs")[0];
/// assert_eq!((entry.key(), entry.reference()), ("worker-1", phx_ref));
/// assert_eq!(entry.meta().as_str(), r#"{"load":0}"#);
///
/// tracker.untrack(worker.pid(), "jobs", "worker-1").await?;
/// assert_eq!(tracker.count("jobs"), 0);
/// # heronry::process::kill(worker.pid());
/// # tree.stop().await;
/// # Ok(()) }
/// ```
pub struct TrackerRef<T: Tracker> {
    shared: Arc<Shared<T::Msg>>,
    args: T::Args,
}

impl<T: Tracker> TrackerRef<T> {
    /// A tracker that does not run yet. On all nodes of a cluster it has the same name; trackers of one node have different ones.
    pub fn new(name: &str, args: T::Args, options: TrackerOptions) -> Self {
        let TrackerOptions { pool_size, window, heartbeat, leave_grace, limits, node } = options;
        let core = CoreOptions {
            replicated: node.is_some(),
            window,
            heartbeat,
            leave_grace,
            message_bytes: MESSAGE_BYTES,
            log_changes_min: LOG_CHANGES_MIN,
            limits,
        };
        let id = node.as_ref().map_or_else(alone, |node| node.id().clone());
        let shards = pool_size.clamp(1, POOL_SIZE_MAX);
        Self { shared: Arc::new(Shared::new(name.into(), id, node, core, shards)), args }
    }

    /// Its supervisor, for a supervision tree: before what uses it, so that it is stopped after that.
    ///
    /// When it is stopped in order, its entries leave on all other nodes at once, and its processes live on. If a shard
    /// crashes, the processes that it tracked end with it.
    pub fn child_spec(&self) -> ChildSpec {
        let (shared, args) = (self.shared.clone(), self.args.clone());
        ChildSpec::supervisor(format!("tracker {}", shared.name), move || {
            let pool = u32::from(shared.len());
            // Phoenix's intensity: each shard may crash twice within a second.
            let supervisor = Supervisor::one_for_one()
                .label(format!("tracker {}", shared.name))
                .intensity(2 * pool, Duration::from_secs(1));
            (0..shared.len()).fold(supervisor, |supervisor, number| {
                let args = ShardArgs::<T> { shared: shared.clone(), number, args: args.clone() };
                let child = ChildSpec::server::<ShardServer<T>>(format!("shard {number}"), args);
                supervisor.child(child.restart(Restart::Transient))
            })
        })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.shared.name
    }

    /// Tracks a process of this node in a topic under a key; its reference, which clients see as `phx_ref`. A process may be
    /// tracked any number of times, but once for each topic and key. Phoenix's `track/5`.
    ///
    /// Once this has returned, the entry is in the [`list`](Self::list).
    ///
    /// # Errors
    /// [`TrackError`] says why nothing was tracked.
    ///
    /// # Cancel safety
    /// If the future is dropped, the process may be tracked or not.
    pub async fn track(
        &self,
        pid: Pid,
        topic: &str,
        key: &str,
        meta: impl IntoMeta,
    ) -> Result<String, TrackError> {
        let meta = meta.into_meta()?;
        let place = (topic.into(), key.into());
        self.call(topic, |reply_to| ShardMsg::Track { pid, place, meta, reply_to }).await?
    }

    /// Puts another meta in the place of a presence's; its new reference. It is told as a leave and a join in one diff.
    /// Phoenix's `update/5` with a map.
    ///
    /// # Errors
    /// [`TrackError`] says why nothing was updated.
    ///
    /// # Cancel safety
    /// If the future is dropped, the presence may be updated or not.
    pub async fn update(
        &self,
        pid: Pid,
        topic: &str,
        key: &str,
        meta: impl IntoMeta,
    ) -> Result<String, TrackError> {
        let edit = Edit::Put(meta.into_meta()?);
        self.edit(pid, topic, key, edit).await
    }

    /// Makes another meta of a presence's. Phoenix's `update/5` with a function.
    ///
    /// `edit` runs in the tracker's process, which a panic in it ends.
    ///
    /// ```
    /// # use heronry::prelude::*;
    /// # use heronry_presence::{Meta, TopicDiff, Tracker, TrackerOptions, TrackerRef};
    /// # use serde_json::{Map, Value, json};
    /// # struct Quiet;
    /// # impl Tracker for Quiet {
    /// #     type Args = ();
    /// #     type Msg = ();
    /// #     async fn init((): ()) -> Result<Self, ExitReason> { Ok(Quiet) }
    /// #     async fn handle_diff(&mut self, _: &[TopicDiff]) {}
    /// # }
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let tracker = TrackerRef::<Quiet>::new("workers", (), TrackerOptions::default());
    /// # let tree = Supervisor::one_for_one().child(tracker.child_spec()).start().await?;
    /// # let worker = spawn(|_: Context<()>| std::future::pending::<()>());
    /// # let pid = worker.pid();
    /// tracker.track(pid, "jobs", "worker-1", json!({ "load": 0, "away": false })).await?;
    /// tracker.update_with(pid, "jobs", "worker-1", |meta| {
    ///     let mut meta: Map<String, Value> = meta.parse()?;
    ///     meta.insert("away".to_owned(), true.into());
    ///     Ok(Meta::from(meta))
    /// }).await?;
    /// assert_eq!(tracker.list("jobs")[0].meta().as_str(), r#"{"away":true,"load":0}"#);
    /// # heronry::process::kill(pid);
    /// # tree.stop().await;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`TrackError`] says why nothing was updated; what `edit` says is in it.
    ///
    /// # Cancel safety
    /// If the future is dropped, the presence may be updated or not.
    pub async fn update_with(
        &self,
        pid: Pid,
        topic: &str,
        key: &str,
        edit: impl FnOnce(Meta) -> Result<Meta, MetaError> + Send + 'static,
    ) -> Result<String, TrackError> {
        self.edit(pid, topic, key, Edit::With(Box::new(edit))).await
    }

    async fn edit(&self, pid: Pid, topic: &str, key: &str, edit: Edit) -> Result<String, TrackError> {
        let place = (topic.into(), key.into());
        self.call(topic, |reply_to| ShardMsg::Update { pid, place, edit, reply_to }).await?
    }

    /// Takes a presence away; nothing happens if there is none. Phoenix's `untrack/4`.
    ///
    /// # Errors
    /// [`TrackError`] if the tracker does not run or does not answer.
    ///
    /// # Cancel safety
    /// If the future is dropped, the presence may be there or not.
    pub async fn untrack(&self, pid: Pid, topic: &str, key: &str) -> Result<(), TrackError> {
        let place = (topic.into(), key.into());
        self.call(topic, |reply_to| ShardMsg::Untrack { pid, place, reply_to }).await
    }

    /// Takes all presences of a process away. Phoenix's `untrack/2`.
    ///
    /// # Errors
    /// [`TrackError`] if one of the tracker's processes does not run or does not answer; the others have done it.
    ///
    /// # Cancel safety
    /// If the future is dropped, some may be there still.
    pub async fn untrack_all(&self, pid: Pid) -> Result<(), TrackError> {
        let mut outcome = Ok(());
        for shard in self.shared.shards() {
            outcome = match shard.addr() {
                Some(shard) => {
                    let called = shard.call(|reply_to| ShardMsg::UntrackAll { pid, reply_to }, CALL_TIMEOUT);
                    called.await.map_err(TrackError::Call).and(outcome)
                }
                None => Err(TrackError::NotRunning),
            };
        }
        outcome
    }

    /// The presences of a topic, on all nodes, in no particular order. Phoenix's `list/2`. Asks no process.
    pub fn list(&self, topic: &str) -> Vec<Arc<Entry>> {
        self.shared.shard(topic).table().look(topic, |topic| topic.entries().cloned().collect())
    }

    /// The presences of a topic under a key, the oldest of each node first. Phoenix's `get_by_key/3`. Asks no process.
    pub fn get_by_key(&self, topic: &str, key: &str) -> Vec<Arc<Entry>> {
        self.shared.shard(topic).table().read(topic, |topic| topic.key(key).cloned().collect())
    }

    /// How many presences a topic has, in constant time. Asks no process.
    pub fn count(&self, topic: &str) -> usize {
        self.shared.shard(topic).table().read(topic, |topic| topic.len())
    }

    /// How many keys a topic has, in constant time: users, where keys are users. Asks no process.
    pub fn count_keys(&self, topic: &str) -> usize {
        self.shared.shard(topic).table().read(topic, |topic| topic.keys_len())
    }

    /// Tells the tracker something, in the shard of that topic: its [`handle_info`](Tracker::handle_info) gets it.
    ///
    /// # Errors
    /// [`TrackError`] if the tracker does not run or its mailbox is full.
    pub fn tell(&self, topic: &str, msg: T::Msg) -> Result<(), TrackError> {
        let shard = self.shared.shard(topic).addr().ok_or(TrackError::NotRunning)?;
        shard.send(ShardMsg::Info(msg)).map_err(|error| match error {
            SendError::Full(_) => TrackError::Call(CallError::Full),
            _ => TrackError::NotRunning,
        })
    }

    async fn call<R: Send + 'static>(
        &self,
        topic: &str,
        make: impl FnOnce(ReplyTo<R>) -> ShardMsg<T::Msg>,
    ) -> Result<R, TrackError> {
        let shard = self.shared.shard(topic).addr().ok_or(TrackError::NotRunning)?;
        shard.call(make, CALL_TIMEOUT).await.map_err(TrackError::Call)
    }

    #[cfg(feature = "channels")]
    pub(crate) fn downgrade(&self) -> Weak<Shared<T::Msg>> {
        Arc::downgrade(&self.shared)
    }

    /// Looks at a topic, to remember what is there, while nothing changes in it: `look` must not wait.
    #[cfg(feature = "channels")]
    pub(crate) fn look<R>(&self, topic: &str, look: impl FnOnce(&Topic) -> R) -> R {
        self.shared.shard(topic).table().look(topic, look)
    }

    /// Reads something of a topic while nothing changes in it: `look` must not wait.
    #[cfg(feature = "channels")]
    pub(crate) fn read<R>(&self, topic: &str, look: impl FnOnce(&Topic) -> R) -> R {
        self.shared.shard(topic).table().read(topic, look)
    }
}

/// The identity of a node that is in no cluster: its references differ from those of the life before.
fn alone() -> NodeId {
    let name = NodeName::parse("nonode").expect("invariant: it is a name");
    let mut bytes = [0; 8];
    // Without randomness references can repeat those of an earlier life of the program, which no client remembers.
    let _: Result<(), getrandom::Error> = getrandom::fill(&mut bytes);
    NodeId::new(name, Incarnation::new(u64::from_le_bytes(bytes)))
}

impl<T: Tracker> Clone for TrackerRef<T> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone(), args: self.args.clone() }
    }
}

impl<T: Tracker> fmt::Debug for TrackerRef<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TrackerRef({:?})", self.shared.name)
    }
}
