//! Connect params: a query string as a tree of values.
//!
//! Pure: text in, values out. The rules are Plug's: `a[b]=c` nests, `l[]=1` makes a list, a later value wins.

use std::fmt;

use serde::de::DeserializeOwned;
use serde_json::map::Entry;
use serde_json::{Map, Value};

/// The longest query string that is read, in bytes.
pub(crate) const QUERY_BYTES_MAX: usize = 16 << 10;

/// How many values it may hold.
pub(crate) const PAIRS_MAX: usize = 1_000;

/// How deep its brackets may nest.
pub(crate) const DEPTH_MAX: usize = 32;

/// The params that a client connects with. Values are strings, or maps and lists of values.
///
/// ```
/// use heronry_channels::Params;
///
/// let params = Params::parse("name=Ann+B&user[id]=7&tags[]=a&tags[]=b").unwrap();
/// assert_eq!(params.get_str("name"), Some("Ann B"));
/// assert_eq!(params.get("user").unwrap()["id"], "7");
/// assert_eq!(params.get("tags").unwrap()[1], "b");
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Params(Map<String, Value>);

/// The params in the path of a request (`/socket/:tenant`), as an extension of it.
#[derive(Clone, Debug)]
pub(crate) struct PathParams(pub(crate) Vec<(String, String)>);

/// A query string that can't be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ParamsError {
    /// It is longer than 16 KiB.
    TooLong,
    /// It has more than 1,000 values.
    TooMany,
    /// Its brackets nest deeper than 32.
    TooDeep,
}

impl fmt::Display for ParamsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong => write!(f, "the query string is longer than {QUERY_BYTES_MAX} bytes"),
            Self::TooMany => write!(f, "the query string has more than {PAIRS_MAX} values"),
            Self::TooDeep => write!(f, "the query string nests deeper than {DEPTH_MAX}"),
        }
    }
}

impl std::error::Error for ParamsError {}

impl Params {
    /// Reads a query string (without its `?`). Bytes that are not UTF-8 become replacement characters.
    ///
    /// # Errors
    /// [`ParamsError`] if it is over a limit.
    pub fn parse(query: &str) -> Result<Self, ParamsError> {
        if query.len() > QUERY_BYTES_MAX {
            return Err(ParamsError::TooLong);
        }
        let mut root = Map::new();
        for (at, (key, value)) in form_urlencoded::parse(query.as_bytes()).enumerate() {
            if at >= PAIRS_MAX {
                return Err(ParamsError::TooMany);
            }
            let (name, path) = split(&key)?;
            insert(root.entry(name), &path, value.into_owned());
        }
        Ok(Self(root))
    }

    /// A value.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    /// A value that is a string.
    pub fn get_str(&self, name: &str) -> Option<&str> {
        self.get(name)?.as_str()
    }

    /// Puts the params of the path in; what had their names gives way.
    pub(crate) fn add_path(&mut self, PathParams(path): PathParams) {
        self.0.extend(path.into_iter().map(|(name, value)| (name, Value::String(value))));
    }

    /// Takes a value out.
    pub fn remove(&mut self, name: &str) -> Option<Value> {
        self.0.remove(name)
    }

    /// Reads all params as a `T`.
    ///
    /// # Errors
    /// What serde says if they are of another shape.
    pub fn parse_as<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        T::deserialize(&self.0)
    }

    /// All params.
    pub fn as_map(&self) -> &Map<String, Value> {
        &self.0
    }
}

impl From<Map<String, Value>> for Params {
    /// Params that come from elsewhere than a query string.
    fn from(params: Map<String, Value>) -> Self {
        Self(params)
    }
}

/// `a[b][]` is the name `a` and the path `b`, ``. Brackets that don't fit are part of the name.
fn split(key: &str) -> Result<(&str, Vec<&str>), ParamsError> {
    let Some((name, rest)) = key.split_once('[') else { return Ok((key, Vec::new())) };
    let Some(inner) = rest.strip_suffix(']') else { return Ok((key, Vec::new())) };
    let path: Vec<&str> = inner.split("][").collect();
    if path.len() > DEPTH_MAX {
        return Err(ParamsError::TooDeep);
    }
    Ok((name, path))
}

/// Puts a value at the end of a path; what is there and of another kind gives way.
fn insert(entry: Entry<'_>, path: &[&str], value: String) {
    let mut at = entry.or_insert(Value::Null);
    for step in path {
        at = match *step {
            "" => {
                if !at.is_array() {
                    *at = Value::Array(Vec::new());
                }
                let list = at.as_array_mut().expect("invariant: made a list above");
                list.push(Value::Null);
                list.last_mut().expect("invariant: pushed above")
            }
            name => {
                if !at.is_object() {
                    *at = Value::Object(Map::new());
                }
                let map = at.as_object_mut().expect("invariant: made a map above");
                map.entry(name).or_insert(Value::Null)
            }
        };
    }
    *at = Value::String(value);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::tests::{almost, fuzz, noise};

    #[test]
    fn query_strings() {
        let table = [
            ("", json!({})),
            ("a=1", json!({ "a": "1" })),
            ("a=1&a=2", json!({ "a": "2" })),
            ("a", json!({ "a": "" })),
            ("a=%41+b", json!({ "a": "A b" })),
            ("a[b]=1&a[c]=2", json!({ "a": { "b": "1", "c": "2" } })),
            ("a[b][c]=1", json!({ "a": { "b": { "c": "1" } } })),
            ("l[]=1&l[]=2", json!({ "l": ["1", "2"] })),
            ("u[t][]=x", json!({ "u": { "t": ["x"] } })),
            ("a=1&a[b]=2", json!({ "a": { "b": "2" } })),
            ("a[b]=2&a=1", json!({ "a": "1" })),
            ("a[b=1", json!({ "a[b": "1" })),
        ];
        for (query, want) in table {
            assert_eq!(Value::Object(Params::parse(query).unwrap().0), want, "{query}");
        }
    }

    #[test]
    fn limits() {
        assert_eq!(Params::parse(&"a".repeat(QUERY_BYTES_MAX + 1)), Err(ParamsError::TooLong));
        assert_eq!(Params::parse(&"a&".repeat(PAIRS_MAX + 1)), Err(ParamsError::TooMany));
        assert_eq!(Params::parse(&format!("a{}=1", "[b]".repeat(DEPTH_MAX + 1))), Err(ParamsError::TooDeep));
    }

    /// (values, the deepest nesting) of a tree.
    fn measure(value: &Value) -> (usize, usize) {
        let inner: Vec<_> = match value {
            Value::Array(list) => list.iter().map(measure).collect(),
            Value::Object(map) => map.values().map(measure).collect(),
            Value::String(_) | Value::Null | Value::Bool(_) | Value::Number(_) => return (1, 0),
        };
        (
            inner.iter().map(|(values, _)| values).sum(),
            1 + inner.iter().map(|(_, depth)| depth).max().unwrap_or(&0),
        )
    }

    fn check(query: &str) -> Result<(), TestCaseError> {
        if let Ok(Params(map)) = Params::parse(query) {
            let (values, depth) = measure(&Value::Object(map));
            prop_assert!(values <= PAIRS_MAX && depth <= DEPTH_MAX + 1, "{values} values, {depth} deep");
        }
        Ok(())
    }

    proptest! {
        #![proptest_config(fuzz())]

        #[test]
        fn fuzz_any_query_is_read_or_refused(query in noise()) {
            check(&String::from_utf8_lossy(&query))?;
        }

        #[test]
        fn fuzz_any_brackets_are_read_or_refused(query in almost("(&?[a-c](\\[[a-c]{0,2}\\]){0,40}(=[a%2]{0,4})?){0,40}".prop_map(String::into_bytes))) {
            check(&String::from_utf8_lossy(&query))?;
        }

        #[test]
        fn fuzz_what_a_client_writes_is_what_is_read(pairs in prop::collection::btree_map("[^\\[]{1,10}", ".{0,20}", 0..10)) {
            let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(&pairs).finish();
            let want: Map<String, Value> = pairs.into_iter().map(|(name, value)| (name, value.into())).collect();
            prop_assert_eq!(Params::parse(&query).unwrap().0, want);
        }
    }
}
