//! What a thread knows of the process that it polls: its pid, its budget, its last panic, and the calls whose reply
//! slot it dropped.

use std::cell::{Cell, RefCell};
use std::panic;
#[cfg(feature = "ractor")]
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Once};

use super::watch::ExitWatcher;
use super::watchdog;
use crate::exit::{ExitReason, PanicReport};
use crate::pid::Pid;
use crate::sync::thread_locals;
#[cfg(all(test, heronry_loom))]
use crate::sync::{LocalCell as _, LocalRefCell as _};
use crate::telemetry::{log, stderr};

/// How many messages a process may take in one poll before it lets others run.
const BUDGET: u32 = 128;

thread_locals! {
    static PID: Cell<Option<Pid>> = const { Cell::new(None) };
    static BUDGET_LEFT: Cell<u32> = const { Cell::new(0) };
    // Whether there is something in the two below, which have destructors: a poll looks at these only.
    static PANICKED: Cell<bool> = const { Cell::new(false) };
    static DROPPED_A_SLOT: Cell<bool> = const { Cell::new(false) };
    static LOCATION: RefCell<Option<String>> = const { RefCell::new(None) };
    static FORGIVEN: RefCell<Vec<Arc<dyn ExitWatcher>>> = const { RefCell::new(Vec::new()) };
}

/// While it lives, this thread polls that process.
#[derive(Debug)]
pub(super) struct Entered {
    before: Option<Pid>,
    budget_before: u32,
    seat_before: u64,
}

#[inline]
pub(super) fn enter(pid: Pid) -> Entered {
    forget_location();
    Entered {
        before: PID.replace(Some(pid)),
        budget_before: BUDGET_LEFT.replace(BUDGET),
        seat_before: watchdog::turn_to(pid.id()),
    }
}

impl Drop for Entered {
    #[inline]
    fn drop(&mut self) {
        PID.set(self.before);
        BUDGET_LEFT.set(self.budget_before);
        watchdog::turn_back(self.seat_before);
    }
}

pub(super) fn pid() -> Option<Pid> {
    PID.get()
}

/// Whether this thread polls that process now.
pub(crate) fn is_in(pid: Pid) -> bool {
    PID.get() == Some(pid)
}

/// Takes one from the budget: how many were taken from it before; `None` if the process has had its share of this poll. A
/// mailbox that is read outside of any process is read at the cost of whoever does so.
#[inline]
pub(super) fn spend() -> Option<u32> {
    if PID.get().is_none() {
        return Some(0);
    }
    let left = BUDGET_LEFT.get();
    BUDGET_LEFT.set(left.checked_sub(1)?);
    Some(BUDGET - left)
}

/// Notes a call whose reply slot was dropped by the process that is being polled. Whether its caller hears "no reply"
/// or the exit reason is known only when the poll is over.
pub(crate) fn forgive_later(watcher: Arc<dyn ExitWatcher>) {
    DROPPED_A_SLOT.set(true);
    FORGIVEN.with_borrow_mut(|forgiven| forgiven.push(watcher));
}

/// The calls noted during this poll.
pub(crate) fn take_forgiven() -> Vec<Arc<dyn ExitWatcher>> {
    if DROPPED_A_SLOT.replace(false) { FORGIVEN.with_borrow_mut(std::mem::take) } else { Vec::new() }
}

/// Tells the callers noted during this poll that they get no reply. Few polls have any: all others look at a flag.
#[inline]
pub(super) fn forgive() {
    if DROPPED_A_SLOT.get() {
        forgive_noted();
    }
}

#[cold]
fn forgive_noted() {
    for watcher in take_forgiven() {
        watcher.forgiven();
    }
}

/// Runs code that belongs to a process though another task or thread runs it, as if the process did: it is `self`, and a
/// panic is quiet and becomes a reason. With the calls whose reply slot it dropped: whether they hear "no reply" or the
/// end of the process is the caller's to say.
#[cfg(feature = "ractor")]
pub(crate) fn run_as<T>(
    pid: Pid,
    code: impl FnOnce() -> T,
) -> (Result<T, ExitReason>, Vec<Arc<dyn ExitWatcher>>) {
    let _entered = enter(pid);
    let ran = catch_unwind(AssertUnwindSafe(code)).map_err(|payload| {
        let reason = panic_reason(&*payload);
        crate::unwind::drop_quietly(payload);
        reason
    });
    (ran, take_forgiven())
}

/// As [`run_as`], on a thread that is not the scheduler's: there the watchdog has nothing to say.
#[cfg(feature = "ractor")]
pub(crate) fn run_aside<T>(
    pid: Pid,
    code: impl FnOnce() -> T,
) -> (Result<T, ExitReason>, Vec<Arc<dyn ExitWatcher>>) {
    run_as(pid, || {
        watchdog::turn_to(0);
        code()
    })
}

/// Makes panics in processes quiet (their exit reason says it all, and the log has it) and their location known.
/// Without any reader of the log the usual message on standard error stays, within a rate: a crash must never be silent,
/// nor a storm of crashes drown all else.
pub(super) fn install_panic_hook() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let usual = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if PID.get().is_none() {
                return usual(info);
            }
            PANICKED.set(true);
            LOCATION.set(info.location().map(ToString::to_string));
            if !log::has_reader() {
                stderr::panic(|| usual(info));
            }
        }));
    });
}

/// Forgets where the last panic was: one that is raised again (`resume_unwind`) has no place of its own, and must not be
/// given another's.
#[inline]
pub(crate) fn forget_location() {
    if PANICKED.get() {
        PANICKED.set(false);
        LOCATION.take();
    }
}

/// The exit reason for a payload that `catch_unwind` caught on this thread.
pub(crate) fn panic_reason(payload: &(dyn std::any::Any + Send)) -> ExitReason {
    let message = match (payload.downcast_ref::<&'static str>(), payload.downcast_ref::<String>()) {
        (Some(text), _) => (*text).to_owned(),
        (None, Some(text)) => text.clone(),
        (None, None) => "a payload that is no text".to_owned(),
    };
    ExitReason::Panic(Arc::new(PanicReport { message, location: LOCATION.take() }))
}
