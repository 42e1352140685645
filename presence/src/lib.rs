//! Tracker and Presence for Heronry: who is where, over many nodes.
#![allow(dead_code, unused_imports, reason = "the process that uses the cores comes next")]

mod clock;
mod delta;
mod diff;
mod entry;
mod limits;
mod meta;
mod replica;
mod shard;
mod state;
#[cfg(test)]
mod testing;

pub use diff::TopicDiff;
pub use entry::Entry;
pub use limits::{Limit, TrackError, TrackerLimits};
pub use meta::{Meta, MetaError};
