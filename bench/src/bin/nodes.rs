//! Broadcasts from node to node over a real broker: `nodes --help` says what is measured.

use std::io::{self, Write as _};
use std::process::ExitCode;

use bench::nodes::{HELP, Options, run};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() -> ExitCode {
    match measured().await {
        Ok(text) => {
            drop(writeln!(io::stdout(), "{text}"));
            ExitCode::SUCCESS
        }
        Err(error) => {
            // Nothing else can be done if not even this can be written.
            drop(writeln!(io::stderr(), "nodes: {error}"));
            ExitCode::FAILURE
        }
    }
}

async fn measured() -> Result<String, bench::Error> {
    let mut options = Options { engine: "nats".to_owned(), messages: 1_000_000, seconds: 5 };
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        if arg == "--help" {
            return Ok(HELP.to_owned());
        }
        let value = args.next().ok_or_else(|| format!("{arg} needs a value\n{HELP}"))?;
        match arg.as_str() {
            "--engine" => options.engine = value,
            "--messages" => options.messages = value.parse()?,
            "--seconds" => options.seconds = value.parse()?,
            other => return Err(format!("unknown argument {other:?}\n{HELP}").into()),
        }
    }
    Ok(run(&options).await?.to_string())
}
