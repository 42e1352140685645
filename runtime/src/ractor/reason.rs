//! ractor's ends and our exit reasons, in each other's words.
//!
//! Pure: values only.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use ::ractor::ActorProcessingErr;

use crate::exit::ExitReason;

/// An exit reason as an error: what a ractor supervisor is given when an actor panicked under a process that stands for
/// it, or when the server that an actor hosts has ended.
///
/// Returned from a callback of an actor that is a child of ours, it becomes the exit reason itself.
///
/// ```
/// use heronry::ExitReason;
/// use heronry::ractor::ExitError;
/// use heronry::ractor::ractor::ActorProcessingErr;
///
/// let error: ActorProcessingErr = ExitError::new(ExitReason::custom("disk full")).into();
/// assert_eq!(error.to_string(), "disk full");
/// let reason = error.downcast_ref::<ExitError>().map(ExitError::reason);
/// assert_eq!(reason, Some(&ExitReason::custom("disk full")));
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct ExitError(ExitReason);

impl ExitError {
    /// The error of this reason.
    pub fn new(reason: ExitReason) -> Self {
        Self(reason)
    }

    /// The reason.
    pub fn reason(&self) -> &ExitReason {
        &self.0
    }
}

impl fmt::Display for ExitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Error for ExitError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.0 {
            ExitReason::Error(error) => Some(&**error),
            ExitReason::Normal
            | ExitReason::Shutdown
            | ExitReason::ShutdownWith(_)
            | ExitReason::Killed
            | ExitReason::NoProc
            | ExitReason::NoConnection
            | ExitReason::Panic(_)
            | ExitReason::Custom(_) => None,
        }
    }
}

/// The exit reason of an actor that failed.
pub(super) fn of_failure(error: ActorProcessingErr) -> ExitReason {
    match error.downcast::<ExitError>() {
        Ok(error) => error.0,
        Err(error) => ExitReason::Error(Arc::from(error)),
    }
}

/// The exit reason of an actor that terminated: stopped in order, or killed (then ractor's reason only says so).
pub(super) fn of_stop(reason: Option<String>, in_order: bool) -> ExitReason {
    match reason {
        _ if !in_order => ExitReason::Killed,
        None => ExitReason::Normal,
        Some(reason) => ExitReason::shutdown_with(reason),
    }
}

#[cfg(test)]
mod tests;
