//! The V1 protocol: JSON objects of `topic`, `event`, `payload` and `ref`, without a binary form.
//!
//! Pure: bytes in, values out.

use std::fmt;

use bytestring::ByteString;
use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::text::{Fields, Str, push_ref, push_string, quoted};
use super::{DecodeError, EncodeError, Frame, Serializer};
use crate::message::{Broadcast, Message, MessageRef, Reply};

/// The V1 serializer. Phoenix's `Phoenix.Socket.V1.JSONSerializer`.
///
/// [`Serializers::default`](crate::Serializers) holds it already; alone it is the inner part of a serializer of your own.
///
/// ```
/// use heronry_channels::{Frame, Serializer, V1};
///
/// let frame = Frame::Text(r#"{"topic":"room:lobby","event":"shout","payload":{"text":"hi"},"ref":"2"}"#.into());
/// assert_eq!(&*V1.decode(frame)?.topic, "room:lobby");
/// # Ok::<(), heronry_channels::DecodeError>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct V1;

impl Serializer for V1 {
    fn decode(&self, frame: Frame) -> Result<Message, DecodeError> {
        match frame {
            Frame::Text(text) => decode_text(&text),
            Frame::Binary(_) => Err(DecodeError::Binary("the V1 protocol has no binary messages")),
        }
    }

    fn encode_message(&self, message: &Message) -> Result<Frame, EncodeError> {
        let Message { join_ref: _, reference, topic, event, payload } = message;
        let payload = payload.as_json().ok_or(EncodeError::Binary)?;
        Ok(object(reference.as_ref(), topic, event, &[payload]))
    }

    fn encode_reply(
        &self,
        _: Option<&MessageRef>,
        reference: Option<&MessageRef>,
        topic: &str,
        reply: &Reply,
    ) -> Result<Frame, EncodeError> {
        let response = reply.response.as_json().ok_or(EncodeError::Binary)?;
        let status = quoted(&reply.status);
        let payload = ["{\"status\":", &status, ",\"response\":", response, "}"];
        Ok(object(reference, topic, "phx_reply", &payload))
    }

    fn encode_broadcast(&self, broadcast: &Broadcast) -> Result<Frame, EncodeError> {
        let Broadcast { topic, event, payload } = broadcast;
        let payload = payload.as_json().ok_or(EncodeError::Binary)?;
        Ok(object(None, topic, event, &[payload]))
    }
}

/// Writes a message; the payload is given in pieces that together are JSON.
fn object(reference: Option<&MessageRef>, topic: &str, event: &str, payload: &[&str]) -> Frame {
    const NAMES: usize = r#"{"topic":"","event":"","payload":,"ref":null}"#.len();
    let pieces: usize = payload.iter().map(|piece| piece.len()).sum();
    let reference_len = reference.map_or(0, |text| text.len());
    let mut text = String::with_capacity(NAMES + topic.len() + event.len() + pieces + reference_len);
    text.push_str("{\"topic\":");
    push_string(&mut text, topic);
    text.push_str(",\"event\":");
    push_string(&mut text, event);
    text.push_str(",\"payload\":");
    for piece in payload {
        text.push_str(piece);
    }
    text.push_str(",\"ref\":");
    push_ref(&mut text, reference);
    text.push('}');
    Frame::Text(text.into())
}

fn decode_text(text: &ByteString) -> Result<Message, DecodeError> {
    let Object(fields) = serde_json::from_str(text).map_err(DecodeError::text)?;
    Ok(fields.into_message(text))
}

/// The fields, of which `join_ref` may be missing; others are ignored, and of two of one name the later counts.
struct Object<'a>(Fields<'a>);

impl<'de> Deserialize<'de> for Object<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct FieldsVisitor;

        impl<'de> Visitor<'de> for FieldsVisitor {
            type Value = Object<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object with topic, event, payload and ref")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object<'de>, A::Error> {
                use serde::de::Error;
                let (mut join_ref, mut reference, mut topic, mut event, mut payload) =
                    (None, None, None, None, None);
                while let Some(name) = map.next_key::<Str<'de>>()? {
                    match name.as_str() {
                        "join_ref" => join_ref = map.next_value()?,
                        "ref" => reference = Some(map.next_value()?),
                        "topic" => topic = Some(map.next_value()?),
                        "event" => event = Some(map.next_value()?),
                        "payload" => payload = Some(map.next_value()?),
                        _ => {
                            map.next_value::<IgnoredAny>()?;
                        }
                    }
                }
                Ok(Object(Fields {
                    join_ref,
                    reference: reference.ok_or_else(|| A::Error::missing_field("ref"))?,
                    topic: topic.ok_or_else(|| A::Error::missing_field("topic"))?,
                    event: event.ok_or_else(|| A::Error::missing_field("event"))?,
                    payload: payload.ok_or_else(|| A::Error::missing_field("payload"))?,
                }))
            }
        }

        deserializer.deserialize_map(FieldsVisitor)
    }
}

#[cfg(test)]
mod tests;
