//! Dropping what a user made, when its destructor may panic.

use std::panic::{AssertUnwindSafe, catch_unwind};

/// Drops a value; a panic in its destructor ends here. The payload of such a panic may itself panic when it is dropped,
/// and so on without end: then it is leaked.
pub(crate) fn drop_quietly<T>(value: T) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(|| drop(value)))
        && let Err(again) = catch_unwind(AssertUnwindSafe(|| drop(payload)))
    {
        Box::leak(again);
    }
}

/// Runs code of the user's whose panic is nobody's business; says whether it came to its end.
pub(crate) fn quietly(run: impl FnOnce()) -> bool {
    match catch_unwind(AssertUnwindSafe(run)) {
        Ok(()) => true,
        Err(payload) => {
            drop_quietly(payload);
            false
        }
    }
}
