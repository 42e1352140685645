//! The writing end of a socket process: what waits for the client, in order, and what the time makes of it.

use std::time::Duration;

use heronry::{Context, telemetry};
use tokio::time::Instant;

use super::events::SocketShed;
use super::outbound::{Outbound, Shed, SocketMsg};
use super::session::End;
use super::slots::Turn;
use super::waiting::Waiting;
use crate::close::CloseCode;
use crate::serializer::Frame;

/// How often a socket reports what was shed.
const SHED_REPORT_EVERY: Duration = Duration::from_secs(1);

/// What waits to be written to one client.
pub(crate) struct Output {
    outbound: Outbound,
    waiting: Waiting,
    /// How long a frame may wait.
    age_max: Duration,
    /// When the next report of what was shed is due.
    report_deadline: Option<Instant>,
    sent: u64,
    /// The first frame is written in part: it waits no more, but must be written to its end.
    begun: bool,
}

impl Output {
    pub(crate) fn new(outbound: Outbound, age_max: Duration) -> Self {
        Self { outbound, waiting: Waiting::default(), age_max, report_deadline: None, sent: 0, begun: false }
    }

    /// How many messages were written.
    pub(crate) fn sent(&self) -> u64 {
        self.sent
    }

    /// Queues a frame that came through the mailbox, where it was counted.
    pub(crate) fn queue(&mut self, frame: Frame) {
        self.waiting.push(frame);
    }

    /// Queues the place of a frame that may be replaced while it waits.
    pub(super) fn queue_place(&mut self, place: Turn) {
        self.outbound.with_slots(|slots| self.waiting.push_place(place, slots));
    }

    /// Queues a frame of the socket process's own.
    pub(crate) fn write(&mut self, frame: Frame) {
        self.outbound.count(&frame);
        self.waiting.push(frame);
    }

    /// Whether something waits to be written.
    pub(crate) fn has_frames(&mut self) -> bool {
        if self.waiting.has_places() {
            self.outbound.with_slots(|slots| self.waiting.skim(slots));
        }
        !self.waiting.is_empty()
    }

    /// The next frame to write.
    #[cfg(any(feature = "longpoll", feature = "testing"))]
    pub(crate) fn pop(&mut self) -> Option<Frame> {
        let outbound = &self.outbound;
        let frame = self.waiting.pop(|place| outbound.with_slots(|slots| slots.take(place)))?;
        outbound.written(&frame);
        self.sent += 1;
        Some(frame)
    }

    /// Decides on the first frames, up to so many: they may not be replaced any more.
    pub(crate) fn settle(&mut self, frames: usize) {
        if self.waiting.has_places() {
            self.outbound.with_slots(|slots| self.waiting.settle(frames, |place| slots.take(place)));
        }
    }

    /// The first frames, as far as they are [settled](Self::settle).
    pub(crate) fn settled(&self) -> impl Iterator<Item = &Frame> {
        self.waiting.settled()
    }

    /// So many of the first frames are written; if one is `begun`, it is the one after them.
    pub(crate) fn advance(&mut self, written: usize, begun: bool) {
        for _ in 0..written {
            let frame = self.waiting.pop_settled().expect("invariant: what was written was settled");
            if !std::mem::take(&mut self.begun) {
                self.outbound.written(&frame);
            }
            self.sent += 1;
        }
        if begun && !std::mem::replace(&mut self.begun, true) {
            let frame = self.waiting.settled().next().expect("invariant: what was begun was settled");
            self.outbound.written(frame);
        }
    }

    /// How many frames wait to be written.
    #[cfg(feature = "longpoll")]
    pub(crate) fn len(&self) -> usize {
        let frames = self.waiting.frames_len();
        if self.waiting.has_places() {
            frames + self.outbound.with_slots(|slots| slots.len())
        } else {
            frames
        }
    }

    /// Takes back frames that were taken to be written and were not.
    #[cfg(feature = "longpoll")]
    pub(crate) fn give_back(&mut self, frames: Vec<Frame>) {
        for frame in frames.into_iter().rev() {
            self.outbound.count(&frame);
            self.sent -= 1;
            self.waiting.push_front(frame);
        }
    }

    /// All that was popped is written, and nothing else waits.
    pub(crate) fn written(&mut self) {
        self.waiting.written();
        self.outbound.caught_up();
    }

    /// Forgets what waits to be written, but for what is begun.
    pub(crate) fn forget(&mut self) {
        let outbound = &self.outbound;
        let begun = if self.begun { self.waiting.pop_settled() } else { None };
        while let Some(frame) = self.waiting.pop(|place| outbound.with_slots(|slots| slots.take(place))) {
            outbound.written(&frame);
        }
        self.waiting.written();
        if let Some(begun) = begun {
            self.waiting.push(begun);
        }
    }

    /// What waits to be written has to stay for now. An error if it has been waiting for too long, by the policy for
    /// that.
    pub(crate) fn stays(&mut self, now: Instant) -> Result<(), End> {
        self.waiting.stamp(now.into_std());
        let age = self.waiting.oldest().map(|oldest| now.into_std().saturating_duration_since(oldest));
        match age {
            Some(age) if age >= self.age_max => {
                if self.outbound.stalled(age) {
                    return Err(Self::too_slow());
                }
            }
            Some(_) | None => self.outbound.caught_up(),
        }
        Ok(())
    }

    /// When what waits to be written will have been waiting for too long.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.waiting.oldest().map(|oldest| Instant::from_std(oldest) + self.age_max)
    }

    /// When the next report of what was shed is due.
    pub(crate) fn report_deadline(&self) -> Option<Instant> {
        self.report_deadline
    }

    /// Something was shed, which is reported unless it was a moment ago.
    pub(crate) fn note_shed(&mut self, ctx: &Context<SocketMsg>) {
        if self.report_deadline.is_none() {
            self.report_shed(ctx);
        }
    }

    /// Reports what was shed since the last time, if anything was.
    pub(crate) fn report_shed(&mut self, ctx: &Context<SocketMsg>) {
        let shed = self.outbound.take_shed();
        self.report_deadline = None;
        if shed != Shed::default() {
            let Shed { dropped, conflated } = shed;
            telemetry::emit(&SocketShed { pid: ctx.pid(), dropped, conflated });
            self.report_deadline = Some(Instant::now() + SHED_REPORT_EVERY);
        }
    }

    /// The end of a client that reads too slowly.
    pub(crate) fn too_slow() -> End {
        End::new(CloseCode::PolicyViolation, "overloaded: the client reads too slowly")
    }
}
