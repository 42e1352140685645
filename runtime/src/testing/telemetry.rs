//! The telemetry events of a test.

use std::any::Any;
use std::collections::VecDeque;
use std::fmt::{self, Debug};
use std::future::poll_fn;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Poll, Waker};
use std::time::Duration;

use tokio::runtime::{Handle, Id};
use tokio::time::timeout;

use super::waiting::{Waiting, unexpected};
use super::{ASSERT_RECEIVE_TIMEOUT_DEFAULT, REFUTE_RECEIVE_TIMEOUT_DEFAULT};
use crate::sync::Mutex;
use crate::telemetry::{self, Event, HandlerId};

/// How many events a [`TelemetryTest`] keeps that were not asserted; of more the newest are dropped, and a failed
/// assertion says how many.
pub const EVENTS_MAX: usize = 65_536;

/// Gathers telemetry events from its making to its drop; Erlang's `telemetry_test`.
///
/// [`assert_receive!`](super::assert_receive) and its kin look at them as at a mailbox, each event is asserted once, in
/// any order.
///
/// Handlers are global, and tests run side by side: only events that were emitted on the tokio runtime of this test are
/// gathered, and each `#[tokio::test]` has its own. [`everywhere`](Self::everywhere) lifts that, for what a thread
/// outside of any runtime tells (the watchdog's [`LongSchedule`](crate::process::LongSchedule)).
///
/// ```
/// use heronry::prelude::*;
/// use heronry::process::ProcessCrashed;
/// use heronry::testing::{TelemetryTest, assert_receive, refute_receive};
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
/// let mut crashes = TelemetryTest::attach(|event: &ProcessCrashed| (event.pid, event.reason.clone()));
/// let ill = spawn(|_: Context<()>| async { panic!("ill") });
/// assert_receive!(crashes, (pid, ExitReason::Panic(report)) if pid == ill.pid() && report.message == "ill");
/// refute_receive!(crashes, _);
/// # }
/// ```
pub struct TelemetryTest<T> {
    id: HandlerId,
    gathered: Arc<Gathered<T>>,
    waiting: Waiting<T>,
}

struct Gathered<T> {
    runtime: Id,
    everywhere: AtomicBool,
    events: Mutex<Events<T>>,
}

struct Events<T> {
    new: VecDeque<T>,
    missed: usize,
    waker: Option<Waker>,
}

impl<T: Debug + Send + 'static> TelemetryTest<T> {
    /// Gathers from now on what `take` makes of each event of one type. Erlang's `attach_event_handlers`.
    ///
    /// `take` runs where the event is emitted, so it should do no more than take out what the test looks at.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn attach<E: Event>(take: impl Fn(&E) -> T + Send + Sync + 'static) -> Self {
        Self::attach_many(move |event| (event as &dyn Any).downcast_ref().map(&take))
    }

    /// Gathers what `take` makes of events of any type, but for those that it makes nothing of.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
    /// use heronry::testing::{TelemetryTest, assert_receive};
    ///
    /// let mut names = TelemetryTest::attach_many(|event| Some(event.name()));
    /// heronry::spawn(|_: heronry::Context<()>| async { panic!("ill") });
    /// assert_receive!(names, "heronry.process.crashed");
    /// # }
    /// ```
    pub fn attach_many(take: impl Fn(&dyn Event) -> Option<T> + Send + Sync + 'static) -> Self {
        let gathered = Arc::new(Gathered {
            runtime: Handle::current().id(),
            everywhere: AtomicBool::new(false),
            events: Mutex::new(Events { new: VecDeque::new(), missed: 0, waker: None }),
        });
        let into = gathered.clone();
        let id = telemetry::attach(move |event: &dyn Event| {
            if into.is_ours()
                && let Some(taken) = take(event)
            {
                into.add(taken);
            }
        });
        Self { id, gathered, waiting: Waiting::new() }
    }

    /// Gathers the events of the whole program from now on, those of other tests that run at the same time too.
    #[must_use]
    pub fn everywhere(self) -> Self {
        self.gathered.everywhere.store(true, Ordering::Relaxed);
        self
    }

    /// All that came up to now and was not asserted, in order.
    pub fn collect(&mut self) -> Vec<T> {
        self.pull(None);
        self.waiting.drain().collect()
    }

    /// Moves what is new to what waits; `waker` is woken by the next one.
    fn pull(&mut self, waker: Option<Waker>) {
        let room = EVENTS_MAX.saturating_sub(self.waiting.len());
        let mut events = self.gathered.events.lock();
        events.waker = waker;
        let new = events.new.len().min(room);
        events.new.drain(..new).for_each(|event| self.waiting.push(event));
    }

    async fn take<R>(&mut self, time: Duration, mut wanted: impl FnMut(T) -> ControlFlow<R, T>) -> Option<R> {
        let mut seen = 0;
        let found = poll_fn(|cx| {
            self.pull(Some(cx.waker().clone()));
            self.waiting.take(&mut seen, &mut wanted).map_or(Poll::Pending, Poll::Ready)
        });
        timeout(time, found).await.ok()
    }

    /// What [`assert_receive!`](super::assert_receive) does; the text of its failure.
    #[doc(hidden)]
    pub async fn assert_message<R>(
        &mut self,
        pattern: &str,
        time: Option<Duration>,
        wanted: impl FnMut(T) -> ControlFlow<R, T>,
    ) -> Result<R, String> {
        let time = time.unwrap_or(ASSERT_RECEIVE_TIMEOUT_DEFAULT);
        if let Some(found) = self.take(time, wanted).await {
            return Ok(found);
        }
        let failure = self.waiting.no_match(pattern, time, "gathered events", |event| event);
        Err(match self.gathered.events.lock().missed {
            0 => failure,
            missed => format!("{failure}\n{missed} more were dropped: {EVENTS_MAX} waited to be asserted"),
        })
    }

    /// What [`refute_receive!`](super::refute_receive) does; the text of its failure.
    #[doc(hidden)]
    pub async fn refute_message(
        &mut self,
        pattern: &str,
        time: Option<Duration>,
        wanted: impl FnMut(T) -> ControlFlow<T, T>,
    ) -> Result<(), String> {
        match self.take(time.unwrap_or(REFUTE_RECEIVE_TIMEOUT_DEFAULT), wanted).await {
            Some(found) => Err(unexpected(pattern, &found)),
            None => Ok(()),
        }
    }
}

impl<T> Gathered<T> {
    fn is_ours(&self) -> bool {
        self.everywhere.load(Ordering::Relaxed)
            || Handle::try_current().is_ok_and(|handle| handle.id() == self.runtime)
    }

    fn add(&self, event: T) {
        let (waker, refused) = {
            let mut events = self.events.lock();
            if events.new.len() < EVENTS_MAX {
                events.new.push_back(event);
                (events.waker.take(), None)
            } else {
                events.missed += 1;
                (None, Some(event))
            }
        };
        drop(refused);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl<T> Drop for TelemetryTest<T> {
    fn drop(&mut self) {
        telemetry::detach(self.id);
    }
}

impl<T> fmt::Debug for TelemetryTest<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TelemetryTest").field("id", &self.id).finish_non_exhaustive()
    }
}
