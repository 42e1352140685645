//! The frames that wait to be written to a client, and since when.
//!
//! Pure: time comes in as an argument; frames that may be replaced are in slots that the caller holds.

use std::collections::VecDeque;
use std::time::Instant;

use super::slots::{Slots, Turn};
use crate::serializer::Frame;

/// How many places without a frame are kept before they are swept out, beyond as many as there are frames.
const EMPTY_PLACES: usize = 64;

/// Capacity above which an emptied queue gives its memory back: a broadcast storm must not leave its mark on every
/// connection.
const KEEP_CAPACITY_MAX: usize = 4;

/// The queue of one socket.
///
/// Almost always it is empty again before its socket process lets go of the thread. So time is not looked at for each
/// frame: what has to stay is [`stamp`](Self::stamp)ed then.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    entries: VecDeque<(Since, Entry)>,
    /// How many entries are places of frames in slots.
    places: usize,
    /// Of the frame that was handed out last, until it is known to be written.
    handed_out: Option<Since>,
}

/// Since when something waits, if that was noted.
type Since = Option<Instant>;

#[derive(Debug)]
enum Entry {
    Frame(Frame),
    Place(Turn),
}

impl Waiting {
    pub(super) fn push(&mut self, frame: Frame) {
        if self.entries.capacity() == 0 {
            // One place is what most sockets need; a queue grows from nothing to four by itself.
            self.entries.reserve_exact(1);
        }
        self.entries.push_back((None, Entry::Frame(frame)));
    }

    /// Takes back a frame that was handed out.
    #[cfg(feature = "longpoll")]
    pub(super) fn push_front(&mut self, frame: Frame) {
        self.entries.push_front((self.handed_out.flatten(), Entry::Frame(frame)));
    }

    /// How many frames wait, without those in slots.
    #[cfg(feature = "longpoll")]
    pub(super) fn frames_len(&self) -> usize {
        self.entries.len() - self.places
    }

    /// Queues the place of a frame in a slot. Places that have lost their frames to later ones are swept out when there
    /// are too many.
    pub(super) fn push_place(&mut self, place: Turn, slots: &Slots) {
        if self.places > 2 * slots.len() + EMPTY_PLACES {
            self.entries.retain(|(_, entry)| match entry {
                Entry::Frame(_) => true,
                Entry::Place(place) => slots.is_current(place),
            });
            self.places = self.entries.iter().filter(|(_, entry)| matches!(entry, Entry::Place(_))).count();
        }
        self.places += 1;
        self.entries.push_back((None, Entry::Place(place)));
    }

    /// Whether the next entry is the place of a frame in a slot: then [`skim`](Self::skim) is due.
    pub(super) fn has_places(&self) -> bool {
        self.places > 0
    }

    /// Takes away places without a frame that are next.
    pub(super) fn skim(&mut self, slots: &Slots) {
        while let Some((_, Entry::Place(place))) = self.entries.front() {
            if slots.is_current(place) {
                return;
            }
            self.entries.pop_front();
            self.places -= 1;
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The next frame.
    pub(super) fn pop(&mut self, take: impl Fn(&Turn) -> Option<Frame>) -> Option<Frame> {
        while let Some((since, entry)) = self.entries.pop_front() {
            let frame = match entry {
                Entry::Frame(frame) => Some(frame),
                Entry::Place(place) => {
                    self.places -= 1;
                    take(&place)
                }
            };
            if frame.is_some() {
                self.handed_out = Some(since);
                return frame;
            }
        }
        None
    }

    /// Puts frames into the first places, until so many frames stand first; places without a frame are taken away.
    pub(super) fn settle(&mut self, frames: usize, mut take: impl FnMut(&Turn) -> Option<Frame>) {
        let mut at = 0;
        while at < frames
            && let Some((_, entry)) = self.entries.get_mut(at)
        {
            match entry {
                Entry::Frame(_) => at += 1,
                Entry::Place(place) => {
                    self.places -= 1;
                    match take(place) {
                        Some(frame) => *entry = Entry::Frame(frame),
                        None => drop(self.entries.remove(at)),
                    }
                }
            }
        }
    }

    /// The frames that stand first.
    pub(super) fn settled(&self) -> impl Iterator<Item = &Frame> {
        self.entries.iter().map_while(|(_, entry)| match entry {
            Entry::Frame(frame) => Some(frame),
            Entry::Place(_) => None,
        })
    }

    /// Takes the frame that stands first: it was written from here, without being handed out.
    pub(super) fn pop_settled(&mut self) -> Option<Frame> {
        match self.entries.pop_front() {
            Some((_, Entry::Frame(frame))) => Some(frame),
            Some((since, Entry::Place(place))) => {
                self.entries.push_front((since, Entry::Place(place)));
                None
            }
            None => None,
        }
    }

    /// What was handed out is written.
    pub(super) fn written(&mut self) {
        self.handed_out = None;
        if self.entries.is_empty() && self.entries.capacity() > KEEP_CAPACITY_MAX {
            self.entries = VecDeque::new();
        }
    }

    /// What is here now has to stay: notes that it waits since `now`, where nothing earlier was noted.
    pub(super) fn stamp(&mut self, now: Instant) {
        if let Some(since) = &mut self.handed_out {
            since.get_or_insert(now);
        }
        for (since, _) in self.entries.iter_mut().rev() {
            if since.is_some() {
                break;
            }
            *since = Some(now);
        }
    }

    /// Since when the oldest waits, as far as it was noted.
    pub(super) fn oldest(&self) -> Option<Instant> {
        match self.handed_out {
            Some(since) => since,
            None => self.entries.front().and_then(|(since, _)| *since),
        }
    }
}

#[cfg(test)]
mod tests;
