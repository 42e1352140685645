//! How often something may happen.
//!
//! Pure: time comes in as an argument.

use std::time::{Duration, Instant};

const SECOND: Duration = Duration::from_secs(1);

/// How often something may happen: so many times a second in the long run, and so many at once after a rest.
///
/// ```
/// use heronry_channels::{Limits, Rate};
///
/// let limits = Limits { joins: Rate::per_second(20).burst(100), ..Limits::default() };
/// # drop(limits);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    per_second: u32,
    burst: u32,
}

impl Rate {
    /// So many times a second, and as many at once. From 1 to 1,000,000,000: what is beyond is taken for the nearest.
    pub const fn per_second(times: u32) -> Self {
        let times = if times == 0 { 1 } else { times };
        let times = if times > 1_000_000_000 { 1_000_000_000 } else { times };
        Self { per_second: times, burst: times }
    }

    /// So many at once; 0 is taken for 1.
    #[must_use]
    pub const fn burst(self, times: u32) -> Self {
        Self { burst: if times == 0 { 1 } else { times }, ..self }
    }

    fn interval(self) -> Duration {
        SECOND / self.per_second
    }
}

/// What is left of a [`Rate`].
#[derive(Debug)]
pub(crate) struct Bucket {
    rate: Rate,
    /// When the bucket is full again; each take moves it by one interval.
    full_at: Option<Instant>,
}

impl Bucket {
    pub(crate) fn new(rate: Rate) -> Self {
        Self { rate, full_at: None }
    }

    /// Takes one, or says after what time there will be one.
    pub(crate) fn take(&mut self, now: Instant) -> Result<(), Duration> {
        self.take_many(now, 1)
    }

    /// Takes so many, or none and says after what time there will be so many; more than a burst there never are.
    pub(crate) fn take_many(&mut self, now: Instant, times: u32) -> Result<(), Duration> {
        let interval = self.rate.interval();
        let full_at = self.full_at.map_or(now, |at| at.max(now));
        let debt = full_at.saturating_duration_since(now) + interval * times;
        let debt_max = interval * self.rate.burst;
        if debt > debt_max {
            return Err(debt - debt_max);
        }
        self.full_at = Some(full_at + interval * times);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn start() -> Instant {
        #[expect(clippy::disallowed_methods, reason = "any instant will do to count from")]
        Instant::now()
    }

    #[test]
    fn a_burst_and_then_the_rate() {
        let (start, ms) = (start(), Duration::from_millis);
        let mut bucket = Bucket::new(Rate::per_second(10).burst(3));
        let table = [
            (0, Ok(())),
            (0, Ok(())),
            (0, Ok(())),
            (0, Err(ms(100))),
            (60, Err(ms(40))),
            (100, Ok(())),
            (100, Err(ms(100))),
            (10_000, Ok(())),
            (10_000, Ok(())),
            (10_000, Ok(())),
            (10_000, Err(ms(100))),
        ];
        for (at, want) in table {
            assert_eq!(bucket.take(start + ms(at)), want, "at {at} ms");
        }
    }

    #[test]
    fn many_at_once_are_as_many_one_by_one() {
        let (start, ms) = (start(), Duration::from_millis);
        let mut bucket = Bucket::new(Rate::per_second(10).burst(5));
        for (at, times, want) in [
            (0, 3, Ok(())),
            (0, 3, Err(ms(100))),
            (0, 2, Ok(())),
            (0, 0, Ok(())),
            (250, 3, Err(ms(50))),
            (250, 2, Ok(())),
            (10_000, 6, Err(ms(100))),
            (10_000, 5, Ok(())),
        ] {
            assert_eq!(bucket.take_many(start + ms(at), times), want, "{times} at {at} ms");
        }
    }

    #[test]
    fn extremes() {
        let now = start();
        for rate in [Rate::per_second(0), Rate::per_second(1).burst(0)] {
            let mut bucket = Bucket::new(rate);
            assert_eq!((bucket.take(now), bucket.take(now)), (Ok(()), Err(SECOND)));
        }
        let mut bucket = Bucket::new(Rate::per_second(u32::MAX).burst(u32::MAX));
        assert_eq!(bucket.take(now), Ok(()));
        let mut slow = Bucket::new(Rate::per_second(1).burst(u32::MAX));
        assert_eq!((slow.take_many(now, u32::MAX), slow.take(now)), (Ok(()), Err(SECOND)));
    }

    proptest! {
        #[test]
        fn never_more_than_the_burst_and_the_rate(per_second in 1u32..50, burst in 1u32..50, gaps in prop::collection::vec(0u64..200, 1..200)) {
            let start = start();
            let mut bucket = Bucket::new(Rate::per_second(per_second).burst(burst));
            let (mut at, mut taken) = (Duration::ZERO, 0u32);
            for gap in gaps {
                at += Duration::from_millis(gap);
                taken += u32::from(bucket.take(start + at).is_ok());
                let most = f64::from(burst) + at.as_secs_f64() * f64::from(per_second);
                prop_assert!(f64::from(taken) <= most + 1e-6, "{taken} taken after {at:?}");
            }
        }

        #[test]
        fn what_was_refused_is_given_when_it_said(per_second in 1u32..1_000, burst in 1u32..20) {
            let now = start();
            let mut bucket = Bucket::new(Rate::per_second(per_second).burst(burst));
            for _ in 0..burst {
                prop_assert_eq!(bucket.take(now), Ok(()));
            }
            let wait = bucket.take(now).unwrap_err();
            prop_assert_eq!(bucket.take(now + wait), Ok(()));
        }
    }
}
