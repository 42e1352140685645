//! What a telemetry event is.
//!
//! Pure: values and a trait.

use std::any::Any;
use std::fmt;

/// How loud an event is in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// For looking closely; not logged by default in production.
    Debug,
    /// Worth knowing.
    Info,
    /// A limit was reached, or something was refused.
    Warn,
    /// Something crashed.
    Error,
}

/// Something that happened, with its measurements and metadata as fields of the type.
///
/// `Display` is the line that is logged. Handlers find the type again with `downcast_ref` on `&dyn Any`.
///
/// ```
/// use heronry::telemetry::{self, Event, Level};
///
/// #[derive(Debug)]
/// struct OrderPlaced { cents: u64 }
///
/// impl std::fmt::Display for OrderPlaced {
///     fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
///         write!(f, "an order of {} cents", self.cents)
///     }
/// }
///
/// impl Event for OrderPlaced {
///     fn name(&self) -> &'static str { "shop.order.placed" }
///     fn level(&self) -> Level { Level::Info }
/// }
///
/// telemetry::emit(&OrderPlaced { cents: 1_200 });
/// ```
pub trait Event: Any + fmt::Debug + fmt::Display + Send + Sync {
    /// The dotted name of the event, the same for each event of its type.
    fn name(&self) -> &'static str;

    /// How loud the event is in the log.
    fn level(&self) -> Level;
}
