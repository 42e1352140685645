//! What came and was not asserted yet, in order; and how it is shown when an assertion fails.
//!
//! Pure: a queue.

use std::collections::VecDeque;
use std::fmt::{Debug, Write};
use std::ops::ControlFlow;
use std::time::Duration;

/// How many messages a failure shows: the newest, as in ExUnit.
const SHOWN_MAX: usize = 10;

/// A queue that is searched from the front; an entry is empty only while it is looked at.
#[derive(Debug)]
pub(super) struct Waiting<T> {
    entries: VecDeque<Option<T>>,
}

impl<T> Waiting<T> {
    pub(super) fn new() -> Self {
        Self { entries: VecDeque::new() }
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn push(&mut self, entry: T) {
        self.entries.push_back(Some(entry));
    }

    /// Removes the first at which `wanted` breaks; the others stay, in order. Those before `seen` were looked at before.
    pub(super) fn take<R>(
        &mut self,
        seen: &mut usize,
        wanted: &mut impl FnMut(T) -> ControlFlow<R, T>,
    ) -> Option<R> {
        while let Some(slot) = self.entries.get_mut(*seen) {
            match slot.take().map(&mut *wanted) {
                Some(ControlFlow::Break(found)) => {
                    self.entries.remove(*seen);
                    return Some(found);
                }
                Some(ControlFlow::Continue(entry)) => *slot = Some(entry),
                None => {}
            }
            *seen += 1;
        }
        None
    }

    /// Removes what `goes` accepts.
    pub(super) fn discard(&mut self, mut goes: impl FnMut(&T) -> bool) {
        self.entries.retain(|entry| !entry.as_ref().is_some_and(&mut goes));
    }

    pub(super) fn drain(&mut self) -> impl Iterator<Item = T> {
        self.entries.drain(..).flatten()
    }

    /// What an assertion says that found nothing in `time`; `of` names the place, `show` writes one entry.
    pub(super) fn no_match<'a, D: Debug + 'a>(
        &'a self,
        pattern: &str,
        time: Duration,
        of: &str,
        show: impl Fn(&'a T) -> D,
    ) -> String {
        let mut text = format!("Assertion failed, no matching message after {time:?}\npattern: {pattern}\n");
        let (all, shown) = (self.len(), self.len().min(SHOWN_MAX));
        // Writing to a string does not fail.
        let _ = match all {
            0 => write!(text, "The {of} is empty."),
            1 => write!(text, "Showing 1 of 1 message in the {of}:"),
            all => write!(text, "Showing {shown} of {all} messages in the {of}:"),
        };
        for entry in self.entries.iter().skip(all - shown).flatten() {
            let _ = write!(text, "\n  {:?}", show(entry));
        }
        text
    }
}

/// What a refutation says that found something.
pub(super) fn unexpected(pattern: &str, found: &dyn Debug) -> String {
    format!("Unexpectedly received message {found:?}, which matched {pattern}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(entries: &[u32]) -> Waiting<u32> {
        let mut waiting = Waiting::new();
        entries.iter().for_each(|entry| waiting.push(*entry));
        waiting
    }

    #[test]
    fn the_first_match_goes_and_the_others_stay_in_order() {
        let mut waiting = of(&[1, 2, 3, 4]);
        let mut even =
            |n: u32| if n.is_multiple_of(2) { ControlFlow::Break(n * 10) } else { ControlFlow::Continue(n) };
        let mut seen = 0;
        assert_eq!(waiting.take(&mut seen, &mut even), Some(20));
        assert_eq!(waiting.take(&mut seen, &mut even), Some(40));
        assert_eq!(waiting.take(&mut seen, &mut even), None);
        waiting.push(6);
        assert_eq!(waiting.take(&mut seen, &mut even), Some(60), "what is new is looked at");
        waiting.push(5);
        waiting.discard(|n| *n == 3);
        assert_eq!(waiting.drain().collect::<Vec<_>>(), [1, 5]);
    }

    #[test]
    fn a_failure_shows_the_pattern_and_the_newest_ten() {
        let show =
            |entries: &[u32]| of(entries).no_match("Some(_)", Duration::from_millis(100), "mailbox", |n| n);
        let head = "Assertion failed, no matching message after 100ms\npattern: Some(_)\n";
        assert_eq!(show(&[]), format!("{head}The mailbox is empty."));
        assert_eq!(show(&[7]), format!("{head}Showing 1 of 1 message in the mailbox:\n  7"));
        let many = show(&(0..12).collect::<Vec<_>>());
        assert!(many.contains("Showing 10 of 12 messages in the mailbox:\n  2\n  3\n"), "{many}");
        assert!(many.ends_with("\n  11"), "{many}");
    }
}
