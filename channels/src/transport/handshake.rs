//! The opening handshake of a WebSocket (RFC 6455, section 4.2).
//!
//! Pure: the head of a request in, the head of a response out.

use std::fmt;

use http::header::{
    CONNECTION, HeaderName, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL,
    SEC_WEBSOCKET_VERSION, UPGRADE,
};
use http::{HeaderMap, Method, Request, Response, StatusCode, Version};
use tungstenite::handshake::derive_accept_key;

use crate::body::Body;

/// The one version of the protocol.
const VERSION: &str = "13";

/// A handshake that can be accepted: the key that proves it was understood.
#[derive(Debug)]
pub(super) struct Accept(String);

/// A request that is no handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HandshakeError {
    Method,
    HttpVersion,
    Connection,
    Upgrade,
    Version,
    Key,
}

/// Looks at the head of a request.
pub(super) fn check(request: &Request<()>) -> Result<Accept, HandshakeError> {
    let headers = request.headers();
    if request.method() != Method::GET {
        return Err(HandshakeError::Method);
    }
    if request.version() < Version::HTTP_11 {
        return Err(HandshakeError::HttpVersion);
    }
    if !has_token(headers, &CONNECTION, "upgrade") {
        return Err(HandshakeError::Connection);
    }
    if !has_token(headers, &UPGRADE, "websocket") {
        return Err(HandshakeError::Upgrade);
    }
    if headers.get(SEC_WEBSOCKET_VERSION).is_none_or(|version| version != VERSION) {
        return Err(HandshakeError::Version);
    }
    let mut keys = headers.get_all(SEC_WEBSOCKET_KEY).iter();
    match (keys.next(), keys.next()) {
        (Some(key), None) if is_key(key.as_bytes()) => Ok(Accept(derive_accept_key(key.as_bytes()))),
        _ => Err(HandshakeError::Key),
    }
}

/// Whether one of the header's comma-separated tokens is this one, in any case.
fn has_token(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|part| part.trim().eq_ignore_ascii_case(token))
}

/// Whether this is the base64 of 16 bytes: 22 digits, of which the last carries two bits, and two signs of padding.
fn is_key(key: &[u8]) -> bool {
    let digit = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'+' || byte == b'/';
    key.len() == 24
        && key[..22].iter().all(|byte| digit(*byte))
        && matches!(key[21], b'A' | b'Q' | b'g' | b'w')
        && key.ends_with(b"==")
}

impl Accept {
    /// 101, and the connection is a WebSocket from then on.
    pub(super) fn into_response(self, subprotocol: Option<String>) -> Response<Body> {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let headers = response.headers_mut();
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        let accept = HeaderValue::try_from(self.0).expect("invariant: base64 is a header value");
        headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
        // A subprotocol is one of those that the client named in a header, or none is sent.
        if let Some(chosen) = subprotocol.and_then(|chosen| HeaderValue::try_from(chosen).ok()) {
            headers.insert(SEC_WEBSOCKET_PROTOCOL, chosen);
        }
        response
    }
}

impl HandshakeError {
    /// 400 with what was wrong; as every answer to a wrong version must, it names the right one.
    pub(super) fn into_response(self) -> Response<Body> {
        let mut response = Response::new(Body::from(self.to_string()));
        *response.status_mut() = StatusCode::BAD_REQUEST;
        response.headers_mut().insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static(VERSION));
        response
    }
}

impl fmt::Display for HandshakeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Method => "a WebSocket is opened with GET",
            Self::HttpVersion => "a WebSocket is opened over HTTP/1.1",
            Self::Connection => "the header 'Connection: upgrade' is missing: this path is for WebSockets",
            Self::Upgrade => "the header 'Upgrade: websocket' is missing: this path is for WebSockets",
            Self::Version => "the header Sec-WebSocket-Version must be 13",
            Self::Key => "the header Sec-WebSocket-Key must be there once, with the base64 of 16 bytes",
        })
    }
}

impl std::error::Error for HandshakeError {}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of RFC 6455, section 1.3, with one header changed (or taken away).
    fn request(change: Option<(&'static str, &'static str)>) -> Request<()> {
        let mut request = Request::builder()
            .uri("/socket/websocket")
            .header("connection", "keep-alive, Upgrade")
            .header("upgrade", "websocket")
            .header("sec-websocket-version", "13")
            .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
            .body(())
            .unwrap();
        if let Some((name, value)) = change {
            request.headers_mut().remove(name);
            if !value.is_empty() {
                request.headers_mut().insert(name, HeaderValue::from_static(value));
            }
        }
        request
    }

    #[test]
    fn accepts_the_example_of_the_rfc() {
        assert_eq!(check(&request(None)).unwrap().0, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn refuses_what_is_no_handshake() {
        let table = [
            (("connection", ""), HandshakeError::Connection),
            (("connection", "close"), HandshakeError::Connection),
            (("upgrade", ""), HandshakeError::Upgrade),
            (("upgrade", "h2c"), HandshakeError::Upgrade),
            (("sec-websocket-version", ""), HandshakeError::Version),
            (("sec-websocket-version", "8"), HandshakeError::Version),
            (("sec-websocket-key", ""), HandshakeError::Key),
            (("sec-websocket-key", "short"), HandshakeError::Key),
            (("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZR=="), HandshakeError::Key),
            (("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZ!=="), HandshakeError::Key),
        ];
        for (change, error) in table {
            assert_eq!(check(&request(Some(change))).unwrap_err(), error, "{change:?}");
        }
        let mut post = request(None);
        *post.method_mut() = Method::POST;
        assert_eq!(check(&post).unwrap_err(), HandshakeError::Method);
        let mut old = request(None);
        *old.version_mut() = Version::HTTP_10;
        assert_eq!(check(&old).unwrap_err(), HandshakeError::HttpVersion);
    }
}
