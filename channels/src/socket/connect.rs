//! What a client brings when it connects, and the answer if it is not let in.
//!
//! Pure: values made of the head of a request.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use http::header::{RETRY_AFTER, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri};

use crate::cookie::SessionCookie;
use crate::params::Params;
use crate::token::Term;

/// What a client brings when it connects: its params, and Phoenix's `connect_info`.
///
/// Nothing of it is kept: what a channel should know later belongs into the socket's
/// [`Assigns`](super::Socket::Assigns).
///
/// ```
/// use heronry_channels::{Connect, Refusal};
/// use heronry_channels::http::StatusCode;
///
/// fn user(connect: &Connect) -> Result<String, Refusal> {
///     let limited = connect.x_headers().any(|(name, _)| name == "x-banned");
///     if limited {
///         return Err(Refusal::new(StatusCode::TOO_MANY_REQUESTS, "Too many requests"));
///     }
///     connect.params.get_str("name").map(str::to_owned).ok_or_else(Refusal::forbidden)
/// }
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub struct Connect {
    /// The params of the query string, without `vsn`, and those of the path (`/socket/:tenant`), which win.
    pub params: Params,
    /// The headers of the request.
    pub headers: HeaderMap,
    /// The URI of the request. Phoenix's `:uri`.
    pub uri: Uri,
    /// The client's address, where the server knows it. Phoenix's `:peer_data`.
    pub peer: Option<SocketAddr>,
    /// `websocket` or `longpoll`.
    pub transport: &'static str,
    /// The token that the client was given for authentication (`authToken` in phoenix.js), if the mount
    /// [takes one](crate::SocketOptions::auth_token). Phoenix's `:auth_token`.
    pub auth_token: Option<String>,
    /// The session of the page that connects, if the mount [reads it](crate::SocketOptions::session) and it is good.
    /// Phoenix's `:session`.
    pub session: Option<Term>,
}

impl Connect {
    pub(crate) fn new(
        mut params: Params,
        mut parts: http::request::Parts,
        transport: &'static str,
        auth_token: Option<String>,
        session: Option<&SessionCookie>,
    ) -> Self {
        if let Some(in_path) = parts.extensions.remove() {
            params.add_path(in_path);
        }
        let peer = parts.extensions.get::<Peer>().map(|peer| peer.0);
        let session = session.and_then(|session| session.read(&parts.headers, &params));
        Self { params, headers: parts.headers, uri: parts.uri, peer, transport, auth_token, session }
    }

    /// The client's `user-agent`. Phoenix's `:user_agent`.
    pub fn user_agent(&self) -> Option<&str> {
        self.headers.get(USER_AGENT)?.to_str().ok()
    }

    /// The headers whose names begin with `x-`, by their names in lower case. Phoenix's `:x_headers`.
    ///
    /// Headers that are not text are left out, here and in the other lists.
    pub fn x_headers(&self) -> impl Iterator<Item = (&str, &str)> {
        self.headers_where(|name| name.starts_with("x-"))
    }

    /// `traceparent` and `tracestate`, as far as they were sent. Phoenix's `:trace_context_headers`.
    pub fn trace_context_headers(&self) -> impl Iterator<Item = (&str, &str)> {
        self.headers_where(|name| name == "traceparent" || name == "tracestate")
    }

    /// The headers whose names begin with `sec-websocket-`. Phoenix's `:sec_websocket_headers`.
    pub fn sec_websocket_headers(&self) -> impl Iterator<Item = (&str, &str)> {
        self.headers_where(|name| name.starts_with("sec-websocket-"))
    }

    fn headers_where(&self, wanted: fn(&str) -> bool) -> impl Iterator<Item = (&str, &str)> {
        let headers = self.headers.iter().map(|(name, value)| (name.as_str(), value));
        headers
            .filter(move |(name, _)| wanted(name))
            .filter_map(|(name, value)| Some((name, value.to_str().ok()?)))
    }
}

/// The address of the client, as an extension of its requests.
///
/// The endpoint's own listener sets it; a server that the endpoint is mounted in may.
#[derive(Clone, Copy, Debug)]
pub struct Peer(pub SocketAddr);

/// A connection that is not accepted: the HTTP answer to the upgrade request.
///
/// Phoenix's `:error` and `{:error, reason}` of `connect/3`, and what its `:error_handler` makes of the reason.
///
/// ```
/// use std::time::Duration;
///
/// use heronry_channels::Refusal;
/// use heronry_channels::http::StatusCode;
///
/// let busy = Refusal::new(StatusCode::TOO_MANY_REQUESTS, "slow down").retry_after(Duration::from_secs(30));
/// assert_eq!(busy.headers()["retry-after"], "30");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Refusal {
    /// The status.
    pub status: StatusCode,
    /// The body, as plain text. A client that polls does not get it.
    pub body: String,
    /// Boxed: whatever returns a refusal would be as large as a map of headers otherwise.
    headers: Box<HeaderMap>,
}

impl Refusal {
    /// 403 with an empty body, as Phoenix answers `:error`.
    pub fn forbidden() -> Self {
        Self::new(StatusCode::FORBIDDEN, "")
    }

    /// Any status and body, such as 429 and "Too many requests".
    pub fn new(status: StatusCode, body: impl Into<String>) -> Self {
        Self { status, body: body.into(), headers: Box::default() }
    }

    /// With a header, in the place of another of its name.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    /// The headers of the answer.
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// The headers alone.
    pub(crate) fn into_headers(self) -> HeaderMap {
        *self.headers
    }

    /// Says when to try again (`Retry-After`), in seconds, rounded up.
    #[must_use]
    pub fn retry_after(self, after: Duration) -> Self {
        let secs = after.as_secs().saturating_add(u64::from(after.subsec_nanos() > 0));
        self.header(RETRY_AFTER, secs.into())
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "connection refused: {} {}", self.status, self.body)
    }
}
