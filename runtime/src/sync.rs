//! The locks of this crate, and the atomics, statics and thread locals that decide together with them: one place, so that
//! a model checker's can take their place.
//!
//! With `--cfg heronry_loom` the unit tests get loom's (`sync/model.rs`): whatever uses them then runs within a model and
//! nowhere else. What no model looks at and what runs outside of them (the log, telemetry handlers, the watchdog) takes
//! its locks from [`outside`].

#[cfg(all(test, heronry_loom))]
mod model;

#[cfg(all(test, heronry_loom))]
pub(crate) use model::*;

#[cfg(not(all(test, heronry_loom)))]
mod real {
    pub(crate) use parking_lot::{Mutex, MutexGuard, RwLock};
    pub(crate) use std::sync::{OnceLock, atomic};
    pub(crate) use std::thread_local as thread_locals;

    /// Statics; in a model each of its executions begins with new ones.
    macro_rules! statics {
        ($($(#[$attribute:meta])* static $name:ident: $type:ty = $init:expr;)*) => {
            $($(#[$attribute])* static $name: $type = $init;)*
        };
    }

    pub(crate) use statics;
}

#[cfg(not(all(test, heronry_loom)))]
pub(crate) use real::*;

/// Locks that are real in a model too. Nothing that is modelled happens while one is held.
pub(crate) mod outside {
    pub(crate) use parking_lot::{Mutex, RwLock};
}
