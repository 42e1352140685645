//! Sending to topics, and listening to them, from outside of their channels.

use std::sync::Arc;

use heronry::Context;
use heronry::pubsub::Subscription;

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

    /// Sends an event to all members of a topic, from outside of any channel. Phoenix's `Endpoint.broadcast/3`.
    ///
    /// A broadcast of `disconnect` to a socket's [id](crate::Socket::id) closes all sockets of that id.
    ///
    /// # Errors
    /// [`PushError`] if the payload is neither an object nor binary.
    pub fn broadcast(&self, topic: &str, event: &str, payload: impl Into<Payload>) -> Result<(), PushError> {
        let payload = payload.into();
        if !payload.is_object() && !payload.is_binary() {
            return Err(PushError::NotAnObject);
        }
        let broadcast = Broadcast::new(topic.into(), event, payload).map_err(PushError::Encode)?;
        self.pubsub.broadcast(topic, broadcast);
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
