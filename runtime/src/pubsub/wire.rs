//! What a broadcast is on its way between nodes.
//!
//! Pure: values and their bytes. All nodes must agree on everything here, also while some of them are newer than others.

use std::fmt;
use std::hash::Hasher;

use bytes::{BufMut, Bytes, BytesMut};

use super::Dispatcher;
use crate::engine::{SHARDS, ShardId};
use crate::name::{NAME_BYTES_MAX, Name};

/// The longest topic that travels between nodes, in bytes.
pub const REMOTE_TOPIC_BYTES_MAX: usize = u16::MAX as usize;

/// A [`Dispatcher`] whose messages can travel to other nodes.
///
/// ```
/// use bytes::Bytes;
/// use heronry::pubsub::{Dispatcher, Entry, Wire, WireError};
///
/// struct Texts;
///
/// impl Dispatcher for Texts {
///     type Message = String;
///     type Subscriber = std::sync::mpsc::Sender<String>;
///
///     fn dispatch(&self, entries: &mut dyn Iterator<Item = &Entry<Self::Subscriber>>, message: &String) {
///         entries.for_each(|entry| drop(entry.subscriber.send(message.clone())));
///     }
/// }
///
/// impl Wire for Texts {
///     fn encode(&self, message: &String) -> Result<Bytes, WireError> {
///         Ok(message.clone().into())
///     }
///
///     fn decode(&self, _topic: &str, bytes: Bytes) -> Result<String, WireError> {
///         String::from_utf8(bytes.into()).map_err(WireError::new)
///     }
/// }
/// ```
pub trait Wire: Dispatcher {
    /// Makes bytes of a message, once for all nodes. Runs in the process that broadcasts.
    ///
    /// # Errors
    /// [`WireError`] if the message has no such form; it reaches this node's subscribers alone.
    fn encode(&self, message: &Self::Message) -> Result<Bytes, WireError>;

    /// Makes a message of what a node sent, on this topic; or a stranger, if frames are not signed: check them. It must not wait.
    ///
    /// # Errors
    /// [`WireError`] if the bytes are none; they are dropped and counted.
    fn decode(&self, topic: &str, bytes: Bytes) -> Result<Self::Message, WireError>;
}

/// Why a message has no bytes, or bytes are no message.
#[derive(Debug)]
pub struct WireError(Box<dyn std::error::Error + Send + Sync>);

impl WireError {
    /// With what is to be said of it.
    pub fn new(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self(cause.into())
    }
}

impl fmt::Display for WireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for WireError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source()
    }
}

/// A broadcast as it travels: `[name's length u8][name][topic's length u16][topic][message]`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Envelope<'a> {
    /// Which PubSub of the node it is for.
    pub(super) name: &'a str,
    pub(super) topic: &'a str,
    pub(super) message: Bytes,
}

impl<'a> Envelope<'a> {
    pub(super) fn encode(name: &Name, topic: &str, message: &[u8]) -> Result<BytesMut, WireError> {
        const _: () = assert!(NAME_BYTES_MAX <= u8::MAX as usize);
        let topic_len = u16::try_from(topic.len()).map_err(|_| {
            let len = topic.len();
            WireError::new(format!(
                "a topic may have {REMOTE_TOPIC_BYTES_MAX} bytes to travel between nodes, this one has {len}"
            ))
        })?;
        let name = name.as_str().as_bytes();
        let mut bytes = BytesMut::with_capacity(3 + name.len() + topic.len() + message.len());
        bytes.put_u8(name.len() as u8);
        bytes.put_slice(name);
        bytes.put_u16(topic_len);
        bytes.put_slice(topic.as_bytes());
        bytes.put_slice(message);
        Ok(bytes)
    }

    /// `None` if that is none.
    pub(super) fn decode(bytes: &'a Bytes) -> Option<Self> {
        let (name_len, rest) = bytes.split_first()?;
        let (name, rest) = rest.split_at_checked(usize::from(*name_len))?;
        let (topic_len, rest) = rest.split_first_chunk()?;
        let (topic, message) = rest.split_at_checked(usize::from(u16::from_be_bytes(*topic_len)))?;
        let (name, topic) = (str::from_utf8(name).ok()?, str::from_utf8(topic).ok()?);
        Some(Self { name, topic, message: bytes.slice_ref(message) })
    }
}

/// The shard of a topic, the same on every node whatever it was built with.
pub(super) fn shard_of(topic: &str) -> ShardId {
    let mut hasher = Fnv1a(0xcbf2_9ce4_8422_2325);
    hasher.write(topic.as_bytes());
    // The lowest bits of FNV are its weakest: fold the higher ones in.
    let hash = hasher.finish();
    let number = (hash ^ (hash >> 32)) % u64::from(SHARDS);
    ShardId::new(number as u16).expect("invariant: a remainder of SHARDS is below it")
}

/// FNV-1a with 64 bits. Whoever floods one shard by choosing topics slows nobody more than by as many messages on one topic.
struct Fnv1a(u64);

impl Hasher for Fnv1a {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_envelope_is_read_as_it_was_written() {
        let name = Name::parse("news").unwrap();
        let bytes = Envelope::encode(&name, "weather", b"rain").unwrap().freeze();
        let read = Envelope { name: "news", topic: "weather", message: Bytes::from_static(b"rain") };
        assert_eq!(Envelope::decode(&bytes), Some(read));
        assert!(Envelope::encode(&name, &"t".repeat(65_536), b"").is_err());
        for cut in 0..bytes.len() - b"rain".len() {
            assert_eq!(Envelope::decode(&bytes.slice(..cut)), None, "cut at {cut}");
        }
    }

    #[test]
    fn a_topic_has_the_same_shard_on_every_node() {
        // On record: nodes of different builds must agree.
        let shards =
            ["", "room:lobby", "room:1", "room:2", "user_socket:7"].map(|topic| shard_of(topic).get());
        assert_eq!(shards, SHARDS_ON_RECORD);
    }

    #[test]
    fn topics_are_spread_evenly() {
        let mut counts = vec![0; usize::from(SHARDS)];
        for n in 0..100_000 {
            counts[usize::from(shard_of(&format!("room:{n}")).get())] += 1;
        }
        // 98 on average; five standard deviations.
        assert!(counts.iter().all(|count| (48..148).contains(count)), "{counts:?}");
    }

    proptest! {
        #[test]
        fn foreign_bytes_are_no_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            drop(Envelope::decode(&bytes.into()));
        }
    }

    const SHARDS_ON_RECORD: [u16; 5] = [961, 205, 583, 306, 768];
}
