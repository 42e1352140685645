//! What a long-poll session does about each poll, each publish and the time: who is answered with what, and when the
//! session is over.
//!
//! Pure: requests and times in, answers out. `P` and `D` are where the answers to a poll and to a publish go, `L` is a
//! line of a publish.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// A session that is not polled for one and a half windows is over.
pub(super) fn inactivity(window: Duration) -> Duration {
    window + window / 2
}

/// The polls and publishes of one session.
#[derive(Debug)]
pub(super) struct LongPoll<P, D, L> {
    window: Duration,
    /// The poll that waits for messages, and when it is answered without any.
    poll: Option<(P, Instant)>,
    /// When the last poll ended.
    polled: Instant,
    publish: Option<Publish<D, L>>,
}

#[derive(Debug)]
struct Publish<D, L> {
    done: D,
    lines: VecDeque<L>,
    /// When the line under way has had its time.
    deadline: Instant,
}

/// What is next for a publish.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step<D, L> {
    /// There is none, or it has to wait.
    Wait,
    /// Handle this line.
    Line(L),
    /// All lines are handled: answer it.
    Done(D),
}

/// What the time has brought.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Due<P, D> {
    Nothing,
    /// The window of this poll is over: it is answered without messages.
    Window(P),
    /// A line of this publish took longer than the window: it is answered so, and what followed the line is dropped.
    TimedOut(D),
    /// The session is over.
    Inactive,
}

impl<P, D, L> LongPoll<P, D, L> {
    /// A session that begins now; to have opened it counts as a poll.
    pub(super) fn new(window: Duration, now: Instant) -> Self {
        Self { window, poll: None, polled: now, publish: None }
    }

    /// A poll has come; it waits until it is taken. Given back is an earlier one that waited: only the latest gets
    /// messages.
    pub(super) fn poll(&mut self, poll: P, now: Instant) -> Option<P> {
        self.poll.replace((poll, now + self.window)).map(|(earlier, _)| earlier)
    }

    pub(super) fn is_polled(&self) -> bool {
        self.poll.is_some()
    }

    /// The poll that waits, to be answered with messages.
    pub(super) fn take_poll(&mut self, now: Instant) -> Option<P> {
        let (poll, _) = self.poll.take()?;
        self.polled = now;
        Some(poll)
    }

    /// A publish has come. There is one at a time: given back is an earlier one, which there should not be.
    pub(super) fn publish(&mut self, done: D, lines: impl IntoIterator<Item = L>, now: Instant) -> Option<D> {
        let publish = Publish { done, lines: lines.into_iter().collect(), deadline: now + self.window };
        self.publish.replace(publish).map(|earlier| earlier.done)
    }

    /// What is next for the publish. `handled` is whether all lines so far are, and `may_read` whether another one may
    /// be handed over.
    pub(super) fn step(&mut self, handled: bool, may_read: bool, now: Instant) -> Step<D, L> {
        let Some(publish) = self.publish.as_mut().filter(|_| handled) else { return Step::Wait };
        if publish.lines.is_empty() {
            return self.publish.take().map_or(Step::Wait, |publish| Step::Done(publish.done));
        }
        if !may_read {
            return Step::Wait;
        }
        publish.deadline = now + self.window;
        publish.lines.pop_front().map_or(Step::Wait, Step::Line)
    }

    /// When [`due`](Self::due) has something to say next.
    pub(super) fn deadline(&self) -> Instant {
        let poll = match &self.poll {
            Some((_, deadline)) => *deadline,
            None => self.polled + inactivity(self.window),
        };
        self.publish.as_ref().map_or(poll, |publish| publish.deadline.min(poll))
    }

    /// What is due by now; to be asked until it is nothing.
    pub(super) fn due(&mut self, now: Instant) -> Due<P, D> {
        if let Some(publish) = self.publish.take_if(|publish| now >= publish.deadline) {
            return Due::TimedOut(publish.done);
        }
        match &self.poll {
            Some((_, deadline)) if now >= *deadline => self.take_poll(now).map_or(Due::Nothing, Due::Window),
            Some(_) => Due::Nothing,
            None if now >= self.polled + inactivity(self.window) => Due::Inactive,
            None => Due::Nothing,
        }
    }
}

#[cfg(test)]
mod tests;
