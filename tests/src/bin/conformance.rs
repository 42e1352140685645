//! A server that any Phoenix client can be pointed at: `conformance [--port PORT]`, by default on port 4000; as a node of a cluster with
//! `--node NAME [--cluster NAME] [--engine URL]`.
//!
//! It prints `listening on ADDRESS` when it is ready and runs until SIGINT or SIGTERM. It logs what `RUST_LOG` asks for,
//! and nothing unless asked: clients make its channels crash by the thousand. The application is in the library, where
//! the tests start it too.

use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::process::ExitCode;

use heronry_channels::prelude::*;
use tests::place::Place;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

const PORT_DEFAULT: u16 = 4_000;

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nothing else can be done if not even this can be written.
            drop(writeln!(io::stderr(), "conformance: {error}"));
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let place = Place::parse(std::env::args().skip(1), PORT_DEFAULT)?;
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("off"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).init();
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let node = place.node().await?;
    let app = tests::conformance_app::app(node.as_ref())?;
    let endpoint = app.endpoint.build()?;
    let bound = endpoint.bind(SocketAddr::from(([127, 0, 0, 1], place.port)))?;
    let mut tree = Supervisor::one_for_one().label("conformance");
    if let Some(node) = &node {
        tree = tree.child(node.child_spec());
    }
    let tree = tree.child(app.presence.child_spec()).child(bound.child_spec()).start().await?;
    writeln!(io::stdout(), "listening on {}", bound.local_addr())?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
        reason = tree.wait() => return Err(format!("the supervision tree gave up: {reason}").into()),
    }
    tree.stop().await;
    Ok(())
}
