//! What entries take.

use std::time::Duration;

use heronry::engine::LocalHub;
use heronry::prelude::*;
use heronry_channels::Endpoint;
use heronry_presence::{Presence, TrackerOptions};
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

use super::nodes::{COUNTED, Over, Place, SAMPLED};
use crate::Error;

const PER_PROCESS: usize = 10_000;
const PATIENCE: Duration = Duration::from_secs(60);
const SETTLE: Duration = Duration::from_secs(2);

async fn fill(presence: &Presence, topic: &str, entries: usize) -> Result<(), Error> {
    let mut holder = None;
    for n in 0..entries {
        if n % PER_PROCESS == 0 {
            holder = Some(spawn(|mut ctx: Context<()>| async move { drop(ctx.receive().await) }));
        }
        if let Some(holder) = &holder {
            let meta = json!({ "online_at": 1_700_000_000 });
            presence.track(&(holder.pid(), topic), format!("user-{n}"), meta).await?;
        }
    }
    Ok(())
}

async fn rss() -> Result<u64, Error> {
    sleep(SETTLE).await;
    Ok(crate::rss_bytes(std::process::id())?)
}

/// The bytes that each entry has added.
fn each(after: u64, before: u64, entries: usize) -> f64 {
    (after as f64 - before as f64) / entries as f64
}

pub(super) async fn memory(entries: usize) -> Result<Value, Error> {
    // Alone: no node, no log.
    let topic = format!("{COUNTED}1");
    let presence = Presence::new("alone", Endpoint::builder().broadcaster(), TrackerOptions::default());
    let tree = Supervisor::one_for_one().child(presence.child_spec()).start().await?;
    let empty = rss().await?;
    fill(&presence, &topic, entries).await?;
    let alone = rss().await?;

    let hub = LocalHub::new();
    let a = Place::start("a", Over::Memory(&hub)).await?;
    let before = rss().await?;
    fill(&a.presence, &topic, entries).await?;
    let own = rss().await?;
    let b = Place::start("b", Over::Memory(&hub)).await?;
    let known = async |topic: &str| {
        while b.presence.count(topic) != entries {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(PATIENCE, known(&topic)).await?;
    let replicated = rss().await?;
    let sampled = format!("{SAMPLED}1");
    fill(&a.presence, &sampled, entries).await?;
    timeout(PATIENCE, known(&sampled)).await?;
    let with_sample = rss().await?;
    let report = json!({
        "entries": entries,
        "alone": each(alone, empty, entries),
        "own": each(own, before, entries),
        "replicated": each(replicated, own, entries),
        "own_and_replicated_sampled": each(with_sample, replicated, entries),
    });
    b.stop().await;
    a.stop().await;
    tree.stop().await;
    Ok(report)
}
