//! Frames that wait to be written to a broker: bounded by number and by bytes, and worth nothing once they are old.
//!
//! Pure: a queue; the time comes in.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;

use super::super::Subject;
use crate::clock::Instant;

/// How many frames wait for the broker on one lane; more are refused as `Full`. A third of a second of a busy node.
pub const OUTBOUND_FRAMES_MAX: usize = 16_384;

/// How many bytes of frames wait for the broker on one lane; more are refused as `Full`.
pub const OUTBOUND_BYTES_MAX: usize = 16 * 1024 * 1024;

/// How long a frame may wait; older ones are dropped and not sent, since who would get them has asked for the state anew.
pub const FRAME_AGE_MAX: Duration = Duration::from_secs(2);

/// How many frames are written at once.
const BATCH_FRAMES_MAX: usize = 512;

/// How many bytes are written at once, unless a single frame is larger: this is what the client of a broker may hold beside the
/// queue.
const BATCH_BYTES_MAX: usize = 256 * 1024;

#[derive(Debug, Default)]
pub(super) struct Outbound {
    frames: VecDeque<Outgoing>,
    bytes: usize,
}

#[derive(Debug)]
struct Outgoing {
    subject: Subject,
    frame: Bytes,
    taken_at: Instant,
}

/// What is to be written now.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Batch {
    pub(super) frames: Vec<(Subject, Bytes)>,
    /// How many were dropped for their age.
    pub(super) stale: u64,
}

impl Outbound {
    /// Takes a frame; says whether there was room.
    pub(super) fn push(&mut self, subject: &Subject, frame: Bytes, now: Instant) -> bool {
        if self.frames.len() >= OUTBOUND_FRAMES_MAX || self.bytes + frame.len() > OUTBOUND_BYTES_MAX {
            return false;
        }
        self.bytes += frame.len();
        self.frames.push_back(Outgoing { subject: subject.clone(), frame, taken_at: now });
        true
    }

    /// Takes out the next frames.
    pub(super) fn batch(&mut self, now: Instant) -> Batch {
        let mut batch = Batch::default();
        let mut bytes = 0;
        while batch.frames.len() < BATCH_FRAMES_MAX
            && bytes < BATCH_BYTES_MAX
            && let Some(next) = self.frames.pop_front()
        {
            self.bytes -= next.frame.len();
            if now.duration_since(next.taken_at) > FRAME_AGE_MAX {
                batch.stale += 1;
            } else {
                bytes += next.frame.len();
                batch.frames.push((next.subject, next.frame));
            }
        }
        batch
    }

    pub(super) fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// Drops everything; says how many frames that were.
    pub(super) fn clear(&mut self) -> u64 {
        self.bytes = 0;
        let dropped = std::mem::take(&mut self.frames);
        dropped.len() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(outbound: &mut Outbound, frame: &Bytes, now: Instant) -> usize {
        (0..).take_while(|_| outbound.push(&Subject::Heartbeats, frame.clone(), now)).count()
    }

    #[tokio::test(start_paused = true)]
    async fn frames_and_bytes_are_limited() {
        let now = crate::clock::now();
        let mut outbound = Outbound::default();
        assert_eq!(fill(&mut outbound, &Bytes::new(), now), OUTBOUND_FRAMES_MAX);
        assert_eq!(outbound.clear(), OUTBOUND_FRAMES_MAX as u64);
        let megabyte = Bytes::from(vec![0; 1024 * 1024]);
        assert_eq!(fill(&mut outbound, &megabyte, now), 16);
        assert_eq!(outbound.batch(now).frames.len(), 1, "one frame may be more than a batch");
        assert_eq!(fill(&mut outbound, &megabyte, now), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_old_is_not_sent() {
        let now = crate::clock::now();
        let mut outbound = Outbound::default();
        outbound.push(&Subject::Heartbeats, "old".into(), now);
        outbound.push(&Subject::Tracker(1, 1), "new".into(), now + Duration::from_millis(1));
        let batch = outbound.batch(now + FRAME_AGE_MAX + Duration::from_millis(1));
        assert_eq!(batch, Batch { frames: vec![(Subject::Tracker(1, 1), "new".into())], stale: 1 });
        assert!(outbound.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_batch_is_limited_and_in_order() {
        let now = crate::clock::now();
        let mut outbound = Outbound::default();
        for n in 0..1_000_u32 {
            outbound.push(&Subject::Heartbeats, Bytes::copy_from_slice(&n.to_be_bytes()), now);
        }
        let (first, second) = (outbound.batch(now).frames, outbound.batch(now).frames);
        assert_eq!((first.len(), second.len()), (512, 488));
        let numbers = first
            .iter()
            .chain(&second)
            .map(|(_, frame)| u32::from_be_bytes((**frame).try_into().expect("four bytes")));
        assert!(numbers.eq(0..1_000));
    }
}
