//! The events whose payload is bytes; JSON in their place is a crash.

use heronry_channels::prelude::*;
use serde_json::json;

use super::Room;

pub(super) fn handle(event: &str, payload: Payload, socket: &ChannelSocket<Room>) -> Outcome {
    let Some(bytes) = payload.as_binary() else {
        return Err(ExitReason::custom(format!("{event} takes bytes, and this was JSON")));
    };
    match event {
        "binary" => Ok(Handled::ok_with(payload)),
        "binary_len" => Ok(Handled::ok_with(json!({ "bytes": bytes.len() }))),
        "binary_push" => {
            socket.push("binary_pushed", payload)?;
            Ok(Handled::NoReply)
        }
        event => {
            socket.broadcast(event, payload)?;
            Ok(Handled::ok())
        }
    }
}
