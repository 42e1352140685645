//! Telemetry events as `tracing` events: rate-limited by name, and what was suppressed is counted and said.

use std::collections::HashMap;

use super::event::{Event, Level};
use super::rate::{RateLimit, Verdict, WINDOW};
use crate::clock;
use crate::sync::outside::Mutex;
use crate::unwind::quietly;

static LIMITS: Mutex<Option<HashMap<&'static str, RateLimit>>> = Mutex::new(None);

/// Logs one event, or counts it as suppressed.
pub(super) fn event(event: &dyn Event) {
    if !is_enabled(event.level()) {
        return;
    }
    let name = event.name();
    let now = clock::now();
    let verdict = {
        let mut limits = LIMITS.lock();
        limits.get_or_insert_default().entry(name).or_insert_with(|| RateLimit::new(now)).check(now)
    };
    match verdict {
        Verdict::Log { suppressed_before } => {
            suppressed(name, suppressed_before);
            write(event);
        }
        Verdict::SuppressFirst => flush_later(name),
        Verdict::Suppress => {}
    }
}

/// A storm may end without another event that could report what it suppressed: a task does so after the window.
fn flush_later(name: &'static str) {
    let Ok(runtime) = tokio::runtime::Handle::try_current() else {
        // Nobody can wait here: the count stays for the next event that is logged, or that is suppressed in a runtime.
        LIMITS.lock().as_mut().and_then(|limits| limits.get_mut(name)).map(RateLimit::postpone);
        return;
    };
    let report = Report(name);
    runtime.spawn(async move {
        tokio::time::sleep(WINDOW).await;
        drop(report);
    });
}

/// Reports what was suppressed of a name when it is dropped: also if its task goes down with its runtime.
struct Report(&'static str);

impl Drop for Report {
    fn drop(&mut self) {
        let count =
            LIMITS.lock().as_mut().and_then(|limits| limits.get_mut(self.0)).map_or(0, RateLimit::report);
        quietly(|| suppressed(self.0, count));
    }
}

fn suppressed(name: &'static str, count: u64) {
    if count > 0 {
        tracing::warn!(target: "heronry", event = name, suppressed = count, "{count} more {name} not logged");
    }
}

/// Whether the log takes events of this level.
pub(super) fn is_enabled(level: Level) -> bool {
    match level {
        Level::Debug => tracing::enabled!(target: "heronry", tracing::Level::DEBUG),
        Level::Info => tracing::enabled!(target: "heronry", tracing::Level::INFO),
        Level::Warn => tracing::enabled!(target: "heronry", tracing::Level::WARN),
        Level::Error => tracing::enabled!(target: "heronry", tracing::Level::ERROR),
    }
}

fn write(event: &dyn Event) {
    let name = event.name();
    match event.level() {
        Level::Debug => tracing::debug!(target: "heronry", event = name, "{event}"),
        Level::Info => tracing::info!(target: "heronry", event = name, "{event}"),
        Level::Warn => tracing::warn!(target: "heronry", event = name, "{event}"),
        Level::Error => tracing::error!(target: "heronry", event = name, "{event}"),
    }
}

/// Whether anybody reads the log at all.
pub(crate) fn has_reader() -> bool {
    tracing::dispatcher::has_been_set()
}
