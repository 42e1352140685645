//! One node: an endpoint with a lobby, whose guests are present on all nodes. This is the part to copy.

use std::error::Error;
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use heronry::Name;
use heronry::application::{Application, StopHandle};
use heronry::cluster::{Node, NodeEvent, NodeOptions, Watch};
use heronry::engine::{self, Lane};
use heronry::node::{ClusterName, Incarnation, NodeId, NodeName};
use heronry_channels::prelude::*;
use heronry_presence::{Presence, TrackerOptions};
use serde_json::json;

/// A longer name is refused: everybody is shown it.
const NAME_CHARS_MAX: usize = 40;

/// Runs a node until it is told to stop, or until whoever started it has ended.
pub(crate) async fn run(name: &str, url: &str, port: u16) -> Result<ExitCode, Box<dyn Error>> {
    let id = NodeId::new(NodeName::parse(name)?, Incarnation::draw());
    let engine = engine::connect(url, ClusterName::parse("example")?, id).await?;
    let node = Node::new(engine, &NodeOptions::new())?;

    let builder = Endpoint::over(&node, Name::parse("endpoint")?);
    let options = TrackerOptions { node: Some(node.clone()), ..TrackerOptions::default() };
    let presence = Presence::new("online", builder.broadcaster(), options);
    let is_linked = Arc::new(AtomicBool::new(true));
    let _watch = watch_link(&node, is_linked.clone());
    let guest = Guest { node: node.clone(), presence: presence.clone(), is_linked };
    let bound = builder.socket("/socket", guest).build()?.bind(SocketAddr::from(([127, 0, 0, 1], port)))?;

    // In this order, so that it leaves the cluster last.
    let application = Application::builder()
        .label(format!("node {name}"))
        .child(node.child_spec())
        .child(presence.child_spec())
        .child(bound.child_spec())
        .start()
        .await?;
    stop_with_parent(application.stop_handle());
    writeln!(io::stdout(), "listening on http://{}", bound.local_addr())?;
    Ok(application.run().await)
}

/// Keeps `is_linked` true to whether the link to the engine is up.
fn watch_link(node: &Node, is_linked: Arc<AtomicBool>) -> Watch {
    let watcher = move |event| match event {
        NodeEvent::EngineUp(Lane::Control) => is_linked.store(true, Ordering::Relaxed),
        NodeEvent::EngineDown(Lane::Control) => is_linked.store(false, Ordering::Relaxed),
        _ => {}
    };
    node.watch(Arc::new(watcher)).0
}

/// Standard input ends with the parent. It is read on a thread of its own, since such a read can't be given up.
fn stop_with_parent(stop: StopHandle) {
    thread::spawn(move || {
        // However it ended, there is nobody left.
        let _ = io::copy(&mut io::stdin(), &mut io::sink());
        stop.stop();
    });
}

/// Anybody, by the name that they give.
struct Guest {
    node: Node,
    presence: Presence,
    is_linked: Arc<AtomicBool>,
}

impl Socket for Guest {
    type Assigns = String;

    async fn connect(&self, connect: &Connect) -> Result<String, Refusal> {
        let name = connect.params.get_str("name").unwrap_or_default();
        if name.is_empty() || name.chars().count() > NAME_CHARS_MAX {
            return Err(Refusal::forbidden());
        }
        Ok(name.to_owned())
    }

    fn channels(routes: Routes<Self>) -> Routes<Self> {
        routes.channel::<Lobby>("lobby")
    }
}

/// One guest in the lobby, which is the same on all nodes.
#[derive(Default)]
struct Lobby {
    watch: Option<Watch>,
}

enum LobbyMsg {
    AfterJoin,
    /// Who is up has changed, or the link.
    Changed,
}

impl Channel for Lobby {
    type Socket = Guest;
    type Msg = LobbyMsg;

    async fn join(_: &str, _: Payload, socket: &mut ChannelSocket<Self>) -> Join<Self> {
        socket.addr().send(LobbyMsg::AfterJoin)?;
        Ok((Self::default(), Payload::empty()))
    }

    async fn handle_info(&mut self, msg: LobbyMsg, socket: &mut ChannelSocket<Self>) -> Outcome {
        let Guest { node, presence, is_linked } = socket.handler();
        if matches!(msg, LobbyMsg::AfterJoin) {
            presence.track(socket, socket.assigns(), json!({ "node": node.id().name().as_str() })).await?;
            presence.push_state(socket).await?;
            let addr = socket.addr();
            // A mailbox that is full of changes holds a later one.
            self.watch = Some(node.watch(Arc::new(move |_| drop(addr.send(LobbyMsg::Changed)))).0);
        }
        let others = node.nodes();
        let others: Vec<&str> = others.iter().map(|other| other.name().as_str()).collect();
        let is_linked = is_linked.load(Ordering::Relaxed);
        socket.push("view", json!({ "others": others, "is_linked": is_linked }))?;
        Ok(Handled::NoReply)
    }

    async fn handle_in(&mut self, event: &str, _: Payload, socket: &mut ChannelSocket<Self>) -> Outcome {
        match event {
            "hello" => {
                socket.broadcast("hello", json!({ "from": socket.assigns() }))?;
                Ok(Handled::ok())
            }
            other => Ok(Handled::error(json!({ "reason": format!("there is no event {other:?} here") }))),
        }
    }
}
