//! Call and cast.

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};
use std::time::Duration;

use super::reply::{ReplyTo, slot};
use crate::exit::ExitReason;
use crate::pid::Pid;
use crate::process::{self, Addr, ExitWatcher, SendError, StableAddr};

/// A call that gave no reply.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum CallError {
    /// The callee has ended, for this reason. Whether it handled the call before is not known.
    Exited(ExitReason),
    /// No reply in this time. The callee may still handle the call; its reply is then dropped.
    Timeout(Duration),
    /// The callee dropped the reply slot without using it: a mistake in its code.
    NoReply,
    /// The callee's mailbox was full, and its policy is not to wait; it has not seen the call.
    Full,
    /// A process called itself and would wait for ever; it has not seen the call.
    CallingSelf,
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exited(reason) => write!(f, "the process called has ended: {reason}"),
            Self::Timeout(time) => write!(f, "no reply in {time:?}"),
            Self::NoReply => f.write_str("the process called dropped the call without a reply"),
            Self::Full => f.write_str("the mailbox of the process called is full"),
            Self::CallingSelf => f.write_str("a process cannot call itself"),
        }
    }
}

impl std::error::Error for CallError {}

impl<M: Send + 'static> Addr<M> {
    /// Sends a message that asks for no reply; OTP's `cast`. The same as [`send`](Self::send).
    ///
    /// # Errors
    /// [`SendError`], with the message, if the process has ended or its mailbox is full. (OTP's cast tells nothing.)
    pub fn cast(&self, message: M) -> Result<(), SendError<M>> {
        self.send(message)
    }

    /// Sends a message with a reply slot and waits for the reply; OTP's `call`.
    ///
    /// `make` puts the slot into a message: usually the enum's variant itself, as in `addr.call(Msg::Get, timeout)`.
    /// If the callee ends meanwhile, the call fails at once with its exit reason.
    ///
    /// # Errors
    /// [`CallError`] says why there is no reply.
    ///
    /// # Cancel safety
    /// Dropping the future drops the reply; the callee still handles the message.
    pub async fn call<T: Send + 'static>(
        &self,
        make: impl FnOnce(ReplyTo<T>) -> M,
        timeout: Duration,
    ) -> Result<T, CallError> {
        if process::is_in(self.pid()) {
            return Err(CallError::CallingSelf);
        }
        self.ask(make, Some(timeout)).await
    }

    /// A call that waits for as long as the callee lives.
    pub(crate) async fn call_untimed<T: Send + 'static>(
        &self,
        make: impl FnOnce(ReplyTo<T>) -> M,
    ) -> Result<T, CallError> {
        if process::is_in(self.pid()) {
            return Err(CallError::CallingSelf);
        }
        self.ask(make, None).await
    }

    async fn ask<T: Send + 'static>(
        &self,
        make: impl FnOnce(ReplyTo<T>) -> M,
        time: Option<Duration>,
    ) -> Result<T, CallError> {
        let ended = || self.exit_reason();
        let push = |cx: &mut TaskContext<'_>, message: &mut _, watcher: &_| {
            self.process().poll_push(cx, message, Some(watcher))
        };
        ask(Some(self.pid()), make, time, push, ended).await
    }
}

impl<M: Send + 'static> StableAddr<M> {
    /// Sends a message with a reply slot and waits for the reply, as [`Addr::call`].
    ///
    /// A call that waits when an incarnation ends is answered by the next one, within its time. One that an incarnation was
    /// at when it ended fails with the exit reason, as do all that wait when the child is given up.
    ///
    /// # Errors
    /// [`CallError`] says why there is no reply.
    ///
    /// # Cancel safety
    /// Dropping the future drops the reply; the callee still handles the message.
    pub async fn call<T: Send + 'static>(
        &self,
        make: impl FnOnce(ReplyTo<T>) -> M,
        timeout: Duration,
    ) -> Result<T, CallError> {
        if self.addr().is_some_and(|addr| process::is_in(addr.pid())) {
            return Err(CallError::CallingSelf);
        }
        let ended = || self.given_up();
        let push = |cx: &mut TaskContext<'_>, message: &mut _, watcher: &_| {
            self.poll_push(cx, message, Some(watcher))
        };
        ask(None, make, Some(timeout), push, ended).await
    }
}

/// A call to whatever `push` sends to; `ended` says why that takes nothing any more.
async fn ask<M, T: Send + 'static>(
    callee: Option<Pid>,
    make: impl FnOnce(ReplyTo<T>) -> M,
    time: Option<Duration>,
    mut push: impl FnMut(
        &mut TaskContext<'_>,
        &mut Option<M>,
        &Arc<dyn ExitWatcher>,
    ) -> Poll<Result<(), SendError<M>>>,
    ended: impl Fn() -> Option<ExitReason>,
) -> Result<T, CallError> {
    let (reply_to, pending) = slot(callee);
    let mut pending = pending.within(time);
    let mut message = Some(make(reply_to));
    let watcher = pending.watcher();
    poll_fn(|cx| {
        if message.is_some()
            && let Poll::Ready(Err(error)) = push(cx, &mut message, &watcher)
        {
            return Poll::Ready(Err(match error {
                SendError::Full(_) => CallError::Full,
                SendError::NoProc(_) => CallError::Exited(ended().unwrap_or(ExitReason::NoProc)),
            }));
        }
        Pin::new(&mut pending).poll(cx)
    })
    .await
}
