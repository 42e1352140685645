//! Whether a process waits after each message that it takes.
//!
//! Pure: a count.
//!
//! A process that does (it answers, or passes on, and waits again) can say that it waits already as it takes the
//! message, under the lock that it holds then anyway, and need not take it once more to find nothing. If a message comes
//! before it waits, its task has been woken for nothing: so it is left until it has shown the habit anew.

/// After how many polls in a row that took one message and found no other the next wait is foreseen. One in a model, which
/// is to see it among few messages.
const FORESEEN_AFTER: u8 = if cfg!(all(test, heronry_loom)) { 1 } else { 4 };

/// The highest bit: the present wait was foreseen and has not begun.
const FORESEEN: u8 = 0x80;

/// The habit of one process; of none at first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Habit(u8);

impl Habit {
    pub(super) fn from_bits(bits: u8) -> Self {
        Self(bits)
    }

    pub(super) fn to_bits(self) -> u8 {
        self.0
    }

    /// The process asks for a message, as the `nth` time in this poll from 0 on, and nothing has come since it waits.
    #[inline]
    pub(super) fn waits_on(self, nth: u32) -> Self {
        match (self.0 & FORESEEN != 0, nth) {
            (false, _) => self,
            (true, 1) => Self(self.0 & !FORESEEN),
            // It waited for something else first, and may have been woken from that for nothing.
            (true, _) => Self::default(),
        }
    }

    /// The process asks for a message and looks for it. If its wait was foreseen, something came first.
    #[inline]
    pub(super) fn looks(self) -> Self {
        if self.0 & FORESEEN == 0 { self } else { Self::default() }
    }

    /// It finds a message, the last one there: whether its wait is foreseen, and what is known of it then.
    #[inline]
    pub(super) fn takes_last(self, nth: u32) -> Option<Self> {
        (nth == 0 && self.0 == FORESEEN_AFTER).then_some(Self(self.0 | FORESEEN))
    }

    /// It finds nothing, and waits.
    #[inline]
    pub(super) fn waits(self, nth: u32) -> Self {
        match nth {
            // Woken for something else.
            0 => self,
            1 => Self(FORESEEN_AFTER.min(self.0 + 1)),
            _ => Self::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A poll that takes one message and then waits; whether the wait was foreseen.
    fn exchange(habit: &mut Habit) -> bool {
        let foreseen = habit.looks().takes_last(0);
        *habit = foreseen.map_or_else(|| habit.looks().waits(1), |habit| habit.waits_on(1));
        foreseen.is_some()
    }

    fn formed() -> Habit {
        let mut habit = Habit::default();
        for _ in 0..FORESEEN_AFTER {
            assert!(!exchange(&mut habit));
        }
        habit
    }

    #[test]
    fn it_is_formed_by_a_few_exchanges_and_stays() {
        let mut habit = formed();
        for _ in 0..1_000 {
            assert!(exchange(&mut habit));
        }
    }

    #[test]
    fn a_poll_that_finds_nothing_does_not_touch_it() {
        let habit = formed();
        assert_eq!(habit.looks().waits(0), habit);
        assert_eq!(habit.waits_on(0), habit);
    }

    #[test]
    fn what_breaks_it() {
        let foreseen = formed().takes_last(0).unwrap();
        let table = [
            ("two messages in one poll", formed().waits(2)),
            ("a message before the wait", foreseen.looks()),
            ("another wait before it", foreseen.waits_on(0)),
        ];
        for (what, habit) in table {
            assert_eq!(habit, Habit::default(), "{what}");
        }
        assert_eq!(formed().takes_last(1), None);
    }
}
