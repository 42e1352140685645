//! JSON strings as both text protocols read and write them.
//!
//! Pure: text in, values out.

use std::borrow::Cow;

use bytestring::ByteString;
use serde::Deserialize;

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
