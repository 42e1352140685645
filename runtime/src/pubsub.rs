//! PubSub: who subscribed to a topic gets what is broadcast on it. Elixir's `Phoenix.PubSub`, on one node.
//!
//! A broadcast runs in the process that calls it: it takes the topic's subscribers as they are at that moment and
//! hands them, with the message, to a [`Dispatcher`]. No lock is held meanwhile. Messages of one sender arrive in the
//! order in which they were sent.

mod dispatcher;
mod shard;

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

pub use dispatcher::{Dispatcher, Mailboxes};
use shard::Shard;

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
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
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
/// news.broadcast("weather", "rain".to_owned());
/// assert_eq!(reader.wait().await, ExitReason::Normal);
/// assert_eq!(news.subscriber_count("weather"), 0);
/// # }
/// ```
pub struct PubSub<D: Dispatcher> {
    inner: Arc<Inner<D>>,
}

struct Inner<D: Dispatcher> {
    dispatcher: D,
    hasher: RandomState,
    shards: Vec<Shard<D::Subscriber>>,
}

/// A subscription; it ends when this is dropped, and so with the process that holds it.
#[must_use = "dropping a subscription ends it"]
pub struct Subscription {
    end: Option<Box<dyn FnOnce() + Send + Sync>>,
}

impl<D: Dispatcher> PubSub<D> {
    /// No topics yet. A topic is there while somebody is subscribed to it.
    pub fn new(dispatcher: D) -> Self {
        let shards = (0..SHARDS).map(|_| Shard::new()).collect();
        Self { inner: Arc::new(Inner { dispatcher, hasher: RandomState::new(), shards }) }
    }

    /// Subscribes a process to a topic. It may subscribe more than once and then gets each message as often.
    pub fn subscribe(&self, pid: Pid, topic: &str, subscriber: D::Subscriber) -> Subscription {
        let slot = self.inner.shard(topic).insert(topic, Entry { pid, subscriber });
        let inner = Arc::downgrade(&self.inner);
        let topic: Box<str> = topic.into();
        let end = move || {
            if let Some(inner) = inner.upgrade() {
                inner.shard(&topic).remove(&topic, slot);
            }
        };
        Subscription { end: Some(Box::new(end)) }
    }

    /// Gives the topic's subscribers a message.
    pub fn broadcast(&self, topic: &str, message: D::Message) {
        self.dispatch(topic, None, &message);
    }

    /// Gives the topic's subscribers a message, except those that the process `from` made.
    pub fn broadcast_from(&self, from: Pid, topic: &str, message: D::Message) {
        self.dispatch(topic, Some(from), &message);
    }

    /// How many subscriptions a topic has.
    pub fn subscriber_count(&self, topic: &str) -> usize {
        self.inner.shard(topic).count(topic)
    }

    fn dispatch(&self, topic: &str, from: Option<Pid>, message: &D::Message) {
        let Some(entries) = self.inner.shard(topic).entries(topic) else { return };
        let mut wanted = entries.iter().filter(|entry| Some(entry.pid) != from);
        self.inner.dispatcher.dispatch(&mut wanted, message);
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
