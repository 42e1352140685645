//! What publishers and the session of one lane share: whether the link is up, what waits to be written, what is wanted.

use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Notify;

use super::super::events::{DropCause, FramesDropped, FramesRefused, LinkDown, LinkUp};
use super::super::{Lane, PublishError, Subject};
use super::interest::{Changes, Interest};
use super::outbound::{Batch, Outbound};
use super::refusals::{Refusals, Told};
use crate::clock::{self, Instant};
use crate::node::NodeId;
use crate::sync::Mutex;
use crate::telemetry;

#[derive(Debug)]
pub(super) struct Link {
    node: NodeId,
    lane: Lane,
    state: Mutex<State>,
    /// There is something to write.
    outgoing: Notify,
    /// There is something for the session to look at: interests, a new receiver, the end.
    control: Notify,
}

#[derive(Debug)]
struct State {
    phase: Phase,
    payload_max: usize,
    outbound: Outbound,
    interest: Interest,
    refusals: Refusals,
    /// A receiver came that has to be told that the link is up.
    announce: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Down,
    Up,
    /// Nothing is taken any more; what was taken is written until then.
    Stopping(Instant),
}

impl Link {
    /// A link that is down, of a node whose frames are never larger than this.
    pub(super) fn new(node: NodeId, lane: Lane, payload_max: usize) -> Self {
        let state = State {
            phase: Phase::Down,
            payload_max,
            outbound: Outbound::default(),
            interest: Interest::default(),
            refusals: Refusals::default(),
            announce: false,
        };
        Self { node, lane, state: Mutex::new(state), outgoing: Notify::new(), control: Notify::new() }
    }

    pub(super) fn lane(&self) -> Lane {
        self.lane
    }

    pub(super) fn publish(&self, subject: &Subject, frame: Bytes) -> Result<(), PublishError> {
        let now = clock::now();
        let (result, told) = {
            let mut state = self.state.lock();
            let result = state.take(subject, frame, now);
            let told = match &result {
                Ok(()) => [state.refusals.over(), None],
                // A frame that is too large says nothing of the link, and one after the end is no news.
                Err(PublishError::TooLarge { .. } | PublishError::Stopped) => [None, None],
                Err(error @ (PublishError::Full | PublishError::Disconnected)) => {
                    state.refusals.refuse(error)
                }
            };
            (result, told)
        };
        if result.is_ok() {
            self.outgoing.notify_one();
        }
        told.into_iter().flatten().for_each(|told| self.tell_refused(told));
        result
    }

    pub(super) fn set_interest(&self, subject: &Subject, wanted: bool) {
        if self.state.lock().interest.set(subject, wanted, clock::now()) {
            self.control.notify_one();
        }
    }

    /// A receiver came: it is told that the link is up, if it is.
    pub(super) fn announce(&self) {
        self.state.lock().announce = true;
        self.control.notify_one();
    }

    /// Stops it, unless it was; when it has to end.
    pub(super) fn stop(&self, deadline: Duration) -> Instant {
        let end = {
            let mut state = self.state.lock();
            match state.phase {
                Phase::Stopping(end) => return end,
                Phase::Down | Phase::Up => {}
            }
            let end = clock::now().checked_add(deadline).unwrap_or_else(clock::now);
            state.phase = Phase::Stopping(end);
            end
        };
        self.outgoing.notify_one();
        self.control.notify_one();
        end
    }

    /// When it has to end, once it was stopped.
    pub(super) fn stopping(&self) -> Option<Instant> {
        match self.state.lock().phase {
            Phase::Stopping(end) => Some(end),
            Phase::Down | Phase::Up => None,
        }
    }

    /// Waits for something to look at.
    pub(super) async fn changed(&self) {
        self.control.notified().await;
    }

    /// Whether a receiver waits to be told that the link is up.
    pub(super) fn take_announcement(&self) -> bool {
        std::mem::take(&mut self.state.lock().announce)
    }

    pub(super) fn changes(&self) -> Changes {
        self.state.lock().interest.changes(clock::now())
    }

    pub(super) fn renew(&self) -> Vec<Subject> {
        self.state.lock().interest.renew()
    }

    /// From now on frames are taken, of up to this size.
    pub(super) fn up(&self, payload_max: usize) {
        let told = {
            let mut state = self.state.lock();
            state.payload_max = payload_max;
            state.announce = false;
            if state.phase != Phase::Down {
                return;
            }
            state.phase = Phase::Up;
            state.refusals.over()
        };
        told.into_iter().for_each(|told| self.tell_refused(told));
        telemetry::emit(&LinkUp { node: self.node.clone(), lane: self.lane });
    }

    /// From now on frames are refused; those that wait are dropped.
    pub(super) fn down(&self, reason: String) {
        let dropped = {
            let mut state = self.state.lock();
            if state.phase == Phase::Up {
                state.phase = Phase::Down;
            }
            state.outbound.clear()
        };
        telemetry::emit(&LinkDown { node: self.node.clone(), lane: self.lane, reason });
        self.tell_dropped(DropCause::LinkDown, dropped);
    }

    /// Waits for frames to write; `None` once it was stopped and all is written.
    pub(super) async fn batch(&self) -> Option<Vec<(Subject, Bytes)>> {
        loop {
            let (Batch { frames, stale }, over) = {
                let mut state = self.state.lock();
                (state.outbound.batch(clock::now()), state.outbound.is_empty() && state.is_stopping())
            };
            self.tell_dropped(DropCause::Stale, stale);
            if !frames.is_empty() {
                return Some(frames);
            }
            if over {
                return None;
            }
            if stale == 0 {
                self.outgoing.notified().await;
            }
        }
    }

    pub(super) fn tell_dropped(&self, cause: DropCause, count: u64) {
        if count > 0 {
            telemetry::emit(&FramesDropped { node: self.node.clone(), lane: self.lane, cause, count });
        }
    }

    fn tell_refused(&self, (error, count): Told) {
        telemetry::emit(&FramesRefused { node: self.node.clone(), lane: self.lane, error, count });
    }
}

impl State {
    fn is_stopping(&self) -> bool {
        match self.phase {
            Phase::Stopping(_) => true,
            Phase::Down | Phase::Up => false,
        }
    }

    fn take(&mut self, subject: &Subject, frame: Bytes, now: Instant) -> Result<(), PublishError> {
        match self.phase {
            Phase::Stopping(_) => return Err(PublishError::Stopped),
            Phase::Down => return Err(PublishError::Disconnected),
            Phase::Up => {}
        }
        if frame.len() > self.payload_max {
            return Err(PublishError::TooLarge { bytes: frame.len(), limit: self.payload_max });
        }
        if self.outbound.push(subject, frame, now) { Ok(()) } else { Err(PublishError::Full) }
    }
}
