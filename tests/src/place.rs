//! Where a server of tests or benches runs, as its command line says: on which port, and as which node of which cluster.

use heronry::cluster::{Node, NodeOptions};
use heronry::engine;
use heronry::node::{ClusterName, Incarnation, NodeId, NodeName};

/// What the arguments may be.
pub const USAGE: &str =
    "[--port PORT] [--node NAME [--cluster NAME] [--engine local|nats://HOST:PORT|redis://HOST:PORT]]";

type Error = Box<dyn std::error::Error + Send + Sync>;

/// A port, and a node if there is to be one.
#[derive(Debug)]
pub struct Place {
    /// The port; 0 is any.
    pub port: u16,
    node: Option<NodeName>,
    cluster: ClusterName,
    engine: String,
}

impl Place {
    /// Reads the arguments; without them it is a server alone on that port.
    ///
    /// # Errors
    /// If one is unknown, or wrong.
    pub fn parse(args: impl IntoIterator<Item = String>, port: u16) -> Result<Self, Error> {
        let cluster = ClusterName::parse("heronry")?;
        let mut place = Self { port, node: None, cluster, engine: "local".to_owned() };
        let mut args = args.into_iter();
        while let Some(arg) = args.next() {
            let value = args.next().ok_or_else(|| format!("{arg} needs a value; usage: {USAGE}"))?;
            match arg.as_str() {
                "--port" => {
                    place.port = value.parse().map_err(|_| format!("{value:?} is no port (0 to 65535)"))?;
                }
                "--node" => place.node = Some(NodeName::parse(&value)?),
                "--cluster" => place.cluster = ClusterName::parse(&value)?,
                "--engine" => place.engine = value,
                other => return Err(format!("unknown argument {other:?}; usage: {USAGE}").into()),
            }
        }
        if place.node.is_none() && place.engine != "local" {
            return Err(format!("--engine needs --node; usage: {USAGE}").into());
        }
        Ok(place)
    }

    /// Connects the engine and makes the node, whose child spec then goes into the tree; `None` for a server alone.
    ///
    /// # Errors
    /// If the engine can't be reached.
    pub async fn node(&self) -> Result<Option<Node>, Error> {
        let Some(name) = &self.node else { return Ok(None) };
        let id = NodeId::new(name.clone(), Incarnation::draw());
        let engine = engine::connect(&self.engine, self.cluster.clone(), id).await?;
        Ok(Some(Node::new(engine, &NodeOptions::new())?))
    }
}
