//! A bounded number of tasks over the items of an iterator. Elixir's `Task.async_stream`.

use std::collections::HashMap;
use std::convert::Infallible;
use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll, Waker};
use std::time::Duration;

use tokio::time::timeout;

use super::slot::{Body, Outlet};
use super::window::{Step, Window};
use super::{stop_now, watch};
use crate::exit::ExitReason;
use crate::name::Label;
use crate::pid::Pid;
use crate::process::{Context, ExitWatcher, SpawnOptions};
use crate::sync::Mutex;

/// How long one item may take unless told otherwise; as Elixir's.
pub const STREAM_TIMEOUT_DEFAULT: Duration = Duration::from_secs(5);

/// How many tasks run at once where the number of processors can't be learned.
const CONCURRENCY_FALLBACK: usize = 4;

/// What happens when an item takes too long. Its own task ends in both cases.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnTimeout {
    /// The stream ends: the item's result is `Err`, the other tasks are shut down, and `None` follows. (Elixir's stream
    /// exits its caller.)
    Exit,
    /// The item's result is `Err`, and the stream goes on.
    KillTask,
}

/// How a stream runs its tasks; the options of Elixir's `Task.async_stream/3`.
///
/// ```
/// use std::time::Duration;
/// use heronry::prelude::*;
/// use heronry::task::{OnTimeout, StreamOptions};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let options = StreamOptions::new()
///     .max_concurrency(10)
///     .ordered(false)
///     .timeout(Duration::from_secs(1))
///     .on_timeout(OnTimeout::KillTask);
/// let mut squares = options.stream_nolink(1..=3_u32, |n| async move { n * n });
/// let mut sum = 0;
/// while let Some(square) = squares.next().await {
///     sum += square.unwrap();
/// }
/// assert_eq!(sum, 14);
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct StreamOptions {
    max_concurrency: usize,
    ordered: bool,
    timeout: Duration,
    on_timeout: OnTimeout,
    label: Label,
}

impl StreamOptions {
    /// One task for each processor, results in input order, 5 s for each item, [`OnTimeout::Exit`].
    pub fn new() -> Self {
        Self {
            max_concurrency: std::thread::available_parallelism()
                .map_or(CONCURRENCY_FALLBACK, std::num::NonZeroUsize::get),
            ordered: true,
            timeout: STREAM_TIMEOUT_DEFAULT,
            on_timeout: OnTimeout::Exit,
            label: Label::from("stream task"),
        }
    }

    /// How many tasks may be alive, and results waiting for the consumer, at once and together.
    ///
    /// # Panics
    /// If it is 0: such a stream would never give anything.
    #[must_use]
    pub fn max_concurrency(mut self, tasks: usize) -> Self {
        assert!(tasks > 0, "a stream needs a max_concurrency of at least 1");
        self.max_concurrency = tasks;
        self
    }

    /// Whether results come in the order of the items, or as they are ready. In order, a slow item holds back those
    /// after it, which keep their place among the `max_concurrency` until it is done.
    #[must_use]
    pub fn ordered(mut self, ordered: bool) -> Self {
        self.ordered = ordered;
        self
    }

    /// How long one item may take, from the start of its task; `Duration::MAX` for ever.
    #[must_use]
    pub fn timeout(mut self, time: Duration) -> Self {
        self.timeout = time;
        self
    }

    /// What happens when an item takes longer.
    #[must_use]
    pub fn on_timeout(mut self, on_timeout: OnTimeout) -> Self {
        self.on_timeout = on_timeout;
        self
    }

    /// What the tasks are called in logs and in the tree.
    #[must_use]
    pub fn label(mut self, label: impl Into<Label>) -> Self {
        self.label = label.into();
        self
    }

    /// A stream whose tasks are linked with the caller's process, see [`async_stream`].
    pub fn stream<M, I, F, B>(self, ctx: &Context<M>, items: I, f: F) -> AsyncStream<I::IntoIter, B::Output>
    where
        M: Send + 'static,
        I: IntoIterator<Item: Send + 'static>,
        F: Fn(I::Item) -> B + Send + Sync + 'static,
        B: Future<Output: Send + 'static> + Send + 'static,
    {
        // As in Elixir: a caller that traps exits gets a crash as a result, and no exit message for it.
        let link = (!ctx.traps_exit()).then(|| ctx.pid());
        self.direct(link, items, f)
    }

    /// A stream whose tasks are linked with nobody: a crash is a result and no more. From inside or outside of any
    /// process. Elixir has this under a task supervisor only
    /// ([`async_stream_nolink`](crate::supervisor::TaskSupervisorRef::async_stream_nolink)), for a stream that is lost
    /// there would leave its tasks; here they end with it.
    pub fn stream_nolink<I, F, B>(self, items: I, f: F) -> AsyncStream<I::IntoIter, B::Output>
    where
        I: IntoIterator<Item: Send + 'static>,
        F: Fn(I::Item) -> B + Send + Sync + 'static,
        B: Future<Output: Send + 'static> + Send + 'static,
    {
        self.direct(None, items, f)
    }

    fn direct<I, F, B>(self, link: Option<Pid>, items: I, f: F) -> AsyncStream<I::IntoIter, B::Output>
    where
        I: IntoIterator<Item: Send + 'static>,
        F: Fn(I::Item) -> B + Send + Sync + 'static,
        B: Future<Output: Send + 'static> + Send + 'static,
    {
        let (f, label, time) = (Arc::new(f), self.label.clone(), self.timeout);
        self.open(link, items, move |item, entry| {
            let body = item_body(f.clone(), item, time, entry.clone());
            let options = SpawnOptions::new().label(label.clone());
            let addr = options
                .spawn_named(link, |_: Context<Infallible>| body)
                .expect("invariant: a process without a name finds it free");
            watch(&addr, entry);
            Launched::Now(addr.pid())
        })
    }

    /// A stream that starts its tasks through `launch`.
    pub(crate) fn open<I, T>(
        self,
        link: Option<Pid>,
        items: I,
        launch: impl FnMut(I::Item, Arc<Entry<T>>) -> Launched + Send + 'static,
    ) -> AsyncStream<I::IntoIter, T>
    where
        I: IntoIterator,
        T: Send + 'static,
    {
        AsyncStream {
            items: items.into_iter(),
            launch: Box::new(launch),
            link,
            on_timeout: self.on_timeout,
            window: Window::new(self.max_concurrency, self.ordered),
            running: HashMap::new(),
            starting: None,
            inbox: Arc::new(Inbox { state: Mutex::new(InboxState::default()) }),
            over: false,
        }
    }

    pub(crate) fn item_timeout(&self) -> Duration {
        self.timeout
    }

    pub(crate) fn task_label(&self) -> Label {
        self.label.clone()
    }
}

impl Default for StreamOptions {
    fn default() -> Self {
        Self::new()
    }
}

/// Runs `f` on each item in a task of its own, with the default [`StreamOptions`]. Elixir's `Task.async_stream/3`.
///
/// The tasks are linked with the caller: if one crashes, so does the caller, unless it traps exits: then the crash is
/// the item's result (and no exit message comes).
///
/// ```
/// use heronry::prelude::*;
/// use heronry::task::async_stream;
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let caller = spawn(|ctx: Context<()>| async move {
///     let mut lengths = async_stream(&ctx, ["a", "bb", "ccc"], |word| async move { word.len() });
///     let mut all = Vec::new();
///     while let Some(length) = lengths.next().await {
///         all.push(length);
///     }
///     assert_eq!(all, [Ok(1), Ok(2), Ok(3)]);
/// });
/// assert_eq!(caller.wait().await, ExitReason::Normal);
/// # }
/// ```
pub fn async_stream<M, I, F, B>(ctx: &Context<M>, items: I, f: F) -> AsyncStream<I::IntoIter, B::Output>
where
    M: Send + 'static,
    I: IntoIterator<Item: Send + 'static>,
    F: Fn(I::Item) -> B + Send + Sync + 'static,
    B: Future<Output: Send + 'static> + Send + 'static,
{
    StreamOptions::new().stream(ctx, items, f)
}

/// The results of a function on the items of an iterator, each computed in a task of its own.
///
/// It is driven by its consumer: items are taken and tasks started only in [`next`](Self::next), up to
/// `max_concurrency` of them. A consumer that does not ask leaves at most that many results waiting, so the items may be
/// endless. Dropping the stream, or coming to its end, shuts down what still runs.
#[must_use = "a stream does nothing until it is asked for results"]
pub struct AsyncStream<I: Iterator, T: Send + 'static> {
    items: I,
    launch: Launch<I::Item, T>,
    link: Option<Pid>,
    on_timeout: OnTimeout,
    window: Window<Outcome<T>>,
    /// The tasks that have not ended, by position; without a pid while their supervisor starts them.
    running: HashMap<u64, Option<Pid>>,
    /// The task that a supervisor starts just now.
    starting: Option<(u64, Starting)>,
    inbox: Arc<Inbox<T>>,
    over: bool,
}

type Launch<A, T> = Box<dyn FnMut(A, Arc<Entry<T>>) -> Launched + Send>;

type Starting = Pin<Box<dyn Future<Output = Result<Pid, ExitReason>> + Send>>;

/// A task that was told to start.
pub(crate) enum Launched {
    Now(Pid),
    /// Its supervisor answers later.
    Later(Starting),
}

/// How an item's task ended.
enum Outcome<T> {
    Value(T),
    TimedOut,
    Exited(ExitReason),
}

impl<I: Iterator, T: Send + 'static> AsyncStream<I, T> {
    /// Waits for the next result; `None` when every item had its own.
    ///
    /// A panic of the iterator is the consumer's own.
    ///
    /// # Errors
    /// The item's `Err` is the exit reason of its task: a panic, a kill, or `Custom("timeout")` if it took too long.
    /// A supervisor that could not start a task gives its error as the reason, and the stream then ends.
    ///
    /// # Cancel safety
    /// Nothing is lost when the future is dropped.
    pub async fn next(&mut self) -> Option<Result<T, ExitReason>> {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    /// [`next`](Self::next) for code that is written as a `poll` function.
    pub fn poll_next(&mut self, cx: &mut TaskContext<'_>) -> Poll<Option<Result<T, ExitReason>>> {
        if self.over {
            return Poll::Ready(None);
        }
        for (position, outcome) in self.inbox.take(cx) {
            self.running.remove(&position);
            self.window.end(position, outcome);
        }
        if let Err(reason) = self.fill(cx) {
            self.close();
            return Poll::Ready(Some(Err(reason)));
        }
        match self.window.pop() {
            Step::Deliver(outcome) => Poll::Ready(Some(self.deliver(outcome))),
            Step::Wait => Poll::Pending,
            Step::Done => {
                self.close();
                Poll::Ready(None)
            }
        }
    }

    /// Starts tasks while there is room and nothing to wait for.
    fn fill(&mut self, cx: &mut TaskContext<'_>) -> Result<(), ExitReason> {
        loop {
            if let Some((position, starting)) = &mut self.starting {
                let Poll::Ready(started) = starting.as_mut().poll(cx) else { return Ok(()) };
                let position = *position;
                self.starting = None;
                let pid = started?;
                // It may have ended before its supervisor said that it runs.
                if let Some(running) = self.running.get_mut(&position) {
                    *running = Some(pid);
                }
            }
            if !self.window.has_room() {
                return Ok(());
            }
            let Some(item) = self.items.next() else {
                self.window.exhaust();
                return Ok(());
            };
            let position = self.window.begin();
            let entry = Arc::new(Entry { position, inbox: self.inbox.clone(), value: Mutex::new(None) });
            match (self.launch)(item, entry) {
                Launched::Now(pid) => {
                    self.running.insert(position, Some(pid));
                }
                Launched::Later(starting) => {
                    self.running.insert(position, None);
                    self.starting = Some((position, starting));
                }
            }
        }
    }

    fn deliver(&mut self, outcome: Outcome<T>) -> Result<T, ExitReason> {
        match outcome {
            Outcome::Value(value) => Ok(value),
            Outcome::Exited(reason) => Err(reason),
            Outcome::TimedOut => {
                match self.on_timeout {
                    OnTimeout::Exit => self.close(),
                    OnTimeout::KillTask => {}
                }
                Err(ExitReason::custom("timeout"))
            }
        }
    }

    /// Nothing comes any more; what runs is shut down.
    fn close(&mut self) {
        self.over = true;
        // Before `starting`: a task that its supervisor has not started yet must find the inbox closed.
        drop(self.inbox.close());
        self.starting = None;
        for pid in self.running.drain().filter_map(|(_, pid)| pid) {
            stop_now(self.link, pid);
        }
    }
}

impl<I: Iterator, T: Send + 'static> Drop for AsyncStream<I, T> {
    fn drop(&mut self) {
        self.close();
    }
}

impl<I: Iterator, T: Send + 'static> fmt::Debug for AsyncStream<I, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsyncStream")
            .field("running", &self.running.len())
            .field("over", &self.over)
            .finish_non_exhaustive()
    }
}

/// The body of one item's task. It looks at its own clock, so that an item's time is up even when nobody asks the stream.
pub(crate) fn item_body<A, F, B>(
    f: Arc<F>,
    item: A,
    time: Duration,
    entry: Arc<Entry<B::Output>>,
) -> impl Future<Output = ExitReason> + Send + 'static
where
    A: Send + 'static,
    F: Fn(A) -> B + Send + Sync + 'static,
    B: Future<Output: Send + 'static> + Send + 'static,
{
    // `f` is called in here: a panic of its own is the task's, not the consumer's.
    let work = async move { timeout(time, async move { f(item).await }).await.ok() };
    Body::new(work, entry)
}

/// The outlet of one item's task: its value waits here until its process has ended, which is when it counts as done.
pub(crate) struct Entry<T> {
    position: u64,
    inbox: Arc<Inbox<T>>,
    /// `Some(None)`: its time was up.
    value: Mutex<Option<Option<T>>>,
}

/// What has ended since the stream last looked.
struct Inbox<T> {
    state: Mutex<InboxState<T>>,
}

struct InboxState<T> {
    ended: Vec<(u64, Outcome<T>)>,
    waker: Option<Waker>,
    closed: bool,
}

impl<T> Default for InboxState<T> {
    fn default() -> Self {
        Self { ended: Vec::new(), waker: None, closed: false }
    }
}

impl<T> Inbox<T> {
    /// Takes what has ended, and wakes `cx` for what ends next.
    fn take(&self, cx: &mut TaskContext<'_>) -> Vec<(u64, Outcome<T>)> {
        let mut state = self.state.lock();
        state.waker = Some(cx.waker().clone());
        std::mem::take(&mut state.ended)
    }

    fn push(&self, position: u64, outcome: Outcome<T>) {
        let mut state = self.state.lock();
        if state.closed {
            drop(state);
            return drop(outcome); // its destructor is the user's, so not under the lock
        }
        state.ended.push((position, outcome));
        let waker = state.waker.take();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Takes no more; what waited is returned to be dropped.
    fn close(&self) -> Vec<(u64, Outcome<T>)> {
        let mut state = self.state.lock();
        state.closed = true;
        state.waker = None;
        std::mem::take(&mut state.ended)
    }
}

impl<T: Send> Outlet<Option<T>> for Entry<T> {
    fn settle(&self, value: Option<T>) {
        *self.value.lock() = Some(value);
    }

    fn is_cancelled(&self) -> bool {
        self.inbox.state.lock().closed
    }
}

impl<T: Send> ExitWatcher for Entry<T> {
    fn exited(&self, reason: &ExitReason) {
        let outcome = match self.value.lock().take() {
            Some(Some(value)) => Outcome::Value(value),
            Some(None) => Outcome::TimedOut,
            None => Outcome::Exited(reason.clone()),
        };
        self.inbox.push(self.position, outcome);
    }

    fn forgiven(&self) {}

    /// Never swept out: it may hold a value, whose destructor must not run under the lock of the sweeper.
    fn is_done(&self) -> bool {
        false
    }
}
