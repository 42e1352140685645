//! Typed telemetry events, the handlers that take them, and their way into `tracing`.
//!
//! Code emits an [`Event`]; every attached [`Handler`] sees it, in the process that emitted it. Events also become
//! `tracing` events, with a rate limit per event name and a count of what it suppressed (`telemetry/log.rs`).
//! The counterpart in Elixir is the `telemetry` library.

mod event;
mod handler;
pub(crate) mod log;
mod rate;
pub(crate) mod stderr;

pub use event::{Event, Level};
pub use handler::{Handler, HandlerId, attach, detach, emit, is_heard};
