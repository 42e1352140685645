//! What waits for somebody who is slower than what comes: bounded by frames and by bytes. A frame that finds no room is lost, and
//! so are those behind it until half is worked off; in their place stands one gap. Whoever is told of a gap asks for what it
//! missed, so one gap in a while is better than one behind each frame.
//!
//! Pure: a queue.

use std::collections::VecDeque;

use super::Event;

/// How many frames may wait for the receiver of one lane. As many as NATS's client lets wait for one subscription: more than a
/// burst, and less than a second of what a node can take.
pub(super) const INBOUND_FRAMES_MAX: usize = 65_536;

/// How many bytes of frames may wait for the receiver of one lane: what NATS's server lets wait for one client.
pub(super) const INBOUND_BYTES_MAX: usize = 64 * 1024 * 1024;

/// What has come on one lane and was not taken yet.
#[derive(Debug)]
pub(super) struct Backlog<T> {
    waiting: VecDeque<Waiting<T>>,
    frames: usize,
    bytes: usize,
    frames_max: usize,
    bytes_max: usize,
    /// Frames that were lost since the last one that was not.
    missed: u64,
}

#[derive(Debug)]
enum Waiting<T> {
    Frame(T, usize),
    Notice(T),
    Gap(u64),
}

/// What comes out.
#[derive(Debug, PartialEq)]
pub(super) enum Taken<T> {
    /// What was put in.
    Item(T),
    /// So many frames were lost here.
    Missed(u64),
}

impl<T> Backlog<T> {
    /// With the limits of a lane.
    pub(super) fn new() -> Self {
        Self::with_limits(INBOUND_FRAMES_MAX, INBOUND_BYTES_MAX)
    }

    fn with_limits(frames_max: usize, bytes_max: usize) -> Self {
        Self { waiting: VecDeque::new(), frames: 0, bytes: 0, frames_max, bytes_max, missed: 0 }
    }

    /// Puts a frame of that size behind the others; says whether there was room.
    pub(super) fn push(&mut self, frame: T, bytes: usize) -> bool {
        // Once it was full, the limits are half.
        let part = if self.missed > 0 { 2 } else { 1 };
        if self.frames >= self.frames_max / part || self.bytes + bytes > self.bytes_max / part {
            self.missed += 1;
            return false;
        }
        self.own_up();
        self.frames += 1;
        self.bytes += bytes;
        self.waiting.push_back(Waiting::Frame(frame, bytes));
        true
    }

    /// Puts in what must not be lost: it is rare, and its order among the frames is what it is worth.
    pub(super) fn notice(&mut self, notice: T) {
        self.own_up();
        self.waiting.push_back(Waiting::Notice(notice));
    }

    pub(super) fn pop(&mut self) -> Option<Taken<T>> {
        if self.waiting.is_empty() {
            self.own_up();
        }
        Some(match self.waiting.pop_front()? {
            Waiting::Frame(frame, bytes) => {
                self.frames -= 1;
                self.bytes -= bytes;
                Taken::Item(frame)
            }
            Waiting::Notice(notice) => Taken::Item(notice),
            Waiting::Gap(missed) => Taken::Missed(missed),
        })
    }

    fn own_up(&mut self) {
        let missed = std::mem::take(&mut self.missed);
        if missed > 0 {
            self.waiting.push_back(Waiting::Gap(missed));
        }
    }
}

impl Backlog<Event> {
    /// Puts in an event, whichever it is.
    pub(super) fn put(&mut self, event: Event) {
        match &event {
            Event::Frame { frame, .. } => {
                let bytes = frame.len();
                self.push(event, bytes);
            }
            Event::Up(_) | Event::Down(_) | Event::Gap(_) => self.notice(event),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drain(backlog: &mut Backlog<&'static str>) -> Vec<Taken<&'static str>> {
        std::iter::from_fn(|| backlog.pop()).collect()
    }

    #[test]
    fn one_gap_stands_where_frames_were_lost_until_half_was_worked_off() {
        let mut backlog = Backlog::with_limits(4, 1_000);
        assert!(["a", "b", "c", "d"].into_iter().all(|frame| backlog.push(frame, 1)));
        assert!(!backlog.push("lost", 1));
        assert_eq!(backlog.pop(), Some(Taken::Item("a")));
        assert_eq!(backlog.pop(), Some(Taken::Item("b")));
        assert!(!backlog.push("lost too", 1), "there would be room, but a gap is due");
        assert_eq!(backlog.pop(), Some(Taken::Item("c")));
        assert!(backlog.push("e", 1) && backlog.push("f", 1) && backlog.push("g", 1));
        let rest = [Taken::Item("d"), Taken::Missed(2), Taken::Item("e"), Taken::Item("f"), Taken::Item("g")];
        assert_eq!(drain(&mut backlog), rest);
    }

    #[test]
    fn what_was_lost_at_the_end_is_told_when_all_else_is_taken() {
        let mut backlog = Backlog::with_limits(1, 1_000);
        assert!(backlog.push("a", 1));
        assert!(!backlog.push("lost", 1));
        assert_eq!(drain(&mut backlog), [Taken::Item("a"), Taken::Missed(1)]);
        assert_eq!(backlog.pop(), None, "it is told once");
    }

    #[test]
    fn bytes_are_limited_and_notices_are_not() {
        let mut backlog = Backlog::with_limits(10, 4);
        assert!(backlog.push("four", 4));
        assert!(!backlog.push("x", 1));
        backlog.notice("down");
        assert_eq!(drain(&mut backlog), [Taken::Item("four"), Taken::Missed(1), Taken::Item("down")]);
        assert!(backlog.push("room", 4), "what was taken has left its room");
    }
}
