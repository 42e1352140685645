//! The bookkeeping of a stream: which items may begin, which result comes next.
//!
//! Pure: positions and results in, steps out.

use std::collections::VecDeque;

/// The items between "begun" and "delivered": never more than `max`, running and buffered together. That bounds both
/// the tasks alive and the results that wait for a slow consumer.
#[derive(Debug)]
pub(super) struct Window<R> {
    max: usize,
    /// How many items have begun; the position of the next one.
    begun: u64,
    running: usize,
    exhausted: bool,
    results: Results<R>,
}

#[derive(Debug)]
enum Results<R> {
    /// A place for each item in the window, in input order.
    Ordered(VecDeque<Option<R>>),
    /// In the order in which they came.
    Unordered(VecDeque<R>),
}

/// What the consumer gets.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step<R> {
    Deliver(R),
    /// The next result is not there yet.
    Wait,
    /// Every item was delivered, and there are no more.
    Done,
}

impl<R> Window<R> {
    pub(super) fn new(max: usize, ordered: bool) -> Self {
        let results =
            if ordered { Results::Ordered(VecDeque::new()) } else { Results::Unordered(VecDeque::new()) };
        Self { max, begun: 0, running: 0, exhausted: false, results }
    }

    /// Whether one more item may begin.
    pub(super) fn has_room(&self) -> bool {
        let occupied = match &self.results {
            Results::Ordered(places) => places.len(),
            Results::Unordered(ready) => ready.len() + self.running,
        };
        !self.exhausted && occupied < self.max
    }

    /// An item begins; its position.
    pub(super) fn begin(&mut self) -> u64 {
        let position = self.begun;
        self.begun += 1;
        self.running += 1;
        match &mut self.results {
            Results::Ordered(places) => places.push_back(None),
            Results::Unordered(_) => {}
        }
        position
    }

    /// There are no more items.
    pub(super) fn exhaust(&mut self) {
        self.exhausted = true;
    }

    /// The item at this position has its result.
    pub(super) fn end(&mut self, position: u64, result: R) {
        self.running -= 1;
        match &mut self.results {
            Results::Ordered(places) => {
                let head = self.begun - places.len() as u64;
                let place = usize::try_from(position - head).ok().and_then(|at| places.get_mut(at));
                *place.expect("invariant: an item has its place until it is delivered") = Some(result);
            }
            Results::Unordered(ready) => ready.push_back(result),
        }
    }

    /// The next result for the consumer.
    pub(super) fn pop(&mut self) -> Step<R> {
        let next = match &mut self.results {
            Results::Ordered(places) => places.pop_front_if(|place| place.is_some()).flatten(),
            Results::Unordered(ready) => ready.pop_front(),
        };
        match next {
            Some(result) => Step::Deliver(result),
            None if self.exhausted && self.running == 0 => Step::Done,
            None => Step::Wait,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_slow_first_item_holds_the_ordered_ones_back_and_no_others() {
        for (ordered, first, second) in
            [(true, Step::Wait, Step::Wait), (false, Step::Deliver(1), Step::Wait)]
        {
            let mut window = Window::new(2, ordered);
            assert_eq!((window.begin(), window.begin()), (0, 1));
            assert!(!window.has_room());
            window.end(1, 1);
            assert!(!window.has_room(), "a buffered result takes up room");
            assert_eq!(window.pop(), first, "ordered {ordered}");
            assert_eq!(window.pop(), second, "ordered {ordered}");
            assert_eq!(window.has_room(), !ordered);
        }
    }

    #[test]
    fn no_items_is_done_and_a_running_one_is_not() {
        let mut window = Window::<u64>::new(1, true);
        assert_eq!(window.pop(), Step::Wait);
        window.begin();
        window.exhaust();
        assert_eq!(window.pop(), Step::Wait);
        window.end(0, 7);
        assert_eq!(window.pop(), Step::Deliver(7));
        assert_eq!(window.pop(), Step::Done);
    }

    proptest! {
        /// Whatever ends when, and whenever the consumer takes: each item once, within the limit, in order if ordered.
        #[test]
        fn each_item_once(
            max in 1..6_usize,
            ordered: bool,
            items in 0..40_u64,
            choices in proptest::collection::vec(any::<(bool, usize)>(), 400),
        ) {
            let mut window = Window::new(max, ordered);
            let mut left = 0..items;
            let mut running: Vec<u64> = Vec::new();
            let mut delivered = Vec::new();
            let mut done = false;
            // After the random part, both sides make progress until the end.
            let drain = std::iter::repeat_n([(true, 0), (false, 0)], 100).flatten();
            for (take, pick) in choices.into_iter().chain(drain) {
                while window.has_room() {
                    match left.next() {
                        Some(item) => {
                            let position = window.begin();
                            prop_assert_eq!(position, item);
                            running.push(position);
                        }
                        None => window.exhaust(),
                    }
                }
                prop_assert!(running.len() <= max);
                if take {
                    match window.pop() {
                        Step::Deliver(item) => delivered.push(item),
                        Step::Wait => prop_assert!(!running.is_empty() || !left.is_empty()),
                        Step::Done => done = true,
                    }
                } else if !running.is_empty() {
                    let position = running.swap_remove(pick % running.len());
                    window.end(position, position);
                }
            }
            prop_assert!(done);
            if !ordered {
                delivered.sort_unstable();
            }
            prop_assert_eq!(delivered, (0..items).collect::<Vec<_>>());
        }
    }
}
