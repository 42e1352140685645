//! The proof that a page was given by us: a token that only who knows the session's secret could have made, and that is
//! another one in each page. The counterpart is `Plug.CSRFProtection.valid_state_and_csrf_token?/2`.
//!
//! Pure: texts in, a verdict out, in time that does not depend on where they differ.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE as BASE64;

/// The length of a session's secret, in characters of base64.
const SECRET_LEN: usize = 24;

/// The length of the masked secret, in characters of base64; the mask follows it.
const MASKED_LEN: usize = 32;

/// Whether the token is the secret under a mask, and that mask.
pub(super) fn proves(token: &str, secret: &str) -> bool {
    let (token, secret) = (token.as_bytes(), secret.as_bytes());
    if token.len() != MASKED_LEN + SECRET_LEN || secret.len() != SECRET_LEN {
        return false;
    }
    let (masked, mask) = token.split_at(MASKED_LEN);
    let Ok(masked) = BASE64.decode(masked) else { return false };
    if masked.len() != SECRET_LEN {
        return false;
    }
    let triples = masked.iter().zip(mask).zip(secret);
    triples.fold(0, |differences, ((masked, mask), secret)| differences | (masked ^ mask ^ secret)) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As `Plug.CSRFProtection` masks: the exclusive or in base64, then the mask.
    fn masked(secret: &str, mask: &str) -> String {
        let bytes: Vec<u8> = secret.bytes().zip(mask.bytes()).map(|(secret, mask)| secret ^ mask).collect();
        BASE64.encode(bytes) + mask
    }

    #[test]
    fn the_secret_under_any_mask() {
        let (secret, other) = ("abcdefghijklmnopqrstuvwx", "abcdefghijklmnopqrstuvwy");
        for mask in ["ABCDEFGHIJKLMNOPQRSTUVWX", secret, "________________________"] {
            let token = masked(secret, mask);
            assert!(proves(&token, secret), "{mask}");
            assert!(!proves(&token, other), "{mask}");
            for at in 0..token.len() {
                let mut changed = token.clone().into_bytes();
                changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
                assert!(!proves(&String::from_utf8(changed).unwrap(), secret), "{mask} {at}");
            }
        }
    }

    #[test]
    fn what_is_no_token() {
        let secret = "abcdefghijklmnopqrstuvwx";
        let token = masked(secret, "ABCDEFGHIJKLMNOPQRSTUVWX");
        for wrong in ["", secret, &token[1..], &format!("{token}A"), &format!("=={}", &token[2..])] {
            assert!(!proves(wrong, secret), "{wrong}");
        }
        assert!(!proves(&masked("short", "short"), "short"));
        assert!(!proves(&token, ""));
        assert!(!proves(&"é".repeat(28), secret));
    }
}
