//! The version that a client asks for, and the protocol that serves it.
//!
//! Pure: a text in, a choice out.

use std::fmt;

/// The version of a client without a `vsn` param.
const VSN_DEFAULT: &str = "1.0.0";

/// A protocol of Phoenix channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// JSON objects; versions `~> 1.0.0`.
    V1,
    /// JSON arrays, and a binary form; versions `~> 2.0.0`.
    V2,
}

/// A `vsn` that no protocol serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct VsnError(String);

impl Protocol {
    /// The protocol for a client's `vsn` param.
    pub(crate) fn negotiate(vsn: Option<&str>) -> Result<Self, VsnError> {
        let vsn = vsn.unwrap_or(VSN_DEFAULT);
        match parse(vsn) {
            Some((1, 0, _)) => Ok(Self::V1),
            Some((2, 0, _)) => Ok(Self::V2),
            _ => Err(VsnError(vsn.to_owned())),
        }
    }
}

/// MAJOR.MINOR.PATCH, each a number without leading zeros; as Elixir's `Version`, a pre-release is no match for `~>`.
fn parse(vsn: &str) -> Option<(u64, u64, u64)> {
    let (release, _build) = vsn.split_once('+').unwrap_or((vsn, ""));
    let mut parts = release.split('.').map(|part| {
        let plain = part.bytes().all(|byte| byte.is_ascii_digit()) && (part == "0" || !part.starts_with('0'));
        part.parse::<u64>().ok().filter(|_| plain)
    });
    let version = (parts.next()??, parts.next()??, parts.next()??);
    parts.next().is_none().then_some(version)
}

impl fmt::Display for VsnError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no serializer for vsn {:?}; there are ~> 1.0.0 and ~> 2.0.0", self.0)
    }
}

impl std::error::Error for VsnError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions() {
        let table = [
            (None, Some(Protocol::V1)),
            (Some("1.0.0"), Some(Protocol::V1)),
            (Some("2.0.0"), Some(Protocol::V2)),
            (Some("2.0.7"), Some(Protocol::V2)),
            (Some("2.0.0+build"), Some(Protocol::V2)),
            (Some("2.1.0"), None),
            (Some("3.0.0"), None),
            (Some("2.0"), None),
            (Some("2.0.0.0"), None),
            (Some("2.0.x"), None),
            (Some("2.0.00"), None),
            (Some("+2.0.0"), None),
            (Some(""), None),
        ];
        for (vsn, want) in table {
            assert_eq!(Protocol::negotiate(vsn).ok(), want, "{vsn:?}");
        }
    }
}
