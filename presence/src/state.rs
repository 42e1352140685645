//! The entries of owners: one's own, which change by what happens here, and those of others, which change by what their
//! owners tell. Nobody changes the entries of another.
//!
//! Pure: maps.

mod own;
mod remote;
#[cfg(test)]
mod tests;

use std::sync::Arc;

pub(crate) use own::{Own, Refused, Tracked};
pub(crate) use remote::Remote;

use crate::entry::Entry;

/// What changed for who looks at the entries.
#[derive(Clone, Debug)]
pub(crate) enum Seen {
    /// An entry is there.
    Join(Arc<Entry>),
    /// An entry is gone.
    Leave(Arc<Entry>),
    /// An entry is there in the place of another, at once.
    Update {
        /// The one that is gone.
        old: Arc<Entry>,
        /// The one that is there.
        new: Arc<Entry>,
    },
}
