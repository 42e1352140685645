//! Processes that have nothing to do with what is measured, and are asked all the time whether they notice.

use std::time::Duration;

use ::heronry::prelude::*;
use ::heronry::process;
use serde_json::{Value, json};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::library::{CALL_TIMEOUT, Error};

/// How many there are.
const BYSTANDERS: usize = 1_000;
/// The pause between two questions.
const PAUSE: Duration = Duration::from_millis(1);

/// Asks one after the other until it is told to end.
pub(super) struct Bystanders {
    end: oneshot::Sender<()>,
    asking: JoinHandle<Result<Asked, Error>>,
}

struct Asked {
    addrs: Vec<Addr<ReplyTo<u64>>>,
    took: Vec<Duration>,
}

/// Counts the questions: if it were started again, it would have forgotten.
async fn bystander(mut ctx: Context<ReplyTo<u64>>) {
    let mut asked = 0;
    loop {
        match ctx.receive().await {
            Received::Message(reply_to) => {
                asked += 1;
                reply_to.send(asked);
            }
            Received::Info(_) => {}
        }
    }
}

impl Bystanders {
    pub(super) fn start() -> Self {
        let addrs: Vec<_> = (0..BYSTANDERS).map(|_| spawn(bystander)).collect();
        let (end, ended) = oneshot::channel();
        Self { end, asking: tokio::spawn(ask(addrs, ended)) }
    }

    /// How many questions they were asked and how long the answers took.
    ///
    /// # Errors
    /// If one did not answer, has ended or has forgotten anything.
    pub(super) async fn end(self) -> Result<Value, Error> {
        drop(self.end);
        let mut asked = self.asking.await??;
        for (at, addr) in asked.addrs.iter().enumerate() {
            let expected =
                asked.took.len() / BYSTANDERS + usize::from(at < asked.took.len() % BYSTANDERS) + 1;
            let count = addr.call(|reply_to| reply_to, CALL_TIMEOUT).await?;
            if count != expected as u64 {
                return Err(format!("a bystander counts {count} questions of {expected}").into());
            }
            // In order: a kill would be a crash in the log.
            process::exit(addr.pid(), ExitReason::Shutdown);
        }
        asked.took.sort_unstable();
        let us = |part: f64| {
            let at = (asked.took.len().saturating_sub(1) as f64 * part) as usize;
            asked.took.get(at).map(|took| took.as_micros() as u64)
        };
        Ok(json!({
            "processes": BYSTANDERS,
            "questions": asked.took.len(),
            "answer_us": { "p50": us(0.5), "p99": us(0.99), "max": us(1.0) },
        }))
    }
}

async fn ask(addrs: Vec<Addr<ReplyTo<u64>>>, mut ended: oneshot::Receiver<()>) -> Result<Asked, Error> {
    let mut took = Vec::new();
    for addr in addrs.iter().cycle() {
        if !matches!(ended.try_recv(), Err(oneshot::error::TryRecvError::Empty)) {
            break;
        }
        let asked = Instant::now();
        addr.call(|reply_to| reply_to, CALL_TIMEOUT).await?;
        took.push(asked.elapsed());
        tokio::time::sleep(PAUSE).await;
    }
    Ok(Asked { addrs, took })
}
