//! How a message reaches the subscribers of a topic.
//!
//! Pure: a seam and its plainest implementor.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use super::Entry;

/// Delivers one message to many subscribers; the hook by which channels encode a broadcast once for all of them.
/// The counterpart in Elixir is the dispatcher module of `Phoenix.PubSub.broadcast/4`.
pub trait Dispatcher: Send + Sync + 'static {
    /// What is broadcast.
    type Message: Send + Sync + 'static;
    /// How one subscriber is reached. Cloned, under a lock, when the subscribers of a topic change while a broadcast to them is
    /// on its way: an `Arc` or a few words, and nothing that uses the pubsub.
    type Subscriber: Clone + Send + Sync + 'static;

    /// Delivers `message` to all of `entries`. Runs in the process that broadcasts: it must not wait.
    fn dispatch(&self, entries: &mut dyn Iterator<Item = &Entry<Self::Subscriber>>, message: &Self::Message);
}

/// Gives each subscriber's mailbox a clone of the message.
pub struct Mailboxes<T>(PhantomData<fn(T)>);

impl<T> Mailboxes<T> {
    /// The dispatcher.
    pub fn new() -> Self {
        Self(PhantomData)
    }
}

impl<T> Default for Mailboxes<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> fmt::Debug for Mailboxes<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Mailboxes")
    }
}

impl<T: Clone + Send + Sync + 'static> Dispatcher for Mailboxes<T> {
    type Message = T;
    type Subscriber = Arc<dyn Fn(T) + Send + Sync>;

    fn dispatch(&self, entries: &mut dyn Iterator<Item = &Entry<Self::Subscriber>>, message: &T) {
        for entry in entries {
            (entry.subscriber)(message.clone());
        }
    }
}
