//! How long to wait before a child is started again.
//!
//! Pure: how long it lived and a random number come in, a delay comes out.

use std::time::Duration;

/// How long a supervisor waits before it starts a child again, if the child's spec says that it waits at all
/// ([`ChildSpec::backoff`](super::ChildSpec::backoff)). OTP knows no such thing: there a restart is tried at once.
///
/// The delay doubles with each restart up to a maximum, and starts over when the child has lived for long enough. A
/// random part is taken off it, so that children which ended of one cause do not come back all at once.
///
/// A restart counts for the intensity when it is tried, not while it waits. So a child whose delays have grown past what
/// the intensity looks at is tried until it lives, however long that takes: with the usual 3 restarts in 5 s, that of a
/// database that is away for an hour. If it should be given up instead, give its supervisor a longer period.
///
/// ```
/// use std::time::Duration;
/// use heronry::prelude::*;
/// use heronry::supervisor::Backoff;
///
/// let backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(10)).jitter(20);
/// let spec = ChildSpec::process("connection", |_: Context<()>| async {}).backoff(backoff);
/// # drop(spec);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    first: Duration,
    max: Duration,
    jitter_percent: u8,
    reset_after: Duration,
}

/// How much of a delay is left to chance unless told otherwise, in percent.
pub const JITTER_PERCENT_DEFAULT: u8 = 50;

/// No delay is longer than this, whatever a [`Backoff`] says.
pub const BACKOFF_MAX: Duration = Duration::from_secs(24 * 60 * 60);

impl Backoff {
    /// A first delay, and the longest one ([`BACKOFF_MAX`] at most). Up to half of each is left to
    /// chance; a child that has lived for as long as
    /// the longest starts over with the first.
    pub fn new(first: Duration, max: Duration) -> Self {
        let max = max.min(BACKOFF_MAX);
        Self { first: first.min(max), max, jitter_percent: JITTER_PERCENT_DEFAULT, reset_after: max }
    }

    /// How much of each delay is left to chance, in percent: with 0 it is exact, with 100 anything between nothing and
    /// all of it. More than 100 is 100.
    #[must_use]
    pub fn jitter(mut self, percent: u8) -> Self {
        self.jitter_percent = percent.min(100);
        self
    }

    /// How long a child must have lived to start over with the first delay.
    #[must_use]
    pub fn reset_after(mut self, time: Duration) -> Self {
        self.reset_after = time;
        self
    }

    /// The delay before the next restart of a child that lived so long (not at all, if it did not start), and notes it in
    /// `failed`.
    pub(super) fn next(&self, failed: &mut u32, lived: Duration, random: u64) -> Duration {
        if lived >= self.reset_after && !lived.is_zero() {
            *failed = 0;
        }
        // A doubling more than there are bits in the maximum changes nothing, but could overflow.
        let delay = 2_u32.checked_pow(*failed).and_then(|factor| self.first.checked_mul(factor));
        let delay = delay.map_or(self.max, |delay| delay.min(self.max));
        *failed = failed.saturating_add(1);
        let chance =
            delay.mul_f64(f64::from(self.jitter_percent) / 100.0 * (random as f64 / u64::MAX as f64));
        delay.saturating_sub(chance)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn the_delay_doubles_up_to_its_maximum_and_starts_over_after_a_long_life() {
        let backoff = Backoff::new(ms(100), ms(1_000)).jitter(0).reset_after(ms(5_000));
        let table = [
            // lived, delay
            (0, 100),
            (0, 200),
            (4_999, 400),
            (0, 800),
            (10, 1_000),
            (0, 1_000),
            (5_000, 100),
            (0, 200),
        ];
        let mut failed = 0;
        for (n, (lived, expect)) in table.into_iter().enumerate() {
            assert_eq!(backoff.next(&mut failed, ms(lived), u64::MAX), ms(expect), "step {n}");
        }
    }

    #[test]
    fn chance_takes_up_to_its_share() {
        let table = [
            // percent, random, of a second
            (0, u64::MAX, 1_000),
            (50, 0, 1_000),
            (50, u64::MAX, 500),
            (50, u64::MAX / 2, 750),
            (100, u64::MAX, 0),
            (255, u64::MAX, 0),
        ];
        for (percent, random, expect) in table {
            let backoff = Backoff::new(ms(1_000), ms(1_000)).jitter(percent);
            let got = backoff.next(&mut 0, Duration::ZERO, random).as_secs_f64();
            assert!((got * 1_000.0 - f64::from(expect)).abs() < 0.001, "{percent} %, {random}: {got}");
        }
    }

    #[test]
    fn no_delay_is_above_the_maxima() {
        assert_eq!(Backoff::new(ms(5), ms(3)), Backoff::new(ms(3), ms(3)));
        let longest = Backoff::new(Duration::MAX, Duration::MAX).jitter(0);
        assert_eq!(longest.next(&mut 40, Duration::ZERO, 0), BACKOFF_MAX);
    }

    proptest! {
        #[test]
        fn a_delay_is_never_above_its_maximum_nor_below_its_share(
            first: u64, max: u64, percent in 0_u8..=100, random: u64, mut failed: u32,
        ) {
            let (first, max) = (ms(first), ms(max).min(BACKOFF_MAX));
            let backoff = Backoff::new(first, max).jitter(percent);
            let exact = Backoff::new(first, max).jitter(0).next(&mut { failed }, Duration::ZERO, random);
            let delay = backoff.next(&mut failed, Duration::ZERO, random);
            prop_assert!(exact <= max && delay <= exact);
            let least = exact.mul_f64(1.0 - f64::from(percent) / 100.0);
            prop_assert!(delay + Duration::from_micros(1) >= least);
        }
    }
}
