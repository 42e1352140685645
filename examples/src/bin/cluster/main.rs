//! Three nodes of a cluster on one machine, and a page that kills, stops and cuts them off while it shows who is where.
//!
//! `cargo run --release --features nats --bin cluster`, then open the printed address, best in two windows. It needs
//! nats-server (Debian: `apt-get install nats-server`) or, with `--engine URL`, one that runs already.
//!
//! ```text
//! this program             serves the page and keeps the others      control.rs, keeper.rs
//! ├─ nats-server           the engine, unless --engine names one
//! ├─ a wire to each node   passes its bytes to the engine, or not    wire.rs
//! └─ node a, b, c          this program again, with --node           node.rs
//! ```

mod control;
mod keeper;
mod node;
mod wire;

use std::error::Error;
use std::io::Write as _;
use std::process::ExitCode;

const USAGE: &str = "usage: cluster [--port PORT] [--engine URL] [--node NAME]";

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What the command line says.
struct Args {
    port: u16,
    engine: Option<String>,
    node: Option<String>,
}

impl Args {
    fn parse(mut args: impl Iterator<Item = String>) -> Result<Self, Box<dyn Error>> {
        let mut parsed = Self { port: 4_000, engine: None, node: None };
        while let Some(arg) = args.next() {
            let value = args.next().ok_or_else(|| format!("{arg} needs a value; {USAGE}"))?;
            match arg.as_str() {
                "--port" => {
                    parsed.port = value.parse().map_err(|_| format!("{value:?} is no port (0 to 65535)"))?;
                }
                "--engine" => parsed.engine = Some(value),
                "--node" => parsed.node = Some(value),
                other => return Err(format!("unknown argument {other:?}; {USAGE}").into()),
            }
        }
        Ok(parsed)
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    examples::log::init("heronry=info");
    match run().await {
        Ok(status) => status,
        Err(error) => {
            // Nothing else can be done if not even this can be written.
            drop(writeln!(std::io::stderr(), "cluster: {error}"));
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<ExitCode, Box<dyn Error>> {
    match Args::parse(std::env::args().skip(1))? {
        Args { port, engine: Some(engine), node: Some(name) } => node::run(&name, &engine, port).await,
        Args { port, engine, node: None } => control::run(port, engine).await,
        Args { engine: None, node: Some(_), .. } => Err(format!("--node needs --engine; {USAGE}").into()),
    }
}
