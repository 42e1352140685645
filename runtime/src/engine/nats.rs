//! The engine that rides on NATS (feature `nats`): the one for more than one machine.
//!
//! Each lane has a connection of its own. A connection is used until it ends and never again: the client's own reconnecting
//! would send what it still holds however old that is.

mod options;
mod wire;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_nats::{ConnectOptions, ReconnectToServer, ServerAddr};
use bytes::Bytes;
use options::place;
pub use options::{NatsError, NatsOptions};
use tokio::time::timeout;
use wire::{NatsWire, Watch};

use super::linked::{Broker, Linked};
use super::{Caps, Engine, Lane, PublishError, Receiver, Stopping, Subject};
use crate::node::NodeId;

/// The client takes a connection for dead when three pings in a row have found no answer: after 2.7 s, so that a link which
/// looks alive and is not is down within 3 s.
const PING_INTERVAL: Duration = Duration::from_millis(900);

/// How long a server may take to let us in.
const CONNECT_MAX: Duration = Duration::from_secs(2);

/// How many messages of one subscription may wait for us; more are lost, and told as a gap. What waits beyond it waits in the
/// server, which has limits too.
const SUBSCRIPTION_MESSAGES_MAX: usize = 65_536;

/// A server that no connection ever comes about with: port 0 is none. See [`once`].
const NOWHERE: &str = "nats://127.0.0.1:0";

/// The engine of a node on a NATS server.
///
/// The subjects are `hr1.<cluster>.>`, so a user's permissions can be limited to them. Interest is NATS's own: a frame goes to
/// the nodes that want it and to no other. A frame does not come back to its own node.
///
/// | limit | unit | default | beyond it |
/// |---|---|---|---|
/// | [`OUTBOUND_FRAMES_MAX`](super::OUTBOUND_FRAMES_MAX) | frames that wait to be written, per lane | 16,384 | `Full` |
/// | [`OUTBOUND_BYTES_MAX`](super::OUTBOUND_BYTES_MAX) | bytes of them | 16 MiB | `Full` |
/// | [`FRAME_AGE_MAX`](super::FRAME_AGE_MAX) | how long they wait | 2 s | dropped |
/// | messages that wait for us, per subject | frames | 65,536 | lost, `Gap` |
/// | the server's `max_payload` | bytes of a frame | 1 MiB | `TooLarge` |
///
/// ```no_run
/// # #[tokio::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use heronry::engine::nats::{Nats, NatsOptions};
/// use heronry::node::{ClusterName, Incarnation, NodeId, NodeName};
///
/// let node = NodeId::new(NodeName::parse("shop@eu-1")?, Incarnation::new(0x9f2c_41d0_7b3a_5e18));
/// let options = NatsOptions::new("tls://nats.example:4222", ClusterName::parse("shop")?, node)
///     .credentials_file("/etc/shop/nats.creds");
/// let engine = Nats::connect(options).await?;
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct Nats(Linked);

impl Nats {
    /// Connects both lanes; from then on it reconnects by itself.
    ///
    /// # Errors
    /// [`NatsError`] if none of the servers lets us in; what is told is the last one's.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub async fn connect(options: NatsOptions) -> Result<Self, NatsError> {
        let servers = options.parse()?;
        let (cluster, node) = (options.cluster.clone(), options.node.clone());
        let server = NatsServer { servers, next: AtomicUsize::new(0), options };
        Ok(Self(Linked::connect(server, &cluster, node).await?))
    }
}

/// Where connections come from.
struct NatsServer {
    /// At least one.
    servers: Vec<ServerAddr>,
    /// The server to begin with: the last that was of use.
    next: AtomicUsize,
    options: NatsOptions,
}

impl Broker for NatsServer {
    type Wire = NatsWire;
    type Error = NatsError;

    async fn connect(&self, lane: Lane) -> Result<NatsWire, NatsError> {
        let begin = self.next.load(Ordering::Relaxed);
        let mut index = begin;
        loop {
            let server = &self.servers[index % self.servers.len()];
            match self.connect_to(server, lane).await {
                Ok(wire) => {
                    self.next.store(index % self.servers.len(), Ordering::Relaxed);
                    return Ok(wire);
                }
                Err(error) if index + 1 == begin + self.servers.len() => return Err(error),
                Err(_) => index += 1,
            }
        }
    }
}

impl NatsServer {
    async fn connect_to(&self, server: &ServerAddr, lane: Lane) -> Result<NatsWire, NatsError> {
        // Of a program with two kinds of cryptography in it none is the default, and the client would panic.
        let _ = tokio_rustls::rustls::crypto::ring::default_provider().install_default();
        let watch = Arc::new(Watch::default());
        let told = watch.clone();
        let options = once(self.options.client_options(server).await?, server.clone())
            .name(format!("{} {lane}", self.options.node))
            .no_echo()
            .ping_interval(PING_INTERVAL)
            .connection_timeout(CONNECT_MAX)
            .subscription_capacity(SUBSCRIPTION_MESSAGES_MAX)
            .event_callback(move |event| {
                told.take(&event);
                std::future::ready(())
            });
        let pool = [server.clone(), nowhere()];
        match timeout(CONNECT_MAX, options.connect(&pool[..])).await {
            Ok(Ok(client)) => Ok(NatsWire::new(client, watch)),
            Ok(Err(error)) => Err(NatsError::of(server, error)),
            Err(_) => Err(NatsError::Timeout { server: place(server) }),
        }
    }
}

/// Lets the client connect once. It has no way to be told so, but it asks where to reconnect to, and gives up after as many
/// failures as we say: so it is sent nowhere.
fn once(options: ConnectOptions, server: ServerAddr) -> ConnectOptions {
    let first = Arc::new(AtomicUsize::new(0));
    options.ignore_discovered_servers().max_reconnects(1).reconnect_to_server_callback(move |_, _| {
        let addr = if first.fetch_add(1, Ordering::Relaxed) == 0 { server.clone() } else { nowhere() };
        std::future::ready(Some(ReconnectToServer { addr, delay: Some(Duration::ZERO) }))
    })
}

fn nowhere() -> ServerAddr {
    NOWHERE.parse().expect("invariant: it is a URL")
}

impl Engine for Nats {
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
