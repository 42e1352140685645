//! The newest frame of each key that waits for a client.
//!
//! Pure: what is shared of it is behind a lock in `outbound.rs`.

use std::collections::HashMap;
use std::sync::Arc;

use super::overload::Key;
use crate::serializer::Frame;

/// A place in a socket's queue for a frame that may be replaced while it waits: the frame itself is in its slot, and a
/// place whose turn has passed to a later one is empty.
#[derive(Clone, Debug)]
pub(crate) struct Turn {
    key: Arc<Key>,
    turn: u64,
}

#[derive(Debug, Default)]
pub(super) struct Slots {
    waiting: HashMap<Arc<Key>, Slot>,
    turns: u64,
}

#[derive(Debug)]
struct Slot {
    turn: u64,
    /// How many other frames had been queued then.
    others: u64,
    frame: Frame,
}

impl Slots {
    /// How much the frame of this key that waits now takes.
    pub(super) fn len_of(&self, key: &Key) -> Option<usize> {
        self.waiting.get(key).map(|slot| slot.frame.len())
    }

    /// Lets a frame wait, in place of an older one of its key; where in the queue. `None` if the older one was the last
    /// in the queue, of these and of the `others` that were queued so far: then its place will do. So a burst of one key
    /// takes one place.
    pub(super) fn put(&mut self, key: &Arc<Key>, frame: Frame, others: u64) -> Option<Turn> {
        if let Some(slot) = self.waiting.get_mut(key)
            && slot.turn + 1 == self.turns
            && slot.others == others
        {
            slot.frame = frame;
            return None;
        }
        let turn = self.turns;
        self.turns += 1;
        self.waiting.insert(key.clone(), Slot { turn, others, frame });
        Some(Turn { key: key.clone(), turn })
    }

    /// Whether the place still has a frame.
    pub(super) fn is_current(&self, place: &Turn) -> bool {
        self.waiting.get(&place.key).is_some_and(|slot| slot.turn == place.turn)
    }

    /// Takes the frame of a place, if it has one.
    pub(super) fn take(&mut self, place: &Turn) -> Option<Frame> {
        if !self.is_current(place) {
            return None;
        }
        self.waiting.remove(&place.key).map(|slot| slot.frame)
    }

    /// How many frames wait.
    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }
}
