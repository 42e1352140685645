//! Messages, replies, broadcasts and their payloads.
//!
//! Pure: values. A payload that only passes through stays the text it came as.

use std::fmt::{self, Write as _};

use bytes::Bytes;
use bytestring::ByteString;
use serde::Serialize;
use serde::de::Deserialize;
use serde_json::value::RawValue;

/// What a message carries: JSON or bytes.
///
/// Cheap to clone: the bytes are shared. JSON is kept as text and parsed only when somebody asks for it.
///
/// ```
/// use heronry_channels::Payload;
/// use serde_json::json;
///
/// let payload = Payload::from(json!({ "body": "hello" }));
/// assert_eq!(payload.as_json(), Some(r#"{"body":"hello"}"#));
///
/// #[derive(serde::Deserialize)]
/// struct Said<'a> { body: &'a str }
/// let said: Said = payload.parse().unwrap();
/// assert_eq!(said.body, "hello");
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Payload(Kind);

#[derive(Clone, PartialEq, Eq)]
enum Kind {
    /// Valid JSON, without white space around it.
    Json(ByteString),
    Binary(Bytes),
}

/// A payload that is not what was asked for.
#[non_exhaustive]
pub enum PayloadError {
    /// JSON was expected, and these were bytes.
    Binary,
    /// The JSON is not of the wanted shape, or is none.
    Json(serde_json::Error),
}

impl fmt::Debug for PayloadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Binary => f.write_str("Binary"),
            Self::Json(error) => write!(f, "Json({})", WithoutValue(error)),
        }
    }
}

impl fmt::Display for PayloadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Binary => f.write_str("the payload is binary where JSON is expected"),
            Self::Json(error) => {
                write!(f, "the payload is not of the expected shape: {}", WithoutValue(error))
            }
        }
    }
}

impl std::error::Error for PayloadError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Binary => None,
            Self::Json(error) => Some(error),
        }
    }
}

/// How much is shown of what serde expected.
const EXPECTED_CHARS_MAX: usize = 300;

/// What serde says of JSON that is not of the wanted shape, less the value that it found there: that may be a password,
/// or a megabyte, and errors end up in logs.
pub(crate) struct WithoutValue<'a>(pub(crate) &'a serde_json::Error);

impl fmt::Display for WithoutValue<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.0.to_string();
        // `invalid type: string "hunter2", expected u64 at line 1 column 9`, `unknown variant `hunter2`, expected ...`
        let kinds =
            ["invalid type: ", "invalid value: ", "unknown variant", "unknown field", "duplicate field"];
        let Some(kind) = kinds.into_iter().find(|kind| text.starts_with(kind)) else {
            return f.write_str(&text);
        };
        let found = text[kind.len()..].split([' ', ',']).next().unwrap_or_default();
        let expected = text.rfind(", expected ").map_or("", |at| &text[at..]);
        write!(f, "{kind}{found}")?;
        // The wanted type's words, however many: it is not for us to know that they are few.
        expected.chars().take(EXPECTED_CHARS_MAX).try_for_each(|char| f.write_char(char))
    }
}

impl Payload {
    /// `{}`.
    pub fn empty() -> Self {
        Self::from_static("{}")
    }

    /// JSON of ours, which is known to be some.
    pub(crate) fn from_static(json: &'static str) -> Self {
        Self(Kind::Json(ByteString::from_static(json)))
    }

    /// JSON made of a value.
    ///
    /// # Errors
    /// [`PayloadError::Json`] if the value can't be JSON (a map with keys that are no strings, say).
    pub fn json<T: Serialize + ?Sized>(value: &T) -> Result<Self, PayloadError> {
        let text = serde_json::to_string(value).map_err(PayloadError::Json)?;
        Ok(Self(Kind::Json(text.into())))
    }

    /// JSON that is text already; checked, not copied.
    ///
    /// # Errors
    /// [`PayloadError::Json`] if it is no JSON.
    pub fn json_text(text: impl Into<ByteString>) -> Result<Self, PayloadError> {
        let text = text.into();
        let raw: &RawValue = serde_json::from_str(&text).map_err(PayloadError::Json)?;
        Ok(Self::raw(&text, raw))
    }

    /// A value found in `text`: shares its bytes.
    pub(crate) fn raw(text: &ByteString, value: &RawValue) -> Self {
        Self(Kind::Json(text.slice_ref(value.get())))
    }

    /// A copy that shares nothing: for what is kept, which would else keep the whole frame that it came in.
    pub(crate) fn to_owned_copy(&self) -> Self {
        Self(match &self.0 {
            Kind::Json(text) => Kind::Json(ByteString::from(&**text)),
            Kind::Binary(bytes) => Kind::Binary(Bytes::copy_from_slice(bytes)),
        })
    }

    /// Bytes.
    pub fn binary(bytes: impl Into<Bytes>) -> Self {
        Self(Kind::Binary(bytes.into()))
    }

    /// Reads the JSON as a `T`, which may borrow from this payload.
    ///
    /// # Errors
    /// [`PayloadError`] if it is binary or of another shape. With `?` in a channel's callback that is a crash of the
    /// channel; answer the client instead where it should be told.
    pub fn parse<'a, T: Deserialize<'a>>(&'a self) -> Result<T, PayloadError> {
        match &self.0 {
            Kind::Json(text) => serde_json::from_str(text).map_err(PayloadError::Json),
            Kind::Binary(_) => Err(PayloadError::Binary),
        }
    }

    /// The JSON text; `None` if it is binary.
    pub fn as_json(&self) -> Option<&str> {
        match &self.0 {
            Kind::Json(text) => Some(text),
            Kind::Binary(_) => None,
        }
    }

    /// The bytes; `None` if it is JSON.
    pub fn as_binary(&self) -> Option<&Bytes> {
        match &self.0 {
            Kind::Json(_) => None,
            Kind::Binary(bytes) => Some(bytes),
        }
    }

    /// Whether it is a JSON object.
    pub fn is_object(&self) -> bool {
        self.as_json().is_some_and(|text| text.starts_with('{'))
    }

    /// Whether it is binary.
    pub fn is_binary(&self) -> bool {
        self.as_binary().is_some()
    }
}

impl From<serde_json::Value> for Payload {
    fn from(value: serde_json::Value) -> Self {
        Self(Kind::Json(value.to_string().into()))
    }
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Json(text) => f.write_str(text),
            Kind::Binary(bytes) => write!(f, "{} bytes", bytes.len()),
        }
    }
}

/// What a client calls a message or a join by: a text or a number, which comes back as it was.
///
/// Most clients count in texts, as phoenix.js does; some in numbers. They are different: `"1"` is not `1`.
///
/// ```
/// use heronry_channels::MessageRef;
///
/// let reference = MessageRef::from("17");
/// assert_eq!(&*reference, "17");
/// assert!(!reference.is_number());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageRef {
    text: ByteString,
    number: bool,
}

impl MessageRef {
    /// A number, given as JSON writes it.
    pub(crate) fn number(json: impl Into<ByteString>) -> Self {
        Self { text: json.into(), number: true }
    }

    /// The text, or the digits of the number.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether it is a number.
    pub fn is_number(&self) -> bool {
        self.number
    }

    /// A copy that shares nothing: for what is kept, which would else keep the whole frame that it came in.
    pub(crate) fn to_owned_copy(&self) -> Self {
        Self { text: ByteString::from(&*self.text), number: self.number }
    }
}

impl<T: Into<ByteString>> From<T> for MessageRef {
    fn from(text: T) -> Self {
        Self { text: text.into(), number: false }
    }
}

impl std::ops::Deref for MessageRef {
    type Target = str;

    fn deref(&self) -> &str {
        &self.text
    }
}

/// A message between a client and a topic. Phoenix's `Phoenix.Socket.Message`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The reference of the join that the message belongs to.
    pub join_ref: Option<MessageRef>,
    /// The reference of the message itself, which its reply carries.
    pub reference: Option<MessageRef>,
    /// The topic.
    pub topic: ByteString,
    /// The event.
    pub event: ByteString,
    /// What it carries.
    pub payload: Payload,
}

/// How an event of a client went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Status {
    /// `ok`.
    Ok,
    /// `error`.
    Error,
    /// A status of the application's own.
    Other(ByteString),
}

impl Status {
    /// The word on the wire.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Ok => "ok",
            Self::Error => "error",
            Self::Other(word) => word,
        }
    }
}

/// The answer to an event. Phoenix's `Phoenix.Socket.Reply`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// How it went.
    pub status: Status,
    /// What the client is told: any JSON, or bytes.
    pub response: Payload,
}

impl Reply {
    /// An answer with status `ok`.
    pub fn ok(response: impl Into<Payload>) -> Self {
        Self { status: Status::Ok, response: response.into() }
    }

    /// An answer with status `error`.
    pub fn error(response: impl Into<Payload>) -> Self {
        Self { status: Status::Error, response: response.into() }
    }

    /// An answer with a status of the application's own.
    pub fn with(status: impl Into<ByteString>, response: impl Into<Payload>) -> Self {
        Self { status: Status::Other(status.into()), response: response.into() }
    }
}

/// An event for all members of a topic. Phoenix's `Phoenix.Socket.Broadcast`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broadcast {
    /// The topic.
    pub topic: ByteString,
    /// The event.
    pub event: ByteString,
    /// What it carries.
    pub payload: Payload,
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "read for the errors alone")]
    struct Wait {
        ms: u64,
        unit: Option<Unit>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Unit {
        Second,
    }

    #[test]
    fn what_a_client_sent_is_in_no_error() {
        let table = [
            (r#"{"ms":"hunter2"}"#, "invalid type: string, expected u64 at line 1 column 15"),
            (r#"{"ms":"hunter2, expected "}"#, "invalid type: string, expected u64 at line 1 column 26"),
            (r#"{"ms":-7777}"#, "invalid value: integer, expected u64 at line 1 column 11"),
            (r#""hunter2""#, "invalid type: string, expected struct Wait at line 1 column 9"),
            (r#"{"hunter2":1}"#, "unknown field, expected `ms` or `unit` at line 1 column 10"),
            (r#"{"ms":1,"unit":"hunter2"}"#, "unknown variant, expected `second` at line 1 column 24"),
            (r#"{"unit":null}"#, "missing field `ms` at line 1 column 13"),
        ];
        for (text, want) in table {
            let error = Payload::json_text(text).unwrap().parse::<Wait>().unwrap_err();
            assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
            let told = error.to_string();
            assert_eq!(told, format!("the payload is not of the expected shape: {want}"), "{text}");
        }
    }
}
