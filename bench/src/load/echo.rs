//! Echoes: as fast as replies come, or at a pace.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use super::crowd::{self, Crowd, Event, gone};
use super::pace::Pace;
use super::report::Report;
use super::window::Window;
use super::{PAYLOAD_BYTES, Target};
use crate::Error;
use crate::wire::{Message, stamped};

/// A client that sends echoes and checks that each is answered, in order.
pub(super) struct Echoer {
    topic: String,
    payload: String,
    last: u64,
    /// When each that is under way was sent, or should have been.
    under_way: VecDeque<Instant>,
}

impl Echoer {
    pub(super) fn new(at: usize) -> Self {
        let payload = stamped(at as u64, PAYLOAD_BYTES);
        // The join was the first message.
        Self { topic: topic(at), payload, last: 1, under_way: VecDeque::new() }
    }

    pub(super) fn send(&mut self, out: &mut Vec<u8>, at: Instant) {
        self.last += 1;
        self.under_way.push_back(at);
        crowd::push(out, 1, self.last, &self.topic, "echo", &self.payload);
    }

    /// A reply came: with when its echo was sent.
    pub(super) fn reply(&mut self, message: &Message<'_>) -> Result<Instant, Error> {
        let wanted = self.last + 1 - self.under_way.len() as u64;
        let whole = message.payload.len() > self.payload.len();
        match self.under_way.pop_front() {
            Some(sent) if message.is_ok_reply() && whole && message.number() == Some(wanted) => Ok(sent),
            _ => {
                let got = String::from_utf8_lossy(message.payload);
                Err(format!("{}: instead of the reply to {wanted} came {message:?} {got}", self.topic).into())
            }
        }
    }
}

pub(super) fn topic(at: usize) -> String {
    format!("bench:echo:{at}")
}

fn joined(target: &Target, connections: usize) -> Result<(Crowd, Vec<Echoer>), Error> {
    let mut crowd = Crowd::new(target.addr)?;
    for at in 0..connections {
        crowd.add(topic(at));
    }
    crowd.join_all()?;
    Ok((crowd, (0..connections).map(Echoer::new).collect()))
}

/// Closed loop: `in_flight` of each connection are under way at any time.
pub(super) fn echo(
    target: &Target,
    connections: usize,
    in_flight: usize,
    lasts: Duration,
) -> Result<Report, Error> {
    let (mut crowd, mut echoers) = joined(target, connections)?;
    let mut window = Window::new(target, lasts);
    for (at, echoer) in echoers.iter_mut().enumerate() {
        crowd.send(at, |out| (0..in_flight).for_each(|_| echoer.send(out, Instant::now())))?;
    }
    while window.is_open()? {
        crowd.turn(window.next(), &mut |at, event, out| match event {
            Event::Message(message) => {
                let now = Instant::now();
                window.add(now - echoers[at].reply(&message)?);
                echoers[at].send(out, now);
                Ok(())
            }
            Event::Gone(code) => Err(gone(at, code)),
            Event::Joined(_) => Ok(()),
        })?;
    }
    let mut report = Report::new("echo");
    window.report(&mut report)?;
    report.set("connections", connections as f64);
    report.set("in_flight", in_flight as f64);
    Ok(report)
}

/// Open loop: the connections send in turn, at a pace that does not wait for replies.
pub(super) fn paced(
    target: &Target,
    connections: usize,
    per_s: u64,
    lasts: Duration,
) -> Result<Report, Error> {
    let (mut crowd, mut echoers) = joined(target, connections)?;
    let mut window = Window::new(target, lasts);
    let mut pace = Pace::new(Instant::now(), per_s);
    crowd.tick_every(pace.period())?;
    let mut turn = (0..connections).cycle();
    while window.is_open()? {
        while let (Some(due), Some(at)) = (pace.next_due(Instant::now()), turn.next()) {
            crowd.send(at, |out| echoers[at].send(out, due))?;
        }
        crowd.turn(window.next(), &mut |at, event, _| match event {
            Event::Message(message) => {
                window.add(Instant::now() - echoers[at].reply(&message)?);
                Ok(())
            }
            Event::Gone(code) => Err(gone(at, code)),
            Event::Joined(_) => Ok(()),
        })?;
    }
    let mut report = Report::new("paced");
    window.report(&mut report)?;
    report.set("connections", connections as f64);
    Ok(report)
}
