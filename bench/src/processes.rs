//! The measurements of the program `processes`: the same eight of each library, each in a fresh child process.
//!
//! `library.rs` is what a library must be able to do, a file beside it makes each one do it, `measure.rs` times it,
//! `report.rs` repeats it in child processes and puts the figures side by side. Erlang is measured by Erlang
//! (`erlang.erl`, driven by `erlang.rs`).
//!
//! And two trials of Heronry alone, which fail if it does not stand them: `storm.rs` and `crowd.rs`, with `bystanders.rs`
//! who must not notice.

mod bystanders;
mod crowd;
mod erlang;
mod gate;
mod heronry;
mod kameo;
mod library;
mod measure;
mod ractor;
mod report;
mod storm;
mod tally;
mod tokio_mpsc;

use library::Error;
use measure::Measurement;
use report::Subject;

/// What `--help` says.
const HELP: &str = "\
processes [--json] [--processes N]            all measurements of all libraries, a table or one line of JSON
processes measure LIBRARY WHAT [N]            one measurement, once, in this process
processes panics [N]                          heronry: N (1,000,000) panics in supervised children, without a pause
processes crowd [N]                           heronry: N (1,000,000) children of one supervisor, stopped, then killed

Libraries: heronry, ractor, kameo, tokio_mpsc (a task and an unbounded tokio channel each) and, if `erl` and `erlc` are
on PATH, erlang. Each measurement runs in a fresh process, 3 times; the figures are medians. Rust: tokio multi_thread
with 2 workers, mimalloc. Erlang: as it starts by default. Mailboxes are unbounded, logs and panic messages are off.
Heronry and Erlang: plain processes for bytes, spawn, pingpong and ring, (gen_)servers for call, cast and restart. The
others have one kind of actor. Calls have a timeout of 5 s each.

bytes_per_process   growth of RSS by N idle processes (1,000,000, or --processes N), divided by N; Rust: with a handle each
spawn_per_s         500,000 processes spawned by one, until the last of them runs; they do not end
pingpong_per_s      messages per second between two processes, one message under way: 3,000,000
call_per_s          request and reply, one after the other, from one process: 1,000,000
cast1_per_s         one sender (yields every 128 messages) to one receiver, until all are handled: 3,000,000
cast4_per_s         four such senders to one receiver, 1,000,000 each
ring_per_s          hops per second of one token around 10,000 processes: 3,000,000
restart_per_s       restarts of the one child of a one_for_one supervisor that allows any number, 30,000: the child sends
                    itself a message as it starts, which makes it panic (Erlang: exit) with a literal. Null: it has no supervisors
cpu_us              microseconds of user and system time of each spawn, message, call, hop or restart, all threads
                    (Erlang's schedulers spin while they wait, which counts)
The last argument of `measure` replaces the number of processes, messages, calls or restarts (cast4: of each sender).

`panics` and `crowd` print one line of JSON, and fail if memory grows, a process that has nothing to do with it notices, a
restart is missing, the log is too long or does not account for each panic, or a child is left.";

/// How often `panics` panics and how many children a `crowd` has, unless said otherwise.
const MILLION: u64 = 1_000_000;

/// Does what the arguments say; with what is to be printed.
///
/// # Errors
/// If the arguments make no sense, or a measurement fails.
pub fn run(args: &[String]) -> Result<String, Box<dyn std::error::Error + Send + Sync>> {
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args.as_slice() {
        ["--help" | "-h"] => Ok(HELP.to_owned()),
        ["measure", library, what] => measure_one(library, what, None),
        ["measure", library, what, n] => measure_one(library, what, Some(n.parse()?)),
        ["panics"] => trial(storm::storm(MILLION)),
        ["panics", n] => trial(storm::storm(n.parse()?)),
        ["crowd"] => trial(crowd::crowds(usize::try_from(MILLION)?)),
        ["crowd", n] => trial(crowd::crowds(n.parse()?)),
        options => {
            let (json, processes) = parse(options)?;
            let results = report::all(processes)?;
            Ok(if json { report::json(&results).to_string() } else { report::table(&results) })
        }
    }
}

/// Runs a trial of Heronry on a runtime as the measurements have.
fn trial(
    trial: impl Future<Output = Result<serde_json::Value, Error>> + Send + 'static,
) -> Result<String, Error> {
    let runtime = measure::runtime()?;
    let tried = runtime.block_on(runtime.spawn(trial))??;
    runtime.shutdown_background();
    Ok(tried.to_string())
}

fn measure_one(library: &str, what: &str, n: Option<u64>) -> Result<String, Error> {
    let subject = Subject::parse(library).ok_or_else(|| format!("no library {library:?}; see --help"))?;
    let what = Measurement::parse(what).ok_or_else(|| format!("no measurement {what:?}; see --help"))?;
    let sample = subject.measure(what, n.unwrap_or_else(|| what.times()))?;
    Ok(sample.map_or_else(|| "null".to_owned(), |sample| sample.to_line()))
}

fn parse(options: &[&str]) -> Result<(bool, u64), Error> {
    let (mut json, mut processes) = (false, Measurement::Bytes.times());
    let mut left = options.iter();
    while let Some(option) = left.next() {
        match (*option, left.as_slice().first()) {
            ("--json", _) => json = true,
            ("--processes", Some(n)) => {
                processes = n.parse()?;
                left.next();
            }
            _ => return Err(format!("unexpected {option:?}; see --help").into()),
        }
    }
    Ok((json, processes))
}
