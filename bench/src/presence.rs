//! Presence over three nodes: large topics, memory, and how soon all know.
//!
//! The nodes are in this process, on an engine in memory or each with its own connections to a broker, and every one of them has
//! an endpoint that clients connect to over TCP.

mod client;
mod large;
mod memory;
mod nodes;
mod spread;

use std::time::Duration;

use serde_json::Value;

use crate::Error;

/// What `presence --help` says.
pub const HELP: &str = "\
presence SCENARIO ARGUMENTS      prints one line of JSON

large MODE ENTRIES PER_S SECONDS  a topic of so many presences on three nodes, of which so many a second leave while as many join; its
                                  mode is `count` or `sample` (of 20). Bytes and frames a second that a client on each node gets,
                                  for S seconds, at most in any second; the CPU of all three nodes together
memory ENTRIES                    what an entry takes on the node that owns it, alone and as one of several, and on another node
spread PER_S SECONDS              over NATS: so many join a second, on three nodes in turn, and leave again after a second; from
                                  before the track until a client on each of the other nodes has read it, in microseconds

The nodes of the first two have an engine in memory, so that nothing but presence is measured.";

/// The longest that is measured.
const SECONDS_MAX: u64 = 60;
const ENTRIES_MAX: usize = 1_000_000;

/// Does what the arguments say; with what is to be printed.
///
/// # Errors
/// If the arguments make no sense, or something fails that should not.
pub async fn run(args: &[String]) -> Result<String, Error> {
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let report: Value = match args.as_slice() {
        ["--help" | "-h"] => return Ok(HELP.to_owned()),
        ["large", mode, entries, per_s, lasts] => {
            large::large(mode, entries_of(entries)?, per_s.parse()?, seconds(lasts)?).await?
        }
        ["memory", entries] => memory::memory(entries_of(entries)?).await?,
        ["spread", per_s, lasts] => spread::spread(per_s.parse()?, seconds(lasts)?).await?,
        _ => return Err(format!("no such scenario\n{HELP}").into()),
    };
    Ok(report.to_string())
}

fn entries_of(text: &str) -> Result<usize, Error> {
    let entries = text.parse()?;
    if (1..=ENTRIES_MAX).contains(&entries) {
        return Ok(entries);
    }
    Err(format!("{entries} entries are not between 1 and {ENTRIES_MAX}").into())
}

fn seconds(text: &str) -> Result<Duration, Error> {
    let seconds = text.parse()?;
    if (1..=SECONDS_MAX).contains(&seconds) {
        return Ok(Duration::from_secs(seconds));
    }
    Err(format!("{seconds} s is not between 1 and {SECONDS_MAX}").into())
}
