//! What applications tell telemetry.

use std::fmt;
use std::time::Duration;

use super::shutdown::Outcome;
use crate::name::Label;
use crate::telemetry::{Event, Level};

/// An application begins to stop: `heronry.application.stopping`.
#[derive(Debug)]
#[non_exhaustive]
pub struct ApplicationStopping {
    /// Which.
    pub application: Label,
    /// Why: a signal's name, or that it was asked to.
    pub cause: String,
}

/// Drain hooks did not end within their deadline and were given up: `heronry.application.drain_overdue`. The application
/// stops all the same.
#[derive(Debug)]
#[non_exhaustive]
pub struct DrainOverdue {
    /// Which application.
    pub application: Label,
    /// The hook that ran when the time was up.
    pub hook: Label,
    /// How many hooks had not begun.
    pub not_begun: usize,
    /// The deadline.
    pub deadline: Duration,
}

/// An application has ended: `heronry.application.ended`.
#[derive(Debug)]
#[non_exhaustive]
pub struct ApplicationEnded {
    /// Which.
    pub application: Label,
    /// How.
    pub outcome: Outcome,
}

impl fmt::Display for ApplicationStopping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "application {} stops: {}", self.application, self.cause)
    }
}

impl fmt::Display for DrainOverdue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { application, hook, not_begun, deadline } = self;
        write!(
            f,
            "application {application} stops undrained: the drain hook {hook} did not end within {deadline:?}, and {not_begun} \
             more did not begin"
        )
    }
}

impl fmt::Display for ApplicationEnded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "application {} has ended: {}", self.application, self.outcome)
    }
}

impl Event for ApplicationStopping {
    fn name(&self) -> &'static str {
        "heronry.application.stopping"
    }

    fn level(&self) -> Level {
        Level::Info
    }
}

impl Event for DrainOverdue {
    fn name(&self) -> &'static str {
        "heronry.application.drain_overdue"
    }

    fn level(&self) -> Level {
        Level::Warn
    }
}

impl Event for ApplicationEnded {
    fn name(&self) -> &'static str {
        "heronry.application.ended"
    }

    fn level(&self) -> Level {
        match self.outcome {
            Outcome::Stopped => Level::Info,
            Outcome::Forced(_) => Level::Warn,
            Outcome::GaveUp(_) | Outcome::Overdue => Level::Error,
        }
    }
}
