//! The topics `realtime:*`: a subset of the conventions of Supabase's clients.

use heronry_channels::prelude::*;
use heronry_presence::{IntoMeta, TrackError};
use serde::Deserialize;
use serde_json::{Value, json};

use super::user_socket::UserSocket;

pub(super) struct Realtime {
    key: String,
    /// The sender gets its own broadcasts.
    to_self: bool,
    /// Broadcasts are answered.
    ack: bool,
}

pub(super) struct AfterJoin;

#[derive(Default, Deserialize)]
struct Joining {
    config: Option<Config>,
}

#[derive(Default, Deserialize)]
struct Config {
    broadcast: Option<BroadcastConfig>,
    presence: Option<PresenceConfig>,
}

#[derive(Default, Deserialize)]
struct BroadcastConfig {
    #[serde(rename = "self")]
    to_self: Option<bool>,
    ack: Option<bool>,
}

#[derive(Default, Deserialize)]
struct PresenceConfig {
    key: Option<String>,
}

#[derive(Deserialize)]
struct Change {
    event: String,
    #[serde(default)]
    payload: Value,
}

impl Channel for Realtime {
    type Socket = UserSocket;
    type Msg = AfterJoin;

    async fn join(_: &str, payload: Payload, socket: &mut ChannelSocket<Self>) -> Join<Self> {
        let Joining { config } = payload.parse().unwrap_or_default();
        let Config { broadcast, presence } = config.unwrap_or_default();
        let BroadcastConfig { to_self, ack } = broadcast.unwrap_or_default();
        // Supabase's clients send an empty key where none is set.
        let configured = presence.unwrap_or_default().key.filter(|key| !key.is_empty());
        let key =
            configured.or_else(|| socket.assigns().user_id.clone()).unwrap_or_else(|| "anon".to_owned());
        socket.addr().send(AfterJoin)?;
        let channel = Self { key, to_self: to_self.unwrap_or(false), ack: ack.unwrap_or(false) };
        Ok((channel, json!({ "postgres_changes": [] }).into()))
    }

    async fn handle_info(&mut self, AfterJoin: AfterJoin, socket: &mut ChannelSocket<Self>) -> Outcome {
        socket.handler().presence.push_state(socket).await?;
        Ok(Handled::NoReply)
    }

    async fn handle_in(
        &mut self,
        event: &str,
        payload: Payload,
        socket: &mut ChannelSocket<Self>,
    ) -> Outcome {
        match event {
            "broadcast" => {
                if self.to_self {
                    socket.broadcast(event, payload)?;
                } else {
                    socket.broadcast_from(event, payload)?;
                }
                Ok(if self.ack { Handled::ok() } else { Handled::NoReply })
            }
            "presence" => self.presence(payload.parse()?, socket).await,
            "access_token" => Ok(Handled::NoReply),
            other => Err(ExitReason::custom(format!("a realtime topic has no event {other:?}"))),
        }
    }
}

impl Realtime {
    async fn presence(&self, change: Change, socket: &ChannelSocket<Self>) -> Outcome {
        let presence = &socket.handler().presence;
        let Change { event, payload } = change;
        match event.to_ascii_lowercase().as_str() {
            "track" => {
                let meta = if payload.is_null() { json!({}) } else { payload }.into_meta()?;
                match presence.update(socket, &self.key, meta.clone()).await {
                    Err(TrackError::NoPresence) => presence.track(socket, &self.key, meta).await?,
                    updated => updated?,
                };
            }
            "untrack" => presence.untrack(socket, &self.key).await?,
            other => return Err(ExitReason::custom(format!("presence has no event {other:?}"))),
        }
        Ok(Handled::ok())
    }
}
