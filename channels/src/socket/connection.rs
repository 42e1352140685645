//! What a connection's channels share.

use std::sync::Arc;

use super::Socket;
use super::fastlane::ChannelPubSub;
use super::outbound::Outbound;
use crate::serializer::Serializer;

/// One connection, as its channels see it.
pub(crate) struct Connection<S: Socket> {
    pub(crate) handler: Arc<S>,
    pub(crate) assigns: S::Assigns,
    pub(crate) id: Option<String>,
    pub(crate) pubsub: ChannelPubSub,
    pub(crate) serializer: Arc<dyn Serializer>,
    pub(crate) outbound: Outbound,
    pub(crate) transport: &'static str,
}
