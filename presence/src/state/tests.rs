//! The laws of deltas and snapshots, by histories that proptest makes; limits, updates and orphans by table.

use std::collections::BTreeSet;
use std::time::Duration;

use heronry::node::{Incarnation, NodeId, NodeName};
use proptest::prelude::*;

use super::*;
use crate::clock::{Fit, Interval};
use crate::delta::{Delta, Log};
use crate::entry::Origin;
use crate::limits::{Limit, TrackerLimits};
use crate::meta::Meta;

impl crate::entry::Holder for u8 {
    fn pid(self) -> Option<heronry::Pid> {
        None
    }
}

fn own(log_changes_min: usize) -> Own<u8> {
    let node = NodeId::new(NodeName::parse("a").unwrap(), Incarnation::new(1));
    Own::new(Origin::new(&node, 1, 0), Some(Log::new(log_changes_min)))
}

fn place(key: u8) -> (Arc<str>, Arc<str>) {
    ("t".into(), key.to_string().into())
}

/// One thing that happens to an owner.
#[derive(Clone, Copy, Debug)]
enum Act {
    Track(u8, u8),
    Update(u8, u8),
    Untrack(u8, u8),
    End(u8),
    /// A delta is made of all since the last one.
    Cut,
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let (holder, key) = (0..4_u8, 0..3_u8);
    let act = prop_oneof![
        4 => (holder.clone(), key.clone()).prop_map(|(holder, key)| Act::Track(holder, key)),
        3 => (holder.clone(), key.clone()).prop_map(|(holder, key)| Act::Update(holder, key)),
        2 => (holder.clone(), key).prop_map(|(holder, key)| Act::Untrack(holder, key)),
        1 => holder.prop_map(Act::End),
        3 => Just(Act::Cut),
    ];
    prop::collection::vec(act, 0..60)
}

/// An owner after all that, and the deltas that it made on the way, of one piece or more each.
fn history(acts: &[Act], bytes_max: usize) -> (Own<u8>, Vec<Delta>) {
    let (mut own, mut deltas, limits) = (own(1_000), Vec::new(), TrackerLimits::default());
    let mut told = 0;
    for (at, act) in acts.iter().chain([&Act::Cut]).enumerate() {
        let meta = Meta::text(&format!(r#"{{"at":{at}}}"#)).unwrap();
        match *act {
            Act::Track(holder, key) => drop(own.track(holder, place(key), &meta, &limits)),
            Act::Update(holder, key) => drop(own.update(holder, place(key), &meta, &limits)),
            Act::Untrack(holder, key) => drop(own.untrack(holder, place(key))),
            Act::End(holder) => drop(own.untrack_all(holder)),
            Act::Cut => {
                while told < own.clock() {
                    let delta = own.since(told, bytes_max).expect("the log holds all");
                    told = delta.interval.to;
                    deltas.push(delta);
                }
            }
        }
    }
    (own, deltas)
}

fn dots<'a>(entries: impl Iterator<Item = &'a Arc<Entry>>) -> BTreeSet<u64> {
    entries.map(|entry| entry.dot().id).collect()
}

/// Applies, and checks that what is seen leads from what there was to what there is.
fn apply(remote: &mut Remote, delta: &Delta) -> Fit {
    let mut there = dots(remote.entries());
    let fit = remote.apply(delta.clone(), |seen| match seen {
        Seen::Join(entry) => assert!(there.insert(entry.dot().id)),
        Seen::Leave(entry) => assert!(there.remove(&entry.dot().id)),
        Seen::Update { old, new } => {
            assert!(there.remove(&old.dot().id));
            assert!(there.insert(new.dot().id));
        }
    });
    assert_eq!(there, dots(remote.entries()));
    fit
}

proptest! {
    #[test]
    fn deltas_in_order_lead_to_what_there_is(acts in acts(), bytes_max in 1..500_usize) {
        let (own, deltas) = history(&acts, bytes_max);
        let mut remote = Remote::default();
        for delta in &deltas {
            prop_assert_eq!(apply(&mut remote, delta), Fit::Next);
            let before = remote.clone();
            // Once more is as good as once.
            prop_assert_eq!(apply(&mut remote, delta), Fit::Known);
            prop_assert_eq!(dots(before.entries()), dots(remote.entries()));
        }
        prop_assert_eq!(remote.clock(), own.clock());
        prop_assert_eq!(dots(remote.entries()), dots(own.entries()));
    }

    #[test]
    fn deltas_in_any_order_lead_there_too_once_what_is_missing_is_asked_for(
        acts in acts(),
        order in prop::collection::vec(any::<prop::sample::Index>(), 0..40),
        bytes_max in 1..500_usize,
    ) {
        let (own, deltas) = history(&acts, bytes_max);
        let mut remote = Remote::default();
        if !deltas.is_empty() {
            for at in order {
                apply(&mut remote, at.get(&deltas));
            }
        }
        while remote.clock() < own.clock() {
            let missing = own.since(remote.clock(), bytes_max).unwrap();
            apply(&mut remote, &missing);
        }
        prop_assert_eq!(dots(remote.entries()), dots(own.entries()));
    }

    #[test]
    fn two_stretches_of_history_are_as_good_as_both_at_once(acts in acts(), split in any::<prop::sample::Index>()) {
        let (own, deltas) = history(&acts, 1);
        let all = own.since(0, usize::MAX).unwrap();
        let mut at_once = Remote::default();
        apply(&mut at_once, &all);
        let mut in_two = Remote::default();
        let middle = deltas.get(split.index(deltas.len().max(1))).map_or(0, |delta| delta.interval.to);
        for delta in deltas.iter().take_while(|delta| delta.interval.to <= middle) {
            apply(&mut in_two, delta);
        }
        apply(&mut in_two, &own.since(middle, usize::MAX).unwrap());
        prop_assert_eq!(dots(at_once.entries()), dots(in_two.entries()));
    }

    #[test]
    fn a_snapshot_in_parts_is_what_there_is(acts in acts(), known in any::<prop::sample::Index>(), bytes_max in 1..500_usize) {
        let (own, deltas) = history(&acts, 1);
        let mut remote = Remote::default();
        let known = known.index(deltas.len() + 1);
        for delta in &deltas[..known] {
            apply(&mut remote, delta);
        }
        let (mut newer, mut after) = (Remote::default(), 0);
        loop {
            let (entries, last) = own.part(after, own.clock(), bytes_max);
            after = entries.last().map_or(after, |entry| entry.dot().id);
            newer.add(entries);
            if last {
                break;
            }
        }
        newer.stamp(own.clock());
        let mut there = dots(remote.entries());
        remote.replace(newer, |seen| match seen {
            Seen::Join(entry) => assert!(there.insert(entry.dot().id)),
            Seen::Leave(entry) => assert!(there.remove(&entry.dot().id)),
            Seen::Update { old, new } => {
                assert!(there.remove(&old.dot().id));
                assert!(there.insert(new.dot().id));
            }
        });
        prop_assert_eq!(&there, &dots(own.entries()));
        prop_assert_eq!(there, dots(remote.entries()));
    }
}

#[test]
fn an_update_is_seen_as_one_however_often_it_happened() {
    let (mut own, limits) = (own(1_000), TrackerLimits::default());
    let meta = |n: u8| Meta::text(&format!(r#"{{"n":{n}}}"#)).unwrap();
    own.track(1, place(1), &meta(0), &limits).unwrap();
    let mut remote = Remote::default();
    apply(&mut remote, &own.since(0, usize::MAX).unwrap());
    for n in 1..4 {
        own.update(1, place(1), &meta(n), &limits).unwrap();
    }
    let mut seen = Vec::new();
    remote.apply(own.since(1, usize::MAX).unwrap(), |change| seen.push(change));
    let [Seen::Update { old, new }] = &seen[..] else { panic!("{seen:?}") };
    assert_eq!((old.meta(), new.meta()), (meta(0), meta(3)));
    assert_eq!(remote.len(), 1);
}

#[test]
fn a_log_forgets_and_says_so() {
    let (mut own, limits) = (own(4), TrackerLimits::default());
    for holder in 0..3 {
        own.track(holder, place(0), &Meta::empty(), &limits).unwrap();
        own.untrack_all(holder);
    }
    assert_eq!(own.clock(), 6);
    assert!(own.since(1, usize::MAX).is_none());
    assert_eq!(own.since(2, usize::MAX).unwrap().interval, Interval { from: 2, to: 6 });
    assert!(own.since(7, usize::MAX).is_none(), "nobody knows more than there is");
}

#[test]
fn every_limit_is_an_error_and_changes_nothing() {
    let meta = Meta::text(r#"{"a":"bcd"}"#).unwrap();
    let limits = TrackerLimits {
        entries_per_process: 2,
        entries_per_topic: 3,
        entries_per_shard: 4,
        meta_bytes: 11,
        key_bytes: 3,
        topic_bytes: 3,
    };
    let mut own = own(10);
    let mut track = |holder: u8, topic: &str, key: &str, meta: &Meta| {
        own.track(holder, (topic.into(), key.into()), meta, &limits).map(drop)
    };
    let refused = |limit, max| Err(Refused::Limit(limit, max));
    assert_eq!(track(1, "t", "a", &meta), Ok(()));
    assert_eq!(track(1, "t", "a", &meta), Err(Refused::Already));
    assert_eq!(track(1, "t", "b", &meta), Ok(()));
    assert_eq!(track(1, "t", "c", &meta), refused(Limit::EntriesPerProcess, 2));
    assert_eq!(track(2, "t", "a", &meta), Ok(()));
    assert_eq!(track(3, "t", "a", &meta), refused(Limit::EntriesPerTopic, 3));
    assert_eq!(track(3, "u", "a", &meta), Ok(()));
    assert_eq!(track(3, "v", "a", &meta), refused(Limit::EntriesPerShard, 4));
    assert_eq!(track(4, "long", "a", &meta), refused(Limit::TopicBytes, 3));
    assert_eq!(track(4, "v", "long", &meta), refused(Limit::KeyBytes, 3));
    assert_eq!(track(4, "v", "a", &Meta::text(r#"{"a":"bcde"}"#).unwrap()), refused(Limit::MetaBytes, 11));
    assert_eq!((own.len(), own.clock()), (4, 4));
    own.untrack_all(1);
    assert!(own.track(1, ("t".into(), "a".into()), &meta, &limits).is_ok(), "what has gone makes room");
}

#[test]
fn who_comes_back_in_time_takes_over_what_was_about_to_leave() {
    let (mut own, limits) = (own(10), TrackerLimits::default());
    let [one, two] = ["1", "2"].map(|n| Meta::text(&format!(r#"{{"n":{n}}}"#)).unwrap());
    let second = Duration::from_secs;
    let first = own.track(1, place(0), &one, &limits).unwrap().entry;
    own.orphan_all(1, second(5));
    assert_eq!(own.held_by(1), 0);
    // The same again: nobody sees anything.
    let again = own.track(2, place(0), &one, &limits).unwrap();
    assert!(again.seen.is_none());
    assert_eq!(again.entry.dot(), first.dot());
    assert!(own.leave(second(5)).is_empty());
    // Another meta: an update.
    own.orphan_all(2, second(10));
    let other = own.track(3, place(0), &two, &limits).unwrap();
    assert!(matches!(other.seen, Some(Seen::Update { .. })));
    // Nobody comes.
    own.orphan_all(3, second(15));
    assert_eq!(own.leaving_at(), Some(second(10)), "one that was taken over is found to be none");
    assert!(own.leave(second(14)).is_empty());
    assert!(matches!(&own.leave(second(15))[..], [Seen::Leave(entry)] if entry.meta() == two));
    assert_eq!((own.len(), own.leaving_at()), (0, None));
}
