//! Panics without a pause in supervised children: memory stays, others notice nothing, and the log is short and complete.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ::heronry::prelude::*;
use ::heronry::supervisor::SupervisorRef;
use serde_json::{Map, Value, json};
use tokio::time::{Instant, sleep};

use super::bystanders::Bystanders;
use super::library::Error;
use super::tally::Tally;

/// How many children panic, beside each other.
const CHILDREN: u64 = 8;
/// What the memory may grow by after a tenth of the panics, in bytes: noise, against the gigabytes of a leak.
const GROWTH_BYTES_MAX: u64 = 16 << 20;
/// The events that each panic leads to.
const EVENTS: [&str; 2] = ["heronry.process.crashed", "heronry.supervisor.child_restarted"];
/// How many lines a second the log has of one event, by Heronry's own limit.
const LINES_PER_S_MAX: f64 = 20.0;
/// The period of the supervisor, and after which the log has said what it kept back; twice that, to be sure.
const PERIOD: Duration = Duration::from_secs(1);
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Panics while there are panics left.
struct Crasher {
    left: Arc<AtomicU64>,
}

impl Server for Crasher {
    type Args = Arc<AtomicU64>;
    type Msg = ();

    async fn init(left: Arc<AtomicU64>, ctx: &mut Context<()>) -> Init<Self> {
        ctx.addr().send(())?;
        Ok(Self { left })
    }

    async fn handle(&mut self, (): (), _: &mut Context<()>) -> Next {
        if self.left.fetch_update(Ordering::AcqRel, Ordering::Acquire, |left| left.checked_sub(1)).is_ok() {
            panic!("crash");
        }
        Next::Continue
    }
}

/// Lets supervised children panic so often; with what that did.
///
/// # Errors
/// If it did more than it may.
pub(super) async fn storm(panics: u64) -> Result<Value, Error> {
    let tally = Tally::start()?;
    let bystanders = Bystanders::start();
    let left = Arc::new(AtomicU64::new(panics));
    let start = Instant::now();
    let mut supervisor = Supervisor::one_for_one().label("storm").intensity(u32::MAX, PERIOD);
    for n in 0..CHILDREN {
        supervisor = supervisor.child(ChildSpec::server::<Crasher>(format!("crasher {n}"), left.clone()));
    }
    let tree = supervisor.start().await?;
    let memory = Memory::watch(panics, &left).await?;
    until_quiet(&tree, panics).await?;
    let seconds = start.elapsed().as_secs_f64();
    let bystanders = bystanders.end().await?;
    sleep(2 * PERIOD).await;
    let log = check_log(&tally, panics, seconds)?;
    tree.stop().await;
    let growth = memory.max.saturating_sub(memory.warm);
    if growth > GROWTH_BYTES_MAX {
        return Err(format!("the memory grew by {growth} bytes, from {} on", memory.warm).into());
    }
    Ok(json!({
        "panics": panics,
        "seconds": seconds,
        "panics_per_s": panics as f64 / seconds,
        "rss_bytes": {
            "before": memory.before,
            "after_a_tenth": memory.warm,
            "max": memory.max,
            "after": crate::rss_bytes(std::process::id())?,
        },
        "bystanders": bystanders,
        "log": log,
    }))
}

/// The resident memory, while the panics go on.
struct Memory {
    before: u64,
    warm: u64,
    max: u64,
}

impl Memory {
    async fn watch(panics: u64, left: &AtomicU64) -> Result<Self, Error> {
        let own = std::process::id();
        let before = crate::rss_bytes(own)?;
        while left.load(Ordering::Acquire) > panics - panics / 10 {
            sleep(LOOK_EVERY).await;
        }
        let warm = crate::rss_bytes(own)?;
        let mut max = warm;
        while left.load(Ordering::Acquire) > 0 {
            sleep(LOOK_EVERY).await;
            max = max.max(crate::rss_bytes(own)?);
        }
        Ok(Self { before, warm, max })
    }
}

/// Waits until all children are back, and counts their restarts.
async fn until_quiet(tree: &SupervisorRef, panics: u64) -> Result<(), Error> {
    loop {
        let restarts: u64 = tree.which_children().await?.iter().map(|child| u64::from(child.restarts)).sum();
        if restarts == panics {
            return Ok(());
        }
        if restarts > panics {
            return Err(format!("{restarts} restarts after {panics} panics").into());
        }
        sleep(LOOK_EVERY).await;
    }
}

/// Each panic has a line or is among those that were kept back.
fn check_log(tally: &Tally, panics: u64, seconds: f64) -> Result<Value, Error> {
    let mut log = Map::new();
    for event in EVENTS {
        let said = tally.of(event);
        if said.lines + said.suppressed != panics {
            return Err(format!("{event}: {said:?} of {panics}").into());
        }
        // A second that has begun has its lines, too.
        let lines_max = LINES_PER_S_MAX * (seconds + 2.0);
        if said.lines as f64 > lines_max {
            return Err(format!("{event}: {said:?} in {seconds} s; {lines_max} lines are allowed").into());
        }
        log.insert(
            event.to_owned(),
            json!({ "lines": said.lines, "suppressed": said.suppressed, "in_lines": said.reports }),
        );
    }
    Ok(log.into())
}
