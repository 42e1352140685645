//! Who may connect, and what a socket remembers of it.

use heronry_channels::Params;
use heronry_channels::http::StatusCode;
use heronry_channels::prelude::*;
use heronry_presence::Presence;
use serde_json::{Map, Value, json};

use super::presence::PresenceRoom;
use super::realtime::Realtime;
use super::room::Room;
use super::system::System;

pub(super) struct UserSocket {
    pub(super) presence: Presence,
}

/// What a connection knows of its client.
pub(super) struct User {
    pub(super) user_id: Option<String>,
    pub(super) params: Params,
    /// The answer to `connect_info`.
    pub(super) connect_info: Value,
}

impl Socket for UserSocket {
    type Assigns = User;

    async fn connect(&self, connect: &Connect) -> Result<User, Refusal> {
        match connect.params.get_str("token") {
            Some("bad") => return Err(Refusal::forbidden()),
            Some("limited") => return Err(Refusal::new(StatusCode::TOO_MANY_REQUESTS, "Too many requests")),
            Some(_) | None => {}
        }
        let mut params = connect.params.clone();
        params.remove("token");
        let user_id = params.get_str("user_id").map(str::to_owned);
        Ok(User { user_id, params, connect_info: connect_info(connect) })
    }

    fn id(&self, user: &User) -> Option<String> {
        user.user_id.as_deref().map(socket_id)
    }

    fn channels(routes: Routes<Self>) -> Routes<Self> {
        routes
            .channel::<Room>("room:*")
            .channel::<System>("system")
            .channel::<PresenceRoom>("presence:*")
            .channel::<Realtime>("realtime:*")
    }
}

/// The topic by which all sockets of a user are closed.
pub(super) fn socket_id(user_id: &str) -> String {
    format!("user_socket:{user_id}")
}

fn connect_info(connect: &Connect) -> Value {
    json!({
        "user_agent": connect.user_agent(),
        "x_headers": object(connect.x_headers()),
        "trace": object(connect.trace_context_headers()),
        "path": connect.uri.path(),
        "peer": connect.peer.map(|peer| peer.ip().to_string()),
        "auth_token": connect.auth_token,
    })
}

fn object<'a>(headers: impl Iterator<Item = (&'a str, &'a str)>) -> Map<String, Value> {
    headers.map(|(name, value)| (name.to_owned(), Value::from(value))).collect()
}
