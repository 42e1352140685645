//! Waiting for the end of an example: a signal, or the end of its tree.

use std::io;

use heronry::supervisor::SupervisorRef;
use tokio::signal::unix::{SignalKind, signal};

/// Returns when SIGINT or SIGTERM arrives, or when the tree has ended by itself.
///
/// # Errors
/// If the system does not let us listen to signals, or the tree gave up.
pub async fn wait_or_ended(tree: &SupervisorRef) -> io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => Ok(()),
        _ = interrupt.recv() => Ok(()),
        reason = tree.wait() => Err(io::Error::other(format!("the supervision tree gave up: {reason}"))),
    }
}
