//! The topics `presence:*`: members who know of each other.

use std::time::{SystemTime, UNIX_EPOCH};

use heronry_channels::prelude::*;
use heronry_presence::Meta;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::user_socket::UserSocket;

pub(super) struct PresenceRoom {
    key: String,
}

pub(super) struct AfterJoin {
    device: Value,
}

#[derive(Default, Deserialize)]
struct Joining {
    user_id: Option<Value>,
    #[serde(default)]
    device: Value,
}

#[derive(Deserialize)]
struct Update {
    #[serde(default)]
    device: Value,
}

#[derive(Deserialize)]
struct Get {
    key: String,
}

impl Channel for PresenceRoom {
    type Socket = UserSocket;
    type Msg = AfterJoin;

    async fn join(topic: &str, payload: Payload, socket: &mut ChannelSocket<Self>) -> Join<Self> {
        let Joining { user_id, device } = payload.parse().unwrap_or_default();
        let given = user_id.filter(|id| !id.is_null());
        let given = given.map(|id| id.as_str().map_or_else(|| id.to_string(), str::to_owned));
        let key = given.or_else(|| socket.assigns().user_id.clone()).unwrap_or_else(|| "anon".to_owned());
        socket.addr().send(AfterJoin { device })?;
        Ok((Self { key }, json!({ "joined": topic }).into()))
    }

    async fn handle_info(&mut self, msg: AfterJoin, socket: &mut ChannelSocket<Self>) -> Outcome {
        let presence = &socket.handler().presence;
        let online_at = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
        let meta = json!({ "online_at": online_at, "device": msg.device });
        presence.track(socket, &self.key, meta).await?;
        presence.push_state(socket).await?;
        Ok(Handled::NoReply)
    }

    async fn handle_in(
        &mut self,
        event: &str,
        payload: Payload,
        socket: &mut ChannelSocket<Self>,
    ) -> Outcome {
        let presence = &socket.handler().presence;
        match event {
            "update" => {
                let Update { device } = payload.parse()?;
                let edit = move |meta: Meta| {
                    let mut meta: Map<String, Value> = meta.parse()?;
                    meta.insert("device".to_owned(), device);
                    Ok(meta.into())
                };
                presence.update_with(socket, &self.key, edit).await?;
                Ok(Handled::ok())
            }
            "untrack" => {
                presence.untrack(socket, &self.key).await?;
                Ok(Handled::ok())
            }
            "list" => Ok(Handled::ok_with(Payload::json(&presence.list(socket.topic()).await)?)),
            "get" => {
                let Get { key } = payload.parse()?;
                Ok(match presence.get_by_key(socket.topic(), &key).await {
                    Some(found) => Handled::ok_with(Payload::json(&found)?),
                    None => Handled::error(json!({ "reason": "not found" })),
                })
            }
            "boom" => panic!("boom"),
            other => Err(ExitReason::custom(format!("a presence topic has no event {other:?}"))),
        }
    }
}
