//! Server processes under test: started, awaited, asked, measured and ended.
//!
//! A process never outlives its [`ServerProcess`], every wait has a deadline, and an error carries what the process
//! wrote.

use std::error::Error;
use std::fmt;
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;

mod http;
mod output;
mod process;

pub use http::http_get;
pub use process::ServerProcess;

/// A failure of a server process, or of a request to one.
#[derive(Debug)]
#[non_exhaustive]
pub enum ServerError {
    /// A release binary is not there; nothing was started.
    NotBuilt {
        /// The binary's name.
        name: String,
        /// Where it was looked for.
        path: PathBuf,
    },
    /// The operating system refused to start the program.
    Start {
        /// The program that was to run.
        program: PathBuf,
        /// The refusal.
        source: io::Error,
    },
    /// The process ended before it was ready.
    Exited {
        /// How it ended.
        status: ExitStatus,
        /// What it wrote to stdout.
        stdout: String,
        /// What it wrote to stderr.
        stderr: String,
    },
    /// The process did not do in time what it was waited for; it still runs.
    Late {
        /// What it was waited for.
        awaited: String,
        /// How long.
        after: Duration,
        /// What it wrote to stdout.
        stdout: String,
        /// What it wrote to stderr.
        stderr: String,
    },
    /// The operating system refused to tell about the process, or to signal it.
    Process {
        /// What was asked.
        asked: &'static str,
        /// The refusal.
        source: io::Error,
    },
    /// A request got no answer that HTTP knows.
    Http {
        /// The address and path.
        url: String,
        /// What went wrong.
        source: io::Error,
    },
}

impl fmt::Display for ServerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotBuilt { name, path } => {
                write!(f, "{} is missing; build it first: cargo build --release --bin {name}", path.display())
            }
            Self::Start { program, source } => write!(f, "could not start {}: {source}", program.display()),
            Self::Exited { status, stdout, stderr } => {
                write!(f, "the process ended early with {status}\nstdout:\n{stdout}\nstderr:\n{stderr}")
            }
            Self::Late { awaited, after, stdout, stderr } => {
                write!(f, "no {awaited} within {after:?}\nstdout:\n{stdout}\nstderr:\n{stderr}")
            }
            Self::Process { asked, source } => write!(f, "could not {asked}: {source}"),
            Self::Http { url, source } => write!(f, "GET {url} failed: {source}"),
        }
    }
}

impl Error for ServerError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Start { source, .. } | Self::Process { source, .. } | Self::Http { source, .. } => {
                Some(source)
            }
            Self::NotBuilt { .. } | Self::Exited { .. } | Self::Late { .. } => None,
        }
    }
}

/// A TCP port of 127.0.0.1 that was free a moment ago.
///
/// # Errors
/// The refusal of the operating system if none is free.
pub fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

/// The folder of the workspace's root manifest.
pub fn workspace_root() -> PathBuf {
    let mut root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    root.pop();
    root
}

/// The path of a binary that `cargo build --release` made, in `CARGO_TARGET_DIR` if that is set.
///
/// # Errors
/// [`ServerError::NotBuilt`] if it is not there.
pub fn release_binary(name: &str) -> Result<PathBuf, ServerError> {
    // A relative CARGO_TARGET_DIR is relative to where cargo was called; `join` leaves an absolute one alone.
    let target = std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into());
    let path = workspace_root().join(target).join("release").join(name);
    if path.is_file() { Ok(path) } else { Err(ServerError::NotBuilt { name: name.to_owned(), path }) }
}

#[cfg(test)]
mod tests;
