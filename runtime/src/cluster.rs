//! The nodes of a cluster: who is there, and what they tell each other.
//!
//! A [`Node`] is the switchboard over one [`Engine`]. Engines move bytes and promise little; here it becomes what the layers above can
//! rely on:
//!
//! - What one node publishes on a [`Channel`] arrives **in its order, each payload once**; where some are missing, a
//!   [`Gap`](Delivery::Gap) says so. Nothing is repeated or repaired: whoever hears of a gap looks anew.
//! - Payloads larger than the engine's frames travel in parts.
//! - Who is up is known by **heartbeats**, on the clock that nobody sets. While this node's own link to the engine is
//!   down it suspects nobody, and gives everybody the full time anew when it is back.
//! - A restarted node is a new life of its name ([`Incarnation`](crate::node::Incarnation)): it replaces the old one at
//!   once, whose late frames count for nothing.
//! - With a [`MacKey`] frames are signed, and others are dropped. A frame that is none of ours is dropped and counted
//!   ([`FramesDropped`]), whatever it holds.
//!
//! Nothing here waits: publishing to a full or lost engine is an error at once. The counterpart in Erlang is distribution
//! (`net_kernel`), without a connection from each node to each other one.

mod beat;
mod channel;
mod continuity;
mod counters;
mod events;
mod failure;
mod frame;
mod global;
mod groups;
mod inbound;
mod links;
mod mac;
mod members;
mod membership;
mod options;
mod outbound;
mod parts;
mod remote;
mod service;
mod subscriptions;
mod switchboard;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

pub use channel::Channel;
pub use events::{
    ClusterFull, ClusterOverrun, Dropped, EngineLink, FramesDropped, Gaps, NameConflict, NameTaken, NodeDown,
    NodeEvent, NodeUp, RemoteLimit, RemoteLimited, RemoteMessageUnfit,
};
pub use global::{GLOBAL_NAMES_MAX, Global, GlobalError, NameLost};
pub use groups::{GROUP_JOINS_MAX, GROUP_MEMBERS_MAX, GroupError, GroupEvent, GroupMonitor, Groups};
pub use mac::{MAC_KEY_BYTES_MIN, MacKey, MacKeyTooShort};
pub use options::{
    DOWN_DEFAULT, HEARTBEAT_DEFAULT, NODES_MAX_DEFAULT, NodeError, NodeOptions, PERMDOWN_DEFAULT,
    SUSPECT_DEFAULT,
};
pub use parts::{MESSAGE_BYTES_MAX, PART_BYTES};
pub use remote::{
    CALLS_SERVED_MAX, EXPORTS_MAX, ExportError, Exported, MONITORS_SERVED_MAX, RemoteDown, RemoteError,
    RemoteMessage, RemoteMonitor, RemoteRef, SESSION_BYTES_MAX, SESSION_MESSAGES_MAX,
};
pub use subscriptions::{Delivery, Subscriber};

use crate::engine::{Engine, Lane, PublishError};
use crate::name::{Name, NameError};
use crate::node::{NodeId, NodeName};
use crate::process::{Context, OnDrop, Outbox};
use crate::supervisor::{ChildSpec, Restart, Shutdown, Supervisor};
use remote::Remote;
use service::Wake;
use switchboard::{STOP_TIME, Switchboard};

/// The smallest [`max_payload`](crate::engine::Caps) of an engine, in bytes: what is in front of a payload has room in it, and
/// some of the payload.
const MAX_PAYLOAD_MIN: usize = 1_024;

/// How long a supervisor waits for the node to leave: longer than its engine may take to write the goodbye.
const LEAVE_TIME_MAX: Duration = STOP_TIME.saturating_add(Duration::from_secs(3));

/// This node of a cluster; cheap to clone, all clones are the same node.
///
/// ```
/// use std::sync::Arc;
/// use heronry::cluster::{Channel, Delivery, Node, NodeOptions};
/// use heronry::engine::{Local, LocalHub};
/// use heronry::node::{Incarnation, NodeId, NodeName};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let hub = LocalHub::new();
/// let engine = |name, life| -> Result<_, Box<dyn std::error::Error>> {
///     Ok(Arc::new(Local::new(NodeId::new(NodeName::parse(name)?, Incarnation::new(life)), &hub)))
/// };
/// let a = Node::start(engine("a", 1)?, &NodeOptions::new()).await?;
/// let b = Node::start(engine("b", 2)?, &NodeOptions::new()).await?;
///
/// let (tell, told) = tokio::sync::oneshot::channel();
/// let tell = std::sync::Mutex::new(Some(tell));
/// let tracker = Channel::tracker(0, 0);
/// let _subscription = b.subscribe(tracker, Arc::new(move |delivery| {
///     if let Some(tell) = tell.lock().unwrap().take() {
///         tell.send(delivery).unwrap();
///     }
/// }));
/// a.publish(tracker, b"hello")?;
/// assert_eq!(told.await?, Delivery::Payload { from: a.id().clone(), payload: "hello".into() });
/// a.stop().await;
/// b.stop().await;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Node {
    board: Arc<Switchboard>,
    remote: Arc<Remote>,
    global: Global,
    groups: Groups,
}

/// A payload that was not sent to a node.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SendError {
    /// The node is not up. Erlang's `noconnection`.
    NoConnection(NodeId),
    /// The engine did not take it.
    Publish(PublishError),
}

/// What [`Node::monitor_nodes`] tells. Erlang's `{nodeup, Node}` and `{nodedown, Node}`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NodeStatus {
    /// The node is up.
    Up(NodeId),
    /// The node is down.
    Down(NodeId),
    /// More was to be told than may wait, and was dropped: these are the other nodes that are up now.
    Nodes(Vec<NodeId>),
}

/// An interest in a channel; it ends when this is dropped. What is being delivered at that moment still is.
#[must_use = "dropping a subscription ends it"]
pub struct Subscription {
    _end: OnDrop,
}

/// An interest in the nodes of the cluster; it ends when this is dropped. What is being told at that moment still is.
#[must_use = "dropping a watch ends it"]
pub struct Watch {
    _end: OnDrop,
}

impl Node {
    /// A node that does nothing yet: start its [`child_spec`](Self::child_spec) under a supervisor.
    ///
    /// # Errors
    /// [`NodeError`] if the options contradict each other, or the engine's frames are too small.
    pub fn new(engine: Arc<dyn Engine>, options: &NodeOptions) -> Result<Self, NodeError> {
        let board = Arc::new(Switchboard::new(engine, options)?);
        let remote = Remote::new(board.clone());
        let global = Global::new(board.clone(), remote.clone());
        let groups = Groups::new(board.clone(), remote.clone());
        Ok(Self { global, groups, remote, board })
    }

    /// The node's process, for a supervisor. It is restarted if it crashes, which nobody else notices. When it is shut down, the node leaves:
    /// the others see it go at once, its engine stops, and its life is over; it can't be started again. Its supervisor waits until the engine
    /// has written the goodbye, so a program that stops its tree before it ends loses none.
    pub fn child_spec(&self) -> ChildSpec {
        let node = self.clone();
        ChildSpec::new("node", move |spawner| {
            let node = node.clone();
            async move {
                let spawner = spawner.options(|options| options.mailbox_limit(service::WAKES_MAX));
                Ok(spawner.spawn_ready(|ctx, ready| service::run(ctx, node, ready)).await?.pid())
            }
        })
        .restart(Restart::Transient)
        .shutdown(Shutdown::After(LEAVE_TIME_MAX))
    }

    /// Makes a node and starts it under a supervisor of its own, which lives until [`stop`](Self::stop).
    ///
    /// # Errors
    /// [`NodeError`] if the options contradict each other, the engine's frames are too small, or its process does not start.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub async fn start(engine: Arc<dyn Engine>, options: &NodeOptions) -> Result<Self, NodeError> {
        let node = Self::new(engine, options)?;
        let tree = Supervisor::one_for_one().label("cluster").child(node.child_spec()).start().await?;
        *node.board.tree.lock() = Some(tree);
        Ok(node)
    }

    /// Leaves the cluster, at once for all others, and stops the engine. For this node all others are down from now on.
    ///
    /// It returns once the engine has written the goodbye, which takes 2 s at most: if the engine is gone by then, the others see
    /// the node leave by its silence.
    ///
    /// # Cancel safety
    /// Dropped, the node may not have left yet; call it again.
    pub async fn stop(&self) {
        let tree = self.board.tree.lock().take();
        let service = self.board.service.lock().clone();
        if let Some(tree) = tree {
            tree.stop().await;
        } else if let Some(service) = service {
            // A full mailbox is worked off: it holds nothing that takes time.
            if service.send_wait(Wake::Leave).await.is_ok() {
                service.wait().await;
            }
        }
        self.board.leave().await;
    }

    /// Who this is.
    pub fn id(&self) -> &NodeId {
        self.board.id()
    }

    /// The other nodes that are up, suspects included, by name. Erlang's `nodes()`.
    pub fn nodes(&self) -> Vec<NodeId> {
        self.board.members.up()
    }

    /// The node of that name that is up, this one included.
    pub fn find(&self, name: &NodeName) -> Option<NodeId> {
        let own = self.id();
        if own.name() == name { Some(own.clone()) } else { self.board.members.find(name) }
    }

    /// Hears what other nodes publish on the channel, or send to this one on it, from now on.
    ///
    /// A node's payloads arrive between its [`Up`](NodeEvent::Up) and its [`Down`](NodeEvent::Down), but for one that is
    /// being delivered when it goes down.
    pub fn subscribe(&self, channel: Channel, subscriber: Arc<dyn Subscriber>) -> Subscription {
        let id = self.board.subscribe(channel, subscriber);
        let board = Arc::downgrade(&self.board);
        let end = move || {
            if let Some(board) = board.upgrade() {
                board.unsubscribe(channel, id);
            }
        };
        Subscription { _end: OnDrop::new(end) }
    }

    /// Gives a payload on its way to all other nodes that subscribed to the channel. At most once.
    ///
    /// # Errors
    /// [`PublishError`] if the engine did not take all of it; then it arrives nowhere. With more than
    /// [`MESSAGE_BYTES_MAX`] bytes it is `TooLarge`.
    pub fn publish(&self, channel: Channel, payload: &[u8]) -> Result<(), PublishError> {
        self.board.publish(channel, payload)
    }

    /// Gives a payload on its way to one node, for who subscribed to the channel there. At most once. What is sent to this node
    /// itself is delivered before this returns, or by another thread that is delivering.
    ///
    /// # Errors
    /// [`SendError`] if the node is not up, or the engine did not take all of it; then it does not arrive.
    pub fn send(&self, to: &NodeId, lane: Lane, channel: Channel, payload: Bytes) -> Result<(), SendError> {
        self.board.send(to, lane, channel, payload)
    }

    /// Tells of nodes that come and go, and of the engine's link, from now on; and gives the other nodes that are up now. No
    /// change is missed between the two, or is in both.
    ///
    /// `watcher` is called without a lock, in order, and must not wait; a panic in it ends there.
    pub fn watch(&self, watcher: Arc<dyn Fn(NodeEvent) + Send + Sync>) -> (Watch, Vec<NodeId>) {
        let (id, up) = self.board.members.watch(watcher);
        let board = Arc::downgrade(&self.board);
        let end = move || {
            if let Some(board) = board.upgrade() {
                board.members.unwatch(id);
            }
        };
        (Watch { _end: OnDrop::new(end) }, up)
    }

    /// Tells this process of nodes that come and go from now on, with `wrap` to make a message of it; and gives the other nodes that are
    /// up now. No change is missed between the two, or is in both. Erlang's `net_kernel:monitor_nodes/1`.
    ///
    /// `wrap` runs on the engine's task and must not wait; should it panic, the monitor ends. If the mailbox is full, what is to be told waits
    /// for room in it, up to [`EVENTS_WAITING_MAX`](crate::process::EVENTS_WAITING_MAX); beyond that one
    /// [`NodeStatus::Nodes`] stands for all.
    pub fn monitor_nodes<M: Send + 'static>(
        &self,
        ctx: &Context<M>,
        wrap: impl Fn(NodeStatus) -> M + Send + Sync + 'static,
    ) -> (Watch, Vec<NodeId>) {
        let board = Arc::downgrade(&self.board);
        let outbox = Arc::new(Outbox::new(ctx.addr(), wrap, move |outbox| {
            let board = board.upgrade()?;
            Some(NodeStatus::Nodes(board.members.up_with(|| outbox.renewed())))
        }));
        self.watch(Arc::new(move |event| {
            match event {
                NodeEvent::Up(node) => outbox.push(NodeStatus::Up(node)),
                NodeEvent::Down(node) => outbox.push(NodeStatus::Down(node)),
                NodeEvent::Suspect(_)
                | NodeEvent::Recovered(_)
                | NodeEvent::PermDown(_)
                | NodeEvent::EngineUp(_)
                | NodeEvent::EngineDown(_) => return,
            }
            outbox.flush();
        }))
    }

    /// Lets other nodes reach a process under this name, until it ends. Nothing else of this node can be reached: a
    /// [local name](crate::process::register) is none of theirs. Erlang's `register/2`, as seen from other nodes.
    ///
    /// # Errors
    /// [`ExportError`] if the name is taken or can't be one, or the process has ended.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use heronry::engine::{Local, LocalHub};
    /// # use heronry::node::{Incarnation, NodeId, NodeName};
    /// use std::time::Duration;
    /// use heronry::cluster::{Exported, Node, NodeOptions};
    /// use heronry::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let hub = LocalHub::new();
    /// # let engine = |name| Arc::new(Local::new(NodeId::new(NodeName::parse(name).unwrap(), Incarnation::new(1)), &hub));
    /// # let (a, b) = (Node::start(engine("a"), &NodeOptions::new()).await?, Node::start(engine("b"), &NodeOptions::new()).await?);
    /// enum Msg { Add(u64), Get(ReplyTo<u64>) }
    ///
    /// // On one node:
    /// let counter = spawn(|mut ctx: Context<Msg>| async move {
    ///     let mut count = 0;
    ///     while let Received::Message(msg) = ctx.receive().await {
    ///         match msg {
    ///             Msg::Add(n) => count += n,
    ///             Msg::Get(reply_to) => reply_to.send(count),
    ///         }
    ///     }
    /// });
    /// a.export("counter", Exported::new(&counter).casts(Msg::Add).calls(|(), reply_to| Msg::Get(reply_to)))?;
    ///
    /// // On another:
    /// # while b.nodes().is_empty() { tokio::task::yield_now().await; }
    /// let counter = b.remote(a.id().name(), "counter")?;
    /// counter.send(&2_u64)?;
    /// let count: u64 = counter.call(&(), Duration::from_secs(5)).await?;
    /// assert_eq!(count, 2);
    /// # a.stop().await; b.stop().await;
    /// # Ok(()) }
    /// ```
    pub fn export<M: Send + 'static>(&self, name: &str, exported: Exported<M>) -> Result<(), ExportError> {
        self.remote.export(name, exported)
    }

    /// Takes a name from its process, which leaves all [groups](Groups) that it joined under it; whether one had it. Monitors go on.
    pub fn unexport(&self, name: &str) -> bool {
        let had_it = self.remote.unexport(name);
        self.groups.unexported(name);
        had_it
    }

    /// The names of the whole cluster. Erlang's `global`.
    pub fn global(&self) -> &Global {
        &self.global
    }

    /// The process groups of the cluster. OTP's `pg`.
    pub fn groups(&self) -> &Groups {
        &self.groups
    }

    /// The process that is exported under this name on that node.
    ///
    /// # Errors
    /// [`NameError`] if the text can't be a name.
    pub fn remote(&self, node: &NodeName, name: &str) -> Result<RemoteRef, NameError> {
        Ok(Remote::reference(&self.remote, node, Name::parse(name)?))
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Node({})", self.id())
    }
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription").finish_non_exhaustive()
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch").finish_non_exhaustive()
    }
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoConnection(node) => write!(f, "node {node} is not up"),
            Self::Publish(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for SendError {}
