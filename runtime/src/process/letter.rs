//! A message to a stable address, and what becomes of it when the incarnation that has it ends.
//!
//! Pure: values and a table.

use std::sync::Arc;

use super::watch::ExitWatcher;
use crate::exit::ExitReason;

/// A message that outlives the incarnation that did not get to it.
pub(crate) struct Letter<M> {
    pub(super) message: M,
    pub(super) envelope: Envelope,
}

/// What a letter is besides its message.
pub(super) struct Envelope {
    /// The caller, if it is a call: hears of the end of the incarnation that takes the message, or that nobody will.
    pub(super) watcher: Option<Arc<dyn ExitWatcher>>,
    /// With which reasons incarnations ended that were at it.
    pub(super) deaths: Vec<ExitReason>,
    pub(super) place: Place,
}

/// Where a letter is, as far as its process knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// In the queue.
    Waiting,
    /// It is the copy of what the incarnation was at when its body ended.
    InHand,
    /// The same, but an exit signal ended the body.
    CutOff,
}

/// What becomes of the copy of a message whose incarnation has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It was handled: the body ended in order.
    Handled,
    /// The next incarnation gets it again.
    Redelivered,
    /// Too many incarnations have ended with it.
    Quarantined,
}

/// The fate of a message that was in hand, or cut off, when its incarnation ended, as the `nth` of `deaths_max` that did.
pub(super) fn fate(reason: &ExitReason, cut_off: bool, nth: usize, deaths_max: u8) -> Fate {
    match (reason.is_orderly(), cut_off, nth >= usize::from(deaths_max)) {
        (true, false, _) => Fate::Handled,
        // Somebody shut the incarnation down: that is nothing against the message.
        (true, true, _) | (false, _, false) => Fate::Redelivered,
        (false, _, true) => Fate::Quarantined,
    }
}

impl<M> Letter<M> {
    pub(super) fn new(message: M, watcher: Option<Arc<dyn ExitWatcher>>) -> Self {
        Self { message, envelope: Envelope { watcher, deaths: Vec::new(), place: Place::Waiting } }
    }
}

impl<M> std::fmt::Debug for Letter<M> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Letter").field("deaths", &self.envelope.deaths).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_end_and_every_count() {
        let boom = ExitReason::custom("boom");
        let table = [
            // reason, cut off, nth, of, fate
            (ExitReason::Normal, false, 1, 1, Fate::Handled),
            (ExitReason::Shutdown, false, 3, 2, Fate::Handled),
            (ExitReason::shutdown_with("left"), false, 1, 2, Fate::Handled),
            (ExitReason::Shutdown, true, 1, 2, Fate::Redelivered),
            (ExitReason::Shutdown, true, 2, 2, Fate::Redelivered),
            (boom.clone(), false, 1, 3, Fate::Redelivered),
            (boom.clone(), true, 2, 3, Fate::Redelivered),
            (boom.clone(), false, 3, 3, Fate::Quarantined),
            (boom.clone(), true, 1, 1, Fate::Quarantined),
            (boom, false, 1, 0, Fate::Quarantined),
            (ExitReason::Killed, true, 1, 2, Fate::Redelivered),
            (ExitReason::Killed, true, 2, 2, Fate::Quarantined),
        ];
        for (reason, cut_off, nth, of, expect) in table {
            assert_eq!(fate(&reason, cut_off, nth, of), expect, "{reason}, cut off {cut_off}, {nth} of {of}");
        }
    }
}
