//! Tokens: data that only who knows the secret could have signed, or can read. They are those of `Phoenix.Token`.
//!
//! Pure: time and randomness come in as arguments; `store.rs` has the clock.
//!
//! ```text
//! signed     SFMyNTY.<base64url of the term {data, signed_at_ms, max_age_s}>.<base64url of the HMAC-SHA256>
//! encrypted  XCP.<base64url of nonce, tag and the term under XChaCha20-Poly1305>
//! ```

mod encrypted;
mod key;
mod signed;
mod store;
mod term;

use std::fmt;
use std::time::Duration;

pub use key::{Digest, KeyOptions};
#[cfg(feature = "longpoll")]
pub(crate) use store::random;
pub use store::{SecretTooShort, TokenKeysFull, Tokens};
pub use term::{Term, TermError};

/// How long a token is good for unless told otherwise: a day, as in Phoenix.
const MAX_AGE_DEFAULT: Duration = Duration::from_secs(86_400);

/// A longer text is no token. Phoenix has no such limit; who sends a megabyte has no token of ours.
const TOKEN_BYTES_MAX: usize = 2 * term::TERM_BYTES_MAX;

/// How old a token may be. Phoenix's `:max_age`.
///
/// ```
/// use std::time::Duration;
/// use heronry_channels::MaxAge;
///
/// assert_eq!(MaxAge::default(), MaxAge::from(Duration::from_secs(86_400)));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MaxAge {
    /// So old; a token of exactly this age is good still, and with zero none is.
    Of(Duration),
    /// Any age.
    Infinity,
}

impl Default for MaxAge {
    fn default() -> Self {
        Self::Of(MAX_AGE_DEFAULT)
    }
}

impl From<Duration> for MaxAge {
    fn from(age: Duration) -> Self {
        Self::Of(age)
    }
}

/// A token that is not good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TokenError {
    /// There is none.
    Missing,
    /// It was not made with this secret and salt, was changed since, or is from the future: refuse it.
    Invalid,
    /// It was made with this secret and is too old: ask for a new one.
    Expired,
    /// It was made with this secret, and its data can't be read.
    Term(TermError),
}

/// What a token says, in the form that is signed or encrypted.
fn pack(data: Term, signed_at_ms: u64, max_age: MaxAge) -> Result<Vec<u8>, TermError> {
    let max_age = match max_age {
        MaxAge::Infinity => Term::Atom("infinity".to_owned()),
        MaxAge::Of(age) if age.subsec_nanos() == 0 => age.as_secs().into(),
        MaxAge::Of(age) => age.as_secs_f64().into(),
    };
    Term::Tuple(vec![data, signed_at_ms.into(), max_age]).encode()
}

/// The data of a token that was authentic, if it is not too old: by the caller's measure, or else by its own.
fn unpack(bytes: &[u8], now_ms: u64, max_age: Option<MaxAge>) -> Result<Term, TokenError> {
    let (data, signed_at_ms, own_age) = parts(Term::decode(bytes).map_err(TokenError::Term)?)?;
    let max_age_ms = match max_age {
        None => own_age.map_or(Ok(None), |age| max_age_ms(&age))?,
        Some(MaxAge::Infinity) => None,
        Some(MaxAge::Of(age)) => Some(i128::try_from(age.as_millis()).unwrap_or(i128::MAX)),
    };
    check_age(signed_at_ms, max_age_ms, now_ms.into())?;
    Ok(data)
}

/// (data, when it was signed in ms, its maximum age): of the tuple that is written now, and of the two forms of old.
fn parts(term: Term) -> Result<(Term, i128, Option<Term>), TokenError> {
    let default = || Some(Term::from(MAX_AGE_DEFAULT.as_secs()));
    let (data, signed, max_age) = match term {
        Term::Tuple(parts) => match <[Term; 3]>::try_from(parts) {
            Ok([data, signed, max_age]) => (data, signed, Some(max_age)),
            Err(parts) => match <[Term; 2]>::try_from(parts) {
                Ok([data, signed]) => (data, signed, default()),
                Err(_) => return Err(TokenError::Invalid),
            },
        },
        map @ Term::Map(_) => match (map.get("data"), map.get("signed")) {
            (Some(data), Some(signed)) => (data.clone(), signed.clone(), default()),
            _ => return Err(TokenError::Invalid),
        },
        Term::Atom(_) | Term::Int(_) | Term::Float(_) | Term::Binary(_) | Term::List(_) => {
            return Err(TokenError::Invalid);
        }
    };
    let signed = signed.as_int().ok_or(TokenError::Invalid)?;
    Ok((data, signed, max_age))
}

/// The maximum age that a token carries, in ms; `None` is infinity.
fn max_age_ms(term: &Term) -> Result<Option<i128>, TokenError> {
    match term {
        Term::Atom(atom) if atom == "infinity" => Ok(None),
        Term::Int(secs) => Ok(Some(secs.saturating_mul(1_000))),
        #[expect(clippy::cast_possible_truncation, reason = "the cast saturates")]
        Term::Float(secs) => Ok(Some((secs * 1_000.0) as i128)),
        Term::Atom(_) | Term::Binary(_) | Term::List(_) | Term::Tuple(_) | Term::Map(_) => {
            Err(TokenError::Invalid)
        }
    }
}

fn check_age(signed_at_ms: i128, max_age_ms: Option<i128>, now_ms: i128) -> Result<(), TokenError> {
    match max_age_ms {
        None => Ok(()),
        Some(..=0) => Err(TokenError::Expired),
        Some(_) if signed_at_ms > now_ms => Err(TokenError::Invalid),
        Some(age) if signed_at_ms.saturating_add(age) < now_ms => Err(TokenError::Expired),
        Some(_) => Ok(()),
    }
}

impl fmt::Display for TokenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("there is no token"),
            Self::Invalid => f.write_str("the token is not of this secret and salt, or was changed"),
            Self::Expired => f.write_str("the token is too old"),
            Self::Term(error) => write!(f, "the token is authentic, but its data can't be read: {error}"),
        }
    }
}

impl std::error::Error for TokenError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Term(error) => Some(error),
            Self::Missing | Self::Invalid | Self::Expired => None,
        }
    }
}

#[cfg(test)]
mod tests;
