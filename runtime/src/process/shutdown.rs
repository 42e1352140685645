//! How a process is stopped by whoever is responsible for it.
//!
//! Pure: a choice.

use std::time::Duration;

/// How a process is stopped: a child by its supervisor, a task by whoever holds it. OTP's `shutdown` of a child spec.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shutdown {
    /// Killed at once.
    BrutalKill,
    /// Sent an exit signal `Shutdown`, and killed if it has not ended after this time.
    After(Duration),
    /// Sent an exit signal `Shutdown` and waited for. For supervisors, which need the time that their children need.
    Infinity,
}
