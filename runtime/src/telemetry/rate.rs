//! A limit on how often one thing is said, with a count of what it kept back.
//!
//! Pure: time comes in as an argument.

use std::time::Duration;

use crate::clock::Instant;

/// How many events of one name are logged per [`WINDOW`]: enough to see what goes on, few enough that a crash storm
/// costs less in logging than in crashing.
pub(super) const EVENTS_PER_WINDOW_MAX: u32 = 20;

/// The length of a window.
pub(super) const WINDOW: Duration = Duration::from_secs(1);

/// One name's state.
#[derive(Debug)]
pub(super) struct RateLimit {
    window_start: Instant,
    in_window: u32,
    suppressed: u64,
    /// Somebody was asked to report what is suppressed and has not done so yet.
    report_due: bool,
}

/// What to do with an event.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Log it; before it, say that this many of its name were suppressed.
    Log { suppressed_before: u64 },
    /// Keep it back; nobody is to report it yet, and somebody should call [`RateLimit::report`] after the
    /// window.
    SuppressFirst,
    /// Keep it back.
    Suppress,
}

impl RateLimit {
    pub(super) fn new(now: Instant) -> Self {
        Self { window_start: now, in_window: 0, suppressed: 0, report_due: false }
    }

    /// Decides on an event that happens `now`.
    pub(super) fn check(&mut self, now: Instant) -> Verdict {
        if now.saturating_duration_since(self.window_start) >= WINDOW {
            self.window_start = now;
            self.in_window = 0;
        }
        if self.in_window < EVENTS_PER_WINDOW_MAX {
            self.in_window += 1;
            return Verdict::Log { suppressed_before: self.flush() };
        }
        self.suppressed += 1;
        if std::mem::replace(&mut self.report_due, true) { Verdict::Suppress } else { Verdict::SuppressFirst }
    }

    /// Nobody could be found to report: the next suppressed event asks again, and nothing is forgotten.
    pub(super) fn postpone(&mut self) {
        self.report_due = false;
    }

    /// The report that [`Verdict::SuppressFirst`] asked for: how many were kept back and not said otherwise.
    pub(super) fn report(&mut self) -> u64 {
        self.report_due = false;
        self.flush()
    }

    /// How many were kept back since this was last said.
    fn flush(&mut self) -> u64 {
        std::mem::take(&mut self.suppressed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_what_it_suppresses_and_says_so_once() {
        let start = crate::clock::now();
        let mut limit = RateLimit::new(start);
        for _ in 0..EVENTS_PER_WINDOW_MAX {
            assert_eq!(limit.check(start), Verdict::Log { suppressed_before: 0 });
        }
        assert_eq!(limit.check(start), Verdict::SuppressFirst);
        assert_eq!(limit.check(start), Verdict::Suppress);
        assert_eq!(limit.check(start + WINDOW), Verdict::Log { suppressed_before: 2 });
        assert_eq!(limit.report(), 0);
    }

    #[test]
    fn a_report_takes_the_count_and_the_next_one_is_asked_for_again() {
        let start = crate::clock::now();
        let mut limit = RateLimit::new(start);
        for _ in 0..EVENTS_PER_WINDOW_MAX + 5 {
            limit.check(start);
        }
        assert_eq!(limit.check(start), Verdict::Suppress);
        assert_eq!(limit.report(), 6);
        assert_eq!(limit.check(start), Verdict::SuppressFirst);
        limit.postpone();
        assert_eq!(limit.check(start), Verdict::SuppressFirst);
        assert_eq!(limit.report(), 2);
        assert_eq!(limit.check(start + WINDOW), Verdict::Log { suppressed_before: 0 });
    }
}
