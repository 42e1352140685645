//! How processes end: panics, destructors, what is gone when the news arrives, and runtimes that go away.

use std::future::{pending, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind, panic_any, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::task::Poll;

use heronry::process::{self, Info, SpawnOptions};
use heronry::{Addr, Context, ExitReason, PanicReport, spawn};
use tokio::runtime::{Builder, Runtime};

use super::{Puppet, idle};
use crate::support::within;

fn report(reason: ExitReason) -> Arc<PanicReport> {
    match reason {
        ExitReason::Panic(report) => report,
        other => panic!("not a panic: {other}"),
    }
}

fn assert_is_here(report: &PanicReport) {
    let location = report.location.as_deref().expect("the location is known");
    assert!(location.contains("process/life.rs:"), "{location}");
}

#[tokio::test]
async fn a_panic_is_the_reason_with_message_and_location() {
    let table: [(fn(), &str); 3] = [
        (|| panic!("plain"), "plain"),
        (|| panic!("number {}", 7), "number 7"),
        (|| panic_any(7_u8), "a payload that is no text"),
    ];
    for (fail, message) in table {
        let crashed = failing(fail);
        let report = report(within("the crash", crashed.wait()).await);
        assert_eq!(report.message, message);
        assert_is_here(&report);
    }
}

#[tokio::test]
async fn a_panic_without_a_place_is_not_given_the_place_of_another() {
    let careful = spawn(|_ctx: Context<()>| async {
        assert!(catch_unwind(|| panic!("caught by the process itself")).is_err());
    });
    assert_eq!(within("its end", careful.wait()).await, ExitReason::Normal);
    let resumed = failing(|| resume_unwind(Box::new("from afar")));
    let report = report(within("the crash", resumed.wait()).await);
    assert_eq!((report.message.as_str(), &report.location), ("from afar", &None));
}

/// A process whose body does just this.
fn failing(fail: impl FnOnce() + Send + 'static) -> Addr<()> {
    spawn(move |_ctx| async move { fail() })
}

/// Panics when it is dropped.
struct Mine(&'static str);

impl Drop for Mine {
    fn drop(&mut self) {
        panic!("{}", self.0);
    }
}

#[tokio::test]
async fn a_panic_in_the_states_destructor_is_the_reason_only_of_an_orderly_exit() {
    let table = [
        (ExitReason::Shutdown, true),
        (ExitReason::shutdown_with("enough"), true),
        (ExitReason::custom("boom"), false),
        (ExitReason::Killed, false),
    ];
    for (reason, replaced) in table {
        let holder = spawn(|_ctx: Context<()>| async {
            let _state = Mine("the destructor");
            pending::<()>().await;
        });
        let mut watcher = Puppet::new(false);
        let pid = holder.pid();
        watcher.act(move |ctx| ctx.monitor(pid)).await;
        process::exit(pid, reason.clone());
        let Info::Down(down) = watcher.hears().await else { panic!("not a Down") };
        if replaced {
            let report = report(down.reason);
            assert_eq!(report.message, "the destructor");
            assert_is_here(&report);
        } else {
            assert_eq!(down.reason, reason);
        }
        assert!(!process::is_alive(pid));
    }
}

/// A panic payload that panics again when it is dropped.
struct Nasty;

impl Drop for Nasty {
    fn drop(&mut self) {
        panic_any(0_u8);
    }
}

#[tokio::test]
async fn a_payload_that_panics_when_dropped_harms_nobody() {
    let crashed = failing(|| panic_any(Nasty));
    let reason = within("the crash", crashed.wait()).await;
    assert_eq!(report(reason).message, "a payload that is no text");
}

#[tokio::test]
async fn a_payload_from_the_states_destructor_that_panics_when_dropped_harms_nobody() {
    struct State;
    impl Drop for State {
        fn drop(&mut self) {
            panic_any(Nasty);
        }
    }
    for reason in [ExitReason::Shutdown, ExitReason::custom("boom")] {
        let holder = spawn(|_ctx: Context<()>| async {
            let _state = State;
            pending::<()>().await;
        });
        tokio::task::yield_now().await;
        process::exit(holder.pid(), reason);
        within("the end of a process with a nasty state", holder.wait()).await;
        assert!(!process::is_alive(holder.pid()));
    }
}

#[tokio::test]
async fn a_panic_in_the_destructor_of_an_unread_message_harms_nobody() {
    let holder = SpawnOptions::new().spawn(|_ctx: Context<Mine>| pending::<()>());
    let mut watcher = Puppet::new(true);
    let pid = holder.pid();
    watcher.act(move |ctx| (ctx.monitor(pid), ctx.link(pid))).await;
    for _ in 0..3 {
        holder.send(Mine("an unread message")).unwrap();
    }
    process::exit(pid, ExitReason::Shutdown);
    assert_eq!(within("its end", holder.wait()).await, ExitReason::Shutdown);
    let (one, other) = (watcher.hears().await, watcher.hears().await);
    assert!(matches!((&one, &other), (Info::Exit(_), Info::Down(_)) | (Info::Down(_), Info::Exit(_))));
    watcher.hears_nothing().await;
}

#[tokio::test]
async fn a_spawn_whose_closure_panics_leaves_no_process_behind() {
    let (tell, told) = mpsc::channel();
    let spawned = catch_unwind(AssertUnwindSafe(|| {
        spawn(move |ctx: Context<()>| {
            tell.send(ctx.pid()).unwrap();
            if true {
                panic!("before the first await");
            }
            pending::<()>()
        })
    }));
    let pid = told.recv().unwrap();
    if let Ok(addr) = spawned {
        within("the crash", addr.wait()).await;
    }
    assert!(!process::is_alive(pid), "nothing will ever run or end it");
}

#[test]
fn a_spawn_outside_of_a_runtime_leaves_no_process_behind() {
    let (tell, told) = mpsc::channel();
    let spawned = catch_unwind(AssertUnwindSafe(|| {
        spawn(move |ctx: Context<()>| {
            tell.send(ctx.pid()).unwrap();
            pending::<()>()
        })
    }));
    assert!(spawned.is_err());
    assert!(!process::is_alive(told.recv().unwrap()));
}

/// Notes that it was dropped.
struct Noted(Arc<AtomicBool>);

impl Drop for Noted {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// What the watcher of a dying process saw when the news arrived: state dropped, name gone, pid gone.
async fn ground_at_the_news(name: &'static str, by_link: bool, kill: bool) -> (bool, bool, bool) {
    let dropped = Arc::new(AtomicBool::new(false));
    let state = Noted(dropped.clone());
    let holder: Addr<u32> = spawn(|mut ctx| async move {
        let _state = state;
        ctx.receive().await;
    });
    process::register(name, &holder).expect("a free name");
    let pid = holder.pid();
    let (tell, told) = tokio::sync::oneshot::channel();
    let (ready, is_ready) = tokio::sync::oneshot::channel();
    SpawnOptions::new().trap_exit(true).spawn(move |mut ctx: Context<()>| async move {
        if by_link {
            ctx.link(pid);
        } else {
            ctx.monitor(pid);
        }
        ready.send(()).expect("the test waits");
        ctx.receive().await;
        let seen =
            (dropped.load(Ordering::SeqCst), process::whereis_pid(name).is_none(), !process::is_alive(pid));
        tell.send(seen).expect("the test waits");
    });
    is_ready.await.expect("the watcher lives");
    if kill {
        process::kill(pid);
    } else {
        holder.send(1).expect("the holder lives");
    }
    within("the news", told).await.expect("the watcher lives")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_the_news_of_an_end_arrives_state_name_and_pid_are_gone() {
    for round in 0..200 {
        let (by_link, kill) = (round % 2 == 0, round % 4 < 2);
        let seen = ground_at_the_news("process.life.ground", by_link, kill).await;
        assert_eq!(seen, (true, true, true), "by link: {by_link}, kill: {kill}");
    }
}

#[tokio::test]
async fn an_exit_signal_reaches_a_body_that_waits_on_something_else() {
    for kill in [true, false] {
        let (never, receiver) = tokio::sync::oneshot::channel::<()>();
        let (ready, is_ready) = tokio::sync::oneshot::channel();
        let waiting = spawn(move |_ctx: Context<()>| async move {
            ready.send(()).unwrap();
            receiver.await.unwrap();
        });
        is_ready.await.unwrap();
        let reason = if kill { ExitReason::Killed } else { ExitReason::custom("boom") };
        let sent =
            if kill { process::kill(waiting.pid()) } else { process::exit(waiting.pid(), reason.clone()) };
        assert!(sent);
        assert_eq!(within("its end", waiting.wait()).await, reason);
        assert!(never.is_closed(), "the body was dropped");
    }
}

#[tokio::test]
async fn an_exit_signal_before_the_first_poll_ends_a_process_that_never_ran() {
    let ran = Arc::new(AtomicBool::new(false));
    let note = ran.clone();
    let unborn = spawn(move |_ctx: Context<()>| async move { note.store(true, Ordering::SeqCst) });
    process::exit(unborn.pid(), ExitReason::Shutdown);
    assert_eq!(within("its end", unborn.wait()).await, ExitReason::Shutdown);
    assert!(!ran.load(Ordering::SeqCst));
}

#[tokio::test]
async fn a_process_knows_its_own_pid_and_its_parent_and_others_do_not() {
    assert_eq!(process::self_pid(), None);
    let parent = Puppet::new(false);
    let (own, child) = parent.act(|_| (process::self_pid(), Puppet::new(false))).await;
    assert_eq!(own, Some(parent.pid()));
    assert_eq!(child.act(|ctx| ctx.parent()).await, own);
    let task = parent.act(|_| tokio::spawn(async { process::self_pid() })).await;
    assert_eq!(task.await.unwrap(), None);
    assert_eq!(parent.act(|ctx| ctx.parent()).await, None);
}

#[tokio::test]
async fn a_body_is_polled_only_until_it_is_over() {
    let mut polls = 0;
    let twice = spawn(move |_ctx: Context<()>| {
        poll_fn(move |cx| {
            polls += 1;
            cx.waker().wake_by_ref();
            cx.waker().wake_by_ref();
            if polls < 2 { Poll::Pending } else { Poll::Ready(()) }
        })
    });
    assert_eq!(within("its end", twice.wait()).await, ExitReason::Normal);
}

fn runtimes() -> [Runtime; 2] {
    let one = Builder::new_current_thread().enable_all().build().expect("a runtime");
    [one, Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime")]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn processes_end_with_killed_when_their_runtime_goes_and_others_hear_of_it() {
    for runtime in runtimes() {
        let processes: Vec<Addr<u32>> = {
            let _on = runtime.enter();
            (0..10).map(|_| idle()).collect()
        };
        let mut watcher = Puppet::new(true);
        let (linked, monitored) = (processes[0].pid(), processes[1].pid());
        watcher.act(move |ctx| (ctx.link(linked), ctx.monitor(monitored))).await;
        let waiting: Vec<_> =
            processes.iter().cloned().map(|addr| tokio::spawn(async move { addr.wait().await })).collect();
        runtime.shutdown_background();
        for waiter in waiting {
            assert_eq!(within("the end", waiter).await.unwrap(), ExitReason::Killed);
        }
        let heard = [watcher.hears().await, watcher.hears().await];
        assert!(heard.iter().any(|info| matches!(info, Info::Exit(exit) if exit.from == linked)));
        assert!(heard.iter().any(|info| matches!(info, Info::Down(down) if down.pid == monitored)));
        assert!(processes.iter().all(|addr| !process::is_alive(addr.pid())));
    }
}

#[test]
fn a_process_that_was_told_to_exit_keeps_that_reason_when_its_runtime_goes() {
    let [runtime, _] = runtimes();
    let addr = runtime.block_on(async {
        let addr = idle();
        tokio::task::yield_now().await;
        process::exit(addr.pid(), ExitReason::Shutdown);
        addr
    });
    drop(runtime);
    assert_eq!(addr.exit_reason(), Some(ExitReason::Shutdown));
}

#[test]
fn a_process_spawned_on_a_runtime_that_is_gone_is_killed_at_once() {
    let [runtime, _] = runtimes();
    let handle = runtime.handle().clone();
    drop(runtime);
    let _on = handle.enter();
    let late = idle();
    assert_eq!(late.exit_reason(), Some(ExitReason::Killed));
}
