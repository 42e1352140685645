//! The fastlane: a broadcast goes from PubSub straight to the sockets of its topic, encoded once for each serializer,
//! past the channel processes. Only a channel that intercepts the event gets it as a message.
//!
//! The counterpart in Phoenix is the dispatcher in `Phoenix.Channel.Server`.

use std::fmt;
use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use bytestring::ByteString;
use heronry::pubsub::{Dispatcher, Entry, PubSub, Wire, WireError};
use heronry::telemetry;

use super::events::BroadcastDropped;
use super::outbound::Outbound;
use super::overload::{Conflation, Key};
use crate::message::{Broadcast, Payload};
use crate::serializer::{Frame, Serializer};

/// The PubSub of an endpoint.
pub(crate) type ChannelPubSub = PubSub<Fastlane>;

/// The dispatcher.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fastlane;

/// How a subscriber takes a broadcast.
#[derive(Clone)]
pub(crate) enum Lane {
    /// A channel: its socket gets the frame, or the channel itself an event that it intercepts.
    Channel(Arc<ChannelLane>),
    /// Any process: it gets the broadcast as a message.
    Process(Arc<dyn Fn(Broadcast) + Send + Sync>),
}

pub(crate) struct ChannelLane {
    pub(crate) outbound: Outbound,
    pub(crate) serializer: Arc<dyn Serializer>,
    pub(crate) intercepts: &'static [&'static str],
    pub(crate) intercept: Box<dyn Fn(Broadcast) + Send + Sync>,
}

impl Dispatcher for Fastlane {
    type Message = Broadcast;
    type Subscriber = Lane;

    fn dispatch(&self, entries: &mut dyn Iterator<Item = &Entry<Lane>>, broadcast: &Broadcast) {
        let (mut encoded, mut keys) = (Encoded::default(), Keys::default());
        for entry in entries {
            match &entry.subscriber {
                Lane::Process(take) => take(broadcast.clone()),
                Lane::Channel(lane) if lane.intercepts.contains(&&*broadcast.event) => {
                    (lane.intercept)(broadcast.clone());
                }
                Lane::Channel(lane) => {
                    let Some(frame) = encoded.with(&lane.serializer, broadcast) else { continue };
                    match lane.outbound.conflation().and_then(|rules| keys.by(rules, broadcast)) {
                        Some(key) => lane.outbound.replace(&key, frame),
                        None => lane.outbound.push(frame),
                    }
                }
            }
        }
    }
}

/// What a broadcast's payload is on its way between nodes.
const JSON: u8 = 0;
const BINARY: u8 = 1;

/// Between nodes a broadcast is `[JSON or BINARY][event's length u16][event][payload]`; its topic is PubSub's.
impl Wire for Fastlane {
    fn encode(&self, broadcast: &Broadcast) -> Result<Bytes, WireError> {
        let Broadcast { topic: _, event, payload } = broadcast;
        let (kind, payload) = match (payload.as_json(), payload.as_binary()) {
            (Some(json), _) => (JSON, json.as_bytes()),
            (None, bytes) => (BINARY, bytes.map_or(&[][..], |bytes| bytes)),
        };
        let event_len = u16::try_from(event.len()).map_err(|_| {
            WireError::new(format!("an event may have {} bytes, this one has {}", u16::MAX, event.len()))
        })?;
        let mut bytes = BytesMut::with_capacity(3 + event.len() + payload.len());
        bytes.put_u8(kind);
        bytes.put_u16(event_len);
        bytes.put_slice(event.as_bytes());
        bytes.put_slice(payload);
        Ok(bytes.into())
    }

    fn decode(&self, topic: &str, bytes: Bytes) -> Result<Broadcast, WireError> {
        let cut = || WireError::new("it ends too early");
        let (head, rest) = bytes.split_at_checked(3).ok_or_else(cut)?;
        let event_len = usize::from(u16::from_be_bytes([head[1], head[2]]));
        let (event, payload) = rest.split_at_checked(event_len).ok_or_else(cut)?;
        let text = |part| ByteString::try_from(bytes.slice_ref(part)).map_err(WireError::new);
        let payload = match head[0] {
            // Checked: what is no JSON would end each client's connection here.
            JSON => Payload::json_text(text(payload)?).map_err(WireError::new)?,
            BINARY => Payload::binary(bytes.slice_ref(payload)),
            other => return Err(WireError::new(format!("its payload is of the unknown kind {other}"))),
        };
        Ok(Broadcast { topic: topic.into(), event: text(event)?, payload })
    }
}

/// The broadcast in each serializer met so far; there are few, so a list.
#[derive(Default)]
struct Encoded(Vec<(*const (), Option<Frame>)>);

impl Encoded {
    /// `None` if this serializer cannot carry the broadcast.
    fn with(&mut self, serializer: &Arc<dyn Serializer>, broadcast: &Broadcast) -> Option<Frame> {
        let identity = Arc::as_ptr(serializer).cast();
        if let Some((_, frame)) = self.0.iter().find(|(other, _)| *other == identity) {
            return frame.clone();
        }
        let frame = match serializer.encode_broadcast(broadcast) {
            Ok(frame) => Some(frame),
            Err(error) => {
                let Broadcast { topic, event, .. } = broadcast.clone();
                telemetry::emit(&BroadcastDropped { topic, event, error });
                None
            }
        };
        self.0.push((identity, frame.clone()));
        frame
    }
}

/// The broadcast's key by each mount's rules met so far, made once for all sockets of the mount.
#[derive(Default)]
struct Keys(Vec<(Conflation, Option<Arc<Key>>)>);

impl Keys {
    fn by(&mut self, rules: &Conflation, broadcast: &Broadcast) -> Option<Arc<Key>> {
        if let Some((_, key)) = self.0.iter().find(|(other, _)| other.is(rules)) {
            return key.clone();
        }
        let key = rules.key(broadcast).map(Arc::new);
        self.0.push((rules.clone(), key.clone()));
        key
    }
}

impl fmt::Debug for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Channel(_) => "Lane::Channel",
            Self::Process(_) => "Lane::Process",
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_broadcast_is_read_as_it_was_written() {
        for payload in [Payload::empty(), Payload::binary(&b"\0\xff"[..]), Payload::binary(Bytes::new())] {
            let broadcast = Broadcast { topic: "room:1".into(), event: "shout".into(), payload };
            let bytes = Fastlane.encode(&broadcast).unwrap();
            assert_eq!(Fastlane.decode("room:1", bytes.clone()).unwrap(), broadcast);
            assert!((0..8).all(|cut| Fastlane.decode("room:1", bytes.slice(..cut)).is_err()));
        }
    }

    #[test]
    fn what_clients_could_not_read_is_refused() {
        let bad: [&[u8]; 4] = [b"\0\0\x01e{", b"\0\0\x01\xff{}", b"\0\0\x01e\xff", b"\x02\0\x01e{}"];
        for bytes in bad {
            assert!(Fastlane.decode("t", Bytes::from_static(bytes)).is_err(), "{bytes:?}");
        }
        let long =
            Broadcast { topic: "t".into(), event: "e".repeat(65_536).into(), payload: Payload::empty() };
        assert!(Fastlane.encode(&long).is_err());
    }

    proptest! {
        #[test]
        fn foreign_bytes_are_no_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            drop(Fastlane.decode("t", bytes.into()));
        }
    }
}
