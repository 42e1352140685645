//! Which keys of a topic are drawn, as they come and go.

use heronry::node::{Incarnation, NodeId, NodeName};

use super::*;
use crate::entry::Origin;
use crate::meta::Meta;

fn entry(key: usize, id: u64) -> Arc<Entry> {
    let node = NodeId::new(NodeName::parse("a").unwrap(), Incarnation::new(1));
    let dot = Dot { origin: Origin::new(&node, 1, 0), id };
    Arc::new(Entry::new(dot, None, "t".into(), key.to_string().into(), &Meta::empty()))
}

fn drawn(table: &Table, keys_max: usize) -> Vec<String> {
    let key = |entry: &Arc<Entry>| entry.key().to_owned();
    table.look_to_draw("t", |topic| topic.drawn(keys_max, 1).iter().map(key).collect())
}

fn join(table: &Table, key: usize, id: u64) {
    table.apply(&[Seen::Join(entry(key, id))]);
}

fn leave(table: &Table, key: usize, id: u64) {
    table.apply(&[Seen::Leave(entry(key, id))]);
}

#[test]
fn who_is_drawn_stays_and_who_leaves_is_replaced_by_the_next() {
    let table = Table::default();
    (0..1_000).for_each(|key| join(&table, key, key as u64));
    let before = drawn(&table, 20);
    assert_eq!(before.len(), 20);
    assert_eq!(before[..10], drawn(&table, 10), "a smaller sample is a part of a larger one");
    let other = Table::default();
    (0..1_000).rev().for_each(|key| join(&other, key, key as u64 + 5));
    assert_eq!(drawn(&other, 20), before, "it does not matter in which order they came, nor where");

    let beside = (0..1_000).find(|key| !drawn(&table, 100).contains(&key.to_string())).unwrap();
    leave(&table, beside, beside as u64);
    assert_eq!(drawn(&table, 20), before);
    let next = drawn(&table, 21);
    let gone: usize = before[3].parse().unwrap();
    leave(&table, gone, gone as u64);
    assert_eq!(drawn(&table, 20), [&next[..3], &next[4..]].concat());
    join(&table, gone, 5_000);
    assert_eq!(drawn(&table, 20), before, "its lot is what it was");
}

#[test]
fn all_are_as_likely_to_be_drawn() {
    let mut often = [0_u32; 10];
    for topic in 0..1_000 {
        let table = Table::default();
        let entries = (0..10).map(|key| {
            let plain = entry(key, key as u64);
            let topic = format!("room:{topic}").into();
            Seen::Join(Arc::new(Entry::new(
                plain.dot(),
                None,
                topic,
                format!("user-{key}").into(),
                &Meta::empty(),
            )))
        });
        table.apply(&entries.collect::<Vec<_>>());
        let key = table.look_to_draw(&format!("room:{topic}"), |topic| topic.drawn(1, 1)[0].key().to_owned());
        often[key.trim_start_matches("user-").parse::<usize>().unwrap()] += 1;
    }
    // One in ten of a thousand, give or take five standard deviations.
    assert!(often.iter().all(|often| (52..148).contains(often)), "{often:?}");
}

#[test]
fn of_each_key_there_are_so_many_metas_and_an_empty_topic_has_none() {
    let table = Table::default();
    assert!(drawn(&table, 5).is_empty());
    for id in 0..6 {
        join(&table, id as usize % 2, id);
    }
    let ids = |metas_max| {
        let mut ids: Vec<_> = table.look_to_draw("t", |topic| {
            topic.drawn(5, metas_max).iter().map(|entry| entry.dot().id).collect()
        });
        ids.sort_unstable();
        ids
    };
    assert_eq!(ids(2), [0, 1, 2, 3]);
    leave(&table, 0, 0);
    assert_eq!(ids(2), [1, 2, 3, 4]);
    (1..6).for_each(|id| leave(&table, id as usize % 2, id));
    assert!(ids(2).is_empty());
    join(&table, 0, 7);
    assert_eq!(ids(2), [7]);
}
