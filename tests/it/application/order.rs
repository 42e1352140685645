//! The way to the end, with time paused and no signals.

use std::any::Any;
use std::future::pending;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use heronry::application::{
    Application, ApplicationBuilder, ApplicationEnded, ApplicationError, DrainOverdue, Outcome,
};
use heronry::inspect;
use heronry::prelude::*;
use heronry::process;
use heronry::telemetry::{self, Event};
use tokio::time::Instant;

use crate::support::{eventually, within};

#[derive(Clone, Default)]
struct Journal(Arc<Mutex<Vec<String>>>);

impl Journal {
    fn note(&self, what: impl Into<String>) {
        self.0.lock().expect("no panic before").push(what.into());
    }

    fn lines(&self) -> Vec<String> {
        self.0.lock().expect("no panic before").clone()
    }
}

/// A child that takes its time to stop, and notes it.
struct Child {
    journal: Journal,
    name: &'static str,
    goodbye: Duration,
}

impl Server for Child {
    type Args = (Journal, &'static str, Duration);
    type Msg = ();

    async fn init((journal, name, goodbye): Self::Args, ctx: &mut Context<()>) -> Init<Self> {
        ctx.trap_exit(true);
        journal.note(format!("{name} starts"));
        Ok(Self { journal, name, goodbye })
    }

    async fn handle(&mut self, (): (), _: &mut Context<()>) -> Next {
        Next::Continue
    }

    async fn terminate(&mut self, _: &ExitReason, _: &mut Context<()>) {
        tokio::time::sleep(self.goodbye).await;
        self.journal.note(format!("{} stops", self.name));
    }
}

fn child(journal: &Journal, name: &'static str, goodbye: u64) -> ChildSpec {
    let args = (journal.clone(), name, Duration::from_secs(goodbye));
    ChildSpec::server::<Child>(name, args).shutdown(Shutdown::Infinity)
}

/// A hook that takes its time, and notes its begin and its end.
fn hook(
    builder: ApplicationBuilder,
    journal: &Journal,
    name: &'static str,
    takes: Duration,
) -> ApplicationBuilder {
    let journal = journal.clone();
    builder.on_drain(name, move || async move {
        journal.note(format!("{name} begins"));
        tokio::time::sleep(takes).await;
        journal.note(format!("{name} ends"));
    })
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

async fn start(builder: ApplicationBuilder) -> Application {
    within("the start", builder.without_signals().start()).await.expect("it starts")
}

fn crash() {
    panic!("the crasher crashes");
}

/// Asks for the end; how it came, and after how many seconds.
async fn stop(application: Application) -> (Outcome, u64) {
    let before = Instant::now();
    application.stop_handle().stop();
    application.stop_handle().stop();
    let outcome = application.wait().await;
    (outcome, before.elapsed().as_secs())
}

#[tokio::test(start_paused = true)]
async fn hooks_run_in_order_then_children_stop_in_reverse() {
    let journal = Journal::default();
    let builder = Application::builder().child(child(&journal, "a", 1)).child(child(&journal, "b", 2));
    let builder = hook(hook(builder, &journal, "first", seconds(3)), &journal, "second", seconds(4));
    assert_eq!(stop(start(builder).await).await, (Outcome::Stopped, 10));
    let expect = [
        "a starts",
        "b starts",
        "first begins",
        "first ends",
        "second begins",
        "second ends",
        "b stops",
        "a stops",
    ];
    assert_eq!(journal.lines(), expect);
}

#[tokio::test(start_paused = true)]
async fn a_hook_that_takes_too_long_is_killed_and_the_end_is_in_order() {
    let told = Arc::new(Mutex::new(None));
    let (note, journal) = (told.clone(), Journal::default());
    let handler = telemetry::attach(move |event: &dyn Event| {
        let event: &dyn Any = event;
        let Some(overdue) = event.downcast_ref::<DrainOverdue>() else { return };
        if overdue.application.as_str() == "slow to drain" {
            *note.lock().expect("no panic before") = Some((overdue.hook.to_string(), overdue.not_begun));
        }
    });
    let builder = Application::builder().label("slow to drain").drain_deadline(seconds(7));
    let builder = builder.child(child(&journal, "a", 1));
    let builder = hook(hook(builder, &journal, "first", seconds(5)), &journal, "second", seconds(5));
    let builder = hook(builder, &journal, "third", seconds(5));
    assert_eq!(stop(start(builder).await).await, (Outcome::Stopped, 8));
    assert_eq!(journal.lines(), ["a starts", "first begins", "first ends", "second begins", "a stops"]);
    assert_eq!(*told.lock().expect("no panic before"), Some(("second".to_owned(), 1)));
    telemetry::detach(handler);
}

#[tokio::test(start_paused = true)]
async fn a_hook_that_crashes_keeps_nothing_from_its_turn() {
    let journal = Journal::default();
    let builder = Application::builder().child(child(&journal, "a", 0));
    let builder = builder.on_drain("crash", || async { panic!("the hook crashes") });
    let builder =
        builder.on_drain("crash at once", || -> std::future::Ready<()> { panic!("the hook crashes") });
    let builder = hook(builder, &journal, "next", seconds(1));
    assert_eq!(stop(start(builder).await).await, (Outcome::Stopped, 1));
    assert_eq!(journal.lines(), ["a starts", "next begins", "next ends", "a stops"]);
}

#[tokio::test(start_paused = true)]
async fn children_that_take_too_long_are_killed() {
    let journal = Journal::default();
    let builder = Application::builder().label("overdue").stop_deadline(seconds(5));
    let builder = builder.child(child(&journal, "a", 1)).child(child(&journal, "b", 100));
    let application = start(builder).await;
    let tree = application.tree().clone();
    assert_eq!(stop(application).await, (Outcome::Overdue, 5));
    assert_eq!(within("the end of the tree", tree.wait()).await, ExitReason::Killed);
}

#[tokio::test]
async fn a_root_supervisor_that_gives_up_ends_the_application_undrained() {
    let journal = Journal::default();
    let ended = Arc::new(AtomicBool::new(false));
    let note = ended.clone();
    let handler = telemetry::attach(move |event: &dyn Event| {
        let event: &dyn Any = event;
        if event.downcast_ref::<ApplicationEnded>().is_some_and(|ended| {
            ended.application.as_str() == "gives up" && ended.outcome == Outcome::GaveUp(ExitReason::Shutdown)
        }) {
            note.store(true, Ordering::SeqCst);
        }
    });
    let crasher = ChildSpec::process("crasher", |_: Context<()>| async { crash() });
    let builder = Application::builder().label("gives up").intensity(2, seconds(60)).child(crasher);
    let application = start(hook(builder, &journal, "hook", seconds(0))).await;
    let outcome = within("its end", application.wait()).await;
    assert_eq!(outcome, Outcome::GaveUp(ExitReason::Shutdown));
    assert_eq!(outcome.status(), 1);
    assert!(journal.lines().is_empty());
    assert!(ended.load(Ordering::SeqCst), "telemetry tells");
    telemetry::detach(handler);
}

#[tokio::test]
async fn a_root_supervisor_that_is_killed_while_draining_ends_the_application() {
    let application = start(Application::builder().on_drain("stuck", pending)).await;
    let (root, handle) = (application.tree().pid(), application.stop_handle());
    let waiting = tokio::spawn(application.wait());
    handle.stop();
    let stuck = || inspect::tree().nodes.iter().any(|node| node.label.as_str() == "drain: stuck");
    eventually("the hook", stuck).await;
    process::kill(root);
    assert_eq!(within("its end", waiting).await.expect("no panic"), Outcome::GaveUp(ExitReason::Killed));
}

#[tokio::test(start_paused = true)]
async fn stop_now_leaves_nothing_to_wait_for() {
    let journal = Journal::default();
    let builder = Application::builder().drain_deadline(Duration::MAX).child(child(&journal, "a", 100));
    let builder = hook(builder, &journal, "endless", Duration::MAX);
    let application = start(builder).await;
    let (handle, tree) = (application.stop_handle(), application.tree().clone());
    let waiting = tokio::spawn(application.wait());
    handle.stop();
    tokio::time::sleep(seconds(1_000)).await;
    assert!(!waiting.is_finished() && journal.lines().contains(&"endless begins".to_owned()));
    let before = Instant::now();
    handle.stop_now();
    assert_eq!(waiting.await.expect("no panic"), Outcome::Forced(None));
    assert_eq!(tree.wait().await, ExitReason::Killed);
    assert_eq!(before.elapsed().as_secs(), 0);
}

#[tokio::test]
async fn an_application_that_does_not_start_leaves_nothing() {
    let journal = Journal::default();
    let stillborn =
        ChildSpec::new("stillborn", |_| async { Err(StartError::Init(ExitReason::custom("no luck"))) });
    let builder = Application::builder().child(child(&journal, "a", 0)).child(stillborn);
    let started = within("the start", builder.without_signals().start()).await;
    let Err(error @ ApplicationError::Start(_)) = started else { panic!("{started:?}") };
    assert!(error.to_string().contains("stillborn: no luck"), "{error}");
    assert_eq!(journal.lines(), ["a starts", "a stops"]);
}
