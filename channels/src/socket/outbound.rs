//! The one queue through which everything goes to a client: the socket's mailbox, bounded by bytes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use heronry::{Addr, Pid, telemetry};
use parking_lot::Mutex;

use super::events::SocketOverloaded;
use super::limits::Limits;
use super::overload::{Conflation, Key, Kind, Load, Overload, Verdict};
use super::slots::{Slots, Turn};
use crate::message::Broadcast;
use crate::serializer::Frame;

/// What a frame takes in a queue besides its bytes: very short ones must not fill memory either.
const ENTRY_BYTES: usize = 64;

/// What a socket process gets.
#[derive(Debug)]
pub(crate) enum SocketMsg {
    /// To be written as it is. The others are no larger: many of these wait when there is a storm of broadcasts.
    Frame(Frame),
    /// The place of a frame that may be replaced while it waits.
    Turn(Turn),
    /// A channel accepted its join; this is the reply.
    Joined(Pid, Box<Frame>),
    /// A channel refused its join; this is the reply, and the channel ends.
    Refused(Pid, Box<Frame>),
    /// A channel that was restarted accepted its join again.
    Rejoined(Pid),
    /// A channel that was restarted refused its join, and ends.
    RejoinRefused(Pid),
    /// A channel ends in order: its end is a `phx_close`.
    Closing(Pid),
    /// Something was broadcast to the socket's id.
    Broadcast(Box<Broadcast>),
    /// The channels have caught up: read on.
    Resume,
    /// The client reads too slowly.
    Overloaded,
    /// Frames were shed: report it.
    Shed,
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
    policy: Overload,
    /// Frames queued besides those in slots, where there are slots: whether one came between two others.
    others: AtomicU64,
    /// It is over: nothing more is queued.
    overloaded: AtomicBool,
    /// The oldest that waits has waited too long.
    stalled: AtomicBool,
    shed: ShedCounts,
    /// Frames that may be replaced while they wait. The lock is held for a look-up, never while anything is sent.
    slots: Mutex<Slots>,
}

#[derive(Debug, Default)]
struct ShedCounts {
    dropped: AtomicU64,
    conflated: AtomicU64,
    /// The socket knows, and will report.
    told: AtomicBool,
}

/// Frames that did not go to a client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Shed {
    pub(super) dropped: u64,
    pub(super) conflated: u64,
}

impl Outbound {
    pub(crate) fn new(addr: Addr<SocketMsg>, limits: &Limits, policy: Overload) -> Self {
        let queued = Queued {
            bytes: AtomicUsize::new(0),
            max: limits.outbound_bytes_max,
            policy,
            others: AtomicU64::new(0),
            overloaded: AtomicBool::new(false),
            stalled: AtomicBool::new(false),
            shed: ShedCounts::default(),
            slots: Mutex::default(),
        };
        Self { addr, queued: Arc::new(queued) }
    }

    /// Queues a frame that must not be lost: a reply.
    pub(crate) fn send(&self, frame: Frame) {
        self.queue(frame, Kind::Kept, SocketMsg::Frame);
    }

    /// Queues the reply to a join together with its outcome.
    pub(crate) fn send_with(&self, frame: Frame, outcome: impl FnOnce(Frame) -> SocketMsg) {
        self.queue(frame, Kind::Kept, outcome);
    }

    /// Queues a push or a broadcast, which may be dropped where the mount says so.
    pub(crate) fn push(&self, frame: Frame) {
        self.queue(frame, Kind::Droppable, SocketMsg::Frame);
    }

    /// Which broadcasts are conflated on their way to this client.
    pub(super) fn conflation(&self) -> Option<&Conflation> {
        match &self.queued.policy {
            Overload::ConflateByKey(conflation) => Some(conflation),
            Overload::Disconnect | Overload::DropNewest => None,
        }
    }

    /// Queues a broadcast that takes away an older one of its key.
    pub(super) fn replace(&self, key: &Arc<Key>, frame: Frame) {
        if self.queued.overloaded.load(Ordering::Relaxed) {
            return;
        }
        let more = frame.len() + ENTRY_BYTES;
        let mut slots = self.queued.slots.lock();
        let older = slots.len_of(key).map(|len| len + ENTRY_BYTES);
        let waiting = self.queued.bytes.load(Ordering::Relaxed).saturating_sub(older.unwrap_or(0));
        if self.admit(Kind::Droppable, waiting, more) != Verdict::Queue {
            drop(slots);
            return self.overloaded(waiting, None);
        }
        // Counted before it can be taken, so that it is never taken off before it was added.
        self.queued.bytes.fetch_add(more, Ordering::Relaxed);
        self.queued.bytes.fetch_sub(older.unwrap_or(0), Ordering::Relaxed);
        let place = slots.put(key, frame, self.queued.others.load(Ordering::Relaxed));
        drop(slots);
        if older.is_some() {
            self.shed(&self.queued.shed.conflated);
        }
        if let Some(place) = place
            && self.addr.send(SocketMsg::Turn(place)).is_err()
        {
            self.overloaded(waiting, None);
        }
    }

    /// Tells the socket something that is not for the client.
    pub(crate) fn tell(&self, msg: SocketMsg) {
        // Fails only if the socket has ended (then its channels are ending too) or is overloaded.
        drop(self.addr.send(msg));
    }

    fn queue(&self, frame: Frame, kind: Kind, wrap: impl FnOnce(Frame) -> SocketMsg) {
        if self.queued.overloaded.load(Ordering::Relaxed) {
            return;
        }
        let more = frame.len() + ENTRY_BYTES;
        let waiting = self.queued.bytes.fetch_add(more, Ordering::Relaxed);
        match self.admit(kind, waiting, more) {
            Verdict::Queue => {
                if self.conflation().is_some() {
                    self.queued.others.fetch_add(1, Ordering::Relaxed);
                }
                if self.addr.send(wrap(frame)).is_err() {
                    self.overloaded(waiting, None);
                }
            }
            Verdict::Drop => {
                self.queued.bytes.fetch_sub(more, Ordering::Relaxed);
                self.shed(&self.queued.shed.dropped);
            }
            Verdict::Disconnect => self.overloaded(waiting, None),
        }
    }

    fn admit(&self, kind: Kind, waiting: usize, more: usize) -> Verdict {
        let stalled = self.queued.stalled.load(Ordering::Relaxed);
        self.queued.policy.admit(kind, Load { waiting, more, max: self.queued.max, stalled })
    }

    fn shed(&self, count: &AtomicU64) {
        count.fetch_add(1, Ordering::Relaxed);
        if !self.queued.shed.told.swap(true, Ordering::AcqRel) && self.addr.send(SocketMsg::Shed).is_err() {
            // The next one tells it.
            self.queued.shed.told.store(false, Ordering::Release);
        }
    }

    fn overloaded(&self, bytes: usize, age: Option<Duration>) {
        if self.give_up(bytes, age) && self.addr.send(SocketMsg::Overloaded).is_err() {
            // So full that not even this fits: the mailbox will not be read to its end in useful time.
            heronry::process::exit(self.addr.pid(), heronry::ExitReason::shutdown_with("overloaded"));
        }
    }

    /// Queues nothing more, and says why; whether that is news.
    fn give_up(&self, bytes: usize, age: Option<Duration>) -> bool {
        if self.queued.overloaded.swap(true, Ordering::Relaxed) || !self.addr.is_alive() {
            return false;
        }
        telemetry::emit(&SocketOverloaded { pid: self.addr.pid(), bytes, bytes_max: self.queued.max, age });
        true
    }

    /// The socket has put a frame of its own into the queue.
    pub(super) fn count(&self, frame: &Frame) {
        self.queued.bytes.fetch_add(frame.len() + ENTRY_BYTES, Ordering::Relaxed);
    }

    /// A frame has left the queue.
    pub(super) fn written(&self, frame: &Frame) {
        self.queued.bytes.fetch_sub(frame.len() + ENTRY_BYTES, Ordering::Relaxed);
    }

    /// Does something with the frames that may be replaced.
    pub(super) fn with_slots<R>(&self, look: impl FnOnce(&mut Slots) -> R) -> R {
        look(&mut self.queued.slots.lock())
    }

    /// The oldest that waits has waited for so long, which is too long; whether the client is to be disconnected.
    pub(super) fn stalled(&self, age: Duration) -> bool {
        match self.queued.policy {
            Overload::Disconnect | Overload::ConflateByKey(_) => {
                self.give_up(self.queued.bytes.load(Ordering::Relaxed), Some(age));
                true
            }
            Overload::DropNewest => {
                self.queued.stalled.store(true, Ordering::Relaxed);
                false
            }
        }
    }

    /// The oldest that waits has not waited too long any more.
    pub(super) fn caught_up(&self) {
        self.queued.stalled.store(false, Ordering::Relaxed);
    }

    /// What was shed since this was asked last. If nothing was, whoever sheds the next frame tells the socket.
    pub(super) fn take_shed(&self) -> Shed {
        let counts = &self.queued.shed;
        let take = || Shed {
            dropped: counts.dropped.swap(0, Ordering::AcqRel),
            conflated: counts.conflated.swap(0, Ordering::AcqRel),
        };
        let shed = take();
        if shed != Shed::default() {
            return shed;
        }
        counts.told.store(false, Ordering::Release);
        // One that came in between found itself told of.
        let late = take();
        if late != Shed::default() {
            counts.told.store(true, Ordering::Release);
        }
        late
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_no_larger_than_the_frame_in_it() {
        assert_eq!(size_of::<SocketMsg>(), size_of::<Frame>());
    }
}
