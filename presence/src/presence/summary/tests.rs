//! Windows by a clock that is moved by hand; and what is told of a sample as it changes.

use heronry::node::{Incarnation, NodeId, NodeName};

use super::*;
use crate::entry::Origin;
use crate::meta::Meta;

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn entry(key: &str, id: u64) -> Arc<Entry> {
    let node = NodeId::new(NodeName::parse("a").unwrap(), Incarnation::new(1));
    let dot = Dot { origin: Origin::new(&node, 1, 0), id };
    Arc::new(Entry::new(dot, None, "t".into(), key.into(), &Meta::empty()))
}

#[test]
fn the_first_change_is_told_at_once_and_what_follows_once_a_window() {
    let mut windows = Windows::new(ms(1_000));
    let [t, u] = ["t", "u"].map(Arc::<str>::from);
    assert!(windows.changed(&t, ms(0)));
    assert!((1..100).all(|at| !windows.changed(&t, ms(at))));
    assert!(windows.changed(&u, ms(500)), "topics do not wait for each other");
    assert_eq!(windows.deadline(), Some(ms(1_000)));
    assert!(windows.due(ms(999)).is_empty());
    assert_eq!(windows.due(ms(1_000)), [&*t].map(Arc::<str>::from));
    assert!(windows.due(ms(1_600)).is_empty(), "nothing more has happened in u");
    assert_eq!(windows.deadline(), Some(ms(2_000)));
    assert!(windows.changed(&u, ms(1_700)), "it was quiet for long enough");
    assert!(windows.due(ms(2_000)).is_empty());
    assert!(windows.due(ms(2_700)).is_empty());
    assert!(windows.open.is_empty() && windows.deadline().is_none(), "a quiet topic is forgotten");
}

#[test]
fn what_is_told_is_the_difference() {
    let told_of = |news: &News| {
        let diff = news.diff.as_ref();
        let keys = |presences: &Presences| presences.keys().collect::<Vec<_>>().join(" ");
        (news.count, diff.map(|diff| (keys(&diff.joins), keys(&diff.leaves))))
    };
    let some = |joins: &str, leaves: &str| Some((joins.to_owned(), leaves.to_owned()));
    let mut told = Told::default();
    let [a, b, newer_b, c] = [entry("a", 1), entry("b", 2), entry("b", 3), entry("c", 4)];
    assert_eq!(told_of(&told.update(2, vec![a.clone(), b.clone()])), (Some(2), some("a b", "")));
    assert_eq!(told_of(&told.update(2, vec![a.clone(), b.clone()])), (None, None));
    assert_eq!(told_of(&told.update(9, vec![a.clone(), b.clone()])), (Some(9), None), "beside the sample");
    assert_eq!(told_of(&told.update(9, vec![a, newer_b.clone()])), (None, some("b", "b")), "an update");
    assert_eq!(told_of(&told.update(8, vec![newer_b.clone(), c])), (Some(8), some("c", "a")));
    assert_eq!(told.sample().keys().collect::<Vec<_>>(), ["b", "c"]);
    assert_eq!(told_of(&told.update(0, Vec::new())), (Some(0), some("", "b c")));
}

#[test]
fn who_is_told_another_number_than_the_others_is_told_again() {
    let mut told = Told::default();
    told.update(5, Vec::new());
    told.told_one(5);
    assert_eq!(told.update(5, Vec::new()).count, None);
    // One comes, somebody is told so, and it goes again before the others are told.
    told.told_one(6);
    assert_eq!(told.update(5, Vec::new()).count, Some(5));
}
