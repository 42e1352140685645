//! What a join returns.
//!
//! Pure: values.

use std::error::Error;
use std::fmt;

use heronry::ExitReason;

use crate::message::Payload;

/// The state of the channel and the reply to its client, or why there is none.
pub type Join<C> = Result<(C, Payload), JoinError>;

/// A join that makes no channel.
#[derive(Clone, Debug)]
pub enum JoinError {
    /// The client gets this as an error reply. Phoenix's `{:error, reason}`.
    Refuse(Payload),
    /// The channel process ends with this reason; the client gets the error `join crashed`.
    Crash(ExitReason),
}

impl JoinError {
    /// Refuses with this payload, such as `json!({"reason": "unauthorized"})`.
    pub fn refuse(payload: impl Into<Payload>) -> Self {
        Self::Refuse(payload.into())
    }
}

impl<E: Error + Send + Sync + 'static> From<E> for JoinError {
    /// With `?`, an error that nobody handles is a crash.
    fn from(error: E) -> Self {
        Self::Crash(error.into())
    }
}

impl fmt::Display for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refuse(_) => f.write_str("join refused"),
            Self::Crash(reason) => write!(f, "join crashed: {reason}"),
        }
    }
}
