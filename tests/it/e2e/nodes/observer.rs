//! A node of the cluster in this program, which notes when it is told of the others.

use std::sync::Arc;
use std::time::Duration;

use heronry::cluster::{Node, NodeEvent, NodeOptions, Watch};
use heronry::engine;
use heronry::node::{ClusterName, Incarnation, NodeId, NodeName};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::{Instant, timeout};

use super::super::{Failure, Outcome};
use super::CLUSTER;

pub(super) struct Observer {
    pub(super) node: Node,
    told: UnboundedReceiver<(Instant, NodeEvent)>,
    _watch: Watch,
}

impl Observer {
    pub(super) async fn start(engine: &str) -> Outcome<Self> {
        let id = NodeId::new(NodeName::parse("observer")?, Incarnation::draw());
        let engine = engine::connect(engine, ClusterName::parse(CLUSTER)?, id).await?;
        let (tell, told) = unbounded_channel();
        let node = Node::start(engine, &NodeOptions::new()).await?;
        let watcher = move |event| drop(tell.send((Instant::now(), event)));
        let (watch, up) = node.watch(Arc::new(watcher.clone()));
        up.into_iter().for_each(|id| watcher(NodeEvent::Up(id)));
        Ok(Self { node, told, _watch: watch })
    }

    /// Waits until the node of this name is up.
    pub(super) async fn sees_up(&mut self, name: &str, within: Duration) -> Outcome {
        let is_up = |event: &NodeEvent| matches!(event, NodeEvent::Up(id) if id.name().as_str() == name);
        self.until(&format!("node {name} to be up"), is_up, within).await.map(drop)
    }

    /// Waits until the node of this name is down, and says when it was told so.
    pub(super) async fn sees_down(&mut self, name: &str, within: Duration) -> Outcome<Instant> {
        let is_down = |event: &NodeEvent| matches!(event, NodeEvent::Down(id) if id.name().as_str() == name);
        self.until(&format!("node {name} to be down"), is_down, within).await
    }

    async fn until(
        &mut self,
        what: &str,
        is_it: impl Fn(&NodeEvent) -> bool,
        within: Duration,
    ) -> Outcome<Instant> {
        let mut seen = Vec::new();
        let next = async {
            while let Some((at, event)) = self.told.recv().await {
                if is_it(&event) {
                    return Some(at);
                }
                seen.push(event);
            }
            None
        };
        match timeout(within, next).await {
            Ok(Some(at)) => Ok(at),
            Ok(None) | Err(_) => Err(Failure(format!("waited {within:?} for {what}, was told {seen:?}"))),
        }
    }
}
