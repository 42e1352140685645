//! Keys that tokens are verified with, each for one algorithm.

use std::error::Error;
use std::fmt;

use jsonwebtoken::crypto::{CryptoProvider, aws_lc};
use jsonwebtoken::{Algorithm, DecodingKey};

/// The shortest secret for HS256, in bytes (RFC 7518, section 3.2).
const SECRET_BYTES_MIN: usize = 32;

/// The shortest RSA key, in bits (RFC 7518, section 3.3).
const RSA_BITS_MIN: usize = 2_048;

/// A point of P-256 as it stands in a key: 4, and two coordinates.
const P256_POINT_BYTES: usize = 65;

/// A key for tokens of one algorithm. It does not show itself.
#[derive(Clone)]
pub struct JwtKey {
    pub(super) algorithm: Algorithm,
    pub(super) key: DecodingKey,
}

/// A key that can't be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum JwtKeyError {
    /// A secret of so many bytes; at least 32 are needed.
    SecretTooShort {
        /// Its length in bytes.
        len: usize,
    },
    /// It is no PEM text of a public key of this kind.
    Pem,
    /// An RSA key of less than 2,048 bits.
    RsaTooShort,
    /// An elliptic curve other than P-256.
    Curve,
}

impl JwtKey {
    /// A secret that the signer has too, for HS256.
    ///
    /// # Errors
    /// [`JwtKeyError::SecretTooShort`] if it has less than 32 bytes.
    pub fn hs256(secret: impl AsRef<[u8]>) -> Result<Self, JwtKeyError> {
        let secret = secret.as_ref();
        let len = secret.len();
        if len < SECRET_BYTES_MIN {
            return Err(JwtKeyError::SecretTooShort { len });
        }
        Ok(Self::new(Algorithm::HS256, DecodingKey::from_secret(secret)))
    }

    /// The signer's public RSA key, in PEM (PKCS#1 or PKCS#8), for RS256.
    ///
    /// # Errors
    /// [`JwtKeyError`] if it is no such key, or has less than 2,048 bits.
    pub fn rs256(pem: impl AsRef<[u8]>) -> Result<Self, JwtKeyError> {
        let pem = public(pem.as_ref())?;
        let key = DecodingKey::from_rsa_pem(pem).map_err(|_| JwtKeyError::Pem)?;
        // The key in DER is its modulus and a few bytes; one of half the size has half of them.
        let der = key.try_get_as_bytes().map_err(|_| JwtKeyError::Pem)?;
        if der.len() * 8 < RSA_BITS_MIN {
            return Err(JwtKeyError::RsaTooShort);
        }
        Ok(Self::new(Algorithm::RS256, key))
    }

    /// The signer's public key on the curve P-256, in PEM, for ES256.
    ///
    /// # Errors
    /// [`JwtKeyError`] if it is no such key.
    pub fn es256(pem: impl AsRef<[u8]>) -> Result<Self, JwtKeyError> {
        let pem = public(pem.as_ref())?;
        let key = DecodingKey::from_ec_pem(pem).map_err(|_| JwtKeyError::Pem)?;
        match key.try_get_as_bytes() {
            Ok(point) if point.len() == P256_POINT_BYTES => Ok(Self::new(Algorithm::ES256, key)),
            Ok(_) => Err(JwtKeyError::Curve),
            Err(_) => Err(JwtKeyError::Pem),
        }
    }

    fn new(algorithm: Algorithm, key: DecodingKey) -> Self {
        // Named, since the crate panics at its first use if it has two to choose from, as it has when another crate of
        // the program asks for the other one. It fails if the program has named one already, which is its right.
        CryptoProvider::install_default(&aws_lc::DEFAULT_PROVIDER).ok();
        Self { algorithm, key }
    }
}

/// A private key would be read, and then verify nothing.
fn public(pem: &[u8]) -> Result<&[u8], JwtKeyError> {
    let is_private = pem.windows(b"PRIVATE KEY".len()).any(|text| text == b"PRIVATE KEY");
    if is_private { Err(JwtKeyError::Pem) } else { Ok(pem) }
}

impl fmt::Debug for JwtKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JwtKey").field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}

impl fmt::Display for JwtKeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SecretTooShort { len } => {
                write!(f, "the secret has {len} bytes, at least {SECRET_BYTES_MIN} are needed")
            }
            Self::Pem => f.write_str("it is no public key of this kind in PEM"),
            Self::RsaTooShort => write!(f, "the RSA key has less than {RSA_BITS_MIN} bits"),
            Self::Curve => f.write_str("the key is on another curve than P-256"),
        }
    }
}

impl Error for JwtKeyError {}
