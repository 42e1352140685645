//! Clients that join a topic and leave it again, at a pace: what memory stays when they have stopped.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use super::Target;
use super::crowd::{self, Crowd, Event, gone};
use super::pace::Pace;
use super::report::Report;
use super::window::Window;
use crate::Error;
use crate::wire::Message;

/// How long connections have nothing to do before memory is read again.
const IDLE: Duration = Duration::from_secs(10);
/// Memory is read this often.
const SAMPLE: Duration = Duration::from_millis(500);

/// A client between a join and the end of what it joined.
pub(super) struct Churner {
    topic: String,
    last: u64,
    step: Step,
    /// When the joins should have begun that wait for this one to be left.
    due: VecDeque<Instant>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Idle,
    /// The join that was due then was sent.
    Joining(Instant),
    Leaving(Instant),
    /// The leave was answered; the channel's end is still to come.
    Left(Instant),
}

impl Churner {
    pub(super) fn new(at: usize) -> Self {
        // The join of the connection's other topic was the first message.
        let due = VecDeque::new();
        Self { topic: format!("bench:quiet:churn-{at}"), last: 1, step: Step::Idle, due }
    }

    /// A join is due; it is sent once the one before is over.
    pub(super) fn due(&mut self, out: &mut Vec<u8>, at: Instant) {
        self.due.push_back(at);
        self.begin(out);
    }

    fn begin(&mut self, out: &mut Vec<u8>) {
        if let (Step::Idle, Some(due)) = (self.step, self.due.front()) {
            self.step = Step::Joining(*due);
            self.due.pop_front();
            self.send(out, "phx_join");
        }
    }

    fn send(&mut self, out: &mut Vec<u8>, event: &str) {
        self.last += 1;
        let join_ref = if event == "phx_join" { self.last } else { self.last - 1 };
        crowd::push(out, join_ref, self.last, &self.topic, event, "{}");
    }

    /// A message came; when the join was due that is over now, if one is.
    pub(super) fn message(
        &mut self,
        message: &Message<'_>,
        out: &mut Vec<u8>,
    ) -> Result<Option<Instant>, Error> {
        let replied = message.is_ok_reply() && message.number() == Some(self.last);
        match self.step {
            Step::Joining(due) if replied => {
                self.step = Step::Leaving(due);
                self.send(out, "phx_leave");
            }
            Step::Leaving(due) if replied => self.step = Step::Left(due),
            Step::Left(due) if message.event == br#""phx_close""# => {
                self.step = Step::Idle;
                self.begin(out);
                return Ok(Some(due));
            }
            step => return Err(format!("{}: {message:?} came while {step:?}", self.topic).into()),
        }
        Ok(None)
    }
}

/// So many connections, each of which joins and leaves so many times a second.
pub(super) fn churn(
    target: &Target,
    connections: usize,
    per_s: u64,
    lasts: Duration,
) -> Result<Report, Error> {
    let mut crowd = Crowd::new(target.addr)?;
    for at in 0..connections {
        crowd.add(format!("bench:quiet:{at}"));
    }
    crowd.join_all()?;
    crowd.stay(SAMPLE)?;
    let rss_before = crate::rss_bytes(target.pid)?;
    let (mut rss_max, mut sample_at) = (rss_before, Instant::now() + SAMPLE);
    let mut churners: Vec<Churner> = (0..connections).map(Churner::new).collect();
    let mut window = Window::new(target, lasts);
    let mut pace = Pace::new(Instant::now(), per_s * connections as u64);
    crowd.tick_every(Duration::from_millis(1))?;
    let mut turn = (0..connections).cycle();
    let mut under_way = 0_u64;
    let mut is_open = true;
    while is_open || under_way > 0 {
        is_open = window.is_open()?;
        let now = Instant::now();
        while is_open && let (Some(due), Some(at)) = (pace.next_due(now), turn.next()) {
            crowd.send(at, |out| churners[at].due(out, due))?;
            under_way += 1;
        }
        crowd.turn(now + Duration::from_millis(10), &mut |at, event, out| match event {
            Event::Message(message) => {
                if let Some(due) = churners[at].message(&message, out)? {
                    under_way -= 1;
                    window.add(due.elapsed());
                }
                Ok(())
            }
            Event::Gone(code) => Err(gone(at, code)),
            Event::Joined(_) => Ok(()),
        })?;
        if now >= sample_at {
            (rss_max, sample_at) = (rss_max.max(crate::rss_bytes(target.pid)?), now + SAMPLE);
        }
    }
    let mut report = Report::new("churn");
    window.report(&mut report)?;
    crowd.stay(IDLE)?;
    let rss_after = crate::rss_bytes(target.pid)?;
    report.set("connections", connections as f64);
    report.set("rss_bytes_before", rss_before as f64);
    report.set("rss_bytes_max", rss_max as f64);
    report.set("rss_bytes_after", rss_after as f64);
    report.set("rss_after_of_before", rss_after as f64 / rss_before as f64);
    Ok(report)
}
