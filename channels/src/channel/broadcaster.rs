//! Sending to topics, and listening to them, from outside of their channels.

use std::sync::Arc;

use heronry::pubsub::{BroadcastError, Subscription};
use heronry::{Context, Pid};

use super::PushError;
use crate::message::{Broadcast, Payload};
use crate::socket::{ChannelPubSub, Lane};

/// Sends to topics, and subscribes processes to them, from outside of any channel; cheap to clone.
#[derive(Clone, Debug)]
pub struct Broadcaster {
    pubsub: ChannelPubSub,
}

impl Broadcaster {
    pub(crate) fn new(pubsub: ChannelPubSub) -> Self {
        Self { pubsub }
    }

    #[cfg(feature = "testing")]
    pub(crate) fn pubsub(&self) -> &ChannelPubSub {
        &self.pubsub
    }

    /// Sends an event to all members of a topic, on all nodes, from outside of any channel. Phoenix's `Endpoint.broadcast/3`.
    ///
    /// A broadcast of `disconnect` to a socket's [id](crate::Socket::id) closes all sockets of that id.
    ///
    /// Members on other nodes get it at most once: while the engine is down they do not, which is told by telemetry
    /// ([`BroadcastRefused`](heronry::pubsub::BroadcastRefused)) and no error here.
    ///
    /// # Errors
    /// [`PushError`] if the payload is neither an object nor binary.
    pub fn broadcast(&self, topic: &str, event: &str, payload: impl Into<Payload>) -> Result<(), PushError> {
        let broadcast = outgoing(topic, event, payload.into())?;
        at_most_once(self.pubsub.broadcast(topic, broadcast));
        Ok(())
    }

    /// The same, except for what the process `from` has joined or subscribed to. Phoenix's `Endpoint.broadcast_from/4`.
    ///
    /// # Errors
    /// [`PushError`] if the payload is neither an object nor binary.
    pub fn broadcast_from(
        &self,
        from: Pid,
        topic: &str,
        event: &str,
        payload: impl Into<Payload>,
    ) -> Result<(), PushError> {
        let broadcast = outgoing(topic, event, payload.into())?;
        at_most_once(self.pubsub.broadcast_from(from, topic, broadcast));
        Ok(())
    }

    /// Sends an event to the members of a topic on this node, and to nobody else. Phoenix's `Endpoint.local_broadcast/3`.
    ///
    /// # Errors
    /// [`PushError`] if the payload is neither an object nor binary.
    pub fn local_broadcast(
        &self,
        topic: &str,
        event: &str,
        payload: impl Into<Payload>,
    ) -> Result<(), PushError> {
        self.pubsub.local_broadcast(topic, outgoing(topic, event, payload.into())?);
        Ok(())
    }

    /// The same, except for what the process `from` has joined or subscribed to. Phoenix's `Endpoint.local_broadcast_from/4`.
    ///
    /// # Errors
    /// [`PushError`] if the payload is neither an object nor binary.
    pub fn local_broadcast_from(
        &self,
        from: Pid,
        topic: &str,
        event: &str,
        payload: impl Into<Payload>,
    ) -> Result<(), PushError> {
        self.pubsub.local_broadcast_from(from, topic, outgoing(topic, event, payload.into())?);
        Ok(())
    }

    /// Subscribes the process of `ctx` to a topic: each broadcast on it arrives in its mailbox, made into one of its
    /// own messages by `wrap`. Phoenix's `Endpoint.subscribe/2`.
    pub fn subscribe<M: Send + 'static>(
        &self,
        ctx: &Context<M>,
        topic: &str,
        wrap: impl Fn(Broadcast) -> M + Send + Sync + 'static,
    ) -> Subscription {
        let addr = ctx.addr();
        // A refused message is reported by the mailbox; PubSub promises no more than at most once.
        let take = move |broadcast| drop(addr.send(wrap(broadcast)));
        self.pubsub.subscribe(ctx.pid(), topic, Lane::Process(Arc::new(take)))
    }
}

fn outgoing(topic: &str, event: &str, payload: Payload) -> Result<Broadcast, PushError> {
    if !payload.is_object() && !payload.is_binary() {
        return Err(PushError::NotAnObject);
    }
    Broadcast::new(topic.into(), event, payload).map_err(PushError::Encode)
}

/// Other nodes are promised no more; telemetry has been told already.
pub(crate) fn at_most_once(sent: Result<(), BroadcastError>) {
    drop(sent);
}
