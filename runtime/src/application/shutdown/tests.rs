//! The end of an application by a table: what is asked, what is over, what is overdue.

use std::time::Duration;

use super::{Action, Ask, Deadlines, Event, Outcome, Shutdown, Signal};
use crate::clock::{self, Instant};
use crate::exit::ExitReason;

const SECOND: Duration = Duration::from_secs(1);
const DEADLINES: Deadlines = Deadlines { drain: Duration::from_secs(10), stop: Duration::from_secs(20) };

fn signal(signal: Signal) -> Event {
    Event::Ask(Ask::Signal(signal))
}

fn boom() -> ExitReason {
    ExitReason::custom("boom")
}

/// An application in each phase, and when it got there.
fn in_phase(phase: &str, begin: Instant) -> Shutdown {
    let mut shutdown = Shutdown::new(DEADLINES);
    let events = match phase {
        "running" => vec![],
        "draining" => vec![Event::Ask(Ask::Stop)],
        "draining, signalled" => vec![signal(Signal::Terminate)],
        "stopping" => vec![Event::Ask(Ask::Stop), Event::Drained],
        "stopping, signalled" => vec![signal(Signal::Terminate), Event::Drained],
        "ended" => vec![Event::Ask(Ask::Now)],
        other => panic!("no phase {other}"),
    };
    for event in events {
        shutdown.on(event, begin);
    }
    shutdown
}

fn show(actions: &[Action]) -> String {
    let words = actions.iter().map(|action| match action {
        Action::Drain(cause) => format!("drain ({cause})"),
        Action::DrainOverdue => "overdue".to_owned(),
        Action::AbandonDrain => "abandon".to_owned(),
        Action::StopTree => "stop".to_owned(),
        Action::KillTree => "kill".to_owned(),
        Action::End(outcome) => format!("end: {outcome:?}"),
    });
    words.collect::<Vec<_>>().join(", ")
}

/// Every phase against every event, a second signal among them where there was a first.
#[test]
fn the_table() {
    const GAVE_UP: &str = "end: GaveUp(Shutdown)";
    const GAVE_UP_BOOM: &str = r#"end: GaveUp(Custom("boom"))"#;
    const FORCED: &str = "kill, end: Forced(None)";
    const FORCED_INT: &str = "kill, end: Forced(Some(Interrupt))";
    const OVERDUE: &str = "kill, end: Overdue";
    let abandon = |then: &str| format!("abandon, {then}");
    let (a_gave_up, a_boom, a_forced, a_int) =
        (abandon(GAVE_UP), abandon(GAVE_UP_BOOM), abandon(FORCED), abandon(FORCED_INT));
    let events: [(Event, Duration); 9] = [
        (Event::Ask(Ask::Stop), SECOND),
        (Event::Ask(Ask::Now), SECOND),
        (signal(Signal::Interrupt), SECOND),
        (Event::Drained, SECOND),
        (Event::TreeEnded(ExitReason::Shutdown), SECOND),
        (Event::TreeEnded(boom()), SECOND),
        (Event::Tick, SECOND),
        (Event::Tick, DEADLINES.drain),
        (Event::Tick, DEADLINES.stop),
    ];
    #[rustfmt::skip]
    let rows: [(&str, [&str; 9]); 6] = [
        ("running",
         ["drain (it was asked to)", FORCED, "drain (SIGINT)", "", GAVE_UP, GAVE_UP_BOOM, "", "", ""]),
        ("draining",
         ["", &a_forced, "", "stop", &a_gave_up, &a_boom, "", "overdue, stop", "overdue, stop"]),
        ("draining, signalled",
         ["", &a_forced, &a_int, "stop", &a_gave_up, &a_boom, "", "overdue, stop", "overdue, stop"]),
        ("stopping",
         ["", FORCED, "", "", "end: Stopped", GAVE_UP_BOOM, "", "", OVERDUE]),
        ("stopping, signalled",
         ["", FORCED, FORCED_INT, "", "end: Stopped", GAVE_UP_BOOM, "", "", OVERDUE]),
        ("ended",
         [""; 9]),
    ];
    let begin = clock::now();
    for (phase, expects) in rows {
        for ((event, after), expect) in events.clone().into_iter().zip(expects) {
            let got = show(&in_phase(phase, begin).on(event.clone(), begin + after));
            assert_eq!(got, expect, "{phase}, {event:?} after {after:?}");
        }
    }
}

#[test]
fn a_signal_after_a_stop_is_the_first_and_the_next_one_the_second() {
    let now = clock::now();
    let mut shutdown = in_phase("draining", now);
    assert_eq!(shutdown.on(signal(Signal::Terminate), now), []);
    let forced = Action::End(Outcome::Forced(Some(Signal::Terminate)));
    assert_eq!(shutdown.on(signal(Signal::Terminate), now), [Action::AbandonDrain, Action::KillTree, forced]);
}

#[test]
fn each_phase_has_its_own_deadline() {
    let begin = clock::now();
    let mut shutdown = in_phase("running", begin);
    assert_eq!(shutdown.deadline(), None);
    shutdown.on(Event::Ask(Ask::Stop), begin);
    assert_eq!(shutdown.deadline(), Some(begin + 10 * SECOND));
    shutdown.on(Event::Drained, begin + 3 * SECOND);
    assert_eq!(shutdown.deadline(), Some(begin + 23 * SECOND));
    shutdown.on(Event::TreeEnded(ExitReason::Shutdown), begin + 4 * SECOND);
    assert_eq!(shutdown.deadline(), None);
}

#[test]
fn a_deadline_beyond_all_time_is_none() {
    let forever = Deadlines { drain: Duration::MAX, stop: Duration::MAX };
    let (mut shutdown, begin) = (Shutdown::new(forever), clock::now());
    shutdown.on(Event::Ask(Ask::Stop), begin);
    assert_eq!(shutdown.deadline(), None);
    assert_eq!(shutdown.on(Event::Tick, begin + 1_000 * SECOND), []);
}

#[test]
fn statuses() {
    fn check(outcome: &Outcome, status: u8) {
        assert_eq!(outcome.status(), status, "{outcome}");
    }
    check(&Outcome::Stopped, 0);
    check(&Outcome::GaveUp(ExitReason::Shutdown), 1);
    check(&Outcome::Overdue, 1);
    check(&Outcome::Forced(None), 1);
    check(&Outcome::Forced(Some(Signal::Interrupt)), 130);
    check(&Outcome::Forced(Some(Signal::Terminate)), 143);
}
