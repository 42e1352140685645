//! What timers tell telemetry.

use std::fmt;
use std::time::Duration;

use crate::pid::Pid;
use crate::telemetry::{Event, Level};

/// Whose timers a limit counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TimersOf {
    /// All of one tokio runtime: [`TIMERS_MAX`](super::TIMERS_MAX).
    Runtime,
    /// Those for one process: [`TIMERS_PER_PROCESS_MAX`](super::TIMERS_PER_PROCESS_MAX).
    Process,
}

/// A process or a runtime has as many armed timers as it may, and one was refused: `heronry.timer.full`.
///
/// Told once for each time that the limit is reached. The message of a refused timer is dropped.
#[derive(Debug)]
#[non_exhaustive]
pub struct TimersFull {
    /// The process whose timer was refused.
    pub pid: Pid,
    /// The limit, in armed timers.
    pub limit: usize,
    /// Whose limit it is.
    pub of: TimersOf,
}

impl fmt::Display for TimersFull {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { pid, limit, of } = self;
        let whose = match of {
            TimersOf::Runtime => "in this runtime",
            TimersOf::Process => "for this process",
        };
        write!(
            f,
            "{limit} timers are armed {whose}, the most there may be: one for {pid} was refused, more will be"
        )
    }
}

impl Event for TimersFull {
    fn name(&self) -> &'static str {
        "heronry.timer.full"
    }

    fn level(&self) -> Level {
        Level::Error
    }
}

/// An interval came so late that ticks of it were skipped: `heronry.timer.ticks_skipped`.
///
/// It was more than [`TICKS_LATE_MAX`](super::TICKS_LATE_MAX) ticks behind. The threads of the runtime were busy, or a
/// message took long to make.
#[derive(Debug)]
#[non_exhaustive]
pub struct TicksSkipped {
    /// The process that gets the ticks.
    pub pid: Pid,
    /// The period of the interval.
    pub period: Duration,
    /// How many ticks were not sent.
    pub skipped: u64,
}

impl fmt::Display for TicksSkipped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "an interval of {:?} for {} was late: {} ticks skipped",
            self.period, self.pid, self.skipped
        )
    }
}

impl Event for TicksSkipped {
    fn name(&self) -> &'static str {
        "heronry.timer.ticks_skipped"
    }

    fn level(&self) -> Level {
        Level::Warn
    }
}
