//! The loop of a server.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::task::Poll;

use super::{Next, ReplyTo, Server};
use crate::exit::ExitReason;
use crate::process::{self, Context, Exit, Info, Received};

pub(super) async fn run<S: Server>(
    args: S::Args,
    mut ctx: Context<S::Msg>,
    ready: Option<ReplyTo<()>>,
) -> ExitReason {
    // Boxed: it runs once, and would else be room that every idle server keeps.
    let mut server = match Box::pin(S::init(args, &mut ctx)).await {
        Ok(server) => server,
        Err(reason) => return reason,
    };
    if let Some(ready) = ready {
        ready.send(());
    }
    loop {
        let next = match ctx.receive().await {
            Received::Message(msg) => {
                let handler = pin!(async { server.handle(msg, &mut ctx).await });
                caught(handler).await
            }
            Received::Info(Info::Exit(Exit { from, reason })) if Some(from) == ctx.parent() => {
                Next::Stop(reason)
            }
            Received::Info(info) => {
                let handler = pin!(async { server.handle_info(info, &mut ctx).await });
                caught(handler).await
            }
        };
        if let Next::Stop(reason) = next {
            // Whose slot was dropped on the way here hears the exit reason at the end, as all that still wait.
            drop(process::take_forgiven());
            server.terminate(&reason, &mut ctx).await;
            return reason;
        }
    }
}

/// Turns a panic in a callback into a stop, so that `terminate` runs after it.
async fn caught<F: Future<Output = Next>>(mut handler: Pin<&mut F>) -> Next {
    std::future::poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| handler.as_mut().poll(cx))) {
        Ok(polled) => polled,
        Err(payload) => Poll::Ready(Next::Stop(process::panic_reason(&*payload))),
    })
    .await
}
