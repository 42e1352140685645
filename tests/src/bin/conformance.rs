//! A server that any Phoenix client can be pointed at: `conformance [--port PORT]`, by default on port 4000.
//!
//! It prints `listening on ADDRESS` when it is ready and runs until SIGINT or SIGTERM. It logs what `RUST_LOG` asks for,
//! and nothing unless asked: clients make its channels crash by the thousand. The application is in the library, where
//! the tests start it too.

use std::fmt;
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::process::ExitCode;

use heronry_channels::prelude::*;
use heronry_channels::{EndpointError, ListenError, OriginError};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

const PORT_DEFAULT: u16 = 4_000;

/// Why the server does not start, or why it ended.
enum Failure {
    Usage(String),
    Origin(OriginError),
    Endpoint(EndpointError),
    Listen(ListenError),
    Start(StartError),
    System(io::Error),
    Ended(ExitReason),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(what) => write!(f, "{what}; usage: conformance [--port PORT]"),
            Self::Origin(error) => error.fmt(f),
            Self::Endpoint(error) => error.fmt(f),
            Self::Listen(error) => error.fmt(f),
            Self::Start(error) => error.fmt(f),
            Self::System(error) => error.fmt(f),
            Self::Ended(reason) => write!(f, "the supervision tree gave up: {reason}"),
        }
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // Nothing else can be done if not even this can be written.
            drop(writeln!(io::stderr(), "conformance: {failure}"));
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Failure> {
    let port = port(std::env::args().skip(1))?;
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("off"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).init();
    let mut terminate = signal(SignalKind::terminate()).map_err(Failure::System)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(Failure::System)?;
    let app = tests::conformance_app::app().map_err(Failure::Origin)?;
    let endpoint = app.endpoint.build().map_err(Failure::Endpoint)?;
    let bound = endpoint.bind(SocketAddr::from(([127, 0, 0, 1], port))).map_err(Failure::Listen)?;
    let tree = Supervisor::one_for_one()
        .label("conformance")
        .child(app.presence.child_spec())
        .child(bound.child_spec());
    let tree = tree.start().await.map_err(Failure::Start)?;
    writeln!(io::stdout(), "listening on {}", bound.local_addr()).map_err(Failure::System)?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
        reason = tree.wait() => return Err(Failure::Ended(reason)),
    }
    tree.stop().await;
    Ok(())
}

fn port(mut args: impl Iterator<Item = String>) -> Result<u16, Failure> {
    let port = match args.next().as_deref() {
        None => return Ok(PORT_DEFAULT),
        Some("--port") => args.next().ok_or_else(|| Failure::Usage("--port needs a number".to_owned()))?,
        Some(other) => return Err(Failure::Usage(format!("unknown argument {other:?}"))),
    };
    if let Some(other) = args.next() {
        return Err(Failure::Usage(format!("unknown argument {other:?}")));
    }
    port.parse().map_err(|_| Failure::Usage(format!("{port:?} is no port (0 to 65535)")))
}
