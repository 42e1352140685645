//! How many messages may be under way to an actor: a count with a waker.

use std::task::{Context, Poll, Waker};

use crate::sync::Mutex;

/// Counts what was passed on and not handled yet.
#[derive(Debug)]
pub(super) struct Window {
    limit: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    under_way: usize,
    /// Wakes the one who waits for room.
    waiting: Option<Waker>,
}

impl Window {
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, state: Mutex::default() }
    }

    /// Ready when one more may be passed on.
    pub(super) fn poll_room(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.state.lock();
        if state.under_way < self.limit {
            return Poll::Ready(());
        }
        match &state.waiting {
            Some(waker) if waker.will_wake(cx.waker()) => {}
            _ => state.waiting = Some(cx.waker().clone()),
        }
        Poll::Pending
    }

    /// One was passed on.
    pub(super) fn take(&self) {
        self.state.lock().under_way += 1;
    }

    /// One was handled; one that was never counted does not count below zero. Wakes only when half the room is free: to
    /// wake for each would be a task switch for each.
    pub(super) fn give_back(&self) {
        let mut state = self.state.lock();
        state.under_way = state.under_way.saturating_sub(1);
        if state.under_way > self.limit / 2 {
            return;
        }
        let waiting = state.waiting.take();
        drop(state);
        if let Some(waker) = waiting {
            waker.wake();
        }
    }
}

#[cfg(test)]
mod tests;
