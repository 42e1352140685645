//! Models for loom: what processes do to each other, in every order in which a few threads can do it.
//!
//! `RUSTFLAGS='--cfg heronry_loom' cargo test -p heronry --lib --profile loom --target-dir target/loom loom`
//!
//! A process is made as `spawn` makes it; in the place of a tokio task a thread of the model drives it, which sleeps
//! until it is woken. So a wake-up that is lost is a deadlock, which loom reports. What a model asserts must be reached:
//! a process that panics fails its model.
//!
//! After a deadlock the destructors of what waited find loom at its end, and the run aborts; what loom has to say stands
//! above that. What hands something from thread to thread within a model must be one of `crate::sync`'s locks, or loom
//! takes it for a race.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Context as TaskContext;

use loom::future::block_on;
use loom::model::Builder;
use loom::thread::{self, JoinHandle};

use super::addr::Addr;
use super::context::{Context, Received};
use super::run::Run;
use super::signal::{Exit, Info};
use super::spawn::{self, SpawnOptions};
use crate::exit::{ExitReason, IntoExitReason};

mod end;
mod links;
mod mailbox;
mod monitors;
mod names;
mod outbox;

/// How often a thread is interrupted in one execution where it would go on, unless `LOOM_MAX_PREEMPTIONS` says otherwise.
/// Almost every fault of this kind shows with two.
const PREEMPTIONS: usize = 3;

/// Runs a model in every order.
pub(crate) fn check(model: impl Fn() + Send + Sync + 'static) {
    check_within(PREEMPTIONS, model);
}

/// Runs a model in every order with so many interruptions: for those of many orders.
fn check_within(preemptions: usize, model: impl Fn() + Send + Sync + 'static) {
    let mut builder = Builder::new();
    builder.preemption_bound.get_or_insert(preemptions);
    builder.check(model);
}

/// A process that can be found but does not run yet.
pub(crate) fn prepare<M: Send + 'static>(options: &SpawnOptions) -> Addr<M> {
    Addr::new(spawn::prepare(options))
}

/// Runs a process in a thread of its own; its end, when joined.
pub(crate) fn run<M, F, B>(addr: &Addr<M>, body: F) -> JoinHandle<ExitReason>
where
    M: Send + 'static,
    F: FnOnce(Context<M>) -> B + 'static,
    B: Future<Output: IntoExitReason> + 'static,
{
    let addr = addr.clone();
    thread::spawn(move || {
        let process = addr.process().clone();
        let mut task = pin!(Run::new(process.clone(), body(Context::new(process))));
        // A process knows its task's waker when it sees it. loom's and a clone of loom's need not look the same, as tokio's do.
        let mut waker = None;
        block_on(poll_fn(|cx| {
            let waker = waker.get_or_insert_with(|| cx.waker().clone());
            task.as_mut().poll(&mut TaskContext::from_waker(waker))
        }));
        let reason = addr.exit_reason().expect("invariant: it has ended");
        assert!(!matches!(reason, ExitReason::Panic(_)), "{reason}");
        reason
    })
}

/// Has a thread of its own do something.
pub(crate) fn meanwhile<T: 'static>(run: impl FnOnce() -> T + 'static) -> JoinHandle<T> {
    thread::spawn(run)
}

/// What a reason of these models is: one that links pass on, and that no crash report is written about.
pub(crate) fn reason(why: &str) -> ExitReason {
    ExitReason::shutdown_with(why)
}

/// A process that traps exits; nothing runs it, and [`heard`] reads its mailbox.
fn trapping() -> Addr<()> {
    prepare(&SpawnOptions::new().trap_exit(true))
}

/// All signals that have come to a process that nothing runs since this was asked last.
fn heard(addr: &Addr<()>) -> Vec<Info> {
    addr.send(()).expect("invariant: it has not ended");
    let mut ctx = Context::new(addr.process().clone());
    let mut heard = Vec::new();
    while let Received::Info(info) = block_on(ctx.receive()) {
        heard.push(info);
    }
    heard
}
