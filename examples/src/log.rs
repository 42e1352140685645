//! The log of an example: `tracing` on standard error, filtered by `RUST_LOG`.

use tracing_subscriber::EnvFilter;

/// Writes the log to standard error; `default` says what is logged where `RUST_LOG` says nothing.
pub fn init(default: &str) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
}
