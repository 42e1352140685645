//! Parts that make a message, and those that make none.

use super::*;

#[track_caller]
fn check(parts: &[(Part, &'static [u8], Joined)], room: usize) {
    let (mut partial, now) = (None, crate::clock::now());
    for (at, (part, body, expect)) in parts.iter().enumerate() {
        let joined = join(&mut partial, *part, Bytes::from_static(body), room, now);
        assert_eq!(joined, *expect, "part {at}");
    }
    assert!(partial.is_none(), "something is left");
}

fn message(bytes: &'static [u8]) -> Joined {
    Joined::Message(Bytes::from_static(bytes))
}

#[test]
fn parts_become_a_message() {
    check(&[(Part::Whole, b"all", message(b"all"))], 0);
    check(
        &[
            (Part::First(6), b"ab", Joined::More),
            (Part::Middle, b"cd", Joined::More),
            (Part::Last, b"ef", message(b"abcdef")),
        ],
        6,
    );
}

#[test]
fn what_does_not_follow_ends_the_message() {
    let first = (Part::First(6), &b"ab"[..], Joined::More);
    check(&[first_of(&first), (Part::Whole, b"x", message(b"x")), (Part::Last, b"cdef", Joined::Stray)], 9);
    check(&[first_of(&first), first_of(&first), (Part::Last, b"cdef", message(b"abcdef"))], 9);
    check(&[(Part::Middle, b"x", Joined::Stray), (Part::Last, b"x", Joined::Stray)], 9);
}

fn first_of(first: &(Part, &'static [u8], Joined)) -> (Part, &'static [u8], Joined) {
    (first.0, first.1, Joined::More)
}

#[test]
fn a_message_is_as_long_as_it_said() {
    for (part, body) in [(Part::Middle, &b"cdefg"[..]), (Part::Last, b"cdefg"), (Part::Last, b"cde")] {
        check(&[(Part::First(6), b"ab", Joined::More), (part, body, Joined::Stray)], 99);
    }
    check(&[(Part::First(1), b"ab", Joined::Stray)], 99);
    check(&[(Part::First(u32::MAX), b"ab", Joined::Stray)], usize::MAX);
}

#[test]
fn what_finds_no_room_is_dropped() {
    check(&[(Part::First(6), b"ab", Joined::NoRoom)], 1);
    check(&[(Part::First(6), b"ab", Joined::More), (Part::Middle, b"cd", Joined::NoRoom)], 3);
}
