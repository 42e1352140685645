//! The socket and the channel that the tests of this folder talk to.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use heronry::ExitReason;
use heronry_channels::http::StatusCode;
use heronry_channels::prelude::*;
use serde::Deserialize;
use serde_json::json;

/// What the channels of one test did, for it to look at.
pub(crate) type Journal = Arc<Mutex<Vec<String>>>;

/// Lets in whoever gives no token, and shows its channels the journal.
#[derive(Default)]
pub(crate) struct Lab {
    pub(crate) journal: Journal,
}

impl Socket for Lab {
    type Assigns = Option<String>;

    async fn connect(&self, connect: &Connect) -> Result<Option<String>, Refusal> {
        match connect.params.get_str("token") {
            Some("bad") => Err(Refusal::forbidden()),
            Some(_) => Err(Refusal::new(StatusCode::TOO_MANY_REQUESTS, "Too many requests")),
            None => Ok(connect.params.get_str("user_id").map(str::to_owned)),
        }
    }

    fn id(&self, user: &Option<String>) -> Option<String> {
        user.as_ref().map(|user| format!("user_socket:{user}"))
    }

    fn channels(routes: Routes<Self>) -> Routes<Self> {
        routes.channel::<Room>("room:*").channel::<Room>("system")
    }
}

pub(super) struct Room {
    count: u64,
}

pub(super) enum RoomMsg {
    Welcome,
    Boom,
}

#[derive(Deserialize)]
struct Sleep {
    ms: u64,
}

impl Channel for Room {
    type Socket = Lab;
    type Msg = RoomMsg;
    const INTERCEPT: &'static [&'static str] = &["intercepted"];

    async fn join(topic: &str, _: Payload, socket: &mut ChannelSocket<Self>) -> Join<Self> {
        match topic {
            "room:private" => return Err(JoinError::refuse(json!({ "reason": "unauthorized" }))),
            "room:crash-join" => panic!("no joining here"),
            "room:push-in-join" => socket.push("too early", json!({}))?,
            "room:welcome" => socket.addr().send(RoomMsg::Welcome)?,
            "room:slow-join" => tokio::time::sleep(Duration::from_millis(200)).await,
            _ => {}
        }
        Ok((Room { count: 0 }, json!({ "joined": topic }).into()))
    }

    async fn handle_in(
        &mut self,
        event: &str,
        payload: Payload,
        socket: &mut ChannelSocket<Self>,
    ) -> Outcome {
        match event {
            "echo" => return Ok(Handled::ok_with(payload)),
            "quiet" => return Ok(Handled::NoReply),
            "fail" => return Ok(Handled::error(json!({ "reason": "asked" }))),
            "custom_status" => return Ok(Handled::Reply(Reply::with("maybe", json!({})))),
            "shout" | "intercepted" => socket.broadcast(event, payload)?,
            "shout_others" => socket.broadcast_from(event, payload)?,
            "push_back" => {
                socket.push("pushed", payload)?;
                return Ok(Handled::NoReply);
            }
            "push_list" => socket.push("pushed", Payload::json(&[1, 2])?)?,
            "count" => {
                self.count += 1;
                return Ok(Handled::ok_with(json!({ "count": self.count })));
            }
            "async" => {
                let reply_to = socket.socket_ref()?;
                tokio::spawn(async move {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    reply_to.reply(&Reply::ok(payload))
                });
                return Ok(Handled::NoReply);
            }
            "sleep" => tokio::time::sleep(Duration::from_millis(payload.parse::<Sleep>()?.ms)).await,
            "stuck" => std::future::pending().await,
            "big" => return Ok(Handled::ok_with(json!({ "data": "x".repeat(100_000) }))),
            "boom" => panic!("boom"),
            "boom_later" => socket.addr().send(RoomMsg::Boom)?,
            "stop" => return Ok(Handled::Stop(ExitReason::Normal)),
            "stop_shutdown" => return Ok(Handled::Stop(ExitReason::shutdown_with("enough"))),
            "stop_reply" => {
                return Ok(Handled::StopReply(ExitReason::Normal, Reply::ok(json!({ "bye": true }))));
            }
            "stop_error" => return Ok(Handled::Stop(ExitReason::custom("broken"))),
            _ => return Err(ExitReason::custom(format!("no event {event:?}"))),
        }
        Ok(Handled::ok())
    }

    async fn handle_out(
        &mut self,
        event: &str,
        payload: Payload,
        socket: &mut ChannelSocket<Self>,
    ) -> Outcome {
        let mut payload: serde_json::Value = payload.parse()?;
        payload["seen_by"] = json!(socket.assigns());
        socket.push(event, payload)?;
        Ok(Handled::NoReply)
    }

    async fn handle_info(&mut self, msg: RoomMsg, socket: &mut ChannelSocket<Self>) -> Outcome {
        match msg {
            RoomMsg::Welcome => socket.push("welcome", json!({ "topic": socket.topic() }))?,
            RoomMsg::Boom => panic!("later"),
        }
        Ok(Handled::NoReply)
    }

    async fn terminate(&mut self, reason: &ExitReason, socket: &mut ChannelSocket<Self>) {
        let line = format!("{} {reason}", socket.topic());
        socket.handler().journal.lock().expect("no test panics while it holds this").push(line);
        if socket.topic().starts_with("room:clings") {
            std::future::pending().await
        }
    }
}
