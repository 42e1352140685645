//! What is counted as right and what is noticed as wrong, and how scenarios are read.

use std::time::Duration;

use tokio::time::Instant;

use super::bcast::Round;
use super::churn::Churner;
use super::echo::Echoer;
use super::fanout::Shouts;
use super::*;
use crate::wire::{Message, stamped};

const TOPIC: &str = "t";

fn text(event: &str, reference: u64, payload: &str) -> String {
    format!(r#"["1","{reference}","{TOPIC}","{event}",{payload}]"#)
}

fn message(text: &str) -> Message<'_> {
    Message::parse(text.as_bytes()).unwrap()
}

fn reply(reference: u64) -> String {
    let payload = format!(r#"{{"status":"ok","response":{}}}"#, stamped(0, PAYLOAD_BYTES));
    text("phx_reply", reference, &payload)
}

#[test]
fn an_echo_that_is_lost_or_refused_or_not_whole_is_noticed() {
    let two_under_way = || {
        let mut echoer = Echoer::new(0);
        (0..2).for_each(|_| echoer.send(&mut Vec::new(), Instant::now()));
        echoer
    };
    let mut echoer = two_under_way();
    assert!(echoer.reply(&message(&reply(2))).is_ok());
    assert!(echoer.reply(&message(&reply(3))).is_ok());
    assert!(echoer.reply(&message(&reply(4))).is_err(), "one too many");
    assert!(two_under_way().reply(&message(&reply(3))).is_err(), "out of order");
    let refused = reply(2).replace("ok", "error");
    assert!(two_under_way().reply(&message(&refused)).is_err());
    let empty = text("phx_reply", 2, r#"{"status":"ok","response":{}}"#);
    assert!(two_under_way().reply(&message(&empty)).is_err());
}

#[test]
fn a_shout_that_is_lost_or_comes_twice_is_noticed() {
    let mut shouts = Shouts::new(2);
    (0..2).for_each(|_| shouts.shout(&mut Vec::new()));
    let (first, second) = [0, 1].map(|number| text("shout", 0, &stamped(number, PAYLOAD_BYTES))).into();
    assert!(shouts.message(1, &message(&second)).is_err(), "the first is lost");
    assert!(shouts.message(1, &message(&first)).unwrap().is_some());
    assert!(shouts.message(1, &message(&first)).is_err(), "twice");
    assert!(shouts.message(0, &message(&first)).unwrap().is_some());
    shouts.forget_heard();
    assert!(shouts.message(0, &message(&second)).unwrap().is_some());
    assert!(shouts.message(1, &message(&second)).unwrap().is_some());
    assert!(shouts.message(1, &message(&reply(2))).is_err(), "who did not shout gets no reply");
    assert!(shouts.message(0, &message(&reply(2))).unwrap().is_none());
}

#[test]
fn a_broadcast_that_comes_twice_is_noticed() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let target = Target { addr: listener.local_addr().unwrap(), pid: std::process::id() };
    let mut round = Round::begin(&target, TOPIC, 2, 1, PAYLOAD_BYTES).unwrap();
    let shout = text("shout", 0, "{}");
    assert!(round.message(0, &message(&shout)).is_ok());
    assert!(round.message(0, &message(&shout)).is_err());
    assert!(round.message(1, &message(&reply(2))).is_err());
    assert!(round.is_open());
    assert!(round.message(1, &message(&shout)).is_ok());
    assert!(!round.is_open());
}

#[test]
fn a_join_that_is_refused_or_a_leave_without_its_end_is_noticed() {
    let mut churner = Churner::new(0);
    let out = &mut Vec::new();
    churner.due(out, Instant::now());
    churner.due(out, Instant::now());
    let close = text("phx_close", 2, "{}");
    assert!(churner.message(&message(&reply(3)), out).is_err(), "not the reply to the join");
    assert!(churner.message(&message(&reply(2)), out).unwrap().is_none(), "joined");
    assert!(churner.message(&message(&close), out).is_err(), "not left yet");
    assert!(churner.message(&message(&reply(3)), out).unwrap().is_none(), "left");
    assert!(churner.message(&message(&close), out).unwrap().is_some(), "over, and the next one begins");
    assert!(churner.message(&message(&reply(4).replace("ok", "error")), out).is_err(), "refused");
}

#[test]
fn scenarios_are_read_with_their_bounds() {
    let lasts = Duration::from_secs(5);
    let echo = Scenario::Echo { connections: 100, in_flight: 16, lasts };
    assert_eq!(Scenario::parse("echo", &["100", "16", "5"]).unwrap(), echo);
    let stall = Scenario::Stall { readers: 10, stalled: 0, per_s: Some(200), lasts };
    assert_eq!(Scenario::parse("stall", &["10", "0", "200", "5"]).unwrap(), stall);
    let wrong: [(&str, &[&str]); 7] = [
        ("stall", &["10", "0", "5"]),
        ("echo", &["100", "16"]),
        ("echo", &["100", "16", "0"]),
        ("echo", &["100", "16", "21"]),
        ("connect", &["0"]),
        ("connect", &["18001"]),
        ("nothing", &[]),
    ];
    for (name, args) in wrong {
        assert!(Scenario::parse(name, args).is_err(), "{name} {args:?}");
    }
}

#[test]
fn only_this_machine_is_loaded() {
    let target = Target { addr: "192.0.2.1:80".parse().unwrap(), pid: std::process::id() };
    let error = Scenario::Storm { connections: 1 }.run(&target).unwrap_err();
    assert!(error.to_string().contains("this machine"), "{error}");
}
