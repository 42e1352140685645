//! A job on its way through a pool: work of any type, and where its result goes.

use std::fmt;

use super::PoolError;
use crate::pid::Pid;
use crate::process;
use crate::server::ReplyTo;
use crate::unwind::{drop_quietly, quietly};

/// What the factory carries. Empty once it was run or refused.
pub(super) struct Work(Option<Box<dyn Job>>);

/// A job without its types.
trait Job: Send {
    fn run(self: Box<Self>, pool: Pid);
    fn refuse(self: Box<Self>, why: PoolError);
}

struct Task<F, T: Send + 'static> {
    work: F,
    reply_to: ReplyTo<Result<T, PoolError>>,
}

impl Work {
    pub(super) fn new<T, F>(work: F, reply_to: ReplyTo<Result<T, PoolError>>) -> Self
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        Self(Some(Box::new(Task { work, reply_to })))
    }

    /// Runs the job to its end on a thread for such work, unless nobody waits for it any more.
    pub(super) async fn run(self, pool: Pid) {
        let Some(job) = self.0 else { return };
        let run = move || {
            // The work's panics are caught within; this is for destructors of what nobody wanted.
            quietly(|| job.run(pool));
        };
        // It fails only if the runtime shuts down, and the worker with it.
        drop(tokio::task::spawn_blocking(run).await);
    }

    /// Answers the job without running it.
    pub(super) fn refuse(&mut self, why: PoolError) {
        if let Some(job) = self.0.take() {
            job.refuse(why);
        }
    }
}

impl fmt::Debug for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Work").finish_non_exhaustive()
    }
}

impl<T, F> Job for Task<F, T>
where
    T: Send + 'static,
    F: FnOnce() -> T + Send + 'static,
{
    fn run(self: Box<Self>, pool: Pid) {
        let Self { work, reply_to } = *self;
        if !reply_to.is_waiting() {
            return;
        }
        let (ran, unanswered) = process::run_aside(pool, work);
        for watcher in unanswered {
            watcher.forgiven();
        }
        reply_to.send(ran.map_err(PoolError::Failed));
    }

    fn refuse(self: Box<Self>, why: PoolError) {
        let Self { work, reply_to } = *self;
        reply_to.send(Err(why));
        drop_quietly(work);
    }
}
