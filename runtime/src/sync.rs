//! The locks of this crate: one place, so that a model checker's can take their place.

pub(crate) use parking_lot::{Mutex, MutexGuard, RwLock};
