//! How an application comes to its end: what was asked and what has happened in, what is to be done out.
//!
//! Pure: the shell in `application.rs` carries it out.

use std::fmt;
use std::time::Duration;

use crate::clock::Instant;
use crate::exit::ExitReason;

/// A signal of the operating system that asks a program to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Signal {
    /// Ctrl-C, `SIGINT`.
    Interrupt,
    /// What a service manager sends, `SIGTERM`.
    Terminate,
}

impl Signal {
    /// The number that it has on every Unix.
    pub fn number(self) -> u8 {
        match self {
            Self::Interrupt => 2,
            Self::Terminate => 15,
        }
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Interrupt => "SIGINT",
            Self::Terminate => "SIGTERM",
        })
    }
}

/// How an application ended.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Outcome {
    /// It was asked to stop, and did.
    Stopped,
    /// Its root supervisor ended without being asked, or not in order when it was, for this reason.
    GaveUp(ExitReason),
    /// It did not stop within its deadline; what was left of it was killed.
    Overdue,
    /// It was told to stop at once, by a second signal (this one) or by [`stop_now`](super::StopHandle::stop_now).
    Forced(Option<Signal>),
}

impl Outcome {
    /// The exit status that tells of it: 0 for [`Stopped`](Self::Stopped), 128 and the signal's number for one that was
    /// forced by a signal (as a shell has it), 1 for all else.
    pub fn status(&self) -> u8 {
        match self {
            Self::Stopped => 0,
            Self::Forced(Some(signal)) => 128 + signal.number(),
            Self::GaveUp(_) | Self::Overdue | Self::Forced(None) => 1,
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stopped => f.write_str("stopped"),
            Self::GaveUp(reason) => write!(f, "its root supervisor gave up: {reason}"),
            Self::Overdue => f.write_str("it did not stop within its deadline and was killed"),
            Self::Forced(Some(signal)) => write!(f, "a second signal, {signal}, stopped it at once"),
            Self::Forced(None) => f.write_str("it was stopped at once"),
        }
    }
}

/// What somebody outside asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ask {
    Stop,
    Now,
    Signal(Signal),
}

impl fmt::Display for Ask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stop | Self::Now => f.write_str("it was asked to"),
            Self::Signal(signal) => signal.fmt(f),
        }
    }
}

/// What has happened.
#[derive(Clone, Debug)]
pub(super) enum Event {
    Ask(Ask),
    /// The drain hooks have come to their end.
    Drained,
    /// The root supervisor has ended.
    TreeEnded(ExitReason),
    /// Time has passed.
    Tick,
}

/// What is to be done, in this order.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Action {
    /// Run the drain hooks.
    Drain(Ask),
    /// Give up the drain hooks that have not ended: their time is up.
    DrainOverdue,
    /// Give up the drain hooks that have not ended: nothing is left to drain, or to wait for.
    AbandonDrain,
    /// Have the root supervisor stop its children.
    StopTree,
    /// Kill the root supervisor.
    KillTree,
    /// It is over.
    End(Outcome),
}

/// How long each phase may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deadlines {
    pub(super) drain: Duration,
    pub(super) stop: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Phase {
    Running,
    /// Until then, or for ever if that is longer than time itself.
    Draining(Option<Instant>),
    Stopping(Option<Instant>),
    Ended,
}

/// Where an application is on its way.
#[derive(Debug)]
pub(super) struct Shutdown {
    deadlines: Deadlines,
    phase: Phase,
    /// Whether a signal has come before: the next one is meant.
    signalled: bool,
}

impl Shutdown {
    pub(super) fn new(deadlines: Deadlines) -> Self {
        Self { deadlines, phase: Phase::Running, signalled: false }
    }

    /// When the next tick is due.
    pub(super) fn deadline(&self) -> Option<Instant> {
        match self.phase {
            Phase::Draining(until) | Phase::Stopping(until) => until,
            Phase::Running | Phase::Ended => None,
        }
    }

    pub(super) fn on(&mut self, event: Event, now: Instant) -> Vec<Action> {
        match (self.phase, event) {
            (Phase::Ended, _) => Vec::new(),
            (_, Event::Ask(ask)) => self.asked(ask, now),
            (Phase::Running, Event::TreeEnded(reason)) => self.end(Outcome::GaveUp(reason)),
            (Phase::Draining(_), Event::TreeEnded(reason)) => self.end(Outcome::GaveUp(reason)),
            (Phase::Stopping(_), Event::TreeEnded(reason)) if reason.is_orderly() => {
                self.end(Outcome::Stopped)
            }
            (Phase::Stopping(_), Event::TreeEnded(reason)) => self.end(Outcome::GaveUp(reason)),
            (Phase::Draining(_), Event::Drained) => self.stop(now),
            (Phase::Draining(until), Event::Tick) if is_over(until, now) => {
                let mut actions = vec![Action::DrainOverdue];
                actions.extend(self.stop(now));
                actions
            }
            (Phase::Stopping(until), Event::Tick) if is_over(until, now) => self.end(Outcome::Overdue),
            (Phase::Running | Phase::Stopping(_), Event::Drained)
            | (Phase::Running | Phase::Draining(_) | Phase::Stopping(_), Event::Tick) => Vec::new(),
        }
    }

    fn asked(&mut self, ask: Ask, now: Instant) -> Vec<Action> {
        let again = match ask {
            Ask::Signal(_) => std::mem::replace(&mut self.signalled, true),
            Ask::Stop | Ask::Now => false,
        };
        match (ask, self.phase) {
            (Ask::Now, _) => self.end(Outcome::Forced(None)),
            (Ask::Signal(signal), _) if again => self.end(Outcome::Forced(Some(signal))),
            (Ask::Stop | Ask::Signal(_), Phase::Running) => {
                self.phase = Phase::Draining(now.checked_add(self.deadlines.drain));
                vec![Action::Drain(ask)]
            }
            // It is under way.
            (Ask::Stop | Ask::Signal(_), Phase::Draining(_) | Phase::Stopping(_) | Phase::Ended) => {
                Vec::new()
            }
        }
    }

    fn stop(&mut self, now: Instant) -> Vec<Action> {
        self.phase = Phase::Stopping(now.checked_add(self.deadlines.stop));
        vec![Action::StopTree]
    }

    fn end(&mut self, outcome: Outcome) -> Vec<Action> {
        let mut actions = Vec::new();
        match std::mem::replace(&mut self.phase, Phase::Ended) {
            Phase::Draining(_) => actions.push(Action::AbandonDrain),
            Phase::Running | Phase::Stopping(_) | Phase::Ended => {}
        }
        match outcome {
            Outcome::Overdue | Outcome::Forced(_) => actions.push(Action::KillTree),
            Outcome::Stopped | Outcome::GaveUp(_) => {}
        }
        actions.push(Action::End(outcome));
        actions
    }
}

fn is_over(until: Option<Instant>, now: Instant) -> bool {
    until.is_some_and(|until| now >= until)
}

#[cfg(test)]
mod tests;
