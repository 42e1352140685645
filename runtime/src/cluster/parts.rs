//! Messages in parts: what is larger than a frame of the engine may be goes in several.
//!
//! The parts of a message follow each other in a stream that [continuity](super::continuity) keeps in order, so that
//! putting them together is appending. Whatever does not follow ends the message: its sender gave it up midway, and knows.
//!
//! Pure: bytes.

use bytes::{Bytes, BytesMut};

use super::frame::Part;
use crate::clock::Instant;

/// How many bytes of a message go into one part; less, if the engine's frames are smaller.
pub const PART_BYTES: usize = 256 * 1024;

/// The largest message, in bytes. What is larger is refused where it is sent.
pub const MESSAGE_BYTES_MAX: usize = 64 * 1024 * 1024;

/// A message of which some parts have arrived.
#[derive(Debug)]
pub(super) struct Partial {
    bytes: BytesMut,
    total: usize,
    since: Instant,
}

/// What a part makes of a message.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Joined {
    /// All of it is there.
    Message(Bytes),
    /// More is to come.
    More,
    /// The part belongs to no message that began, or does not fit: nothing is left of it.
    Stray,
    /// There is no room for it: nothing is left of it.
    NoRoom,
}

impl Partial {
    /// When its first part arrived.
    pub(super) fn since(&self) -> Instant {
        self.since
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }
}

/// Adds the next part of a stream. The message may have `room` bytes by now.
pub(super) fn join(
    partial: &mut Option<Partial>,
    part: Part,
    body: Bytes,
    room: usize,
    now: Instant,
) -> Joined {
    let begun = partial.take();
    let (mut message, is_last) = match part {
        Part::Whole => return Joined::Message(body),
        Part::First(total) => {
            // It grows with what arrives, whatever the sender says will.
            (Partial { bytes: BytesMut::new(), total: total as usize, since: now }, false)
        }
        Part::Middle | Part::Last => match begun {
            Some(begun) => (begun, part == Part::Last),
            None => return Joined::Stray,
        },
    };
    let len = message.bytes.len() + body.len();
    if message.total > MESSAGE_BYTES_MAX || len > message.total || (is_last && len < message.total) {
        return Joined::Stray;
    }
    if len > room {
        return Joined::NoRoom;
    }
    message.bytes.extend_from_slice(&body);
    if is_last {
        return Joined::Message(message.bytes.freeze());
    }
    *partial = Some(message);
    Joined::More
}

#[cfg(test)]
mod tests;
