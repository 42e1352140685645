//! What comes from other nodes, on its way into a shard's mailbox: bounded by bytes, and never waited for.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use bytes::Bytes;
use heronry::Addr;
use heronry::cluster::{Delivery, NodeEvent, Subscriber};
use heronry::telemetry;

use super::events::TrackerOverrun;
use super::run::ShardMsg;

/// How many bytes of other nodes wait for a shard at most: 16 MiB. What does not fit is dropped, and the shard asks anew.
pub const INBOX_BYTES_MAX: usize = 16 << 20;

/// What a message takes in a mailbox besides its bytes: many short ones must not fill it either.
const MESSAGE_BYTES: usize = 512;

/// Puts what nodes send, and their coming and going, into a mailbox.
pub(super) struct Inbox<M> {
    addr: Addr<ShardMsg<M>>,
    tracker: Arc<str>,
    load: Arc<Load>,
}

/// What waits.
#[derive(Debug, Default)]
pub(crate) struct Load {
    bytes: AtomicUsize,
    /// Something was dropped.
    missed: AtomicBool,
}

/// Room that a message takes while it waits.
#[derive(Debug)]
pub(crate) struct Room {
    load: Arc<Load>,
    bytes: usize,
}

impl Load {
    /// Whether something was dropped since this was asked last.
    pub(super) fn take_missed(&self) -> bool {
        // Seldom: a plain look first.
        self.missed.load(Ordering::Relaxed) && self.missed.swap(false, Ordering::AcqRel)
    }
}

impl<M: Send + 'static> Inbox<M> {
    pub(super) fn new(addr: Addr<ShardMsg<M>>, tracker: Arc<str>, load: Arc<Load>) -> Self {
        Self { addr, tracker, load }
    }

    /// Tells of a node.
    pub(super) fn tell(&self, event: NodeEvent) {
        self.send(ShardMsg::Node(event));
    }

    fn room(&self, payload: &Bytes) -> Option<Room> {
        let bytes = payload.len() + MESSAGE_BYTES;
        let room = Room { load: self.load.clone(), bytes };
        let before = self.load.bytes.fetch_add(bytes, Ordering::Relaxed);
        (before + bytes <= INBOX_BYTES_MAX).then_some(room)
    }

    fn send(&self, message: ShardMsg<M>) {
        if self.addr.send(message).is_err() {
            self.miss();
        }
    }

    fn miss(&self) {
        if !self.load.missed.swap(true, Ordering::AcqRel) && self.addr.is_alive() {
            telemetry::emit(&TrackerOverrun { tracker: self.tracker.clone(), bytes_max: INBOX_BYTES_MAX });
        }
    }
}

impl<M: Send + 'static> Subscriber for Inbox<M> {
    fn receive(&self, delivery: Delivery) {
        match delivery {
            Delivery::Payload { from, payload } => match self.room(&payload) {
                Some(room) => self.send(ShardMsg::Payload { from, payload, room }),
                None => self.miss(),
            },
            Delivery::Gap { from } => self.send(ShardMsg::Gap(from)),
        }
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.load.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}
