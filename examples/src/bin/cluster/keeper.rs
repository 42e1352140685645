//! The keeper of a program: a process that starts it, does to it what it is told, and sees it end.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use heronry::prelude::*;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader, Lines};
use tokio::process::{Child, ChildStdin, Command};
use tokio::time::timeout;

use super::control::{Board, State};

/// How long a program may take to be ready.
const READY_WITHIN: Duration = Duration::from_secs(10);

/// How long a program may take to end in order: a node drains its sockets.
const STOP_WITHIN: Duration = Duration::from_secs(10);

/// What a keeper is told. What makes no sense at the moment does nothing.
pub(crate) enum Order {
    /// Starts the program again, on the port that it had.
    Start,
    /// Ends it as a power cut would (SIGKILL).
    Kill,
    /// Lets it stand still (SIGSTOP).
    Stop,
    /// Lets it go on (SIGCONT).
    Continue,
}

/// A program that listens somewhere.
pub(crate) struct Program {
    /// What it is called, and the name under which its keeper takes [`Order`]s.
    pub(crate) name: &'static str,
    /// How it is started on a port; 0 is any. One of its outputs is piped.
    pub(crate) command: Box<dyn Fn(u16) -> Command + Send + Sync>,
    /// What is in front of the address in the line by which it says that it is ready.
    pub(crate) ready: &'static str,
}

/// The keeper of a program, which has started once that is ready. If it ends, so does the program.
pub(crate) fn child_spec(program: Program, board: Arc<Board>) -> ChildSpec {
    let (name, program) = (program.name, Arc::new(program));
    ChildSpec::new(format!("keeper of {name}"), move |spawner| {
        let (program, board) = (program.clone(), board.clone());
        async move { Ok(spawner.spawn_ready(|ctx, ready| keep(ctx, ready, program, board)).await?.pid()) }
    })
    .named(name)
    .shutdown(Shutdown::After(STOP_WITHIN + Duration::from_secs(2)))
}

/// A program that runs. It is killed when this is dropped.
struct Running {
    child: Child,
    /// A node ends when this is closed, and so with us, however we end.
    _stdin: Option<ChildStdin>,
    /// What it writes has to be read, or it would wait.
    lines: Lines<BufReader<Box<dyn AsyncRead + Send + Sync + Unpin>>>,
}

async fn keep(
    mut ctx: Context<Order>,
    ready: ReplyTo<()>,
    program: Arc<Program>,
    board: Arc<Board>,
) -> ExitReason {
    ctx.trap_exit(true);
    let (mut running, address) = match start(&program, board.address(program.name)).await {
        Ok((running, address)) => (Some(running), address),
        Err(error) => return ExitReason::shutdown_with(format!("{} does not start: {error}", program.name)),
    };
    let tell = |state| board.change(program.name, |row| (row.state, row.address) = (state, Some(address)));
    tell(State::Running);
    ready.send(());
    loop {
        tokio::select! {
            received = ctx.receive() => match (received, &mut running) {
                (Received::Message(Order::Start), None) => {
                    running = start(&program, Some(address)).await.ok().map(|(running, _)| running);
                    tell(if running.is_some() { State::Running } else { State::Dead });
                }
                // That it is dead is told when it is.
                (Received::Message(Order::Kill), Some(running)) => drop(running.child.start_kill()),
                (Received::Message(Order::Stop), Some(running)) => {
                    if running.signal("-STOP").await.is_ok() {
                        tell(State::Stopped);
                    }
                }
                (Received::Message(Order::Continue), Some(running)) => {
                    if running.signal("-CONT").await.is_ok() {
                        tell(State::Running);
                    }
                }
                (Received::Message(_), _) => {}
                (Received::Info(_), running) => return end(running.take()).await,
            },
            () = ended(&mut running) => {
                running = None;
                tell(State::Dead);
            }
        }
    }
}

/// Starts the program, on the port that it had before if it had one, and waits until it says where it listens.
async fn start(program: &Program, before: Option<SocketAddr>) -> io::Result<(Running, SocketAddr)> {
    let mut command = (program.command)(before.map_or(0, |address| address.port()));
    // A group of its own: what is typed in our terminal is for us, and we end it in order.
    let mut child = command.process_group(0).kill_on_drop(true).spawn()?;
    let output: Box<dyn AsyncRead + Send + Sync + Unpin> = match (child.stdout.take(), child.stderr.take()) {
        (Some(stdout), _) => Box::new(stdout),
        (None, Some(stderr)) => Box::new(stderr),
        (None, None) => Box::new(tokio::io::empty()),
    };
    let (stdin, lines) = (child.stdin.take(), BufReader::new(output).lines());
    let mut running = Running { child, _stdin: stdin, lines };
    let ready = async {
        while let Some(line) = running.lines.next_line().await? {
            let address = line.split_once(program.ready).and_then(|(_, rest)| rest.trim().parse().ok());
            if let Some(address) = address {
                return Ok(address);
            }
        }
        Err(io::Error::other("it ended before it was ready"))
    };
    let address = timeout(READY_WITHIN, ready).await.map_err(|_| io::ErrorKind::TimedOut)??;
    Ok((running, address))
}

/// Reads what the program writes, until it has ended; for ever if none runs.
async fn ended(running: &mut Option<Running>) {
    let Some(Running { child, lines, .. }) = running else { return std::future::pending().await };
    while let Ok(Some(_)) = lines.next_line().await {}
    // It can't fail for a child that is ours and was not waited for.
    drop(child.wait().await);
}

/// Ends the program in order.
async fn end(running: Option<Running>) -> ExitReason {
    if let Some(running) = running {
        // A program that stands still takes no other signal. One that does not end by it is killed when dropped.
        drop(running.signal("-CONT").await);
        if running.signal("-TERM").await.is_ok() {
            drop(timeout(STOP_WITHIN, ended(&mut Some(running))).await);
        }
    }
    ExitReason::Shutdown
}

impl Running {
    /// Sends a signal, by the program `kill`: the standard library has none but SIGKILL. The number can't be that of another
    /// program by now, since nobody but us waits for it.
    async fn signal(&self, signal: &str) -> io::Result<()> {
        let Some(pid) = self.child.id() else { return Err(io::ErrorKind::NotFound.into()) };
        let status = Command::new("kill").args([signal, &pid.to_string()]).status().await?;
        if status.success() { Ok(()) } else { Err(io::Error::other("kill failed")) }
    }
}
