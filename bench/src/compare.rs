//! The suite: every scenario of the load generator, against `bench_server` and, in the same run, against the floor.
//!
//! `suite.rs` lists what is run and what it should cost, `floor.rs` is the server that does nothing but what it must,
//! `server.rs` starts and ends servers, `table.rs` writes the figures down. Figures of one machine say little about
//! another; the ratio to the floor of the same run does.

mod floor;
mod server;
mod suite;
mod table;
#[cfg(test)]
mod tests;

use std::fs;
use std::io::{self, Write as _};
use std::path::Path;

use crate::Error;
use crate::load::Report;
use server::Subject;
use suite::Case;

/// What `--help` says.
const HELP: &str = "\
compare [--runs N] [--seconds N] [--only WORD] [--beside NAME=HOST:PORT,PID] [--write]
compare floor [--port PORT]           the floor alone, as a server, for `load`

Runs each scenario against bench_server (the binary beside this one) and against the floor, each in a fresh process, and
against a second server that runs already, if one is given. Medians of N (3) runs of N (5) seconds. Prints the tables;
--write puts them into bench/results/channels.md too. --only runs the scenarios whose name contains the word.

The floor is one thread with epoll and its own framing: an echo is one read and one write, a broadcast one bare loop of
writes, a connection a socket and two empty vectors; a burst of broadcasts is one write for each client.";

/// How often each is measured; odd, for a median.
const RUNS: usize = 3;
const SECONDS: u64 = 5;

/// The medians of one case: of each subject that it was run against.
type Measured = (Case, Vec<Option<Report>>);

struct Options {
    runs: usize,
    seconds: u64,
    only: String,
    beside: Option<Subject>,
    write: bool,
}

/// Does what the arguments say; with what is to be printed.
///
/// # Errors
/// If the arguments make no sense, a server does not start, or a scenario fails.
pub fn run(args: &[String]) -> Result<String, Error> {
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args.as_slice() {
        ["--help" | "-h"] => Ok(HELP.to_owned()),
        ["floor"] => floor::serve(0),
        ["floor", "--port", port] => floor::serve(port.parse()?),
        options => {
            let options = parse(options)?;
            let tables = compare(&options)?;
            if options.write {
                let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("results");
                fs::write(folder.join("channels.md"), &tables)?;
            }
            Ok(tables)
        }
    }
}

fn parse(options: &[&str]) -> Result<Options, Error> {
    let mut parsed =
        Options { runs: RUNS, seconds: SECONDS, only: String::new(), beside: None, write: false };
    let mut left = options.iter();
    while let Some(option) = left.next() {
        let value = left.as_slice().first();
        match (*option, value) {
            ("--write", _) => {
                parsed.write = true;
                continue;
            }
            ("--runs", Some(n)) => parsed.runs = n.parse()?,
            ("--seconds", Some(n)) => parsed.seconds = n.parse()?,
            ("--only", Some(word)) => parsed.only = (*word).to_owned(),
            ("--beside", Some(server)) => parsed.beside = Some(Subject::parse(server)?),
            _ => return Err(format!("unexpected {option:?}; see --help").into()),
        }
        left.next();
    }
    Ok(parsed)
}

fn compare(options: &Options) -> Result<String, Error> {
    crate::allow_open_files()?;
    let mut subjects = vec![Subject::Heronry, Subject::Floor];
    subjects.extend(options.beside.clone());
    let mut measured = Vec::new();
    for case in suite::all(options.seconds)?.into_iter().filter(|case| case.name.contains(&options.only)) {
        let mut runs = vec![Vec::new(); subjects.len()];
        for _ in 0..options.runs {
            // One after the other, so that a busy moment of the machine does not fall upon one alone.
            for (subject, runs) in subjects.iter().zip(&mut runs) {
                if *subject == Subject::Floor && !case.has_floor {
                    continue;
                }
                let server = subject.start()?;
                let failed = |error| format!("{} against {}: {error}", case.name, subject.name());
                let report = case.scenario.run(server.target()).map_err(failed)?;
                // Progress, for whoever waits; nothing depends on it.
                drop(writeln!(io::stderr(), "{} {}", subject.name(), report.json()));
                runs.push(report);
            }
        }
        let medians = runs.iter().map(|runs| Report::median(runs)).collect();
        measured.push((case, medians));
    }
    let about = table::About::read(options.runs, options.seconds);
    Ok(table::markdown(&about, &subjects, &measured))
}
