//! All connections are cut at once, and all come back.

use std::time::Duration;

use tokio::time::Instant;

use super::Target;
use super::crowd::{Crowd, Event, gone};
use super::latency::Latencies;
use super::pace::Pace;
use super::report::Report;
use super::window::Spent;
use crate::Error;

/// Within which all begin to connect again, evenly.
const WITHIN: Duration = Duration::from_millis(500);
/// After which the channels of the connections that were cut have ended too.
const SETTLE: Duration = Duration::from_millis(500);

/// Cuts all, and waits until all have joined again.
pub(super) fn storm(target: &Target, connections: usize) -> Result<Report, Error> {
    let mut crowd = Crowd::new(target.addr)?;
    for at in 0..connections {
        crowd.add(format!("bench:quiet:{at}"));
    }
    crowd.join_all()?;
    crowd.stay(SETTLE)?;
    let mut report = Report::new("storm");
    let spent = Spent::now(target)?;
    let start = Instant::now();
    (0..connections).for_each(|at| crowd.cut(at));
    let per_s = (connections as f64 / WITHIN.as_secs_f64()).ceil() as u64;
    let mut pace = Pace::new(Instant::now(), per_s);
    crowd.tick_every(pace.period())?;
    let mut closed = 0..connections;
    let mut latencies = Latencies::new();
    while latencies.len() < connections as u64 {
        while !closed.is_empty() && pace.next_due(Instant::now()).is_some() {
            closed.next().map_or(Ok(()), |at| crowd.open(at))?;
        }
        crowd.turn(Instant::now() + WITHIN, &mut |at, event, _| match event {
            Event::Joined(took) => {
                latencies.add(took);
                Ok(())
            }
            Event::Message(_) => Ok(()),
            Event::Gone(code) => Err(gone(at, code)),
        })?;
    }
    let back = start.elapsed();
    crowd.stay(SETTLE)?;
    spent.report(target, latencies.len(), &mut report)?;
    report.set("per_s", connections as f64 / back.as_secs_f64());
    report.latencies(&latencies);
    report.set("connections", connections as f64);
    report.set("all_back_ms", back.as_secs_f64() * 1_000.0);
    Ok(report)
}
