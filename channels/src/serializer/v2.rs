//! The V2 protocol: JSON arrays `[join_ref, ref, topic, event, payload]`, and `binary.rs` where the payload is bytes.
//!
//! Pure: bytes in, values out.

use std::fmt;

use bytestring::ByteString;
use serde::de::{IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::text::{Fields, plain_ref, plain_string, push_ref, push_string, quoted};
use super::{DecodeError, EncodeError, Frame, Serializer, binary};
use crate::message::{Broadcast, Message, MessageRef, Reply};

/// The V2 serializer. Phoenix's `Phoenix.Socket.V2.JSONSerializer`.
///
/// [`Serializers::default`](crate::Serializers) holds it already; alone it is the inner part of a serializer of your own.
///
/// ```
/// use heronry_channels::{Frame, Serializer, V2};
///
/// let frame = Frame::Text(r#"["1","2","room:lobby","shout",{"text":"hi"}]"#.into());
/// let message = V2.decode(frame)?;
/// assert_eq!((&*message.topic, &*message.event), ("room:lobby", "shout"));
/// # Ok::<(), heronry_channels::DecodeError>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct V2;

impl Serializer for V2 {
    fn decode(&self, frame: Frame) -> Result<Message, DecodeError> {
        match frame {
            Frame::Text(text) => decode_text(&text),
            Frame::Binary(bytes) => binary::decode(&bytes),
        }
    }

    fn encode_message(&self, message: &Message) -> Result<Frame, EncodeError> {
        let Message { join_ref, reference, topic, event, payload } = message;
        match (payload.as_json(), payload.as_binary()) {
            (_, Some(bytes)) => binary::encode_push(join_ref.as_deref().unwrap_or(""), topic, event, bytes),
            (json, None) => {
                let json = json.unwrap_or("null");
                Ok(array(join_ref.as_ref(), reference.as_ref(), topic, event, &[json]))
            }
        }
    }

    fn encode_reply(
        &self,
        join_ref: Option<&MessageRef>,
        reference: Option<&MessageRef>,
        topic: &str,
        reply: &Reply,
    ) -> Result<Frame, EncodeError> {
        match (reply.response.as_json(), reply.response.as_binary()) {
            (_, Some(bytes)) => {
                let [join_ref, reference] =
                    [join_ref, reference].map(|given| given.map_or("", MessageRef::as_str));
                binary::encode_reply(join_ref, reference, topic, reply.status.as_str(), bytes)
            }
            (json, None) => {
                let status = quoted(&reply.status);
                let json = json.unwrap_or("null");
                let payload = ["{\"status\":", &status, ",\"response\":", json, "}"];
                Ok(array(join_ref, reference, topic, "phx_reply", &payload))
            }
        }
    }

    fn encode_broadcast(&self, broadcast: &Broadcast) -> Result<Frame, EncodeError> {
        let Broadcast { topic, event, payload } = broadcast;
        match (payload.as_json(), payload.as_binary()) {
            (_, Some(bytes)) => binary::encode_broadcast(topic, event, bytes),
            (json, None) => Ok(array(None, None, topic, event, &[json.unwrap_or("null")])),
        }
    }
}

/// Writes a message; the payload is given in pieces that together are JSON.
fn array(
    join_ref: Option<&MessageRef>,
    reference: Option<&MessageRef>,
    topic: &str,
    event: &str,
    payload: &[&str],
) -> Frame {
    let refs = join_ref.map_or(4, |text| text.len() + 2) + reference.map_or(4, |text| text.len() + 2);
    let pieces: usize = payload.iter().map(|piece| piece.len()).sum();
    let mut text = String::with_capacity(refs + topic.len() + event.len() + pieces + 10);
    text.push('[');
    for reference in [join_ref, reference] {
        push_ref(&mut text, reference);
        text.push(',');
    }
    for part in [topic, event] {
        push_string(&mut text, part);
        text.push(',');
    }
    for piece in payload {
        text.push_str(piece);
    }
    text.push(']');
    Frame::Text(text.into())
}

fn decode_text(text: &ByteString) -> Result<Message, DecodeError> {
    match plain(text) {
        Some(fields) => Ok(fields.into_message(text)),
        None => decode_any(text),
    }
}

/// The fields of a frame as clients write it: nothing between the tokens, nothing escaped before the payload. Anything
/// else is `None`, and what is wrong as well: the parser for all of JSON takes longer and has the last word.
fn plain(text: &str) -> Option<Fields<'_>> {
    let (join_ref, rest) = plain_ref(text.strip_prefix('[')?)?;
    let (reference, rest) = plain_ref(rest)?;
    let (topic, rest) = plain_string(rest)?;
    let (event, rest) = plain_string(rest)?;
    let payload = serde_json::from_str(rest.strip_suffix(']')?).ok()?;
    Some(Fields { join_ref, reference, topic, event, payload })
}

/// Reads a frame however it is written.
pub(super) fn decode_any(text: &ByteString) -> Result<Message, DecodeError> {
    let Array(fields) = serde_json::from_str(text).map_err(DecodeError::text)?;
    Ok(fields.into_message(text))
}

/// The five fields; what follows them is ignored.
struct Array<'a>(Fields<'a>);

impl<'de> Deserialize<'de> for Array<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct FieldsVisitor;

        impl<'de> Visitor<'de> for FieldsVisitor {
            type Value = Array<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an array of join_ref, ref, topic, event and payload")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Array<'de>, A::Error> {
                use serde::de::Error;
                let missing = |at| A::Error::invalid_length(at, &self);
                let join_ref = seq.next_element()?.ok_or_else(|| missing(0))?;
                let reference = seq.next_element()?.ok_or_else(|| missing(1))?;
                let topic = seq.next_element()?.ok_or_else(|| missing(2))?;
                let event = seq.next_element()?.ok_or_else(|| missing(3))?;
                let payload = seq.next_element()?.ok_or_else(|| missing(4))?;
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Array(Fields { join_ref, reference, topic, event, payload }))
            }
        }

        deserializer.deserialize_seq(FieldsVisitor)
    }
}
