//! A great many children of one supervisor: what they take, how long it takes to end them all, what comes back.

use std::time::Duration;

use ::heronry::prelude::*;
use ::heronry::process;
use ::heronry::supervisor::DynamicRef;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use super::bystanders::Bystanders;
use super::library::Error;

/// How long their end may take.
const END_WITHIN: Duration = Duration::from_secs(120);
/// What a node does after it, so that the allocator finds out what is free: rounds, with a pause after each, of so many
/// tasks that each start so many processes which end at once.
const WORK: (usize, usize) = (8, 500);
const PAUSE: Duration = Duration::from_millis(100);
const LOOK_EVERY: Duration = Duration::from_millis(1);
/// A second crowd must live in the memory of the first; it may take so many times as much.
const AGAIN_MAX: f64 = 1.25;
/// Which part of the memory that a crowd took may be left once the node has gone on for a while: when the allocator
/// gives back what is free, and how much of it, is its own affair.
const KEPT_MAX: f64 = 0.5;
/// How long the node may have to go on for that.
const BACK_WITHIN: Duration = Duration::from_secs(60);

/// How a crowd ends.
#[derive(Clone, Copy, Debug)]
enum End {
    /// Its supervisor stops it: each child gets the exit signal and is waited for.
    Stop,
    /// Its supervisor is killed: the links tell the children.
    Kill,
}

/// Starts so many children, twice, and ends them through their supervisor: stopped, then killed.
///
/// # Errors
/// If one is left, the second crowd takes more memory than the first, or too little of it comes back.
pub(super) async fn crowds(children: usize) -> Result<Value, Error> {
    let stopped = crowd(children, End::Stop).await?;
    let killed = crowd(children, End::Kill).await?;
    let (first, second) = (stopped.rss_live as f64, killed.rss_live as f64);
    if second > first * AGAIN_MAX {
        return Err(format!("the first crowd lived in {first} bytes, the second one took {second}").into());
    }
    Ok(json!({ "children": children, "stopped": stopped.to_json(), "killed": killed.to_json() }))
}

/// What one crowd did.
struct Crowd {
    children: usize,
    start_s: f64,
    end_s: f64,
    back_s: f64,
    rss_before: u64,
    rss_live: u64,
    rss_after: u64,
    rss_later: u64,
    bystanders: Value,
}

impl Crowd {
    fn to_json(&self) -> Value {
        let grown = self.rss_live.saturating_sub(self.rss_before) as f64;
        json!({
            "start_s": self.start_s,
            "end_s": self.end_s,
            "memory_back_s": self.back_s,
            "bytes_per_child": (grown / self.children as f64).round(),
            "rss_bytes": {
                "before": self.rss_before,
                "live": self.rss_live,
                "after": self.rss_after,
                "later": self.rss_later,
            },
            "bystanders_at_the_end": self.bystanders,
        })
    }
}

async fn crowd(children: usize, end: End) -> Result<Crowd, Error> {
    let own = std::process::id();
    let rss_before = crate::rss_bytes(own)?;
    let start = Instant::now();
    let tree = start_children(children).await?;
    let start_s = start.elapsed().as_secs_f64();
    let rss_live = crate::rss_bytes(own)?;
    let alive = tree.count_children().await?.active;
    if alive != children {
        return Err(format!("{alive} of {children} children run").into());
    }
    let bystanders = Bystanders::start();
    let others = process::count() - children - 1;
    let start = Instant::now();
    let ended = async {
        match end {
            End::Stop => tree.stop().await,
            End::Kill => drop(process::kill(tree.pid())),
        }
        while process::count() > others {
            sleep(LOOK_EVERY).await;
        }
    };
    if timeout(END_WITHIN, ended).await.is_err() {
        return Err(format!("{} processes are left", process::count() - others).into());
    }
    let end_s = start.elapsed().as_secs_f64();
    let bystanders = bystanders.end().await?;
    let rss_after = crate::rss_bytes(own)?;
    let start = Instant::now();
    let left_max = rss_before + (rss_live.saturating_sub(rss_before) as f64 * KEPT_MAX) as u64;
    let mut rss_later = rss_after;
    while rss_later > left_max {
        if start.elapsed() > BACK_WITHIN {
            return Err(format!("of the {rss_live} bytes of a crowd {rss_later} are left").into());
        }
        go_on().await?;
        rss_later = crate::rss_bytes(own)?;
    }
    let back_s = start.elapsed().as_secs_f64();
    Ok(Crowd { children, start_s, end_s, back_s, rss_before, rss_live, rss_after, rss_later, bystanders })
}

async fn start_children(children: usize) -> Result<DynamicRef, Error> {
    let tree = Supervisor::dynamic().label("crowd").max_children(children).start().await?;
    let spec = ChildSpec::process("child", |mut ctx: Context<()>| async move {
        ctx.receive().await;
    });
    let spec = spec.restart(Restart::Temporary);
    for _ in 0..children {
        tree.start_child(spec.clone()).await?;
    }
    Ok(tree)
}

/// A round of an ordinary node's work.
async fn go_on() -> Result<(), Error> {
    let (tasks, processes) = WORK;
    let mut working = JoinSet::new();
    for _ in 0..tasks {
        working.spawn(async move {
            let started: Vec<_> = (0..processes).map(|_| spawn(|_: Context<()>| async {})).collect();
            for process in started {
                process.wait().await;
            }
        });
    }
    while let Some(worked) = working.join_next().await {
        worked?;
    }
    sleep(PAUSE).await;
    Ok(())
}
