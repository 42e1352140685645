//! Users who join one topic with presence until all know all; then half of them vanish, and the others know.

use std::time::Duration;

use tokio::time::Instant;

use super::Target;
use super::crowd::{Crowd, Event, gone};
use super::report::Report;
use super::window::Spent;
use crate::Error;
use crate::wire::Message;

const TOPIC: &str = "bench:presence:all";
/// Connections that are being made at a time.
const CONCURRENCY: usize = 100;
const TURN: Duration = Duration::from_millis(100);
const SETTLE: Duration = Duration::from_millis(500);

/// What each client knows of the others.
struct Knowledge {
    users: usize,
    known: Vec<bool>,
    /// How many facts there are in all of it.
    facts: usize,
    frames: Vec<usize>,
    bytes: Vec<usize>,
}

impl Knowledge {
    fn new(users: usize) -> Self {
        Self {
            users,
            known: vec![false; users * users],
            facts: 0,
            frames: vec![0; users],
            bytes: vec![0; users],
        }
    }

    fn learn(&mut self, client: usize, payload: &[u8], is_there: bool) -> Result<(), Error> {
        for user in keys(payload)? {
            let fact = self.known.get_mut(client * self.users + user).ok_or("a user that there is not")?;
            if *fact != is_there {
                *fact = is_there;
                if is_there { self.facts += 1 } else { self.facts -= 1 }
            }
        }
        Ok(())
    }

    fn hear(&mut self, client: usize, message: &Message<'_>) -> Result<(), Error> {
        let Message { join_ref, reference, topic, event, payload } = *message;
        self.frames[client] += 1;
        // Two brackets, four commas.
        self.bytes[client] +=
            6 + [join_ref, reference, topic, event, payload].map(<[u8]>::len).iter().sum::<usize>();
        match event {
            br#""presence_state""# => self.learn(client, payload, true),
            br#""presence_diff""# => {
                let text = std::str::from_utf8(payload)?;
                let (joins, leaves) = (text.find("\"joins\":"), text.find("\"leaves\":"));
                let (joins, leaves) = joins.zip(leaves).ok_or("a diff without joins and leaves")?;
                let middle = joins.max(leaves);
                self.learn(client, &payload[..middle], joins < leaves)?;
                self.learn(client, &payload[middle..], joins > leaves)
            }
            other => Err(format!("an event {:?}", String::from_utf8_lossy(other)).into()),
        }
    }
}

/// The numbers of the users that are keys here.
fn keys(payload: &[u8]) -> Result<impl Iterator<Item = usize>, Error> {
    let text = std::str::from_utf8(payload)?;
    Ok(text.match_indices("\"user-").filter_map(|(at, begin)| {
        let rest = &text[at + begin.len()..];
        rest[..rest.find('"')?].parse().ok()
    }))
}

/// Does it; an operation is one client's learning of one user.
pub(super) fn presence(target: &Target, users: usize) -> Result<Report, Error> {
    let mut crowd = Crowd::new(target.addr)?;
    for at in 0..users {
        crowd.add_with(TOPIC.to_owned(), format!(r#"{{"user_id":"user-{at}"}}"#));
    }
    let mut knowledge = Knowledge::new(users);
    let mut report = Report::new("presence");
    let before = crate::rss_bytes(target.pid)?;
    let (spent, start) = (Spent::now(target)?, Instant::now());
    let (mut opened, mut joined) = (0, 0);
    while knowledge.facts < users * users {
        while opened < users && opened - joined < CONCURRENCY {
            crowd.open(opened)?;
            opened += 1;
        }
        crowd.turn(Instant::now() + TURN, &mut |at, event, _| match event {
            Event::Joined(_) => {
                joined += 1;
                Ok(())
            }
            Event::Message(message) => knowledge.hear(at, &message),
            Event::Gone(code) => Err(gone(at, code)),
        })?;
    }
    let took = start.elapsed();
    spent.report(target, (users * users) as u64, &mut report)?;
    report.set("all_know_all_ms", took.as_secs_f64() * 1_000.0);
    report.set("frames_max", knowledge.frames.iter().max().copied().unwrap_or(0) as f64);
    report.set("bytes_max", knowledge.bytes.iter().max().copied().unwrap_or(0) as f64);
    crowd.stay(SETTLE)?;
    let grown = crate::rss_bytes(target.pid)?.saturating_sub(before);
    report.set("rss_bytes_per_connection", grown as f64 / users as f64);
    let half = users / 2;
    let before = crate::cpu_us(target.pid)?;
    let start = Instant::now();
    (0..half).for_each(|at| crowd.cut(at));
    let stay = users - half;
    let lost = |knowledge: &Knowledge| {
        (half..users).all(|at| !knowledge.known[at * users..at * users + half].contains(&true))
    };
    while !lost(&knowledge) {
        crowd.turn(Instant::now() + TURN, &mut |at, event, _| match event {
            Event::Joined(_) => Ok(()),
            Event::Message(message) => knowledge.hear(at, &message),
            Event::Gone(code) => Err(gone(at, code)),
        })?;
    }
    report.set("half_gone_ms", start.elapsed().as_secs_f64() * 1_000.0);
    let spent = crate::cpu_us(target.pid)?.saturating_sub(before);
    report.set("half_gone_cpu_us_per_op", spent as f64 / (stay * half).max(1) as f64);
    Ok(report)
}
