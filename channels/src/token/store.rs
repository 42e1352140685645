//! The secrets that tokens are made with, their keys, the clock and the randomness.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use heronry::telemetry::{self, Event, Level};
use parking_lot::RwLock;

use super::encrypted::{self, KEY_BYTES, NONCE_BYTES};
use super::key::{Key, KeyOptions};
use super::{MaxAge, TOKEN_BYTES_MAX, Term, TermError, TokenError, pack, signed, unpack};

/// The shortest secret, in bytes: Phoenix's.
const SECRET_BYTES_MIN: usize = 20;

/// For how many salts keys are kept. Salts are constants of a program; one that makes them of what clients send gets
/// keys still, derived each time.
const SALTS_MAX: usize = 1_000;

/// Makes tokens and checks them. Cheap to clone. The counterpart in Phoenix is `Phoenix.Token`, and the tokens are the
/// same: either side reads what the other made, given the same secret, salt and [`KeyOptions`].
///
/// The salt tells tokens of different purposes apart: it is no secret, and a constant of the program. Keys are derived
/// once for each salt and kept, for 1,000 salts at most. A signed token can be read by anybody and changed by nobody;
/// an encrypted one can't be read either.
///
/// ```
/// use heronry_channels::{TokenError, Tokens};
///
/// let tokens = Tokens::new("a secret of at least twenty bytes")?;
/// let token = tokens.sign("user socket", "user-42")?;
/// assert_eq!(tokens.verify("user socket", &*token)?.as_str(), Some("user-42"));
/// assert_eq!(tokens.verify("another salt", &*token), Err(TokenError::Invalid));
/// assert_eq!(tokens.verify("user socket", None), Err(TokenError::Missing));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// A secret is rotated by signing with the new one while tokens of the old one are accepted still:
///
/// ```
/// # use heronry_channels::Tokens;
/// let old = Tokens::new("the secret of the last year")?;
/// let tokens = Tokens::new("the secret of this year")?.rotated_from("the secret of the last year")?;
/// assert!(tokens.verify("user socket", &*old.sign("user socket", 42)?).is_ok());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Tokens {
    /// The first one signs.
    secrets: Vec<Arc<[u8]>>,
    options: KeyOptions,
    max_age: MaxAge,
    cache: Arc<Cache>,
}

/// A secret that is too short to be one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SecretTooShort {
    /// Its length in bytes; at least 20 are needed.
    pub len: usize,
}

/// The keys of a salt: one for each secret.
type Keys = Arc<Vec<Key>>;

/// The keys so far, by purpose and salt.
#[derive(Default)]
struct Cache {
    signing: RwLock<HashMap<String, Keys>>,
    encrypting: RwLock<HashMap<String, Keys>>,
}

impl Tokens {
    /// With the secret that signs and encrypts: long, random, and outside of the program's source. Phoenix's
    /// `secret_key_base`.
    ///
    /// # Errors
    /// [`SecretTooShort`] if it has less than 20 bytes.
    pub fn new(secret_key_base: impl AsRef<[u8]>) -> Result<Self, SecretTooShort> {
        let secrets = vec![secret(secret_key_base.as_ref())?];
        let cache = Arc::default();
        Ok(Self { secrets, options: KeyOptions::default(), max_age: MaxAge::default(), cache })
    }

    /// With a secret that nobody knows and that is forgotten with this value.
    #[cfg(feature = "longpoll")]
    pub(crate) fn with_random_secret() -> Self {
        Self::new(random::<64>()).expect("invariant: 64 bytes are enough")
    }

    /// Accepts tokens of this earlier secret too. Each earlier secret makes refusing a token dearer by one HMAC.
    ///
    /// # Errors
    /// [`SecretTooShort`] if it has less than 20 bytes.
    pub fn rotated_from(mut self, earlier_secret: impl AsRef<[u8]>) -> Result<Self, SecretTooShort> {
        self.secrets.push(secret(earlier_secret.as_ref())?);
        self.cache = Arc::default();
        Ok(self)
    }

    /// Sets how keys are derived.
    #[must_use]
    pub fn key_options(mut self, options: KeyOptions) -> Self {
        self.options = options;
        self.cache = Arc::default();
        self
    }

    /// Sets how old the tokens that are made from now on may get, unless who checks them says otherwise. Default 86,400 s.
    #[must_use]
    pub fn max_age(mut self, max_age: impl Into<MaxAge>) -> Self {
        self.max_age = max_age.into();
        self
    }

    /// Signs data: whoever has the token can read it, and nobody can change it. `Phoenix.Token.sign/4`.
    ///
    /// # Errors
    /// [`TermError`] if the data is over a limit of [`Term`].
    pub fn sign(&self, salt: &str, data: impl Into<Term>) -> Result<String, TermError> {
        self.sign_at(SystemTime::now(), salt, data)
    }

    /// As [`sign`](Self::sign), as if it were that time. Phoenix's `:signed_at`.
    ///
    /// # Errors
    /// [`TermError`] if the data is over a limit of [`Term`].
    pub fn sign_at(
        &self,
        signed_at: SystemTime,
        salt: &str,
        data: impl Into<Term>,
    ) -> Result<String, TermError> {
        let payload = pack(data.into(), unix_ms(signed_at), self.max_age)?;
        Ok(signed::sign(&payload, &self.signing_keys(salt)[0]))
    }

    /// The data of a signed token, if it is good by the age that it was signed with. `Phoenix.Token.verify/4`.
    ///
    /// # Errors
    /// [`TokenError`] says what is wrong with it.
    pub fn verify<'a>(&self, salt: &str, token: impl Into<Option<&'a str>>) -> Result<Term, TokenError> {
        self.verify_at(SystemTime::now(), salt, token, None)
    }

    /// As [`verify`](Self::verify), if it is not older than this, whatever it was signed with.
    ///
    /// # Errors
    /// [`TokenError`] says what is wrong with it.
    pub fn verify_within<'a>(
        &self,
        salt: &str,
        token: impl Into<Option<&'a str>>,
        max_age: impl Into<MaxAge>,
    ) -> Result<Term, TokenError> {
        self.verify_at(SystemTime::now(), salt, token, Some(max_age.into()))
    }

    /// As [`verify`](Self::verify), as if it were that time.
    ///
    /// # Errors
    /// [`TokenError`] says what is wrong with it.
    pub fn verify_at<'a>(
        &self,
        now: SystemTime,
        salt: &str,
        token: impl Into<Option<&'a str>>,
        max_age: Option<MaxAge>,
    ) -> Result<Term, TokenError> {
        self.open(now, token.into(), max_age, || self.signing_keys(salt), signed::verify)
    }

    /// Encrypts data: nobody without the secret can read or change it. `Phoenix.Token.encrypt/4`.
    ///
    /// # Errors
    /// [`TermError`] if the data is over a limit of [`Term`].
    pub fn encrypt(&self, salt: &str, data: impl Into<Term>) -> Result<String, TermError> {
        self.encrypt_at(SystemTime::now(), salt, data)
    }

    /// As [`encrypt`](Self::encrypt), as if it were that time.
    ///
    /// # Errors
    /// [`TermError`] if the data is over a limit of [`Term`].
    pub fn encrypt_at(
        &self,
        signed_at: SystemTime,
        salt: &str,
        data: impl Into<Term>,
    ) -> Result<String, TermError> {
        let payload = pack(data.into(), unix_ms(signed_at), self.max_age)?;
        Ok(encrypted::encrypt(&payload, &self.encrypting_keys(salt)[0], random::<NONCE_BYTES>()))
    }

    /// The data of an encrypted token, if it is good by the age that it was made with. `Phoenix.Token.decrypt/4`.
    ///
    /// # Errors
    /// [`TokenError`] says what is wrong with it.
    pub fn decrypt<'a>(&self, salt: &str, token: impl Into<Option<&'a str>>) -> Result<Term, TokenError> {
        self.decrypt_at(SystemTime::now(), salt, token, None)
    }

    /// As [`decrypt`](Self::decrypt), if it is not older than this, whatever it was made with.
    ///
    /// # Errors
    /// [`TokenError`] says what is wrong with it.
    pub fn decrypt_within<'a>(
        &self,
        salt: &str,
        token: impl Into<Option<&'a str>>,
        max_age: impl Into<MaxAge>,
    ) -> Result<Term, TokenError> {
        self.decrypt_at(SystemTime::now(), salt, token, Some(max_age.into()))
    }

    /// As [`decrypt`](Self::decrypt), as if it were that time.
    ///
    /// # Errors
    /// [`TokenError`] says what is wrong with it.
    pub fn decrypt_at<'a>(
        &self,
        now: SystemTime,
        salt: &str,
        token: impl Into<Option<&'a str>>,
        max_age: Option<MaxAge>,
    ) -> Result<Term, TokenError> {
        self.open(now, token.into(), max_age, || self.encrypting_keys(salt), encrypted::decrypt)
    }

    /// Signs bytes as they are. `Plug.Crypto.MessageVerifier.sign/2` with the key of this salt.
    pub(crate) fn sign_message(&self, salt: &str, bytes: &[u8]) -> String {
        signed::sign(bytes, &self.signing_keys(salt)[0])
    }

    /// What was signed so, if it was.
    pub(crate) fn verify_message(&self, salt: &str, text: &str) -> Option<Vec<u8>> {
        let text = Some(text).filter(|text| text.len() <= TOKEN_BYTES_MAX)?;
        self.signing_keys(salt).iter().find_map(|key| signed::verify(text, key))
    }

    /// Encrypts bytes as they are. `Plug.Crypto.MessageEncryptor.encrypt/3` with the key of this salt.
    pub(crate) fn encrypt_message(&self, salt: &str, bytes: &[u8]) -> String {
        encrypted::encrypt(bytes, &self.encrypting_keys(salt)[0], random::<NONCE_BYTES>())
    }

    /// What was encrypted so, if it was.
    pub(crate) fn decrypt_message(&self, salt: &str, text: &str) -> Option<Vec<u8>> {
        let text = Some(text).filter(|text| text.len() <= TOKEN_BYTES_MAX)?;
        self.encrypting_keys(salt).iter().find_map(|key| encrypted::decrypt(text, key))
    }

    fn open(
        &self,
        now: SystemTime,
        token: Option<&str>,
        max_age: Option<MaxAge>,
        keys: impl FnOnce() -> Keys,
        with: impl Fn(&str, &Key) -> Option<Vec<u8>>,
    ) -> Result<Term, TokenError> {
        let token = token.ok_or(TokenError::Missing)?;
        if token.len() > TOKEN_BYTES_MAX {
            return Err(TokenError::Invalid);
        }
        let payload = keys().iter().find_map(|key| with(token, key)).ok_or(TokenError::Invalid)?;
        unpack(&payload, unix_ms(now), max_age)
    }

    fn signing_keys(&self, salt: &str) -> Keys {
        self.keys(&self.cache.signing, salt, self.options)
    }

    fn encrypting_keys(&self, salt: &str) -> Keys {
        self.keys(&self.cache.encrypting, salt, KeyOptions { length: KEY_BYTES, ..self.options })
    }

    /// For how many salts signing keys are kept.
    #[cfg(test)]
    pub(super) fn kept(&self) -> usize {
        self.cache.signing.read().len()
    }

    fn keys(&self, cache: &RwLock<HashMap<String, Keys>>, salt: &str, options: KeyOptions) -> Keys {
        if let Some(keys) = cache.read().get(salt) {
            return keys.clone();
        }
        let derive = |secret: &Arc<[u8]>| Key::derive(secret, salt, options);
        let keys: Keys = Arc::new(self.secrets.iter().map(derive).collect());
        let mut cache = cache.write();
        if cache.len() < SALTS_MAX {
            cache.insert(salt.to_owned(), keys.clone());
        } else {
            drop(cache);
            telemetry::emit(&TokenKeysFull { salts_max: SALTS_MAX });
        }
        keys
    }
}

fn secret(bytes: &[u8]) -> Result<Arc<[u8]>, SecretTooShort> {
    let len = bytes.len();
    if len < SECRET_BYTES_MIN { Err(SecretTooShort { len }) } else { Ok(bytes.into()) }
}

/// Milliseconds since 1970; a time before is 1970.
fn unix_ms(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Bytes that nobody can guess.
pub(crate) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("invariant: the system has randomness");
    bytes
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokens")
            .field("secrets", &self.secrets.len())
            .field("options", &self.options)
            .field("max_age", &self.max_age)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for SecretTooShort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the secret has {} bytes, at least {SECRET_BYTES_MIN} are needed; 64 random ones are good",
            self.len
        )
    }
}

impl std::error::Error for SecretTooShort {}

/// Tokens were asked for with more salts than keys are kept for; keys for further ones are derived each time, which is
/// slow: `heronry.token.keys_full`.
#[derive(Debug)]
#[non_exhaustive]
pub struct TokenKeysFull {
    /// For how many salts keys are kept.
    pub salts_max: usize,
}

impl fmt::Display for TokenKeysFull {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "tokens use more than {} salts, and derive keys each time: salts should be constants",
            self.salts_max
        )
    }
}

impl Event for TokenKeysFull {
    fn name(&self) -> &'static str {
        "heronry.token.keys_full"
    }

    fn level(&self) -> Level {
        Level::Warn
    }
}
