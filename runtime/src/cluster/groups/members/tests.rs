//! Memberships as they are counted, told and limited, and their bytes.

use super::*;
use crate::node::{Incarnation, NodeName};

fn id(at: u64) -> NodeId {
    NodeId::new(NodeName::parse(&format!("n{at}")).unwrap(), Incarnation::new(at))
}

fn name(text: &str) -> Name {
    Name::parse(text.to_owned()).unwrap()
}

fn key(group: &str, member: &str) -> Key {
    Key { group: name(group), member: name(member) }
}

fn changes(out: &mut Vec<Action>) -> Vec<(u64, String, bool, u32)> {
    let changes = out.drain(..).filter_map(|action| match action {
        Action::Changed { node, key, joined, times } => {
            Some((node.incarnation().get(), format!("{}/{}", key.group, key.member), joined, times))
        }
        Action::Send(..) | Action::Overrun(_) => None,
    });
    changes.collect()
}

/// Takes entries of a node that is up, in a batch of this number.
fn tell(members: &mut Members, seq: u64, entries: Vec<(Key, Option<u32>)>, out: &mut Vec<Action>) {
    members.receive(&id(2), links::Packet::batch((9, 1), seq, entries), crate::clock::now(), out);
}

#[test]
fn joins_are_counted_and_told_one_by_one() {
    let (mut members, now, mut out) = (Members::new(id(1)), crate::clock::now(), Vec::new());
    let (a, b) = (key("g", "a"), key("g", "b"));
    assert!(
        members.join(&a, now, &mut out) && members.join(&a, now, &mut out) && members.join(&b, now, &mut out)
    );
    assert_eq!(members.of(&name("g")), [(id(1), name("a")), (id(1), name("a")), (id(1), name("b"))]);
    assert!(members.leave(&a, false, now, &mut out));
    assert!(members.leave(&a, false, now, &mut out) && !members.leave(&a, false, now, &mut out));
    assert!(members.leave(&b, true, now, &mut out));
    let (a, b) = ("g/a".to_owned(), "g/b".to_owned());
    let expect = [
        (1, a.clone(), true, 1),
        (1, a.clone(), true, 1),
        (1, b.clone(), true, 1),
        (1, a.clone(), false, 1),
        (1, a, false, 1),
        (1, b, false, 1),
    ];
    assert_eq!(changes(&mut out), expect);
    assert_eq!((members.groups(), members.ours.len), (vec![], 0));
}

#[test]
fn what_another_node_tells_is_a_change_only_where_it_is_one() {
    let (mut members, now, mut out) = (Members::new(id(1)), crate::clock::now(), Vec::new());
    members.up(&id(2), now, &mut out);
    let a = || key("g", "a");
    tell(&mut members, 1, vec![(a(), Some(3)), (key("h", "b"), None)], &mut out);
    tell(&mut members, 1, vec![(a(), Some(7))], &mut out);
    tell(&mut members, 2, vec![(a(), Some(3))], &mut out);
    tell(&mut members, 3, vec![(a(), Some(1))], &mut out);
    let text = "g/a".to_owned();
    assert_eq!(changes(&mut out), [(2, text.clone(), true, 3), (2, text.clone(), false, 2)]);
    // As often as may be, whatever it says.
    tell(&mut members, 4, vec![(a(), Some(u32::MAX))], &mut out);
    assert_eq!(changes(&mut out), [(2, text.clone(), true, GROUP_JOINS_MAX - 1)]);
    members.down(&id(2), &mut out);
    assert_eq!(changes(&mut out), [(2, text, false, GROUP_JOINS_MAX)]);
    assert_eq!((members.groups(), members.theirs.len()), (vec![], 0));
}

#[test]
fn there_are_no_more_members_than_may_be() {
    let (mut members, now, mut out) = (Members::new(id(1)), crate::clock::now(), Vec::new());
    for n in 0..GROUP_MEMBERS_MAX {
        assert!(members.join(&key("g", &n.to_string()), now, &mut out));
    }
    assert!(!members.join(&key("g", "one more"), now, &mut out));
    for _ in 1..GROUP_JOINS_MAX {
        assert!(members.join(&key("g", "0"), now, &mut out));
    }
    assert!(!members.join(&key("g", "0"), now, &mut out));
    out.clear();
    members.up(&id(2), now, &mut out);
    let entries = (0..=GROUP_MEMBERS_MAX).map(|n| (key("g", &n.to_string()), Some(1))).collect();
    tell(&mut members, 1, entries, &mut out);
    assert_eq!(out.iter().filter(|action| **action == Action::Overrun(id(2))).count(), 1);
    assert_eq!(members.theirs[&id(2)].len, GROUP_MEMBERS_MAX);
}

/// Nodes of two versions talk to each other while a cluster is updated: these bytes don't change.
#[test]
fn what_nodes_tell_has_these_bytes() {
    let packet: Packet = links::Packet::batch((7, 3), 1, vec![(key("g", "a"), Some(2))]);
    let golden = b"\x01\x07\x03\x01\x01\x01\x01g\x01a\x01\x02";
    assert_eq!(crate::codec::encode(&packet).as_deref(), Ok(&golden[..]));
    assert_eq!(crate::codec::decode(golden), Ok(packet));
}
