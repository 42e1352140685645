//! What the fuzz targets of this crate share.
//!
//! `HERONRY_FUZZ_CASES=100000 cargo test -p heronry-channels fuzz` is a longer run. A failure prints the smallest input
//! that it was found to fail for, and `PROPTEST_RNG_SEED` repeats a whole run.

use proptest::prelude::*;

/// Cases of a target, unless `HERONRY_FUZZ_CASES` says otherwise.
const CASES_DEFAULT: u32 = 256;

/// The configuration of a fuzz target.
pub(crate) fn fuzz() -> ProptestConfig {
    let wanted = std::env::var("HERONRY_FUZZ_CASES").ok();
    let cases = wanted.map_or(CASES_DEFAULT, |cases| cases.parse().expect("HERONRY_FUZZ_CASES is a number"));
    ProptestConfig { cases, ..ProptestConfig::default() }
}

/// Any bytes.
pub(crate) fn noise() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..400)
}

type Index = prop::sample::Index;

/// One change to an input that was right: what it does, where, and with what.
#[derive(Clone, Debug)]
enum Edit {
    Replace(Index, u8),
    Insert(Index, Vec<u8>),
    Cut(Index),
    /// A part is there so many times more.
    Repeat(Index, Index, usize),
}

/// Inputs that are almost right: they reach further into a parser than noise does.
pub(crate) fn almost(right: impl Strategy<Value = Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    let edit = prop_oneof![
        4 => (any::<Index>(), any::<u8>()).prop_map(|(at, byte)| Edit::Replace(at, byte)),
        2 => (any::<Index>(), prop::collection::vec(any::<u8>(), 1..5)).prop_map(|(at, bytes)| Edit::Insert(at, bytes)),
        1 => any::<Index>().prop_map(Edit::Cut),
        1 => (any::<Index>(), any::<Index>(), 1..50_usize).prop_map(|(from, to, times)| Edit::Repeat(from, to, times)),
    ];
    (right, prop::collection::vec(edit, 0..6)).prop_map(|(mut bytes, edits)| {
        for edit in edits {
            apply(&mut bytes, edit);
        }
        bytes
    })
}

fn apply(bytes: &mut Vec<u8>, edit: Edit) {
    let at = |index: &Index, len: usize| index.index(len + 1);
    let len = bytes.len();
    match edit {
        Edit::Replace(index, byte) => {
            if len > 0 {
                bytes[index.index(len)] = byte;
            }
        }
        Edit::Insert(index, more) => {
            let at = at(&index, len);
            bytes.splice(at..at, more);
        }
        Edit::Cut(index) => bytes.truncate(at(&index, len)),
        Edit::Repeat(from, to, times) => {
            let (from, to) = (at(&from, len), at(&to, len));
            let part = bytes[from.min(to)..from.max(to)].repeat(times);
            bytes.splice(from..from, part);
            // A few of these in a row must not make megabytes.
            bytes.truncate(20_000);
        }
    }
}
