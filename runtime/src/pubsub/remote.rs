//! The other nodes' part of a PubSub: what is broadcast here goes to them, what they broadcast comes here.

use std::sync::{Arc, Weak};

use bytes::Bytes;

use super::events::{BroadcastRefused, BroadcastUnreadable};
use super::wire::{Envelope, Wire, WireError, shard_of};
use super::{BroadcastError, Inner};
use crate::cluster::{self, Channel, Delivery, Node};
use crate::engine::{Lane, SHARDS, ShardId};
use crate::name::Name;
use crate::node::NodeName;
use crate::sync::Mutex;
use crate::telemetry;

/// How a PubSub reaches its like on other nodes.
pub(super) struct Remote<D: super::Dispatcher> {
    node: Node,
    name: Name,
    /// Of the dispatcher, whose messages not every PubSub needs to be able to send.
    encode: fn(&D, &D::Message) -> Result<Bytes, WireError>,
    decode: fn(&D, &str, Bytes) -> Result<D::Message, WireError>,
    interests: Box<[Mutex<Interest>]>,
}

/// How many subscriptions a shard has here, and what it makes of them for the cluster.
#[derive(Default)]
struct Interest {
    subscriptions: usize,
    held: Option<cluster::Subscription>,
}

impl<D: Wire> Remote<D> {
    pub(super) fn new(node: Node, name: Name) -> Self {
        let interests = (0..SHARDS).map(|_| Mutex::default()).collect();
        Self { node, name, encode: D::encode, decode: D::decode, interests }
    }
}

impl<D: super::Dispatcher> Remote<D> {
    /// One subscription more to that topic, on this node.
    pub(super) fn subscribed(&self, topic: &str, pubsub: &Arc<Inner<D>>) {
        let shard = shard_of(topic);
        let mut interest = self.interest(shard).lock();
        interest.subscriptions += 1;
        if interest.held.is_none() {
            let pubsub = Arc::downgrade(pubsub);
            let receive = move |delivery| receive(&pubsub, shard, delivery);
            interest.held = Some(self.node.subscribe(Channel::pubsub(shard), Arc::new(receive)));
        }
    }

    /// One subscription less.
    pub(super) fn unsubscribed(&self, topic: &str) {
        let ended = {
            let mut interest = self.interest(shard_of(topic)).lock();
            interest.subscriptions -= 1;
            if interest.subscriptions == 0 { interest.held.take() } else { None }
        };
        drop(ended);
    }

    fn interest(&self, shard: ShardId) -> &Mutex<Interest> {
        &self.interests[usize::from(shard.get())]
    }

    /// Sends a message to all other nodes.
    pub(super) fn publish(
        &self,
        dispatcher: &D,
        topic: &str,
        message: &D::Message,
    ) -> Result<(), BroadcastError> {
        let sent = self.bytes(dispatcher, topic, message).and_then(|bytes| {
            self.node.publish(Channel::pubsub(shard_of(topic)), &bytes).map_err(BroadcastError::Publish)
        });
        self.reported(topic, sent)
    }

    /// Sends a message to one node; none of that name is nobody to send it to.
    pub(super) fn send(
        &self,
        dispatcher: &D,
        to: &NodeName,
        topic: &str,
        message: &D::Message,
    ) -> Result<(), BroadcastError> {
        let Some(to) = self.node.find(to) else { return Ok(()) };
        let sent = self.bytes(dispatcher, topic, message).and_then(|bytes| {
            match self.node.send(&to, Lane::Data, Channel::pubsub(shard_of(topic)), bytes) {
                Ok(()) | Err(cluster::SendError::NoConnection(_)) => Ok(()),
                Err(cluster::SendError::Publish(error)) => Err(BroadcastError::Publish(error)),
            }
        });
        self.reported(topic, sent)
    }

    pub(super) fn node(&self) -> &Node {
        &self.node
    }

    pub(super) fn is_own(&self, name: &NodeName) -> bool {
        self.node.id().name() == name
    }

    fn bytes(&self, dispatcher: &D, topic: &str, message: &D::Message) -> Result<Bytes, BroadcastError> {
        let encoded = (self.encode)(dispatcher, message);
        let enveloped = encoded.and_then(|message| Envelope::encode(&self.name, topic, &message));
        enveloped.map(Into::into).map_err(|error| BroadcastError::Encode(Arc::new(error)))
    }

    fn reported(&self, topic: &str, sent: Result<(), BroadcastError>) -> Result<(), BroadcastError> {
        if let Err(error) = &sent {
            let (topic, error) = (topic.into(), error.clone());
            telemetry::emit(&BroadcastRefused { pubsub: self.name.clone(), topic, error });
        }
        sent
    }
}

/// Gives this node's subscribers what another node's process broadcast.
fn receive<D: super::Dispatcher>(pubsub: &Weak<Inner<D>>, shard: ShardId, delivery: Delivery) {
    let Some(pubsub) = pubsub.upgrade() else { return };
    let Some(remote) = &pubsub.remote else { return };
    let (from, payload) = match delivery {
        Delivery::Payload { from, payload } => (from, payload),
        // At most once: what is missing is missing, and the cluster has told telemetry of it.
        Delivery::Gap { from: _ } => return,
    };
    let unreadable = |why: String| {
        telemetry::emit(&BroadcastUnreadable { pubsub: remote.name.clone(), from: from.clone(), why });
    };
    let Some(Envelope { name, topic, message }) = Envelope::decode(&payload) else {
        return unreadable("it is none".to_owned());
    };
    // Another PubSub's, which hears it too; or one's that misplaces its topics.
    if name != remote.name.as_str() || shard_of(topic) != shard {
        return;
    }
    // Whose topic just shares a shard with one that is wanted is not read.
    let Some(entries) = pubsub.shard(topic).entries(topic) else { return };
    match (remote.decode)(&pubsub.dispatcher, topic, message) {
        Ok(message) => pubsub.dispatcher.dispatch(&mut entries.iter(), &message),
        Err(error) => unreadable(error.to_string()),
    }
}
