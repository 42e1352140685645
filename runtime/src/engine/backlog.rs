//! What waits for a receiver that is slower than what comes: bounded by frames and by bytes. A frame that finds no room is
//! lost, and in its place stands a gap.
//!
//! Pure: a queue.

use std::collections::VecDeque;

use super::{Event, Lane};

/// How many frames may wait for the receiver of one lane. As many as NATS's client lets wait for one subscription: more than a
/// burst, and less than a second of what a node can take.
pub(super) const INBOUND_FRAMES_MAX: usize = 65_536;

/// How many bytes of frames may wait for the receiver of one lane: what NATS's server lets wait for one client.
pub(super) const INBOUND_BYTES_MAX: usize = 64 * 1024 * 1024;

/// The events of one lane that its receiver has not taken yet.
#[derive(Debug)]
pub(super) struct Backlog {
    lane: Lane,
    events: VecDeque<Event>,
    frames: usize,
    bytes: usize,
    frames_max: usize,
    bytes_max: usize,
    /// Frames that found no room since the newest event that did.
    missed: u64,
}

impl Backlog {
    pub(super) fn new(lane: Lane, frames_max: usize, bytes_max: usize) -> Self {
        Self { lane, events: VecDeque::new(), frames: 0, bytes: 0, frames_max, bytes_max, missed: 0 }
    }

    /// Puts an event behind the others; says whether there was room. Only frames can be refused: what is told of the link is
    /// rare, and its order among the frames is what it is worth.
    pub(super) fn push(&mut self, event: Event) -> bool {
        if let Event::Frame { frame, .. } = &event {
            if self.frames >= self.frames_max || self.bytes + frame.len() > self.bytes_max {
                self.missed += 1;
                return false;
            }
            self.frames += 1;
            self.bytes += frame.len();
        }
        self.own_up();
        self.events.push_back(event);
        true
    }

    /// The next event, and how many frames were lost right before it if it is the gap that says so.
    pub(super) fn pop(&mut self) -> Option<Event> {
        if self.events.is_empty() {
            self.own_up();
        }
        let event = self.events.pop_front()?;
        if let Event::Frame { frame, .. } = &event {
            self.frames -= 1;
            self.bytes -= frame.len();
        }
        Some(event)
    }

    /// How many frames were lost since the last gap was put in; for telemetry.
    pub(super) fn missed(&self) -> u64 {
        self.missed
    }

    fn own_up(&mut self) {
        if std::mem::take(&mut self.missed) > 0 {
            self.events.push_back(Event::Gap(self.lane));
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::super::Subject;
    use super::*;

    fn frame(text: &'static str) -> Event {
        Event::Frame { subject: Subject::Heartbeats, frame: Bytes::from_static(text.as_bytes()) }
    }

    fn drain(backlog: &mut Backlog) -> Vec<Event> {
        std::iter::from_fn(|| backlog.pop()).collect()
    }

    #[test]
    fn a_gap_stands_where_frames_were_lost() {
        let mut backlog = Backlog::new(Lane::Control, 2, 1_000);
        assert!(backlog.push(frame("a")) && backlog.push(frame("b")));
        assert!(!backlog.push(frame("lost")) && !backlog.push(frame("lost too")));
        assert_eq!(backlog.missed(), 2);
        assert_eq!(backlog.pop(), Some(frame("a")));
        assert!(backlog.push(frame("c")));
        assert_eq!(drain(&mut backlog), [frame("b"), Event::Gap(Lane::Control), frame("c")]);
        assert_eq!(backlog.pop(), None);
    }

    #[test]
    fn what_was_lost_at_the_end_is_told_when_all_else_is_taken() {
        let mut backlog = Backlog::new(Lane::Data, 1, 1_000);
        assert!(backlog.push(frame("a")));
        assert!(!backlog.push(frame("lost")));
        assert_eq!(drain(&mut backlog), [frame("a"), Event::Gap(Lane::Data)]);
        assert_eq!(backlog.missed(), 0);
    }

    #[test]
    fn bytes_are_limited_and_what_is_told_of_the_link_is_not() {
        let mut backlog = Backlog::new(Lane::Data, 10, 4);
        assert!(backlog.push(frame("four")));
        assert!(!backlog.push(frame("x")));
        assert!(backlog.push(Event::Down(Lane::Data)));
        assert_eq!(drain(&mut backlog), [frame("four"), Event::Gap(Lane::Data), Event::Down(Lane::Data)]);
        assert!(backlog.push(frame("room")), "what was taken has left its room");
    }
}
