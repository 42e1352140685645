//! The clock of this crate: tokio's, so that tests can pause and advance it.

pub(crate) use tokio::time::Instant;

/// The time now, on the clock that `tokio::time::pause` stops.
pub(crate) fn now() -> Instant {
    Instant::now()
}
