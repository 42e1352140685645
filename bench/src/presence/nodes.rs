//! Nodes with an endpoint and a presence each.

use std::net::SocketAddr;
use std::sync::Arc;

use heronry::Name;
use heronry::cluster::{Node, NodeOptions};
use heronry::engine::{self, Local, LocalHub};
use heronry::node::{ClusterName, Incarnation, NodeId, NodeName};
use heronry::supervisor::SupervisorRef;
use heronry_channels::prelude::*;
use heronry_channels::{CheckOrigin, Endpoint, SocketOptions};
use heronry_presence::{Mode, Presence, TrackerOptions};

use crate::Error;

/// How many keys of a topic that is sampled its members see.
const SAMPLE: usize = 20;

/// Topics of this beginning are counted, of the next one sampled; of others everybody is shown.
pub(super) const COUNTED: &str = "bench:counted:";
pub(super) const SAMPLED: &str = "bench:sampled:";
pub(super) const SHOWN: &str = "bench:shown:";

/// What the nodes hear each other by.
pub(super) enum Over<'a> {
    Memory(&'a LocalHub),
    Broker(&'a str),
}

/// A node with its endpoint.
pub(super) struct Place {
    pub(super) node: Node,
    pub(super) presence: Presence,
    pub(super) addr: SocketAddr,
    tree: SupervisorRef,
}

struct Spectators {
    presence: Presence,
}

/// A client that is told who is there, and is not there itself.
struct Spectator;

struct AfterJoin;

impl Socket for Spectators {
    type Assigns = ();

    async fn connect(&self, _: &Connect) -> Result<(), Refusal> {
        Ok(())
    }

    fn channels(routes: Routes<Self>) -> Routes<Self> {
        routes.channel::<Spectator>("bench:*")
    }
}

impl Channel for Spectator {
    type Socket = Spectators;
    type Msg = AfterJoin;

    async fn join(_: &str, _: Payload, socket: &mut ChannelSocket<Self>) -> Join<Self> {
        socket.addr().send(AfterJoin)?;
        Ok((Self, Payload::empty()))
    }

    async fn handle_info(&mut self, AfterJoin: AfterJoin, socket: &mut ChannelSocket<Self>) -> Outcome {
        socket.handler().presence.push_state(socket).await?;
        Ok(Handled::NoReply)
    }
}

impl Place {
    pub(super) async fn start(name: &str, over: Over<'_>) -> Result<Self, Error> {
        let id = NodeId::new(NodeName::parse(name)?, Incarnation::draw());
        let engine = match over {
            Over::Memory(hub) => Arc::new(Local::new(id, hub)),
            Over::Broker(url) => engine::connect(url, ClusterName::parse("bench")?, id).await?,
        };
        let node = Node::new(engine, &NodeOptions::new())?;
        let builder = Endpoint::over(&node, Name::parse("bench")?);
        let options = TrackerOptions { node: Some(node.clone()), ..TrackerOptions::default() };
        let presence = Presence::builder("bench", builder.broadcaster(), options).mode(mode).build();
        let options = SocketOptions { check_origin: CheckOrigin::Off, ..SocketOptions::default() };
        let builder = builder.socket_with("/socket", Spectators { presence: presence.clone() }, options);
        let bound = builder.build()?.bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
        let supervisor = Supervisor::one_for_one().label("bench").child(node.child_spec());
        let tree = supervisor.child(presence.child_spec()).child(bound.child_spec()).start().await?;
        Ok(Self { node, presence, addr: bound.local_addr(), tree })
    }

    pub(super) async fn stop(self) {
        self.tree.stop().await;
    }
}

fn mode(topic: &str) -> Mode {
    match topic {
        _ if topic.starts_with(COUNTED) => Mode::Count,
        _ if topic.starts_with(SAMPLED) => Mode::Sample(SAMPLE),
        _ => Mode::Full,
    }
}
