//! JSON strings, and references, as both text protocols read and write them.
//!
//! Pure: text in, values out.

use std::borrow::Cow;

use bytestring::ByteString;
use serde::de::Error;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::message::{Message, MessageRef, Payload, Status};

/// A string that is borrowed unless it has escapes. (Serde's own `Cow` never borrows within an `Option`.)
#[derive(Deserialize)]
pub(super) struct Str<'a>(#[serde(borrow)] Cow<'a, str>);

/// A string without escapes and the comma after it, if the text begins so: the string, and what follows.
pub(super) fn plain_string(text: &str) -> Option<(Str<'_>, &str)> {
    let text = text.strip_prefix('"')?;
    let end = text.bytes().position(|byte| byte == b'"' || !is_plain(byte))?;
    Some((Str(Cow::Borrowed(&text[..end])), text[end..].strip_prefix("\",")?))
}

/// The same, or `null`, for a reference.
pub(super) fn plain_ref(text: &str) -> Option<(Option<RefField<'_>>, &str)> {
    match text.strip_prefix("null,") {
        Some(rest) => Some((None, rest)),
        None => plain_string(text).map(|(text, rest)| (Some(RefField::Text(text)), rest)),
    }
}

/// Whether the byte stands in a JSON string as itself.
fn is_plain(byte: u8) -> bool {
    byte >= 0x20 && byte != b'"' && byte != b'\\'
}

impl Str<'_> {
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

/// A string of the frame: a slice of it, or, if it had escapes, a string of its own.
pub(super) fn share(text: &ByteString, Str(value): Str<'_>) -> ByteString {
    match value {
        Cow::Borrowed(part) => text.slice_ref(part),
        Cow::Owned(own) => own.into(),
    }
}

/// The fields of a message as its frame has them, whatever shape the protocol gives it.
pub(super) struct Fields<'a> {
    pub(super) join_ref: Option<RefField<'a>>,
    pub(super) reference: Option<RefField<'a>>,
    pub(super) topic: Str<'a>,
    pub(super) event: Str<'a>,
    pub(super) payload: &'a RawValue,
}

impl Fields<'_> {
    /// The message, which shares the bytes of the frame.
    pub(super) fn into_message(self, frame: &ByteString) -> Message {
        Message {
            join_ref: self.join_ref.map(|value| value.share(frame)),
            reference: self.reference.map(|value| value.share(frame)),
            topic: share(frame, self.topic),
            event: share(frame, self.event),
            payload: Payload::raw(frame, self.payload),
        }
    }
}

/// A status as a JSON string.
pub(super) fn quoted(status: &Status) -> Cow<'static, str> {
    match status {
        Status::Ok => "\"ok\"".into(),
        Status::Error => "\"error\"".into(),
        Status::Other(word) => {
            let mut text = String::with_capacity(word.len() + 2);
            push_string(&mut text, word);
            text.into()
        }
    }
}

/// Writes a JSON string; most need no escape.
pub(super) fn push_string(text: &mut String, value: &str) {
    if value.bytes().all(is_plain) {
        text.push('"');
        text.push_str(value);
        text.push('"');
    } else {
        text.push_str(&serde_json::Value::from(value).to_string());
    }
}

/// A reference: a string, or a number as it is spelled. (As a value it would come back spelled otherwise, and a large one
/// changed.)
pub(super) enum RefField<'a> {
    Text(Str<'a>),
    Number(&'a str),
}

impl RefField<'_> {
    pub(super) fn share(self, frame: &ByteString) -> MessageRef {
        match self {
            Self::Text(text) => share(frame, text).into(),
            Self::Number(number) => MessageRef::number(frame.slice_ref(number)),
        }
    }
}

impl<'de> Deserialize<'de> for RefField<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let json = <&RawValue>::deserialize(deserializer)?.get();
        if json.starts_with('"') {
            return serde_json::from_str(json).map(Self::Text).map_err(D::Error::custom);
        }
        // Of all JSON values, numbers alone are what Rust reads as a number too.
        match json.parse::<f64>() {
            Ok(number) if number.is_finite() => Ok(Self::Number(json)),
            Ok(_) => Err(D::Error::custom("a reference out of the range of numbers")),
            Err(_) => Err(D::Error::custom("a reference that is no string, number or null")),
        }
    }
}

/// Writes a reference as its client sent it.
pub(super) fn push_ref(text: &mut String, reference: Option<&MessageRef>) {
    match reference {
        Some(reference) if reference.is_number() => text.push_str(reference),
        Some(reference) => push_string(text, reference),
        None => text.push_str("null"),
    }
}
