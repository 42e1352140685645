//! How a process waits for its mailbox, and how it is woken.
//!
//! Almost always what waits is the task itself, which was polled with one waker for all its life. That one is kept beside
//! the lock and never taken out: a wake-up by reference costs one atomic operation of the task, where a waker that is
//! cloned for each wait and used up by each wake-up costs three. In return the task's memory goes with the process's, when
//! its last address does.

use std::task::Waker;

use super::super::habit::Habit;
use crate::sync::OnceLock;
use crate::sync::atomic::{AtomicU8, Ordering};

const NOBODY: u8 = 0;
const TASK: u8 = 1;
const ELSEWHERE: u8 = 2;

#[derive(Default)]
pub(super) struct Wait {
    task: OnceLock<Waker>,
    /// Who waits: written under the lock, and read without it by the process alone.
    who: AtomicU8,
    /// Whether it waits after each message: a [`Habit`], the process's own.
    habit: AtomicU8,
}

/// Who is to be woken, once the lock is given back.
#[must_use = "somebody waits for it"]
pub(super) enum Wake {
    Nobody,
    Task,
    /// Something within the task that has a waker of its own.
    Elsewhere(Waker),
}

impl Wait {
    /// Called by the task before it polls the body for the first time, under the lock: whoever ends the process under it
    /// finds the task, or is found by it.
    pub(super) fn set_task(&self, waker: &Waker) {
        // A process has one task.
        drop(self.task.set(waker.clone()));
    }

    pub(super) fn has_task(&self) -> bool {
        self.task.get().is_some()
    }

    /// Whether this waker is the task's.
    #[inline]
    pub(super) fn is_task(&self, waker: &Waker) -> bool {
        self.task.get().is_some_and(|task| task.will_wake(waker))
    }

    /// Whether the task waits, or has been woken while it was polled and will be polled again: either way it has nothing to
    /// look for before that. (What wakes it is written down under the lock and told after it, so a poll that does not know
    /// of it yet is not the last.)
    #[inline]
    pub(super) fn is_on(&self) -> bool {
        self.who.load(Ordering::Relaxed) == TASK
    }

    /// The task waits from now on. Under the lock, as all that follows.
    #[inline]
    pub(super) fn begin(&self) {
        self.who.store(TASK, Ordering::Relaxed);
    }

    /// Something within the task waits, with a waker of its own.
    pub(super) fn begin_elsewhere(&self) {
        self.who.store(ELSEWHERE, Ordering::Relaxed);
    }

    /// Nobody waits any more; who is to be woken. `elsewhere` gives the other waker.
    #[inline]
    pub(super) fn end(&self, elsewhere: impl FnOnce() -> Option<Waker>) -> Wake {
        let who = self.who.load(Ordering::Relaxed);
        if who == NOBODY {
            return Wake::Nobody;
        }
        self.who.store(NOBODY, Ordering::Relaxed);
        if who == TASK { Wake::Task } else { elsewhere().map_or(Wake::Nobody, Wake::Elsewhere) }
    }

    #[inline]
    pub(super) fn habit(&self) -> Habit {
        Habit::from_bits(self.habit.load(Ordering::Relaxed))
    }

    #[inline]
    pub(super) fn set_habit(&self, habit: Habit) {
        self.habit.store(habit.to_bits(), Ordering::Relaxed);
    }

    /// Without the lock.
    #[inline]
    pub(super) fn wake(&self, wake: Wake) {
        match wake {
            Wake::Nobody => {}
            Wake::Task => self.wake_task(),
            Wake::Elsewhere(waker) => waker.wake(),
        }
    }

    #[inline]
    pub(super) fn wake_task(&self) {
        if let Some(task) = self.task.get() {
            task.wake_by_ref();
        }
    }

    /// The waker, for whoever will wake later and without the process.
    pub(super) fn waker(&self, wake: Wake) -> Option<Waker> {
        match wake {
            Wake::Nobody => None,
            Wake::Task => self.task.get().cloned(),
            Wake::Elsewhere(waker) => Some(waker),
        }
    }
}
