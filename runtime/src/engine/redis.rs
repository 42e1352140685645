//! The engine that rides on Redis or Valkey (feature `redis`), by their PUBLISH and SUBSCRIBE.
//!
//! Each lane has a connection of its own, which publishes and receives (RESP3). A connection is used until it ends and never
//! again.

mod options;
mod wire;

use std::sync::Arc;
use std::time::Duration;

use ::redis::AsyncConnectionConfig;
use bytes::Bytes;
pub use options::{RedisError, RedisOptions};
use tokio::time::timeout;
use wire::{Inbox, RedisWire};

use super::linked::{Broker, Linked};
use super::{Caps, Engine, Lane, PublishError, Receiver, Stopping, Subject};
use crate::node::NodeId;

/// The largest frame that [`Redis`] takes, in bytes: NATS's default. Redis itself takes 512 MB, and closes the connection of a
/// subscriber for which more than 32 MB wait.
pub const REDIS_PAYLOAD_BYTES_MAX: usize = 1024 * 1024;

/// How long a server may take to let us in.
const CONNECT_MAX: Duration = Duration::from_secs(2);

/// The engine of a node on a Redis or Valkey server, version 6 or newer.
///
/// The channels are `hr1.<cluster>.…`, so a user's rights can be limited to them (`&hr1.shop.*`, with the commands `publish`,
/// `subscribe`, `unsubscribe`, `ping`, `hello`, `client`). A frame on a subject that this node wants comes back to it. Of a
/// Redis Cluster any one server does; the servers pass all on to each other.
///
/// | limit | unit | default | beyond it |
/// |---|---|---|---|
/// | [`OUTBOUND_FRAMES_MAX`](super::OUTBOUND_FRAMES_MAX) | frames that wait to be written, per lane | 16,384 | `Full` |
/// | [`OUTBOUND_BYTES_MAX`](super::OUTBOUND_BYTES_MAX) | bytes of them | 16 MiB | `Full` |
/// | [`FRAME_AGE_MAX`](super::FRAME_AGE_MAX) | how long they wait | 2 s | dropped |
/// | messages that wait for us, per lane | frames, bytes | 65,536, 64 MiB | lost, `Gap` |
/// | [`REDIS_PAYLOAD_BYTES_MAX`] | bytes of a frame | 1 MiB | `TooLarge` |
///
/// ```no_run
/// # #[tokio::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use heronry::engine::redis::{Redis, RedisOptions};
/// use heronry::node::{ClusterName, Incarnation, NodeId, NodeName};
///
/// let node = NodeId::new(NodeName::parse("shop@eu-1")?, Incarnation::new(0x9f2c_41d0_7b3a_5e18));
/// let options = RedisOptions::new("rediss://redis.example:6379", ClusterName::parse("shop")?, node)
///     .user_and_password("shop", std::env::var("REDIS_PASSWORD")?);
/// let engine = Redis::connect(options).await?;
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct Redis(Linked);

impl Redis {
    /// Connects both lanes; from then on it reconnects by itself.
    ///
    /// # Errors
    /// [`RedisError`] if the server does not let us in.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub async fn connect(options: RedisOptions) -> Result<Self, RedisError> {
        let (cluster, node) = (options.cluster.clone(), options.node.clone());
        Ok(Self(Linked::connect(RedisServer { options }, &cluster, node).await?))
    }
}

/// Where connections come from.
struct RedisServer {
    options: RedisOptions,
}

impl Broker for RedisServer {
    type Wire = RedisWire;
    type Error = RedisError;

    async fn connect(&self, _: Lane) -> Result<RedisWire, RedisError> {
        // Of a program with two kinds of cryptography in it none is the default, and the client would panic.
        let _ = tokio_rustls::rustls::crypto::ring::default_provider().install_default();
        let (client, server) = self.options.client()?;
        let inbox = Arc::new(Inbox::new());
        let into = inbox.clone();
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_MAX))
            // Pings see whether it is alive; a batch may take as long as the server is alive.
            .set_response_timeout(None)
            .set_push_sender(move |push| {
                into.take(push);
                Ok::<(), std::convert::Infallible>(())
            });
        match timeout(CONNECT_MAX, client.get_multiplexed_async_connection_with_config(&config)).await {
            Ok(Ok(connection)) => Ok(RedisWire::new(connection, inbox)),
            Ok(Err(error)) => Err(RedisError::of(&server, error)),
            Err(_) => Err(RedisError::Timeout { server }),
        }
    }
}

impl Engine for Redis {
    fn node(&self) -> &NodeId {
        self.0.node()
    }

    fn caps(&self) -> Caps {
        Caps::new(self.0.payload_max())
    }

    fn start(&self, receiver: Arc<dyn Receiver>) {
        self.0.start(receiver);
    }

    fn publish(&self, subject: &Subject, frame: Bytes) -> Result<(), PublishError> {
        self.0.publish(subject, frame)
    }

    fn set_interest(&self, subject: &Subject, wanted: bool) {
        self.0.set_interest(subject, wanted);
    }

    fn stop(&self, deadline: Duration) -> Stopping {
        self.0.stop(deadline)
    }
}
