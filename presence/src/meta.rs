//! What is said of a presence: a JSON object, kept as the text that clients will read.
//!
//! Pure: values.

use std::fmt;

use bytestring::ByteString;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

/// The names that Phoenix adds to a meta: they are ours to say.
const RESERVED: [&str; 2] = ["phx_ref", "phx_ref_prev"];

/// What is said of a presence: a small JSON object, such as `{"status": "away"}`. Cheap to clone.
///
/// `phx_ref` and `phx_ref_prev` are taken out of what is given: the tracker says them of each meta. Phoenix's `meta`.
///
/// ```
/// use heronry_presence::Meta;
/// use serde_json::json;
///
/// let meta = Meta::try_from(json!({ "status": "away" })).unwrap();
/// assert_eq!(meta.as_str(), r#"{"status":"away"}"#);
/// assert!(Meta::try_from(json!("away")).is_err());
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Meta(ByteString);

/// A value that can't be a meta.
#[derive(Debug)]
#[non_exhaustive]
pub enum MetaError {
    /// It is JSON, and no object. Put it into one.
    NotAnObject,
    /// It is no JSON, or can't be made JSON.
    Json(serde_json::Error),
}

impl Meta {
    /// `{}`.
    pub fn empty() -> Self {
        Self(ByteString::from_static("{}"))
    }

    /// Made of a value that serialises as an object.
    ///
    /// # Errors
    /// [`MetaError`] if it doesn't.
    pub fn json<T: Serialize + ?Sized>(value: &T) -> Result<Self, MetaError> {
        Self::checked(serde_json::to_string(value).map_err(MetaError::Json)?.into())
    }

    /// Made of JSON that is text already; checked, not parsed into a tree.
    ///
    /// # Errors
    /// [`MetaError`] if it is no JSON object.
    pub fn text(text: &str) -> Result<Self, MetaError> {
        let raw: &RawValue = serde_json::from_str(text).map_err(MetaError::Json)?;
        Self::checked(ByteString::from(raw.get()))
    }

    /// Of the text of a meta.
    pub(crate) fn unchecked(text: String) -> Self {
        Self(text.into())
    }

    /// Of valid JSON without white space around it.
    fn checked(text: ByteString) -> Result<Self, MetaError> {
        if !text.starts_with('{') {
            return Err(MetaError::NotAnObject);
        }
        if text[1..text.len() - 1].trim().is_empty() {
            return Ok(Self::empty());
        }
        // Most metas do not hold the letters at all, and are not parsed. An escape could spell them.
        if !text.contains("phx_ref") && !text.contains('\\') {
            return Ok(Self(text));
        }
        let mut object: Map<String, Value> = serde_json::from_str(&text).map_err(MetaError::Json)?;
        let reserved = RESERVED.into_iter().filter(|name| object.remove(*name).is_some()).count();
        Ok(Self(if reserved == 0 { text } else { Value::Object(object).to_string().into() }))
    }

    /// The JSON.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Reads it as a `T`, which may borrow from it.
    ///
    /// # Errors
    /// [`MetaError::Json`] if it has another shape.
    pub fn parse<'a, T: Deserialize<'a>>(&'a self) -> Result<T, MetaError> {
        serde_json::from_str(&self.0).map_err(MetaError::Json)
    }
}

impl TryFrom<Value> for Meta {
    type Error = MetaError;

    fn try_from(value: Value) -> Result<Self, MetaError> {
        Self::checked(value.to_string().into())
    }
}

impl From<Map<String, Value>> for Meta {
    fn from(object: Map<String, Value>) -> Self {
        Self::checked(Value::Object(object).to_string().into()).expect("invariant: a map is an object")
    }
}

/// What is taken as a meta: a [`Meta`], a JSON object, a JSON value that is one.
pub trait IntoMeta {
    /// The meta.
    ///
    /// # Errors
    /// [`MetaError::NotAnObject`] of a value that is no object.
    fn into_meta(self) -> Result<Meta, MetaError>;
}

impl IntoMeta for Meta {
    fn into_meta(self) -> Result<Meta, MetaError> {
        Ok(self)
    }
}

impl IntoMeta for Value {
    fn into_meta(self) -> Result<Meta, MetaError> {
        self.try_into()
    }
}

impl IntoMeta for Map<String, Value> {
    fn into_meta(self) -> Result<Meta, MetaError> {
        Ok(self.into())
    }
}

impl fmt::Debug for Meta {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for MetaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAnObject => {
                f.write_str("a meta is a JSON object, and this is another value: put it into one")
            }
            Self::Json(error) => write!(f, "a meta is a JSON object: {error}"),
        }
    }
}

impl std::error::Error for MetaError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::NotAnObject => None,
            Self::Json(error) => Some(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_objects_are_metas_and_our_names_are_taken_out() {
        let table = [
            (r#" {"a":1} "#, Some(r#"{"a":1}"#)),
            (r#"{}"#, Some("{}")),
            ("{ \n }", Some("{}")),
            (r#"{"phx_ref":"x","a":1,"phx_ref_prev":"y"}"#, Some(r#"{"a":1}"#)),
            (r#"{"phx\u005fref":"x"}"#, Some("{}")),
            (r#"{"a":"phx_ref"}"#, Some(r#"{"a":"phx_ref"}"#)),
            (r#"{"a":"\n"}"#, Some(r#"{"a":"\n"}"#)),
            ("[]", None),
            ("null", None),
            ("{", None),
        ];
        for (text, want) in table {
            let meta = Meta::text(text).ok();
            assert_eq!(meta.as_ref().map(Meta::as_str), want, "{text}");
        }
        assert_eq!(Meta::json(&json!({ "b": [1] })).unwrap().as_str(), r#"{"b":[1]}"#);
        assert!(matches!(Meta::json(&1), Err(MetaError::NotAnObject)));
    }
}
