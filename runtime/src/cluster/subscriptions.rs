//! Who wants what: the subscribers of each channel.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;

use super::channel::Channel;
use crate::node::NodeId;
use crate::sync::RwLock;

/// What arrives on a channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// A payload.
    Payload {
        /// Who published or sent it.
        from: NodeId,
        /// What it published or sent.
        payload: Bytes,
    },
    /// Payloads are missing here: look anew at what they would have said.
    Gap {
        /// Whose; `None` if it may be anybody's.
        from: Option<NodeId>,
    },
}

/// Takes what arrives on a channel.
///
/// It is called on the engine's own task, with no lock held: it must not wait. What one node publishes on a channel arrives in its order,
/// and so does what it sends to this node on one lane; there is no order between the two. A panic in it ends there.
///
/// ```
/// use heronry::cluster::{Delivery, Subscriber};
///
/// fn takes(_: impl Subscriber) {}
/// takes(|delivery: Delivery| drop(delivery));
/// ```
pub trait Subscriber: Send + Sync + 'static {
    /// Takes one delivery.
    fn receive(&self, delivery: Delivery);
}

impl<F: Fn(Delivery) + Send + Sync + 'static> Subscriber for F {
    fn receive(&self, delivery: Delivery) {
        self(delivery);
    }
}

/// The subscribers of a channel, as they were at one moment.
pub(super) type Subscribers = Arc<[Entry]>;

#[derive(Clone)]
pub(super) struct Entry {
    id: u64,
    pub(super) subscriber: Arc<dyn Subscriber>,
}

#[derive(Default)]
pub(super) struct Subscriptions {
    next_id: AtomicU64,
    channels: RwLock<HashMap<Channel, Subscribers>>,
}

impl Subscriptions {
    /// Adds a subscriber; its number, and whether it is the channel's first.
    pub(super) fn insert(&self, channel: Channel, subscriber: Arc<dyn Subscriber>) -> (u64, bool) {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let mut channels = self.channels.write();
        let entries = channels.entry(channel).or_insert_with(|| Arc::new([]));
        let is_first = entries.is_empty();
        *entries = entries.iter().cloned().chain([Entry { id, subscriber }]).collect();
        (id, is_first)
    }

    /// Takes a subscriber out. What it is must be dropped without a lock; and whether it was the channel's last.
    pub(super) fn remove(&self, channel: Channel, id: u64) -> (Option<Subscribers>, bool) {
        let mut channels = self.channels.write();
        let Some(entries) = channels.get_mut(&channel) else { return (None, false) };
        let rest: Subscribers = entries.iter().filter(|entry| entry.id != id).cloned().collect();
        if rest.is_empty() {
            return (channels.remove(&channel), true);
        }
        (Some(std::mem::replace(entries, rest)), false)
    }

    pub(super) fn of(&self, channel: Channel) -> Option<Subscribers> {
        self.channels.read().get(&channel).cloned()
    }

    pub(super) fn all(&self) -> Vec<Subscribers> {
        self.channels.read().values().cloned().collect()
    }
}

impl fmt::Debug for Subscriptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscriptions").finish_non_exhaustive()
    }
}
