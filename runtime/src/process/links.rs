//! The links of one process.
//!
//! Pure: a set. Both ends hold each other's pid; a signal through a link that its receiver has undone is ignored.

use std::collections::HashSet;

use super::table::PidHasher;
use crate::pid::Pid;

/// So many are looked through one by one.
const FEW_MAX: usize = 8;

/// A list while there are few, as almost always: a hash table of one has room for three, and each process has one.
#[derive(Debug)]
pub(crate) enum Links {
    Few(Vec<Pid>),
    Many(HashSet<Pid, PidHasher>),
}

impl Default for Links {
    fn default() -> Self {
        Self::Few(Vec::new())
    }
}

impl Links {
    /// Adds a link; says whether it is new.
    pub(crate) fn insert(&mut self, pid: Pid) -> bool {
        match self {
            Self::Few(few) if few.contains(&pid) => false,
            Self::Few(few) if few.len() < FEW_MAX => {
                if few.capacity() == 0 {
                    // A list grows from nothing to four by itself.
                    few.reserve_exact(1);
                }
                few.push(pid);
                true
            }
            Self::Few(few) => {
                *self = Self::Many(few.drain(..).chain([pid]).collect());
                true
            }
            Self::Many(many) => many.insert(pid),
        }
    }

    /// Removes a link; says whether there was one.
    pub(crate) fn remove(&mut self, pid: Pid) -> bool {
        match self {
            Self::Few(few) => {
                let at = few.iter().position(|other| *other == pid);
                at.map(|at| few.swap_remove(at)).is_some()
            }
            Self::Many(many) => many.remove(&pid),
        }
    }

    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Few(few) => few.len(),
            Self::Many(many) => many.len(),
        }
    }

    pub(crate) fn pids(&self) -> Vec<Pid> {
        match self {
            Self::Few(few) => few.clone(),
            Self::Many(many) => many.iter().copied().collect(),
        }
    }

    pub(crate) fn drain(self) -> impl Iterator<Item = Pid> {
        let (few, many) = match self {
            Self::Few(few) => (few, HashSet::default()),
            Self::Many(many) => (Vec::new(), many),
        };
        few.into_iter().chain(many)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::num::NonZeroU64;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_a_set(steps in prop::collection::vec((any::<bool>(), 1..24_u64), 0..200)) {
            let (mut links, mut model) = (Links::default(), BTreeSet::new());
            for (insert, id) in steps {
                let pid = Pid::new(NonZeroU64::new(id).unwrap());
                if insert {
                    prop_assert_eq!(links.insert(pid), model.insert(pid));
                } else {
                    prop_assert_eq!(links.remove(pid), model.remove(&pid));
                }
                prop_assert_eq!(links.len(), model.len());
                prop_assert_eq!(&links.pids().into_iter().collect::<BTreeSet<_>>(), &model);
            }
            prop_assert_eq!(links.drain().collect::<BTreeSet<_>>(), model);
        }
    }
}
