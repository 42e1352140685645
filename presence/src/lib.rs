//! Tracker and Presence for Heronry: who is where, over many nodes.
//!
//! A [`Presence`] tells the members of channels who is in their topic, in the form that every Phoenix client reads. A tracker
//! ([`TrackerRef`], with a [`Tracker`] of yours) knows which processes are where, and tells you. The [`guides`] go through it.

mod clock;
mod delta;
mod diff;
mod entry;
#[cfg(feature = "channels")]
pub mod guides;
mod limits;
mod meta;
#[cfg(feature = "channels")]
mod presence;
mod replica;
mod shard;
mod state;
#[cfg(test)]
mod testing;
mod tracker;

pub use diff::TopicDiff;
pub use entry::Entry;
pub use limits::{Limit, TrackError, TrackerLimits};
pub use meta::{IntoMeta, Meta, MetaError};
#[cfg(feature = "channels")]
pub use presence::{
    FETCHES_WAITING_MAX, FetchFailed, FetchFailure, KeyPresence, Mode, Place, Presence, PresenceBuilder,
    PresenceClient, PresenceDiff, Presences, SAMPLE_KEYS_MAX, SAMPLE_METAS_MAX, SUMMARY_WINDOW_DEFAULT,
};
pub use shard::{INBOX_BYTES_MAX, Tracker, TrackerLimited, TrackerMessageDropped, TrackerOverrun};
pub use tracker::{HEARTBEAT_DEFAULT, POOL_SIZE_MAX, TrackerOptions, TrackerRef, WINDOW_DEFAULT};
