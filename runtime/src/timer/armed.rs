//! The armed timers of one runtime: what is due when, and whose it is.
//!
//! Time comes in as ticks. Nothing here runs or drops what is the user's: it is handed out for that.

use std::collections::HashMap;
use std::num::NonZeroU64;

use super::events::{TimersFull, TimersOf};
use super::payload::{Away, Payload};
use super::slab::{Key, NIL};
use super::wheel::{Step, Wheel};
use super::{TICKS_LATE_MAX, TIMERS_MAX, TIMERS_PER_PROCESS_MAX};
use crate::pid::Pid;
use crate::process::{News, PidHasher};

/// How many timers are moved, sent or taken out under one lock: some microseconds' worth.
const STEPS_PER_LOCK: usize = 64;

/// Below this capacity the map of owners keeps its memory.
const OWNERS_KEEP_MAX: usize = 1_024;

/// How many timers there may be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) timers: usize,
    pub(super) per_process: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self { timers: TIMERS_MAX, per_process: TIMERS_PER_PROCESS_MAX }
    }
}

/// An armed timer, in the list of its process.
struct Timer {
    payload: Box<dyn Payload>,
    owner: Pid,
    prev: u32,
    next: u32,
}

/// A live process that has, or had, timers here.
struct Owner {
    first: u32,
    len: u32,
    /// At its limit since it last had room.
    full: bool,
}

/// A timer that has fired, to be told and dropped outside of the lock.
pub(super) struct Fired {
    pub(super) news: News,
    pub(super) payload: Box<dyn Payload>,
}

/// An interval that is due, with its payload in hand.
pub(super) struct Tick {
    pub(super) key: Key,
    pub(super) owner: Pid,
    pub(super) payload: Box<dyn Payload>,
}

/// How far firing came.
pub(super) enum Progress {
    /// There may be more to do at this tick.
    More,
    /// An interval is due: its message has to be made, outside of the lock, and handed in with `tick`.
    Tick(Tick),
    /// Nothing more until this tick, if ever.
    Idle(Option<u64>),
}

/// A timer that found no room, and what is to be said of it.
pub(super) struct Refused {
    pub(super) payload: Box<dyn Payload>,
    /// The first since there was room.
    pub(super) event: Option<TimersFull>,
}

/// What came of one tick of an interval.
pub(super) struct Ticked {
    pub(super) news: News,
    /// The interval has ended: it was cancelled meanwhile, or its process has ended.
    pub(super) over: bool,
    /// How many ticks are skipped.
    pub(super) skipped: Option<NonZeroU64>,
}

pub(super) struct Armed {
    wheel: Wheel<Timer>,
    owners: HashMap<Pid, Owner, PidHasher>,
    limits: Limits,
    /// At its limit since there was room.
    full: bool,
}

impl Armed {
    pub(super) fn new(limits: Limits) -> Self {
        Self { wheel: Wheel::new(), owners: HashMap::default(), limits, full: false }
    }

    pub(super) fn len(&self) -> usize {
        self.wheel.len()
    }

    pub(super) fn next_wake(&self) -> Option<u64> {
        self.wheel.next_wake()
    }

    /// Arms a timer; says also whether its process is new here, so that its end has to be watched.
    pub(super) fn arm(
        &mut self,
        pid: Pid,
        deadline: u64,
        payload: Box<dyn Payload>,
    ) -> Result<(Key, bool), Refused> {
        if self.wheel.len() >= self.limits.timers {
            let first = !std::mem::replace(&mut self.full, true);
            let event = first.then_some(TimersFull { pid, limit: self.limits.timers, of: TimersOf::Runtime });
            return Err(Refused { payload, event });
        }
        if let Some(owner) = self.owners.get_mut(&pid)
            && owner.len >= self.limits.per_process
        {
            let first = !std::mem::replace(&mut owner.full, true);
            let limit = self.limits.per_process as usize;
            let event = first.then_some(TimersFull { pid, limit, of: TimersOf::Process });
            return Err(Refused { payload, event });
        }
        self.full = false;
        let mut is_new = false;
        let owner = self.owners.entry(pid).or_insert_with(|| {
            is_new = true;
            Owner { first: NIL, len: 0, full: false }
        });
        let timer = Timer { payload, owner: pid, prev: NIL, next: owner.first };
        let key = self.wheel.insert(deadline, timer);
        let next = std::mem::replace(&mut owner.first, key.index());
        owner.len += 1;
        owner.full = false;
        self.edit(next, |next| next.prev = key.index());
        Ok((key, is_new))
    }

    /// When a timer is due; `None` if it is not armed.
    pub(super) fn deadline(&self, key: Key) -> Option<u64> {
        self.wheel.deadline(key)
    }

    /// Takes a timer out, if it is armed: its deadline, and what it would have sent.
    pub(super) fn cancel(&mut self, key: Key) -> Option<(u64, Box<dyn Payload>)> {
        let deadline = self.wheel.deadline(key)?;
        let Timer { payload, owner, prev, next } = self.wheel.remove(key)?;
        let owner = self.owners.get_mut(&owner).expect("invariant: an armed timer's process is known here");
        owner.len -= 1;
        if prev == NIL {
            owner.first = next;
        }
        self.edit(prev, |prev| prev.next = next);
        self.edit(next, |next| next.prev = prev);
        Some((deadline, payload))
    }

    /// Edits the timer in this place, if it is one.
    fn edit(&mut self, index: u32, edit: impl FnOnce(&mut Timer)) {
        if index == NIL {
            return;
        }
        let key = self.wheel.key(index);
        edit(self.wheel.get_mut(key).expect("invariant: the list of a process holds armed timers only"));
    }

    /// Takes timers of a process out, which has ended; says whether some are left.
    pub(super) fn forget(&mut self, pid: Pid, payloads: &mut Vec<Box<dyn Payload>>) -> bool {
        for _ in 0..STEPS_PER_LOCK {
            let Some(first) = self.owners.get(&pid).map(|owner| owner.first).filter(|first| *first != NIL)
            else {
                self.owners.remove(&pid);
                if self.owners.capacity() > self.owners.len().max(OWNERS_KEEP_MAX / 8) * 8 {
                    self.owners.shrink_to(self.owners.len() * 2);
                }
                return false;
            };
            let timer = self.cancel(self.wheel.key(first));
            payloads.extend(timer.map(|(_, payload)| payload));
        }
        true
    }

    /// Takes everything out: the runtime ends.
    pub(super) fn clear(&mut self) -> impl Iterator<Item = Box<dyn Payload>> + use<> {
        self.owners = HashMap::default();
        self.wheel.drain().map(|timer| timer.payload)
    }

    /// Sends what is due by tick `now`, as far as it comes in one go.
    pub(super) fn fire(&mut self, now: u64, fired: &mut Vec<Fired>) -> Progress {
        for _ in 0..STEPS_PER_LOCK {
            let key = match self.wheel.step(now) {
                Step::Due(key) => key,
                Step::Moved => continue,
                Step::Idle => return Progress::Idle(self.wheel.next_wake()),
            };
            if let Some(timer) = self.wheel.get_mut(key)
                && timer.payload.period().is_some()
            {
                let payload = std::mem::replace(&mut timer.payload, Box::new(Away));
                return Progress::Tick(Tick { key, owner: timer.owner, payload });
            }
            if let Some((_, mut payload)) = self.cancel(key) {
                let news = payload.send().news;
                fired.push(Fired { news, payload });
            }
        }
        Progress::More
    }

    /// Sends the message that an interval has made, unless it was cancelled meanwhile, and sets the interval again.
    pub(super) fn tick(&mut self, key: Key, payload: &mut dyn Payload, now: u64) -> Ticked {
        let (Some(deadline), Some(period)) = (self.wheel.deadline(key), payload.period()) else {
            return Ticked { news: News::default(), over: true, skipped: None };
        };
        let sent = payload.send();
        if !sent.alive {
            drop(self.cancel(key)); // the stand-in: nothing of the user's
            return Ticked { news: sent.news, over: true, skipped: None };
        }
        let late = now.saturating_sub(deadline) / period;
        let skipped = late.saturating_sub(TICKS_LATE_MAX);
        self.wheel.set_again(key, deadline.saturating_add(period.saturating_mul(skipped + 1)));
        Ticked { news: sent.news, over: false, skipped: NonZeroU64::new(skipped) }
    }

    /// Puts the payload of an interval back; returned if the interval was cancelled meanwhile.
    pub(super) fn put_back(&mut self, key: Key, payload: Box<dyn Payload>) -> Option<Box<dyn Payload>> {
        match self.wheel.get_mut(key) {
            Some(timer) => {
                timer.payload = payload;
                None
            }
            None => Some(payload),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_armed_timer_costs_one_cache_line_beside_its_message() {
        assert_eq!(super::super::slab::place_bytes::<Timer>(), 64);
    }
}
