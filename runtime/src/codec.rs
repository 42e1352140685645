//! What nodes tell each other, as bytes: the one place that knows how values are written down.
//!
//! `[format u8][value]`. Lengths are bounded before anything is allocated for them, and nothing may be left over. What is
//! written here is read by another node a moment later and kept nowhere.
//!
//! A value of a recursive type is read recursively: who may send frames can make such a one as deep as a message is long.
//!
//! Pure: values in, bytes out, and back.

use std::fmt;

use bincode::config::{Configuration, Limit, LittleEndian, Varint};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The largest value, in bytes: written down, and of what its containers take in memory when it is read.
pub(crate) const VALUE_BYTES_MAX: usize = 64 * 1024 * 1024;

/// bincode 2, little-endian, integers of variable length.
const FORMAT_BINCODE: u8 = 1;

type Config = Configuration<LittleEndian, Varint, Limit<VALUE_BYTES_MAX>>;

const CONFIG: Config = bincode::config::standard().with_limit::<VALUE_BYTES_MAX>();

/// Why a value was not written down or read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum CodecError {
    /// It has more bytes than it may.
    TooLarge,
    /// It is of a format that this version does not know.
    Format,
    /// It can't be written down, or is none of its type.
    Value(String),
}

/// Writes a value down.
pub(crate) fn encode<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, CodecError> {
    let mut bytes = vec![FORMAT_BINCODE];
    // The limit is of reading alone.
    bincode::serde::encode_into_std_write(value, &mut bytes, CONFIG)
        .map_err(|error| CodecError::Value(error.to_string()))?;
    if bytes.len() > VALUE_BYTES_MAX { Err(CodecError::TooLarge) } else { Ok(bytes) }
}

/// Reads a value, all of it.
pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, CodecError> {
    let (format, value) = bytes.split_first().ok_or(CodecError::Format)?;
    if *format != FORMAT_BINCODE {
        return Err(CodecError::Format);
    }
    match bincode::serde::decode_from_slice(value, CONFIG) {
        Ok((decoded, len)) if len == value.len() => Ok(decoded),
        Ok(_) => Err(CodecError::Value("bytes are left over".to_owned())),
        Err(bincode::error::DecodeError::LimitExceeded) => Err(CodecError::TooLarge),
        Err(error) => Err(CodecError::Value(error.to_string())),
    }
}

impl fmt::Display for CodecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge => write!(f, "the value has more than {VALUE_BYTES_MAX} bytes"),
            Self::Format => f.write_str("the value is of a format that this version does not know"),
            Self::Value(what) => f.write_str(what),
        }
    }
}

impl std::error::Error for CodecError {}

#[cfg(test)]
mod tests;
