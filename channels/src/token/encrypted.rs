//! Encrypted text: `XCP.` and XChaCha20-Poly1305. The counterpart is `Plug.Crypto.MessageEncryptor`; its older form
//! (`A128GCM`, of plug_crypto 1) is not read.
//!
//! Pure: bytes, a key and a nonce in, text out, and back.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use chacha20poly1305::aead::{AeadInOut as _, KeyInit as _};
use chacha20poly1305::{Tag, XChaCha20Poly1305, XNonce};

use super::key::Key;

/// What is authenticated beside the text: the name of an older cipher, which stayed.
const ASSOCIATED_DATA: &[u8] = b"A128GCM";

const PREFIX: &str = "XCP.";

/// The length of a key, in bytes.
pub(super) const KEY_BYTES: usize = 32;

/// The length of a nonce, in bytes: enough that random ones do not repeat.
pub(super) const NONCE_BYTES: usize = 24;

const TAG_BYTES: usize = 16;

pub(super) fn encrypt(payload: &[u8], key: &Key, nonce: [u8; NONCE_BYTES]) -> String {
    let mut text = payload.to_vec();
    let tag = cipher(key)
        .encrypt_inout_detached(&XNonce::from(nonce), ASSOCIATED_DATA, text.as_mut_slice().into())
        .expect("invariant: a term is far shorter than what the cipher takes");
    PREFIX.to_owned() + &BASE64.encode([&nonce, &*tag, &*text].concat())
}

/// The payload, if it was encrypted with this key.
pub(super) fn decrypt(text: &str, key: &Key) -> Option<Vec<u8>> {
    let bytes = BASE64.decode(text.strip_prefix(PREFIX)?).ok()?;
    let (nonce, rest) = bytes.split_first_chunk::<NONCE_BYTES>()?;
    let (tag, rest) = rest.split_first_chunk::<TAG_BYTES>()?;
    let mut payload = rest.to_vec();
    let (nonce, tag) = (XNonce::from(*nonce), Tag::from(*tag));
    cipher(key).decrypt_inout_detached(&nonce, ASSOCIATED_DATA, payload.as_mut_slice().into(), &tag).ok()?;
    Some(payload)
}

fn cipher(key: &Key) -> XChaCha20Poly1305 {
    XChaCha20Poly1305::new_from_slice(key.as_bytes()).expect("invariant: derived with 32 bytes")
}
