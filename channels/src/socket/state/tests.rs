//! Each (state of the socket, message or end) and what it leads to.

use std::time::Duration;

use super::*;
use crate::message::Payload;

type TestState = State<u32, &'static str>;

/// A rate that no test but its own comes to.
const JOINS: Rate = Rate::per_second(1_000_000);

fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

fn message(join_ref: Option<&str>, reference: &str, topic: &str, event: &str) -> Message {
    Message {
        join_ref: join_ref.map(Into::into),
        reference: Some(reference.into()),
        topic: topic.into(),
        event: event.into(),
        payload: Payload::empty(),
    }
}

fn refs(join_ref: Option<&str>, reference: &str) -> Refs {
    Refs { join_ref: join_ref.map(Into::into), reference: Some(reference.into()) }
}

fn routed(topic: &str) -> bool {
    topic.starts_with("room:")
}

fn send(
    state: &mut TestState,
    join_ref: Option<&str>,
    reference: &str,
    topic: &str,
    event: &str,
) -> Action<&'static str> {
    state.message(message(join_ref, reference, topic, event), now(), routed)
}

/// Sends a join and starts its channel.
fn join(state: &mut TestState, reference: &str, topic: &str, key: u32, handle: &'static str) {
    let action = send(state, Some(reference), reference, topic, "phx_join");
    assert!(matches!(action, Action::Start { .. }), "{action:?}");
    state.started(topic.into(), refs(Some(reference), reference), key, handle, None);
}

/// A socket on which channel 1 ("one") has joined `room:a` with join_ref 1.
fn joined() -> TestState {
    let mut state = State::new(2, JOINS);
    join(&mut state, "1", "room:a", 1, "one");
    state.accepted(1);
    state
}

fn unmatched(event: &str) -> Refused {
    Refused::Unmatched { event: event.into() }
}

fn error(topic: &str, refs: Refs, why: Refused) -> Action<&'static str> {
    Action::ReplyError { topic: topic.into(), refs, why }
}

fn ended(join_ref: &str, crashed: bool) -> Action<&'static str> {
    Action::Ended { topic: "room:a".into(), join_ref: Some(join_ref.into()), crashed, then: None }
}

#[test]
fn messages_that_the_socket_answers_itself() {
    let table = [
        ("phoenix", "heartbeat", Action::ReplyOk { topic: "phoenix".into(), refs: refs(None, "9") }),
        ("phoenix", "other", error("phoenix", refs(None, "9"), unmatched("other"))),
        ("nowhere", "phx_join", error("nowhere", refs(None, "9"), unmatched("phx_join"))),
        ("room:b", "shout", error("room:b", refs(None, "9"), unmatched("shout"))),
        ("room:b", "phx_leave", Action::ReplyOk { topic: "room:b".into(), refs: refs(Some("3"), "9") }),
    ];
    for (topic, event, want) in table {
        assert_eq!(send(&mut joined(), Some("3"), "9", topic, event), want, "{topic} {event}");
    }
}

#[test]
fn messages_for_a_joined_topic() {
    let delivered = |join_ref: Option<&str>, event: &str| Action::Deliver {
        to: "one",
        message: message(join_ref, "9", "room:a", event),
    };
    let table = [
        (Some("1"), "shout", delivered(Some("1"), "shout")),
        (None, "shout", delivered(None, "shout")),
        (Some("0"), "shout", Action::Nothing),
        (Some("1"), "phx_leave", delivered(Some("1"), "phx_leave")),
        (Some("0"), "phx_leave", Action::Nothing),
        (Some("2"), "phx_join", Action::Replace { old: "one" }),
    ];
    for (join_ref, event, want) in table {
        assert_eq!(send(&mut joined(), join_ref, "9", "room:a", event), want, "{join_ref:?} {event}");
    }
}

#[test]
fn a_join_holds_up_reading_until_it_is_answered() {
    for answer in [State::accepted, State::refused] {
        let mut state = joined();
        assert!(state.may_read());
        join(&mut state, "2", "room:b", 2, "two");
        assert!(!state.may_read());
        answer(&mut state, 2);
        assert!(state.may_read());
    }
}

#[test]
fn a_refused_join_is_no_channel() {
    let mut state = joined();
    join(&mut state, "2", "room:b", 2, "two");
    state.refused(2);
    assert_eq!(state.ended(2, now()), Action::Nothing);
    assert_eq!(send(&mut state, None, "9", "room:b", "x"), error("room:b", refs(None, "9"), unmatched("x")));
}

#[test]
fn a_join_that_crashes_is_answered() {
    let mut state = joined();
    join(&mut state, "2", "room:b", 2, "two");
    assert_eq!(state.ended(2, now()), error("room:b", refs(Some("2"), "2"), Refused::JoinCrashed));
    assert!(state.may_read());
}

#[test]
fn an_end_is_a_crash_unless_it_was_announced() {
    let mut state = joined();
    assert_eq!(state.ended(1, now()), ended("1", true));
    assert_eq!(state.ended(1, now()), Action::Nothing);

    let mut state = joined();
    state.closing(1);
    assert_eq!(state.ended(1, now()), ended("1", false));
}

#[test]
fn a_second_join_waits_for_the_end_of_the_first() {
    let mut state = joined();
    let join = message(Some("2"), "2", "room:a", "phx_join");
    assert_eq!(state.message(join.clone(), now(), routed), Action::Replace { old: "one" });
    assert!(!state.may_read());
    assert_eq!(state.replacing(), Some(1));
    let want = Action::Ended {
        topic: "room:a".into(),
        join_ref: Some("1".into()),
        crashed: false,
        then: Some((join, 0)),
    };
    assert_eq!(state.ended(1, now()), want);
    state.started("room:a".into(), refs(Some("2"), "2"), 2, "new", None);
    state.accepted(2);
    assert!(state.may_read());
}

#[test]
fn another_end_does_not_start_a_waiting_join() {
    let mut state = joined();
    join(&mut state, "2", "room:b", 2, "two");
    state.accepted(2);
    send(&mut state, Some("3"), "3", "room:a", "phx_join");
    assert!(matches!(state.ended(2, now()), Action::Ended { then: None, crashed: true, .. }));
    assert_eq!(state.replacing(), Some(1));
}

#[test]
fn only_so_many_channels() {
    let mut state = joined();
    join(&mut state, "2", "room:b", 2, "two");
    state.accepted(2);
    let third = send(&mut state, Some("3"), "3", "room:c", "phx_join");
    assert_eq!(third, error("room:c", refs(Some("3"), "3"), Refused::TooManyChannels));
    assert_eq!(send(&mut state, Some("4"), "4", "room:a", "phx_join"), Action::Replace { old: "one" });
}

#[test]
fn crashes_are_counted_for_the_next_channel_of_the_topic() {
    let mut state = joined();
    state.ended(1, now());
    let again = send(&mut state, Some("2"), "2", "room:a", "phx_join");
    assert!(matches!(again, Action::Start { restarts: 1, .. }), "{again:?}");
}

#[test]
fn crash_counts_are_kept_for_few_topics() {
    let mut state = State::new(2, JOINS);
    for key in 0..1_000 {
        let topic = format!("room:{key}");
        join(&mut state, "1", &topic, key, "one");
        state.ended(key, now());
    }
    assert_eq!(state.crashes.len(), 2);
}

#[test]
fn a_join_without_join_ref_is_a_channel_for_messages_without_one() {
    let mut state: TestState = State::new(2, JOINS);
    send(&mut state, None, "7", "room:a", "phx_join");
    state.started("room:a".into(), refs(None, "7"), 1, "one", None);
    state.accepted(1);
    assert_eq!(send(&mut state, Some("7"), "9", "room:a", "x"), Action::Nothing);
    assert!(matches!(send(&mut state, None, "9", "room:a", "x"), Action::Deliver { .. }));
    let want = Action::Ended { topic: "room:a".into(), join_ref: None, crashed: true, then: None };
    assert_eq!(state.ended(1, now()), want);
}

/// A socket on which channel 1 has joined `room:a`, to be restarted once in a second.
fn joined_again() -> (TestState, Message) {
    let mut state = State::new(2, JOINS);
    let join = message(Some("1"), "1", "room:a", "phx_join");
    state.message(join.clone(), now(), routed);
    let again = Again { join: join.clone(), intensity: Intensity::new(1, Duration::from_secs(1)) };
    state.started("room:a".into(), refs(Some("1"), "1"), 1, "one", Some(again));
    state.accepted(1);
    (state, join)
}

#[test]
fn a_crash_of_a_transient_channel_is_a_restart_until_the_intensity_is_spent() {
    let (mut state, join) = joined_again();
    let start = now();
    assert_eq!(state.ended(1, start), Action::Restart { old: "one", join: join.clone(), restarts: 1 });
    state.restarted(1, 2, "again");
    let delivered = send(&mut state, Some("1"), "5", "room:a", "x");
    assert!(matches!(delivered, Action::Deliver { to: "again", .. }), "{delivered:?}");
    assert!(state.may_read());
    state.accepted(2);
    let later = start + Duration::from_secs(2);
    assert_eq!(state.ended(2, later), Action::Restart { old: "again", join, restarts: 2 });
    state.restarted(2, 3, "again");
    // Its rejoin crashes: that counts too.
    assert_eq!(state.ended(3, later), ended("1", true));
    assert_eq!(state.channels_len(), 0);
}

#[test]
fn what_is_no_crash_is_no_restart() {
    let (mut state, _) = joined_again();
    state.closing(1);
    assert_eq!(state.ended(1, now()), ended("1", false));

    let (mut state, _) = joined_again();
    assert_eq!(state.given_up(1).as_deref(), Some("room:a"));
    assert_eq!(state.ended(1, now()), ended("1", true));

    let (mut state, _) = joined_again();
    state.give_up_all();
    assert_eq!(state.ended(1, now()), ended("1", true));

    let (mut state, _) = joined_again();
    let second = send(&mut state, Some("2"), "2", "room:a", "phx_join");
    assert_eq!(second, Action::Replace { old: "one" });
    assert!(matches!(state.ended(1, now()), Action::Ended { crashed: false, then: Some(_), .. }));
}

#[test]
fn a_first_join_that_crashes_is_told() {
    let mut state: TestState = State::new(2, JOINS);
    let join = message(Some("1"), "1", "room:a", "phx_join");
    state.message(join.clone(), now(), routed);
    let again = Again { join, intensity: Intensity::new(1, Duration::from_secs(1)) };
    state.started("room:a".into(), refs(Some("1"), "1"), 1, "one", Some(again));
    assert_eq!(state.ended(1, now()), error("room:a", refs(Some("1"), "1"), Refused::JoinCrashed));
}

#[test]
fn joins_over_their_rate_are_refused() {
    let mut state: TestState = State::new(2, Rate::per_second(10).burst(1));
    let start = now();
    let send = |state: &mut TestState, reference: &str, at: u64| {
        let join = message(Some(reference), reference, "room:a", "phx_join");
        state.message(join, start + Duration::from_millis(at), routed)
    };
    assert!(matches!(send(&mut state, "1", 0), Action::Start { .. }));
    state.started("room:a".into(), refs(Some("1"), "1"), 1, "one", None);
    state.accepted(1);
    let refused = |reference| error("room:a", refs(Some(reference), reference), Refused::TooManyJoins);
    assert_eq!(send(&mut state, "2", 99), refused("2"));
    assert!(matches!(send(&mut state, "3", 100), Action::Replace { .. }));
}
