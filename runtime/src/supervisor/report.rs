//! What supervisors tell telemetry.

use std::fmt;
use std::time::Duration;

use super::intensity::Intensity;
use crate::exit::ExitReason;
use crate::name::Label;
use crate::pid::Pid;
use crate::telemetry::{Event, Level};

/// A child ended and was started again: `heronry.supervisor.child_restarted`.
#[derive(Debug)]
#[non_exhaustive]
pub struct ChildRestarted {
    /// The supervisor.
    pub supervisor: Pid,
    /// Which child.
    pub child: Label,
    /// How often it was started again by now.
    pub restarts: u32,
    /// Why the one before ended.
    pub reason: ExitReason,
}

/// A child could not be started: `heronry.supervisor.start_failed`.
#[derive(Debug)]
#[non_exhaustive]
pub struct ChildStartFailed {
    /// The supervisor.
    pub supervisor: Pid,
    /// Which child.
    pub child: Label,
    /// Why it did not start.
    pub reason: ExitReason,
    /// Whether the supervisor tries again (it was a restart), or ends itself (it was starting).
    pub tries_again: bool,
}

/// A supervisor had to restart too often and gives up: `heronry.supervisor.intensity_reached`.
#[derive(Debug)]
#[non_exhaustive]
pub struct IntensityReached {
    /// The supervisor; it stops its children and ends with `Shutdown`.
    pub supervisor: Pid,
    /// The child whose restart was one too many.
    pub child: Label,
    /// How many restarts are allowed.
    pub intensity: u32,
    /// In which time.
    pub period: Duration,
    /// Why the child ended.
    pub reason: ExitReason,
}

/// A child's restart waits for its back-off: `heronry.supervisor.restart_delayed`.
#[derive(Debug)]
#[non_exhaustive]
pub struct RestartDelayed {
    /// The supervisor.
    pub supervisor: Pid,
    /// Which child.
    pub child: Label,
    /// For how long it waits.
    pub delay: Duration,
    /// Why the child ended or did not start.
    pub reason: ExitReason,
}

impl IntensityReached {
    pub(super) fn new(supervisor: Pid, child: Label, allowed: &Intensity, reason: ExitReason) -> Self {
        Self { supervisor, child, intensity: allowed.max(), period: allowed.period(), reason }
    }
}

impl fmt::Display for ChildRestarted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { supervisor, child, restarts, reason } = self;
        write!(f, "supervisor {supervisor} restarted {child} (restart {restarts}) after: {reason}")
    }
}

impl fmt::Display for ChildStartFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { supervisor, child, reason, tries_again } = self;
        let then = if *tries_again { "tries again" } else { "ends" };
        write!(f, "supervisor {supervisor} could not start {child} and {then}: {reason}")
    }
}

impl fmt::Display for RestartDelayed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { supervisor, child, delay, reason } = self;
        write!(f, "supervisor {supervisor} starts {child} again in {delay:?}, after: {reason}")
    }
}

impl fmt::Display for IntensityReached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { supervisor, child, intensity, period, reason } = self;
        write!(
            f,
            "supervisor {supervisor} gives up: {child} would be its restart number {} within {period:?} \
             (intensity {intensity}); last reason: {reason}",
            intensity + 1
        )
    }
}

impl Event for ChildRestarted {
    fn name(&self) -> &'static str {
        "heronry.supervisor.child_restarted"
    }

    fn level(&self) -> Level {
        Level::Warn
    }
}

impl Event for ChildStartFailed {
    fn name(&self) -> &'static str {
        "heronry.supervisor.start_failed"
    }

    fn level(&self) -> Level {
        Level::Error
    }
}

impl Event for RestartDelayed {
    fn name(&self) -> &'static str {
        "heronry.supervisor.restart_delayed"
    }

    fn level(&self) -> Level {
        Level::Warn
    }
}

impl Event for IntensityReached {
    fn name(&self) -> &'static str {
        "heronry.supervisor.intensity_reached"
    }

    fn level(&self) -> Level {
        Level::Error
    }
}
