//! The topics `room:*`: an event for each thing that a channel can do.

mod binary;

use std::time::Duration;

use heronry_channels::prelude::*;
use heronry_channels::{Broadcaster, PayloadError, Reply};
use serde::Deserialize;
use serde_json::{Value, json};

use super::user_socket::UserSocket;

/// How long a slow join takes.
const SLOW_JOIN: Duration = Duration::from_millis(200);

/// How late an `async` event is answered.
const REPLY_LATER: Duration = Duration::from_millis(50);

pub(super) struct Room {
    join_params: Payload,
    count: u64,
}

pub(super) enum RoomMsg {
    Welcome,
    Tick(Payload),
    Boom,
}

#[derive(Deserialize)]
struct Wait {
    ms: u64,
}

#[derive(Deserialize)]
struct Big {
    n: usize,
}

impl Channel for Room {
    type Socket = UserSocket;
    type Msg = RoomMsg;
    const INTERCEPT: &'static [&'static str] = &["intercepted"];

    async fn join(topic: &str, payload: Payload, socket: &mut ChannelSocket<Self>) -> Join<Self> {
        let joined = json!({ "joined": topic }).into();
        let reply = match topic {
            "room:private" => return Err(JoinError::refuse(json!({ "reason": "unauthorized" }))),
            "room:crash-join" => panic!("this join crashes"),
            "room:slow-join" => {
                tokio::time::sleep(SLOW_JOIN).await;
                joined
            }
            "room:no-reply" => Payload::empty(),
            "room:welcome" => {
                socket.addr().send(RoomMsg::Welcome)?;
                joined
            }
            _ => joined,
        };
        Ok((Self { join_params: payload, count: 0 }, reply))
    }

    async fn handle_in(
        &mut self,
        event: &str,
        payload: Payload,
        socket: &mut ChannelSocket<Self>,
    ) -> Outcome {
        match event {
            "echo" => Ok(Handled::ok_with(payload)),
            "ack" => Ok(Handled::ok()),
            "fail" => Ok(Handled::error(json!({ "reason": "asked" }))),
            "custom_status" => Ok(Handled::Reply(Reply::with("maybe", Payload::empty()))),
            "quiet" => Ok(Handled::NoReply),
            "async" => reply_later(payload, socket),
            "count" => {
                self.count += 1;
                Ok(Handled::ok_with(json!({ "count": self.count })))
            }
            "tick" => tick(payload, socket),
            "sleep" => {
                let Wait { ms } = payload.parse()?;
                tokio::time::sleep(Duration::from_millis(ms)).await;
                Ok(Handled::ok())
            }
            "hibernate" => {
                socket.push("hibernating", Payload::empty())?;
                socket.hibernate();
                Ok(Handled::NoReply)
            }
            "big" => {
                let Big { n } = payload.parse()?;
                Ok(Handled::ok_with(json!({ "data": "x".repeat(n) })))
            }
            "whoami" => Ok(Handled::ok_with(self.whoami(socket)?)),
            "connect_info" => Ok(Handled::ok_with(socket.assigns().connect_info.clone())),
            "shout" | "shout_others" | "push_back" | "intercepted" => send(event, payload, socket),
            "binary" | "binary_len" | "binary_push" | "binary_shout" => {
                binary::handle(event, payload, socket)
            }
            _ => end(event, socket),
        }
    }

    async fn handle_out(
        &mut self,
        event: &str,
        payload: Payload,
        socket: &mut ChannelSocket<Self>,
    ) -> Outcome {
        let mut payload: Value = payload.parse()?;
        payload["seen_by"] = json!(socket.assigns().user_id);
        socket.push(event, payload)?;
        Ok(Handled::NoReply)
    }

    async fn handle_info(&mut self, msg: RoomMsg, socket: &mut ChannelSocket<Self>) -> Outcome {
        match msg {
            RoomMsg::Welcome => socket.push("welcome", json!({ "topic": socket.topic() }))?,
            RoomMsg::Tick(payload) => socket.push("tick", payload)?,
            RoomMsg::Boom => panic!("boom, later"),
        }
        Ok(Handled::NoReply)
    }
}

impl Room {
    fn whoami(&self, socket: &ChannelSocket<Self>) -> Result<Value, PayloadError> {
        let user = socket.assigns();
        Ok(json!({
            "user_id": user.user_id,
            "topic": socket.topic(),
            "transport": socket.transport(),
            "join_params": self.join_params.parse::<Value>()?,
            "connect_params": user.params.as_map(),
        }))
    }
}

/// Events that send something.
fn send(event: &str, payload: Payload, socket: &ChannelSocket<Room>) -> Outcome {
    match event {
        "push_back" => {
            socket.push("pushed", payload)?;
            return Ok(Handled::NoReply);
        }
        "shout_others" => socket.broadcast_from(event, payload)?,
        event => socket.broadcast(event, payload)?,
    }
    Ok(Handled::ok())
}

/// Events that end the channel; one that there is not is a crash too.
fn end(event: &str, socket: &ChannelSocket<Room>) -> Outcome {
    let bye = || Reply::ok(json!({ "bye": true }));
    match event {
        "boom" => panic!("boom"),
        "boom_later" => {
            socket.addr().send(RoomMsg::Boom)?;
            Ok(Handled::ok())
        }
        "bad_return" => Err(ExitReason::custom("the handler failed")),
        "stop" => Ok(Handled::Stop(ExitReason::Normal)),
        "stop_shutdown" => Ok(Handled::Stop(ExitReason::Shutdown)),
        "stop_reply" => Ok(Handled::StopReply(ExitReason::Normal, bye())),
        "stop_error" => Ok(Handled::Stop(ExitReason::custom("asked to stop with an error"))),
        "disconnect_me" => disconnect(&socket.broadcaster(), socket.id()),
        other => Err(ExitReason::custom(format!("a room has no event {other:?}"))),
    }
}

fn disconnect(broadcaster: &Broadcaster, id: Option<&str>) -> Outcome {
    let id = id.ok_or_else(|| ExitReason::custom("this socket has no id"))?;
    broadcaster.broadcast(id, "disconnect", Payload::empty())?;
    Ok(Handled::NoReply)
}

/// Answers from another task, through a reference, while the channel goes on.
fn reply_later(payload: Payload, socket: &ChannelSocket<Room>) -> Outcome {
    let reply_to = socket.socket_ref()?;
    tokio::spawn(async move {
        tokio::time::sleep(REPLY_LATER).await;
        reply_to.reply(&Reply::ok(payload))
    });
    Ok(Handled::NoReply)
}

fn tick(payload: Payload, socket: &ChannelSocket<Room>) -> Outcome {
    let Wait { ms } = payload.parse()?;
    socket.send_after(Duration::from_millis(ms), RoomMsg::Tick(payload));
    Ok(Handled::ok())
}
