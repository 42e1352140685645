//! PubSub: who subscribed to a topic gets what is broadcast on it. Elixir's `Phoenix.PubSub`.
//!
//! A broadcast runs in the process that calls it: it takes the topic's subscribers as they are at that moment and
//! hands them, with the message, to a [`Dispatcher`]. No lock is held meanwhile. Messages of one sender arrive in the
//! order in which they were sent.
//!
//! A PubSub is of one node, or [of a cluster](PubSub::over): then what is broadcast on one node reaches the subscribers on all.
//! Local delivery is the same and comes first; a node gets only what somebody there has subscribed to, or shares
//! one of [1,024 shards](crate::engine::SHARDS) with that. Between nodes it is **at most once**: an engine's outage costs what is broadcast
//! meanwhile, is an error of the broadcast, and harms nobody.

mod dispatcher;
mod events;
mod remote;
mod shard;
mod wire;

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

pub use dispatcher::{Dispatcher, Mailboxes};
pub use events::{BroadcastRefused, BroadcastUnreadable};
use remote::Remote;
use shard::Shard;
pub use wire::{REMOTE_TOPIC_BYTES_MAX, Wire, WireError};

use crate::cluster::Node;
use crate::engine::PublishError;
use crate::name::Name;
use crate::node::NodeName;
use crate::pid::Pid;
use crate::process::{self, Context};
use crate::unwind::drop_quietly;

/// How many shards the topics are spread over; a power of two, well above the number of threads that broadcast at once.
const SHARDS: usize = 64;

/// One subscription as a dispatcher sees it.
#[derive(Clone, Debug)]
pub struct Entry<S> {
    /// The process that subscribed.
    pub pid: Pid,
    /// What it subscribed with: how to reach it.
    pub subscriber: S,
}

/// A set of topics and their subscribers; cheap to clone, all clones are the same set.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use heronry::prelude::*;
/// use heronry::pubsub::{Mailboxes, PubSub};
///
/// let news = PubSub::new(Mailboxes::<String>::new());
/// let at = news.clone();
/// let (subscribed, ready) = std::sync::mpsc::channel();
/// let reader = spawn(move |mut ctx: Context<String>| async move {
///     let _subscription = at.subscribe_mailbox(&ctx, "weather", |text| text);
///     subscribed.send(()).unwrap();
///     assert_eq!(ctx.receive().await, Received::Message("rain".to_owned()));
/// });
/// # tokio::task::yield_now().await;
/// ready.recv().unwrap();
/// news.broadcast("weather", "rain".to_owned())?;
/// assert_eq!(reader.wait().await, ExitReason::Normal);
/// assert_eq!(news.subscriber_count("weather"), 0);
/// # Ok(()) }
/// ```
pub struct PubSub<D: Dispatcher> {
    inner: Arc<Inner<D>>,
}

struct Inner<D: Dispatcher> {
    dispatcher: D,
    hasher: RandomState,
    shards: Vec<Shard<D::Subscriber>>,
    remote: Option<Remote<D>>,
}

/// A broadcast that did not leave for other nodes. This node's subscribers have got it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum BroadcastError {
    /// The message, or its topic, can't travel.
    Encode(Arc<WireError>),
    /// The engine did not take it.
    Publish(PublishError),
}

/// A subscription; it ends when this is dropped, and so with the process that holds it.
#[must_use = "dropping a subscription ends it"]
pub struct Subscription {
    end: Option<Box<dyn FnOnce() + Send + Sync>>,
}

impl<D: Dispatcher> PubSub<D> {
    /// No topics yet. A topic is there while somebody is subscribed to it.
    pub fn new(dispatcher: D) -> Self {
        Self::with(dispatcher, None)
    }

    /// No topics yet, on all nodes of a cluster: what is broadcast here reaches also those who subscribed, on other nodes, in the PubSub of
    /// the same name. One node has one of a name; of two, each would hear the other nodes, but not the other.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use bytes::Bytes;
    /// # use heronry::pubsub::{Dispatcher, Entry, Wire, WireError};
    /// # struct Texts;
    /// # impl Dispatcher for Texts {
    /// #     type Message = String;
    /// #     type Subscriber = std::sync::mpsc::Sender<String>;
    /// #     fn dispatch(&self, entries: &mut dyn Iterator<Item = &Entry<Self::Subscriber>>, message: &String) {
    /// #         entries.for_each(|entry| drop(entry.subscriber.send(message.clone())));
    /// #     }
    /// # }
    /// # impl Wire for Texts {
    /// #     fn encode(&self, message: &String) -> Result<Bytes, WireError> { Ok(message.clone().into()) }
    /// #     fn decode(&self, _: &str, bytes: Bytes) -> Result<String, WireError> {
    /// #         String::from_utf8(bytes.into()).map_err(WireError::new)
    /// #     }
    /// # }
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use heronry::cluster::{Node, NodeOptions};
    /// use heronry::engine::{Local, LocalHub};
    /// use heronry::node::{Incarnation, NodeId, NodeName};
    /// use heronry::Name;
    /// use heronry::prelude::*;
    /// use heronry::pubsub::PubSub;
    ///
    /// let hub = LocalHub::new();
    /// let mut pubsubs = Vec::new();
    /// for (name, life) in [("a", 1), ("b", 2)] {
    ///     let id = NodeId::new(NodeName::parse(name)?, Incarnation::new(life));
    ///     let node = Node::start(Arc::new(Local::new(id, &hub)), &NodeOptions::new()).await?;
    ///     pubsubs.push(PubSub::over(&node, Name::parse("news")?, Texts));
    /// }
    /// let (tell, told) = std::sync::mpsc::channel();
    /// let reader = spawn(|mut ctx: Context<()>| async move { ctx.receive().await; });
    /// let _subscription = pubsubs[1].subscribe(reader.pid(), "weather", tell);
    /// pubsubs[0].broadcast("weather", "rain".to_owned())?;
    /// # tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    /// assert_eq!(told.recv()?, "rain");
    /// # Ok(()) }
    /// ```
    pub fn over(node: &Node, name: Name, dispatcher: D) -> Self
    where
        D: Wire,
    {
        Self::with(dispatcher, Some(Remote::new(node.clone(), name)))
    }

    fn with(dispatcher: D, remote: Option<Remote<D>>) -> Self {
        let shards = (0..SHARDS).map(|_| Shard::new()).collect();
        Self { inner: Arc::new(Inner { dispatcher, hasher: RandomState::new(), shards, remote }) }
    }

    /// Subscribes a process to a topic. It may subscribe more than once and then gets each message as often.
    pub fn subscribe(&self, pid: Pid, topic: &str, subscriber: D::Subscriber) -> Subscription {
        if let Some(remote) = &self.inner.remote {
            remote.subscribed(topic, &self.inner);
        }
        let slot = self.inner.shard(topic).insert(topic, Entry { pid, subscriber });
        let inner = Arc::downgrade(&self.inner);
        // Without other nodes, nobody is left to broadcast once all handles are gone; with them, they go on.
        let kept = self.inner.remote.is_some().then(|| self.inner.clone());
        let topic: Box<str> = topic.into();
        let end = move || {
            if let Some(inner) = kept.or_else(|| inner.upgrade()) {
                inner.shard(&topic).remove(&topic, slot);
                if let Some(remote) = &inner.remote {
                    remote.unsubscribed(&topic);
                }
            }
        };
        Subscription { end: Some(Box::new(end)) }
    }

    /// Gives the topic's subscribers a message, those on this node before this returns. Phoenix's `broadcast/3`.
    ///
    /// # Errors
    /// [`BroadcastError`] if it did not leave for other nodes; this node's subscribers have got it nevertheless (Phoenix
    /// leaves them out then). Never without a cluster.
    pub fn broadcast(&self, topic: &str, message: D::Message) -> Result<(), BroadcastError> {
        self.broadcast_except(None, topic, &message)
    }

    /// Gives the topic's subscribers a message, except those that the process `from` made. Phoenix's `broadcast_from/4`.
    ///
    /// # Errors
    /// As for [`broadcast`](Self::broadcast).
    pub fn broadcast_from(&self, from: Pid, topic: &str, message: D::Message) -> Result<(), BroadcastError> {
        self.broadcast_except(Some(from), topic, &message)
    }

    /// Gives the topic's subscribers on this node a message, and nobody else. Phoenix's `local_broadcast/3`.
    pub fn local_broadcast(&self, topic: &str, message: D::Message) {
        self.inner.dispatch(None, topic, &message);
    }

    /// The same, except those that the process `from` made. Phoenix's `local_broadcast_from/4`.
    pub fn local_broadcast_from(&self, from: Pid, topic: &str, message: D::Message) {
        self.inner.dispatch(Some(from), topic, &message);
    }

    /// Gives the topic's subscribers on one node a message; a node that is not up has none. Without a cluster every name is that
    /// of nobody. Phoenix's `direct_broadcast/4`.
    ///
    /// # Errors
    /// As for [`broadcast`](Self::broadcast).
    pub fn direct_broadcast(
        &self,
        node: &NodeName,
        topic: &str,
        message: D::Message,
    ) -> Result<(), BroadcastError> {
        match &self.inner.remote {
            Some(remote) if remote.is_own(node) => {
                self.inner.dispatch(None, topic, &message);
                Ok(())
            }
            Some(remote) => remote.send(&self.inner.dispatcher, node, topic, &message),
            None => Ok(()),
        }
    }

    fn broadcast_except(
        &self,
        from: Option<Pid>,
        topic: &str,
        message: &D::Message,
    ) -> Result<(), BroadcastError> {
        self.inner.dispatch(from, topic, message);
        match &self.inner.remote {
            Some(remote) => remote.publish(&self.inner.dispatcher, topic, message),
            None => Ok(()),
        }
    }

    /// This node of the cluster; `None` without one. Phoenix's `node_name/1`.
    pub fn node(&self) -> Option<&Node> {
        self.inner.remote.as_ref().map(Remote::node)
    }

    /// How many subscriptions a topic has on this node.
    pub fn subscriber_count(&self, topic: &str) -> usize {
        self.inner.shard(topic).count(topic)
    }
}

impl<T: Clone + Send + Sync + 'static> PubSub<Mailboxes<T>> {
    /// Subscribes the process of `ctx`: each message arrives in its mailbox, made into one of its own by `wrap`.
    ///
    /// `wrap` runs in the process that broadcasts, and must not wait. A panic in it does not reach that process: it is an
    /// exit signal to the subscriber, whose mistake it is.
    pub fn subscribe_mailbox<M: Send + 'static>(
        &self,
        ctx: &Context<M>,
        topic: &str,
        wrap: impl Fn(T) -> M + Send + Sync + 'static,
    ) -> Subscription {
        let addr = ctx.addr();
        let deliver = move |message| match catch_unwind(AssertUnwindSafe(|| wrap(message))) {
            // A refused message is reported by the mailbox; PubSub promises no more than at most once.
            Ok(message) => drop(addr.send(message)),
            Err(payload) => {
                process::exit(addr.pid(), process::panic_reason(&*payload));
                drop_quietly(payload);
            }
        };
        self.subscribe(ctx.pid(), topic, Arc::new(deliver))
    }
}

impl<D: Dispatcher> Inner<D> {
    fn shard(&self, topic: &str) -> &Shard<D::Subscriber> {
        &self.shards[self.hasher.hash_one(topic) as usize % SHARDS]
    }

    fn dispatch(&self, from: Option<Pid>, topic: &str, message: &D::Message) {
        let Some(entries) = self.shard(topic).entries(topic) else { return };
        let mut wanted = entries.iter().filter(|entry| from != Some(entry.pid));
        self.dispatcher.dispatch(&mut wanted, message);
    }
}

impl<D: Dispatcher> Clone for PubSub<D> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone() }
    }
}

impl<D: Dispatcher> fmt::Debug for PubSub<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PubSub").finish_non_exhaustive()
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        if let Some(end) = self.end.take() {
            end();
        }
    }
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription").finish_non_exhaustive()
    }
}

impl fmt::Display for BroadcastError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Encode(error) => write!(f, "the message can't travel to other nodes: {error}"),
            Self::Publish(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for BroadcastError {}
