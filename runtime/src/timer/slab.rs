//! Where the timers of a wheel live: chunks of equal size, so that a million of them grow without being copied.
//!
//! Pure: values in numbered places. A key carries a number that is never used twice, so that a key to a place that
//! somebody else has now finds nothing.

/// How many places one chunk has: what a runtime with a single timer pays for, at 64 bytes each.
const CHUNK: usize = 256;

/// No place: the end of a list.
pub(super) const NIL: u32 = u32::MAX;

/// The key of one value; it outlives the value and then finds nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Key {
    /// Never used twice; 0 is nobody's.
    serial: u64,
    index: u32,
}

impl Key {
    /// A key that finds nothing.
    pub(super) const NONE: Self = Self { serial: 0, index: NIL };

    pub(super) fn index(self) -> u32 {
        self.index
    }
}

/// One place, with what the wheel notes about its value.
#[derive(Debug)]
pub(super) struct Place<T> {
    pub(super) deadline: u64,
    /// 0 while the place is free.
    serial: u64,
    /// The neighbours in the list that the place is in; a free place has its successor in the free list in `next`.
    pub(super) prev: u32,
    pub(super) next: u32,
    /// Which list the place is in.
    pub(super) list: u16,
    value: Option<T>,
}

/// The places, free ones linked into a list.
#[derive(Debug)]
pub(super) struct Slab<T> {
    chunks: Vec<Vec<Place<T>>>,
    free: u32,
    len: usize,
    next_serial: u64,
}

impl<T> Slab<T> {
    pub(super) fn new() -> Self {
        Self { chunks: Vec::new(), free: NIL, len: 0, next_serial: 1 }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Puts a value into a free place that is in list `list`, with neighbours still to be set.
    pub(super) fn insert(&mut self, deadline: u64, list: u16, value: T) -> Key {
        let serial = self.next_serial;
        self.next_serial += 1;
        self.len += 1;
        let place = Place { deadline, serial, prev: NIL, next: NIL, list, value: Some(value) };
        if self.free != NIL {
            let index = self.free;
            self.free = std::mem::replace(self.place_mut(index), place).next;
            return Key { serial, index };
        }
        match self.chunks.last_mut() {
            Some(chunk) if chunk.len() < CHUNK => chunk.push(place),
            Some(_) | None => {
                let mut chunk = Vec::with_capacity(CHUNK);
                chunk.push(place);
                self.chunks.push(chunk);
            }
        }
        let places = (self.chunks.len() - 1) * CHUNK + self.chunks.last().map_or(0, Vec::len);
        let index = u32::try_from(places - 1).expect("invariant: the limit on timers is far below 2^32");
        Key { serial, index }
    }

    /// Takes a value out; its place must be in no list any more. The last one takes the memory with it.
    pub(super) fn remove(&mut self, index: u32) -> Option<T> {
        let free = self.free;
        let place = self.place_mut(index);
        let value = place.value.take()?;
        place.serial = 0;
        place.next = free;
        self.free = index;
        self.len -= 1;
        if self.len == 0 && self.chunks.len() > 1 {
            self.chunks = Vec::new();
            self.free = NIL;
        }
        Some(value)
    }

    /// Whether the value of this key is still there.
    pub(super) fn contains(&self, key: Key) -> bool {
        let (chunk, place) = split(key.index);
        self.chunks
            .get(chunk)
            .and_then(|chunk| chunk.get(place))
            .is_some_and(|place| place.serial == key.serial && key.serial != 0)
    }

    /// The key of the value in a place that has one.
    pub(super) fn key(&self, index: u32) -> Key {
        Key { serial: self.place(index).serial, index }
    }

    pub(super) fn place(&self, index: u32) -> &Place<T> {
        let (chunk, place) = split(index);
        &self.chunks[chunk][place]
    }

    pub(super) fn place_mut(&mut self, index: u32) -> &mut Place<T> {
        let (chunk, place) = split(index);
        &mut self.chunks[chunk][place]
    }

    pub(super) fn value_mut(&mut self, index: u32) -> Option<&mut T> {
        self.place_mut(index).value.as_mut()
    }

    /// Every value; nothing is left.
    pub(super) fn drain(&mut self) -> impl Iterator<Item = T> + use<T> {
        self.free = NIL;
        self.len = 0;
        std::mem::take(&mut self.chunks).into_iter().flatten().filter_map(|place| place.value)
    }
}

fn split(index: u32) -> (usize, usize) {
    (index as usize / CHUNK, index as usize % CHUNK)
}

#[cfg(test)]
pub(super) fn place_bytes<T>() -> usize {
    size_of::<Place<T>>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_does_not_find_the_next_tenant() {
        let mut slab = Slab::new();
        let first = slab.insert(1, 0, "first");
        assert_eq!(slab.remove(first.index()), Some("first"));
        let second = slab.insert(2, 0, "second");
        assert_eq!(first.index(), second.index(), "the place is used again");
        assert!(!slab.contains(first) && slab.contains(second) && !slab.contains(Key::NONE));
    }

    #[test]
    fn the_last_one_gives_the_memory_back_and_old_keys_stay_dead() {
        let mut slab = Slab::new();
        let keys: Vec<Key> = (0..CHUNK as u64 * 3).map(|n| slab.insert(n, 0, n)).collect();
        assert_eq!((slab.len(), slab.chunks.len()), (CHUNK * 3, 3));
        for key in &keys {
            assert!(slab.remove(key.index()).is_some());
        }
        assert_eq!((slab.len(), slab.chunks.len()), (0, 0));
        let next = slab.insert(0, 0, 0);
        assert_eq!(next.index(), 0);
        assert!(keys.iter().all(|key| !slab.contains(*key)));
        assert_eq!(slab.drain().collect::<Vec<_>>(), [0]);
        assert_eq!(slab.len(), 0);
    }
}
