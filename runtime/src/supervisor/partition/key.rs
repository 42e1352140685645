//! Which partition a key belongs to.
//!
//! Pure: arithmetic.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::num::NonZeroUsize;
use std::sync::Arc;

use crate::name::Name;
use crate::pid::{Pid, Ref};

/// A key that leads to one of the partitions of a [`PartitionSupervisor`](super::PartitionSupervisor), always the same
/// one while their number is the same.
///
/// An integer leads to the partition of its absolute value modulo their number, everything else to that of its hash, as
/// in Elixir. For types without an implementation there is [`Hashed`].
pub trait PartitionKey {
    /// The partition, below `partitions`.
    fn partition(&self, partitions: NonZeroUsize) -> usize;
}

/// A key by its hash.
///
/// ```
/// use heronry::supervisor::{Hashed, PartitionKey};
///
/// let eight = 8.try_into().unwrap();
/// assert_eq!(Hashed(("room", 7)).partition(eight), Hashed(("room", 7)).partition(eight));
/// assert_eq!((-9).partition(eight), 1);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Hashed<T>(pub T);

impl<T: Hash> PartitionKey for Hashed<T> {
    fn partition(&self, partitions: NonZeroUsize) -> usize {
        let mut hasher = DefaultHasher::new();
        self.0.hash(&mut hasher);
        remainder(hasher.finish().into(), partitions)
    }
}

impl<K: PartitionKey + ?Sized> PartitionKey for &K {
    fn partition(&self, partitions: NonZeroUsize) -> usize {
        (**self).partition(partitions)
    }
}

fn remainder(number: u128, partitions: NonZeroUsize) -> usize {
    let rest = number % partitions.get() as u128;
    usize::try_from(rest).expect("invariant: a remainder is below its divisor")
}

macro_rules! integers {
    ($($unsigned:ty, $signed:ty;)*) => {$(
        impl PartitionKey for $unsigned {
            fn partition(&self, partitions: NonZeroUsize) -> usize {
                remainder(*self as u128, partitions)
            }
        }

        impl PartitionKey for $signed {
            fn partition(&self, partitions: NonZeroUsize) -> usize {
                self.unsigned_abs().partition(partitions)
            }
        }
    )*};
}

macro_rules! hashed {
    ($($type:ty),*) => {$(
        impl PartitionKey for $type {
            fn partition(&self, partitions: NonZeroUsize) -> usize {
                Hashed(self).partition(partitions)
            }
        }
    )*};
}

integers! { u8, i8; u16, i16; u32, i32; u64, i64; u128, i128; usize, isize; }
hashed! { str, String, Arc<str>, [u8], Vec<u8>, Name, Pid, Ref }

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(key: impl PartitionKey, partitions: usize) -> usize {
        key.partition(NonZeroUsize::new(partitions).expect("not zero"))
    }

    #[test]
    fn integers_lead_to_the_remainder_of_their_absolute_value() {
        let table = [(0, 3, 0), (1, 3, 1), (2, 3, 2), (3, 3, 0), (-1, 3, 1), (-5, 3, 2), (i64::MIN, 3, 2)];
        for (key, partitions, expect) in table {
            assert_eq!(of(key, partitions), expect, "{key} of {partitions}");
        }
        assert_eq!(of(u128::MAX, 1), 0);
        assert_eq!(of(i8::MIN, 100), 28);
    }

    #[test]
    fn a_text_is_the_same_key_whoever_owns_it() {
        for text in ["", "a", "a room with a view"] {
            let expect = of(text, 1_000);
            let others =
                [of(text.to_owned(), 1_000), of(Arc::<str>::from(text), 1_000), of(Hashed(text), 1_000)];
            assert_eq!(others, [expect; 3], "{text:?}");
        }
    }

    #[test]
    fn hashes_use_all_partitions() {
        let mut hit = [false; 16];
        (0..1_000).for_each(|n: u32| hit[of(Hashed(n), 16)] = true);
        assert_eq!(hit, [true; 16]);
    }

    proptest! {
        #[test]
        fn a_key_stays_below_the_number_of_partitions(text: String, number: i64, partitions in 1_usize..5_000) {
            prop_assert!(of(text, partitions) < partitions);
            prop_assert!(of(number, partitions) < partitions);
        }
    }
}
