//! What a long-poll request is answered with. The HTTP status is 200; the status that counts is in the body.
//!
//! Pure: values in, a response out.

use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS, CACHE_CONTROL, CONTENT_TYPE, HeaderValue,
};
use http::{HeaderMap, Response, StatusCode};
use serde::Serialize;

use crate::body::Body;
use crate::serializer::Frame;
use crate::socket::Refusal;

/// An answer.
#[derive(Debug)]
pub(super) enum Answer {
    /// A status alone.
    Status(StatusCode),
    /// To a client that is not let in.
    Refused { status: StatusCode, headers: HeaderMap },
    /// To a poll.
    Messages { status: StatusCode, token: String, frames: Vec<Frame> },
    /// To the question of a browser which headers and methods a page may use.
    Preflight { headers: HeaderValue },
    /// To a method that means nothing here.
    BadMethod,
}

#[derive(Serialize)]
struct StatusBody {
    status: u16,
}

#[derive(Serialize)]
struct MessagesBody<'a> {
    status: u16,
    token: &'a str,
    messages: Vec<&'a str>,
}

impl Answer {
    /// There is no such session (any more).
    pub(super) fn gone() -> Self {
        Self::Status(StatusCode::GONE)
    }

    /// The statuses that clients know: at 500 they try again, at 403 they don't. The headers of the refusal stay.
    pub(super) fn refused(refusal: Refusal) -> Self {
        let again = refusal.status.is_server_error();
        let status = if again { StatusCode::INTERNAL_SERVER_ERROR } else { StatusCode::FORBIDDEN };
        Self::Refused { status, headers: refusal.into_headers() }
    }

    /// Allows the headers that the browser asks about.
    pub(super) fn preflight(request: &HeaderMap) -> Self {
        let asked = request.get_all(ACCESS_CONTROL_REQUEST_HEADERS).iter().map(HeaderValue::as_bytes);
        let joined = asked.collect::<Vec<_>>().join(&b", "[..]);
        let headers =
            HeaderValue::from_bytes(&joined).expect("invariant: header values joined by a comma are one");
        Self::Preflight { headers }
    }

    /// Pages of any origin may read it: which of them are served is decided by the origin check, and not by browsers.
    pub(super) fn into_response(self) -> Response<Body> {
        let mut response = match self {
            Self::Status(status) => json(&StatusBody { status: status.as_u16() }),
            Self::Refused { status, headers } => {
                let mut response = json(&StatusBody { status: status.as_u16() });
                // The transport's own win: without them the body can't be read.
                let own = std::mem::replace(response.headers_mut(), headers);
                response.headers_mut().extend(own);
                response
            }
            Self::Messages { status, token, frames } => {
                let messages = frames.iter().filter_map(text).collect();
                json(&MessagesBody { status: status.as_u16(), token: &token, messages })
            }
            Self::Preflight { headers } => preflight(headers),
            Self::BadMethod => {
                let mut response = Response::new(Body::empty());
                *response.status_mut() = StatusCode::BAD_REQUEST;
                response
            }
        };
        response.headers_mut().insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
        response
    }
}

/// Only text is ever queued for a client that polls: its serializer writes nothing else.
fn text(frame: &Frame) -> Option<&str> {
    match frame {
        Frame::Text(text) => Some(text),
        Frame::Binary(_) => None,
    }
}

/// The token travels in a header, so that the URLs of all sessions are the same: nothing may be kept by a cache.
fn json(body: &impl Serialize) -> Response<Body> {
    let text = serde_json::to_string(body).expect("invariant: numbers and strings are JSON");
    let mut response = Response::new(Body::from(text));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn preflight(allowed: HeaderValue) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    let headers = response.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, allowed);
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("get, post, options"));
    headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("3600"));
    response
}
