//! Idle connections: what making one costs, and what having one costs, also after it was used.

use std::time::Duration;

use super::bcast::Round;
use super::crowd::Crowd;
use super::report::Report;
use super::window::Spent;
use super::{Target, crowd};
use crate::Error;

/// How long memory is left to settle before it is read.
const SETTLE: Duration = Duration::from_secs(2);
/// How long connections have nothing to do after a storm of broadcasts, before memory is read again.
const IDLE: Duration = Duration::from_secs(20);
const STORM_BROADCASTS: usize = 20;
const STORM_BYTES: usize = 1_000;

/// Joins connections to a quiet topic each.
pub(super) fn connect(target: &Target, connections: usize) -> Result<Report, Error> {
    let mut first = Crowd::new(target.addr)?;
    let before = settled(target, &mut first)?;
    let mut crowd = Crowd::new(target.addr)?;
    for at in 0..connections {
        crowd.add(format!("bench:quiet:{at}"));
    }
    let mut report = Report::new("connect");
    let spent = Spent::now(target)?;
    let latencies = crowd.join_all()?;
    spent.report(target, latencies.len(), &mut report)?;
    report.latencies(&latencies);
    crowd.stay(SETTLE)?;
    report.set("connections", crowd.len() as f64);
    report.set("rss_bytes_per_connection", grown(target, before, connections)?);
    Ok(report)
}

/// Joins connections to one topic and reads the memory of each: new, and after a storm of broadcasts.
pub(super) fn memory(target: &Target, connections: usize) -> Result<Report, Error> {
    const TOPIC: &str = "bench:quiet:memory";
    let mut first = Crowd::new(target.addr)?;
    let before = settled(target, &mut first)?;
    let mut crowd = Crowd::new(target.addr)?;
    for _ in 0..connections {
        crowd.add(TOPIC.to_owned());
    }
    crowd.join_all()?;
    crowd.stay(SETTLE)?;
    let mut report = Report::new("memory");
    report.set("connections", connections as f64);
    report.set("rss_bytes_per_connection", grown(target, before, connections)?);
    let mut round = Round::begin(target, TOPIC, connections, STORM_BROADCASTS, STORM_BYTES)?;
    while round.is_open() {
        crowd.turn(round.next(), &mut |at, event, _| match event {
            crowd::Event::Message(message) => round.message(at, &message).map(drop),
            crowd::Event::Gone(code) => Err(crowd::gone(at, code)),
            crowd::Event::Joined(_) => Ok(()),
        })?;
    }
    round.end()?;
    report.set("rss_bytes_per_connection_after_storm", grown(target, before, connections)?);
    crowd.stay(IDLE)?;
    report.set("rss_bytes_per_connection_idle_again", grown(target, before, connections)?);
    Ok(report)
}

/// The memory after a first connection, which pays for what the server allocates once.
fn settled(target: &Target, first: &mut Crowd) -> Result<u64, Error> {
    first.add("bench:quiet:first".to_owned());
    first.join_all()?;
    first.stay(SETTLE)?;
    Ok(crate::rss_bytes(target.pid)?)
}

fn grown(target: &Target, before: u64, connections: usize) -> Result<f64, Error> {
    Ok(crate::rss_bytes(target.pid)?.saturating_sub(before) as f64 / connections as f64)
}
