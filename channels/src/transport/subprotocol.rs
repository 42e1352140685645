//! WebSocket subprotocols, and the auth token that a browser can only send as one of them.
//!
//! Pure: headers in, a choice out. A page can set no header of a WebSocket but `Sec-WebSocket-Protocol`, so phoenix.js
//! sends its `authToken` there, in base64 and beside the subprotocol `phoenix`, which the server must choose.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use http::HeaderMap;
use http::header::SEC_WEBSOCKET_PROTOCOL;

/// The subprotocol that carries the token begins so.
const AUTH_TOKEN_PREFIX: &str = "base64url.bearer.phx.";

/// The subprotocol of the clients that send a token.
const PHOENIX: &str = "phoenix";

const LENIENT: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const BASE64: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, LENIENT);
const BASE64_URL: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, LENIENT);

/// What was agreed on.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Agreed {
    /// The subprotocol that the answer names.
    pub(super) subprotocol: Option<String>,
    pub(super) auth_token: Option<String>,
}

/// A request to refuse: none of its subprotocols is served, or its token is not base64 of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Disagreed;

/// Chooses the first of the server's subprotocols that the client names. Without the header all is well; without
/// subprotocols and tokens of the server's the header is ignored.
pub(super) fn agree(headers: &HeaderMap, served: &[String], auth_token: bool) -> Result<Agreed, Disagreed> {
    let values = headers.get_all(SEC_WEBSOCKET_PROTOCOL).iter();
    let offers: Vec<&str> = values
        .flat_map(|value| value.to_str().unwrap_or_default().split(','))
        .map(str::trim)
        .filter(|offer| !offer.is_empty())
        .collect();
    if !headers.contains_key(SEC_WEBSOCKET_PROTOCOL) || served.is_empty() && !auth_token {
        return Ok(Agreed::default());
    }
    let (token, offers) = if auth_token { take_token(offers)? } else { (None, offers) };
    if token.is_some() && offers.is_empty() {
        return Ok(Agreed { subprotocol: None, auth_token: token });
    }
    let ours = auth_token.then_some(PHOENIX).into_iter().chain(served.iter().map(String::as_str));
    let mut chosen = ours.filter(|ours| offers.contains(ours));
    let subprotocol = chosen.next().ok_or(Disagreed)?.to_owned();
    Ok(Agreed { subprotocol: Some(subprotocol), auth_token: token })
}

/// The token, if there is exactly one, and the other offers.
fn take_token(offers: Vec<&str>) -> Result<(Option<String>, Vec<&str>), Disagreed> {
    let mut tokens = offers.iter().filter_map(|offer| offer.strip_prefix(AUTH_TOKEN_PREFIX));
    let (Some(token), None) = (tokens.next(), tokens.next()) else { return Ok((None, offers)) };
    let bytes = BASE64.decode(token).or_else(|_| BASE64_URL.decode(token)).map_err(|_| Disagreed)?;
    let token = String::from_utf8(bytes).map_err(|_| Disagreed)?;
    let others = offers.into_iter().filter(|offer| !offer.starts_with(AUTH_TOKEN_PREFIX)).collect();
    Ok((Some(token), others))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::tests::{almost, fuzz, noise};

    fn check(header: Option<&'static str>, served: &[&str], auth_token: bool) -> Result<Agreed, Disagreed> {
        let mut headers = HeaderMap::new();
        if let Some(header) = header {
            headers.insert(SEC_WEBSOCKET_PROTOCOL, header.parse().unwrap());
        }
        let served: Vec<String> = served.iter().map(|&text| text.to_owned()).collect();
        agree(&headers, &served, auth_token)
    }

    fn agreed(subprotocol: Option<&str>, auth_token: Option<&str>) -> Result<Agreed, Disagreed> {
        Ok(Agreed { subprotocol: subprotocol.map(str::to_owned), auth_token: auth_token.map(str::to_owned) })
    }

    #[test]
    fn subprotocols() {
        let table: [(_, &[&str], _); 8] = [
            (None, &[], agreed(None, None)),
            (Some("sip"), &[], agreed(None, None)),
            (None, &["sip"], agreed(None, None)),
            (Some("sip"), &["sip"], agreed(Some("sip"), None)),
            (Some("mqtt, sip"), &["sip", "mqtt"], agreed(Some("sip"), None)),
            (Some("SIP"), &["sip"], Err(Disagreed)),
            (Some("mqtt"), &["sip"], Err(Disagreed)),
            (Some(""), &["sip"], Err(Disagreed)),
        ];
        for (header, served, want) in table {
            assert_eq!(check(header, served, false), want, "{header:?} {served:?}");
        }
    }

    #[test]
    fn tokens() {
        // The base64 of "1234", of "ÿ?>" in both alphabets, and of a byte that is no text.
        let table = [
            ("phoenix, base64url.bearer.phx.MTIzNA", agreed(Some("phoenix"), Some("1234"))),
            ("base64url.bearer.phx.MTIzNA,phoenix", agreed(Some("phoenix"), Some("1234"))),
            ("base64url.bearer.phx.MTIzNA==, phoenix", agreed(Some("phoenix"), Some("1234"))),
            ("phoenix, base64url.bearer.phx.w78/Pg", agreed(Some("phoenix"), Some("ÿ?>"))),
            ("phoenix, base64url.bearer.phx.w78_Pg", agreed(Some("phoenix"), Some("ÿ?>"))),
            ("phoenix, base64url.bearer.phx.", agreed(Some("phoenix"), Some(""))),
            ("phoenix", agreed(Some("phoenix"), None)),
            ("sip, phoenix", agreed(Some("phoenix"), None)),
            ("base64url.bearer.phx.MTIzNA", agreed(None, Some("1234"))),
            ("phoenix, base64url.bearer.phx.MTIz, base64url.bearer.phx.MTIz", agreed(Some("phoenix"), None)),
            ("sip", Err(Disagreed)),
            ("sip, base64url.bearer.phx.MTIzNA", Err(Disagreed)),
            ("phoenix, base64url.bearer.phx.!", Err(Disagreed)),
            ("phoenix, base64url.bearer.phx./w", Err(Disagreed)),
        ];
        for (header, want) in table {
            assert_eq!(check(Some(header), &[], true), want, "{header}");
        }
        assert_eq!(check(None, &[], true), agreed(None, None));
        assert_eq!(check(Some("sip"), &["sip"], true), agreed(Some("sip"), None));
    }

    proptest! {
        #![proptest_config(fuzz())]

        #[test]
        fn fuzz_what_is_agreed_on_was_offered_and_is_served(
            header in prop_oneof![
                noise(),
                almost("((phoenix|sip|base64url\\.bearer\\.phx\\.[A-Za-z0-9_+/=-]{0,12})(,| , ?)?){0,5}".prop_map(String::into_bytes)),
            ],
            auth_token in any::<bool>(),
        ) {
            let Ok(value) = http::HeaderValue::from_bytes(&header) else { return Ok(()) };
            let headers = HeaderMap::from_iter([(SEC_WEBSOCKET_PROTOCOL, value)]);
            let served = ["sip".to_owned()];
            let Ok(Agreed { subprotocol, auth_token: token }) = agree(&headers, &served, auth_token) else {
                return Ok(());
            };
            prop_assert!(auth_token || token.is_none());
            if let Some(chosen) = subprotocol {
                let text = String::from_utf8_lossy(&header);
                prop_assert!(text.split(',').any(|offer| offer.trim() == chosen), "{chosen} was not offered");
                prop_assert!(chosen == "sip" || auth_token && chosen == PHOENIX);
            }
        }

        #[test]
        fn fuzz_any_token_arrives(token in ".{0,60}") {
            for encoded in [BASE64.encode(&token), BASE64_URL.encode(&token)] {
                let header = format!("phoenix, {AUTH_TOKEN_PREFIX}{encoded}");
                let headers = HeaderMap::from_iter([(SEC_WEBSOCKET_PROTOCOL, header.parse().unwrap())]);
                prop_assert_eq!(agree(&headers, &[], true), agreed(Some(PHOENIX), Some(&token)));
            }
        }
    }
}
