//! How much a tracker keeps, and the errors of whoever asks for more.
//!
//! Pure: values.

use std::fmt;
use std::sync::Arc;

use heronry::{CallError, Pid};

use crate::meta::MetaError;

/// Limits on what the processes of this node may have tracked; each node has its own. Reaching one is a
/// [`TrackError::Limit`] for who asked, and telemetry says so ([`TrackerLimited`](crate::TrackerLimited)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrackerLimits {
    /// Presences of one process; 10,000 unless set. One that has more is a loop that forgot to untrack.
    pub entries_per_process: usize,
    /// Presences of one topic; 1,000,000 unless set.
    pub entries_per_topic: usize,
    /// Presences of one shard; 4,000,000 unless set: about two gigabytes.
    pub entries_per_shard: usize,
    /// Bytes of one meta; 4,096 unless set. Every client of the topic is sent it: larger things belong where clients can
    /// ask for them, or into a fetch hook.
    pub meta_bytes: usize,
    /// Bytes of one key; 256 unless set.
    pub key_bytes: usize,
    /// Bytes of one topic; 1,024 unless set.
    pub topic_bytes: usize,
}

impl Default for TrackerLimits {
    fn default() -> Self {
        Self {
            entries_per_process: 10_000,
            entries_per_topic: 1_000_000,
            entries_per_shard: 4_000_000,
            meta_bytes: 4_096,
            key_bytes: 256,
            topic_bytes: 1_024,
        }
    }
}

/// Which limit was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Limit {
    /// [`TrackerLimits::entries_per_process`].
    EntriesPerProcess,
    /// [`TrackerLimits::entries_per_topic`].
    EntriesPerTopic,
    /// [`TrackerLimits::entries_per_shard`].
    EntriesPerShard,
    /// [`TrackerLimits::meta_bytes`].
    MetaBytes,
    /// [`TrackerLimits::key_bytes`].
    KeyBytes,
    /// [`TrackerLimits::topic_bytes`].
    TopicBytes,
}

/// A presence was not tracked, or not updated. Nothing changed.
#[derive(Debug)]
#[non_exhaustive]
pub enum TrackError {
    /// The process has this key in this topic already: update it, or use another key. Phoenix's
    /// `{:already_tracked, pid, topic, key}`.
    AlreadyTracked {
        /// The process.
        pid: Pid,
        /// The topic.
        topic: Arc<str>,
        /// The key.
        key: Arc<str>,
    },
    /// The process does not have this key in this topic, so there is nothing to update: track it. Phoenix's `:nopresence`.
    NoPresence,
    /// A limit of the tracker was reached.
    Limit {
        /// Which one.
        limit: Limit,
        /// What it is set to.
        max: usize,
    },
    /// What was given is no meta.
    Meta(MetaError),
    /// The process has ended, or is about to.
    NoProc(Pid),
    /// The tracker does not run (yet, or any more, or it is being restarted): add it to the supervision tree, before what
    /// uses it.
    NotRunning,
    /// The tracker's process did not answer; whether it has done what it was asked for is not known.
    Call(CallError),
}

impl Limit {
    /// Its name, as in [`TrackerLimits`].
    pub fn as_str(self) -> &'static str {
        match self {
            Self::EntriesPerProcess => "entries_per_process",
            Self::EntriesPerTopic => "entries_per_topic",
            Self::EntriesPerShard => "entries_per_shard",
            Self::MetaBytes => "meta_bytes",
            Self::KeyBytes => "key_bytes",
            Self::TopicBytes => "topic_bytes",
        }
    }
}

impl fmt::Display for TrackError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AlreadyTracked { pid, topic, key } => {
                write!(
                    f,
                    "{pid} is tracked in {topic:?} under {key:?} already: update it, or take another key"
                )
            }
            Self::NoPresence => {
                f.write_str("the process is not tracked there under this key: track it first")
            }
            Self::Limit { limit, max } => write!(f, "the tracker's limit {} is {max}", limit.as_str()),
            Self::Meta(error) => error.fmt(f),
            Self::NoProc(pid) => write!(f, "{pid} has ended and can't be tracked"),
            Self::NotRunning => f.write_str(
                "the tracker does not run: add its child spec to the supervision tree, before what uses it",
            ),
            Self::Call(error) => write!(f, "the tracker did not answer: {error}"),
        }
    }
}

impl std::error::Error for TrackError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Meta(error) => Some(error),
            Self::Call(error) => Some(error),
            Self::AlreadyTracked { .. }
            | Self::NoPresence
            | Self::Limit { .. }
            | Self::NoProc(_)
            | Self::NotRunning => None,
        }
    }
}

impl From<MetaError> for TrackError {
    fn from(error: MetaError) -> Self {
        Self::Meta(error)
    }
}
