//! The loop of a server.

use std::any::Any;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context as TaskContext, Poll};

use pin_project_lite::pin_project;

use super::ignore::is_ignored;
use super::state::show;
use super::{Next, ReplyTo, Server};
use crate::exit::ExitReason;
use crate::pid::Pid;
use crate::process::{self, Callback, Context, Exit, Info, Opened};
use crate::unwind::drop_quietly;

/// Calls and awaits a callback; a panic in either is a stop, so that `terminate` runs after it. Not an `async` function, and
/// no `match` around the await: either would hold the callback's future twice, and every idle server keeps this room.
macro_rules! caught {
    ($call:expr) => {
        Caught::new(catch_unwind(AssertUnwindSafe(|| $call))).await
    };
}

/// What a server tells its starter.
pub(super) enum Begun {
    Runs,
    /// Its `init` did not want it to, and it is about to end.
    Ignored,
}

/// Runs a server; the exit of `parent` ends it even if it traps exits.
///
/// `init` is boxed: it runs once, and would else be room that every idle server keeps.
pub(super) fn run<S: Server>(
    args: S::Args,
    ctx: Context<S::Msg>,
    parent: Option<Pid>,
    ready: Option<ReplyTo<Begun>>,
) -> impl Future<Output = ExitReason> + Send + 'static {
    let begun = Box::pin(begin::<S>(args, ctx, ready));
    async move {
        let (mut server, mut ctx) = match begun.await {
            Ok(begun) => begun,
            Err(reason) => return reason,
        };
        loop {
            let next = match ctx.take_continued() {
                Some(msg) => {
                    ctx.set_callback(Some(Callback::HandleContinue));
                    caught!(server.handle_continue(msg, &mut ctx))
                }
                None => match poll_fn(|cx| ctx.poll_item(cx)).await {
                    Opened::Message(msg) => {
                        ctx.set_callback(Some(Callback::Handle));
                        caught!(server.handle(msg, &mut ctx))
                    }
                    Opened::Info(info) => match *info {
                        Info::Exit(Exit { from, reason }) if Some(from) == parent => Next::Stop(reason),
                        info => {
                            ctx.set_callback(Some(Callback::HandleInfo));
                            caught!(server.handle_info(info, &mut ctx))
                        }
                    },
                    Opened::Stop(reason) => Next::Stop(*reason),
                    Opened::Ask(ask) => {
                        ctx.set_callback(Some(Callback::FormatState));
                        ask.answer(|| show(&server));
                        Next::Continue
                    }
                },
            };
            if let Next::Stop(reason) = next {
                // Whose slot was dropped on the way here hears the exit reason at the end, as all that still wait.
                drop(process::take_forgiven());
                ctx.set_callback(Some(Callback::Terminate));
                server.terminate(&reason, &mut ctx).await;
                return reason;
            }
            ctx.set_callback(None);
        }
    }
}

/// Makes the state, and tells the starter.
async fn begin<S: Server>(
    args: S::Args,
    mut ctx: Context<S::Msg>,
    ready: Option<ReplyTo<Begun>>,
) -> Result<(S, Context<S::Msg>), ExitReason> {
    ctx.set_callback(Some(Callback::Init));
    let (outcome, begun) = match S::init(args, &mut ctx).await {
        Ok(server) => (Ok(server), Begun::Runs),
        Err(reason) if is_ignored(&reason) => (Err(ExitReason::Normal), Begun::Ignored),
        Err(reason) => return Err(reason),
    };
    ctx.set_callback(None);
    if let Some(ready) = ready {
        ready.send(begun);
    }
    Ok((outcome?, ctx))
}

pin_project! {
    /// A callback's future whose panic is a stop, or a callback that panicked before it was one.
    #[project = CaughtProjection]
    enum Caught<F> {
        Runs {
            #[pin]
            handler: F,
        },
        Panicked {
            payload: Option<Box<dyn Any + Send>>,
        },
    }
}

impl<F> Caught<F> {
    fn new(called: Result<F, Box<dyn Any + Send>>) -> Self {
        match called {
            Ok(handler) => Self::Runs { handler },
            Err(payload) => Self::Panicked { payload: Some(payload) },
        }
    }
}

impl<F: Future<Output = Next>> Future for Caught<F> {
    type Output = Next;

    fn poll(self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Next> {
        let payload = match self.project() {
            CaughtProjection::Runs { handler } => match catch_unwind(AssertUnwindSafe(|| handler.poll(cx))) {
                Ok(polled) => return polled,
                Err(payload) => payload,
            },
            CaughtProjection::Panicked { payload } => {
                payload.take().expect("invariant: a future is not polled after its end")
            }
        };
        Poll::Ready(stop_for_panic(payload))
    }
}

fn stop_for_panic(payload: Box<dyn Any + Send>) -> Next {
    let reason = process::panic_reason(&*payload);
    drop_quietly(payload);
    Next::Stop(reason)
}
