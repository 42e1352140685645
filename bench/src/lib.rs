//! What the programs of this package share: reading what the system says of a process; the measurements of `processes`;
//! the load generator, and the suite that `compare` runs with it; the pieces of work whose instructions are counted.

use std::io;

pub mod compare;
pub mod load;
pub mod nodes;
pub mod presence;
pub mod processes;
mod wire;
pub mod work;

/// What ends a program of this package.
pub type Error = Box<dyn std::error::Error + Send + Sync>;

/// The resident memory of a process, in bytes.
///
/// # Errors
/// If there is no such process, or `/proc` can't be read.
pub fn rss_bytes(pid: u32) -> io::Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kib.map(|kib| kib * 1_024).ok_or_else(|| io::Error::other(format!("process {pid} has no VmRSS")))
}

/// The user and system time that a process has used, in microseconds (the clock has ticks of 10 ms).
///
/// # Errors
/// If there is no such process, or `/proc` can't be read.
pub fn cpu_us(pid: u32) -> io::Result<u64> {
    const US_PER_TICK: u64 = 10_000;
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The second field is the program's name in parentheses and may hold anything; utime and stime are the 12th and
    // 13th after it.
    let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let ticks: u64 =
        after_name.split_whitespace().skip(11).take(2).filter_map(|n| n.parse::<u64>().ok()).sum();
    Ok(ticks * US_PER_TICK)
}

/// Raises this process's limit of open files to what it may have.
///
/// # Errors
/// If the system refuses.
pub fn allow_open_files() -> io::Result<()> {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    Ok(setrlimit(Resource::Nofile, limit)?)
}
