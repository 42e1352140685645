//! How many restarts in which time are still normal.
//!
//! Pure: time comes in as an argument.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Restarts that a supervisor allows in [`PERIOD_DEFAULT`], as Elixir's.
pub const INTENSITY_DEFAULT: u32 = 3;

/// The period that [`INTENSITY_DEFAULT`] is counted over, as Elixir's.
pub const PERIOD_DEFAULT: Duration = Duration::from_secs(5);

/// A sliding window over the last restarts; it never holds more than `max + 1` of them.
///
/// It is what supervisors count with, for who restarts something else.
///
/// ```
/// use std::time::{Duration, Instant};
/// use heronry::supervisor::Intensity;
///
/// let (mut intensity, now) = (Intensity::new(1, Duration::from_secs(5)), Instant::now());
/// assert!(intensity.allow(now));
/// assert!(!intensity.allow(now + Duration::from_secs(5)));
/// ```
#[derive(Clone, Debug)]
pub struct Intensity {
    max: u32,
    period: Duration,
    restarts: VecDeque<Instant>,
}

impl Intensity {
    /// So many restarts in the period are normal.
    pub fn new(max: u32, period: Duration) -> Self {
        Self { max, period, restarts: VecDeque::new() }
    }

    pub(super) fn max(&self) -> u32 {
        self.max
    }

    pub(super) fn period(&self) -> Duration {
        self.period
    }

    /// Counts a restart; false if it is one too many.
    pub fn allow(&mut self, now: Instant) -> bool {
        self.restarts.push_back(now);
        while let Some(oldest) = self.restarts.front()
            && now.saturating_duration_since(*oldest) > self.period
        {
            self.restarts.pop_front();
        }
        self.restarts.len() <= self.max as usize
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_fourth_restart_in_the_period_is_one_too_many() {
        let start = crate::clock::now().into_std();
        let mut intensity = Intensity::new(3, Duration::from_secs(5));
        for seconds in [0, 1, 2] {
            assert!(intensity.allow(start + Duration::from_secs(seconds)));
        }
        assert!(!intensity.allow(start + Duration::from_secs(3)));
    }

    #[test]
    fn zero_allows_none() {
        assert!(!Intensity::new(0, Duration::from_secs(5)).allow(crate::clock::now().into_std()));
    }

    proptest! {
        /// Against the definition: count the restarts of the last period, this one included.
        #[test]
        fn agrees_with_a_naive_model(max in 0_u32..6, steps in prop::collection::vec(0_u64..4_000, 1..60)) {
            let period = Duration::from_secs(5);
            let start = crate::clock::now().into_std();
            let mut intensity = Intensity::new(max, period);
            let mut all = Vec::new();
            let mut now = start;
            for step in steps {
                now += Duration::from_millis(step);
                all.push(now);
                let recent = all.iter().filter(|then| now.duration_since(**then) <= period).count();
                let allowed = intensity.allow(now);
                prop_assert_eq!(allowed, recent <= max as usize);
                if !allowed {
                    break;
                }
            }
        }
    }
}
