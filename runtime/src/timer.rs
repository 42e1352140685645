//! Timers: a message to a process later, once or again and again.
//!
//! A timer belongs to the process that it sends to and to the tokio runtime in which it was armed; it ends with
//! either. All timers of a runtime share one timing wheel and one task that sleeps until the next of them is due, so
//! that an armed timer costs no task: it costs 64 bytes and one allocation that holds the message and its address. A
//! process costs about 250 bytes more from its first timer to its end. The memory of timers that are gone is used for
//! new ones, and given back when none is armed.
//!
//! - The resolution is a millisecond; a timer is never early, and less than two late where threads are idle (its tick
//!   and tokio's). Timers that are due at the same tick fire in the order in which they were armed.
//! - A message comes into the mailbox as any other, by the mailbox's policy: one that finds no room is lost where
//!   [`Addr::send`] would give it back, and the mailbox's [`MailboxFull`](crate::process::MailboxFull) says so. What a
//!   process sends itself with [`Context::send_after`] always comes.
//! - When the process ends, its timers are dropped with their messages, and its intervals stop.
//! - A process has at most [`TIMERS_PER_PROCESS_MAX`] timers armed, a runtime [`TIMERS_MAX`]. One more is refused: its
//!   message is dropped, [`TimersFull`] says so, and its [`TimerRef`] reads `None` as if it had been cancelled.
//!
//! The clock is tokio's: a test that pauses it pauses the timers.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")] async fn main() {
//! use std::time::Duration;
//! use heronry::process::{self, Received};
//!
//! let sleeper = process::spawn(|mut ctx: heronry::Context<&'static str>| async move {
//!     ctx.send_after(Duration::from_millis(10), "wake up");
//!     assert_eq!(ctx.receive().await, Received::Message("wake up"));
//! });
//! assert_eq!(sleeper.wait().await, heronry::ExitReason::Normal);
//! # }
//! ```

mod armed;
mod deadline;
mod events;
mod payload;
mod service;
mod slab;
mod wheel;

pub(crate) use deadline::{Deadline, Expire, expire_after};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::process::{Addr, Context};
pub use events::{TicksSkipped, TimersFull, TimersOf};
use payload::{Every, Once, Payload, Room};
use service::{Service, ticks_up};
use slab::Key;

/// How many timers one runtime has armed at most: 16 Mi, a gigabyte of them without their messages. More is a leak of
/// timers rather than a use of them.
pub const TIMERS_MAX: usize = 1 << 24;

/// How many timers are armed for one process at most: 2 Mi, so that one that leaks timers leaves room for the others.
pub const TIMERS_PER_PROCESS_MAX: u32 = 1 << 21;

/// How many ticks behind an interval catches up with: after a longer delay it skips the oldest of those that it missed.
/// A thousand ticks are a burst that a mailbox has room for.
pub const TICKS_LATE_MAX: u64 = 1_000;

/// An armed timer, to cancel or to read it. Dropping it does neither: the timer goes on.
///
/// The counterpart in Erlang is the reference that `erlang:send_after/3` returns.
#[derive(Clone)]
pub struct TimerRef {
    service: Arc<Service>,
    key: Key,
}

impl TimerRef {
    /// Disarms the timer; returns the time that was left to it, as Erlang's `erlang:cancel_timer/1`.
    ///
    /// The time is in whole milliseconds. `None` says that it was not armed: it had fired (then its message is in the
    /// mailbox, or was), it was cancelled, refused, or its process or runtime has ended. Once this has returned, the
    /// timer sends nothing any more, whichever thread was about to. Of an interval the time to the next tick is returned.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// use std::time::Duration;
    /// use heronry::{process, timer};
    ///
    /// let idle = process::spawn(|mut ctx: heronry::Context<u8>| async move { ctx.receive().await; });
    /// let timer = timer::send_after(&idle, Duration::from_secs(60), 1);
    /// assert!(timer.cancel().is_some_and(|left| left > Duration::from_secs(50)));
    /// assert_eq!(timer.cancel(), None);
    /// # process::kill(idle.pid());
    /// # }
    /// ```
    pub fn cancel(&self) -> Option<Duration> {
        self.service.cancel(self.key)
    }

    /// The time that is left to the timer, in whole milliseconds, or `None` if it is not armed; Erlang's
    /// `erlang:read_timer/1`.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// use std::time::Duration;
    /// use heronry::{process, timer};
    ///
    /// let idle = process::spawn(|mut ctx: heronry::Context<u8>| async move { ctx.receive().await; });
    /// let timer = timer::send_after(&idle, Duration::from_secs(60), 1);
    /// assert!(timer.read().is_some());
    /// process::kill(idle.pid());
    /// idle.wait().await;
    /// assert_eq!(timer.read(), None);
    /// # }
    /// ```
    pub fn read(&self) -> Option<Duration> {
        self.service.read(self.key)
    }
}

impl fmt::Debug for TimerRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TimerRef").field("key", &self.key).finish_non_exhaustive()
    }
}

/// Sends a message to a process after a delay, as Erlang's `erlang:send_after/3`.
///
/// A delay of zero sends it as soon as the runtime's timers get their turn. The [module's docs](self) say what becomes
/// of it when the process ends or its mailbox is full. To a process that has ended nothing is armed and the message is
/// dropped. A process that sends itself something uses [`Context::send_after`].
///
/// # Panics
/// Outside of a tokio runtime, or in one without a clock (`enable_time`).
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// use std::time::Duration;
/// use heronry::process::{self, Received};
/// use heronry::timer;
///
/// let waiter = process::spawn(|mut ctx: heronry::Context<u8>| async move {
///     assert_eq!(ctx.receive().await, Received::Message(7));
/// });
/// timer::send_after(&waiter, Duration::from_millis(5), 7);
/// assert_eq!(waiter.wait().await, heronry::ExitReason::Normal);
/// # }
/// ```
pub fn send_after<M: Send + 'static>(addr: &Addr<M>, delay: Duration, message: M) -> TimerRef {
    arm(addr, delay, Box::new(Once::new(addr.clone(), message, Room::Limited)))
}

/// Sends a process a message that `make` makes for each period, until cancelled or until the process ends; Erlang's
/// `timer:send_interval/3`.
///
/// The first comes after one period. The period is rounded up to a millisecond and is at least one. Ticks keep to
/// their grid: a late one does not delay those after it, and where several are late they come one right after the
/// other. If more than [`TICKS_LATE_MAX`] are, the oldest are skipped and [`TicksSkipped`] says how many. A tick that
/// finds no room in the mailbox is lost and the next one comes as usual.
///
/// `make` runs in the task that serves all timers of the runtime: it must be quick and must not block. If it panics,
/// the interval ends and the process gets an exit signal with the panic, as if the process itself had panicked.
///
/// # Panics
/// Outside of a tokio runtime, or in one without a clock (`enable_time`).
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// use std::time::Duration;
/// use heronry::process;
/// use heronry::timer;
///
/// let counter = process::spawn(|mut ctx: heronry::Context<&'static str>| async move {
///     for _ in 0..3 {
///         ctx.receive().await;
///     }
/// });
/// timer::send_interval(&counter, Duration::from_millis(2), || "tick");
/// assert_eq!(counter.wait().await, heronry::ExitReason::Normal);
/// # }
/// ```
pub fn send_interval<M, F>(addr: &Addr<M>, period: Duration, make: F) -> TimerRef
where
    M: Send + 'static,
    F: FnMut() -> M + Send + 'static,
{
    let ticks = ticks_up(period).max(1);
    arm(addr, Duration::from_millis(ticks), Box::new(Every::new(addr.clone(), ticks, make)))
}

/// How many timers are armed in this runtime, for tests and for looking inside.
///
/// # Panics
/// Outside of a tokio runtime, or in one without a clock (`enable_time`).
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// assert_eq!(heronry::timer::count(), 0);
/// # }
/// ```
pub fn count() -> usize {
    Service::current().len()
}

fn arm<M: Send + 'static>(addr: &Addr<M>, delay: Duration, payload: Box<dyn Payload>) -> TimerRef {
    let service = Service::current();
    let key = service.arm(addr, delay, payload);
    TimerRef { service, key }
}

impl<M: Send + 'static> Context<M> {
    /// Sends this process a message after a delay, as Erlang's `erlang:send_after(Time, self(), Msg)`.
    ///
    /// [`timer::send_after`](crate::timer::send_after), to itself; the message comes even if the mailbox is full by then:
    /// a process that works by its own timers does not stand still because others flood it.
    ///
    /// # Panics
    /// In a tokio runtime without a clock (`enable_time`).
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// use std::time::Duration;
    /// use heronry::process::{self, Received};
    ///
    /// let impatient = process::spawn(|mut ctx: heronry::Context<Option<u8>>| async move {
    ///     let timeout = ctx.send_after(Duration::from_millis(5), None);
    ///     match ctx.receive().await {
    ///         Received::Message(Some(_answer)) => { timeout.cancel(); }
    ///         Received::Message(None) | Received::Info(_) => {}
    ///     }
    /// });
    /// impatient.wait().await;
    /// # }
    /// ```
    pub fn send_after(&self, delay: Duration, message: M) -> TimerRef {
        let addr = self.addr();
        arm(&addr, delay, Box::new(Once::new(addr.clone(), message, Room::Own)))
    }

    /// Sends this process a message for each period, as Erlang's `timer:send_interval/2`.
    ///
    /// [`timer::send_interval`](crate::timer::send_interval), to itself.
    ///
    /// # Panics
    /// In a tokio runtime without a clock (`enable_time`).
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// use std::time::Duration;
    ///
    /// let counter = heronry::spawn(|mut ctx: heronry::Context<&'static str>| async move {
    ///     let ticks = ctx.send_interval(Duration::from_millis(2), || "tick");
    ///     ctx.receive().await;
    ///     ctx.receive().await;
    ///     assert!(ticks.cancel().is_some());
    /// });
    /// assert_eq!(counter.wait().await, heronry::ExitReason::Normal);
    /// # }
    /// ```
    pub fn send_interval<F>(&self, period: Duration, make: F) -> TimerRef
    where
        F: FnMut() -> M + Send + 'static,
    {
        send_interval(&self.addr(), period, make)
    }
}
