//! A map for what is almost always one entry or two: a list while there are few, a hash table when there are many.
//!
//! Pure: a container. A hash table of one entry has room for four, and there are two of them on every connection.

use std::collections::HashMap;
use std::hash::Hash;

/// So many are looked through one by one.
const FEW_MAX: usize = 8;

#[derive(Debug)]
pub(super) enum SmallMap<K, V> {
    Few(Vec<(K, V)>),
    Many(HashMap<K, V>),
}

impl<K, V> Default for SmallMap<K, V> {
    fn default() -> Self {
        Self::Few(Vec::new())
    }
}

impl<K: Eq + Hash, V> SmallMap<K, V> {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Few(few) => few.len(),
            Self::Many(many) => many.len(),
        }
    }

    pub(super) fn get(&self, key: &K) -> Option<&V> {
        match self {
            Self::Few(few) => few.iter().find(|(other, _)| other == key).map(|(_, value)| value),
            Self::Many(many) => many.get(key),
        }
    }

    pub(super) fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        match self {
            Self::Few(few) => few.iter_mut().find(|(other, _)| other == key).map(|(_, value)| value),
            Self::Many(many) => many.get_mut(key),
        }
    }

    pub(super) fn contains_key(&self, key: &K) -> bool {
        self.get(key).is_some()
    }

    /// Puts an entry in the place of an older one of its key.
    pub(super) fn insert(&mut self, key: K, value: V) {
        if let Some(old) = self.get_mut(&key) {
            *old = value;
            return;
        }
        match self {
            Self::Few(few) if few.len() < FEW_MAX => {
                if few.len() == few.capacity() {
                    // One, two, four: a list grows from nothing to four by itself.
                    few.reserve_exact(few.len().max(1));
                }
                few.push((key, value));
            }
            Self::Few(few) => {
                *self = Self::Many(few.drain(..).chain([(key, value)]).collect());
            }
            Self::Many(many) => drop(many.insert(key, value)),
        }
    }

    /// Takes an entry out. The last one leaves no memory behind.
    pub(super) fn remove(&mut self, key: &K) -> Option<V> {
        let removed = match self {
            Self::Few(few) => {
                let at = few.iter().position(|(other, _)| other == key)?;
                few.swap_remove(at).1
            }
            Self::Many(many) => many.remove(key)?,
        };
        if self.len() == 0 {
            *self = Self::default();
        }
        Some(removed)
    }

    pub(super) fn values(&self) -> impl Iterator<Item = &V> {
        let (few, many) = match self {
            Self::Few(few) => (Some(few), None),
            Self::Many(many) => (None, Some(many)),
        };
        few.into_iter().flatten().map(|(_, value)| value).chain(many.into_iter().flat_map(HashMap::values))
    }

    pub(super) fn values_mut(&mut self) -> impl Iterator<Item = &mut V> {
        let (few, many) = match self {
            Self::Few(few) => (Some(few), None),
            Self::Many(many) => (None, Some(many)),
        };
        let few = few.into_iter().flatten().map(|(_, value)| value);
        few.chain(many.into_iter().flat_map(HashMap::values_mut))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug)]
    enum Step {
        Insert(u8, u32),
        Remove(u8),
        Add(u8, u32),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let key = 0..24_u8;
        let step = prop_oneof![
            3 => (key.clone(), any::<u32>()).prop_map(|(key, value)| Step::Insert(key, value)),
            2 => key.clone().prop_map(Step::Remove),
            1 => (key, any::<u32>()).prop_map(|(key, more)| Step::Add(key, more)),
        ];
        prop::collection::vec(step, 0..200)
    }

    proptest! {
        #[test]
        fn it_is_a_map(steps in steps()) {
            let (mut map, mut model) = (SmallMap::default(), HashMap::new());
            for step in steps {
                match step {
                    Step::Insert(key, value) => {
                        map.insert(key, value);
                        model.insert(key, value);
                    }
                    Step::Remove(key) => prop_assert_eq!(map.remove(&key), model.remove(&key)),
                    Step::Add(key, more) => {
                        let add = |value: &mut u32| *value = value.wrapping_add(more);
                        prop_assert_eq!(map.get_mut(&key).map(add), model.get_mut(&key).map(add));
                    }
                }
                prop_assert_eq!(map.len(), model.len());
                for key in 0..24 {
                    prop_assert_eq!(map.get(&key), model.get(&key));
                    prop_assert_eq!(map.contains_key(&key), model.contains_key(&key));
                }
                let sorted = |mut values: Vec<u32>| { values.sort_unstable(); values };
                let want = sorted(model.values().copied().collect());
                prop_assert_eq!(&sorted(map.values().copied().collect()), &want);
                prop_assert_eq!(&sorted(map.values_mut().map(|value| *value).collect()), &want);
            }
        }
    }

    #[test]
    fn one_entry_has_room_for_one() {
        let mut map = SmallMap::default();
        map.insert("a", 1);
        assert!(matches!(&map, SmallMap::Few(few) if few.capacity() == 1));
        for key in ["b", "c", "d", "e", "f", "g", "h", "i", "j"] {
            map.insert(key, 2);
        }
        assert!(matches!(&map, SmallMap::Many(_)));
        for key in ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"] {
            map.remove(&key);
        }
        assert!(matches!(&map, SmallMap::Few(few) if few.capacity() == 0));
    }
}
