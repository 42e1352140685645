//! The watchdog: names what holds a scheduler thread for too long. Erlang's `system_monitor` with `long_schedule`.
//!
//! Every thread that polls processes has a seat here, where it writes which one it polls and how many polls it has begun:
//! three relaxed stores a poll, no clock. One thread of the operating system looks at the seats every few
//! milliseconds. A seat that shows the same poll for too long is reported while it lasts, and once more when it is over.

use std::cell::Cell;
use std::sync::Once;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::events::LongSchedule;
use super::table;
use crate::pid::Pid;
use crate::sync::outside::Mutex;
use crate::telemetry;

/// For how long one poll may hold a thread before it is reported, unless told otherwise. Time enough for any computation
/// between two awaits; ten of them in a row are the first delay that a person can notice.
pub const LONG_SCHEDULE_DEFAULT: Duration = Duration::from_millis(10);

/// How often the watchdog looks at least, and at most.
const TICK_MIN: Duration = Duration::from_millis(1);
const TICK_MAX: Duration = Duration::from_millis(50);

/// How long nothing may have run for the watchdog to look less often, and how often then.
const IDLE_AFTER: Duration = Duration::from_secs(1);
const IDLE_TICK: Duration = Duration::from_millis(10);

/// In microseconds; 0 is off.
static LONG_SCHEDULE: AtomicU64 = AtomicU64::new(LONG_SCHEDULE_DEFAULT.as_micros() as u64);
/// Seats that the watchdog has not seen yet.
static NEW: Mutex<Vec<&'static Seat>> = Mutex::new(Vec::new());
/// Seats of threads that have ended, for those to come: there are never more seats than there were threads at once.
static LEFT: Mutex<Vec<&'static Seat>> = Mutex::new(Vec::new());

/// What one thread polls now. In a cache line of its own: it is written at each poll.
#[derive(Default)]
#[repr(align(64))]
struct Seat {
    /// The id of the process, or 0.
    pid: AtomicU64,
    /// Polls begun; written by the thread alone.
    turns: AtomicU64,
}

thread_local! {
    // Without a destructor, so that a poll pays for no check of whether that ran.
    static SEAT: Cell<Option<&'static Seat>> = const { Cell::new(None) };
    static LEAVING: Leaving = const { Leaving };
}

/// Gives the seat back when its thread ends.
struct Leaving;

impl Drop for Leaving {
    fn drop(&mut self) {
        if let Some(seat) = SEAT.take() {
            seat.pid.store(0, Ordering::Relaxed);
            LEFT.lock().push(seat);
        }
    }
}

/// Reports processes that hold a scheduler thread for longer than this by the event [`LongSchedule`]; `None` never. For
/// the whole program; unless called it is [`LONG_SCHEDULE_DEFAULT`]. As Erlang's
/// `erlang:system_monitor(Pid, [{long_schedule, Time}])`.
///
/// A process is polled and not preempted: while one of its polls lasts, no other process runs on that thread, and the
/// process itself cannot be killed. Move such work aside with [`Context::block`](crate::Context::block). What lasts less
/// than half longer than this may escape notice.
///
/// ```
/// use std::time::Duration;
///
/// heronry::process::set_long_schedule(Some(Duration::from_millis(25)));
/// ```
pub fn set_long_schedule(after: Option<Duration>) {
    let micros = after.map_or(0, |after| u64::try_from(after.as_micros()).unwrap_or(u64::MAX).max(1));
    LONG_SCHEDULE.store(micros, Ordering::Relaxed);
}

/// This thread begins to poll that process; what it polled before.
#[inline]
pub(super) fn turn_to(pid: u64) -> u64 {
    let Some(seat) = SEAT.get().or_else(take_seat) else { return 0 };
    seat.turns.store(seat.turns.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
    let before = seat.pid.load(Ordering::Relaxed);
    seat.pid.store(pid, Ordering::Relaxed);
    before
}

/// This thread goes on with what it polled before.
#[inline]
pub(super) fn turn_back(before: u64) {
    if let Some(seat) = SEAT.get() {
        seat.pid.store(before, Ordering::Relaxed);
    }
}

/// A seat for this thread; none if it is about to end.
#[cold]
fn take_seat() -> Option<&'static Seat> {
    if cfg!(all(test, heronry_loom)) {
        return None; // a model has no time, and no thread beside its own
    }
    LEAVING.try_with(|_| ()).ok()?;
    let seat = LEFT.lock().pop().unwrap_or_else(|| {
        let seat: &'static Seat = Box::leak(Box::default());
        NEW.lock().push(seat);
        seat
    });
    SEAT.set(Some(seat));
    static STARTED: Once = Once::new();
    STARTED.call_once(|| {
        // Without it nothing is reported and all else works: no reason to fail a spawn.
        drop(std::thread::Builder::new().name("heronry-watchdog".to_owned()).spawn(watch));
    });
    Some(seat)
}

/// A seat as the watchdog saw it last.
struct Watched {
    seat: &'static Seat,
    turns: u64,
    pid: u64,
    since: Instant,
    reported: bool,
}

#[expect(
    clippy::disallowed_methods,
    reason = "a thread of its own, which measures real time and not a paused clock's"
)]
fn watch() {
    let mut watched: Vec<Watched> = Vec::new();
    let mut ran_at = Instant::now();
    let mut looked_at = ran_at;
    loop {
        let long = Duration::from_micros(LONG_SCHEDULE.load(Ordering::Relaxed));
        let tick = if long.is_zero() { TICK_MAX } else { (long / 2).clamp(TICK_MIN, TICK_MAX) };
        let idle = looked_at.duration_since(ran_at) > IDLE_AFTER;
        std::thread::sleep(if idle { tick.max(IDLE_TICK) } else { tick });
        let now = Instant::now();
        for seat in NEW.lock().drain(..) {
            watched.push(Watched { seat, turns: 0, pid: 0, since: now, reported: false });
        }
        for watched in &mut watched {
            if watched.look(now, now.duration_since(looked_at), long) {
                ran_at = now;
            }
        }
        looked_at = now;
    }
}

impl Watched {
    /// Whether anything ran since the last look.
    fn look(&mut self, now: Instant, step: Duration, long: Duration) -> bool {
        let turns = self.seat.turns.load(Ordering::Relaxed);
        let pid = self.seat.pid.load(Ordering::Relaxed);
        let held = now.duration_since(self.since);
        if pid != 0
            && let Some(process) = Pid::from_id(pid).and_then(table::find)
        {
            process.sample(step);
        }
        if turns != self.turns || pid != self.pid {
            if self.reported {
                report(self.pid, held, true);
            }
            *self = Self { seat: self.seat, turns, pid, since: now, reported: false };
            return true;
        }
        if pid != 0 && !self.reported && !long.is_zero() && held >= long {
            self.reported = true;
            report(pid, held, false);
        }
        pid != 0
    }
}

fn report(pid: u64, duration: Duration, ended: bool) {
    let Some(pid) = Pid::from_id(pid) else { return };
    // A process that ended with this poll has nothing more to say: its label went with it.
    let Some(info) = table::find(pid).map(|process| process.info()) else { return };
    telemetry::emit(&LongSchedule { pid, label: info.label, callback: info.callback, duration, ended });
}
