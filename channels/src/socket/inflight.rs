//! How many events of a client wait for its channels: the permit that each carries.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use heronry::Addr;

use super::outbound::SocketMsg;

/// The count of one socket.
#[derive(Debug)]
pub(super) struct Inflight {
    count: AtomicUsize,
    max: usize,
    socket: Addr<SocketMsg>,
}

/// One event under way; returned when it is dropped, whatever became of it.
#[derive(Debug)]
pub(crate) struct Permit(Arc<Inflight>);

impl Inflight {
    pub(super) fn new(max: usize, socket: Addr<SocketMsg>) -> Arc<Self> {
        Arc::new(Self { count: AtomicUsize::new(0), max, socket })
    }

    /// Whether another event may be read.
    pub(super) fn has_room(&self) -> bool {
        self.count.load(Ordering::Acquire) < self.max
    }

    pub(super) fn take(self: &Arc<Self>) -> Permit {
        self.count.fetch_add(1, Ordering::AcqRel);
        Permit(self.clone())
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let before = self.0.count.fetch_sub(1, Ordering::AcqRel);
        if before == self.0.max {
            // Fails only if the socket has ended, and then nobody waits to read.
            drop(self.0.socket.send(SocketMsg::Resume));
        }
    }
}
