//! Tasks: one piece of asynchronous work, in a process of its own, with a value. Elixir's `Task`.
//!
//! A task is a process like any other: it stands in the tree under its label, a panic in it is its exit reason and
//! ends nothing else by itself, it can be linked, monitored and killed. What it adds is the way back for its value.
//!
//! - [`Task::spawn`] is linked with its caller: if either crashes, the other goes too, unless it traps exits.
//! - [`Task::start`] is linked with nobody and answers nobody; its crash is reported through telemetry.
//! - A task that may fail alone is started under a [`TaskSupervisor`](crate::supervisor::TaskSupervisor). It lives
//!   in [`supervisor`](crate::supervisor), since it stands on it.
//! - [`async_stream`] runs a bounded number of tasks over the items of an iterator.
//!
//! Elixir's `await` is [`join`](Task::join) here, the word that Rust has for waiting for a thread or task and taking
//! its value; `await` and `yield` are keywords.

mod slot;
mod stream;
mod window;

pub use stream::{AsyncStream, OnTimeout, STREAM_TIMEOUT_DEFAULT, StreamOptions, async_stream};

pub(crate) use slot::{Body, Slot};
pub(crate) use stream::{Launched, item_body};

use std::convert::Infallible;
use std::fmt;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};
use std::time::Duration;

use tokio::time::timeout;

use crate::exit::ExitReason;
use crate::pid::Pid;
use crate::process::shutdown::Shutdown;
use crate::process::{self, Addr, Context, ExitWatcher, SpawnOptions};

/// How long a killed task is waited for. It ends at its next await, which a blocked one never reaches.
const KILL_WAIT: Duration = Duration::from_secs(5);

/// A task that runs, and the right to its value. Elixir's `Task` struct.
///
/// Whoever holds it may take the value, from inside or outside of any process (Elixir allows the caller only, since
/// there the value comes into its mailbox; here no mailbox is touched).
///
/// **Dropping it shuts the task down**, brutally: a value that nobody can take is work for nothing, and a caller that
/// was cancelled or panicked must not leave tasks behind. (In Elixir the link sees to that, but not when the caller
/// ends normally.) Use [`ignore`](Self::ignore) to let it run on, or [`start`](Self::start) if nobody ever wanted to
/// know.
///
/// ```
/// use std::time::Duration;
/// use heronry::prelude::*;
/// use heronry::task::Task;
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let caller = spawn(|ctx: Context<()>| async move {
///     let task = Task::spawn(&ctx, async { 40 + 2 });
///     // Other work goes here.
///     assert_eq!(task.join(Duration::from_secs(5)).await, Ok(42));
/// });
/// assert_eq!(caller.wait().await, ExitReason::Normal);
/// # }
/// ```
#[must_use = "a task that is dropped is shut down"]
pub struct Task<T: Send + 'static> {
    pid: Pid,
    /// Whom it is linked with.
    owner: Option<Pid>,
    slot: Arc<Slot<T>>,
    /// The value or exit reason was given out, or the task was let go: nothing is left to do for `drop`.
    done: bool,
}

/// A task that gave no value.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum TaskError {
    /// The task has ended without a value, for this reason; [`NoProc`](ExitReason::NoProc) if its value was taken
    /// before.
    Exited(ExitReason),
    /// No value in this time. The task was shut down.
    Timeout(Duration),
}

impl fmt::Display for TaskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exited(reason) => write!(f, "the task has ended: {reason}"),
            Self::Timeout(time) => write!(f, "the task had no value after {time:?} and was shut down"),
        }
    }
}

impl std::error::Error for TaskError {}

impl<T: Send + 'static> Task<T> {
    /// Runs `work` in a process linked with the caller's, labelled `task`. Elixir's `Task.async/1`.
    ///
    /// If the task crashes, so does the caller, unless it traps exits: then it gets [`Info::Exit`](crate::process::Info)
    /// and [`join`](Self::join) gives the reason. If the caller ends, so does the task.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn spawn<M, F>(ctx: &Context<M>, work: F) -> Self
    where
        M: Send + 'static,
        F: Future<Output = T> + Send + 'static,
    {
        Self::spawn_with(ctx, SpawnOptions::new().label("task"), work)
    }

    /// [`spawn`](Self::spawn) with these options: a label of its own, for one.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn spawn_with<M, F>(ctx: &Context<M>, options: SpawnOptions, work: F) -> Self
    where
        M: Send + 'static,
        F: Future<Output = T> + Send + 'static,
    {
        let slot = Slot::new();
        let body = Body::new(work, slot.clone());
        let addr = ctx.spawn_link(options, |_: Context<Infallible>| body);
        watch(&addr, slot.clone());
        Self::new(addr.pid(), Some(ctx.pid()), slot)
    }

    pub(crate) fn new(pid: Pid, owner: Option<Pid>, slot: Arc<Slot<T>>) -> Self {
        Self { pid, owner, slot, done: false }
    }

    /// The task's process.
    pub fn pid(&self) -> Pid {
        self.pid
    }

    /// Waits for the value. Elixir's `Task.await/2`.
    ///
    /// Where Elixir's `await` crashes the caller, and the link then ends the task, this returns a typed error and shuts
    /// the task down itself. `Duration::MAX` waits for ever.
    ///
    /// # Errors
    /// [`TaskError::Exited`] if the task ended without a value, [`TaskError::Timeout`] if it took too long.
    ///
    /// # Cancel safety
    /// Dropping the future drops the task, which shuts it down. In a `select!`, use [`yield_for`](Self::yield_for).
    pub async fn join(mut self, time: Duration) -> Result<T, TaskError> {
        match timeout(time, poll_fn(|cx| self.poll_outcome(cx))).await {
            Ok(outcome) => outcome.map_err(TaskError::Exited),
            Err(_) => Err(TaskError::Timeout(time)), // and the drop shuts it down
        }
    }

    /// Waits for the values of all, in the order of the tasks. Elixir's `Task.await_many/2`.
    ///
    /// # Errors
    /// As [`join`](Self::join), for the first task that fails and as soon as it does; the others are shut down.
    ///
    /// # Cancel safety
    /// Dropping the future shuts the tasks down.
    pub async fn join_many(tasks: Vec<Self>, time: Duration) -> Result<Vec<T>, TaskError> {
        let mut waiting: Vec<(Self, Option<T>)> = tasks.into_iter().map(|task| (task, None)).collect();
        let all = poll_fn(|cx| {
            let mut polled = Poll::Ready(Ok(()));
            for (task, value) in waiting.iter_mut().filter(|(_, value)| value.is_none()) {
                match task.poll_outcome(cx) {
                    Poll::Ready(Ok(ready)) => *value = Some(ready),
                    Poll::Ready(Err(reason)) => return Poll::Ready(Err(TaskError::Exited(reason))),
                    Poll::Pending => polled = Poll::Pending,
                }
            }
            polled
        });
        timeout(time, all).await.map_err(|_| TaskError::Timeout(time))??;
        Ok(waiting.into_iter().filter_map(|(_, value)| value).collect())
    }

    /// Waits for the value for a while, and leaves the task running if it does not come. Elixir's `Task.yield/2`.
    ///
    /// `None` says that the time is up. After a value or an exit reason was given out, every later question is answered
    /// with [`NoProc`](ExitReason::NoProc).
    ///
    /// # Cancel safety
    /// Nothing is lost when the future is dropped.
    ///
    /// ```
    /// use std::time::Duration;
    /// use heronry::prelude::*;
    /// use heronry::task::Task;
    ///
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// let caller = spawn(|ctx: Context<()>| async move {
    ///     let mut task = Task::spawn(&ctx, async { tokio::time::sleep(Duration::from_millis(20)).await; 7 });
    ///     while task.yield_for(Duration::from_millis(1)).await.is_none() {} // a progress bar moves here
    /// });
    /// assert_eq!(caller.wait().await, ExitReason::Normal);
    /// # }
    /// ```
    pub async fn yield_for(&mut self, time: Duration) -> Option<Result<T, ExitReason>> {
        timeout(time, poll_fn(|cx| self.poll_outcome(cx))).await.ok()
    }

    /// [`yield_for`](Self::yield_for) on many tasks with one deadline; the answers are in the order of the tasks.
    /// Elixir's `Task.yield_many/2`: its `on_timeout` is what one does with the tasks afterwards.
    ///
    /// # Cancel safety
    /// Values that came before the future was dropped are lost.
    pub async fn yield_many(tasks: &mut [Self], time: Duration) -> Vec<Option<Result<T, ExitReason>>> {
        let mut outcomes: Vec<_> = tasks.iter().map(|_| None).collect();
        let all = poll_fn(|cx| {
            let mut polled = Poll::Ready(());
            for (task, outcome) in
                tasks.iter_mut().zip(&mut outcomes).filter(|(_, outcome)| outcome.is_none())
            {
                match task.poll_outcome(cx) {
                    Poll::Ready(ready) => *outcome = Some(ready),
                    Poll::Pending => polled = Poll::Pending,
                }
            }
            polled
        });
        drop(timeout(time, all).await); // those that are not there when the time is up stay `None`
        outcomes
    }

    /// Stops the task and waits for its end. Elixir's `Task.shutdown/2`.
    ///
    /// It is unlinked first, so that its end is not the caller's. What it says is Elixir's table: the value, if it came
    /// before the end; `None` if the task ended because it was asked to; else the reason. (A task that had to be killed
    /// since its time was up ended with `Killed`, which is not what it was asked for, and so is told.)
    ///
    /// A killed task that never awaits does not end; it is waited for 5 s, then `None` comes.
    ///
    /// # Cancel safety
    /// Dropping the future shuts the task down brutally.
    pub async fn shutdown(mut self, how: Shutdown) -> Option<Result<T, ExitReason>> {
        if self.done {
            return Some(Err(ExitReason::NoProc));
        }
        self.unlink();
        let (asked_for, patience) = match how {
            Shutdown::BrutalKill => {
                process::kill(self.pid);
                (ExitReason::Killed, Duration::ZERO)
            }
            Shutdown::After(time) => {
                process::exit(self.pid, ExitReason::Shutdown);
                (ExitReason::Shutdown, time)
            }
            Shutdown::Infinity => {
                process::exit(self.pid, ExitReason::Shutdown);
                (ExitReason::Shutdown, Duration::MAX)
            }
        };
        if timeout(patience, poll_fn(|cx| self.slot.poll_exit(cx))).await.is_err() {
            process::kill(self.pid);
            timeout(KILL_WAIT, poll_fn(|cx| self.slot.poll_exit(cx))).await.ok()?;
        }
        self.done = true;
        match self.slot.take() {
            Some(Err(reason)) if reason == asked_for => None,
            outcome => outcome,
        }
    }

    /// Lets the task go: it runs on, linked with nobody, and its value is dropped. What there was already comes back.
    /// Elixir's `Task.ignore/1`.
    pub fn ignore(mut self) -> Option<Result<T, ExitReason>> {
        if self.done {
            return Some(Err(ExitReason::NoProc));
        }
        self.done = true;
        self.unlink();
        let outcome = self.slot.take();
        self.slot.ignore();
        outcome
    }

    fn poll_outcome(&mut self, cx: &mut TaskContext<'_>) -> Poll<Result<T, ExitReason>> {
        if self.done {
            return Poll::Ready(Err(ExitReason::NoProc));
        }
        let polled = self.slot.poll_outcome(cx);
        self.done = polled.is_ready();
        polled
    }

    fn unlink(&self) {
        if let Some(owner) = self.owner {
            process::unlink(owner, self.pid);
        }
    }
}

impl Task<()> {
    /// Runs `work` in a process linked with nobody, labelled `task`: fire and forget. Elixir's `Task.start/1`.
    ///
    /// From inside or outside of any process. If it crashes, [`ProcessCrashed`](crate::process::ProcessCrashed) tells.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// let pid = heronry::task::Task::start(async { /* warm the cache */ });
    /// assert!(heronry::process::is_alive(pid));
    /// # }
    /// ```
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn start<F>(work: F) -> Pid
    where
        F: Future<Output = ()> + Send + 'static,
    {
        SpawnOptions::new().label("task").spawn(|_: Context<Infallible>| work).pid()
    }

    /// [`start`](Self::start), linked with the caller. Elixir's `Task.start_link/1`.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn start_link<M, F>(ctx: &Context<M>, work: F) -> Pid
    where
        M: Send + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        ctx.spawn_link(SpawnOptions::new().label("task"), |_: Context<Infallible>| work).pid()
    }
}

impl<T: Send + 'static> Drop for Task<T> {
    fn drop(&mut self) {
        if !self.done && !self.slot.is_settled() {
            stop_now(self.owner, self.pid);
        }
        self.slot.cancel();
    }
}

impl<T: Send + 'static> fmt::Debug for Task<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Task({})", self.pid)
    }
}

/// Ends a task that nobody wants any more, without its end being anybody's, nor news.
///
/// `Shutdown` first, which is orderly: no crash is reported for what was cancelled. One that traps exits is killed.
pub(crate) fn stop_now(owner: Option<Pid>, pid: Pid) {
    if let Some(owner) = owner {
        process::unlink(owner, pid);
    }
    process::exit(pid, ExitReason::Shutdown);
    process::kill(pid);
}

/// Lets `watcher` hear of the end of a process that may have ended.
pub(crate) fn watch(addr: &Addr<Infallible>, watcher: Arc<dyn ExitWatcher>) {
    if let Err(reason) = process::watch_exit(addr, watcher.clone()) {
        watcher.exited(&reason);
    }
}
