//! What presences tell telemetry.

use std::fmt;
use std::sync::Arc;

use heronry::ExitReason;
use heronry::telemetry::{Event, Level};

/// Clients of a topic were told of presences without what a fetch says of them: `heronry.presence.fetch_failed`.
#[derive(Debug)]
#[non_exhaustive]
pub struct FetchFailed {
    /// The presence's name.
    pub presence: Arc<str>,
    /// Why.
    pub why: FetchFailure,
}

/// Why a fetch said nothing.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum FetchFailure {
    /// It crashed, for this reason.
    Crashed(ExitReason),
    /// More waited for their fetch than [`FETCHES_WAITING_MAX`](super::FETCHES_WAITING_MAX): it is slower than people come and go.
    Full,
}

impl fmt::Display for FetchFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { presence, why } = self;
        write!(f, "presence {presence} told clients of presences without what fetch says of them: ")?;
        match why {
            FetchFailure::Crashed(reason) => write!(f, "it crashed, {reason}"),
            FetchFailure::Full => f.write_str("too many wait for it; it is too slow"),
        }
    }
}

impl Event for FetchFailed {
    fn name(&self) -> &'static str {
        "heronry.presence.fetch_failed"
    }

    fn level(&self) -> Level {
        Level::Error
    }
}
