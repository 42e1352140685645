//! The network of a simulation, and the dice.

use std::time::Duration;

/// Splitmix64: all that happens in a simulation is drawn from it.
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let word = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    }

    pub(super) fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    pub(super) fn chance(&mut self, percent: u64) -> bool {
        self.next() % 100 < percent
    }

    pub(super) fn millis(&mut self, bound: u64) -> Duration {
        Duration::from_micros(self.next() % (bound * 1_000))
    }
}

/// How bad the network is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Weather {
    pub(super) lost_percent: u64,
    pub(super) doubled_percent: u64,
    pub(super) delay_ms: u64,
}

impl Weather {
    pub(super) const FAIR: Self = Self { lost_percent: 0, doubled_percent: 0, delay_ms: 5 };

    pub(super) fn drawn(dice: &mut Dice) -> Self {
        Self {
            lost_percent: dice.next() % 30,
            doubled_percent: dice.next() % 30,
            delay_ms: 1 + dice.next() % 200,
        }
    }

    /// When the copies of a message arrive, after how long.
    pub(super) fn delays(self, dice: &mut Dice) -> Vec<Duration> {
        let mut delays = Vec::new();
        for _ in 0..1 + u64::from(dice.chance(self.doubled_percent)) {
            if !dice.chance(self.lost_percent) {
                delays.push(dice.millis(self.delay_ms));
            }
        }
        delays
    }
}
