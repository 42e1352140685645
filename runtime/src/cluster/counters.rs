//! What went wrong on the way in, counted where it happens and told now and then: a flood of bad frames must not become a flood
//! of events.

use super::events::{Dropped, FramesDropped, Gaps};
use crate::sync::atomic::{AtomicU64, Ordering};
use crate::telemetry;

#[derive(Debug)]
pub(super) struct Counters {
    dropped: [AtomicU64; Dropped::ALL.len()],
    gaps: AtomicU64,
}

impl Counters {
    pub(super) fn new() -> Self {
        Self { dropped: std::array::from_fn(|_| AtomicU64::new(0)), gaps: AtomicU64::new(0) }
    }

    pub(super) fn dropped(&self, why: Dropped) {
        self.dropped[why as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn gap(&self) {
        self.gaps.fetch_add(1, Ordering::Relaxed);
    }

    /// Tells telemetry of what there was since the last time.
    pub(super) fn report(&self) {
        for why in Dropped::ALL {
            let count = self.dropped[why as usize].swap(0, Ordering::Relaxed);
            if count > 0 {
                telemetry::emit(&FramesDropped { why, count });
            }
        }
        let count = self.gaps.swap(0, Ordering::Relaxed);
        if count > 0 {
            telemetry::emit(&Gaps { count });
        }
    }
}
