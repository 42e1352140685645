//! The load generator: one thread, `epoll`, hand-written framing, so that it takes little of the machine it measures on.
//!
//! `crowd.rs` holds the connections, a file for each scenario says what they do, `window.rs` measures it. A scenario
//! checks what it gets: a reply that is lost, out of order or not `ok` ends it with an error, and so does a connection
//! that the server closes where it should not.

mod bcast;
mod churn;
mod connect;
mod crash;
mod crowd;
mod echo;
mod fanout;
mod http;
mod latency;
mod pace;
mod presence;
mod report;
mod stall;
mod storm;
#[cfg(test)]
mod tests;
mod window;

use std::net::SocketAddr;
use std::time::Duration;

pub use report::Report;

use crate::Error;

/// What `--help` says.
pub const HELP: &str = "\
load SCENARIO HOST:PORT SERVER_PID ARGUMENTS      prints one line of JSON

connect CONNECTIONS                   connect and join a topic each, 100 at a time; memory of each after 2 s
memory CONNECTIONS                    join one topic, get 20 broadcasts of 1,000 bytes, stay idle for 20 s; memory before, after
echo CONNECTIONS IN_FLIGHT SECONDS    each sends as replies come, so many are under way
paced CONNECTIONS PER_S SECONDS       so many echoes a second of all together, whether replies come or not; the latency
                                      counts from when each should have been sent
fanout SUBSCRIBERS SECONDS            one of them shouts; 4 shouts are under way until all have them
bcast SUBSCRIBERS BURST SECONDS       POST /bench/broadcast: so many back to back, again as soon as all have them
crash CRASHERS BYSTANDERS SECONDS     crashers crash their channel and join again, without end; bystanders echo 10 times a
                                      second each
storm CONNECTIONS                     all are cut at once, and connect and join again within 500 ms
presence USERS                        all join one topic with presence, 100 at a time, until all know all; then half are cut;
                                      an operation is that one client learns of one user
stall READERS STALLED SECONDS         bursts of 10 broadcasts of 10,000 bytes; some stop reading, the others want all
stall READERS STALLED PER_S SECONDS   so many broadcasts of 10,000 bytes a second instead; STALLED may be 0, to compare with
churn CONNECTIONS PER_S SECONDS       each joins and leaves a topic so many times a second; memory before, and after 10 s of rest

An operation (op) is a connect with its join, an echo, a delivery to one client, a crash with the join after it, a join with
the leave after it. CPU is user
and system time of the server's process, per operation. Payloads are of 100 bytes. There is a warm-up of 1 s. SECONDS are 1
to 20, CONNECTIONS up to 18,000 (and as many open files, in the server too).";

/// The longest that is measured.
const SECONDS_MAX: u64 = 20;
/// Most connections; each is an open file, and systems often end at 20,000.
const CONNECTIONS_MAX: usize = 18_000;
/// The bytes of a payload.
const PAYLOAD_BYTES: usize = 100;

/// The server that is measured.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Where it listens; an address of this machine.
    pub addr: SocketAddr,
    /// Its process.
    pub pid: u32,
}

/// What is done to the server; `--help` says what each is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the help text has them")]
pub enum Scenario {
    Connect { connections: usize },
    Memory { connections: usize },
    Echo { connections: usize, in_flight: usize, lasts: Duration },
    Paced { connections: usize, per_s: u64, lasts: Duration },
    Fanout { subscribers: usize, lasts: Duration },
    Bcast { subscribers: usize, burst: usize, lasts: Duration },
    Crash { crashers: usize, bystanders: usize, lasts: Duration },
    Storm { connections: usize },
    Presence { users: usize },
    Stall { readers: usize, stalled: usize, per_s: Option<u64>, lasts: Duration },
    Churn { connections: usize, per_s: u64, lasts: Duration },
}

impl Scenario {
    /// Reads the scenario and its arguments.
    ///
    /// # Errors
    /// If they make no sense.
    pub fn parse(name: &str, args: &[&str]) -> Result<Self, Error> {
        Ok(match (name, args) {
            ("connect", [n]) => Self::Connect { connections: count(n)? },
            ("memory", [n]) => Self::Memory { connections: count(n)? },
            ("echo", [n, in_flight, lasts]) => {
                Self::Echo { connections: count(n)?, in_flight: count(in_flight)?, lasts: seconds(lasts)? }
            }
            ("paced", [n, per_s, lasts]) => {
                Self::Paced { connections: count(n)?, per_s: per_second(per_s)?, lasts: seconds(lasts)? }
            }
            ("fanout", [n, lasts]) => Self::Fanout { subscribers: count(n)?, lasts: seconds(lasts)? },
            ("bcast", [n, burst, lasts]) => {
                Self::Bcast { subscribers: count(n)?, burst: count(burst)?, lasts: seconds(lasts)? }
            }
            ("crash", [n, bystanders, lasts]) => {
                Self::Crash { crashers: count(n)?, bystanders: count(bystanders)?, lasts: seconds(lasts)? }
            }
            ("storm", [n]) => Self::Storm { connections: count(n)? },
            ("presence", [n]) => Self::Presence { users: count(n)? },
            ("stall", [n, stalled, lasts]) => {
                let (readers, stalled, lasts) = (count(n)?, count(stalled)?, seconds(lasts)?);
                Self::Stall { readers, stalled, per_s: None, lasts }
            }
            ("stall", [n, stalled, per_s, lasts]) => {
                let stalled = if *stalled == "0" { 0 } else { count(stalled)? };
                let per_s = Some(per_second(per_s)?);
                Self::Stall { readers: count(n)?, stalled, per_s, lasts: seconds(lasts)? }
            }
            ("churn", [n, per_s, lasts]) => {
                Self::Churn { connections: count(n)?, per_s: per_second(per_s)?, lasts: seconds(lasts)? }
            }
            _ => return Err(format!("no scenario {name:?} with {} arguments; see --help", args.len()).into()),
        })
    }

    /// Does it to a server.
    ///
    /// # Errors
    /// If the server can't be reached, or does not do what it should.
    pub fn run(self, target: &Target) -> Result<Report, Error> {
        match self {
            Self::Connect { connections } => connect::connect(target, connections),
            Self::Memory { connections } => connect::memory(target, connections),
            Self::Echo { connections, in_flight, lasts } => echo::echo(target, connections, in_flight, lasts),
            Self::Paced { connections, per_s, lasts } => echo::paced(target, connections, per_s, lasts),
            Self::Fanout { subscribers, lasts } => fanout::fanout(target, subscribers, lasts),
            Self::Bcast { subscribers, burst, lasts } => bcast::bcast(target, subscribers, burst, lasts),
            Self::Crash { crashers, bystanders, lasts } => crash::crash(target, crashers, bystanders, lasts),
            Self::Storm { connections } => storm::storm(target, connections),
            Self::Presence { users } => presence::presence(target, users),
            Self::Stall { readers, stalled, per_s, lasts } => {
                stall::stall(target, readers, stalled, per_s, lasts)
            }
            Self::Churn { connections, per_s, lasts } => churn::churn(target, connections, per_s, lasts),
        }
    }
}

/// Does what the arguments say; with what is to be printed.
///
/// # Errors
/// If the arguments make no sense, or the server does not do what it should.
pub fn run(args: &[String]) -> Result<String, Error> {
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args.as_slice() {
        ["--help" | "-h"] => Ok(HELP.to_owned()),
        [scenario, addr, pid, args @ ..] => {
            let target = Target { addr: addr.parse()?, pid: pid.parse()? };
            let scenario = Scenario::parse(scenario, args)?;
            crate::allow_open_files()?;
            Ok(scenario.run(&target)?.json().to_string())
        }
        _ => Err("usage: load SCENARIO HOST:PORT SERVER_PID ARGUMENTS; see --help".into()),
    }
}

fn count(text: &str) -> Result<usize, Error> {
    let count = text.parse()?;
    if (1..=CONNECTIONS_MAX).contains(&count) {
        return Ok(count);
    }
    Err(format!("{count} is not between 1 and {CONNECTIONS_MAX}").into())
}

fn per_second(text: &str) -> Result<u64, Error> {
    let per_s = text.parse()?;
    if (1..=1_000_000).contains(&per_s) {
        return Ok(per_s);
    }
    Err(format!("{per_s} is not between 1 and 1,000,000 a second").into())
}

fn seconds(text: &str) -> Result<Duration, Error> {
    let seconds = text.parse()?;
    if (1..=SECONDS_MAX).contains(&seconds) {
        return Ok(Duration::from_secs(seconds));
    }
    Err(format!("{seconds} s is not between 1 and {SECONDS_MAX}").into())
}
