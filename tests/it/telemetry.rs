//! Telemetry as a stranger sees it: crash events, and a log that stays readable in a storm.

use std::any::Any;
use std::fmt;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use heronry::process::{self, ProcessCrashed, SpawnOptions};
use heronry::telemetry::{self, Event, Level};
use heronry::{Context, ExitReason, spawn};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tracing::field::{Field, Visit};
use tracing::{Dispatch, span};

use crate::support::within;

/// One line of the log.
#[derive(Clone, Debug, Default)]
struct Line {
    at: Option<Instant>,
    event: String,
    message: String,
    suppressed: u64,
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            self.message = format!("{value:?}");
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "event" {
            value.clone_into(&mut self.event);
        }
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        if field.name() == "suppressed" {
            self.suppressed = value;
        }
    }
}

/// Keeps the lines of this thread.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<Line>>>);

/// While `tracing` knows of one subscriber only, a thread that meets a log line first asks its own default about it,
/// and "nobody listens" there then holds for every thread. Two that stay for good make it ask all of them.
static ALWAYS_THERE: LazyLock<[Dispatch; 2]> =
    LazyLock::new(|| [Dispatch::new(Log::default()), Dispatch::new(Log::default())]);

impl Log {
    fn start() -> (Self, tracing::subscriber::DefaultGuard) {
        LazyLock::force(&ALWAYS_THERE);
        let log = Self::default();
        (log.clone(), tracing::subscriber::set_default(log))
    }

    /// The lines about events of this name: those logged, and those that tell of suppressed ones.
    fn about(&self, event: &str) -> (Vec<Line>, Vec<Line>) {
        let lines = self.0.lock().expect("no panic before").clone();
        lines.into_iter().filter(|line| line.event == event).partition(|line| line.suppressed == 0)
    }
}

impl tracing::Subscriber for Log {
    fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        if event.metadata().target() == "heronry" {
            let mut line = Line { at: Some(Instant::now()), ..Line::default() };
            event.record(&mut line);
            self.0.lock().expect("no panic before").push(line);
        }
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

/// An event of the test's own, under the test's own name.
#[derive(Debug)]
struct Storm(&'static str);

impl fmt::Display for Storm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a gust of {}", self.0)
    }
}

impl Event for Storm {
    fn name(&self) -> &'static str {
        self.0
    }

    fn level(&self) -> Level {
        Level::Error
    }
}

/// Says so when a process crashes: emits the event from the destructor of its state.
struct Gust(&'static str);

impl Drop for Gust {
    fn drop(&mut self) {
        telemetry::emit(&Storm(self.0));
    }
}

async fn crash(name: &'static str) {
    let crashing = spawn(move |_ctx: Context<()>| async move {
        let state = Some(Gust(name));
        assert!(state.is_none(), "a crash of the storm");
    });
    assert!(matches!(crashing.wait().await, ExitReason::Panic(_)));
}

#[tokio::test]
async fn a_crash_is_an_event_and_an_orderly_end_is_none() {
    let table = [
        (ExitReason::Normal, false),
        (ExitReason::Shutdown, false),
        (ExitReason::shutdown_with("enough"), false),
        (ExitReason::custom("boom"), true),
        (ExitReason::Killed, true),
        (ExitReason::NoProc, true),
    ];
    for (reason, told) in table {
        let given = reason.clone();
        let ended = SpawnOptions::new().label("teller").spawn(move |mut ctx: Context<()>| async move {
            ctx.receive().await;
            given
        });
        let (tell, mut events) = mpsc::unbounded_channel();
        let pid = ended.pid();
        let handler = telemetry::attach(move |event: &dyn Event| {
            if let Some(crash) = (event as &dyn Any).downcast_ref::<ProcessCrashed>()
                && crash.pid == pid
            {
                let alive = process::is_alive(pid);
                let seen = (event.name(), event.level(), crash.label.as_str().to_owned());
                tell.send((seen, crash.reason.clone(), crash.unread, alive)).unwrap();
            }
        });
        (0..3).for_each(|_| ended.send(()).unwrap());
        assert_eq!(within("its end", ended.wait()).await, reason);
        assert!(telemetry::detach(handler));
        let seen = ("heronry.process.crashed", Level::Error, "teller".to_owned());
        assert_eq!(events.try_recv().ok(), told.then_some((seen, reason, 2, false)));
        assert_eq!(events.try_recv().ok(), None);
    }
}

#[tokio::test(start_paused = true)]
async fn a_storm_of_crashes_logs_a_few_and_counts_the_rest_though_nothing_comes_after() {
    const NAME: &str = "tests.telemetry.storm";
    let (log, _guard) = Log::start();
    for _ in 0..200 {
        crash(NAME).await;
    }
    let (logged, reports) = log.about(NAME);
    assert_eq!((logged.len(), reports.len()), (20, 0), "at once");
    assert!(logged.iter().all(|line| line.message == "a gust of tests.telemetry.storm"));

    tokio::time::sleep(Duration::from_secs(5)).await;
    let (logged, reports) = log.about(NAME);
    assert_eq!(logged.len(), 20);
    let counts: Vec<u64> = reports.iter().map(|line| line.suppressed).collect();
    assert_eq!(counts, [180]);
    assert!(reports[0].message.contains("180") && reports[0].message.contains(NAME), "{reports:?}");
}

#[tokio::test(start_paused = true)]
async fn an_event_after_the_storm_is_logged_and_nothing_is_counted_twice() {
    const NAME: &str = "tests.telemetry.after";
    let (log, _guard) = Log::start();
    (0..50).for_each(|_| telemetry::emit(&Storm(NAME)));
    tokio::time::sleep(Duration::from_secs(10)).await;
    telemetry::emit(&Storm(NAME));
    tokio::time::sleep(Duration::from_secs(10)).await;
    let (logged, reports) = log.about(NAME);
    assert_eq!((logged.len(), reports.iter().map(|line| line.suppressed).sum::<u64>()), (21, 30));
}

#[tokio::test(start_paused = true)]
async fn a_storm_that_goes_on_stays_within_its_lines_and_every_event_is_accounted_for() {
    const NAME: &str = "tests.telemetry.gale";
    const SECONDS: usize = 30;
    const PER_SECOND: usize = 250;
    let (log, _guard) = Log::start();
    let start = Instant::now();
    for _ in 0..SECONDS * PER_SECOND {
        telemetry::emit(&Storm(NAME));
        tokio::time::sleep(Duration::from_millis(4)).await;
    }
    tokio::time::sleep(Duration::from_secs(5)).await;
    let (logged, reports) = log.about(NAME);
    let counted: u64 = reports.iter().map(|line| line.suppressed).sum();
    assert_eq!(logged.len() as u64 + counted, (SECONDS * PER_SECOND) as u64);
    let mut per_second = vec![(0, 0); SECONDS + 10];
    for (lines, is_report) in [(&logged, false), (&reports, true)] {
        for line in lines {
            let second = line.at.unwrap().duration_since(start).as_secs() as usize;
            if is_report {
                per_second[second].1 += 1;
            } else {
                per_second[second].0 += 1;
            }
        }
    }
    // A window of the limit and a second of this table may overlap: two windows touch each second.
    assert!(
        per_second.iter().all(|(logged, _)| *logged <= 40),
        "(logged, reports) by second: {per_second:?}"
    );
    assert!(
        per_second.iter().all(|(_, reports)| *reports <= 4),
        "(logged, reports) by second: {per_second:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_storm_of_one_name_does_not_hide_another() {
    let (log, _guard) = Log::start();
    (0..100).for_each(|_| telemetry::emit(&Storm("tests.telemetry.loud")));
    telemetry::emit(&Storm("tests.telemetry.quiet"));
    assert_eq!(log.about("tests.telemetry.quiet").0.len(), 1);
}

/// An error that panics when somebody wants to read it.
#[derive(Debug)]
struct Unreadable;

impl fmt::Display for Unreadable {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        panic!("the error's Display panics");
    }
}

impl std::error::Error for Unreadable {}

#[tokio::test]
async fn a_reason_that_cannot_be_printed_still_reaches_who_waits_for_it() {
    let (_log, _guard) = Log::start();
    let failed = spawn(|_ctx: Context<()>| async { Err::<(), _>(Unreadable) });
    let reason = within("the end of a process with an unreadable error", failed.wait()).await;
    assert!(matches!(reason, ExitReason::Error(_)));
}

/// A payload that panics again when it is dropped.
struct Nasty;

impl Drop for Nasty {
    fn drop(&mut self) {
        std::panic::panic_any(0_u8);
    }
}

#[tokio::test]
async fn a_handler_that_panics_in_any_way_does_not_keep_the_news_of_an_end() {
    for nasty in [false, true] {
        let (go, may_go) = tokio::sync::oneshot::channel::<()>();
        let failed = spawn(|_ctx: Context<()>| async {
            drop(may_go.await);
            ExitReason::custom("boom")
        });
        let pid = failed.pid();
        let handler = telemetry::attach(move |event: &dyn Event| {
            let crash = (event as &dyn Any).downcast_ref::<ProcessCrashed>();
            if crash.is_some_and(|crash| crash.pid == pid) {
                if nasty {
                    std::panic::panic_any(Nasty);
                }
                panic!("the handler");
            }
        });
        go.send(()).unwrap();
        let reason = within("the end", failed.wait()).await;
        assert!(!telemetry::detach(handler), "it was detached for its panic");
        assert_eq!(reason, ExitReason::custom("boom"), "nasty: {nasty}");
    }
}

#[tokio::test]
async fn a_detached_handler_hears_no_more_and_each_attachment_is_its_own() {
    const NAME: &str = "tests.telemetry.detached";
    let (tell, mut told) = mpsc::unbounded_channel();
    let attach = |tag: u8| {
        let tell = tell.clone();
        telemetry::attach(move |event: &dyn Event| {
            if event.name() == NAME {
                tell.send(tag).unwrap();
            }
        })
    };
    let (one, other) = (attach(1), attach(2));
    telemetry::emit(&Storm(NAME));
    assert!(telemetry::detach(one));
    assert!(!telemetry::detach(one));
    telemetry::emit(&Storm(NAME));
    assert!(telemetry::detach(other));
    telemetry::emit(&Storm(NAME));
    let heard: Vec<u8> = std::iter::from_fn(|| told.try_recv().ok()).collect();
    assert_eq!(heard, [1, 2, 2]);
}
