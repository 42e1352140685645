//! How soon all know: from a track on one node until clients on the others have read it.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use heronry::prelude::*;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tests::{BrokerProcess, find_nats_servers};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};

use super::client::Client;
use super::nodes::{Over, Place, SHOWN};
use crate::Error;

const STAY: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(10);

/// When each of those who came was tracked, and how long it took until others had read it.
#[derive(Default)]
struct Times {
    tracked: HashMap<usize, Instant>,
    took: Vec<Duration>,
}

/// The numbers of the users that come by a diff.
fn joins(payload: &[u8]) -> Vec<usize> {
    let Ok(payload) = serde_json::from_slice::<Value>(payload) else { return Vec::new() };
    let joins = payload["joins"].as_object();
    let number = |key: &String| key.strip_prefix("user-")?.parse().ok();
    joins.into_iter().flatten().filter_map(|(key, _)| number(key)).collect()
}

/// Three nodes that know each other.
async fn three(url: &str) -> Result<Vec<Place>, Error> {
    let mut places = Vec::new();
    for name in ["a", "b", "c"] {
        places.push(Place::start(name, Over::Broker(url)).await?);
    }
    timeout(PATIENCE, async {
        while places.iter().any(|place| place.node.nodes().len() < 2) {
            sleep(Duration::from_millis(10)).await;
        }
    })
    .await?;
    Ok(places)
}

/// A client on a node, which notes when it reads of those on the others.
async fn listen(place: &Place, at: usize, topic: &str, times: Arc<Mutex<Times>>) -> Result<Client, Error> {
    let hear = move |event: &[u8], payload: &[u8]| {
        if event != br#""presence_diff""# {
            return;
        }
        let now = Instant::now();
        let mut times = times.lock();
        for number in joins(payload).into_iter().filter(|number| number % 3 != at) {
            let took = times.tracked.get(&number).map(|tracked| now - *tracked);
            times.took.extend(took);
        }
    };
    Client::join(place.addr, topic, hear).await
}

/// So many come a second, on one node after the other, and go after a while; how many have come.
async fn come_and_go(
    places: &[Place],
    topic: &str,
    (per_s, lasts): (u32, Duration),
    times: &Mutex<Times>,
) -> Result<usize, Error> {
    let mut there: VecDeque<(Instant, Addr<()>)> = VecDeque::new();
    let mut ticks = interval(Duration::from_secs(1) / per_s.max(1));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (start, mut came) = (Instant::now(), 0);
    while start.elapsed() < lasts {
        ticks.tick().await;
        while let Some((_, holder)) = there.pop_front_if(|(since, _)| since.elapsed() >= STAY) {
            heronry::process::kill(holder.pid());
        }
        let holder = spawn(|mut ctx: Context<()>| async move { drop(ctx.receive().await) });
        let (pid, key) = (holder.pid(), format!("user-{came}"));
        there.push_back((Instant::now(), holder));
        times.lock().tracked.insert(came, Instant::now());
        let meta = json!({ "online_at": 1_700_000_000 });
        places[came % places.len()].presence.track(&(pid, topic), key, meta).await?;
        came += 1;
    }
    Ok(came)
}

pub(super) async fn spread(per_s: u32, lasts: Duration) -> Result<Value, Error> {
    let program = find_nats_servers().pop().ok_or("no nats-server found on PATH: install it")?;
    let broker = BrokerProcess::nats(&program, &[]).await?;
    let places = three(&format!("nats://{}", broker.addr())).await?;
    let topic = format!("{SHOWN}1");
    let times = Arc::new(Mutex::new(Times::default()));
    let mut clients = Vec::new();
    for (at, place) in places.iter().enumerate() {
        clients.push(listen(place, at, &topic, times.clone()).await?);
    }
    sleep(STAY).await;
    let came = come_and_go(&places, &topic, (per_s, lasts), &times).await?;
    sleep(STAY).await;
    let mut took = std::mem::take(&mut times.lock().took);
    took.sort_unstable();
    let at = |part: f64| {
        let index = (took.len().saturating_sub(1) as f64 * part) as usize;
        took.get(index).map(|took| took.as_micros() as u64)
    };
    let report = json!({
        "joins": came,
        "missed": (2 * came).saturating_sub(took.len()),
        "p50_us": at(0.5),
        "p99_us": at(0.99),
        "max_us": at(1.0),
    });
    drop(clients);
    for place in places {
        place.stop().await;
    }
    Ok(report)
}
