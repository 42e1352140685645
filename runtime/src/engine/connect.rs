//! An engine by its URL, for programs that are told where to connect to.

use std::fmt;
use std::sync::Arc;

#[cfg(feature = "nats")]
use super::nats::{Nats, NatsError, NatsOptions};
#[cfg(feature = "redis")]
use super::redis::{Redis, RedisError, RedisOptions};
use super::{Engine, Local, LocalHub};
use crate::node::{ClusterName, NodeId};

/// An engine that can't be had.
#[derive(Debug)]
#[non_exhaustive]
pub enum ConnectError {
    /// This is the scheme of no engine's URL, or there is none: `local`, `nats://…`, `tls://…`, `redis://…` and `rediss://…` are.
    Url(String),
    /// The engine is not compiled into this program: enable this feature of `heronry`.
    Feature(&'static str),
    /// NATS did not let us in.
    #[cfg(feature = "nats")]
    Nats(NatsError),
    /// Redis did not let us in.
    #[cfg(feature = "redis")]
    Redis(RedisError),
}

/// Connects the engine of a URL: `local` (a node on its own), `nats://…` or `tls://…` (feature `nats`), `redis://…` or `rediss://…` (feature
/// `redis`). For options beyond the URL, make the engine by its own type.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use heronry::cluster::{Node, NodeOptions};
/// use heronry::engine;
/// use heronry::node::{ClusterName, Incarnation, NodeId, NodeName};
///
/// let id = NodeId::new(NodeName::parse("shop@eu-1")?, Incarnation::draw());
/// let node = Node::start(engine::connect("local", ClusterName::parse("shop")?, id).await?, &NodeOptions::new()).await?;
/// assert!(node.nodes().is_empty());
/// node.stop().await;
/// # Ok(()) }
/// ```
///
/// # Errors
/// [`ConnectError`] if the URL is none, its engine not compiled in, or its server can't be reached or refuses us.
///
/// # Panics
/// Outside of a tokio runtime, if the URL is a server's.
pub async fn connect(url: &str, cluster: ClusterName, node: NodeId) -> Result<Arc<dyn Engine>, ConnectError> {
    let scheme = url.split_once("://").map_or(url, |(scheme, _)| scheme);
    match scheme {
        "local" if scheme == url => {
            drop(cluster);
            Ok(Arc::new(Local::new(node, &LocalHub::new())))
        }
        #[cfg(feature = "nats")]
        "nats" | "tls" => {
            let engine = Nats::connect(NatsOptions::new(url, cluster, node)).await;
            Ok(Arc::new(engine.map_err(ConnectError::Nats)?))
        }
        #[cfg(not(feature = "nats"))]
        "nats" | "tls" => Err(ConnectError::Feature("nats")),
        #[cfg(feature = "redis")]
        "redis" | "rediss" => {
            let engine = Redis::connect(RedisOptions::new(url, cluster, node)).await;
            Ok(Arc::new(engine.map_err(ConnectError::Redis)?))
        }
        #[cfg(not(feature = "redis"))]
        "redis" | "rediss" => Err(ConnectError::Feature("redis")),
        // The rest may hold a password, and without a scheme all of it may.
        _ if scheme == url => Err(ConnectError::Url(String::new())),
        _ => Err(ConnectError::Url(scheme.to_owned())),
    }
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url(scheme) => write!(
                f,
                "{scheme:?} is the scheme of no engine: local, nats://…, tls://…, redis://… or rediss://… are wanted"
            ),
            Self::Feature(feature) => write!(
                f,
                "this program has no such engine in it: build it with the feature `{feature}` of heronry"
            ),
            #[cfg(feature = "nats")]
            Self::Nats(error) => error.fmt(f),
            #[cfg(feature = "redis")]
            Self::Redis(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for ConnectError {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::{Incarnation, NodeName};

    #[tokio::test]
    async fn a_wrong_url_says_what_is_wanted_and_keeps_its_secrets() {
        let cluster = ClusterName::parse("c").unwrap();
        let id = || NodeId::new(NodeName::parse("a").unwrap(), Incarnation::new(1));
        for url in ["", "local://x", "kafka://me:hunter2@host", "me:hunter2@host"] {
            let error = connect(url, cluster.clone(), id()).await.unwrap_err();
            assert!(matches!(error, ConnectError::Url(_)), "{error:?}");
            assert!(error.to_string().contains("nats://"), "{error}");
            assert!(!error.to_string().contains("hunter2"), "{error}");
        }
        assert!(connect("local", cluster, id()).await.is_ok());
    }
}
