//! Serializers: messages to frames and back.
//!
//! Pure: bytes in, values out. A serializer knows nothing of the wire below it.

mod binary;
mod choice;
mod text;
#[cfg(feature = "longpoll")]
mod text_only;
mod v1;
mod v2;

use std::fmt;

use bytes::Bytes;
use bytestring::ByteString;
pub use choice::Serializers;
pub use v1::V1;
pub use v2::V2;

use crate::message::{Broadcast, Message, MessageRef, Payload, Reply, WithoutValue};

/// The longest header field of a binary frame, in bytes: its length is one byte.
const BINARY_FIELD_BYTES_MAX: usize = 255;

/// One message as a transport carries it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// Text.
    Text(ByteString),
    /// Bytes.
    Binary(Bytes),
}

impl Frame {
    /// The length in bytes.
    pub fn len(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Binary(bytes) => bytes.len(),
        }
    }

    /// The bytes of either kind.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Binary(bytes) => bytes,
        }
    }

    /// Whether it has no bytes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl From<ByteString> for Frame {
    fn from(text: ByteString) -> Self {
        Self::Text(text)
    }
}

impl From<String> for Frame {
    fn from(text: String) -> Self {
        Self::Text(text.into())
    }
}

impl From<&str> for Frame {
    fn from(text: &str) -> Self {
        Self::Text(text.into())
    }
}

impl From<Bytes> for Frame {
    fn from(bytes: Bytes) -> Self {
        Self::Binary(bytes)
    }
}

impl From<Vec<u8>> for Frame {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Binary(bytes.into())
    }
}

/// A frame that is no message. Its connection is closed with 1011.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DecodeError {
    /// Text that is no JSON, or JSON of another shape than the protocol's messages: what the parser said.
    Text(String),
    /// Bytes that are no client push, or bytes at all where the protocol has none: what is wrong with them.
    Binary(&'static str),
}

/// A message that a serializer can't carry. Nothing was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EncodeError {
    /// A field of a binary frame is longer than 255 bytes; shorten it.
    FieldTooLong {
        /// Which field.
        field: &'static str,
        /// Its length in bytes.
        len: usize,
    },
    /// Bytes for a client that can't be sent any: it speaks the V1 protocol, or polls. Send it JSON.
    Binary,
}

impl DecodeError {
    /// The parser's words, less what the client sent.
    fn text(error: serde_json::Error) -> Self {
        Self::Text(WithoutValue(&error).to_string())
    }
}

impl EncodeError {
    /// Checks a header field of a binary frame; its length as the frame carries it.
    pub(crate) fn check(field: &'static str, value: &str) -> Result<u8, Self> {
        u8::try_from(value.len()).map_err(|_| Self::FieldTooLong { field, len: value.len() })
    }
}

impl Broadcast {
    /// A broadcast that every serializer for its kind of payload can carry.
    pub(crate) fn new(
        topic: ByteString,
        event: impl Into<ByteString>,
        payload: Payload,
    ) -> Result<Self, EncodeError> {
        let broadcast = Self { topic, event: event.into(), payload };
        if broadcast.payload.is_binary() {
            EncodeError::check("topic", &broadcast.topic)?;
            EncodeError::check("event", &broadcast.event)?;
        }
        Ok(broadcast)
    }
}

/// Messages to frames and back. Phoenix's `Phoenix.Socket.Serializer`.
///
/// A socket's mount chooses one by the version that its client asks for: see [`Serializers`].
pub trait Serializer: Send + Sync + 'static {
    /// Reads a frame of a client.
    ///
    /// # Errors
    /// [`DecodeError`] if it is no message.
    fn decode(&self, frame: Frame) -> Result<Message, DecodeError>;

    /// Writes a message to a client.
    ///
    /// # Errors
    /// [`EncodeError`] if the protocol can't carry it.
    fn encode_message(&self, message: &Message) -> Result<Frame, EncodeError>;

    /// Writes the reply to a message.
    ///
    /// # Errors
    /// [`EncodeError`] if the protocol can't carry it.
    fn encode_reply(
        &self,
        join_ref: Option<&MessageRef>,
        reference: Option<&MessageRef>,
        topic: &str,
        reply: &Reply,
    ) -> Result<Frame, EncodeError>;

    /// Writes a broadcast: the same frame for all members of the topic. Phoenix's `fastlane!`.
    ///
    /// # Errors
    /// [`EncodeError`] if the protocol can't carry it.
    fn encode_broadcast(&self, broadcast: &Broadcast) -> Result<Frame, EncodeError>;
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(error) => write!(f, "not a message: {error}"),
            Self::Binary(error) => write!(f, "not a binary message: {error}"),
        }
    }
}

impl std::error::Error for DecodeError {}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FieldTooLong { field, len } => write!(
                f,
                "the {field} of a binary message may have {BINARY_FIELD_BYTES_MAX} bytes, this one has {len}"
            ),
            Self::Binary => f.write_str(
                "this client can't be sent bytes (it speaks the V1 protocol, or polls): send it JSON",
            ),
        }
    }
}

impl std::error::Error for EncodeError {}

#[cfg(test)]
mod tests;
