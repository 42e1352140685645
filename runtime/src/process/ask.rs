//! A request to a process to show its state, in order with its messages.
//!
//! Pure: a value; who asks and who shows is known elsewhere.

use std::fmt;
use std::sync::Arc;

use crate::exit::ExitReason;

/// How many requests to show its state wait for one process; one more is refused. They are for people who look, and a
/// process that does not come to them must not gather them.
pub const STATE_REQUESTS_MAX: usize = 16;

/// What a process shows.
#[derive(Debug)]
pub(crate) enum Shown {
    State(String),
    /// It has nothing to show.
    Nothing,
    /// Its own code panicked when it was to show it.
    Panicked(ExitReason),
}

/// Who asked.
pub(crate) trait Asker: Send + Sync {
    /// Whether anybody still waits for the answer.
    fn is_waiting(&self) -> bool;
    fn answer(self: Box<Self>, shown: Shown);
}

/// A request was not queued.
#[derive(Debug)]
pub(crate) enum NotAsked {
    /// The process has ended.
    Exited(ExitReason),
    /// [`STATE_REQUESTS_MAX`] requests wait.
    Full,
}

/// One request. As long as it is there it holds one of the places that there are.
pub(crate) struct Ask {
    asker: Box<dyn Asker>,
    place: Arc<()>,
}

impl Ask {
    /// Shows what `show` gives, which is not called if nobody waits any more.
    pub(crate) fn answer(self, show: impl FnOnce() -> Shown) {
        let Self { asker, place } = self;
        if asker.is_waiting() {
            let shown = show();
            // Who was answered may ask again.
            drop(place);
            asker.answer(shown);
        }
    }
}

impl fmt::Debug for Ask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ask")
    }
}

/// The places of the requests that wait for one process.
#[derive(Debug, Default)]
pub(super) struct Places(Arc<()>);

impl Places {
    /// The request, if there is a place for it.
    pub(super) fn take(&self, asker: Box<dyn Asker>) -> Option<Ask> {
        let waiting = Arc::strong_count(&self.0) - 1;
        (waiting < STATE_REQUESTS_MAX).then(|| Ask { asker, place: self.0.clone() })
    }
}
