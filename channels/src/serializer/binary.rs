//! The binary form of the V2 protocol: kind, lengths (one byte each), the strings, the data.
//!
//! Pure: bytes in, values out.

use bytes::Bytes;
use bytestring::ByteString;

use super::{DecodeError, EncodeError, Frame};
use crate::message::{Message, Payload};

const PUSH: u8 = 0;
const REPLY: u8 = 1;
const BROADCAST: u8 = 2;

/// Reads a client push: `0, |join_ref|, |ref|, |topic|, |event|, join_ref, ref, topic, event, data`.
pub(super) fn decode(bytes: &Bytes) -> Result<Message, DecodeError> {
    let (head, mut rest) =
        bytes.split_first_chunk::<5>().ok_or(DecodeError::Binary("shorter than its head"))?;
    let [kind, lengths @ ..] = head;
    if *kind != PUSH {
        return Err(DecodeError::Binary("not a push"));
    }
    let mut fields = [const { ByteString::new() }; 4];
    for (field, length) in fields.iter_mut().zip(lengths) {
        let (part, after) = rest
            .split_at_checked(usize::from(*length))
            .ok_or(DecodeError::Binary("shorter than its fields"))?;
        *field = ByteString::try_from(bytes.slice_ref(part))
            .map_err(|_| DecodeError::Binary("a field is not UTF-8"))?;
        rest = after;
    }
    let [join_ref, reference, topic, event] = fields;
    let given = |text: ByteString| (!text.is_empty()).then(|| text.into());
    let payload = Payload::binary(bytes.slice_ref(rest));
    Ok(Message { join_ref: given(join_ref), reference: given(reference), topic, event, payload })
}

/// `0, |join_ref|, |topic|, |event|, join_ref, topic, event, data`.
pub(super) fn encode_push(
    join_ref: &str,
    topic: &str,
    event: &str,
    data: &[u8],
) -> Result<Frame, EncodeError> {
    encode(PUSH, &[("join_ref", join_ref), ("topic", topic), ("event", event)], data)
}

/// `1, |join_ref|, |ref|, |topic|, |status|, join_ref, ref, topic, status, data`.
pub(super) fn encode_reply(
    join_ref: &str,
    reference: &str,
    topic: &str,
    status: &str,
    data: &[u8],
) -> Result<Frame, EncodeError> {
    let fields = [("join_ref", join_ref), ("ref", reference), ("topic", topic), ("status", status)];
    encode(REPLY, &fields, data)
}

/// `2, |topic|, |event|, topic, event, data`.
pub(super) fn encode_broadcast(topic: &str, event: &str, data: &[u8]) -> Result<Frame, EncodeError> {
    encode(BROADCAST, &[("topic", topic), ("event", event)], data)
}

fn encode(kind: u8, fields: &[(&'static str, &str)], data: &[u8]) -> Result<Frame, EncodeError> {
    let strings: usize = fields.iter().map(|(_, value)| value.len()).sum();
    let mut bytes = Vec::with_capacity(1 + fields.len() + strings + data.len());
    bytes.push(kind);
    for (field, value) in fields {
        bytes.push(EncodeError::check(field, value)?);
    }
    for (_, value) in fields {
        bytes.extend_from_slice(value.as_bytes());
    }
    bytes.extend_from_slice(data);
    Ok(Frame::Binary(bytes.into()))
}
