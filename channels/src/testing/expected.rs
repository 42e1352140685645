//! What an assertion expects of a payload.
//!
//! Pure: values.

use std::fmt;

use serde_json::Value;

use crate::message::Payload;

/// What an assertion expects of a payload.
#[doc(hidden)]
pub enum Expected<'a> {
    /// Anything.
    Any,
    /// All of this, and maybe more.
    Contains(Payload),
    /// JSON for which a guard, given with its text, holds.
    If(&'static str, &'a dyn Fn(&Value) -> bool),
}

impl Expected<'_> {
    pub(super) fn is_met_by(&self, payload: &Payload) -> bool {
        match self {
            Self::Any => true,
            Self::Contains(wanted) => match (wanted.parse::<Value>(), payload.parse::<Value>()) {
                (Ok(wanted), Ok(got)) => contains(&wanted, &got),
                _ => wanted == payload,
            },
            Self::If(_, holds) => payload.parse::<Value>().is_ok_and(|payload| holds(&payload)),
        }
    }
}

/// Whether `got` is `wanted` or has more in its objects, as a map that matches a pattern in Elixir.
fn contains(wanted: &Value, got: &Value) -> bool {
    match (wanted, got) {
        (Value::Object(wanted), Value::Object(got)) => {
            wanted.iter().all(|(key, wanted)| got.get(key).is_some_and(|got| contains(wanted, got)))
        }
        (Value::Array(wanted), Value::Array(got)) => {
            wanted.len() == got.len() && wanted.iter().zip(got).all(|(wanted, got)| contains(wanted, got))
        }
        (wanted, got) => wanted == got,
    }
}

impl fmt::Display for Expected<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("any payload"),
            Self::Contains(payload) => write!(f, "{payload:?}"),
            Self::If(guard, _) => write!(f, "a payload if {guard}"),
        }
    }
}

impl fmt::Debug for Expected<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Expected({self})")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn objects_may_have_more_and_lists_may_not() {
        let table = [
            (json!({}), json!({ "a": 1 }), true),
            (json!({ "a": 1 }), json!({ "a": 1, "b": 2 }), true),
            (json!({ "a": 1, "b": 2 }), json!({ "a": 1 }), false),
            (json!({ "a": { "b": 1 } }), json!({ "a": { "b": 1, "c": 2 } }), true),
            (json!({ "a": [1, {}] }), json!({ "a": [1, { "b": 2 }] }), true),
            (json!({ "a": [1] }), json!({ "a": [1, 2] }), false),
            (json!({ "a": null }), json!({}), false),
            (json!({}), json!([]), false),
            (json!(1), json!(1), true),
            (json!("1"), json!(1), false),
        ];
        for (wanted, got, is_met) in table {
            let expected = Expected::Contains(wanted.clone().into());
            assert_eq!(expected.is_met_by(&got.clone().into()), is_met, "{wanted} in {got}");
        }
    }

    #[test]
    fn bytes_are_met_by_the_same_bytes() {
        let bytes = |bytes: &'static [u8]| Payload::binary(bytes);
        assert!(Expected::Contains(bytes(b"a")).is_met_by(&bytes(b"a")));
        assert!(!Expected::Contains(bytes(b"a")).is_met_by(&bytes(b"ab")));
        assert!(!Expected::Contains(json!({}).into()).is_met_by(&bytes(b"{}")));
        assert!(!Expected::If("true", &|_| true).is_met_by(&bytes(b"1")));
    }
}
