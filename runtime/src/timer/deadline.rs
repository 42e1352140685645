//! Deadlines of those who wait within a future: calls. No message, no owner; the wheel and the task are the timers'.

use std::sync::Arc;
use std::time::Duration;

use super::service::Service;
use super::slab::Key;
use super::wheel::{Step, Wheel};

/// How many deadlines are given out under one lock.
const EXPIRED_PER_LOCK: usize = 64;

/// Somebody who waits no longer than until a deadline.
pub(crate) trait Expire: Send + Sync {
    /// The time is up.
    fn expired(&self);
}

/// A deadline that is set; dropping it lifts it.
pub(crate) struct Deadline {
    service: Arc<Service>,
    key: Key,
}

/// Sets a deadline, this long from now.
///
/// # Panics
/// Outside of a tokio runtime, and in one without a clock.
pub(crate) fn expire_after(time: Duration, waiting: Arc<dyn Expire>) -> Deadline {
    let service = Service::current();
    let key = service.expire_after(time, waiting);
    Deadline { service, key }
}

impl Drop for Deadline {
    fn drop(&mut self) {
        self.service.lift(self.key);
    }
}

/// All that are set in one runtime. Their number is the number of futures that wait, each larger than its place here.
pub(super) struct Deadlines(Wheel<Arc<dyn Expire>>);

impl Deadlines {
    pub(super) fn new() -> Self {
        Self(Wheel::new())
    }

    pub(super) fn set(&mut self, tick: u64, waiting: Arc<dyn Expire>) -> Key {
        self.0.insert(tick, waiting)
    }

    pub(super) fn lift(&mut self, key: Key) -> Option<Arc<dyn Expire>> {
        self.0.remove(key)
    }

    pub(super) fn next_wake(&self) -> Option<u64> {
        self.0.next_wake()
    }

    /// Takes out what is due by tick `now`; true if there may be more.
    pub(super) fn expire(&mut self, now: u64, expired: &mut Vec<Arc<dyn Expire>>) -> bool {
        for _ in 0..EXPIRED_PER_LOCK {
            match self.0.step(now) {
                Step::Due(key) => expired.extend(self.0.remove(key)),
                Step::Moved => {}
                Step::Idle => return false,
            }
        }
        true
    }

    /// Everybody who waits: their runtime has ended.
    pub(super) fn clear(&mut self) -> impl Iterator<Item = Arc<dyn Expire>> + use<> {
        self.0.drain()
    }
}
