//! What goes wrong on a simulated network, and the dice that decide when.
//!
//! Pure: all randomness comes from the seed.

use std::time::Duration;

/// What a simulated network does to each frame on its way to each node that gets it.
///
/// ```
/// use std::time::Duration;
/// use heronry::engine::sim::Faults;
///
/// let rough = Faults { drop: 0.05, duplicate: 0.5, reorder: 0.2, ..Faults::default() };
/// assert_eq!(rough.delay_min, Duration::from_micros(100));
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Faults {
    /// The shortest time that a frame is on its way.
    pub delay_min: Duration,
    /// The longest; each is drawn anew, and a frame that would overtake an earlier one of its sender waits for it.
    pub delay_max: Duration,
    /// How likely a frame is lost, from 0 to 1.
    pub drop: f64,
    /// How likely a frame comes twice.
    pub duplicate: f64,
    /// How likely a frame is late by up to `reorder_delay_max`, and is overtaken by those behind it.
    pub reorder: f64,
    /// How late such a frame can be.
    pub reorder_delay_max: Duration,
}

impl Default for Faults {
    /// A good network: 0.1 to 1 ms, nothing is lost, repeated or reordered.
    fn default() -> Self {
        Self {
            delay_min: Duration::from_micros(100),
            delay_max: Duration::from_millis(1),
            drop: 0.0,
            duplicate: 0.0,
            reorder: 0.0,
            reorder_delay_max: Duration::from_millis(20),
        }
    }
}

/// Numbers that look random: splitmix64.
#[derive(Clone, Debug)]
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Whether something of this likelihood happens.
    pub(super) fn happens(&mut self, likelihood: f64) -> bool {
        // 53 bits: what a float holds exactly.
        likelihood > 0.0 && ((self.next() >> 11) as f64) < likelihood * (1_u64 << 53) as f64
    }

    /// A time from `min` to `max`.
    pub(super) fn between(&mut self, min: Duration, max: Duration) -> Duration {
        let span = u64::try_from(max.saturating_sub(min).as_nanos()).unwrap_or(u64::MAX - 1);
        min + Duration::from_nanos(self.next() % (span + 1))
    }
}
