//! When a failing accept is reported.
//!
//! Pure: time comes in as an argument.

use std::time::{Duration, Instant};

/// How often it is said that accepting still fails: it fails ten times a second, and one line tells as much as ten.
const REPORT_EVERY: Duration = Duration::from_secs(10);

/// A streak of failures, if there is one.
#[derive(Debug, Default)]
pub(super) struct Trouble(Option<Streak>);

#[derive(Debug)]
struct Streak {
    since: Instant,
    reported: Instant,
    unreported: u64,
}

impl Trouble {
    /// Accepting failed; how many failures are to be reported now, if any are.
    pub(super) fn failed(&mut self, now: Instant) -> Option<u64> {
        let Some(streak) = &mut self.0 else {
            self.0 = Some(Streak { since: now, reported: now, unreported: 0 });
            return Some(1);
        };
        streak.unreported += 1;
        if now.saturating_duration_since(streak.reported) < REPORT_EVERY {
            return None;
        }
        streak.reported = now;
        Some(std::mem::take(&mut streak.unreported))
    }

    /// Accepting worked; how long it had not, if it had not.
    pub(super) fn worked(&mut self, now: Instant) -> Option<Duration> {
        self.0.take().map(|streak| now.saturating_duration_since(streak.since))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_streak_is_reported_at_once_then_every_ten_seconds_with_counts() {
        let start = tokio::time::Instant::now().into_std();
        let at = |ms: u64| start + Duration::from_millis(ms);
        let mut trouble = Trouble::default();
        assert_eq!(trouble.worked(at(0)), None);
        assert_eq!(trouble.failed(at(100)), Some(1));
        let reports: Vec<u64> = (2..=250).filter_map(|tenth| trouble.failed(at(tenth * 100))).collect();
        assert_eq!(reports, [100, 100]);
        assert_eq!(trouble.worked(at(25_100)), Some(Duration::from_secs(25)));
        assert_eq!(trouble.worked(at(25_200)), None);
        assert_eq!(trouble.failed(at(25_300)), Some(1), "a new streak is reported at once");
    }
}
