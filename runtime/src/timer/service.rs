//! The timers of one tokio runtime: a lock around what is armed, and the one task that sleeps until the next is due.
//!
//! A message goes into its mailbox under that lock, so that after a cancel it either is there or never comes. What is
//! the user's (wakers, telemetry handlers, the closures of intervals, destructors) runs after the lock is given back.

use std::collections::HashMap;
use std::convert::Infallible;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::{Arc, LazyLock, Weak};
use std::task::{Context as TaskContext, Poll, Waker};
use std::time::Duration;

use tokio::runtime::{Handle, Id};
use tokio::time::{Sleep, sleep_until};

use super::armed::{Armed, Fired, Limits, Progress, Refused, Tick};
use super::deadline::{Deadlines, Expire};
use super::events::TicksSkipped;
use super::payload::Payload;
use super::slab::Key;
use crate::clock::{self, Instant};
use crate::exit::ExitReason;
use crate::pid::Pid;
use crate::process::{self, Addr, ExitWatcher};
use crate::sync::{Mutex, MutexGuard, RwLock};
use crate::telemetry;
use crate::unwind::{drop_quietly, quietly};

/// How often the task takes the lock before it lets other tasks run.
const ROUNDS_PER_POLL: usize = 16;

/// The longest sleep, in ticks: a year. Beyond it the task looks at the clock again, for instants have an end.
const SLEEP_TICKS_MAX: u64 = 365 * 24 * 60 * 60 * 1_000;

/// The wake-up tick of a task that is awake, or has been woken: nobody needs to wake it.
const AWAKE: u64 = 0;

/// The services of the runtimes that run. An id may come again once its runtime is gone: its service is gone by then.
static SERVICES: LazyLock<RwLock<HashMap<Id, Arc<Service>>>> = LazyLock::new(RwLock::default);

/// The timers of one runtime.
pub(super) struct Service {
    /// Tick 0.
    start: Instant,
    state: Mutex<State>,
}

struct State {
    armed: Armed,
    deadlines: Deadlines,
    /// Wakes the task before `wake_at`.
    sleeper: Option<Waker>,
    wake_at: u64,
    /// The runtime has ended.
    closed: bool,
}

impl Service {
    fn new(limits: Limits) -> Self {
        let (armed, deadlines) = (Armed::new(limits), Deadlines::new());
        let state = State { armed, deadlines, sleeper: None, wake_at: AWAKE, closed: false };
        Self { start: clock::now(), state: Mutex::new(state) }
    }

    /// The service of the runtime that this code runs in; the first call starts it.
    ///
    /// # Panics
    /// Outside of a tokio runtime, and in one without a clock.
    pub(super) fn current() -> Arc<Self> {
        let runtime = Handle::current();
        let id = runtime.id();
        if let Some(service) = SERVICES.read().get(&id) {
            return service.clone();
        }
        // Panics here, where the caller sees it, if the runtime has no clock.
        drop(tokio::time::sleep(Duration::ZERO));
        let fresh = Arc::new(Self::new(Limits::default()));
        let service = SERVICES.write().entry(id).or_insert_with(|| fresh.clone()).clone();
        if Arc::ptr_eq(&service, &fresh) {
            // Not under the lock of the table: in a runtime that shuts down, the task is dropped here and now.
            runtime.spawn(drive(Running { id, service: fresh }));
        }
        service
    }

    fn elapsed(&self) -> Duration {
        clock::now().saturating_duration_since(self.start)
    }

    /// The tick that has begun.
    fn now(&self) -> u64 {
        ticks(self.elapsed())
    }

    /// The first tick that is not early for this delay.
    fn deadline(&self, delay: Duration) -> u64 {
        if delay.is_zero() {
            return self.now();
        }
        ticks_up(self.elapsed().saturating_add(delay))
    }

    /// Rounded down to whole ticks, as the deadline was rounded up: never more than the delay that was asked for.
    fn left(&self, deadline: u64) -> Duration {
        let left = Duration::from_millis(deadline).saturating_sub(self.elapsed());
        Duration::from_millis(ticks(left))
    }

    /// How many timers are armed.
    pub(super) fn len(&self) -> usize {
        self.state.lock().armed.len()
    }

    /// Arms a timer for a process. If there is no room or the process has ended, the payload is dropped and the key
    /// finds nothing.
    pub(super) fn arm<M: Send + 'static>(
        self: &Arc<Self>,
        addr: &Addr<M>,
        delay: Duration,
        payload: Box<dyn Payload>,
    ) -> Key {
        let deadline = self.deadline(delay);
        let mut state = self.state.lock();
        if state.closed {
            drop(state);
            drop(payload);
            return Key::NONE;
        }
        let (key, is_new) = match state.armed.arm(addr.pid(), deadline, payload) {
            Ok(armed) => armed,
            Err(Refused { payload, event }) => {
                drop(state);
                if let Some(event) = event {
                    telemetry::emit(&event);
                }
                drop(payload);
                return Key::NONE;
            }
        };
        wake_sooner(state);
        if is_new {
            self.watch(addr);
        }
        key
    }

    /// Sets a deadline. If the runtime has ended it is over at once.
    pub(super) fn expire_after(&self, time: Duration, waiting: Arc<dyn Expire>) -> Key {
        let tick = self.deadline(time);
        let mut state = self.state.lock();
        if state.closed {
            drop(state);
            waiting.expired();
            return Key::NONE;
        }
        let key = state.deadlines.set(tick, waiting);
        wake_sooner(state);
        key
    }

    /// Lifts a deadline, if it is not over.
    pub(super) fn lift(&self, key: Key) {
        let lifted = self.state.lock().deadlines.lift(key);
        drop(lifted); // the last handle of what waited may be the user's to drop: not under the lock
    }

    /// From now on the end of this process ends its timers. They are armed first and watched then: an end in between
    /// is seen by the watch.
    fn watch<M: Send + 'static>(self: &Arc<Self>, addr: &Addr<M>) {
        let owner = Owner { service: Arc::downgrade(self), pid: addr.pid() };
        if process::watch_exit(addr, Arc::new(owner)).is_err() {
            self.forget(addr.pid());
        }
    }

    fn forget(&self, owner: Pid) {
        let mut payloads = Vec::new();
        loop {
            let more = self.state.lock().armed.forget(owner, &mut payloads);
            payloads.drain(..).for_each(drop_quietly);
            if !more {
                return;
            }
        }
    }

    /// The time left to a timer; `None` if it is not armed.
    pub(super) fn read(&self, key: Key) -> Option<Duration> {
        let deadline = self.state.lock().armed.deadline(key)?;
        Some(self.left(deadline))
    }

    /// Disarms a timer; the time that was left to it, or `None` if it was not armed.
    pub(super) fn cancel(&self, key: Key) -> Option<Duration> {
        let cancelled = self.state.lock().armed.cancel(key);
        let (deadline, payload) = cancelled?;
        let left = self.left(deadline);
        drop(payload);
        Some(left)
    }

    /// Sends all that is due, as far as it comes in one poll, and sleeps until the next is.
    fn poll(
        &self,
        cx: &mut TaskContext<'_>,
        mut sleep: Pin<&mut Option<Sleep>>,
        fired: &mut Vec<Fired>,
    ) -> Poll<Infallible> {
        for _ in 0..ROUNDS_PER_POLL {
            match self.round(cx.waker(), fired) {
                Progress::More => continue,
                Progress::Tick(tick) => {
                    self.tick(tick);
                    continue;
                }
                Progress::Idle(None) => {
                    sleep.set(None);
                    return Poll::Pending;
                }
                Progress::Idle(Some(wake_at)) => sleep.set(Some(sleep_until(self.instant(wake_at)))),
            }
            if sleep.as_mut().as_pin_mut().is_some_and(|sleep| sleep.poll(cx).is_pending()) {
                return Poll::Pending;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn round(&self, waker: &Waker, fired: &mut Vec<Fired>) -> Progress {
        let now = self.now();
        let mut expired = Vec::new();
        let progress = {
            let mut state = self.state.lock();
            let more = state.deadlines.expire(now, &mut expired);
            let progress = match state.armed.fire(now, fired) {
                Progress::Idle(_) if more => Progress::More,
                Progress::Idle(timer) => Progress::Idle(earlier(timer, state.deadlines.next_wake())),
                progress @ (Progress::More | Progress::Tick(_)) => progress,
            };
            match &progress {
                Progress::Idle(wake_at) => {
                    state.wake_at = wake_at.unwrap_or(u64::MAX);
                    state.sleeper = Some(waker.clone());
                }
                Progress::More | Progress::Tick(_) => state.wake_at = AWAKE,
            }
            progress
        };
        for waiting in expired {
            quietly(|| waiting.expired());
            drop_quietly(waiting);
        }
        for Fired { news, payload } in fired.drain(..) {
            quietly(|| news.tell());
            drop_quietly(payload);
        }
        progress
    }

    /// One tick of an interval. Its message is the user's to make, so the lock is taken anew to send it; a cancel
    /// meanwhile is found out then.
    fn tick(&self, Tick { key, owner, mut payload }: Tick) {
        process::forget_location();
        let made = catch_unwind(AssertUnwindSafe(|| payload.prepare()));
        if let Err(panic) = made {
            let reason = process::panic_reason(&*panic);
            drop_quietly(panic);
            let stand_in = self.state.lock().armed.cancel(key);
            drop(stand_in);
            drop_quietly(payload);
            process::exit(owner, reason);
            return;
        }
        let now = self.now();
        let ticked = self.state.lock().armed.tick(key, &mut *payload, now);
        quietly(|| ticked.news.tell());
        if let (Some(skipped), Some(period)) = (ticked.skipped, payload.period()) {
            let period = Duration::from_millis(period);
            telemetry::emit(&TicksSkipped { pid: owner, period, skipped: skipped.get() });
        }
        quietly(|| payload.drop_leftover());
        let leftover =
            if ticked.over { Some(payload) } else { self.state.lock().armed.put_back(key, payload) };
        drop_quietly(leftover);
    }

    /// The instant of a tick, or a year from now if that is sooner.
    fn instant(&self, tick: u64) -> Instant {
        let tick = tick.min(self.now().saturating_add(SLEEP_TICKS_MAX));
        self.start.checked_add(Duration::from_millis(tick)).unwrap_or(self.start)
    }

    /// The runtime has ended, and with it all timers.
    fn close(&self) {
        let (payloads, waiting, sleeper) = {
            let mut state = self.state.lock();
            state.closed = true;
            (state.armed.clear(), state.deadlines.clear(), state.sleeper.take())
        };
        drop(sleeper);
        payloads.for_each(drop_quietly);
        for waiting in waiting {
            quietly(|| waiting.expired());
            drop_quietly(waiting);
        }
    }
}

/// Wakes the task if there is something to do before it wakes by itself.
fn wake_sooner(mut state: MutexGuard<'_, State>) {
    let next = earlier(state.armed.next_wake(), state.deadlines.next_wake());
    if next.is_none_or(|next| next >= state.wake_at) {
        return;
    }
    state.wake_at = AWAKE;
    let sleeper = state.sleeper.take();
    drop(state);
    if let Some(sleeper) = sleeper {
        sleeper.wake();
    }
}

fn earlier(one: Option<u64>, other: Option<u64>) -> Option<u64> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

fn ticks(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// A time in ticks, rounded up.
pub(super) fn ticks_up(time: Duration) -> u64 {
    ticks(time).saturating_add(u64::from(!time.subsec_nanos().is_multiple_of(1_000_000)))
}

/// Held by the task: with it the service goes, when the runtime drops its tasks.
struct Running {
    id: Id,
    service: Arc<Service>,
}

impl Drop for Running {
    fn drop(&mut self) {
        {
            let mut services = SERVICES.write();
            if services.get(&self.id).is_some_and(|service| Arc::ptr_eq(service, &self.service)) {
                services.remove(&self.id);
            }
        }
        self.service.close();
    }
}

async fn drive(running: Running) -> Infallible {
    let mut sleep = pin!(None);
    let mut fired = Vec::new();
    poll_fn(|cx| running.service.poll(cx, sleep.as_mut(), &mut fired)).await
}

/// Watches one process that has timers here, until it ends.
struct Owner {
    service: Weak<Service>,
    pid: Pid,
}

impl ExitWatcher for Owner {
    fn exited(&self, _reason: &ExitReason) {
        if let Some(service) = self.service.upgrade() {
            service.forget(self.pid);
        }
    }

    fn forgiven(&self) {}

    /// Asked under the lock of the process, so it takes none.
    fn is_done(&self) -> bool {
        self.service.strong_count() == 0
    }
}

#[cfg(test)]
mod tests;
