//! Terms as Erlang writes them, and bytes that are none or that lie about their lengths.

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::tests::{almost, fuzz, noise};

fn bytes(tail: &[u8]) -> Vec<u8> {
    [&[131], tail].concat()
}

#[test]
fn each_kind_is_written_as_erlang_does() {
    let int = |int: i128| Term::Int(int);
    let table: &[(Term, &[u8])] = &[
        (int(0), &[97, 0]),
        (int(255), &[97, 255]),
        (int(256), &[98, 0, 0, 1, 0]),
        (int(-1), &[98, 255, 255, 255, 255]),
        (int(i32::MIN.into()), &[98, 128, 0, 0, 0]),
        (int(1 << 31), &[110, 4, 0, 0, 0, 0, 128]),
        (int(-(1 << 40)), &[110, 6, 1, 0, 0, 0, 0, 0, 1]),
        (Term::Float(1.5), &[70, 63, 248, 0, 0, 0, 0, 0, 0]),
        (Term::Atom("ok".into()), &[119, 2, b'o', b'k']),
        (Term::from("hé"), &[109, 0, 0, 0, 3, b'h', 0xc3, 0xa9]),
        (Term::List(vec![]), &[106]),
        (Term::from(vec![1, 2]), &[107, 0, 2, 1, 2]),
        (Term::from(vec![1, 256]), &[108, 0, 0, 0, 2, 97, 1, 98, 0, 0, 1, 0, 106]),
        (Term::Tuple(vec![int(1)]), &[104, 1, 97, 1]),
        (Term::Map(vec![(int(1), int(2))]), &[116, 0, 0, 0, 1, 97, 1, 97, 2]),
    ];
    for (term, want) in table {
        assert_eq!(term.encode().unwrap(), bytes(want), "{term:?}");
        assert_eq!(Term::decode(&bytes(want)).unwrap(), *term);
    }
}

#[test]
fn older_and_longer_forms_are_read() {
    let atom = |name: &str| Term::Atom(name.to_owned());
    let table: &[(&[u8], Term)] = &[
        (&[100, 0, 2, b'o', b'k'], atom("ok")),
        (&[115, 1, 0xe9], atom("é")),
        (&[118, 0, 2, 0xc3, 0xa9], atom("é")),
        (&[105, 0, 0, 0, 1, 97, 1], Term::Tuple(vec![Term::Int(1)])),
        (&[111, 0, 0, 0, 1, 1, 7], Term::Int(-7)),
        (&[110, 3, 0, 7, 0, 0], Term::Int(7)),
        (&[110, 0, 0], Term::Int(0)),
    ];
    for (form, want) in table {
        assert_eq!(Term::decode(&bytes(form)).unwrap(), *want, "{form:?}");
    }
}

#[test]
fn what_is_no_term_is_refused_before_anything_is_allocated() {
    use TermError::{BigInt, Float, LongAtom, Malformed, Unsupported};
    let four_gib = [255, 255, 255, 255];
    let huge = |tag: u8| bytes(&[&[tag], &four_gib[..]].concat());
    let mut table = vec![
        (vec![], Malformed),
        (vec![131], Malformed),
        (vec![130, 97, 1], Malformed),
        (bytes(&[97]), Malformed),
        (bytes(&[97, 1, 0]), Malformed),
        (bytes(&[109, 0, 0, 0, 2, 1]), Malformed),
        (bytes(&[104, 2, 97, 1]), Malformed),
        (bytes(&[108, 0, 0, 0, 1, 97, 1]), Malformed),
        (bytes(&[119, 1, 0xff]), Malformed),
        (bytes(&[110, 1, 2, 1]), Malformed),
        // An improper list, a compressed term, a function, a pid, a bit string.
        (bytes(&[108, 0, 0, 0, 1, 97, 1, 97, 2]), Unsupported(97)),
        (bytes(&[80, 0, 0, 0, 9]), Unsupported(80)),
        (bytes(&[112, 0, 0, 0, 9]), Unsupported(112)),
        (bytes(&[88]), Unsupported(88)),
        (bytes(&[77]), Unsupported(77)),
        (bytes(&[&[110, 17, 0], &[1; 17][..]].concat()), BigInt),
        (bytes(&[&[110, 16, 0], &[255; 16][..]].concat()), BigInt),
        (bytes(&[&[70], &f64::NAN.to_be_bytes()[..]].concat()), Float),
        (bytes(&[&[100, 1, 0], &[b'a'; 256][..]].concat()), LongAtom),
    ];
    table.extend([105, 108, 109, 111, 116].map(|tag| (huge(tag), Malformed)));
    for (form, want) in table {
        assert_eq!(Term::decode(&form), Err(want), "{form:?}");
    }
}

#[test]
fn the_limits_are_the_same_both_ways() {
    let nested = |depth: usize| (1..depth).fold(Term::List(vec![]), |inner, _| Term::List(vec![inner]));
    let deepest = nested(TERM_DEPTH_MAX);
    assert_eq!(Term::decode(&deepest.encode().unwrap()).unwrap(), deepest);
    assert_eq!(nested(TERM_DEPTH_MAX + 1).encode(), Err(TermError::TooDeep));
    let too_deep = bytes(&[&[104, 1].repeat(TERM_DEPTH_MAX)[..], &[106]].concat());
    assert_eq!(Term::decode(&too_deep), Err(TermError::TooDeep));
    assert_eq!(
        Term::decode(&[&[131, 104, 1][..], &[104, 1].repeat(400_000)].concat()),
        Err(TermError::TooDeep)
    );

    let longest = Term::Binary(vec![7; TERM_BYTES_MAX - 6]);
    assert_eq!(Term::decode(&longest.encode().unwrap()).unwrap(), longest);
    assert_eq!(Term::Binary(vec![7; TERM_BYTES_MAX - 5]).encode(), Err(TermError::TooLarge));
    assert_eq!(Term::decode(&vec![131; TERM_BYTES_MAX + 1]), Err(TermError::TooLarge));

    assert!(Term::Atom("é".repeat(255)).encode().is_ok());
    assert_eq!(Term::Atom("a".repeat(256)).encode(), Err(TermError::LongAtom));
    assert_eq!(Term::Float(f64::INFINITY).encode(), Err(TermError::Float));
}

#[test]
fn json_goes_in_and_comes_out() {
    let value = json!({ "a": [1, -2, 2.5, null, true, "x"], "b": { "c": {} }, "u": u64::MAX });
    let term = Term::json(&value).unwrap();
    assert_eq!(term.parse::<Value>().unwrap(), value);
    let elixir =
        Term::Map(vec![(Term::Atom("role".into()), Term::Tuple(vec![Term::Atom("admin".into()), 7.into()]))]);
    assert_eq!(elixir.parse::<Value>().unwrap(), json!({ "role": ["admin", 7] }));
    assert!(elixir.get("role").is_some() && elixir.get("roles").is_none());
    for no_json in
        [Term::Binary(vec![0xff]), Term::Int(1 << 64), Term::Map(vec![(Term::Int(1), Term::nil())])]
    {
        assert!(no_json.parse::<Value>().is_err(), "{no_json:?}");
    }
}

fn any_term() -> impl Strategy<Value = Term> {
    let leaf = prop_oneof![
        any::<i128>().prop_map(Term::Int),
        any::<i64>().prop_map(Term::from),
        any::<u8>().prop_map(Term::from),
        (-1e300..1e300).prop_map(Term::Float),
        ".{0,40}".prop_map(Term::Atom),
        prop::collection::vec(any::<u8>(), 0..40).prop_map(Term::Binary),
    ];
    leaf.prop_recursive(4, 64, 8, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..8).prop_map(Term::List),
            prop::collection::vec(inner.clone(), 0..8).prop_map(Term::Tuple),
            prop::collection::vec((inner.clone(), inner), 0..4).prop_map(Term::Map),
        ]
    })
}

/// How many terms and bytes of data there are in a term.
fn size(term: &Term) -> usize {
    match term {
        Term::Int(_) | Term::Float(_) => 1,
        Term::Atom(text) => text.len(),
        Term::Binary(bytes) => bytes.len(),
        Term::List(inner) | Term::Tuple(inner) => 1 + inner.iter().map(size).sum::<usize>(),
        Term::Map(pairs) => 1 + pairs.iter().map(|(key, value)| size(key) + size(value)).sum::<usize>(),
    }
}

proptest! {
    #![proptest_config(fuzz())]

    #[test]
    fn what_is_written_is_read_back(term in any_term()) {
        prop_assert_eq!(Term::decode(&term.encode().unwrap()).unwrap(), term);
    }

    #[test]
    fn fuzz_any_bytes_are_a_term_or_an_error(bytes in prop_oneof![
        noise().prop_map(|tail| bytes(&tail)),
        almost(any_term().prop_map(|term| term.encode().unwrap())),
    ]) {
        let Ok(term) = Term::decode(&bytes) else { return Ok(()) };
        // What is kept of it costs no more than the bytes that it came in.
        prop_assert!(size(&term) <= bytes.len(), "{} in {} bytes", size(&term), bytes.len());
        let Ok(written) = term.encode() else { return Ok(()) };
        prop_assert_eq!(Term::decode(&written), Ok(term));
    }
}
