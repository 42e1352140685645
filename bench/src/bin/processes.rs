//! Heronry's processes beside ractor's, kameo's, bare tokio's and Erlang's: `processes --help` says what is measured.
//!
//! mimalloc is the allocator of all Rust measurements.

use std::io::{self, Write as _};
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match bench::processes::run(&args) {
        Ok(text) => {
            drop(writeln!(io::stdout(), "{text}"));
            ExitCode::SUCCESS
        }
        Err(error) => {
            // Nothing else can be done if not even this can be written.
            drop(writeln!(io::stderr(), "processes: {error}"));
            ExitCode::FAILURE
        }
    }
}
