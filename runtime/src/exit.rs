//! Why a process ended.
//!
//! Pure: an exit reason is a value; nothing here sends it anywhere.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

/// Why a process ended, as its links, monitors and supervisor see it.
///
/// Cloning is cheap: whatever a reason carries is shared. The counterpart in Erlang is the exit reason term; the
/// names are Erlang's (`normal`, `shutdown`, `{shutdown, Term}`, `killed`, `noproc`, `noconnection`).
///
/// ```
/// use heronry::ExitReason;
///
/// assert!(ExitReason::Normal.is_orderly());
/// assert!(ExitReason::shutdown_with("left").is_orderly());
/// assert!(!ExitReason::custom("disk full").is_orderly());
/// assert_eq!(ExitReason::custom("disk full").to_string(), "disk full");
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum ExitReason {
    /// The process finished its work.
    Normal,
    /// The process was asked to stop, usually by its supervisor.
    Shutdown,
    /// As [`Shutdown`](Self::Shutdown), with a word on why.
    ShutdownWith(Arc<str>),
    /// The process was killed by [`kill`](crate::process::kill), which cannot be trapped.
    Killed,
    /// There is no such process, or it had ended before.
    NoProc,
    /// The node of the process was lost.
    NoConnection,
    /// The process panicked.
    Panic(Arc<PanicReport>),
    /// The process gave up with an error.
    Error(Arc<dyn Error + Send + Sync>),
    /// A reason of the application's own.
    Custom(Arc<str>),
}

/// What a panic said, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PanicReport {
    /// The message given to `panic!`, or a placeholder where the payload was no string.
    pub message: String,
    /// `file:line:column` of the panic, where it could be learned (a panic hook installed after the first process
    /// was spawned replaces ours, and then it can't).
    pub location: Option<String>,
}

impl ExitReason {
    /// A [`ShutdownWith`](Self::ShutdownWith) saying `why`.
    pub fn shutdown_with(why: impl Into<Arc<str>>) -> Self {
        Self::ShutdownWith(why.into())
    }

    /// A [`Custom`](Self::Custom) reason saying `what`.
    pub fn custom(what: impl Into<Arc<str>>) -> Self {
        Self::Custom(what.into())
    }

    /// Whether this is [`Normal`](Self::Normal): the one reason that a link does not pass on.
    pub fn is_normal(&self) -> bool {
        matches!(self, Self::Normal)
    }

    /// Whether the process ended in order (`Normal`, `Shutdown`, `ShutdownWith`): a transient child is then not
    /// restarted and no crash is reported.
    pub fn is_orderly(&self) -> bool {
        match self {
            Self::Normal | Self::Shutdown | Self::ShutdownWith(_) => true,
            Self::Killed
            | Self::NoProc
            | Self::NoConnection
            | Self::Panic(_)
            | Self::Error(_)
            | Self::Custom(_) => false,
        }
    }
}

impl<E: Error + Send + Sync + 'static> From<E> for ExitReason {
    /// An [`Error`](ExitReason::Error) reason: with `?` in a callback, an error that nobody handles ends the process.
    fn from(error: E) -> Self {
        Self::Error(Arc::new(error))
    }
}

impl fmt::Display for ExitReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Normal => f.write_str("normal"),
            Self::Shutdown => f.write_str("shutdown"),
            Self::ShutdownWith(why) => write!(f, "shutdown: {why}"),
            Self::Killed => f.write_str("killed"),
            Self::NoProc => f.write_str("no process"),
            Self::NoConnection => f.write_str("no connection"),
            Self::Panic(report) => report.fmt(f),
            Self::Error(error) => write!(f, "error: {error}"),
            Self::Custom(what) => f.write_str(what),
        }
    }
}

impl fmt::Display for PanicReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "panic: {}", self.message)?;
        match &self.location {
            Some(location) => write!(f, " at {location}"),
            None => Ok(()),
        }
    }
}

impl PartialEq for ExitReason {
    /// Reasons are equal when they say the same; two [`Error`](Self::Error)s only when they share one error.
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Normal, Self::Normal)
            | (Self::Shutdown, Self::Shutdown)
            | (Self::Killed, Self::Killed)
            | (Self::NoProc, Self::NoProc)
            | (Self::NoConnection, Self::NoConnection) => true,
            (Self::ShutdownWith(a), Self::ShutdownWith(b)) | (Self::Custom(a), Self::Custom(b)) => a == b,
            (Self::Panic(a), Self::Panic(b)) => a == b,
            (Self::Error(a), Self::Error(b)) => Arc::ptr_eq(a, b),
            _ => false,
        }
    }
}

/// What the body of a process may return: a reason, nothing (`Normal`), or a result.
///
/// ```
/// use heronry::{ExitReason, IntoExitReason};
///
/// assert_eq!(().into_exit_reason(), ExitReason::Normal);
/// let failed: Result<(), std::fmt::Error> = Err(std::fmt::Error);
/// assert!(!failed.into_exit_reason().is_orderly());
/// ```
///
/// A body may also loop for ever:
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let clock = heronry::spawn(|mut ctx: heronry::Context<()>| async move {
///     loop {
///         ctx.receive().await;
///     }
/// });
/// # heronry::process::kill(clock.pid());
/// # }
/// ```
pub trait IntoExitReason {
    /// The exit reason that this outcome stands for.
    fn into_exit_reason(self) -> ExitReason;
}

impl IntoExitReason for ExitReason {
    fn into_exit_reason(self) -> ExitReason {
        self
    }
}

impl IntoExitReason for () {
    fn into_exit_reason(self) -> ExitReason {
        ExitReason::Normal
    }
}

/// The type `!` of a body that loops for ever, which stable Rust can use and not yet name.
mod never {
    #[expect(unnameable_types, reason = "a step on the way to the name of `!`, of no use to anybody else")]
    pub trait Returns {
        type Output;
    }

    impl<T> Returns for fn() -> T {
        type Output = T;
    }

    pub(super) type Never = <fn() -> ! as Returns>::Output;
}

impl IntoExitReason for never::Never {
    fn into_exit_reason(self) -> ExitReason {
        self
    }
}

impl<E: Error + Send + Sync + 'static> IntoExitReason for Result<(), E> {
    fn into_exit_reason(self) -> ExitReason {
        match self {
            Ok(()) => ExitReason::Normal,
            Err(error) => error.into(),
        }
    }
}
