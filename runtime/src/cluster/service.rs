//! The process of a node: it beats, looks at the time, and says goodbye.

use super::Node;
use crate::clock;
use crate::exit::ExitReason;
use crate::process::{Context, Info, Received};
use crate::server::ReplyTo;

/// What the process is told.
#[derive(Debug)]
pub(super) enum Wake {
    /// Something has a deadline that may be sooner than the one it waits for.
    Look,
    /// The node is to leave.
    Leave,
}

/// How many wakes wait for it: each says the same.
pub(super) const WAKES_MAX: usize = 1_024;

/// The body of the process. What it knows is in the switchboard, so that the next incarnation goes on where this one ended.
pub(super) async fn run(mut ctx: Context<Wake>, node: Node, ready: ReplyTo<()>) -> ExitReason {
    let board = &node.board;
    if board.has_left() {
        return ExitReason::custom("this node has left its cluster, and its life is over: make a new one");
    }
    ctx.trap_exit(true);
    *board.service.lock() = Some(ctx.addr());
    board.begin();
    ready.send(());
    loop {
        let now = clock::now();
        board.beat_if_due(now);
        board.tick(now);
        let next = board.next_beat(now);
        let next = board.deadline().map_or(next, |deadline| deadline.min(next));
        let received = tokio::time::timeout_at(next, ctx.receive()).await;
        match received {
            // One look serves for all that wait.
            Err(_) | Ok(Received::Message(Wake::Look)) => {}
            Ok(Received::Message(Wake::Leave)) => {
                board.leave().await;
                return ExitReason::Normal;
            }
            Ok(Received::Info(Info::Exit(exit))) if Some(exit.from) == ctx.parent() => {
                board.leave().await;
                return exit.reason;
            }
            Ok(Received::Info(Info::Exit(exit))) if !exit.reason.is_normal() => return exit.reason,
            Ok(Received::Info(Info::Exit(_) | Info::Down(_))) => {}
        }
    }
}
