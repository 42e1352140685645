//! Messages as they are on the wire, and bytes that are cut, changed or noise.

use heronry::node::{Incarnation, NodeName};
use proptest::prelude::*;

use super::*;
use crate::meta::Meta;

const HOME: Home = Home { tracker: 0xfeed, shards: 300, shard: 299 };

fn node() -> NodeId {
    NodeId::new(NodeName::parse("a").unwrap(), Incarnation::new(1))
}

fn entry() -> impl Strategy<Value = Arc<Entry>> {
    let meta =
        prop::collection::btree_map(".{0,8}", any::<i32>(), 0..3).prop_map(|map| Meta::json(&map).unwrap());
    (1..u64::MAX, prop::option::of(1..u64::MAX), 0..3_u8, ".{0,10}", meta).prop_map(
        |(id, prev, topic, key, meta)| {
            let dot = Dot { origin: Origin::new(&node(), 7, HOME.shard), id };
            Arc::new(Entry::new(dot, prev, topic.to_string().into(), key.into(), &meta))
        },
    )
}

fn message() -> impl Strategy<Value = Message> {
    let change = prop_oneof![
        (entry(), prop::option::of(1..9_u64)).prop_map(|(entry, replaces)| Change::Add { entry, replaces }),
        any::<u64>().prop_map(Change::Remove),
    ];
    let entries = prop::collection::vec(entry(), 0..6);
    let numbers = (any::<u64>(), any::<u64>(), any::<u64>(), any::<bool>());
    prop_oneof![
        any::<u64>().prop_map(|latest| Message::Beat { generation: 7, latest }),
        (numbers, prop::collection::vec(change, 0..6)).prop_map(|((latest, from, to, reply), changes)| {
            let delta = Delta { interval: Interval { from, to }, changes };
            Message::Delta { generation: 7, latest, reply, delta }
        }),
        (numbers, entries).prop_map(|((latest, stamp, after, last), entries)| {
            Message::Part { generation: 7, latest, part: Part { stamp, after, last, entries } }
        }),
        numbers.prop_map(|(have, stamp, after, resumes)| {
            let resume = resumes.then_some(Resume { stamp, after });
            Message::Ask { generation: 7, have, resume }
        }),
        Just(Message::Bye { generation: 7 }),
    ]
}

proptest! {
    #[test]
    fn what_is_written_is_read(message in message()) {
        let bytes = message.encode(HOME);
        let read = Message::decode(&bytes, &node(), HOME).unwrap();
        prop_assert_eq!(format!("{message:?}"), format!("{read:?}"));
    }

    #[test]
    fn what_is_cut_or_longer_or_changed_is_no_message_or_another(
        message in message(),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let bytes = message.encode(HOME);
        let at = at.index(bytes.len());
        prop_assert!(Message::decode(&bytes[..at], &node(), HOME).is_err());
        let longer = [&bytes[..], &[0]].concat();
        prop_assert!(matches!(Message::decode(&longer, &node(), HOME), Err(MessageError::Malformed)));
        let mut changed = bytes.to_vec();
        changed[at] = byte;
        drop(Message::decode(&changed, &node(), HOME));
    }

    #[test]
    fn noise_is_read_without_a_panic(noise in prop::collection::vec(any::<u8>(), 0..200)) {
        let head = Message::Bye { generation: 0 }.encode(HOME);
        let bytes = [&head[..head.len() - 2], &noise].concat();
        drop(Message::decode(&bytes, &node(), HOME));
        drop(Message::decode(&noise, &node(), HOME));
    }
}

#[test]
fn messages_of_other_trackers_and_formats_are_told_apart() {
    let bytes = Message::Bye { generation: 1 }.encode(HOME);
    let read = |bytes: &[u8], home| Message::decode(bytes, &node(), home).map(drop);
    assert_eq!(read(&bytes, HOME), Ok(()));
    for home in [Home { tracker: 1, ..HOME }, Home { shards: 2, ..HOME }, Home { shard: 0, ..HOME }] {
        assert_eq!(read(&bytes, home), Err(MessageError::Home));
    }
    let mut other = bytes.to_vec();
    other[0] = 2;
    assert_eq!(read(&other, HOME), Err(MessageError::Format));
}

#[test]
fn a_meta_that_is_none_makes_the_message_none() {
    let dot = Dot { origin: Origin::new(&node(), 1, HOME.shard), id: 1 };
    let entry = Arc::new(Entry::new(dot, None, "t".into(), "k".into(), &Meta::text(r#"{"abc":1}"#).unwrap()));
    let part = Part { stamp: 1, after: 0, last: true, entries: vec![entry] };
    let bytes = Message::Part { generation: 1, latest: 1, part }.encode(HOME);
    assert!(Message::decode(&bytes, &node(), HOME).is_ok());
    let at = bytes.windows(5).position(|window| window == b"\"abc\"").unwrap();
    let mut broken = bytes.to_vec();
    broken[at] = b' ';
    assert!(matches!(Message::decode(&broken, &node(), HOME), Err(MessageError::Malformed)));
}
