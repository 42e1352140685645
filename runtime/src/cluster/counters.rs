//! What went wrong on the way in, or did not fit, counted where it happens and told now and then: a flood of bad frames must not become a flood
//! of events.

use super::events::{Dropped, FramesDropped, Gaps, RemoteLimit, RemoteLimited};
use crate::sync::atomic::{AtomicU64, Ordering};
use crate::telemetry;

#[derive(Debug)]
pub(super) struct Counters {
    dropped: [AtomicU64; Dropped::ALL.len()],
    gaps: AtomicU64,
    limited: [AtomicU64; RemoteLimit::ALL.len()],
}

impl Counters {
    pub(super) fn new() -> Self {
        Self {
            dropped: std::array::from_fn(|_| AtomicU64::new(0)),
            gaps: AtomicU64::new(0),
            limited: std::array::from_fn(|_| AtomicU64::new(0)),
        }
    }

    pub(super) fn dropped(&self, why: Dropped) {
        self.dropped[why as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn gap(&self) {
        self.gaps.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn limited(&self, by: RemoteLimit) {
        self.limited[by as usize].fetch_add(1, Ordering::Relaxed);
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
        for by in RemoteLimit::ALL {
            let count = self.limited[by as usize].swap(0, Ordering::Relaxed);
            if count > 0 {
                telemetry::emit(&RemoteLimited { by, count });
            }
        }
    }
}
