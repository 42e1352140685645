//! Does a piece of work so many times, and nothing else: `work NAME TIMES`. Without arguments it prints each name and how
//! often it is done to be counted.
//!
//! It is run twice under `valgrind --tool=callgrind`, with different numbers of times: what one more time costs is the
//! difference of the instructions by that of the times.

use std::io::{self, Write as _};

fn main() -> Result<(), bench::Error> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.as_slice() {
        [] => {
            for work in bench::work::ALL {
                writeln!(io::stdout(), "{} {}", work.name, work.times)?;
            }
            Ok(())
        }
        [name, times] => {
            let work = bench::work::by_name(name).ok_or_else(|| format!("there is no work called {name}"))?;
            (work.run)(times.parse()?)
        }
        _ => Err("usage: work [NAME TIMES]".into()),
    }
}
