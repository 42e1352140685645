use proptest::prelude::*;
use serde::Deserialize;

use super::*;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Order {
    Cancel,
    Place { id: u64, lines: Vec<(String, i32)>, note: Option<String> },
    Raw(Vec<u8>),
}

fn orders() -> Vec<(Order, &'static [u8])> {
    let lines = vec![("tea".to_owned(), -1), ("milk".to_owned(), 300)];
    vec![
        (Order::Cancel, b"\x01\x00"),
        (
            Order::Place { id: 251, lines, note: None },
            b"\x01\x01\xfb\xfb\x00\x02\x03tea\x01\x04milk\xfb\x58\x02\x00",
        ),
        (Order::Raw(vec![1, 2, 3]), b"\x01\x02\x03\x01\x02\x03"),
    ]
}

/// What another version of this program wrote must be read: these bytes never change while the format byte is the same.
#[test]
fn values_have_these_bytes() {
    for (order, golden) in orders() {
        assert_eq!(encode(&order).as_deref(), Ok(golden), "{order:?}");
        assert_eq!(decode(golden), Ok(order));
    }
}

#[test]
fn what_is_no_value_is_an_error() {
    assert_eq!(decode::<Order>(b""), Err(CodecError::Format));
    assert_eq!(decode::<Order>(b"\x02\x00"), Err(CodecError::Format));
    let is_value = |bytes: &[u8]| matches!(decode::<Order>(bytes), Err(CodecError::Value(_)));
    assert!(is_value(b"\x01"));
    assert!(is_value(b"\x01\x07"), "no such variant");
    assert!(is_value(b"\x01\x00\x00"), "left over");
    for (_, golden) in orders() {
        for len in 1..golden.len() {
            assert!(is_value(&golden[..len]), "{golden:?} cut at {len}");
        }
    }
}

/// A length that lies allocates nothing.
#[test]
fn a_length_beyond_the_limit_is_an_error() {
    let huge = [&b"\x01\x02\xfd"[..], &u64::MAX.to_le_bytes()].concat();
    assert!(decode::<Order>(&huge).is_err());
    let much = [&b"\x01\x02\xfc"[..], &u32::MAX.to_le_bytes()].concat();
    assert!(decode::<Order>(&much).is_err());
    let words = [&b"\x01\xfc"[..], &u32::MAX.to_le_bytes()].concat();
    assert!(decode::<Vec<[u64; 9]>>(&words).is_err());
    let text = "x".repeat(VALUE_BYTES_MAX);
    assert_eq!(encode(&text), Err(CodecError::TooLarge));
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = decode::<Order>(&bytes);
        let _ = decode::<Order>(&[&[1][..], &bytes].concat());
        let _ = decode::<Vec<Vec<String>>>(&[&[1][..], &bytes].concat());
    }

    #[test]
    fn a_value_is_read_as_it_was_written(id in any::<u64>(), lines in any::<Vec<(String, i32)>>(), note in any::<Option<String>>()) {
        let order = Order::Place { id, lines, note };
        prop_assert_eq!(decode(&encode(&order).unwrap()), Ok(order));
    }
}
