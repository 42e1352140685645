//! The limits of a connection.
//!
//! Pure: values with units, defaults and reasons.

use std::time::Duration;

use crate::rate::Rate;

/// What one connection may use. Reaching a limit harms this connection alone.
///
/// ```
/// use heronry_channels::Limits;
///
/// let limits = Limits { channels_max: 10, ..Limits::default() };
/// assert_eq!(limits.frame_bytes_max, 1_500_000);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Topics joined at a time; the next join gets the error `too many channels joined`. Phoenix's default, 100.
    pub channels_max: usize,
    /// Joins; one more gets the error `too many joins`, at which clients try again later, and
    /// [`JoinLimited`](super::JoinLimited) says so. Only a join that would start a channel counts. Phoenix has no such
    /// limit; the default of 10,000 a second and at once is above what a client comes to that waits for answers.
    pub joins: Rate,
    /// The largest message that a client may send, in bytes; a larger one closes with 1009. Default 1,500,000.
    pub frame_bytes_max: usize,
    /// How many frames a message may be cut into; more closes with 1008. Default 4,096: the largest message in pieces of
    /// 366 bytes.
    pub fragments_max: u32,
    /// Pings and pongs of a client; more closes with 1008. Phoenix has no such limit. Default 1,000 a second and 5,000 at
    /// once: who keeps a connection alive sends one a second at most, but those of a minute arrive together when the
    /// client was not read for that long, as behind a busy channel. A flood is some 100,000 a second.
    pub control_frames: Rate,
    /// How long a client may be silent before the connection is closed; any frame counts. phoenix.js sends a heartbeat
    /// every 30 s. Default 60 s.
    pub idle_timeout: Duration,
    /// What may wait to be written to a client that reads slowly, in bytes, and 64 more for each message. What happens
    /// then is the mount's [`Overload`](super::Overload): by default it closes with 1008, since what the client would
    /// miss it could not know of. Default 1 MiB.
    pub outbound_bytes_max: usize,
    /// How long a message may wait to be written; then the same happens. Default 30 s: as long as phoenix.js waits for
    /// the answer to a heartbeat before it gives the connection up.
    pub outbound_age_max: Duration,
    /// Events of a client that its channels have not handled yet; at this number the socket stops reading, so that a
    /// flooding client waits instead of filling memory. Its other channels and its heartbeats wait with it, so this is
    /// far above what a client sends that behaves. Default 4,096.
    pub inflight_max: usize,
    /// The frames of these events together, in bytes; the socket stops reading then too. Default 4 MiB: a client that
    /// floods busy channels holds this and one frame.
    pub inflight_bytes_max: usize,
    /// How long channels have to end when their socket does, or when a second join of their topic replaces them; after
    /// it they are killed. Phoenix's default, 5 s.
    pub channel_shutdown: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            channels_max: 100,
            joins: Rate::per_second(10_000),
            frame_bytes_max: 1_500_000,
            fragments_max: 4_096,
            control_frames: Rate::per_second(1_000).burst(5_000),
            idle_timeout: Duration::from_secs(60),
            outbound_bytes_max: 1 << 20,
            outbound_age_max: Duration::from_secs(30),
            inflight_max: 4_096,
            inflight_bytes_max: 4 << 20,
            channel_shutdown: Duration::from_secs(5),
        }
    }
}
