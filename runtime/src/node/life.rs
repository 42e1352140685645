//! Drawing the number of a node's life.

use std::hash::{BuildHasher, RandomState};

use super::Incarnation;

impl Incarnation {
    /// A new life: a number that no other start of a node has had, by chance of the system's randomness.
    ///
    /// ```
    /// use heronry::node::Incarnation;
    ///
    /// assert_ne!(Incarnation::draw(), Incarnation::draw());
    /// ```
    pub fn draw() -> Self {
        // Of keys that the system gave this thread, changed with each use; drawn twice, to depend on both.
        Self::new(RandomState::new().hash_one(RandomState::new().hash_one("a life")))
    }
}
