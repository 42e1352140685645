//! Channels that crash without a pause, beside clients who must not notice.

use std::time::Duration;

use tokio::time::Instant;

use super::Target;
use super::crowd::{self, Crowd, Event, gone};
use super::echo::{self, Echoer};
use super::latency::Latencies;
use super::pace::Pace;
use super::report::Report;
use super::window::Window;
use crate::Error;
use crate::wire::Message;

/// Echoes of each bystander, per second.
const BYSTANDER_PER_S: u64 = 10;

/// A client whose channel crashes, whenever it has joined.
struct Crasher {
    topic: String,
    join_ref: u64,
    last: u64,
    boomed: Instant,
    phase: Phase,
}

#[derive(Debug, PartialEq, Eq)]
enum Phase {
    /// It waits for `phx_error`.
    Booming,
    /// It waits for the reply to its join.
    Joining,
}

impl Crasher {
    fn new(at: usize) -> Self {
        let topic = topic(at);
        Self { topic, join_ref: 1, last: 1, boomed: Instant::now(), phase: Phase::Booming }
    }

    fn boom(&mut self, out: &mut Vec<u8>) {
        self.last += 1;
        self.boomed = Instant::now();
        self.phase = Phase::Booming;
        crowd::push(out, self.join_ref, self.last, &self.topic, "boom", "{}");
    }

    /// Goes on after a message; with how long crash and join took, if it has joined again.
    fn message(&mut self, message: &Message<'_>, out: &mut Vec<u8>) -> Result<Option<Duration>, Error> {
        match self.phase {
            Phase::Booming if message.event == br#""phx_error""# => {
                self.last += 1;
                self.join_ref = self.last;
                self.phase = Phase::Joining;
                crowd::push(out, self.join_ref, self.last, &self.topic, "phx_join", "{}");
                Ok(None)
            }
            Phase::Joining if message.is_ok_reply() && message.number() == Some(self.last) => {
                let took = self.boomed.elapsed();
                self.boom(out);
                Ok(Some(took))
            }
            Phase::Booming | Phase::Joining => {
                Err(format!("{} is {:?} and got {message:?}", self.topic, self.phase).into())
            }
        }
    }
}

fn topic(at: usize) -> String {
    format!("bench:crash:{at}")
}

/// Crashers crash, bystanders echo.
pub(super) fn crash(
    target: &Target,
    crashers: usize,
    bystanders: usize,
    lasts: Duration,
) -> Result<Report, Error> {
    let mut crowd = Crowd::new(target.addr)?;
    for at in 0..crashers + bystanders {
        crowd.add(if at < crashers { topic(at) } else { echo::topic(at) });
    }
    crowd.join_all()?;
    let mut crashing: Vec<Crasher> = (0..crashers).map(Crasher::new).collect();
    let mut echoing: Vec<Echoer> = (crashers..crashers + bystanders).map(Echoer::new).collect();
    let mut bystander_latencies = Latencies::new();
    let mut window = Window::new(target, lasts);
    let mut pace = Pace::new(Instant::now(), BYSTANDER_PER_S * bystanders as u64);
    crowd.tick_every(pace.period())?;
    for (at, crasher) in crashing.iter_mut().enumerate() {
        crowd.send(at, |out| crasher.boom(out))?;
    }
    let mut turn = (0..bystanders).cycle();
    while window.is_open()? {
        while let (Some(due), Some(at)) = (pace.next_due(Instant::now()), turn.next()) {
            crowd.send(crashers + at, |out| echoing[at].send(out, due))?;
        }
        crowd.turn(window.next(), &mut |at, event, out| match event {
            Event::Message(message) => {
                if let Some(crasher) = crashing.get_mut(at) {
                    if let Some(took) = crasher.message(&message, out)? {
                        window.add(took);
                    }
                } else {
                    bystander_latencies.add(Instant::now() - echoing[at - crashers].reply(&message)?);
                }
                Ok(())
            }
            Event::Gone(code) => Err(gone(at, code)),
            Event::Joined(_) => Ok(()),
        })?;
    }
    let mut report = Report::new("crash");
    window.report(&mut report)?;
    report.set("crashers", crashers as f64);
    report.set("bystanders", bystanders as f64);
    report.set("bystander_p50_us", bystander_latencies.percentile_us(0.5));
    report.set("bystander_p99_us", bystander_latencies.percentile_us(0.99));
    report.set("bystander_max_us", bystander_latencies.max_us());
    Ok(report)
}
