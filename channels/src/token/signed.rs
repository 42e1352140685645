//! Signed text: `DIGEST.payload.signature`. The counterpart is `Plug.Crypto.MessageVerifier`.
//!
//! Pure: bytes and a key in, text out, and back. Signatures are compared in constant time.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Sha256, Sha384, Sha512};

use super::key::Key;

/// The base64 of `HS256`, and so on. Tokens are signed with the first; the others are read.
const HS256: &str = "SFMyNTY";
const HS384: &str = "SFMzODQ";
const HS512: &str = "SFM1MTI";

/// Whether the signature is that of the text; a macro, since what digests have in common is a page of bounds.
macro_rules! mac_holds {
    ($digest:ty, $key:expr, $plain:expr, $signature:expr) => {
        Hmac::<$digest>::new_from_slice($key.as_bytes())
            .expect("invariant: HMAC takes keys of any length")
            .chain_update($plain)
            .verify_slice(&$signature)
            .is_ok()
    };
}

pub(super) fn sign(payload: &[u8], key: &Key) -> String {
    let mut text = format!("{HS256}.{}", BASE64.encode(payload));
    let mut mac =
        Hmac::<Sha256>::new_from_slice(key.as_bytes()).expect("invariant: HMAC takes keys of any length");
    mac.update(text.as_bytes());
    text.push('.');
    BASE64.encode_string(mac.finalize().into_bytes(), &mut text);
    text
}

/// The payload, if it was signed with this key.
pub(super) fn verify(text: &str, key: &Key) -> Option<Vec<u8>> {
    let (plain, signature) = text.rsplit_once('.')?;
    let (digest, payload) = plain.split_once('.')?;
    let signature = BASE64.decode(signature).ok()?;
    let authentic = match digest {
        HS256 => mac_holds!(Sha256, key, plain, signature),
        HS384 => mac_holds!(Sha384, key, plain, signature),
        HS512 => mac_holds!(Sha512, key, plain, signature),
        _ => false,
    };
    // Three parts, since a dot is no base64.
    if authentic { BASE64.decode(payload).ok() } else { None }
}
