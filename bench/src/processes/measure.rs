//! One measurement of one library, in this process.

use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::gate::{DONE, STARTED};
use super::library::{Error, Library};

/// The threads of the runtime.
const WORKERS: usize = 2;
/// The processes of the ring.
const RING: u64 = 10_000;
/// How many messages a sender sends before it lets others run.
const BURST: u64 = 128;
/// What is done before the measurement, as a part of it.
const WARM_UP_PART: u64 = 10;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Measurement {
    Bytes,
    Spawn,
    PingPong,
    Call,
    Cast1,
    Cast4,
    Ring,
    Restart,
}

/// What a measurement gave.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Sample {
    /// A rate a second, or bytes.
    pub(super) value: f64,
    /// The CPU time of one operation, in microseconds; none for bytes.
    pub(super) cpu_us: Option<f64>,
}

impl Measurement {
    pub(super) const ALL: [Self; 8] = [
        Self::Bytes,
        Self::Spawn,
        Self::PingPong,
        Self::Call,
        Self::Cast1,
        Self::Cast4,
        Self::Ring,
        Self::Restart,
    ];

    /// What it is called on the command line.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Bytes => "bytes",
            Self::Spawn => "spawn",
            Self::PingPong => "pingpong",
            Self::Call => "call",
            Self::Cast1 => "cast1",
            Self::Cast4 => "cast4",
            Self::Ring => "ring",
            Self::Restart => "restart",
        }
    }

    /// What its figure is called.
    pub(super) fn key(self) -> String {
        match self {
            Self::Bytes => "bytes_per_process".to_owned(),
            _ => format!("{}_per_s", self.name()),
        }
    }

    pub(super) fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|what| what.name() == name)
    }

    /// How often the thing is done, unless said otherwise.
    pub(super) fn times(self) -> u64 {
        match self {
            Self::Bytes | Self::Call | Self::Cast4 => 1_000_000,
            Self::Spawn => 500_000,
            Self::PingPong | Self::Cast1 | Self::Ring => 3_000_000,
            Self::Restart => 30_000,
        }
    }
}

impl Sample {
    /// As the child process prints it.
    pub(super) fn to_line(self) -> String {
        match self.cpu_us {
            Some(cpu_us) => format!("{} {cpu_us}", self.value),
            None => self.value.to_string(),
        }
    }

    /// What [`to_line`](Self::to_line) printed.
    pub(super) fn from_line(line: &str) -> Result<Self, Error> {
        let mut words = line.split_whitespace().map(str::parse);
        let value = words.next().ok_or("an empty line instead of a figure")??;
        Ok(Self { value, cpu_us: words.next().transpose()? })
    }
}

/// The runtime of all that is measured.
pub(super) fn runtime() -> Result<Runtime, Error> {
    Ok(Builder::new_multi_thread().worker_threads(WORKERS).enable_all().build()?)
}

/// Measures a library that is Rust's.
pub(super) fn measure<L: Library>(what: Measurement, n: u64) -> Result<Option<Sample>, Error> {
    // The libraries differ in what they let a panic print; here none prints.
    std::panic::set_hook(Box::new(|_| {}));
    let runtime = runtime()?;
    let task = runtime.spawn(async move {
        match what {
            Measurement::Bytes => bytes::<L>(n).await.map(Some),
            Measurement::Spawn => spawn::<L>(n).await.map(Some),
            Measurement::PingPong => ring::<L>(2, n).await.map(Some),
            Measurement::Call => call::<L>(n).await.map(Some),
            Measurement::Cast1 => cast::<L>(1, n).await.map(Some),
            Measurement::Cast4 => cast::<L>(4, n).await.map(Some),
            Measurement::Ring => ring::<L>(RING, n).await.map(Some),
            Measurement::Restart => restart::<L>(n).await,
        }
    });
    let sample = runtime.block_on(task)?;
    // Millions of processes are not worth dropping one by one.
    runtime.shutdown_background();
    sample
}

/// Clocks that were started.
struct Clocks {
    wall: Instant,
    cpu_us: u64,
}

impl Clocks {
    fn start() -> Result<Self, Error> {
        Ok(Self { cpu_us: own_cpu_us()?, wall: Instant::now() })
    }

    fn stop(self, operations: u64) -> Result<Sample, Error> {
        let elapsed = self.wall.elapsed();
        let cpu_us = own_cpu_us()? - self.cpu_us;
        Ok(Sample {
            value: operations as f64 / elapsed.as_secs_f64(),
            cpu_us: Some(cpu_us as f64 / operations as f64),
        })
    }
}

fn own_cpu_us() -> Result<u64, Error> {
    Ok(crate::cpu_us(std::process::id())?)
}

/// Spawns nodes and waits until the last of them runs.
async fn nodes<L: Library>(n: u64) -> Result<Vec<L::Node>, Error> {
    STARTED.expect(n);
    let mut nodes = Vec::with_capacity(usize::try_from(n)?);
    for _ in 0..n {
        nodes.push(L::node().await?);
    }
    STARTED.wait().await;
    Ok(nodes)
}

async fn bytes<L: Library>(n: u64) -> Result<Sample, Error> {
    // The first ones pay for what is allocated once.
    let first = nodes::<L>(100).await?;
    let before = crate::rss_bytes(std::process::id())?;
    let idle = nodes::<L>(n).await?;
    let grown = crate::rss_bytes(std::process::id())?.saturating_sub(before);
    drop((first, idle));
    Ok(Sample { value: grown as f64 / n as f64, cpu_us: None })
}

async fn spawn<L: Library>(n: u64) -> Result<Sample, Error> {
    let first = nodes::<L>(100).await?;
    let clocks = Clocks::start()?;
    let idle = nodes::<L>(n).await?;
    let sample = clocks.stop(n);
    drop((first, idle));
    sample
}

async fn ring<L: Library>(n: u64, hops: u64) -> Result<Sample, Error> {
    let ring = nodes::<L>(n).await?;
    for (node, next) in ring.iter().zip(ring.iter().cycle().skip(1)) {
        L::connect(node, next.clone())?;
    }
    pass::<L>(&ring, hops / WARM_UP_PART).await?;
    let clocks = Clocks::start()?;
    pass::<L>(&ring, hops).await?;
    clocks.stop(hops)
}

async fn pass<L: Library>(ring: &[L::Node], hops: u64) -> Result<(), Error> {
    DONE.expect(1);
    L::pass(ring.first().ok_or("a ring of no processes")?, hops)?;
    DONE.wait().await;
    Ok(())
}

async fn call<L: Library>(n: u64) -> Result<Sample, Error> {
    let server = L::server().await?;
    for _ in 0..n / WARM_UP_PART {
        L::call(&server).await?;
    }
    let clocks = Clocks::start()?;
    for _ in 0..n {
        L::call(&server).await?;
    }
    clocks.stop(n)
}

async fn cast<L: Library>(senders: u64, each: u64) -> Result<Sample, Error> {
    let server = L::server().await?;
    send::<L>(&server, senders, each / WARM_UP_PART).await?;
    let before = L::call(&server).await?;
    let clocks = Clocks::start()?;
    send::<L>(&server, senders, each).await?;
    let sample = clocks.stop(senders * each);
    let handled = L::call(&server).await? - before;
    if handled != senders * each {
        return Err(format!("of {} messages {handled} were handled", senders * each).into());
    }
    sample
}

async fn send<L: Library>(server: &L::Server, senders: u64, each: u64) -> Result<(), Error> {
    let mut sending = JoinSet::new();
    for _ in 0..senders {
        let server = server.clone();
        sending.spawn(async move {
            for at in 0..each {
                L::cast(&server)?;
                if at % BURST == BURST - 1 {
                    tokio::task::yield_now().await;
                }
            }
            // Answered after all that this one sent.
            call_until_answered::<L>(&server).await
        });
    }
    while let Some(sent) = sending.join_next().await {
        sent??;
    }
    Ok(())
}

/// A call that may take longer than its timeout, since it stands behind millions of casts.
async fn call_until_answered<L: Library>(server: &L::Server) -> Result<(), Error> {
    let mut tries_left = 10;
    loop {
        match L::call(server).await {
            Ok(_) => return Ok(()),
            Err(error) if tries_left == 0 => return Err(error),
            Err(_) => tries_left -= 1,
        }
    }
}

async fn restart<L: Library>(n: u64) -> Result<Option<Sample>, Error> {
    if restarts::<L>(n / WARM_UP_PART).await?.is_none() {
        return Ok(None);
    }
    let clocks = Clocks::start()?;
    let tree = restarts::<L>(n).await?;
    let sample = clocks.stop(n)?;
    drop(tree);
    Ok(Some(sample))
}

/// Starts a supervisor whose child is restarted so often.
async fn restarts<L: Library>(n: u64) -> Result<Option<L::Tree>, Error> {
    DONE.expect(n + 1);
    let tree = L::supervise().await?;
    if tree.is_some() {
        DONE.wait().await;
    }
    Ok(tree)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_survives_its_line() {
        for sample in [Sample { value: 1.5, cpu_us: Some(0.25) }, Sample { value: 512.0, cpu_us: None }] {
            assert_eq!(Sample::from_line(&sample.to_line()).unwrap(), sample);
        }
        assert!(Sample::from_line("").is_err());
    }

    #[test]
    fn every_measurement_is_found_by_its_name() {
        for what in Measurement::ALL {
            assert_eq!(Measurement::parse(what.name()), Some(what));
        }
        assert_eq!(Measurement::parse("nothing"), None);
    }
}
