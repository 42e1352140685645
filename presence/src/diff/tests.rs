//! Changes and the diffs that they make, by a clock that is moved by hand.

use heronry::node::{Incarnation, NodeId, NodeName};

use super::*;
use crate::entry::Origin;
use crate::meta::Meta;

const WINDOW: Duration = Duration::from_millis(20);

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

const NOBODY_LOOKS: Looks = Looks { before: 0, after: 0 };

/// After so many looks.
fn looked(looks: u64) -> Looks {
    Looks { before: looks, after: looks }
}

fn entry(topic: &str, key: &str, id: u64) -> Arc<Entry> {
    let node = NodeId::new(NodeName::parse("a").unwrap(), Incarnation::new(1));
    let dot = Dot { origin: Origin::new(&node, 1, 0), id };
    Arc::new(Entry::new(dot, None, topic.into(), key.into(), &Meta::empty()))
}

fn join(topic: &str, key: &str, id: u64) -> Seen {
    Seen::Join(entry(topic, key, id))
}

fn leave(topic: &str, key: &str, id: u64) -> Seen {
    Seen::Leave(entry(topic, key, id))
}

/// As `topic +joined ids -left ids`.
fn shown(diffs: &[TopicDiff]) -> Vec<String> {
    let ids = |sign: char, entries: &[Arc<Entry>]| {
        entries.iter().map(|entry| format!(" {sign}{}", entry.dot().id)).collect::<String>()
    };
    diffs
        .iter()
        .map(|diff| format!("{}{}{}", diff.topic(), ids('+', diff.joins()), ids('-', diff.leaves())))
        .collect()
}

#[test]
fn the_first_change_is_told_at_once_and_what_follows_together() {
    let mut batch = Batch::new(WINDOW);
    assert_eq!(shown(&batch.add([join("t", "a", 1)], NOBODY_LOOKS, ms(0))), ["t +1"]);
    assert_eq!(shown(&batch.add([join("t", "b", 2)], NOBODY_LOOKS, ms(1))), [""; 0]);
    assert_eq!(
        shown(&batch.add([join("u", "a", 3)], NOBODY_LOOKS, ms(2))),
        ["u +3"],
        "topics do not wait for each other"
    );
    assert_eq!(
        shown(&batch.add([leave("t", "a", 1), join("t", "a", 4)], NOBODY_LOOKS, ms(3))),
        ["t +2 -1"],
        "a key has one step"
    );
    assert_eq!(batch.deadline(), Some(ms(20)));
    assert_eq!(shown(&batch.due(ms(20))), ["t +4"]);
    assert_eq!(
        shown(&batch.add([join("t", "b", 5)], NOBODY_LOOKS, ms(30))),
        [""; 0],
        "the window goes on while things happen"
    );
    assert_eq!(shown(&batch.due(ms(22))), [""; 0]);
    assert_eq!(shown(&batch.due(ms(40))), ["t +5"]);
    assert_eq!(shown(&batch.due(ms(60))), [""; 0]);
    assert_eq!(batch.deadline(), None, "a quiet topic is forgotten");
    assert!(batch.topics.is_empty());
}

#[test]
fn what_one_event_brings_is_one_diff() {
    let mut batch = Batch::new(WINDOW);
    let many = (1..=3).map(|id| join("t", &id.to_string(), id));
    assert_eq!(shown(&batch.add(many, NOBODY_LOOKS, ms(0))), ["t +1 +2 +3"]);
}

#[test]
fn an_update_is_in_both_lists_and_in_a_diff_of_its_own_key() {
    let mut batch = Batch::new(WINDOW);
    batch.add([join("t", "x", 1)], NOBODY_LOOKS, ms(0));
    let update = |old, new| Seen::Update { old: entry("t", "x", old), new: entry("t", "x", new) };
    assert_eq!(shown(&batch.add([update(1, 2)], NOBODY_LOOKS, ms(1))), [""; 0]);
    assert_eq!(shown(&batch.add([update(2, 3)], NOBODY_LOOKS, ms(2))), ["t +2 -1"]);
    assert_eq!(shown(&batch.due(ms(20))), ["t +3 -2"]);
}

#[test]
fn nobody_makes_more_diffs_than_a_window_may_have() {
    let mut batch = Batch::new(WINDOW);
    let mut diffs = batch.add([join("t", "x", 1)], NOBODY_LOOKS, ms(0));
    for id in 1..100 {
        let update = Seen::Update { old: entry("t", "x", id), new: entry("t", "x", id + 1) };
        diffs.extend(batch.add([update], NOBODY_LOOKS, ms(1)));
    }
    assert_eq!(diffs.len(), 1 + DIFFS_PER_WINDOW_MAX as usize);
    assert_eq!(shown(&batch.due(ms(20))), ["t +100 -9"], "what is left is told at the end");
    // A key that came and went meanwhile was never there.
    for id in 200..300 {
        batch.add([join("t", "y", id)], NOBODY_LOOKS, ms(21));
        batch.add([leave("t", "y", id)], NOBODY_LOOKS, ms(21));
    }
    assert_eq!(shown(&batch.due(ms(40))), [""; 0]);
}

#[test]
fn who_was_seen_for_a_moment_is_told_to_have_come_and_gone() {
    let mut batch = Batch::new(WINDOW);
    batch.add([join("t", "x", 1)], looked(0), ms(0));
    // So much happens that no diffs are left in this window.
    for id in 2..30 {
        let update = Seen::Update { old: entry("t", "x", id - 1), new: entry("t", "x", id) };
        batch.add([update], looked(0), ms(1));
    }
    batch.add([join("t", "seen", 101), join("t", "unseen", 102)], looked(0), ms(2));
    batch.add([leave("t", "unseen", 102)], looked(0), ms(3));
    batch.add([leave("t", "seen", 101)], looked(1), ms(4));
    // A look while it was put into the table, or taken out, may have been in time.
    batch.add([join("t", "at once", 103)], Looks { before: 1, after: 2 }, ms(5));
    batch.add([leave("t", "at once", 103)], looked(2), ms(6));
    batch.add([join("t", "at last", 104)], looked(2), ms(7));
    batch.add([leave("t", "at last", 104)], Looks { before: 2, after: 3 }, ms(8));
    assert_eq!(shown(&batch.due(ms(20))), ["t +101 +103 +104 +29 -101 -103 -104 -9"]);
}

#[test]
fn who_was_missed_for_a_moment_is_told_to_have_gone_and_come() {
    let mut batch = Batch::new(WINDOW);
    batch.add([join("t", "a", 1), join("t", "b", 2)], looked(0), ms(0));
    for id in 3..30 {
        batch.add([join("t", "x", id)], looked(0), ms(1));
        batch.add([leave("t", "x", id)], looked(0), ms(1));
    }
    batch.add([leave("t", "a", 1), leave("t", "b", 2)], looked(0), ms(2));
    assert_eq!(shown(&batch.add([join("t", "b", 2)], looked(0), ms(3))), [""; 0], "nobody has seen it");
    assert_eq!(shown(&batch.add([join("t", "a", 1)], looked(1), ms(4))), ["t -1"]);
    assert_eq!(shown(&batch.due(ms(20))), ["t +1"]);
}
