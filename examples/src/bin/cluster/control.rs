//! The page: what the programs are doing, and orders to their keepers and wires.

use std::collections::BTreeMap;
use std::error::Error;
use std::io::{self, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{ExitCode, Stdio};
use std::sync::{Arc, Mutex};

use examples::npm;
use heronry::application::Application;
use heronry_channels::Broadcaster;
use heronry_channels::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::process::Command;

use super::keeper::{self, Program};
use super::wire;

const NODES: [&str; 3] = ["a", "b", "c"];

/// What the engine's program is called, if it is one of ours.
pub(crate) const ENGINE: &str = "engine";

const TOPIC: &str = "control";

/// Runs the page, the nodes, and the engine unless `engine` is the URL of one.
pub(crate) async fn run(port: u16, engine: Option<String>) -> Result<ExitCode, Box<dyn Error>> {
    let web = examples::web_folder();
    npm::ensure(&web)?;
    let builder = Endpoint::builder()
        .file("/", web.join("cluster/index.html"))
        .file("/assets/cluster.js", web.join("cluster/cluster.js"))
        .file("/assets/phoenix.mjs", web.join("node_modules/phoenix/priv/static/phoenix.mjs"));
    let board = Arc::new(Board::new(builder.broadcaster()));
    let endpoint = builder.socket("/socket", Visitor { board: board.clone() }).build()?;
    let bound = endpoint.bind(SocketAddr::from(([127, 0, 0, 1], port)))?;

    // In this order: a program is ready before the next one is started.
    let mut application = Application::builder().label("cluster");
    let program = std::env::current_exe()?;
    if engine.is_none() {
        application = application.child(keeper::child_spec(nats_server()?, board.clone()));
    }
    for name in NODES {
        let url = match &engine {
            Some(url) => url.clone(),
            None => {
                let listener = TcpListener::bind("127.0.0.1:0")?;
                listener.set_nonblocking(true)?;
                let url = format!("nats://{}", listener.local_addr()?);
                application = application.child(wire::child_spec(name, listener, board.clone()));
                url
            }
        };
        application = application.child(keeper::child_spec(node(&program, name, url), board.clone()));
    }
    let application = application.child(bound.child_spec()).start().await?;
    writeln!(io::stdout(), "listening on http://{}", bound.local_addr())?;
    Ok(application.run().await)
}

fn nats_server() -> Result<Program, Box<dyn Error>> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    // Debian has it where only root's PATH looks.
    let folders = std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]);
    let program = folders.map(|folder| folder.join("nats-server")).find(|path| path.is_file()).ok_or(
        "nats-server was not found on PATH; install it (Debian: apt-get install nats-server), or name an engine that \
         runs: --engine nats://HOST:PORT",
    )?;
    let command = move |port: u16| {
        // For nats-server, any port is -1.
        let port = if port == 0 { "-1".to_owned() } else { port.to_string() };
        let mut command = Command::new(&program);
        command.args(["--addr", "127.0.0.1", "--port", &port]).stdin(Stdio::null()).stderr(Stdio::piped());
        command
    };
    Ok(Program { name: ENGINE, command: Box::new(command), ready: "Listening for client connections on " })
}

fn node(program: &Path, name: &'static str, url: String) -> Program {
    let program = program.to_owned();
    let command = move |port: u16| {
        let mut command = Command::new(&program);
        command.args(["--node", name, "--engine", &url, "--port", &port.to_string()]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        command
    };
    Program { name, command: Box::new(command), ready: "listening on http://" }
}

/// What a program is doing.
#[derive(Clone, Copy, Default, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum State {
    /// It does not run.
    #[default]
    Dead,
    /// It runs.
    Running,
    /// It stands still.
    Stopped,
}

/// What the page shows of a program.
#[derive(Default, Serialize)]
pub(crate) struct Row {
    pub(crate) state: State,
    pub(crate) address: Option<SocketAddr>,
    /// Whether its wire is cut, if it has one.
    pub(crate) is_cut: Option<bool>,
}

/// What is known of all programs, and told to the page.
pub(crate) struct Board {
    broadcaster: Broadcaster,
    rows: Mutex<BTreeMap<&'static str, Row>>,
}

impl Board {
    fn new(broadcaster: Broadcaster) -> Self {
        Self { broadcaster, rows: Mutex::default() }
    }

    /// Where a program listens, if it ever did.
    pub(crate) fn address(&self, name: &str) -> Option<SocketAddr> {
        self.with(|rows| rows.get(name)?.address)
    }

    /// Changes what is known of a program, and tells all pages. Under the lock, which nothing waits in: so the last that they
    /// are told is what is true.
    pub(crate) fn change(&self, name: &'static str, change: impl FnOnce(&mut Row)) {
        self.with(|rows| {
            change(rows.entry(name).or_default());
            self.broadcaster.broadcast(TOPIC, "programs", json!(rows)).expect("invariant: it is an object");
        });
    }

    fn with<R>(&self, see: impl FnOnce(&mut BTreeMap<&'static str, Row>) -> R) -> R {
        see(&mut self.rows.lock().expect("invariant: nobody panics with the lock"))
    }
}

/// Whoever can open the page. It listens on this machine alone, and other sites' pages are refused by their origin.
struct Visitor {
    board: Arc<Board>,
}

impl Socket for Visitor {
    type Assigns = ();

    async fn connect(&self, _: &Connect) -> Result<(), Refusal> {
        Ok(())
    }

    fn channels(routes: Routes<Self>) -> Routes<Self> {
        routes.channel::<Control>(TOPIC)
    }
}

struct Control;

struct AfterJoin;

#[derive(Deserialize)]
struct Whom {
    name: String,
}

impl Channel for Control {
    type Socket = Visitor;
    type Msg = AfterJoin;

    async fn join(_: &str, _: Payload, socket: &mut ChannelSocket<Self>) -> Join<Self> {
        socket.addr().send(AfterJoin)?;
        Ok((Self, Payload::empty()))
    }

    async fn handle_info(&mut self, AfterJoin: AfterJoin, socket: &mut ChannelSocket<Self>) -> Outcome {
        socket.handler().board.with(|rows| socket.push("programs", json!(rows)))?;
        Ok(Handled::NoReply)
    }

    async fn handle_in(&mut self, event: &str, payload: Payload, _: &mut ChannelSocket<Self>) -> Outcome {
        let Whom { name } = payload.parse()?;
        let sent = match event {
            "start" => order(&name, keeper::Order::Start),
            "kill" => order(&name, keeper::Order::Kill),
            "stop" => order(&name, keeper::Order::Stop),
            "continue" => order(&name, keeper::Order::Continue),
            "cut" => order(&wire::name(&name), wire::Order::Cut),
            "heal" => order(&wire::name(&name), wire::Order::Heal),
            other => Err(format!("there is no order {other:?}")),
        };
        Ok(match sent {
            Ok(()) => Handled::ok(),
            Err(reason) => Handled::error(json!({ "reason": reason })),
        })
    }
}

/// Gives an order to the keeper or wire of that name.
fn order<M: Send + 'static>(name: &str, order: M) -> Result<(), String> {
    let to: Addr<M> = whereis(name).map_err(|error| error.to_string())?;
    to.send(order).map_err(|error| error.to_string())
}
