//! A hierarchical timing wheel: what is due when, with every operation in constant time.
//!
//! Pure: ticks come in as numbers, keys of what is due go out.
//!
//! There are 11 levels of 64 slots. A slot of level `n` is `64^n` ticks wide, so that together they reach as far as
//! a `u64` does. A value lies on the level of the highest digit (to base 64) in which its deadline differs from the
//! tick that the wheel has reached; when the wheel reaches a slot above level 0, its values move down. Thus a value
//! moves at most ten times, and each slot of level 0 holds values of one deadline only, in the order of insertion.

use super::slab::{Key, NIL, Slab};

const LEVELS: usize = 11;
const SLOTS: usize = 64;
const DIGIT_BITS: u32 = 6;

/// The list of what is due already.
const DUE: u16 = (LEVELS * SLOTS) as u16;
/// In no list: given out as due, and not yet removed or set again.
const NOWHERE: u16 = u16::MAX;

/// What one step of the wheel did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// This one is due. It stays in the wheel, in no slot, until it is removed or set again.
    Due(Key),
    /// A value moved down a level; there may be more to do.
    Moved,
    /// Nothing is left to do at this tick.
    Idle,
}

#[derive(Clone, Copy, Debug)]
struct List {
    head: u32,
    tail: u32,
}

/// A slot above level 0 that the wheel has reached and whose values are moving down, one a step.
#[derive(Clone, Copy, Debug)]
struct Cascade {
    list: u16,
    /// Its first tick, and its last.
    start: u64,
    end: u64,
}

/// The wheel. It holds any number of values; limits are its owner's.
#[derive(Debug)]
pub(super) struct Wheel<T> {
    slab: Slab<T>,
    lists: Box<[List]>,
    /// A bit for each slot of a level that holds something.
    occupied: [u64; LEVELS],
    /// The tick that the wheel has reached; all that was due before it was given out.
    elapsed: u64,
    cascade: Option<Cascade>,
}

impl<T> Wheel<T> {
    pub(super) fn new() -> Self {
        Self {
            slab: Slab::new(),
            lists: vec![List { head: NIL, tail: NIL }; LEVELS * SLOTS + 1].into_boxed_slice(),
            occupied: [0; LEVELS],
            elapsed: 0,
            cascade: None,
        }
    }

    /// How many values there are.
    pub(super) fn len(&self) -> usize {
        self.slab.len()
    }

    /// Adds a value that is due at `deadline`; at the next step if that tick is over.
    pub(super) fn insert(&mut self, deadline: u64, value: T) -> Key {
        let key = self.slab.insert(deadline, NOWHERE, value);
        self.file(key.index(), deadline);
        key
    }

    /// Takes a value out, due or not; `None` if it is gone.
    pub(super) fn remove(&mut self, key: Key) -> Option<T> {
        if !self.slab.contains(key) {
            return None;
        }
        self.unlink(key.index());
        self.slab.remove(key.index())
    }

    /// Sets a value again that was given out as due; false if it is gone.
    pub(super) fn set_again(&mut self, key: Key, deadline: u64) -> bool {
        if !self.slab.contains(key) {
            return false;
        }
        self.unlink(key.index());
        self.slab.place_mut(key.index()).deadline = deadline;
        self.file(key.index(), deadline);
        true
    }

    /// When a value is due; `None` if it is gone.
    pub(super) fn deadline(&self, key: Key) -> Option<u64> {
        self.slab.contains(key).then(|| self.slab.place(key.index()).deadline)
    }

    pub(super) fn get_mut(&mut self, key: Key) -> Option<&mut T> {
        if self.slab.contains(key) { self.slab.value_mut(key.index()) } else { None }
    }

    /// The key of the value in this place, which must have one.
    pub(super) fn key(&self, index: u32) -> Key {
        self.slab.key(index)
    }

    /// Every value, in no order; nothing is left.
    pub(super) fn drain(&mut self) -> impl Iterator<Item = T> + use<T> {
        self.lists.fill(List { head: NIL, tail: NIL });
        self.occupied = [0; LEVELS];
        self.cascade = None;
        self.slab.drain()
    }

    /// The tick at which the next step has something to do: no later than the earliest deadline, and earlier only to
    /// move values down, at most once for each level.
    pub(super) fn next_wake(&self) -> Option<u64> {
        if self.slab.len() == 0 {
            return None; // though a slot that came down, and was emptied by removals, may have to be closed yet
        }
        if self.lists[usize::from(DUE)].head != NIL {
            return Some(self.elapsed);
        }
        self.cascade.map(|cascade| cascade.start).or_else(|| self.first_slot().map(|(_, _, start)| start))
    }

    /// Does one thing that is to be done by tick `now`: gives out what is due, earliest deadline first and within one
    /// deadline in the order of insertion, or moves one value down. Call it until it is idle.
    pub(super) fn step(&mut self, now: u64) -> Step {
        if let Some(cascade) = self.cascade {
            return self.move_down(cascade);
        }
        if let Some(index) = self.pop(DUE) {
            return Step::Due(self.slab.key(index));
        }
        let Some((level, slot, start)) = self.first_slot().filter(|(_, _, start)| *start <= now) else {
            self.elapsed = self.elapsed.max(now);
            return Step::Idle;
        };
        let list = list_of(level, slot);
        if level > 0 {
            let cascade = Cascade { list, start, end: start | below(level) };
            self.cascade = Some(cascade);
            return self.move_down(cascade);
        }
        let index = self.pop(list).expect("invariant: a slot whose bit is set holds something");
        if self.lists[usize::from(list)].head == NIL {
            self.elapsed = start;
        }
        Step::Due(self.slab.key(index))
    }

    fn move_down(&mut self, cascade: Cascade) -> Step {
        match self.pop(cascade.list) {
            Some(index) => {
                let list = place(cascade.start, self.slab.place(index).deadline);
                self.push(list, index);
            }
            None => {
                self.elapsed = cascade.start;
                self.cascade = None;
            }
        }
        Step::Moved
    }

    /// The first slot with something in it, and its first tick. Lower levels come before higher ones: all that is on
    /// them shares its higher digits with `elapsed`.
    fn first_slot(&self) -> Option<(usize, usize, u64)> {
        let level = self.occupied.iter().position(|slots| *slots != 0)?;
        let slot = self.occupied[level].trailing_zeros() as usize;
        let start = (self.elapsed & !below(level + 1)) | (slot as u64) << (DIGIT_BITS * level as u32);
        Some((level, slot, start))
    }

    /// Puts a place that is in no list where its deadline belongs.
    fn file(&mut self, index: u32, deadline: u64) {
        let list = match self.cascade {
            // What is in that slot is older and has to come down first.
            Some(cascade) if deadline <= cascade.end => cascade.list,
            Some(_) | None => place(self.elapsed, deadline),
        };
        self.push(list, index);
    }

    fn push(&mut self, list: u16, index: u32) {
        let tail = std::mem::replace(&mut self.lists[usize::from(list)].tail, index);
        let place = self.slab.place_mut(index);
        (place.prev, place.next, place.list) = (tail, NIL, list);
        if tail == NIL {
            self.lists[usize::from(list)].head = index;
            self.mark(list, true);
        } else {
            self.slab.place_mut(tail).next = index;
        }
    }

    fn pop(&mut self, list: u16) -> Option<u32> {
        let head = self.lists[usize::from(list)].head;
        if head == NIL {
            return None;
        }
        self.unlink(head);
        Some(head)
    }

    fn unlink(&mut self, index: u32) {
        let place = self.slab.place_mut(index);
        let (prev, next, list) = (place.prev, place.next, place.list);
        if list == NOWHERE {
            return;
        }
        (place.prev, place.next, place.list) = (NIL, NIL, NOWHERE);
        match prev {
            NIL => self.lists[usize::from(list)].head = next,
            prev => self.slab.place_mut(prev).next = next,
        }
        match next {
            NIL => self.lists[usize::from(list)].tail = prev,
            next => self.slab.place_mut(next).prev = prev,
        }
        if prev == NIL && next == NIL {
            self.mark(list, false);
        }
    }

    fn mark(&mut self, list: u16, holds: bool) {
        if list == DUE {
            return;
        }
        let bit = 1 << (usize::from(list) % SLOTS);
        let slots = &mut self.occupied[usize::from(list) / SLOTS];
        *slots = if holds { *slots | bit } else { *slots & !bit };
    }
}

/// The list for a deadline, seen from the tick `elapsed`.
fn place(elapsed: u64, deadline: u64) -> u16 {
    if deadline <= elapsed {
        return DUE;
    }
    let level = (elapsed ^ deadline).ilog2() / DIGIT_BITS;
    list_of(level as usize, (deadline >> (DIGIT_BITS * level)) as usize % SLOTS)
}

fn list_of(level: usize, slot: usize) -> u16 {
    (level * SLOTS + slot) as u16
}

/// All digits below this level, set.
fn below(level: usize) -> u64 {
    1_u64.checked_shl(DIGIT_BITS * level as u32).map_or(u64::MAX, |bit| bit - 1)
}

#[cfg(test)]
mod tests;
