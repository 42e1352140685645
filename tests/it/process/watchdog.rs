//! What holds a scheduler thread is named, while it does and when it is over.

use std::any::Any;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use heronry::prelude::*;
use heronry::process::{self, Callback, LongSchedule};
use heronry::telemetry::{self, Event};
use heronry::{Pid, spawn};

use crate::support::within;

/// Blocks its thread for as long as a message says.
struct Blocker;

impl Server for Blocker {
    type Args = ();
    type Msg = (Duration, ReplyTo<()>);

    async fn init((): (), ctx: &mut Context<Self::Msg>) -> Init<Self> {
        ctx.set_label("the blocker");
        Ok(Self)
    }

    async fn handle(&mut self, (time, reply_to): Self::Msg, _: &mut Context<Self::Msg>) -> Next {
        block(time);
        reply_to.send(());
        Next::Continue
    }
}

#[expect(clippy::disallowed_methods, reason = "holding the thread is what is tested")]
fn block(time: Duration) {
    std::thread::sleep(time);
}

/// (when it was told, pid, label, callback, duration, ended), of one process.
struct Told {
    at: Instant,
    label: String,
    callback: Option<Callback>,
    duration: Duration,
    ended: bool,
}

#[expect(clippy::disallowed_methods, reason = "the watchdog measures real time")]
fn watch(pid: Pid) -> (mpsc::Receiver<Told>, telemetry::HandlerId) {
    let (tell, told) = mpsc::channel();
    let id = telemetry::attach(move |event: &dyn Event| {
        if let Some(long) = (event as &dyn Any).downcast_ref::<LongSchedule>()
            && long.pid == pid
        {
            let label = long.label.to_string();
            let (callback, duration, ended) = (long.callback, long.duration, long.ended);
            drop(tell.send(Told { at: Instant::now(), label, callback, duration, ended }));
        }
    });
    (told, id)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[expect(clippy::disallowed_methods, reason = "the watchdog measures real time")]
async fn a_handler_that_holds_its_thread_is_named_while_it_does_and_when_it_is_over() {
    const HELD: Duration = Duration::from_millis(300);
    let blocker = Blocker::start(()).await.unwrap();
    let (told, handler) = watch(blocker.pid());
    let begun = Instant::now();
    let calling = tokio::spawn({
        let blocker = blocker.clone();
        async move { blocker.call(|reply_to| (HELD, reply_to), Duration::from_secs(5)).await }
    });
    let first = tokio::task::spawn_blocking(move || {
        let first = told.recv_timeout(Duration::from_secs(5)).expect("it is told");
        (first, told)
    });
    let (first, told) = within("the event", first).await.unwrap();
    assert!(first.at - begun < HELD, "told after {:?}, which is not while it lasts", first.at - begun);
    assert_eq!(
        (first.label.as_str(), first.callback, first.ended),
        ("the blocker", Some(Callback::Handle), false)
    );
    assert!(first.duration >= process::LONG_SCHEDULE_DEFAULT, "{:?}", first.duration);
    let info = process::info(blocker.pid()).unwrap();
    assert_eq!(info.callback, Some(Callback::Handle));

    within("the reply", calling).await.unwrap().unwrap();
    let last = tokio::task::spawn_blocking(move || {
        told.recv_timeout(Duration::from_secs(5)).expect("its end is told")
    });
    let last = within("the second event", last).await.unwrap();
    assert!(last.ended);
    assert!(last.duration > HELD / 2 && last.duration < HELD * 4, "{:?}", last.duration);
    let info = process::info(blocker.pid()).unwrap();
    assert!(info.running > HELD / 2, "{:?}", info.running);
    assert_eq!(info.callback, None);
    telemetry::detach(handler);
    process::kill(blocker.pid());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn blocking_work_that_was_moved_aside_holds_nothing() {
    let patient = spawn(|mut ctx: Context<()>| async move {
        ctx.receive().await;
        ctx.block(|| block(Duration::from_millis(100))).await;
    });
    let (told, handler) = watch(patient.pid());
    patient.send(()).unwrap();
    assert_eq!(within("its end", patient.wait()).await, ExitReason::Normal);
    telemetry::detach(handler);
    assert!(told.try_iter().next().is_none());
}
