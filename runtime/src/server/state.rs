//! Asking a server for its state. OTP's `sys:get_state`.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use super::Server;
use super::call::CallError;
use super::reply::{ReplyTo, slot};
use crate::exit::ExitReason;
use crate::pid::Pid;
use crate::process::{self, Asker, NotAsked, STATE_REQUESTS_MAX, Shown};
use crate::unwind::drop_quietly;

/// How many bytes of a state are shown; what is longer is cut, and says by how much. Enough for a person to read.
pub const STATE_BYTES_MAX: usize = 64 * 1024;

/// A process did not show its state. It goes on as before.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum StateError {
    /// It has none to show: it is no server, or one that does not implement [`Server::format_state`].
    NotShown,
    /// Its [`Server::format_state`] panicked, for this reason.
    Panicked(ExitReason),
    /// It has ended, for this reason.
    Exited(ExitReason),
    /// It did not come to the request in this time: it is at something else, which
    /// [`process::info`](crate::process::info) names.
    Timeout(Duration),
    /// [`STATE_REQUESTS_MAX`] requests wait for it already; it was not asked.
    Full,
    /// A process asked for its own state and would wait for ever; it was not asked.
    AskingSelf,
}

impl fmt::Display for StateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotShown => f.write_str("the process shows no state: a server does by its format_state"),
            Self::Panicked(reason) => write!(f, "the server's format_state panicked: {reason}"),
            Self::Exited(reason) => write!(f, "the process has ended: {reason}"),
            Self::Timeout(time) => write!(f, "the process did not show its state in {time:?}"),
            Self::Full => write!(f, "{STATE_REQUESTS_MAX} others wait for the state of the process"),
            Self::AskingSelf => f.write_str("a process cannot ask for its own state"),
        }
    }
}

impl std::error::Error for StateError {}

/// Asks a server for its state, as its [`format_state`](Server::format_state) shows it: for people who look, not for
/// programs. OTP's `sys:get_state/2`.
///
/// The server shows it once it has handled what waits in its mailbox, also if that is full; nothing else of it is
/// disturbed. A panic of `format_state` is caught. Text beyond [`STATE_BYTES_MAX`] is cut, and what follows says how much
/// is missing.
///
/// # Errors
/// [`StateError`] says why there is no state to see.
///
/// # Cancel safety
/// Nothing is formatted for a future that was dropped.
///
/// ```
/// use std::time::Duration;
/// use heronry::prelude::*;
/// use heronry::server::get_state;
///
/// #[derive(Debug)]
/// struct Counter { count: u64 }
///
/// impl Server for Counter {
///     type Args = u64;
///     type Msg = ();
///
///     async fn init(count: u64, _: &mut Context<()>) -> Init<Self> {
///         Ok(Counter { count })
///     }
///
///     async fn handle(&mut self, (): (), _: &mut Context<()>) -> Next {
///         self.count += 1;
///         Next::Continue
///     }
///
///     fn format_state(&self) -> Option<String> {
///         Some(format!("{self:?}"))
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let counter = Counter::start(41).await?;
/// counter.cast(())?;
/// assert_eq!(get_state(counter.pid(), Duration::from_secs(5)).await?, "Counter { count: 42 }");
/// # Ok(()) }
/// ```
pub async fn get_state(pid: Pid, timeout: Duration) -> Result<String, StateError> {
    if process::is_in(pid) {
        return Err(StateError::AskingSelf);
    }
    let (reply_to, pending) = slot(Some(pid));
    let pending = pending.within(Some(timeout));
    process::ask(pid, Box::new(reply_to), pending.watcher()).map_err(|error| match error {
        NotAsked::Exited(reason) => StateError::Exited(reason),
        NotAsked::Full => StateError::Full,
    })?;
    match pending.await {
        Ok(Shown::State(state)) => Ok(state),
        Ok(Shown::Nothing) | Err(CallError::NoReply) => Err(StateError::NotShown),
        Ok(Shown::Panicked(reason)) => Err(StateError::Panicked(reason)),
        Err(CallError::Exited(reason)) => Err(StateError::Exited(reason)),
        Err(CallError::Timeout(time)) => Err(StateError::Timeout(time)),
        Err(CallError::Full | CallError::CallingSelf) => {
            unreachable!("invariant: it was asked, and of another")
        }
    }
}

impl Asker for ReplyTo<Shown> {
    fn is_waiting(&self) -> bool {
        Self::is_waiting(self)
    }

    fn answer(self: Box<Self>, shown: Shown) {
        self.send(shown);
    }
}

/// What a server shows. A panic of its code is an answer as well.
pub(super) fn show<S: Server>(server: &S) -> Shown {
    match catch_unwind(AssertUnwindSafe(|| server.format_state())) {
        Ok(Some(state)) => Shown::State(cut(state)),
        Ok(None) => Shown::Nothing,
        Err(payload) => {
            let reason = process::panic_reason(&*payload);
            drop_quietly(payload);
            Shown::Panicked(reason)
        }
    }
}

fn cut(mut state: String) -> String {
    let len = state.len();
    if len > STATE_BYTES_MAX {
        state.truncate(state.floor_char_boundary(STATE_BYTES_MAX));
        let missing = len - state.len();
        state.push_str(&format!(" … ({missing} bytes more)"));
        state.shrink_to_fit();
    }
    state
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_state_is_cut_at_a_character_and_says_by_how_much() {
        let fits = "x".repeat(STATE_BYTES_MAX);
        assert_eq!(cut(fits.clone()), fits);
        assert_eq!(cut(format!("{fits}yz")), format!("{fits} … (2 bytes more)"));
        let odd = format!("x{}", "é".repeat(STATE_BYTES_MAX / 2));
        let expect = format!("x{} … (2 bytes more)", "é".repeat(STATE_BYTES_MAX / 2 - 1));
        assert_eq!(cut(odd), expect);
    }
}
