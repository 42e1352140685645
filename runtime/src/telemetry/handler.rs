//! Handlers: who is told of events, and what happens when one of them panics.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use super::event::{Event, Level};
use super::log;
use crate::sync::outside::RwLock;
use crate::unwind::quietly;

/// Takes the events of this program.
///
/// It runs in the process that emits, so it must be quick: count, or hand the event on. A handler that panics is
/// detached and the log says so, as in Elixir's `telemetry`.
pub trait Handler: Send + Sync + 'static {
    /// Takes one event; `event as &dyn Any` can be downcast to the event's type.
    fn handle(&self, event: &dyn Event);
}

impl<F: Fn(&dyn Event) + Send + Sync + 'static> Handler for F {
    fn handle(&self, event: &dyn Event) {
        self(event);
    }
}

/// The identity of an attached handler.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct HandlerId(u64);

type Handlers = Vec<(HandlerId, Arc<dyn Handler>)>;

static HANDLERS: RwLock<Option<Arc<Handlers>>> = RwLock::new(None);
static ATTACHED: AtomicUsize = AtomicUsize::new(0);
static NEXT_ID: AtomicU64 = AtomicU64::new(1);

/// Attaches a handler: it sees every event emitted from now on.
///
/// ```
/// use heronry::telemetry;
///
/// let id = telemetry::attach(|event: &dyn telemetry::Event| { let _ = event.name(); });
/// assert!(telemetry::detach(id));
/// assert!(!telemetry::detach(id));
/// ```
pub fn attach(handler: impl Handler) -> HandlerId {
    let id = HandlerId(NEXT_ID.fetch_add(1, Ordering::Relaxed));
    change(|handlers| handlers.push((id, Arc::new(handler))));
    id
}

/// Detaches a handler; says whether it was attached.
pub fn detach(id: HandlerId) -> bool {
    change(|handlers| {
        let before = handlers.len();
        handlers.retain(|(other, _)| *other != id);
        handlers.len() != before
    })
}

fn change<R>(edit: impl FnOnce(&mut Handlers) -> R) -> R {
    let mut slot = HANDLERS.write();
    let mut handlers = slot.as_deref().cloned().unwrap_or_default();
    let result = edit(&mut handlers);
    ATTACHED.store(handlers.len(), Ordering::Release);
    *slot = Some(Arc::new(handlers));
    result
}

/// Whether an event of this level would reach anybody: a handler, or a log that takes this level. For events that are
/// costly to make, above all those that say how long something took.
///
/// ```
/// use heronry::telemetry::{self, Level};
///
/// // Nobody listens, and nobody has to look at the clock.
/// assert!(!telemetry::is_heard(Level::Debug));
/// let id = telemetry::attach(|_: &dyn telemetry::Event| {});
/// assert!(telemetry::is_heard(Level::Debug));
/// # telemetry::detach(id);
/// ```
pub fn is_heard(level: Level) -> bool {
    ATTACHED.load(Ordering::Acquire) > 0 || log::is_enabled(level)
}

/// Tells every handler, and the log, of an event. A panic of theirs, or of the event's `Display`, ends here: events are
/// emitted in the middle of what must not be left half done.
pub fn emit(event: &dyn Event) {
    quietly(|| log::event(event));
    if ATTACHED.load(Ordering::Acquire) == 0 {
        return;
    }
    let Some(handlers) = HANDLERS.read().clone() else { return };
    for (id, handler) in handlers.iter() {
        if !quietly(|| handler.handle(event)) && detach(*id) {
            quietly(|| log::event(&HandlerDetached { event: event.name() }));
        }
    }
}

/// A handler panicked and was detached.
#[derive(Debug)]
struct HandlerDetached {
    event: &'static str,
}

impl fmt::Display for HandlerDetached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a telemetry handler panicked on {} and was detached; it gets no more events", self.event)
    }
}

impl Event for HandlerDetached {
    fn name(&self) -> &'static str {
        "heronry.telemetry.handler_detached"
    }

    fn level(&self) -> Level {
        Level::Error
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::any::Any;

    use crate::sync::outside::Mutex;

    #[derive(Debug)]
    struct Ping(u32);

    impl fmt::Display for Ping {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "ping {}", self.0)
        }
    }

    impl Event for Ping {
        fn name(&self) -> &'static str {
            "test.ping"
        }

        fn level(&self) -> Level {
            Level::Debug
        }
    }

    #[test]
    fn a_handler_that_panics_is_detached_and_the_others_go_on() {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let into = seen.clone();
        let bad = attach(|event: &dyn Event| {
            if event.name() == "test.ping" {
                panic!("no");
            }
        });
        let good = attach(move |event: &dyn Event| {
            if let Some(Ping(n)) = (event as &dyn Any).downcast_ref::<Ping>() {
                into.lock().push(*n);
            }
        });
        emit(&Ping(1));
        emit(&Ping(2));
        assert_eq!(*seen.lock(), [1, 2]);
        assert!(!detach(bad), "the panicking handler is gone after the first event");
        assert!(detach(good));
        emit(&Ping(3));
        assert_eq!(*seen.lock(), [1, 2]);
    }
}
