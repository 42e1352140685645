//! What two nodes say of a request that landed on the one and belongs to a session of the other.
//!
//! Pure: values and their bytes.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use bytestring::ByteString;
use heronry::node::NODE_NAME_BYTES_MAX;

use super::sessions::Id;

/// One thing that is said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Said<'a> {
    /// A request, by its number on the node that asks.
    Call { from: &'a str, number: u64, call: Call<'a> },
    /// It is taken, and will be answered.
    Taken { number: u64 },
    /// There is no such session.
    Gone { number: u64 },
    /// The answer.
    Answer { number: u64, answer: Answered },
}

/// A request for a session of another node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Call<'a> {
    pub(super) session: Id,
    /// The body of a publish and whether it is a batch; without one it is a poll.
    pub(super) publish: Option<(bool, &'a [u8])>,
}

/// What a session's node answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answered {
    pub(super) status: u16,
    pub(super) frames: Vec<ByteString>,
}

const POLL: u8 = 0;
const PUBLISH: u8 = 1;
const PUBLISH_BATCH: u8 = 2;
const TAKEN: u8 = 3;
const GONE: u8 = 4;
const ANSWER: u8 = 5;

impl<'a> Said<'a> {
    pub(super) fn encode(&self) -> Bytes {
        const _: () = assert!(NODE_NAME_BYTES_MAX <= u8::MAX as usize);
        let mut bytes = BytesMut::new();
        match self {
            Self::Call { from, number, call: Call { session, publish } } => {
                let (kind, body) = match publish {
                    None => (POLL, &[][..]),
                    Some((false, body)) => (PUBLISH, *body),
                    Some((true, body)) => (PUBLISH_BATCH, *body),
                };
                bytes.put_u8(kind);
                bytes.put_u64(*number);
                bytes.put_u8(from.len() as u8);
                bytes.put_slice(from.as_bytes());
                bytes.put_slice(session);
                bytes.put_slice(body);
            }
            Self::Taken { number } => {
                bytes.put_u8(TAKEN);
                bytes.put_u64(*number);
            }
            Self::Gone { number } => {
                bytes.put_u8(GONE);
                bytes.put_u64(*number);
            }
            Self::Answer { number, answer: Answered { status, frames } } => {
                bytes.put_u8(ANSWER);
                bytes.put_u64(*number);
                bytes.put_u16(*status);
                for frame in frames {
                    bytes.put_u32(frame.len() as u32);
                    bytes.put_slice(frame.as_bytes());
                }
            }
        }
        bytes.into()
    }

    /// `None` if that is none.
    pub(super) fn decode(bytes: &'a Bytes) -> Option<Self> {
        let mut rest = &bytes[..];
        let kind = rest.try_get_u8().ok()?;
        let number = rest.try_get_u64().ok()?;
        let publish = match kind {
            TAKEN if rest.is_empty() => return Some(Self::Taken { number }),
            GONE if rest.is_empty() => return Some(Self::Gone { number }),
            ANSWER => {
                let status = rest.try_get_u16().ok()?;
                let mut frames = Vec::new();
                while !rest.is_empty() {
                    let len = usize::try_from(rest.try_get_u32().ok()?).ok()?;
                    let (frame, after) = rest.split_at_checked(len)?;
                    frames.push(ByteString::try_from(bytes.slice_ref(frame)).ok()?);
                    rest = after;
                }
                return Some(Self::Answer { number, answer: Answered { status, frames } });
            }
            POLL => None,
            PUBLISH => Some(false),
            PUBLISH_BATCH => Some(true),
            _ => return None,
        };
        let from_len = usize::from(rest.try_get_u8().ok()?);
        let (from, rest) = rest.split_at_checked(from_len)?;
        let (session, body) = rest.split_first_chunk::<{ size_of::<Id>() }>()?;
        let publish = match publish {
            None if body.is_empty() => None,
            None => return None,
            Some(is_batch) => Some((is_batch, body)),
        };
        Some(Self::Call {
            from: str::from_utf8(from).ok()?,
            number,
            call: Call { session: *session, publish },
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_said_is_read_as_it_was_written() {
        let call = |publish| Said::Call { from: "a", number: 7, call: Call { session: [3; 16], publish } };
        let answer = |frames: &[&'static str]| Said::Answer {
            number: 8,
            answer: Answered { status: 200, frames: frames.iter().map(|&frame| frame.into()).collect() },
        };
        for said in [
            call(None),
            call(Some((false, b"[1]"))),
            call(Some((true, b""))),
            Said::Taken { number: 1 },
            Said::Gone { number: u64::MAX },
            answer(&[]),
            answer(&["", "[1]"]),
        ] {
            let bytes = said.encode();
            assert_eq!(Said::decode(&bytes), Some(said));
        }
    }

    proptest! {
        #[test]
        fn foreign_bytes_are_no_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            drop(Said::decode(&bytes.into()));
        }
    }
}
