//! How many events of a client wait for its channels, and how large they are: the permit that each carries.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use heronry::Addr;

use super::limits::Limits;
use super::outbound::SocketMsg;

/// The counts of one socket.
#[derive(Debug)]
pub(crate) struct Inflight {
    events: Gauge,
    bytes: Gauge,
    socket: Addr<SocketMsg>,
}

#[derive(Debug)]
struct Gauge {
    level: AtomicUsize,
    max: usize,
}

/// One event under way; returned when it is dropped, whatever became of it.
#[derive(Debug)]
pub(crate) struct Permit {
    inflight: Arc<Inflight>,
    bytes: usize,
}

impl Gauge {
    fn new(max: usize) -> Self {
        Self { level: AtomicUsize::new(0), max }
    }

    fn has_room(&self) -> bool {
        self.level.load(Ordering::Acquire) < self.max
    }

    fn add(&self, amount: usize) {
        self.level.fetch_add(amount, Ordering::AcqRel);
    }

    /// Whether there is room again that there was not before.
    fn subtract(&self, amount: usize) -> bool {
        let before = self.level.fetch_sub(amount, Ordering::AcqRel);
        before >= self.max && before - amount < self.max
    }
}

impl Inflight {
    pub(crate) fn new(limits: &Limits, socket: Addr<SocketMsg>) -> Arc<Self> {
        let (events, bytes) = (Gauge::new(limits.inflight_max), Gauge::new(limits.inflight_bytes_max));
        Arc::new(Self { events, bytes, socket })
    }

    /// Whether another event may be read. The last one may go over the limit of bytes: it was not known how large it
    /// would be.
    pub(crate) fn has_room(&self) -> bool {
        self.events.has_room() && self.bytes.has_room()
    }

    pub(crate) fn take(self: &Arc<Self>, bytes: usize) -> Permit {
        self.events.add(1);
        self.bytes.add(bytes);
        Permit { inflight: self.clone(), bytes }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let Inflight { events, bytes, socket } = &*self.inflight;
        // Whichever makes room last finds the other's room made.
        if events.subtract(1) | bytes.subtract(self.bytes) {
            // Fails only if the socket has ended, and then nobody waits to read.
            drop(socket.send(SocketMsg::Resume));
        }
    }
}
