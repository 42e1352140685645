//! The address of a process: what one needs to send it messages.

use std::fmt;
use std::sync::{Arc, Weak};

use super::at_exit::Keeper;
use super::core::Process;
use super::table::AnyProcess;
use super::watch::ExitWatch;
use crate::exit::ExitReason;
use crate::pid::Pid;

/// The address of a process that takes messages of type `M`.
///
/// Cheap to clone and to keep; it does not keep the process alive. Messages from one sender arrive in the order in
/// which they were sent. The counterpart in Erlang is a pid, with the type of the messages added.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// use heronry::process::{self, Received};
///
/// let echo = process::spawn(|mut ctx: heronry::Context<String>| async move {
///     if let Received::Message(text) = ctx.receive().await {
///         assert_eq!(text, "hello");
///     }
/// });
/// echo.send("hello".to_owned()).unwrap();
/// assert_eq!(echo.wait().await, heronry::ExitReason::Normal);
/// assert!(echo.send("too late".to_owned()).is_err());
/// # }
/// ```
pub struct Addr<M> {
    process: Arc<Process<M>>,
}

/// A message that was not delivered; it comes back with the error.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SendError<M> {
    /// The process has ended.
    NoProc(M),
    /// The mailbox is at its limit: the process is slower than its senders. Send less, handle faster, or spawn it with
    /// a larger [`mailbox_limit`](super::SpawnOptions::mailbox_limit).
    Full(M),
}

impl<M> SendError<M> {
    /// The message.
    pub fn into_message(self) -> M {
        match self {
            Self::NoProc(message) | Self::Full(message) => message,
        }
    }
}

impl<M> fmt::Debug for SendError<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoProc(_) => "NoProc(..)",
            Self::Full(_) => "Full(..)",
        })
    }
}

impl<M> fmt::Display for SendError<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoProc(_) => "the process has ended",
            Self::Full(_) => "the mailbox of the process is full",
        })
    }
}

impl<M> std::error::Error for SendError<M> {}

impl<M: Send + 'static> Addr<M> {
    pub(super) fn new(process: Arc<Process<M>>) -> Self {
        Self { process }
    }

    pub(crate) fn process(&self) -> &Arc<Process<M>> {
        &self.process
    }

    /// The identity of the process.
    pub fn pid(&self) -> Pid {
        self.process.pid()
    }

    /// Sends a message; it never waits.
    ///
    /// # Errors
    /// [`SendError`], with the message, if the process has ended or its mailbox is full.
    pub fn send(&self, message: M) -> Result<(), SendError<M>> {
        self.process.push(message, None)
    }

    /// Sends a message, and waits for room first if the mailbox is full and its policy is
    /// [`Overflow::Block`](super::Overflow::Block); with another policy it is [`send`](Self::send).
    ///
    /// # Errors
    /// As [`send`](Self::send).
    ///
    /// # Cancel safety
    /// If the future is dropped before it is ready, the message is dropped and was not sent.
    pub async fn send_wait(&self, message: M) -> Result<(), SendError<M>> {
        let mut message = Some(message);
        std::future::poll_fn(|cx| self.process.poll_push(cx, &mut message, None)).await
    }

    /// Has `keeper` let go of what it keeps for the process when that ends, before anybody can see its end; false if it
    /// is too late for that. A keeper that holds, over this call and its taking something in, the lock that it lets go
    /// under can't be left with anything of a dead process.
    pub(crate) fn at_exit(&self, keeper: Weak<dyn Keeper>) -> bool {
        self.process.at_exit(keeper)
    }

    /// How many messages wait in the mailbox.
    pub fn mailbox_len(&self) -> usize {
        self.process.mailbox_len()
    }

    /// Whether the process runs.
    pub fn is_alive(&self) -> bool {
        self.exit_reason().is_none()
    }

    /// Why the process ended; `None` while it runs.
    pub fn exit_reason(&self) -> Option<ExitReason> {
        self.process.exit_reason()
    }

    /// Waits until the process has ended and gives its exit reason; at once if it had ended before.
    ///
    /// For code outside of any process (a `main`, a test); a process uses a monitor.
    ///
    /// # Cancel safety
    /// Dropping the future ends the waiting and nothing else.
    pub async fn wait(&self) -> ExitReason {
        let watch = ExitWatch::new();
        match self.process.watch_exit(watch.watcher()) {
            Ok(()) => watch.await,
            Err(reason) => reason,
        }
    }
}

impl<M> Clone for Addr<M> {
    fn clone(&self) -> Self {
        Self { process: self.process.clone() }
    }
}

impl<M: Send + 'static> fmt::Debug for Addr<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Addr({})", self.pid())
    }
}

impl<M: Send + 'static> PartialEq for Addr<M> {
    fn eq(&self, other: &Self) -> bool {
        self.pid() == other.pid()
    }
}

impl<M: Send + 'static> Eq for Addr<M> {}
