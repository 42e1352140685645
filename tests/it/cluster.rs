//! Several nodes in one program, on paused time.

mod faults;
mod global;
mod groups;
mod hostile;
mod long_poll;
mod nodes;
mod pubsub;
mod remote;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use heronry::cluster::{Channel, Delivery, Node, NodeEvent, NodeOptions, Subscription, Watch};
use heronry::engine::{Local, LocalHub, ShardId, Subject};
use heronry::node::{Incarnation, NodeId, NodeName};
use tokio::time::sleep;

fn id(name: &str, life: u64) -> NodeId {
    NodeId::new(NodeName::parse(name).expect("a name"), Incarnation::new(life))
}

fn local(hub: &LocalHub, name: &str, life: u64) -> Arc<Local> {
    Arc::new(Local::new(id(name, life), hub))
}

async fn node(hub: &LocalHub, name: &str, life: u64) -> Node {
    Node::start(local(hub, name, life), &NodeOptions::new()).await.expect("it starts")
}

fn ids(nodes: &[&Node]) -> Vec<NodeId> {
    nodes.iter().map(|node| node.id().clone()).collect()
}

/// Everything that is told, in order.
type Log<T> = Arc<Mutex<Vec<T>>>;

fn take<T>(log: &Log<T>) -> Vec<T> {
    std::mem::take(&mut log.lock().expect("no panic under it"))
}

fn watch(node: &Node) -> (Watch, Log<NodeEvent>) {
    let log = Log::default();
    let into = log.clone();
    let (watch, _) = node.watch(Arc::new(move |event| into.lock().expect("no panic under it").push(event)));
    (watch, log)
}

fn subscribe(node: &Node, channel: Channel) -> (Subscription, Log<Delivery>) {
    let log = Log::default();
    let into = log.clone();
    let subscriber = move |delivery| into.lock().expect("no panic under it").push(delivery);
    (node.subscribe(channel, Arc::new(subscriber)), log)
}

fn payload(from: &Node, payload: impl Into<Bytes>) -> Delivery {
    Delivery::Payload { from: from.id().clone(), payload: payload.into() }
}

fn pubsub() -> Channel {
    Channel::pubsub(ShardId::new(7).expect("a shard"))
}

/// Long enough for what is on its way, and for a node that is new to be answered.
async fn settle() {
    sleep(Duration::from_millis(60)).await;
}

fn pubsub_subject() -> Subject {
    Subject::PubSub(ShardId::new(7).expect("a shard"))
}
