//! JSON strings, and references, as both text protocols read and write them.
//!
//! Pure: text in, values out.

use std::borrow::Cow;
use std::fmt;

use bytestring::ByteString;
use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer};

use crate::message::MessageRef;

/// A string that is borrowed unless it has escapes. (Serde's own `Cow` never borrows within an `Option`.)
#[derive(Deserialize)]
pub(super) struct Str<'a>(#[serde(borrow)] Cow<'a, str>);

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

/// Writes a JSON string; most need no escape.
pub(super) fn push_string(text: &mut String, value: &str) {
    if value.bytes().all(|byte| byte >= 0x20 && byte != b'"' && byte != b'\\') {
        text.push('"');
        text.push_str(value);
        text.push('"');
    } else {
        text.push_str(&serde_json::Value::from(value).to_string());
    }
}

/// A reference: a string or a number.
pub(super) enum RefField<'a> {
    Text(Str<'a>),
    Number(serde_json::Number),
}

impl RefField<'_> {
    pub(super) fn share(self, frame: &ByteString) -> MessageRef {
        match self {
            Self::Text(text) => share(frame, text).into(),
            Self::Number(number) => MessageRef::number(number.to_string()),
        }
    }
}

impl<'de> Deserialize<'de> for RefField<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct RefVisitor;

        impl<'de> Visitor<'de> for RefVisitor {
            type Value = RefField<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a reference: a string, a number or null")
            }

            fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<RefField<'de>, E> {
                Ok(RefField::Text(Str(Cow::Borrowed(text))))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<RefField<'de>, E> {
                Ok(RefField::Text(Str(Cow::Owned(text.to_owned()))))
            }

            fn visit_u64<E: Error>(self, number: u64) -> Result<RefField<'de>, E> {
                Ok(RefField::Number(number.into()))
            }

            fn visit_i64<E: Error>(self, number: i64) -> Result<RefField<'de>, E> {
                Ok(RefField::Number(number.into()))
            }

            fn visit_f64<E: Error>(self, number: f64) -> Result<RefField<'de>, E> {
                let number = serde_json::Number::from_f64(number);
                number.map(RefField::Number).ok_or_else(|| E::custom("a number out of range"))
            }
        }

        deserializer.deserialize_any(RefVisitor)
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
