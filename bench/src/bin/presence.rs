//! Presence over three nodes: `presence --help` says what is measured.

use std::io::{self, Write as _};
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match bench::presence::run(&args).await {
        Ok(text) => {
            drop(writeln!(io::stdout(), "{text}"));
            ExitCode::SUCCESS
        }
        Err(error) => {
            // Nothing else can be done if not even this can be written.
            drop(writeln!(io::stderr(), "presence: {error}"));
            ExitCode::FAILURE
        }
    }
}
