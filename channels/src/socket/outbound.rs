//! The one queue through which everything goes to a client: the socket's mailbox, bounded by bytes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use heronry::{Addr, Pid, telemetry};

use super::events::SocketOverloaded;
use crate::message::Broadcast;
use crate::serializer::Frame;

/// What a socket process gets.
#[derive(Debug)]
pub(crate) enum SocketMsg {
    /// To be written as it is.
    Frame(Frame),
    /// A channel accepted its join; this is the reply.
    Joined(Pid, Frame),
    /// A channel refused its join; this is the reply, and the channel ends.
    Refused(Pid, Frame),
    /// A channel ends in order: its end is a `phx_close`.
    Closing(Pid),
    /// Something was broadcast to the socket's id.
    Broadcast(Broadcast),
    /// The channels have caught up: read on.
    Resume,
    /// The client reads too slowly.
    Overloaded,
}

/// A sender's end of the queue.
#[derive(Clone, Debug)]
pub(crate) struct Outbound {
    addr: Addr<SocketMsg>,
    queued: Arc<Queued>,
}

/// What waits in the queue.
#[derive(Debug)]
struct Queued {
    bytes: AtomicUsize,
    max: usize,
    overloaded: AtomicBool,
}

impl Outbound {
    pub(super) fn new(addr: Addr<SocketMsg>, bytes_max: usize) -> Self {
        let queued =
            Queued { bytes: AtomicUsize::new(0), max: bytes_max, overloaded: AtomicBool::new(false) };
        Self { addr, queued: Arc::new(queued) }
    }

    /// Queues a frame. A client whose queue is full is disconnected: it gets nothing more.
    pub(crate) fn send(&self, frame: Frame) {
        self.queue(frame, SocketMsg::Frame);
    }

    /// Queues the reply to a join together with its outcome.
    pub(crate) fn send_with(&self, frame: Frame, outcome: impl FnOnce(Frame) -> SocketMsg) {
        self.queue(frame, outcome);
    }

    /// Tells the socket something that is not for the client.
    pub(crate) fn tell(&self, msg: SocketMsg) {
        // Fails only if the socket has ended (then its channels are ending too) or is overloaded.
        drop(self.addr.send(msg));
    }

    fn queue(&self, frame: Frame, wrap: impl FnOnce(Frame) -> SocketMsg) {
        if self.queued.overloaded.load(Ordering::Relaxed) {
            return;
        }
        let len = frame.len();
        let before = self.queued.bytes.fetch_add(len, Ordering::Relaxed);
        // An empty queue takes a frame of any size: the largest reply is the application's business.
        if before > 0 && before + len > self.queued.max {
            self.overloaded(before);
            return;
        }
        if self.addr.send(wrap(frame)).is_err() {
            self.overloaded(before);
        }
    }

    fn overloaded(&self, bytes: usize) {
        if self.queued.overloaded.swap(true, Ordering::Relaxed) || !self.addr.is_alive() {
            return;
        }
        telemetry::emit(&SocketOverloaded { pid: self.addr.pid(), bytes, bytes_max: self.queued.max });
        if self.addr.send(SocketMsg::Overloaded).is_err() {
            // So full that not even this fits: the mailbox will not be read to its end in useful time.
            heronry::process::exit(self.addr.pid(), heronry::ExitReason::shutdown_with("overloaded"));
        }
    }

    /// The socket has put a frame of its own into the queue.
    pub(super) fn count(&self, bytes: usize) {
        self.queued.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// A frame has left the queue.
    pub(super) fn written(&self, bytes: usize) {
        self.queued.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }
}
