//! Stopping a server from outside.

use std::fmt;
use std::time::Duration;

use crate::exit::ExitReason;
use crate::process::{self, Addr, ExitWatch};

/// A process that did not stop as it was asked to.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum StopError {
    /// It ended, for another reason: it had ended before, something else ended it, or its `terminate` panicked.
    Exited(ExitReason),
    /// It did not end in this time. It will still do so once it comes to the request; to end it at once there is
    /// [`kill`](crate::process::kill).
    Timeout(Duration),
    /// A process asked to stop itself and would wait for ever. Return [`Next::Stop`](super::Next::Stop) instead.
    StoppingSelf,
}

impl fmt::Display for StopError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exited(reason) => write!(f, "the process has ended for another reason: {reason}"),
            Self::Timeout(time) => write!(f, "the process did not stop in {time:?}"),
            Self::StoppingSelf => f.write_str("a process cannot wait for its own end"),
        }
    }
}

impl std::error::Error for StopError {}

impl<M: Send + 'static> Addr<M> {
    /// Asks the process to end with this reason once it has handled what waits in its mailbox, and waits for that; OTP's
    /// `gen_server:stop/3`. A server's [`terminate`](super::Server::terminate) runs; any other process ends where it
    /// next receives.
    ///
    /// A full mailbox is no obstacle. With a reason that is not orderly it counts as a crash, for its supervisor too; a
    /// permanent child is started again whatever the reason.
    ///
    /// # Errors
    /// [`StopError`] if it ends for another reason, or not in this time.
    ///
    /// # Cancel safety
    /// The request stays made when the future is dropped.
    ///
    /// ```
    /// # use heronry::prelude::*;
    /// # struct Idle;
    /// # impl Server for Idle {
    /// #     type Args = ();
    /// #     type Msg = ();
    /// #     async fn init((): (), _: &mut Context<()>) -> Init<Self> { Ok(Idle) }
    /// #     async fn handle(&mut self, (): (), _: &mut Context<()>) -> Next { Next::Continue }
    /// # }
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::time::Duration;
    ///
    /// let idle = Idle::start(()).await?;
    /// idle.stop(ExitReason::Normal, Duration::from_secs(5)).await?;
    /// assert!(!idle.is_alive());
    /// # Ok(()) }
    /// ```
    pub async fn stop(&self, reason: ExitReason, timeout: Duration) -> Result<(), StopError> {
        if process::is_in(self.pid()) {
            return Err(StopError::StoppingSelf);
        }
        let watch = ExitWatch::new();
        if let Err(reason) = process::watch_exit(self, watch.watcher()) {
            return Err(StopError::Exited(reason));
        }
        self.process().push_stop(reason.clone());
        match tokio::time::timeout(timeout, watch).await {
            Ok(ended) if ended == reason => Ok(()),
            Ok(ended) => Err(StopError::Exited(ended)),
            Err(_) => Err(StopError::Timeout(timeout)),
        }
    }
}
