//! Continuity: what of one sender on one subject arrives twice, out of order or not at all.
//!
//! An engine may repeat, reorder and lose. Here repeated frames are dropped and frames that overtook others wait for them,
//! for a short while; what does not come is a gap. What comes out is in the sender's order, each frame once, with a gap
//! where some are missing.
//!
//! A stream begins at the first frame that is seen, whatever its number: who subscribes late gets what comes from then on. Frames
//! say for how long the sender was quiet before them, so that a first frame needs to wait for earlier ones only if
//! some can still be on their way.
//!
//! Pure: a value; time comes in.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::clock::Instant;

/// How far a frame may overtake others and still be put in order, in frames; beyond that those before it are given up.
pub(super) const REORDER_FRAMES: u64 = 100;

/// For how long a frame waits for those before it.
pub(super) const REORDER_TIME: Duration = Duration::from_millis(100);

/// How many bytes of frames of one stream wait for those before them; beyond that these are given up.
pub(super) const REORDER_BYTES: usize = 4 * 1024 * 1024;

/// The frames of one sender on one subject.
#[derive(Debug)]
pub(super) struct Stream<T> {
    /// The number that comes next; `None` until it is known where the stream begins.
    next: Option<u64>,
    /// Frames that wait for those before them.
    held: BTreeMap<u64, Held<T>>,
    bytes: usize,
}

#[derive(Debug)]
struct Held<T> {
    value: T,
    bytes: usize,
    quiet: Duration,
    since: Instant,
}

/// What comes out of a stream.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Arrival<T> {
    Frame(T),
    /// Frames are missing here.
    Gap,
}

impl<T> Stream<T> {
    pub(super) fn new() -> Self {
        Self { next: None, held: BTreeMap::new(), bytes: 0 }
    }

    /// Takes a frame in; false if it is one that was there before, or comes too late.
    pub(super) fn accept(
        &mut self,
        (seq, quiet): (u64, Duration),
        (value, bytes): (T, usize),
        now: Instant,
        out: &mut impl FnMut(Arrival<T>),
    ) -> bool {
        match self.next {
            Some(next) if seq == next && self.held.is_empty() => {
                self.next = Some(next + 1);
                out(Arrival::Frame(value));
                return true;
            }
            Some(next) if seq < next => return false,
            Some(_) | None if self.held.contains_key(&seq) => return false,
            Some(_) | None => {}
        }
        self.bytes += bytes;
        self.held.insert(seq, Held { value, bytes, quiet, since: now });
        self.settle(now, out);
        true
    }

    /// Gives out what has waited for long enough.
    pub(super) fn expire(&mut self, now: Instant, out: &mut impl FnMut(Arrival<T>)) {
        self.settle(now, out);
    }

    /// Gives out what waits, without what it waits for.
    pub(super) fn give_up(&mut self, out: &mut impl FnMut(Arrival<T>)) {
        for held in self.held.values_mut() {
            held.quiet = REORDER_TIME;
        }
        if let Some(since) = self.held.values().map(|held| held.since).min() {
            self.settle(since, out);
        }
    }

    /// Drops what waits: its sender is gone.
    pub(super) fn clear(&mut self) {
        self.held.clear();
        self.bytes = 0;
    }

    /// How many bytes wait.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// When something will have waited for long enough.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.held.values().map(|held| held.since).min().map(|since| since + REORDER_TIME)
    }

    fn settle(&mut self, now: Instant, out: &mut impl FnMut(Arrival<T>)) {
        while let Some((&seq, first)) = self.held.first_key_value() {
            match self.next {
                Some(next) if seq == next => {}
                // What was sent before it has arrived by now, or won't.
                _ if first.quiet >= REORDER_TIME || self.is_over(now) => {
                    if self.next.is_some() {
                        out(Arrival::Gap);
                    }
                }
                Some(_) | None => return,
            }
            self.next = Some(seq + 1);
            if let Some(held) = self.held.remove(&seq) {
                self.bytes -= held.bytes;
                out(Arrival::Frame(held.value));
            }
        }
    }

    /// Whether the wait for the frames before those that are held has been long enough.
    fn is_over(&self, now: Instant) -> bool {
        let (Some((&first, _)), Some((&last, _))) = (self.held.first_key_value(), self.held.last_key_value())
        else {
            return false;
        };
        last - self.next.unwrap_or(first) >= REORDER_FRAMES
            || self.bytes > REORDER_BYTES
            || self.deadline().is_some_and(|deadline| deadline <= now)
    }
}

#[cfg(test)]
mod tests;
