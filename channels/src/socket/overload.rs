//! What happens when a client reads more slowly than its topics speak.
//!
//! Pure: policies, and what they say about one more frame.

use std::fmt;
use std::hash::Hash;
use std::sync::Arc;

use bytestring::ByteString;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::message::{Broadcast, Payload};

/// The longest key that frames are conflated by, in bytes; a broadcast with a longer one is sent as any other.
const KEY_BYTES_MAX: usize = 256;

/// What becomes of a client that reads more slowly than its topics speak: when what waits for it passes
/// [`Limits::outbound_bytes_max`](super::Limits::outbound_bytes_max) or the oldest of it has waited for
/// [`Limits::outbound_age_max`](super::Limits::outbound_age_max).
///
/// Whatever it is, memory is bounded, other clients notice nothing, and replies, `phx_close` and `phx_error` are never
/// dropped: a client that gets those late or not at all cannot know where it is. If they alone pass twice the limit the
/// client is disconnected.
///
/// ```
/// use heronry_channels::{Conflation, Overload, SocketOptions};
///
/// let prices = Conflation::new().by_key("price", "symbol").by_topic("viewers");
/// let options = SocketOptions { overload: Overload::ConflateByKey(prices), ..SocketOptions::default() };
/// # drop(options);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Overload {
    /// It is disconnected, with 1008: it connects and joins again, and knows that it may have missed something. The
    /// default, since it is right for every application.
    #[default]
    Disconnect,
    /// Broadcasts and pushes that come while it is over a limit are dropped; what waits already is kept. For events that
    /// nobody misses.
    DropNewest,
    /// Of the declared events only the newest of each key waits; over a limit nevertheless it is disconnected.
    ConflateByKey(Conflation),
}

/// Which broadcasts are conflated: a newer one of the same topic, event and key takes away the older one that still
/// waits for a client, and waits at the end of the queue.
///
/// So what a client gets is what was sent, in the order in which it was sent, less what was out of date. The newer one
/// does not take the place of the older, where it would overtake what was sent between the two (a price, the end of its
/// listing, a new price). What is pushed by a channel itself, also by its
/// [`handle_out`](crate::Channel::handle_out), is not conflated.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Conflation {
    rules: Arc<[Rule]>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Rule {
    event: Box<str>,
    /// The field of the payload that holds the key; without one all broadcasts of the event have the same.
    field: Option<Box<str>>,
}

impl Conflation {
    /// No events yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Conflates an event by topic alone: the newest is all that counts.
    #[must_use]
    pub fn by_topic(self, event: &str) -> Self {
        self.with(Rule { event: event.into(), field: None })
    }

    /// Conflates an event by a field of its payload, whose value may be any JSON of up to 256 bytes. A broadcast whose
    /// payload is binary or lacks the field is sent as any other.
    #[must_use]
    pub fn by_key(self, event: &str, field: &str) -> Self {
        self.with(Rule { event: event.into(), field: Some(field.into()) })
    }

    fn with(self, rule: Rule) -> Self {
        Self { rules: self.rules.iter().cloned().chain([rule]).collect() }
    }

    /// The key of a broadcast, if it is conflated.
    pub(super) fn key(&self, broadcast: &Broadcast) -> Option<Key> {
        let rule = self.rules.iter().find(|rule| *rule.event == *broadcast.event)?;
        let value = match &rule.field {
            None => None,
            Some(field) => Some(field_of(&broadcast.payload, field)?),
        };
        Some(Key { topic: broadcast.topic.clone(), event: broadcast.event.clone(), value })
    }

    /// Whether two are the same rules, at a glance: clones are.
    pub(super) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.rules, &other.rules)
    }
}

/// What makes a broadcast the newer one of another.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    topic: ByteString,
    event: ByteString,
    value: Option<Box<str>>,
}

/// The JSON text of a field of an object.
fn field_of(payload: &Payload, field: &str) -> Option<Box<str>> {
    let mut json = serde_json::Deserializer::from_str(payload.as_json()?);
    let value = json.deserialize_map(Field(field)).ok()??;
    (value.get().len() <= KEY_BYTES_MAX).then(|| value.get().into())
}

struct Field<'a>(&'a str);

impl<'de> Visitor<'de> for Field<'_> {
    type Value = Option<&'de RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        while let Some(name) = map.next_key::<std::borrow::Cow<'de, str>>()? {
            if name == self.0 {
                found = Some(map.next_value()?);
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }
}

/// Whether a frame may be dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A reply, or the socket's own.
    Kept,
    /// A broadcast or a push.
    Droppable,
}

/// What is done with a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Queue,
    Drop,
    Disconnect,
}

/// What waits for a client, against what may.
#[derive(Clone, Copy, Debug)]
pub(super) struct Load {
    /// What waits, in bytes, without the new frame.
    pub(super) waiting: usize,
    /// What the new frame adds.
    pub(super) more: usize,
    pub(super) max: usize,
    /// The oldest that waits has waited too long.
    pub(super) stalled: bool,
}

impl Overload {
    /// What is done with one more frame. An empty queue takes a frame of any size: the largest message is the
    /// application's business.
    pub(super) fn admit(&self, kind: Kind, load: Load) -> Verdict {
        let Load { waiting, more, max, stalled } = load;
        let over = |max: usize| waiting > 0 && waiting.saturating_add(more) > max;
        match (self, kind) {
            (Self::Disconnect | Self::ConflateByKey(_), Kind::Kept | Kind::Droppable) if over(max) => {
                Verdict::Disconnect
            }
            (Self::DropNewest, Kind::Droppable) if stalled || over(max) => Verdict::Drop,
            (Self::DropNewest, Kind::Kept) if over(max.saturating_mul(2)) => Verdict::Disconnect,
            (Self::Disconnect | Self::ConflateByKey(_) | Self::DropNewest, Kind::Kept | Kind::Droppable) => {
                Verdict::Queue
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_each_policy_says_about_one_more_frame() {
        let conflate = Overload::ConflateByKey(Conflation::new());
        let (disconnect, drop) = (Overload::Disconnect, Overload::DropNewest);
        let table = [
            // policy, kind, waiting, more, stalled, verdict; the limit is 100
            (&disconnect, Kind::Droppable, 0, 500, false, Verdict::Queue),
            (&disconnect, Kind::Droppable, 50, 50, true, Verdict::Queue),
            (&disconnect, Kind::Droppable, 50, 51, false, Verdict::Disconnect),
            (&disconnect, Kind::Kept, 50, 51, false, Verdict::Disconnect),
            (&conflate, Kind::Kept, 50, 51, false, Verdict::Disconnect),
            (&conflate, Kind::Droppable, 50, 51, false, Verdict::Disconnect),
            (&conflate, Kind::Droppable, 50, 50, true, Verdict::Queue),
            (&drop, Kind::Droppable, 0, 500, false, Verdict::Queue),
            (&drop, Kind::Droppable, 50, 50, false, Verdict::Queue),
            (&drop, Kind::Droppable, 50, 51, false, Verdict::Drop),
            (&drop, Kind::Droppable, 1, 1, true, Verdict::Drop),
            (&drop, Kind::Kept, 1, 1, true, Verdict::Queue),
            (&drop, Kind::Kept, 50, 51, false, Verdict::Queue),
            (&drop, Kind::Kept, 150, 50, false, Verdict::Queue),
            (&drop, Kind::Kept, 150, 51, false, Verdict::Disconnect),
            (&drop, Kind::Kept, usize::MAX, usize::MAX, false, Verdict::Disconnect),
        ];
        for (policy, kind, waiting, more, stalled, verdict) in table {
            let load = Load { waiting, more, max: 100, stalled };
            assert_eq!(policy.admit(kind, load), verdict, "{policy:?} {kind:?} {load:?}");
        }
    }

    #[test]
    fn keys_are_of_topic_event_and_field() {
        let rules = Conflation::new().by_key("price", "symbol").by_topic("viewers");
        let key = |topic: &str, event: &str, payload: Payload| {
            rules.key(&Broadcast { topic: topic.into(), event: event.into(), payload })
        };
        let price =
            |topic, symbol| key(topic, "price", json!({ "p": [1], "symbol": symbol, "q": {} }).into());
        assert_eq!(price("a", json!("X")), price("a", json!("X")));
        assert_ne!(price("a", json!("X")), price("b", json!("X")));
        assert_ne!(price("a", json!("X")), price("a", json!("Y")));
        assert_ne!(price("a", json!("1")), price("a", json!(1)), "a number is not its text");
        assert!(price("a", json!(null)).is_some());
        assert_eq!(
            key("a", "viewers", json!({ "n": 1 }).into()),
            key("a", "viewers", json!({ "n": 2 }).into())
        );
        assert!(key("a", "viewers", Payload::binary(vec![1])).is_some());
        for (event, payload) in [
            ("other", json!({ "symbol": "X" }).into()),
            ("price", json!({ "p": { "symbol": "X" } }).into()),
            ("price", json!([]).into()),
            ("price", json!({ "symbol": "x".repeat(300) }).into()),
            ("price", Payload::binary(vec![1])),
        ] {
            assert_eq!(key("a", event, payload), None, "{event}");
        }
    }
}
