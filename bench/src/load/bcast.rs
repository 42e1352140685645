//! Broadcasts that the server makes, back to back.

use std::time::Duration;

use tokio::time::Instant;

use super::crowd::{Crowd, Event, gone};
use super::http::Asked;
use super::report::Report;
use super::window::Window;
use super::{PAYLOAD_BYTES, Target};
use crate::Error;
use crate::wire::Message;

/// Longer than any round takes: what has not come by then is lost.
const ROUND_MAX: Duration = Duration::from_secs(15);

/// Some broadcasts on their way to all subscribers.
#[derive(Debug)]
pub(super) struct Round {
    asked: Asked,
    began: Instant,
    missing: usize,
    burst: usize,
    got: Vec<usize>,
}

impl Round {
    pub(super) fn begin(
        target: &Target,
        topic: &str,
        subscribers: usize,
        burst: usize,
        bytes: usize,
    ) -> Result<Self, Error> {
        let began = Instant::now();
        let asked = Asked::broadcast(target, topic, burst, bytes)?;
        Ok(Self { asked, began, missing: subscribers * burst, burst, got: vec![0; subscribers] })
    }

    /// Whether somebody lacks something that may still come.
    pub(super) fn is_open(&self) -> bool {
        self.missing > 0 && self.began.elapsed() < ROUND_MAX
    }

    /// When there is a reason to look again.
    pub(super) fn next(&self) -> Instant {
        self.began + ROUND_MAX
    }

    /// A subscriber got a message; with how long it took.
    pub(super) fn message(&mut self, at: usize, message: &Message<'_>) -> Result<Duration, Error> {
        let got = self.got.get_mut(at).ok_or("a message for nobody")?;
        if message.event != br#""shout""# || *got == self.burst {
            return Err(format!("connection {at} got what nobody sent: {message:?}").into());
        }
        *got += 1;
        self.missing -= 1;
        Ok(self.began.elapsed())
    }

    /// All have all: with what the server says it took, in microseconds.
    pub(super) fn end(self) -> Result<u64, Error> {
        if self.missing > 0 {
            return Err(format!("{} deliveries are missing after {ROUND_MAX:?}", self.missing).into());
        }
        self.asked.microseconds()
    }
}

/// Round after round.
pub(super) fn bcast(
    target: &Target,
    subscribers: usize,
    burst: usize,
    lasts: Duration,
) -> Result<Report, Error> {
    const TOPIC: &str = "bench:quiet:bcast";
    let mut crowd = Crowd::new(target.addr)?;
    for _ in 0..subscribers {
        crowd.add(TOPIC.to_owned());
    }
    crowd.join_all()?;
    let mut window = Window::new(target, lasts);
    let (mut rounds, mut server_us) = (0_u64, 0);
    while window.is_open()? {
        let mut round = Round::begin(target, TOPIC, subscribers, burst, PAYLOAD_BYTES)?;
        while round.is_open() {
            crowd.turn(round.next(), &mut |at, event, _| match event {
                Event::Message(message) => {
                    window.add(round.message(at, &message)?);
                    Ok(())
                }
                Event::Gone(code) => Err(gone(at, code)),
                Event::Joined(_) => Ok(()),
            })?;
        }
        server_us += round.end()?;
        rounds += 1;
    }
    let mut report = Report::new("bcast");
    window.report(&mut report)?;
    report.set("subscribers", subscribers as f64);
    report.set("burst", burst as f64);
    // Of the call itself, which does not wait until anything is written.
    report.set("server_us_per_broadcast", server_us as f64 / (rounds * burst as u64) as f64);
    Ok(report)
}
