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
}

/// What to do with an event.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Log it; before it, say that this many of its name were suppressed.
    Log { suppressed_before: u64 },
    /// Keep it back; the first of a window to be so, and somebody should call [`RateLimit::flush`] after it.
    SuppressFirst,
    /// Keep it back.
    Suppress,
}

impl RateLimit {
    pub(super) fn new(now: Instant) -> Self {
        Self { window_start: now, in_window: 0, suppressed: 0 }
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
        if self.suppressed == 1 { Verdict::SuppressFirst } else { Verdict::Suppress }
    }

    /// How many were kept back since this was last said.
    pub(super) fn flush(&mut self) -> u64 {
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
        assert_eq!(limit.flush(), 0);
    }

    #[test]
    fn a_flush_takes_the_count() {
        let start = crate::clock::now();
        let mut limit = RateLimit::new(start);
        for _ in 0..EVENTS_PER_WINDOW_MAX + 5 {
            limit.check(start);
        }
        assert_eq!(limit.flush(), 5);
        assert_eq!(limit.check(start + WINDOW), Verdict::Log { suppressed_before: 0 });
    }
}
