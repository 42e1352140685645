//! An open loop: what is due when, whatever has happened so far.
//!
//! Pure: the time comes in.

use std::time::Duration;

use tokio::time::Instant;

pub(super) struct Pace {
    start: Instant,
    per_s: u64,
    taken: u64,
}

impl Pace {
    pub(super) fn new(start: Instant, per_s: u64) -> Self {
        Self { start, per_s, taken: 0 }
    }

    pub(super) fn period(&self) -> Duration {
        Duration::from_nanos(1_000_000_000 / self.per_s)
    }

    /// Takes the next that is due, with when it was; `None` if there is none yet.
    pub(super) fn next_due(&mut self, now: Instant) -> Option<Instant> {
        let due = self.start + Duration::from_nanos(self.taken * 1_000_000_000 / self.per_s);
        (due <= now).then(|| {
            self.taken += 1;
            due
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_late_is_due_at_its_own_time() {
        let start = Instant::now();
        let mut pace = Pace::new(start, 3);
        let mut due =
            |ms| pace.next_due(start + Duration::from_millis(ms)).map(|at| (at - start).as_millis());
        assert_eq!(due(0), Some(0));
        assert_eq!(due(333), None);
        assert_eq!(
            [due(1_000), due(1_000), due(1_000), due(1_000)],
            [Some(333), Some(666), Some(1_000), None]
        );
    }
}
