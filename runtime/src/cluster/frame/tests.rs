//! Frames byte for byte, what a key signs and what it does not, and that no bytes can do harm.

use proptest::prelude::*;

use super::super::mac::MacKey;
use super::*;
use crate::engine::{Lane, ShardId};
use crate::node::NodeName;

const BEATS: Subject = Subject::Heartbeats;

fn node() -> NodeId {
    NodeId::new(NodeName::parse("a@1").unwrap(), Incarnation::new(0x0102))
}

fn mac(byte: u8) -> Mac {
    Mac::new(MacKey::new(&[byte; 32]).unwrap(), None)
}

fn frame(part: Part, mac: Option<&Mac>) -> Bytes {
    encode(&BEATS, &node(), (7, Duration::from_millis(300), part), (b"pre", b"fix"), mac)
}

#[test]
fn a_frame_has_these_bytes() {
    let golden = b"\x01\x01\x00\x03a@1\0\0\0\0\0\0\x01\x02\0\0\0\0\0\0\0\x07\x01\x2cprefix";
    assert_eq!(frame(Part::Whole, None), &golden[..]);
    let first = b"\x01\x01\x02\x03a@1\0\0\0\0\0\0\x01\x02\0\0\0\0\0\0\0\x07\x01\x2c\0\0\x01\0prefix";
    assert_eq!(frame(Part::First(256), None), &first[..]);
}

#[test]
fn a_frame_is_read_as_it_was_written() {
    for part in [Part::Whole, Part::First(1_000_000), Part::Middle, Part::Last] {
        for mac in [None, Some(mac(1))] {
            let frame = frame(part, mac.as_ref());
            assert!(frame.len() <= 6 + overhead(&node(), mac.as_ref()));
            let decoded = decode(&BEATS, &frame, mac.as_ref()).unwrap();
            let quiet = Duration::from_millis(300);
            let head = Head { name: "a@1", incarnation: Incarnation::new(0x0102), seq: 7, quiet, part };
            assert_eq!(decoded.head, head);
            assert_eq!(&frame[decoded.body], b"prefix");
        }
    }
}

#[test]
fn only_what_the_key_signed_for_this_subject_is_taken() {
    let signed = frame(Part::Whole, Some(&mac(1)));
    let forged = Err(FrameError::Forged);
    assert_eq!(decode(&BEATS, &signed, Some(&mac(2))), forged);
    assert_eq!(decode(&BEATS, &frame(Part::Whole, None), Some(&mac(1))), forged);
    let others = [
        Subject::PubSub(ShardId::new(0).unwrap()),
        Subject::Tracker(0, 0),
        Subject::Inbox(node(), Lane::Control),
        Subject::Inbox(node(), Lane::Data),
    ];
    for other in others {
        assert_eq!(decode(&other, &signed, Some(&mac(1))), forged, "{other:?}");
    }
    for at in 0..signed.len() {
        let mut changed = signed.to_vec();
        changed[at] ^= 1;
        assert!(decode(&BEATS, &changed, Some(&mac(1))).is_err(), "byte {at}");
    }
    // Without a key there is nothing to check it by.
    assert_eq!(
        decode(&BEATS, &signed, None).map(|decoded| signed[decoded.body].to_vec()),
        Ok(b"prefix".to_vec())
    );
}

#[test]
fn keys_are_changed_without_a_break() {
    let key = |byte| MacKey::new(&[byte; 32]).unwrap();
    let steps = [
        Mac::new(key(1), None),
        Mac::new(key(1), Some(key(2))),
        Mac::new(key(2), Some(key(1))),
        Mac::new(key(2), None),
    ];
    for pair in steps.windows(2) {
        for (from, to) in [(&pair[0], &pair[1]), (&pair[1], &pair[0])] {
            assert!(decode(&BEATS, &frame(Part::Whole, Some(from)), Some(to)).is_ok());
        }
    }
    assert!(decode(&BEATS, &frame(Part::Whole, Some(&steps[0])), Some(&steps[3])).is_err());
}

#[test]
fn what_is_no_frame_is_malformed() {
    let good = frame(Part::First(9), None);
    for len in 0..good.len() - 6 {
        assert_eq!(decode(&BEATS, &good[..len], None), Err(FrameError::Malformed), "{len} bytes");
    }
    for (at, byte) in [(0, 2), (1, 0), (2, 8), (3, 65), (3, 200), (4, 0xff)] {
        let mut changed = good.to_vec();
        changed[at] = byte;
        assert_eq!(decode(&BEATS, &changed, None), Err(FrameError::Malformed), "byte {at}");
    }
    let last = encode(&BEATS, &node(), (u64::MAX, Duration::ZERO, Part::Whole), (b"", b""), None);
    assert_eq!(decode(&BEATS, &last, None), Err(FrameError::Malformed));
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), signed in any::<bool>()) {
        let mac = signed.then(|| mac(1));
        let _ = decode(&BEATS, &bytes, mac.as_ref());
        // Behind a right beginning too.
        let whole = [&[1, 1, 0][..], &bytes].concat();
        if let Ok(decoded) = decode(&BEATS, &whole, None) {
            prop_assert!(decoded.body.end == whole.len() && decoded.body.start <= whole.len());
        }
    }
}
