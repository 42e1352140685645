//! Keys, derived from a secret and a salt by PBKDF2.
//!
//! Pure: a secret in, a key out.

use std::fmt;

use sha2::{Sha256, Sha384, Sha512};

/// How keys are derived. Phoenix's `:key_iterations`, `:key_length` and `:key_digest`, with its defaults; both sides of a
/// token must agree on them.
///
/// ```
/// use heronry_channels::KeyOptions;
///
/// let options = KeyOptions { iterations: 2_000, ..KeyOptions::default() };
/// assert_eq!(options.length, 32);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyOptions {
    /// Rounds of PBKDF2, at least 1. Default 1,000.
    pub iterations: u32,
    /// The length of the key that signs, in bytes, at least 1. Default 32. A key that encrypts always has 32.
    pub length: usize,
    /// The digest. Default SHA-256.
    pub digest: Digest,
}

/// A digest for deriving keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Digest {
    /// SHA-256.
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
}

impl Default for KeyOptions {
    fn default() -> Self {
        Self { iterations: 1_000, length: 32, digest: Digest::Sha256 }
    }
}

/// A key. It does not show itself.
#[derive(Clone)]
pub(super) struct Key(Vec<u8>);

impl Key {
    pub(super) fn derive(secret: &[u8], salt: &str, options: KeyOptions) -> Self {
        let mut key = vec![0; options.length.max(1)];
        let (salt, rounds) = (salt.as_bytes(), options.iterations.max(1));
        match options.digest {
            Digest::Sha256 => pbkdf2::pbkdf2_hmac::<Sha256>(secret, salt, rounds, &mut key),
            Digest::Sha384 => pbkdf2::pbkdf2_hmac::<Sha384>(secret, salt, rounds, &mut key),
            Digest::Sha512 => pbkdf2::pbkdf2_hmac::<Sha512>(secret, salt, rounds, &mut key),
        }
        Self(key)
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key").finish_non_exhaustive()
    }
}
