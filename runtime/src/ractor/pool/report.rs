//! What pools tell telemetry.

use std::fmt;

use crate::pid::Pid;
use crate::telemetry::{self, Event, Level};

/// Why a job was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// The queue was full.
    QueueFull,
    /// As many jobs had begun as the rate allows.
    RateLimited,
    /// The pool stops.
    Shutdown,
}

/// A job was refused by its pool and did not run: `heronry.pool.job_refused`.
#[derive(Debug)]
#[non_exhaustive]
pub struct JobRefused {
    /// The pool.
    pub pool: Pid,
    /// Why.
    pub why: Refusal,
}

pub(super) fn refused(pool: Pid, why: Refusal) {
    telemetry::emit(&JobRefused { pool, why });
}

impl fmt::Display for JobRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let why = match self.why {
            Refusal::QueueFull => "its queue is full",
            Refusal::RateLimited => "its rate is spent",
            Refusal::Shutdown => "it stops",
        };
        write!(f, "pool {} refused a job: {why}", self.pool)
    }
}

impl Event for JobRefused {
    fn name(&self) -> &'static str {
        "heronry.pool.job_refused"
    }

    fn level(&self) -> Level {
        Level::Warn
    }
}
