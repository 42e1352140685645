//! The topic `system`, which is served exactly.

use heronry_channels::prelude::*;

use super::user_socket::UserSocket;

pub(super) struct System;

impl Channel for System {
    type Socket = UserSocket;
    type Msg = ();

    async fn join(_: &str, _: Payload, _: &mut ChannelSocket<Self>) -> Join<Self> {
        Ok((Self, Payload::empty()))
    }

    async fn handle_in(&mut self, event: &str, payload: Payload, _: &mut ChannelSocket<Self>) -> Outcome {
        match event {
            "echo" => Ok(Handled::ok_with(payload)),
            other => Err(ExitReason::custom(format!("system has no event {other:?}"))),
        }
    }
}
