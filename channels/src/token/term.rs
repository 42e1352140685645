//! Erlang terms in the external format, as tokens carry them.
//!
//! Pure: bytes in, values out. What can be read can be written and the other way round, within the same limits, so that
//! no token is signed that could not be verified. Lengths in the input are promises that are checked against what is
//! there before anything is allocated.

mod decode;
mod encode;

use std::fmt;

use serde::Serialize;
use serde::de::{DeserializeOwned, Error as _};
use serde_json::{Map, Number, Value};

/// The longest term, in bytes of its external form. A token travels in a header, a query string or a message.
pub(crate) const TERM_BYTES_MAX: usize = 1 << 20;

/// How deep lists, tuples and maps may nest.
pub(crate) const TERM_DEPTH_MAX: usize = 128;

/// The longest atom, in characters: Erlang's limit.
const ATOM_CHARS_MAX: usize = 255;

/// A value as Elixir and Erlang know it: what a token carries.
///
/// Make one of Rust's values with `into`, or of anything that serde can write with [`Term::json`]; read it by
/// [`as_str`](Self::as_str) and its like, or by [`parse`](Self::parse).
///
/// ```
/// use heronry_channels::Term;
/// use serde_json::json;
///
/// let term = Term::json(&json!({ "user_id": 42, "roles": ["admin"] })).unwrap();
/// assert_eq!(term.get("user_id").and_then(Term::as_int), Some(42));
///
/// #[derive(serde::Deserialize)]
/// struct User { user_id: u64, roles: Vec<String> }
/// let user: User = term.parse().unwrap();
/// assert_eq!((user.user_id, &*user.roles[0]), (42, "admin"));
/// assert_eq!(Term::from("user-42").as_str(), Some("user-42"));
/// ```
#[derive(Clone, Debug, PartialEq)]
pub enum Term {
    /// An atom, such as `:admin`; also `nil`, `true` and `false`.
    Atom(String),
    /// An integer. Erlang's have no limit, these have 128 bits.
    Int(i128),
    /// A float; never infinite and never NaN.
    Float(f64),
    /// A binary, which is what Elixir's strings are.
    Binary(Vec<u8>),
    /// A proper list.
    List(Vec<Term>),
    /// A tuple.
    Tuple(Vec<Term>),
    /// A map, in the order of its external form.
    Map(Vec<(Term, Term)>),
}

/// A term that can't be read or written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TermError {
    /// It is longer than 1 MiB.
    TooLarge,
    /// It nests deeper than 128.
    TooDeep,
    /// An integer has more than 128 bits.
    BigInt,
    /// An atom has more than 255 characters.
    LongAtom,
    /// A float is infinite or not a number.
    Float,
    /// It holds what Heronry has no value for: a pid, a reference, a function, a bit string, an improper list, or a
    /// compressed term. The tag is that of the external format.
    Unsupported(u8),
    /// It is no external form of a term.
    Malformed,
}

impl Term {
    /// The atom `nil`.
    pub fn nil() -> Self {
        Self::Atom("nil".to_owned())
    }

    /// Makes a term of anything that serde can write as JSON: strings become binaries, objects maps with binaries as
    /// keys, `null` the atom `nil`.
    ///
    /// # Errors
    /// What serde says if it can't be JSON.
    pub fn json<T: Serialize + ?Sized>(value: &T) -> Result<Self, serde_json::Error> {
        serde_json::to_value(value).map(Self::from)
    }

    /// Reads the term as a `T`, by way of JSON: atoms become strings (`nil`, `true` and `false` what they are), tuples
    /// arrays, and the keys of maps must be strings or atoms.
    ///
    /// # Errors
    /// What serde says if it is of another shape, or if it is not JSON: bytes that are no UTF-8, say.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        T::deserialize(self.to_json()?)
    }

    /// A binary that is UTF-8.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::Binary(bytes) => std::str::from_utf8(bytes).ok(),
            Self::Atom(_) | Self::Int(_) | Self::Float(_) | Self::List(_) | Self::Tuple(_) | Self::Map(_) => {
                None
            }
        }
    }

    /// An integer.
    pub fn as_int(&self) -> Option<i128> {
        match self {
            Self::Int(int) => Some(*int),
            Self::Atom(_)
            | Self::Float(_)
            | Self::Binary(_)
            | Self::List(_)
            | Self::Tuple(_)
            | Self::Map(_) => None,
        }
    }

    /// The value of a map under a key that is this string or this atom.
    pub fn get(&self, key: &str) -> Option<&Self> {
        match self {
            Self::Map(pairs) => pairs.iter().find(|(name, _)| name.is_name(key)).map(|(_, value)| value),
            Self::Atom(_)
            | Self::Int(_)
            | Self::Float(_)
            | Self::Binary(_)
            | Self::List(_)
            | Self::Tuple(_) => None,
        }
    }

    /// Reads the external form.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, TermError> {
        decode::term(bytes)
    }

    /// Writes the external form.
    pub(crate) fn encode(&self) -> Result<Vec<u8>, TermError> {
        encode::term(self)
    }

    fn is_name(&self, name: &str) -> bool {
        match self {
            Self::Atom(atom) => atom == name,
            Self::Binary(bytes) => bytes == name.as_bytes(),
            Self::Int(_) | Self::Float(_) | Self::List(_) | Self::Tuple(_) | Self::Map(_) => false,
        }
    }

    fn to_json(&self) -> Result<Value, serde_json::Error> {
        Ok(match self {
            Self::Atom(atom) => match &**atom {
                "nil" => Value::Null,
                "true" => Value::Bool(true),
                "false" => Value::Bool(false),
                other => Value::from(other),
            },
            Self::Int(int) => {
                let number = Number::from_i128(*int);
                Value::Number(
                    number.ok_or_else(|| serde_json::Error::custom("an integer of more than 64 bits"))?,
                )
            }
            Self::Float(float) => Value::from(*float),
            Self::Binary(_) => Value::from(
                self.as_str().ok_or_else(|| serde_json::Error::custom("bytes that are no UTF-8"))?,
            ),
            Self::List(terms) | Self::Tuple(terms) => {
                Value::Array(terms.iter().map(Self::to_json).collect::<Result<_, _>>()?)
            }
            Self::Map(pairs) => {
                let pair = |(key, value): &(Self, Self)| Ok((key.to_name()?, value.to_json()?));
                Value::Object(pairs.iter().map(pair).collect::<Result<Map<_, _>, serde_json::Error>>()?)
            }
        })
    }

    fn to_name(&self) -> Result<String, serde_json::Error> {
        match self {
            Self::Atom(atom) => Some(&**atom),
            Self::Binary(_) => self.as_str(),
            Self::Int(_) | Self::Float(_) | Self::List(_) | Self::Tuple(_) | Self::Map(_) => None,
        }
        .map(str::to_owned)
        .ok_or_else(|| serde_json::Error::custom("a key that is neither a string nor an atom"))
    }
}

impl From<Value> for Term {
    fn from(value: Value) -> Self {
        match value {
            Value::Null => Self::nil(),
            Value::Bool(value) => value.into(),
            Value::Number(number) => match number.as_i128() {
                Some(int) => Self::Int(int),
                // Too large for a float only if serde_json keeps numbers as text; then it is refused when it is written.
                None => Self::Float(number.as_f64().unwrap_or(f64::NAN)),
            },
            Value::String(text) => text.into(),
            Value::Array(values) => Self::List(values.into_iter().map(Self::from).collect()),
            Value::Object(map) => {
                Self::Map(map.into_iter().map(|(key, value)| (key.into(), value.into())).collect())
            }
        }
    }
}

impl From<bool> for Term {
    fn from(value: bool) -> Self {
        Self::Atom(value.to_string())
    }
}

impl From<&str> for Term {
    fn from(text: &str) -> Self {
        Self::Binary(text.into())
    }
}

impl From<String> for Term {
    fn from(text: String) -> Self {
        Self::Binary(text.into_bytes())
    }
}

impl From<f64> for Term {
    fn from(float: f64) -> Self {
        Self::Float(float)
    }
}

impl<T: Into<Term>> From<Vec<T>> for Term {
    fn from(terms: Vec<T>) -> Self {
        Self::List(terms.into_iter().map(Into::into).collect())
    }
}

macro_rules! from_int {
    ($($int:ty)*) => {$(
        impl From<$int> for Term {
            fn from(int: $int) -> Self {
                Self::Int(int.into())
            }
        }
    )*};
}

from_int!(u8 u16 u32 u64 i8 i16 i32 i64 i128);

impl fmt::Display for TermError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge => write!(f, "the term is longer than {TERM_BYTES_MAX} bytes"),
            Self::TooDeep => write!(f, "the term nests deeper than {TERM_DEPTH_MAX}"),
            Self::BigInt => f.write_str("the term has an integer of more than 128 bits"),
            Self::LongAtom => write!(f, "the term has an atom of more than {ATOM_CHARS_MAX} characters"),
            Self::Float => f.write_str("the term has a float that is infinite or not a number"),
            Self::Unsupported(tag) => {
                write!(f, "the term has a part of a kind that can't be read (tag {tag})")
            }
            Self::Malformed => f.write_str("the bytes are no term"),
        }
    }
}

impl std::error::Error for TermError {}

#[cfg(test)]
mod tests;
