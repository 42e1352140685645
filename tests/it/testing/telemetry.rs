//! The events of a test, and of no other.

use heronry::prelude::*;
use heronry::process::{self, ProcessCrashed};
use heronry::telemetry::{self, Event, Level};
use heronry::testing::{EVENTS_MAX, TelemetryTest, assert_receive, assert_received, refute_receive};

use super::failure;

#[derive(Debug)]
struct Counted(usize);

impl std::fmt::Display for Counted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "counted {}", self.0)
    }
}

impl Event for Counted {
    fn name(&self) -> &'static str {
        "test.counted"
    }

    fn level(&self) -> Level {
        Level::Debug
    }
}

#[tokio::test(start_paused = true)]
async fn events_are_waited_for_asserted_once_and_collected() {
    let mut counts = TelemetryTest::attach(|event: &Counted| event.0);
    process::spawn(|_: Context<()>| async {
        for n in [1, 2, 3, 4] {
            telemetry::emit(&Counted(n));
        }
    });
    assert_receive!(counts, n if n > 2);
    refute_receive!(counts, 3);
    let said = failure(async { assert_received!(counts, 5) }).await;
    assert!(said.contains("Showing 3 of 3 messages in the gathered events:\n  1\n  2\n  4"), "{said}");
    assert_eq!(counts.collect(), [1, 2, 4]);
    assert!(counts.collect().is_empty());
    drop(counts);
    telemetry::emit(&Counted(5));
}

#[tokio::test(start_paused = true)]
async fn events_of_other_runtimes_are_gathered_only_if_asked_for() {
    let mut ours = TelemetryTest::attach(|event: &Counted| event.0);
    let mut all = TelemetryTest::attach(|event: &Counted| event.0).everywhere();
    let elsewhere = std::thread::spawn(|| telemetry::emit(&Counted(usize::MAX)));
    elsewhere.join().unwrap();
    assert_received!(all, usize::MAX);
    refute_receive!(ours, usize::MAX);
    telemetry::emit(&Counted(1));
    assert_received!(ours, 1);
}

#[tokio::test(start_paused = true)]
async fn many_types_of_events_come_through_one_handler() {
    let mut names = TelemetryTest::attach_many(|event| (event.level() == Level::Error).then(|| event.name()));
    let mut reasons = TelemetryTest::attach(|event: &ProcessCrashed| event.reason.clone());
    telemetry::emit(&Counted(1));
    process::spawn(|_: Context<()>| async { ExitReason::custom("ill") });
    assert_receive!(names, "heronry.process.crashed");
    assert_received!(reasons, reason if reason == ExitReason::custom("ill"));
    assert_eq!(names.collect(), Vec::<&str>::new());
}

#[tokio::test(start_paused = true)]
async fn more_events_than_fit_are_dropped_and_said_to_be() {
    let mut counts = TelemetryTest::attach(|event: &Counted| event.0);
    for n in 0..EVENTS_MAX + 2 {
        telemetry::emit(&Counted(n));
    }
    let said = failure(async { assert_received!(counts, usize::MAX) }).await;
    assert!(said.contains("\n2 more were dropped"), "{said}");
    assert_eq!(counts.collect().len(), EVENTS_MAX);
}
