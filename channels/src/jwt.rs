//! JSON Web Tokens: who a client is, said by whoever has the key, which need not be us.
//!
//! The crate `jsonwebtoken` reads and verifies them. Here is decided what it may accept: a key is for one algorithm, whatever
//! the header of a token says, and what a token says of its time and its audience must hold.

mod error;
mod key;

use std::time::Duration;

use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Validation, decode, decode_header};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

pub use error::JwtError;
pub use key::{JwtKey, JwtKeyError};

/// The longest token that is looked at, in bytes: as long as a whole head of a request may be.
const TOKEN_BYTES_MAX: usize = 16 << 10;

/// How far clocks may be apart unless told otherwise.
const LEEWAY_DEFAULT: Duration = Duration::from_secs(60);

/// The most that clocks may be apart.
const LEEWAY_MAX: Duration = Duration::from_secs(86_400);

/// Verifies JSON Web Tokens (RFC 7519) that are signed with HS256, RS256 or ES256, and reads their claims.
///
/// The algorithm is the key's: a token that names another, or `none`, is refused, and the key for one is never used for
/// another. `exp` must be there and ahead, `nbf` past if it is there, each with some leeway (60 s). A token with an `aud`
/// is refused unless one of [`audience`](Self::audience) is in it. Once an audience or an issuer is set, tokens must have
/// it. Extensions that a token calls critical (`crit`) are not known here, and such a token is refused.
///
/// What is refused turns into a [`Refusal`](crate::Refusal) with 403, so that `connect` needs no more than `?`:
///
/// ```
/// use heronry_channels::prelude::*;
/// use heronry_channels::{Jwt, JwtKey};
///
/// struct UserSocket { tokens: Jwt }
///
/// #[derive(serde::Deserialize)]
/// struct Claims { sub: String }
///
/// impl Socket for UserSocket {
///     type Assigns = Claims;
///
///     async fn connect(&self, connect: &Connect) -> Result<Claims, Refusal> {
///         Ok(self.tokens.verify(connect.auth_token.as_deref())?)
///     }
///
///     fn channels(routes: Routes<Self>) -> Routes<Self> { routes }
/// }
///
/// let key = JwtKey::hs256("a secret that is shared, of at least 32 bytes")?;
/// let tokens = Jwt::new(key).audience("chat").issuer("https://login.example.com");
/// let endpoint = Endpoint::builder().socket("/socket", UserSocket { tokens });
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Phoenix has no counterpart of its own; its applications use libraries such as Joken there.
#[derive(Clone, Debug)]
pub struct Jwt {
    keys: Vec<JwtKey>,
    audiences: Vec<String>,
    issuers: Vec<String>,
    leeway: Duration,
}

impl Jwt {
    /// Of tokens that are signed with this key.
    pub fn new(key: JwtKey) -> Self {
        Self { keys: vec![key], audiences: Vec::new(), issuers: Vec::new(), leeway: LEEWAY_DEFAULT }
    }

    /// Accepts another key too: an earlier one, or one of another algorithm. Each key of a token's algorithm makes
    /// refusing it dearer by one verification.
    #[must_use]
    pub fn key(mut self, key: JwtKey) -> Self {
        self.keys.push(key);
        self
    }

    /// Tokens must be for this audience (`aud`), or for another that is set so.
    #[must_use]
    pub fn audience(mut self, audience: impl Into<String>) -> Self {
        self.audiences.push(audience.into());
        self
    }

    /// Tokens must be of this issuer (`iss`), or of another that is set so.
    #[must_use]
    pub fn issuer(mut self, issuer: impl Into<String>) -> Self {
        self.issuers.push(issuer.into());
        self
    }

    /// How far the clock of whoever signs may be from ours, in whole seconds; up to a day. Default 60 s.
    #[must_use]
    pub fn leeway(mut self, leeway: Duration) -> Self {
        self.leeway = leeway.min(LEEWAY_MAX);
        self
    }

    /// The claims of a token, if it is good.
    ///
    /// # Errors
    /// [`JwtError`] says what is wrong with it.
    pub fn verify<'a, T: DeserializeOwned>(&self, token: impl Into<Option<&'a str>>) -> Result<T, JwtError> {
        let token = token.into().ok_or(JwtError::Missing)?;
        if token.len() > TOKEN_BYTES_MAX {
            return Err(JwtError::Malformed);
        }
        let header = decode_header(token).map_err(|error| match error.kind() {
            // A name that the crate does not know: `none`, say. What is no JSON is no token.
            ErrorKind::Json(error) if error.is_data() => JwtError::Algorithm,
            _ => JwtError::Malformed,
        })?;
        if header.crit.is_some() {
            return Err(JwtError::Critical);
        }
        let mut refused = JwtError::Algorithm;
        for key in self.keys.iter().filter(|key| key.algorithm == header.alg) {
            match decode::<Map<String, Value>>(token, &key.key, &self.validation(key)) {
                Ok(data) => return T::deserialize(Value::Object(data.claims)).map_err(JwtError::Claims),
                Err(error) => refused = JwtError::of(error.kind()),
            }
            // Another key can only help where this one did not fit.
            if !matches!(refused, JwtError::Signature) {
                break;
            }
        }
        Err(refused)
    }

    fn validation(&self, key: &JwtKey) -> Validation {
        let mut validation = Validation::new(key.algorithm);
        validation.validate_nbf = true;
        validation.leeway = self.leeway.as_secs();
        let mut required = vec!["exp"];
        if !self.audiences.is_empty() {
            validation.set_audience(&self.audiences);
            required.push("aud");
        }
        if !self.issuers.is_empty() {
            validation.set_issuer(&self.issuers);
            required.push("iss");
        }
        validation.set_required_spec_claims(&required);
        validation
    }
}

#[cfg(test)]
mod tests;
