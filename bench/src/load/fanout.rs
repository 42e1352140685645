//! One client shouts into a room, all hear it.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use super::crowd::{self, Crowd, Event, gone};
use super::report::Report;
use super::window::Window;
use super::{PAYLOAD_BYTES, Target};
use crate::Error;
use crate::wire::{Message, stamped};

/// Shouts that are under way at a time.
const OUTSTANDING: usize = 4;
const TOPIC: &str = "bench:room:fanout";
const SPEAKER: usize = 0;

/// The shouts that not all have heard yet.
pub(super) struct Shouts {
    /// The number of the first; the others follow.
    first: u64,
    under_way: VecDeque<Shout>,
    /// The number that each client must hear next.
    next: Vec<u64>,
}

struct Shout {
    at: Instant,
    missing: usize,
}

impl Shouts {
    pub(super) fn new(subscribers: usize) -> Self {
        Self { first: 0, under_way: VecDeque::new(), next: vec![0; subscribers] }
    }

    pub(super) fn shout(&mut self, out: &mut Vec<u8>) {
        let number = self.first + self.under_way.len() as u64;
        self.under_way.push_back(Shout { at: Instant::now(), missing: self.next.len() });
        // The join was the first message.
        crowd::push(out, 1, number + 2, TOPIC, "shout", &stamped(number, PAYLOAD_BYTES));
    }

    /// A client got a message; with how long it took to come, if it is a shout.
    pub(super) fn message(&mut self, at: usize, message: &Message<'_>) -> Result<Option<Duration>, Error> {
        if at == SPEAKER && message.is_ok_reply() {
            return Ok(None);
        }
        let next = self.next[at];
        let number = message.stamp().filter(|number| message.event == br#""shout""# && *number == next);
        let place = number.and_then(|number| usize::try_from(number - self.first).ok());
        let shout = place
            .and_then(|place| self.under_way.get_mut(place))
            .ok_or_else(|| format!("connection {at} got {message:?} and not shout {next}"))?;
        self.next[at] += 1;
        shout.missing -= 1;
        Ok(Some(shout.at.elapsed()))
    }

    /// Forgets those that all have heard.
    pub(super) fn forget_heard(&mut self) {
        while self.under_way.front().is_some_and(|shout| shout.missing == 0) {
            self.under_way.pop_front();
            self.first += 1;
        }
    }
}

/// Keeps some shouts under way.
pub(super) fn fanout(target: &Target, subscribers: usize, lasts: Duration) -> Result<Report, Error> {
    let mut crowd = Crowd::new(target.addr)?;
    for _ in 0..subscribers {
        crowd.add(TOPIC.to_owned());
    }
    crowd.join_all()?;
    let mut window = Window::new(target, lasts);
    let mut shouts = Shouts::new(subscribers);
    while window.is_open()? {
        shouts.forget_heard();
        while shouts.under_way.len() < OUTSTANDING {
            crowd.send(SPEAKER, |out| shouts.shout(out))?;
        }
        crowd.turn(window.next(), &mut |at, event, _| match event {
            Event::Message(message) => {
                if let Some(latency) = shouts.message(at, &message)? {
                    window.add(latency);
                }
                Ok(())
            }
            Event::Gone(code) => Err(gone(at, code)),
            Event::Joined(_) => Ok(()),
        })?;
    }
    let mut report = Report::new("fanout");
    window.report(&mut report)?;
    report.set("subscribers", subscribers as f64);
    Ok(report)
}
