//! What is wrong with a token.

use std::error::Error;
use std::fmt;

use jsonwebtoken::errors::ErrorKind;

use crate::socket::Refusal;

/// A token that is not good.
#[derive(Debug)]
#[non_exhaustive]
pub enum JwtError {
    /// There is none.
    Missing,
    /// It is no token: not three parts of base64, not JSON in them, or longer than 16 KiB.
    Malformed,
    /// It names an algorithm that there is no key for, such as `none`.
    Algorithm,
    /// It demands extensions (`crit`), of which none is known.
    Critical,
    /// It was not signed with the key, or was changed since.
    Signature,
    /// It is too old: ask for a new one.
    Expired,
    /// It is not good yet.
    NotYetValid,
    /// It is for another audience.
    Audience,
    /// It is of another issuer.
    Issuer,
    /// This claim is missing or of another form than RFC 7519 says.
    Claim(String),
    /// It is good, and its claims are of another shape than what was asked for.
    Claims(serde_json::Error),
}

impl JwtError {
    pub(super) fn of(kind: &ErrorKind) -> Self {
        match kind {
            ErrorKind::InvalidSignature => Self::Signature,
            ErrorKind::InvalidAlgorithm
            | ErrorKind::UnsupportedAlgorithm
            | ErrorKind::InvalidAlgorithmName => Self::Algorithm,
            ErrorKind::ExpiredSignature => Self::Expired,
            ErrorKind::ImmatureSignature => Self::NotYetValid,
            ErrorKind::InvalidAudience => Self::Audience,
            ErrorKind::InvalidIssuer => Self::Issuer,
            ErrorKind::MissingRequiredClaim(claim) | ErrorKind::InvalidClaimFormat(claim) => {
                Self::Claim(claim.clone())
            }
            // All others are of tokens that can't be read, and of keys, which were looked at when they were made.
            _ => Self::Malformed,
        }
    }
}

impl fmt::Display for JwtError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("there is no token"),
            Self::Malformed => f.write_str("the text is no JSON Web Token"),
            Self::Algorithm => f.write_str("the token is signed with an algorithm that is not accepted"),
            Self::Critical => f.write_str("the token demands extensions that are not known"),
            Self::Signature => f.write_str("the token is not of this key, or was changed"),
            Self::Expired => f.write_str("the token is too old"),
            Self::NotYetValid => f.write_str("the token is not good yet"),
            Self::Audience => f.write_str("the token is for another audience"),
            Self::Issuer => f.write_str("the token is of another issuer"),
            Self::Claim(claim) => write!(f, "the token has no good claim {claim:?}"),
            Self::Claims(error) => write!(f, "the token is good, but its claims can't be read: {error}"),
        }
    }
}

impl Error for JwtError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Claims(error) => Some(error),
            Self::Missing
            | Self::Malformed
            | Self::Algorithm
            | Self::Critical
            | Self::Signature
            | Self::Expired
            | Self::NotYetValid
            | Self::Audience
            | Self::Issuer
            | Self::Claim(_) => None,
        }
    }
}

/// 403 with an empty body: who has no good token is not told why.
impl From<JwtError> for Refusal {
    fn from(_: JwtError) -> Self {
        Self::forbidden()
    }
}
