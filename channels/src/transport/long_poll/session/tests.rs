//! A session by the clock, without one.

use super::*;

const WINDOW: Duration = Duration::from_millis(1_000);

/// A session, and the time as milliseconds since it began.
fn session() -> (LongPoll<&'static str, &'static str, u32>, impl Fn(u64) -> Instant) {
    let start = tokio::time::Instant::now().into_std();
    (LongPoll::new(WINDOW, start), move |ms| start + Duration::from_millis(ms))
}

#[test]
fn a_session_that_is_never_polled_is_over_after_one_and_a_half_windows() {
    let (mut session, at) = session();
    assert_eq!(session.deadline(), at(1_500));
    assert_eq!(session.due(at(1_499)), Due::Nothing);
    assert_eq!(session.due(at(1_500)), Due::Inactive);
}

#[test]
fn a_poll_waits_for_a_window_and_keeps_the_session() {
    let (mut session, at) = session();
    assert_eq!(session.poll("a", at(1_400)), None);
    assert_eq!(session.deadline(), at(2_400));
    assert_eq!(session.due(at(2_399)), Due::Nothing);
    assert_eq!(session.due(at(2_400)), Due::Window("a"));
    assert!(!session.is_polled());
    assert_eq!(session.deadline(), at(3_900));
    assert_eq!(session.due(at(3_899)), Due::Nothing);
    assert_eq!(session.due(at(3_900)), Due::Inactive);
}

#[test]
fn a_poll_that_got_messages_is_over() {
    let (mut session, at) = session();
    session.poll("a", at(100));
    assert!(session.is_polled());
    assert_eq!(session.take_poll(at(200)), Some("a"));
    assert_eq!(session.take_poll(at(200)), None);
    assert_eq!(session.due(at(1_100)), Due::Nothing, "its window is no matter any more");
    assert_eq!(session.deadline(), at(1_700));
}

#[test]
fn of_two_polls_the_later_one_waits() {
    let (mut session, at) = session();
    session.poll("a", at(0));
    assert_eq!(session.poll("b", at(500)), Some("a"));
    assert_eq!(session.due(at(1_000)), Due::Nothing);
    assert_eq!(session.take_poll(at(1_000)), Some("b"));
}

#[test]
fn lines_are_handled_in_order_and_one_at_a_time() {
    let (mut session, at) = session();
    assert_eq!(session.step(true, true, at(0)), Step::Wait);
    session.publish("p", [1, 2], at(0));
    assert_eq!(session.step(true, true, at(0)), Step::Line(1));
    assert_eq!(session.step(false, false, at(0)), Step::Wait, "a join is under way");
    assert_eq!(session.step(true, false, at(0)), Step::Wait, "the channels are behind");
    assert_eq!(session.step(true, true, at(0)), Step::Line(2));
    assert_eq!(session.step(false, true, at(0)), Step::Wait, "the last line has to be handled too");
    assert_eq!(session.step(true, false, at(0)), Step::Done("p"), "and then nothing more is handed over");
    assert_eq!(session.step(true, true, at(0)), Step::Wait);
}

#[test]
fn each_line_has_a_window_and_the_first_late_one_ends_the_publish() {
    let (mut session, at) = session();
    session.poll("a", at(0));
    session.publish("p", [1, 2, 3], at(0));
    assert_eq!(session.step(true, true, at(0)), Step::Line(1));
    assert_eq!(session.step(true, true, at(900)), Step::Line(2));
    assert_eq!(session.due(at(1_000)), Due::Window("a"), "the poll is not concerned");
    session.poll("b", at(1_500));
    assert_eq!(session.deadline(), at(1_900));
    assert_eq!(session.due(at(1_899)), Due::Nothing);
    assert_eq!(session.due(at(1_900)), Due::TimedOut("p"));
    assert_eq!(session.step(true, true, at(1_900)), Step::Wait, "what followed is dropped");
    assert_eq!(session.deadline(), at(2_500));
}

#[test]
fn a_publish_without_lines_is_done() {
    let (mut session, at) = session();
    assert_eq!(session.publish("p", [], at(0)), None);
    assert_eq!(session.step(false, true, at(0)), Step::Wait);
    assert_eq!(session.step(true, true, at(0)), Step::Done("p"));
}

#[test]
fn a_poll_and_a_publish_due_at_once_are_both_answered() {
    let (mut session, at) = session();
    session.poll("a", at(0));
    session.publish("p", [1], at(0));
    assert_eq!(session.due(at(1_000)), Due::TimedOut("p"));
    assert_eq!(session.due(at(1_000)), Due::Window("a"));
    assert_eq!(session.due(at(1_000)), Due::Nothing);
}
