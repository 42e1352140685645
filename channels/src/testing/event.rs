//! What a test hears: as a client, and as a subscriber of topics.
//!
//! Pure: values.

use std::fmt;

use bytestring::ByteString;

use crate::close::CloseCode;
use crate::message::{Broadcast, Message, Payload, Status};

/// Something that reached a [`ChannelTest`](super::ChannelTest).
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ClientEvent {
    /// A channel pushed it, or it was broadcast and went the fast way; `phx_close` and `phx_error` too.
    Push(Message),
    /// The answer to what a client pushed.
    Reply {
        /// Of the push.
        reference: PushRef,
        /// Where it was pushed.
        topic: ByteString,
        /// How it went.
        status: Status,
        /// What the client is told.
        response: Payload,
    },
    /// It was broadcast to a topic that the test is subscribed to.
    Broadcast(Broadcast),
    /// The server closed a socket.
    Closed {
        /// With this code.
        code: CloseCode,
        /// And this reason.
        reason: String,
    },
}

/// The reference of something that a client pushed, for [`assert_reply!`](super::assert_reply).
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct PushRef(pub(super) ByteString);

impl fmt::Debug for PushRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ClientEvent {
    /// As short as a failed assertion should show it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Push(Message { topic, event, payload, .. }) => {
                write!(f, "push {event:?} on {topic:?}: {payload:?}")
            }
            Self::Reply { reference, topic, status, response } => {
                write!(f, "reply to {reference:?} on {topic:?}: {} {response:?}", status.as_str())
            }
            Self::Broadcast(Broadcast { topic, event, payload }) => {
                write!(f, "broadcast {event:?} on {topic:?}: {payload:?}")
            }
            Self::Closed { code, reason } => write!(f, "closed with {}: {reason}", code.code()),
        }
    }
}
