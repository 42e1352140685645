//! Some clients stop reading while much is broadcast: the server must not keep it all for them, nor the others wait.

use std::time::Duration;

use tokio::time::Instant;

use super::Target;
use super::bcast::Round;
use super::crowd::{Crowd, Event, gone};
use super::pace::Pace;
use super::report::Report;
use super::window::Window;
use crate::Error;

const TOPIC: &str = "bench:quiet:stall";
const BURST: usize = 10;
const BYTES: usize = 10_000;
/// How long those that did not read have, in the end, to notice that the server has let them go.
const NOTICE: Duration = Duration::from_secs(5);
/// How precisely a pace is kept.
const TICK: Duration = Duration::from_millis(1);

/// Broadcasts that all readers want, while the last of the connections do not read: bursts, each when all have the one
/// before, or one at a time at a pace. Those that came due while others were on their way go out
/// together.
pub(super) fn stall(
    target: &Target,
    readers: usize,
    stalled: usize,
    per_s: Option<u64>,
    lasts: Duration,
) -> Result<Report, Error> {
    let mut crowd = Crowd::new(target.addr)?;
    for at in 0..readers + stalled {
        crowd.add(TOPIC.to_owned());
        if at >= readers {
            crowd.stall(at);
        }
    }
    crowd.join_all()?;
    let rss_before = crate::rss_bytes(target.pid)?;
    let mut rss_max = rss_before;
    let mut ended = vec![false; readers + stalled];
    let mut window = Window::new(target, lasts);
    let mut pace = per_s.map(|per_s| Pace::new(Instant::now(), per_s));
    if let Some(pace) = &pace {
        crowd.tick_every(pace.period().min(TICK))?;
    }
    while window.is_open()? {
        let mut burst = BURST;
        if let Some(pace) = &mut pace {
            burst = std::iter::from_fn(|| pace.next_due(Instant::now())).count();
        }
        if burst == 0 {
            crowd.turn(Instant::now() + TICK, &mut |at, event, _| match event {
                Event::Gone(code) if at < readers => Err(gone(at, code)),
                Event::Gone(_) => {
                    ended[at] = true;
                    Ok(())
                }
                Event::Message(_) | Event::Joined(_) => Ok(()),
            })?;
            continue;
        }
        let mut round = Round::begin(target, TOPIC, readers, burst, BYTES)?;
        while round.is_open() {
            crowd.turn(round.next(), &mut |at, event, _| match event {
                Event::Message(message) if at < readers => {
                    window.add(round.message(at, &message)?);
                    Ok(())
                }
                Event::Gone(code) if at < readers => Err(gone(at, code)),
                Event::Gone(_) => {
                    ended[at] = true;
                    Ok(())
                }
                Event::Message(_) | Event::Joined(_) => Ok(()),
            })?;
        }
        round.end()?;
        rss_max = rss_max.max(crate::rss_bytes(target.pid)?);
    }
    let mut report = Report::new("stall");
    window.report(&mut report)?;
    notice(&mut crowd, &mut ended, readers)?;
    report.set("readers", readers as f64);
    report.set("stalled", stalled as f64);
    report.set("stalled_disconnected", ended.iter().filter(|ended| **ended).count() as f64);
    report.set("rss_bytes_before", rss_before as f64);
    report.set("rss_bytes_max", rss_max as f64);
    report.set("rss_bytes_after", crate::rss_bytes(target.pid)? as f64);
    Ok(report)
}

/// Lets those read on that did not, until they have noticed their end or have had their time.
fn notice(crowd: &mut Crowd, ended: &mut [bool], readers: usize) -> Result<(), Error> {
    let until = Instant::now() + NOTICE;
    let mut on = |at: usize, event: Event<'_>, _: &mut Vec<u8>| {
        if let Event::Gone(_) = event {
            ended[at] = true;
        }
        Ok(())
    };
    for at in readers..crowd.len() {
        crowd.read_on(at, &mut on)?;
    }
    while Instant::now() < until && crowd.open_len(readers) > 0 {
        crowd.turn(until, &mut on)?;
    }
    Ok(())
}
