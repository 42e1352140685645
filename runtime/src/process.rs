//! Processes: spawn, send, link, monitor, exit.
//!
//! A process is one tokio task and one `Arc`. The task polls the body; the `Arc` holds the mailbox and everything
//! that others may ask of or do to the process: exit signals, links, monitors, names. The rules are Erlang's:
//!
//! - Exit signals take effect when they arrive, not when the mailbox is read. A process that traps exits gets them as
//!   [`Info::Exit`] in its mailbox instead, in order with its messages.
//! - A link passes on every reason but [`Normal`](ExitReason::Normal), both ways. A monitor tells once, one way.
//! - [`kill`] cannot be trapped and arrives at the links of the killed as [`Killed`](ExitReason::Killed).
//! - When a process ends, its state is dropped first, then its name, its entries in registries and groups and its pid
//!   go, then links and monitors are told: who gets the news finds the ground clear.
//!
//! What differs from the BEAM: a process is polled, not preempted, so one that never awaits cannot be killed.

mod addr;
mod aside;
mod ask;
mod at_exit;
mod context;
mod core;
mod current;
mod deposit;
pub(crate) mod events;
mod habit;
mod info;
mod letter;
mod links;
#[cfg(test)]
#[cfg(heronry_loom)]
pub(crate) mod loom;
mod mailbox;
mod monitors;
mod names;
mod outbox;
mod post;
mod run;
pub(crate) mod shutdown;
mod signal;
mod spawn;
mod table;
mod watch;
mod watchdog;

pub use addr::{Addr, SendError};
pub use ask::STATE_REQUESTS_MAX;
pub(crate) use ask::{Asker, NotAsked, Shown};
pub(crate) use at_exit::Keeper;
pub(crate) use context::Opened;
pub use context::{Context, Received};
pub(crate) use deposit::{Deposit, News, Outcome};
pub use events::{
    DeadLetters, EventsMissed, LongSchedule, MailboxFull, MailboxLong, MessageQuarantined, ProcessCrashed,
};
pub use info::{Callback, ProcessInfo};
pub use mailbox::{MAILBOX_ALARM_DEFAULT, MAILBOX_LIMIT_DEFAULT, Overflow};
pub use names::{RegisterError, WhereisError, register, unregister, whereis, whereis_pid};
pub use outbox::EVENTS_WAITING_MAX;
pub(crate) use outbox::{OnDrop, Outbox};
pub use post::StableAddr;
pub(crate) use post::{Heir, Redelivery, Tenant};
pub use signal::{Down, Exit, Info};
pub use spawn::{SpawnOptions, spawn};
pub(crate) use table::{PidHasher, ProcessKind, ProcessStats};
pub(crate) use watch::{ExitWatch, ExitWatcher};
pub use watchdog::{LONG_SCHEDULE_DEFAULT, set_long_schedule};

use crate::exit::ExitReason;
use crate::pid::Pid;
pub(crate) use current::{forget_location, forgive_later, is_in, panic_reason, take_forgiven};
#[cfg(feature = "ractor")]
pub(crate) use current::{run_as, run_aside};

/// Sends an exit signal to a process, as Erlang's `exit/2`.
///
/// With [`Normal`](ExitReason::Normal) nothing happens unless the process traps exits; with another reason it ends
/// with it, or gets [`Info::Exit`] if it traps exits. `from` in that message is the process that called, or the
/// target itself when called from outside of any process. Returns whether the process was alive.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// use heronry::{ExitReason, process};
///
/// let idle = process::spawn(|mut ctx: heronry::Context<()>| async move { ctx.receive().await; });
/// assert!(process::exit(idle.pid(), ExitReason::Shutdown));
/// assert_eq!(idle.wait().await, ExitReason::Shutdown);
/// assert!(!process::exit(idle.pid(), ExitReason::Shutdown));
/// # }
/// ```
pub fn exit(pid: Pid, reason: ExitReason) -> bool {
    let Some(target) = table::find(pid) else { return false };
    target.exit_signal(current::pid().unwrap_or(pid), reason, signal::Origin::Exit);
    true
}

/// Ends a process at once, whatever it traps; its links and monitors see [`Killed`](ExitReason::Killed).
///
/// The body is dropped where it last awaited: destructors run, nothing else of it does. A body that never awaits
/// cannot be killed. Returns whether the process was alive. As Erlang's `exit(Pid, kill)`.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// use heronry::{ExitReason, process};
///
/// let idle = process::spawn(|ctx: heronry::Context<()>| async move {
///     ctx.trap_exit(true);
///     std::future::pending::<()>().await
/// });
/// process::kill(idle.pid());
/// assert_eq!(idle.wait().await, ExitReason::Killed);
/// # }
/// ```
pub fn kill(pid: Pid) -> bool {
    let Some(target) = table::find(pid) else { return false };
    target.exit_signal(current::pid().unwrap_or(pid), ExitReason::Killed, signal::Origin::Kill);
    true
}

/// Whether a process runs: false once its links and monitors have been told of its end.
pub fn is_alive(pid: Pid) -> bool {
    table::find(pid).is_some()
}

/// The pid of the process that this code runs in, as Erlang's `self/0`; `None` outside of any process.
///
/// Code in a tokio task that a process spawned is outside of it.
pub fn self_pid() -> Option<Pid> {
    current::pid()
}

/// What a process shows of itself, or `None` if it has ended. Erlang's `process_info/1`; nothing is sent to the process,
/// so that a stuck one answers too.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// use heronry::process;
///
/// let idle = process::spawn(|mut ctx: heronry::Context<u8>| async move { ctx.receive().await; });
/// let watcher = process::spawn(move |ctx: heronry::Context<()>| async move {
///     ctx.link(idle.pid());
///     let info = process::info(idle.pid()).unwrap();
///     assert_eq!(info.links, [ctx.pid()]);
///     assert_eq!(info.mailbox_len, 0);
/// });
/// watcher.wait().await;
/// # }
/// ```
pub fn info(pid: Pid) -> Option<ProcessInfo> {
    table::find(pid).map(|process| process.info())
}

/// How many processes run.
pub fn count() -> usize {
    table::count()
}

/// Undoes a link from outside of both its ends: no exit signal from it arrives at `near` after this.
pub(crate) fn unlink(near: Pid, far: Pid) {
    for (one, other) in [(near, far), (far, near)] {
        if let Some(process) = table::find(one) {
            process.remove_link(other);
        }
    }
}

/// Adds an exit watcher to a process, or gives the reason if it has ended.
pub(crate) fn watch_exit<M: Send + 'static>(
    addr: &Addr<M>,
    watcher: std::sync::Arc<dyn ExitWatcher>,
) -> Result<(), ExitReason> {
    table::AnyProcess::watch_exit(&**addr.process(), watcher)
}

/// Asks a process to show its state, in order with its messages; `watcher` hears of its exit from now on.
pub(crate) fn ask(
    pid: Pid,
    asker: Box<dyn Asker>,
    watcher: std::sync::Arc<dyn ExitWatcher>,
) -> Result<(), NotAsked> {
    let process = table::find(pid).ok_or(NotAsked::Exited(ExitReason::NoProc))?;
    process.ask(asker, watcher)
}

/// Waits until a process has ended, without its address and without a mailbox to hear of it.
pub(crate) async fn wait(pid: Pid) -> ExitReason {
    let watch = ExitWatch::new();
    match table::find(pid).map(|process| process.watch_exit(watch.watcher())) {
        Some(Ok(())) => watch.await,
        Some(Err(reason)) => reason,
        None => ExitReason::NoProc,
    }
}

/// The address of a process that is known by its pid; an error if it takes other messages.
pub(crate) fn addr_of<M: Send + 'static>(pid: Pid) -> Option<Result<Addr<M>, WhereisError>> {
    let process = table::find(pid)?.as_any().downcast::<self::core::Process<M>>();
    Some(process.map(Addr::new).map_err(|_| WhereisError::OtherType(pid.to_string())))
}

pub(crate) fn snapshot() -> Vec<ProcessStats> {
    table::snapshot()
}
