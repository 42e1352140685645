//! The task of a process: polls its body, and cleans up after it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};

use pin_project_lite::pin_project;

use super::core::Process;
use super::current;
use super::table::AnyProcess;
use crate::exit::{ExitReason, IntoExitReason};
use crate::unwind::drop_quietly;

pin_project! {
    /// The future that is the task.
    pub(super) struct Run<M, B>
    where
        M: Send,
        M: 'static,
    {
        process: Arc<Process<M>>,
        // None once the process has ended.
        #[pin]
        body: Option<B>,
    }

    impl<M, B> PinnedDrop for Run<M, B>
    where
        M: Send,
        M: 'static,
    {
        // A task is dropped before its end only when its runtime shuts down: nobody may wait for it forever.
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            if this.body.is_some() {
                let _entered = current::enter(this.process.pid());
                let reason = this.process.doom().unwrap_or(ExitReason::Killed);
                finish(this.process, this.body, reason);
            }
        }
    }
}

impl<M: Send + 'static, B> Run<M, B> {
    pub(super) fn new(process: Arc<Process<M>>, body: B) -> Self {
        Self { process, body: Some(body) }
    }
}

impl<M: Send + 'static, B: Future<Output: IntoExitReason>> Future for Run<M, B> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<()> {
        let mut this = self.project();
        let _entered = current::enter(this.process.pid());
        if !this.process.has_task() {
            this.process.set_task(cx.waker());
        }
        let reason = match this.process.doom() {
            Some(reason) => reason,
            None => match poll_body(this.body.as_mut(), cx) {
                // A process that sent itself an exit signal has ended of it, whatever its body returned then.
                Poll::Ready(reason) => this.process.doom().unwrap_or(reason),
                Poll::Pending => {
                    current::forgive();
                    return Poll::Pending;
                }
            },
        };
        finish(this.process, this.body, reason);
        Poll::Ready(())
    }
}

fn poll_body<B>(body: Pin<&mut Option<B>>, cx: &mut TaskContext<'_>) -> Poll<ExitReason>
where
    B: Future<Output: IntoExitReason>,
{
    let body = body.as_pin_mut().expect("invariant: a task is not polled after its end");
    match catch_unwind(AssertUnwindSafe(|| body.poll(cx).map(IntoExitReason::into_exit_reason))) {
        Ok(polled) => polled,
        Err(payload) => {
            let reason = current::panic_reason(&*payload);
            drop_quietly(payload);
            Poll::Ready(reason)
        }
    }
}

/// Ends a process: first its state is dropped, then it can't be found any more, then everybody is told.
fn finish<M: Send + 'static, B>(process: &Process<M>, mut body: Pin<&mut Option<B>>, reason: ExitReason) {
    current::forget_location();
    let dropped = catch_unwind(AssertUnwindSafe(|| body.set(None)));
    let reason = match dropped {
        Err(payload) => {
            let panic = current::panic_reason(&*payload);
            drop_quietly(payload);
            if reason.is_orderly() { panic } else { reason }
        }
        Ok(()) => reason,
    };
    let estate = process.close(&reason);
    let unread = process.announce(estate, &reason);
    for item in unread {
        drop_quietly(item);
    }
    // Whoever called this process and was dropped unanswered has just been told the exit reason.
    drop(current::take_forgiven());
}
