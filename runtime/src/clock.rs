//! The clock of this crate: tokio's, so that tests can pause and advance it.

use std::sync::LazyLock;
use std::time::Duration;

pub(crate) use tokio::time::Instant;

/// The time now, on the clock that `tokio::time::pause` stops.
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// A moment on that clock in half the room of an [`Instant`]: nanoseconds from the first one that was noted.
#[derive(Clone, Copy)]
pub(crate) struct Moment(i64);

impl Moment {
    pub(crate) fn now() -> Self {
        let (now, epoch) = (now(), *EPOCH);
        let nanos = |time: Duration| i64::try_from(time.as_nanos()).unwrap_or(i64::MAX);
        // Of two runtimes one may have a clock that was advanced: a moment can lie before the first.
        Self(match now.checked_duration_since(epoch) {
            Some(after) => nanos(after),
            None => -nanos(epoch.duration_since(now)),
        })
    }

    pub(crate) fn instant(self) -> Instant {
        let distance = Duration::from_nanos(self.0.unsigned_abs());
        let instant = if self.0 < 0 { EPOCH.checked_sub(distance) } else { EPOCH.checked_add(distance) };
        instant.expect("invariant: it was an instant when it was noted")
    }
}

static EPOCH: LazyLock<Instant> = LazyLock::new(now);
