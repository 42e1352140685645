//! The wire between a node and the engine: a process that passes bytes on, until it is cut.

use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::sync::Arc;

use heronry::prelude::*;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::control::Board;

/// What a wire is told.
pub(crate) enum Order {
    /// Closes all connections, and each new one at once.
    Cut,
    /// Passes new connections on.
    Heal,
}

/// The name of a node's wire, under which it takes [`Order`]s.
pub(crate) fn name(node: &str) -> String {
    format!("wire {node}")
}

/// A wire for `node`. The port stays open should the process be restarted; then it is whole.
pub(crate) fn child_spec(node: &'static str, listener: StdListener, board: Arc<Board>) -> ChildSpec {
    let body = move |ctx: Context<Order>| {
        let (listener, board) = (listener.try_clone(), board.clone());
        async move { pass(ctx, node, TcpListener::from_std(listener?)?, &board).await }
    };
    ChildSpec::process(name(node), body).named(name(node))
}

async fn pass(
    mut ctx: Context<Order>,
    node: &'static str,
    listener: TcpListener,
    board: &Board,
) -> io::Result<()> {
    let mut connections = JoinSet::new();
    let mut is_cut = false;
    board.change(node, |row| row.is_cut = Some(is_cut));
    loop {
        tokio::select! {
            received = ctx.receive() => {
                match received {
                    Received::Message(Order::Cut) => {
                        is_cut = true;
                        connections.abort_all();
                    }
                    Received::Message(Order::Heal) => is_cut = false,
                    // It traps no exits and monitors nobody.
                    Received::Info(_) => {}
                }
                board.change(node, |row| row.is_cut = Some(is_cut));
            }
            accepted = listener.accept() => {
                let (near, _) = accepted?;
                if !is_cut && let Some(engine) = board.address(super::control::ENGINE) {
                    connections.spawn(connect(near, engine));
                }
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

/// Passes on both ways until one side closes. Errors are the ends' to notice: for both the connection is closed.
async fn connect(mut near: TcpStream, engine: SocketAddr) -> io::Result<()> {
    let mut far = TcpStream::connect(engine).await?;
    near.set_nodelay(true)?;
    far.set_nodelay(true)?;
    copy_bidirectional(&mut near, &mut far).await?;
    Ok(())
}
