//! A serializer for clients that can be sent text alone.
//!
//! Pure: values in, values out.

use std::sync::Arc;

use super::{DecodeError, EncodeError, Frame, Serializer};
use crate::message::{Broadcast, Message, MessageRef, Reply};

/// A serializer for clients that send binary frames and can't be sent any: those that poll.
pub(super) struct TextOnly(pub(super) Arc<dyn Serializer>);

fn text_only(frame: Result<Frame, EncodeError>) -> Result<Frame, EncodeError> {
    match frame? {
        text @ Frame::Text(_) => Ok(text),
        Frame::Binary(_) => Err(EncodeError::Binary),
    }
}

impl Serializer for TextOnly {
    fn decode(&self, frame: Frame) -> Result<Message, DecodeError> {
        self.0.decode(frame)
    }

    fn encode_message(&self, message: &Message) -> Result<Frame, EncodeError> {
        text_only(self.0.encode_message(message))
    }

    fn encode_reply(
        &self,
        join_ref: Option<&MessageRef>,
        reference: Option<&MessageRef>,
        topic: &str,
        reply: &Reply,
    ) -> Result<Frame, EncodeError> {
        text_only(self.0.encode_reply(join_ref, reference, topic, reply))
    }

    fn encode_broadcast(&self, broadcast: &Broadcast) -> Result<Frame, EncodeError> {
        text_only(self.0.encode_broadcast(broadcast))
    }
}
