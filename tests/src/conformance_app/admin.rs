//! What is sent from outside of any channel: `POST /conformance/broadcast` and `POST /conformance/disconnect`.

use heronry_channels::http::{Request, Response, StatusCode};
use heronry_channels::{Body, Broadcaster, Payload};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::user_socket::socket_id;

#[derive(Deserialize)]
struct Outside<'a> {
    topic: String,
    event: String,
    #[serde(borrow)]
    payload: &'a RawValue,
}

#[derive(Deserialize)]
struct User {
    user_id: Value,
}

pub(super) fn broadcast<B: AsRef<[u8]>>(broadcaster: &Broadcaster, request: &Request<B>) -> Response<Body> {
    answer(serde_json::from_slice(request.body().as_ref()), |outside: Outside<'_>| {
        let payload = Payload::json(outside.payload).map_err(|error| error.to_string())?;
        broadcaster.broadcast(&outside.topic, &outside.event, payload).map_err(|error| error.to_string())
    })
}

pub(super) fn disconnect<B: AsRef<[u8]>>(broadcaster: &Broadcaster, request: &Request<B>) -> Response<Body> {
    answer(serde_json::from_slice(request.body().as_ref()), |User { user_id }| {
        let user_id = user_id.as_str().map_or_else(|| user_id.to_string(), str::to_owned);
        let sent = broadcaster.broadcast(&socket_id(&user_id), "disconnect", Payload::empty());
        sent.map_err(|error| error.to_string())
    })
}

/// 204 if it was done, 400 with the reason if not.
fn answer<T>(
    parsed: Result<T, serde_json::Error>,
    act: impl FnOnce(T) -> Result<(), String>,
) -> Response<Body> {
    let done = parsed.map_err(|error| error.to_string()).and_then(act);
    let (status, body) = match done {
        Ok(()) => (StatusCode::NO_CONTENT, Body::empty()),
        Err(error) => (StatusCode::BAD_REQUEST, Body::from(error)),
    };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response
}
