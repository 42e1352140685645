//! The queue by itself: order, conflation, age, and that empty places do not pile up.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use super::*;
use crate::message::Broadcast;
use crate::socket::overload::{Conflation, Key};

struct Queue {
    waiting: Waiting,
    slots: RefCell<Slots>,
    plain: u64,
    now: Instant,
}

impl Queue {
    fn new() -> Self {
        let now = tokio::time::Instant::now().into_std();
        Self { waiting: Waiting::default(), slots: RefCell::default(), plain: 0, now }
    }

    fn frame(text: &str) -> Frame {
        Frame::Text(text.into())
    }

    fn key(key: u32) -> Arc<Key> {
        let payload = json!({ "key": key }).into();
        let broadcast = Broadcast { topic: "t".into(), event: "e".into(), payload };
        Arc::new(Conflation::new().by_key("e", "key").key(&broadcast).expect("it is declared"))
    }

    fn push(&mut self, text: &str) {
        self.waiting.push(Self::frame(text));
    }

    fn replace(&mut self, key: u32, text: &str) {
        self.plain += 1;
        self.put(key, text);
    }

    /// As `replace`, with nothing else queued since the last time.
    fn put(&mut self, key: u32, text: &str) {
        let place = self.slots.get_mut().put(&Self::key(key), Self::frame(text), self.plain);
        if let Some(place) = place {
            self.waiting.push_place(place, self.slots.get_mut());
        }
    }

    fn stamp(&mut self) {
        self.waiting.stamp(self.now);
    }

    fn pop(&mut self) -> Option<String> {
        let slots = &self.slots;
        match self.waiting.pop(|place| slots.borrow_mut().take(place)) {
            Some(Frame::Text(text)) => Some(text.to_string()),
            Some(Frame::Binary(_)) => unreachable!("all are text"),
            None => None,
        }
    }

    fn drain(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.pop()).collect()
    }
}

#[test]
fn what_comes_out_is_what_went_in_less_what_is_out_of_date() {
    let mut queue = Queue::new();
    queue.replace(1, "1a");
    queue.push("x");
    queue.replace(2, "2a");
    queue.replace(1, "1b");
    queue.push("y");
    queue.replace(3, "3a");
    queue.replace(2, "2b");
    queue.replace(2, "2c");
    assert_eq!(queue.drain(), ["x", "1b", "y", "3a", "2c"]);
    assert_eq!(queue.slots.get_mut().len(), 0);
    queue.replace(1, "1c");
    assert_eq!(queue.drain(), ["1c"], "what was written is not what the next one replaces");
}

#[test]
fn the_newest_of_all_is_replaced_where_it_is() {
    let mut queue = Queue::new();
    queue.replace(1, "1");
    for n in 0..1_000 {
        queue.put(2, &n.to_string());
    }
    assert_eq!(queue.waiting.entries.len(), 2);
    assert_eq!(queue.drain(), ["1", "999"]);
    queue.put(2, "again");
    assert_eq!(queue.drain(), ["again"]);
}

#[test]
fn empty_places_do_not_pile_up() {
    let mut queue = Queue::new();
    queue.push("x");
    for n in 0..10_000 {
        queue.replace(n % 5, &n.to_string());
        assert!(queue.waiting.entries.len() < 2 * 5 + EMPTY_PLACES + 3, "{}", queue.waiting.entries.len());
    }
    assert_eq!(queue.drain(), ["x", "9995", "9996", "9997", "9998", "9999"]);
    assert_eq!(queue.waiting.places, 0);
}

#[test]
fn places_without_a_frame_are_no_output() {
    let mut queue = Queue::new();
    queue.replace(1, "1a");
    queue.replace(1, "1b");
    queue.waiting.skim(queue.slots.get_mut());
    assert!(!queue.waiting.is_empty());
    assert_eq!(queue.pop().as_deref(), Some("1b"));
    queue.waiting.skim(queue.slots.get_mut());
    assert!(queue.waiting.is_empty() && !queue.waiting.has_places());
}

#[test]
fn the_age_is_that_of_the_oldest_that_is_not_known_to_be_written() {
    let mut queue = Queue::new();
    let start = queue.now;
    assert_eq!(queue.waiting.oldest(), None);
    queue.push("a");
    assert_eq!(queue.waiting.oldest(), None, "it may be gone in a moment");
    queue.stamp();
    queue.now += Duration::from_secs(1);
    queue.push("b");
    queue.stamp();
    assert_eq!(queue.waiting.oldest(), Some(start));
    queue.pop();
    assert_eq!(queue.waiting.oldest(), Some(start), "it is still on its way");
    queue.waiting.written();
    assert_eq!(queue.waiting.oldest(), Some(start + Duration::from_secs(1)));
    queue.pop();
    queue.waiting.written();
    assert_eq!(queue.waiting.oldest(), None);
    // What was handed out and stays counts from when it was seen to stay.
    queue.push("c");
    queue.pop();
    queue.stamp();
    assert_eq!(queue.waiting.oldest(), Some(start + Duration::from_secs(1)));
    queue.waiting.written();
    // A frame is as old as itself, not as the one that it replaced.
    queue.replace(1, "old");
    queue.stamp();
    queue.now += Duration::from_secs(1);
    queue.replace(1, "new");
    queue.stamp();
    queue.waiting.skim(queue.slots.get_mut());
    assert_eq!(queue.waiting.oldest(), Some(start + Duration::from_secs(2)));
}

#[test]
fn a_storm_leaves_no_memory_behind() {
    let mut waiting = Waiting::default();
    for n in 0..100 {
        waiting.push(Queue::frame(&n.to_string()));
    }
    while waiting.pop(|_| None).is_some() {}
    waiting.written();
    assert_eq!(waiting.entries.capacity(), 0);
}
