//! The session of a page, out of the cookie that Plug keeps it in.
//!
//! Pure: headers and params in, a session or none out.

mod csrf;
mod header;

use std::fmt;

use http::HeaderMap;

use crate::params::Params;
use crate::token::{Term, TermError, Tokens};

/// The param in which a page proves that it is one of ours.
const CSRF_PARAM: &str = "_csrf_token";

/// Where a page's session is, and how it is read: Plug's cookie store, and the `:session` of Phoenix's `connect_info`.
///
/// Set as [`SocketOptions::session`](crate::SocketOptions::session); what is read becomes
/// [`Connect::session`](crate::Connect::session). A session that is absent, forged, changed or unreadable is `None` and
/// never an error: `connect` says what a client without one may.
///
/// A browser sends its cookies from any page, also from another site's. So the session counts only with the proof that
/// the page was given with it: the param `_csrf_token`, checked against the session as Plug does. In a Phoenix
/// application the page has it from `get_csrf_token()`, and `phoenix.js` sends it as a param.
///
/// ```
/// use heronry_channels::{SessionCookie, SocketOptions, Tokens};
///
/// // plug Plug.Session, store: :cookie, key: "_shop_key", signing_salt: "T1Pz7Cmn"
/// let tokens = Tokens::new("the secret_key_base of the Phoenix application, 64 bytes of it")?;
/// let session = SessionCookie::signed("_shop_key", tokens, "T1Pz7Cmn");
/// let options = SocketOptions { session: Some(session), ..SocketOptions::default() };
/// # drop(options);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Serializers other than Plug's default (`:external_term_format`) and cookies that plug_crypto 1 encrypted are not read.
#[derive(Clone)]
pub struct SessionCookie {
    name: String,
    tokens: Tokens,
    salt: Salt,
    csrf_token_key: String,
    check_csrf: bool,
}

#[derive(Clone)]
enum Salt {
    Signing(String),
    Encryption(String),
}

impl SessionCookie {
    /// A session in a cookie of this name that is signed: Plug's `:key` and `:signing_salt`. The secrets, earlier ones
    /// too, and how keys are derived are those of `tokens`.
    pub fn signed(name: impl Into<String>, tokens: Tokens, signing_salt: impl Into<String>) -> Self {
        Self::new(name.into(), tokens, Salt::Signing(signing_salt.into()))
    }

    /// A session in a cookie that is encrypted: Plug's `:encryption_salt`. Its `:signing_salt` has no part in it.
    pub fn encrypted(name: impl Into<String>, tokens: Tokens, encryption_salt: impl Into<String>) -> Self {
        Self::new(name.into(), tokens, Salt::Encryption(encryption_salt.into()))
    }

    fn new(name: String, tokens: Tokens, salt: Salt) -> Self {
        Self { name, tokens, salt, csrf_token_key: CSRF_PARAM.to_owned(), check_csrf: true }
    }

    /// Under which key the session has its secret for the proof. Phoenix's `:csrf_token_key`; default `_csrf_token`.
    #[must_use]
    pub fn csrf_token_key(mut self, key: impl Into<String>) -> Self {
        self.csrf_token_key = key.into();
        self
    }

    /// Whether the param `_csrf_token` is asked for. Phoenix's `:check_csrf`; default true. Without it any site can
    /// connect in the name of whoever visits it, unless the check of the origin keeps it out.
    #[must_use]
    pub fn check_csrf(mut self, check: bool) -> Self {
        self.check_csrf = check;
        self
    }

    /// The session of a request, if it has a good one.
    pub fn read(&self, headers: &HeaderMap, params: &Params) -> Option<Term> {
        let cookie = header::find(headers, &self.name)?;
        let bytes = match &self.salt {
            Salt::Signing(salt) => self.tokens.verify_message(salt, cookie),
            Salt::Encryption(salt) => self.tokens.decrypt_message(salt, cookie),
        }?;
        let session = Term::decode(&bytes).ok().filter(|session| matches!(session, Term::Map(_)))?;
        let proven = || {
            let secret = session.get(&self.csrf_token_key)?.as_str()?;
            Some(csrf::proves(params.get_str(CSRF_PARAM)?, secret))
        };
        (!self.check_csrf || proven() == Some(true)).then_some(session)
    }

    /// The value of the cookie for a session, as Plug would write it: for a page that is served from here and read by a
    /// Phoenix application.
    ///
    /// # Errors
    /// [`TermError`] if the session is over a limit of [`Term`].
    pub fn value(&self, session: impl Into<Term>) -> Result<String, TermError> {
        let bytes = session.into().encode()?;
        Ok(match &self.salt {
            Salt::Signing(salt) => self.tokens.sign_message(salt, &bytes),
            Salt::Encryption(salt) => self.tokens.encrypt_message(salt, &bytes),
        })
    }
}

/// No secret shows.
impl fmt::Debug for SessionCookie {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionCookie")
            .field("name", &self.name)
            .field("csrf_token_key", &self.csrf_token_key)
            .field("check_csrf", &self.check_csrf)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
