//! A large topic, in which many come and go.

use std::time::Duration;

use heronry::engine::LocalHub;
use heronry::prelude::*;
use serde_json::{Value, json};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};

use super::client::Client;
use super::nodes::{COUNTED, Over, Place, SAMPLED};
use crate::Error;

/// Presences of one process; a tracker allows no more than 10,000.
const PER_PROCESS: usize = 5_000;
/// All nodes know all within this time.
const PATIENCE: Duration = Duration::from_secs(60);
const SETTLE: Duration = Duration::from_secs(3);
const TICK: Duration = Duration::from_millis(10);
/// Those who leave do so together, so that there is another number at the end of each second.
const LEAVE_EVERY: Duration = Duration::from_millis(700);

/// Those who are in the topic, on one node.
struct Members<'a> {
    place: &'a Place,
    topic: &'a str,
    at: usize,
    /// Who has come, and who has gone, of the numbers 0, 1, …
    came: usize,
    gone: usize,
    holders: Vec<Addr<()>>,
}

impl<'a> Members<'a> {
    fn new(place: &'a Place, topic: &'a str, at: usize) -> Self {
        Self { place, topic, at, came: 0, gone: 0, holders: Vec::new() }
    }

    fn holder(&mut self, n: usize) -> Pid {
        while self.holders.len() <= n / PER_PROCESS {
            self.holders.push(spawn(|mut ctx: Context<()>| async move { drop(ctx.receive().await) }));
        }
        self.holders[n / PER_PROCESS].pid()
    }

    fn key(&self, n: usize) -> String {
        format!("user-{}-{n}", self.at)
    }

    async fn come(&mut self) -> Result<(), Error> {
        let (pid, key) = (self.holder(self.came), self.key(self.came));
        self.place.presence.track(&(pid, self.topic), key, json!({ "online_at": 1_700_000_000 })).await?;
        self.came += 1;
        Ok(())
    }

    async fn go(&mut self) -> Result<(), Error> {
        let (pid, key) = (self.holder(self.gone), self.key(self.gone));
        self.place.presence.untrack(&(pid, self.topic), key).await?;
        self.gone += 1;
        Ok(())
    }
}

/// So many go.
async fn leave(members: &mut [Members<'_>], how_many: usize) -> Result<(), Error> {
    for n in 0..how_many {
        members[n % 3].go().await?;
    }
    Ok(())
}

/// What comes in a second.
fn rates(samples: &[[u64; 2]]) -> Value {
    let figure = |at: usize| {
        let mut seconds: Vec<_> = samples.windows(2).map(|pair| pair[1][at] - pair[0][at]).collect();
        seconds.sort_unstable();
        let (first, last) = (samples.first().map_or(0, |s| s[at]), samples.last().map_or(0, |s| s[at]));
        let mean = (last - first) as f64 / seconds.len().max(1) as f64;
        json!({ "mean": mean, "max": seconds.last() })
    };
    json!({ "bytes_per_s": figure(0), "frames_per_s": figure(1) })
}

pub(super) async fn large(mode: &str, entries: usize, per_s: usize, lasts: Duration) -> Result<Value, Error> {
    let topic = match mode {
        "count" => format!("{COUNTED}1"),
        "sample" => format!("{SAMPLED}1"),
        other => return Err(format!("{other:?} is neither count nor sample").into()),
    };
    let hub = LocalHub::new();
    let mut places = Vec::new();
    for name in ["a", "b", "c"] {
        places.push(Place::start(name, Over::Memory(&hub)).await?);
    }
    let mut members: Vec<_> =
        places.iter().enumerate().map(|(at, place)| Members::new(place, &topic, at)).collect();
    for n in 0..entries {
        members[n % 3].come().await?;
    }
    let all_know = async || {
        while places.iter().any(|place| place.presence.count(&topic) != entries) {
            sleep(TICK).await;
        }
    };
    timeout(PATIENCE, all_know()).await?;
    let mut clients = Vec::new();
    for place in &places {
        clients.push(Client::join(place.addr, &topic, |_, _| {}).await?);
    }
    sleep(SETTLE).await;

    let cpu = crate::cpu_us(std::process::id())?;
    let mut samples: Vec<Vec<[u64; 2]>> = clients.iter().map(|client| vec![client.read.so_far()]).collect();
    let (start, mut changes, mut gone) = (Instant::now(), 0, 0);
    let mut burst = start;
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while start.elapsed() < lasts {
        ticks.tick().await;
        let due = (start.elapsed().as_secs_f64() * per_s as f64) as usize;
        while changes < due {
            members[changes % 3].come().await?;
            changes += 1;
        }
        if burst.elapsed() >= LEAVE_EVERY {
            burst = Instant::now();
            leave(&mut members, changes - gone).await?;
            gone = changes;
        }
        if start.elapsed().as_secs() as usize >= samples[0].len() {
            samples.iter_mut().zip(&clients).for_each(|(samples, client)| samples.push(client.read.so_far()));
        }
    }
    let (took, cpu) = (start.elapsed(), crate::cpu_us(std::process::id())? - cpu);
    samples.iter_mut().zip(&clients).for_each(|(samples, client)| samples.push(client.read.so_far()));
    leave(&mut members, changes - gone).await?;
    timeout(PATIENCE, all_know()).await?;
    let report = json!({
        "mode": mode,
        "entries": entries,
        "joins_per_s": changes as f64 / took.as_secs_f64(),
        "clients": samples.iter().map(|samples| rates(samples)).collect::<Vec<_>>(),
        "cpu_percent_of_a_core": cpu as f64 / took.as_micros() as f64 * 100.0,
        "cpu_us_per_change": cpu as f64 / (2 * changes).max(1) as f64,
    });
    drop(clients);
    for place in places {
        place.stop().await;
    }
    Ok(report)
}
