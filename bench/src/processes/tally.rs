//! A log that is only counted: how many lines of each event, and how many more it says were kept back.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;

use super::library::Error;

/// What the log said of one event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Lines {
    /// Lines that each tell of one.
    pub(super) lines: u64,
    /// Lines that tell how many were kept back.
    pub(super) reports: u64,
    /// How many these are.
    pub(super) suppressed: u64,
}

/// The log of this process.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally(Arc<Mutex<BTreeMap<String, Lines>>>);

impl Tally {
    /// Counts from now on.
    ///
    /// # Errors
    /// If the log goes elsewhere already.
    pub(super) fn start() -> Result<Self, Error> {
        let tally = Self::default();
        tracing_subscriber::registry().with(tally.clone()).try_init()?;
        Ok(tally)
    }

    pub(super) fn of(&self, event: &str) -> Lines {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(event).copied().unwrap_or_default()
    }
}

impl<S: Subscriber> Layer<S> for Tally {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut said = Said::default();
        event.record(&mut said);
        let mut events = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let lines = events.entry(said.event).or_default();
        match said.suppressed {
            Some(count) => {
                lines.reports += 1;
                lines.suppressed += count;
            }
            None => lines.lines += 1,
        }
    }
}

#[derive(Default)]
struct Said {
    event: String,
    suppressed: Option<u64>,
}

impl Visit for Said {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "event" {
            value.clone_into(&mut self.event);
        }
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        if field.name() == "suppressed" {
            self.suppressed = Some(value);
        }
    }

    fn record_debug(&mut self, _: &Field, _: &dyn fmt::Debug) {}
}
