//! A supervisor of tasks. Elixir's `Task.Supervisor`.
//!
//! A dynamic supervisor whose children are temporary. It stands here and not in `task/`, since supervisors stand above
//! tasks.

use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use super::dynamic::DynamicSupervisor;
use super::reference::{ChildCounts, ChildError, ChildInfo, DynamicRef};
use super::spec::{ChildKind, ChildSpec, Restart, Spawner};
use crate::exit::ExitReason;
use crate::name::Label;
use crate::pid::Pid;
use crate::process::shutdown::Shutdown;
use crate::process::{Context, ExitWatcher};
use crate::server::{CallError, StartError};
use crate::task::{self, AsyncStream, Body, Launched, Slot, StreamOptions, Task, item_body};

/// A task supervisor that is being described; [`start`](Self::start) makes it run.
///
/// Its tasks are not restarted; when it stops they are asked to end and given 5 s, see
/// [`task_shutdown`](Self::task_shutdown).
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use std::time::Duration;
/// use heronry::supervisor::TaskSupervisor;
/// use heronry::task::TaskError;
///
/// let tasks = TaskSupervisor::new().label("jobs").max_children(100).start().await?;
/// let task = tasks.async_nolink(async { 6 * 7 }).await?;
/// assert_eq!(task.join(Duration::from_secs(5)).await, Ok(42));
///
/// let broken = tasks.async_nolink(async { panic!("boom") }).await?;
/// let failed: Result<(), TaskError> = broken.join(Duration::from_secs(5)).await;
/// assert!(matches!(failed, Err(TaskError::Exited(_)))); // and nobody else was harmed
/// tasks.stop().await;
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct TaskSupervisor {
    inner: DynamicSupervisor,
    shutdown: Shutdown,
}

impl TaskSupervisor {
    /// Room for as many tasks as a [`DynamicSupervisor`] takes, and 5 s for each to stop.
    pub fn new() -> Self {
        Self {
            inner: DynamicSupervisor::new().label("task supervisor"),
            shutdown: Shutdown::After(super::SHUTDOWN_DEFAULT),
        }
    }

    /// What the supervisor is called in logs and in the tree.
    #[must_use]
    pub fn label(self, label: impl Into<Label>) -> Self {
        Self { inner: self.inner.label(label), ..self }
    }

    /// How many tasks it takes; the next one is refused with [`ChildError::MaxChildren`].
    #[must_use]
    pub fn max_children(self, tasks: usize) -> Self {
        Self { inner: self.inner.max_children(tasks), ..self }
    }

    /// How its tasks are stopped when it stops. (Elixir says it for each task.)
    #[must_use]
    pub fn task_shutdown(self, shutdown: Shutdown) -> Self {
        Self { shutdown, ..self }
    }

    /// Starts the supervisor, linked to nobody.
    ///
    /// # Errors
    /// None that is known; the signature leaves room.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub async fn start(self) -> Result<TaskSupervisorRef, StartError> {
        Ok(TaskSupervisorRef { inner: self.inner.start().await?, shutdown: self.shutdown })
    }

    /// Starts the supervisor as a child, within the start function of a [`ChildSpec`].
    ///
    /// # Errors
    /// [`StartError`] if the child's name is taken.
    pub async fn start_child(self, spawner: Spawner) -> Result<TaskSupervisorRef, StartError> {
        Ok(TaskSupervisorRef { inner: self.inner.start_child(spawner).await?, shutdown: self.shutdown })
    }
}

impl Default for TaskSupervisor {
    fn default() -> Self {
        Self::new()
    }
}

impl ChildSpec {
    /// A task supervisor; `describe` is called for each start.
    pub fn task_supervisor<F>(id: impl Into<Label>, describe: F) -> Self
    where
        F: Fn() -> TaskSupervisor + Send + Sync + 'static,
    {
        let start = move |spawner| {
            let started = describe().start_child(spawner);
            async move { Ok(started.await?.pid()) }
        };
        Self::new(id, start).kind(ChildKind::Supervisor)
    }

    /// A task; `work` is called for each start. `Temporary`, as Elixir's `Task.child_spec/1`, unless told otherwise.
    pub fn task<F, B>(id: impl Into<Label>, work: F) -> Self
    where
        F: Fn() -> B + Send + Sync + 'static,
        B: Future<Output = ()> + Send + 'static,
    {
        Self::process(id, move |_: Context<Infallible>| work()).restart(Restart::Temporary)
    }
}

/// A running [`TaskSupervisor`].
#[derive(Clone, Debug)]
pub struct TaskSupervisorRef {
    inner: DynamicRef,
    shutdown: Shutdown,
}

impl TaskSupervisorRef {
    /// The supervisor's process.
    pub fn pid(&self) -> Pid {
        self.inner.pid()
    }

    /// Starts a task that is linked with the supervisor and with nobody else: its crash is the answer of its
    /// [`join`](Task::join) and no more. From inside or outside of any process. Elixir's
    /// `Task.Supervisor.async_nolink/2`.
    ///
    /// # Errors
    /// [`ChildError::MaxChildren`] if the supervisor has as many tasks as it may, [`ChildError::Supervisor`] if it has
    /// ended. The work has not begun.
    ///
    /// # Cancel safety
    /// If the future is dropped, the work does not begin, or is shut down brutally if it has.
    pub async fn async_nolink<F>(&self, work: F) -> Result<Task<F::Output>, ChildError>
    where
        F: Future<Output: Send + 'static> + Send + 'static,
    {
        self.start_task(None, work).await
    }

    /// Starts a task that is linked with the supervisor and with the caller. Elixir's `Task.Supervisor.async/2`.
    ///
    /// # Errors
    /// As [`async_nolink`](Self::async_nolink).
    ///
    /// # Cancel safety
    /// As [`async_nolink`](Self::async_nolink).
    pub async fn async_link<M, F>(&self, ctx: &Context<M>, work: F) -> Result<Task<F::Output>, ChildError>
    where
        M: Send + 'static,
        F: Future<Output: Send + 'static> + Send + 'static,
    {
        self.start_task(Some(ctx.pid()), work).await
    }

    /// Starts a task that answers nobody: fire and forget. Elixir's `Task.Supervisor.start_child/2`.
    ///
    /// # Errors
    /// As [`async_nolink`](Self::async_nolink).
    ///
    /// # Cancel safety
    /// If the future is dropped, the work may have begun, or may yet.
    pub async fn start_child<F>(&self, work: F) -> Result<Pid, ChildError>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let spec = ChildSpec::once("task", |spawner| {
            let addr = spawner.spawn(|_: Context<Infallible>| work);
            std::future::ready(addr.map(|addr| addr.pid()))
        });
        self.inner.start_child(spec.shutdown(self.shutdown)).await
    }

    /// A stream whose tasks are linked with the supervisor and with the caller, as
    /// [`task::async_stream`](crate::task::async_stream). Elixir's `Task.Supervisor.async_stream/4`.
    ///
    /// If the supervisor refuses a task, that is the item's result and the stream ends (Elixir raises): keep
    /// `max_concurrency` below `max_children`.
    pub fn async_stream<M, I, F, B>(
        &self,
        ctx: &Context<M>,
        options: StreamOptions,
        items: I,
        f: F,
    ) -> AsyncStream<I::IntoIter, B::Output>
    where
        M: Send + 'static,
        I: IntoIterator<Item: Send + 'static>,
        F: Fn(I::Item) -> B + Send + Sync + 'static,
        B: Future<Output: Send + 'static> + Send + 'static,
    {
        let link = (!ctx.traps_exit()).then(|| ctx.pid());
        self.stream(link, options, items, f)
    }

    /// A stream whose tasks are linked with the supervisor alone. Elixir's `Task.Supervisor.async_stream_nolink/4`.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use heronry::supervisor::TaskSupervisor;
    /// use heronry::task::StreamOptions;
    ///
    /// let tasks = TaskSupervisor::new().start().await?;
    /// let options = StreamOptions::new().max_concurrency(2);
    /// // Only as many items are taken as results are asked for, give or take two.
    /// let mut halves = tasks.async_stream_nolink(options, 0.., |n: u32| async move { n / 2 });
    /// assert_eq!(halves.next().await, Some(Ok(0)));
    /// drop(halves);
    /// tasks.stop().await;
    /// # Ok(()) }
    /// ```
    pub fn async_stream_nolink<I, F, B>(
        &self,
        options: StreamOptions,
        items: I,
        f: F,
    ) -> AsyncStream<I::IntoIter, B::Output>
    where
        I: IntoIterator<Item: Send + 'static>,
        F: Fn(I::Item) -> B + Send + Sync + 'static,
        B: Future<Output: Send + 'static> + Send + 'static,
    {
        self.stream(None, options, items, f)
    }

    /// Its tasks, in no order.
    ///
    /// # Errors
    /// [`CallError`] if the supervisor has ended.
    pub async fn which_children(&self) -> Result<Vec<ChildInfo>, CallError> {
        self.inner.which_children().await
    }

    /// How many tasks it has.
    ///
    /// # Errors
    /// [`CallError`] if the supervisor has ended.
    pub async fn count_children(&self) -> Result<ChildCounts, CallError> {
        self.inner.count_children().await
    }

    /// Stops a task as [`task_shutdown`](TaskSupervisor::task_shutdown) says.
    ///
    /// # Errors
    /// [`ChildError::NotFound`] if there is no such task.
    pub async fn terminate_child(&self, pid: Pid) -> Result<(), ChildError> {
        self.inner.terminate_child(pid).await
    }

    /// Stops all tasks at once and ends the supervisor with `Shutdown`; returns when it has ended.
    pub async fn stop(&self) {
        self.inner.stop().await;
    }

    /// Waits until the supervisor has ended and gives its exit reason.
    pub async fn wait(&self) -> ExitReason {
        self.inner.wait().await
    }

    async fn start_task<F>(&self, link: Option<Pid>, work: F) -> Result<Task<F::Output>, ChildError>
    where
        F: Future<Output: Send + 'static> + Send + 'static,
    {
        let slot = Slot::new();
        let body = Body::new(work, slot.clone());
        let starting = Starting::new(link);
        let spec = spec(Label::from("task"), self.shutdown, &starting, body, slot.clone());
        let asked = Asked { slot: slot.clone(), starting };
        let pid = asked.starting.under(&self.inner, spec).await?;
        Ok(Task::new(pid, link, slot))
    }

    fn stream<I, F, B>(
        &self,
        link: Option<Pid>,
        options: StreamOptions,
        items: I,
        f: F,
    ) -> AsyncStream<I::IntoIter, B::Output>
    where
        I: IntoIterator<Item: Send + 'static>,
        F: Fn(I::Item) -> B + Send + Sync + 'static,
        B: Future<Output: Send + 'static> + Send + 'static,
    {
        let (f, label, time): (_, _, Duration) = (Arc::new(f), options.task_label(), options.item_timeout());
        let (supervisor, shutdown) = (self.inner.clone(), self.shutdown);
        options.open(link, items, move |item, entry| {
            let body = item_body(f.clone(), item, time, entry.clone());
            let starting = Starting::new(link);
            let spec = spec(label.clone(), shutdown, &starting, body, entry);
            let supervisor = supervisor.clone();
            Launched::Later(Box::pin(async move { Ok(starting.under(&supervisor, spec).await?) }))
        })
    }
}

/// A task as a child. The caller's link and the watcher are there before the body first runs.
fn spec<B>(
    label: Label,
    shutdown: Shutdown,
    starting: &Starting,
    body: B,
    watcher: Arc<dyn ExitWatcher>,
) -> ChildSpec
where
    B: Future<Output = ExitReason> + Send + 'static,
{
    let (link, pid) = (starting.link, starting.pid.clone());
    let start = move |spawner: Spawner| {
        let spawned = spawner.spawn(move |ctx: Context<Infallible>| {
            pid.get_or_init(|| ctx.pid());
            if let Some(caller) = link {
                ctx.link(caller);
            }
            body
        });
        std::future::ready(spawned.map(|addr| {
            task::watch(&addr, watcher);
            addr.pid()
        }))
    };
    ChildSpec::once(label, start).shutdown(shutdown)
}

/// A task that its supervisor was asked for. If nobody waits for the answer any more, a task that runs is shut down; one
/// that does not yet must find its outlet cancelled.
struct Starting {
    link: Option<Pid>,
    /// Known to the supervisor before the task first runs.
    pid: Arc<OnceLock<Pid>>,
    answered: AtomicBool,
}

impl Starting {
    fn new(link: Option<Pid>) -> Self {
        Self { link, pid: Arc::default(), answered: AtomicBool::new(false) }
    }

    async fn under(&self, supervisor: &DynamicRef, spec: ChildSpec) -> Result<Pid, ChildError> {
        let answer = supervisor.start_child(spec).await;
        self.answered.store(true, Ordering::Relaxed);
        answer
    }
}

impl Drop for Starting {
    fn drop(&mut self) {
        if !*self.answered.get_mut()
            && let Some(pid) = self.pid.get()
        {
            task::stop_now(self.link, *pid);
        }
    }
}

/// A single task that its supervisor was asked for.
struct Asked<T> {
    slot: Arc<Slot<T>>,
    starting: Starting,
}

impl<T> Drop for Asked<T> {
    fn drop(&mut self) {
        // Before the drop of `starting`: whichever of the two it misses, the other one sees.
        if !*self.starting.answered.get_mut() {
            self.slot.cancel();
        }
    }
}
