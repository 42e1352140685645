//! Broadcasts from node to node over a broker, beside the broker's bare client in the same run.
//!
//! Both ends are in this process, on connections of their own: so that the time between them is that of one clock.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use heronry::Name;
use heronry::cluster::{Node, NodeOptions};
use heronry::engine::{self, PublishError};
use heronry::node::{ClusterName, Incarnation, NodeId, NodeName};
use heronry::prelude::*;
use heronry::pubsub::{BroadcastError, Dispatcher, Entry, PubSub, Subscription, Wire, WireError};
use serde_json::{Value, json};
use tests::{BrokerProcess, find_nats_servers, find_redis_server};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};

use crate::Error;

/// What `nodes --help` says.
pub const HELP: &str = "\
nodes [--engine nats|redis] [--messages N] [--seconds S]    one line of JSON

Two nodes in this process, each with its own connections to a broker that is started for them.

latency    a message of 200 bytes each 500 us for S (5) seconds, from its broadcast until the other node's subscriber has it;
           `bare_us` is the same between two plain clients of async-nats (with --engine nats), alternating with it
messages   N (1,000,000) messages of 200 bytes as fast as the other node takes them: the sender keeps at most 30,000 ahead of it
           (nobody does that for it: brokers drop what a slow reader leaves), and waits a moment when it is told `Full`.
           `lost`, `repeated` and `disordered` count what is not as it was sent";

const TOPIC: &str = "bench";
/// How far the sender may be ahead: less than what brokers' clients keep for a reader that is busy.
const AHEAD_MAX: u64 = 30_000;
const BYTES: usize = 200;
const PERIOD: Duration = Duration::from_micros(500);
/// What is behind its sender by now is lost, unless it comes within this time.
const QUIET: Duration = Duration::from_secs(5);

/// With what it runs.
#[derive(Debug)]
pub struct Options {
    /// `nats` or `redis`.
    pub engine: String,
    /// How many messages are sent as fast as may be.
    pub messages: u64,
    /// For how long latencies are taken.
    pub seconds: u64,
}

/// Numbered messages: who gets them is told the number and when.
struct Numbers;

/// What the subscriber has counted.
#[derive(Default)]
struct Tally {
    received: AtomicU64,
    next: AtomicU64,
    repeated: AtomicU64,
    disordered: AtomicU64,
    latencies: parking_lot::Mutex<Vec<u32>>,
    epoch: std::sync::OnceLock<Instant>,
}

/// A number and when it was sent, in nanoseconds since the epoch of the run; 0 says that nobody asks.
#[derive(Clone, Copy)]
struct Numbered {
    number: u64,
    sent_ns: u64,
}

impl Numbered {
    fn to_bytes(self) -> Bytes {
        let mut bytes = vec![0; BYTES];
        bytes[..8].copy_from_slice(&self.number.to_be_bytes());
        bytes[8..16].copy_from_slice(&self.sent_ns.to_be_bytes());
        bytes.into()
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (number, rest) = bytes.split_first_chunk()?;
        let (sent_ns, _) = rest.split_first_chunk()?;
        Some(Self { number: u64::from_be_bytes(*number), sent_ns: u64::from_be_bytes(*sent_ns) })
    }
}

impl Dispatcher for Numbers {
    type Message = Numbered;
    type Subscriber = Arc<Tally>;

    fn dispatch(&self, entries: &mut dyn Iterator<Item = &Entry<Arc<Tally>>>, message: &Numbered) {
        entries.for_each(|entry| entry.subscriber.take(*message));
    }
}

impl Wire for Numbers {
    fn encode(&self, message: &Numbered) -> Result<Bytes, WireError> {
        Ok(message.to_bytes())
    }

    fn decode(&self, _: &str, bytes: Bytes) -> Result<Numbered, WireError> {
        Numbered::from_bytes(&bytes).ok_or_else(|| WireError::new("too short"))
    }
}

impl Tally {
    fn now_ns(&self) -> u64 {
        self.epoch.get_or_init(Instant::now).elapsed().as_nanos() as u64
    }

    fn take(&self, Numbered { number, sent_ns }: Numbered) {
        self.received.fetch_add(1, Ordering::Relaxed);
        let next = self.next.load(Ordering::Relaxed);
        if number + 1 == next {
            self.repeated.fetch_add(1, Ordering::Relaxed);
        } else if number < next {
            self.disordered.fetch_add(1, Ordering::Relaxed);
        }
        self.next.store(next.max(number + 1), Ordering::Relaxed);
        if sent_ns != 0 {
            self.latencies.lock().push(self.now_ns().saturating_sub(sent_ns) as u32);
        }
    }

    /// In microseconds; and forgets them.
    fn percentiles(&self) -> Value {
        let mut latencies = std::mem::take(&mut *self.latencies.lock());
        latencies.sort_unstable();
        let at = |part: f64| {
            let index = (latencies.len().saturating_sub(1) as f64 * part) as usize;
            latencies.get(index).map(|ns| f64::from(*ns) / 1_000.0)
        };
        json!({ "count": latencies.len(), "p50": at(0.5), "p99": at(0.99) })
    }
}

struct Pair {
    from: PubSub<Numbers>,
    nodes: [Node; 2],
    _subscription: Subscription,
    tally: Arc<Tally>,
}

impl Pair {
    async fn start(url: &str) -> Result<Self, Error> {
        let node = async |name| -> Result<Node, Error> {
            let id = NodeId::new(NodeName::parse(name)?, Incarnation::draw());
            let engine = engine::connect(url, ClusterName::parse("bench")?, id).await?;
            Ok(Node::start(engine, &NodeOptions::new()).await?)
        };
        let nodes = [node("from").await?, node("to").await?];
        let pubsub = |node| -> Result<_, Error> { Ok(PubSub::over(node, Name::parse("bench")?, Numbers)) };
        let (from, to) = (pubsub(&nodes[0])?, pubsub(&nodes[1])?);
        let owner = spawn(|mut ctx: Context<()>| async move { drop(ctx.receive().await) });
        let tally = Arc::new(Tally::default());
        let subscription = to.subscribe(owner.pid(), TOPIC, tally.clone());
        // Until the other node is known and its interest is, too.
        timeout(QUIET, async {
            while nodes[0].nodes().is_empty() || tally.received.load(Ordering::Relaxed) == 0 {
                drop(from.broadcast(TOPIC, Numbered { number: 0, sent_ns: 0 }));
                sleep(Duration::from_millis(20)).await;
            }
        })
        .await?;
        sleep(Duration::from_millis(200)).await;
        Ok(Self { from, nodes, _subscription: subscription, tally })
    }

    async fn latency(&self, for_time: Duration) -> Result<Value, Error> {
        let mut ticks = ticks();
        let start = Instant::now();
        while start.elapsed() < for_time {
            ticks.tick().await;
            self.from.broadcast(TOPIC, Numbered { number: u64::MAX - 1, sent_ns: self.tally.now_ns() })?;
        }
        sleep(Duration::from_millis(200)).await;
        Ok(self.tally.percentiles())
    }

    async fn messages(&self, messages: u64) -> Result<Value, Error> {
        let tally = &self.tally;
        for counter in [&tally.received, &tally.next, &tally.repeated, &tally.disordered] {
            counter.store(0, Ordering::Relaxed);
        }
        let cpu = crate::cpu_us(std::process::id())?;
        let (start, mut full) = (Instant::now(), 0_u64);
        for number in 0..messages {
            while let Err(error) = self.from.broadcast(TOPIC, Numbered { number, sent_ns: 0 }) {
                match error {
                    BroadcastError::Publish(PublishError::Full) => full += 1,
                    other => return Err(other.into()),
                }
                sleep(Duration::from_millis(1)).await;
            }
            if number % 128 == 127 {
                tokio::task::yield_now().await;
                let waiting = Instant::now();
                while number - tally.received.load(Ordering::Relaxed) > AHEAD_MAX && waiting.elapsed() < QUIET
                {
                    sleep(Duration::from_millis(1)).await;
                }
            }
        }
        let (mut last, mut quiet_since) = (0, Instant::now());
        let mut done = start.elapsed();
        while last < messages && quiet_since.elapsed() < QUIET {
            sleep(Duration::from_millis(5)).await;
            let received = tally.received.load(Ordering::Relaxed);
            if received > last {
                (last, quiet_since, done) = (received, Instant::now(), start.elapsed());
            }
        }
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let (repeated, disordered) = (count(&tally.repeated), count(&tally.disordered));
        Ok(json!({
            "sent": messages,
            "lost": messages.saturating_sub(last - repeated),
            "repeated": repeated,
            "disordered": disordered,
            "told_full": full,
            "per_s": (last as f64 / done.as_secs_f64()).round(),
            "cpu_us": (crate::cpu_us(std::process::id())? - cpu) as f64 / messages as f64,
        }))
    }
}

fn ticks() -> tokio::time::Interval {
    let mut ticks = interval(PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

/// The same between two plain clients.
async fn bare_latency(url: &str, for_time: Duration) -> Result<Value, Error> {
    let (from, to) = (async_nats::connect(url).await?, async_nats::connect(url).await?);
    let tally = Arc::new(Tally::default());
    let mut subscription = to.subscribe("bare").await?;
    to.flush().await?;
    let reader = tally.clone();
    let reading = tokio::spawn(async move {
        while let Some(message) = futures_util::StreamExt::next(&mut subscription).await {
            if let Some(numbered) = Numbered::from_bytes(&message.payload) {
                reader.take(numbered);
            }
        }
    });
    let mut ticks = ticks();
    let start = Instant::now();
    while start.elapsed() < for_time {
        ticks.tick().await;
        let numbered = Numbered { number: u64::MAX - 1, sent_ns: tally.now_ns() };
        from.publish("bare", numbered.to_bytes()).await?;
    }
    sleep(Duration::from_millis(200)).await;
    reading.abort();
    Ok(tally.percentiles())
}

/// Runs it; one JSON value.
///
/// # Errors
/// If the broker is not there, or something else fails that should not.
pub async fn run(options: &Options) -> Result<Value, Error> {
    let broker = match options.engine.as_str() {
        "nats" => {
            let program = find_nats_servers().pop().ok_or("no nats-server found on PATH: install it")?;
            BrokerProcess::nats(&program, &[]).await?
        }
        "redis" => {
            let program = find_redis_server().ok_or("no redis-server found on PATH: install it")?;
            BrokerProcess::redis(&program, &[]).await?
        }
        other => return Err(format!("{other:?} is neither nats nor redis").into()),
    };
    let url = format!("{}://{}", options.engine, broker.addr());
    let pair = Pair::start(&url).await?;
    let part = Duration::from_secs(options.seconds);
    let (mut latency, mut bare) = (Vec::new(), Vec::new());
    for _ in 0..3 {
        latency.push(pair.latency(part).await?);
        if options.engine == "nats" {
            bare.push(bare_latency(&url, part).await?);
        }
    }
    let messages = pair.messages(options.messages).await?;
    for node in &pair.nodes {
        node.stop().await;
    }
    Ok(json!({ "engine": options.engine, "latency_us": latency, "bare_us": bare, "messages": messages }))
}
