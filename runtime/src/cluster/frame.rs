//! Frames: what travels between nodes, and how it is written down.
//!
//! ```text
//! [version u8][format u8][flags u8][name length u8][name][incarnation u64][seq u64][quiet u16]
//! [total u32, in the first part of a message in parts][body][tag, 32 bytes, if signed]
//! ```
//!
//! Numbers are big-endian. What arrives may come from anybody: decoding allocates nothing and believes no length.
//!
//! Pure: bytes in, values out.

use std::ops::Range;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};

use super::mac::{Mac, TAG_BYTES};
use crate::engine::Subject;
use crate::node::{Incarnation, NODE_NAME_BYTES_MAX, NodeId};

const VERSION: u8 = 1;

/// How the body is laid out: as whoever published it gave it.
const FORMAT_RAW: u8 = 1;

const SIGNED: u8 = 0b001;
const PART: u8 = 0b110;
const FLAGS: u8 = SIGNED | PART;

/// Which part of a message a frame carries. Parts of one message follow each other in their stream without a gap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// All of it.
    Whole,
    /// The first part of a message of that many bytes.
    First(u32),
    /// One more.
    Middle,
    /// The one that completes it.
    Last,
}

/// What is in front of the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head<'a> {
    /// The sender's name; not checked to be one.
    pub(super) name: &'a str,
    /// The sender's life.
    pub(super) incarnation: Incarnation,
    /// The frame's place in the stream of the sender on the subject.
    pub(super) seq: u64,
    /// For how long the sender had sent nothing on the subject before this frame.
    pub(super) quiet: Duration,
    pub(super) part: Part,
}

/// A frame that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Decoded<'a> {
    pub(super) head: Head<'a>,
    /// Where the body is.
    pub(super) body: Range<usize>,
}

/// Why a frame was not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FrameError {
    /// It is none of ours, or of a version that this one does not speak.
    Malformed,
    /// Its tag is missing or wrong.
    Forged,
}

/// How many bytes a frame has beside its body, at most.
pub(super) fn overhead(from: &NodeId, mac: Option<&Mac>) -> usize {
    4 + from.name().as_str().len() + 8 + 8 + 2 + 4 + mac.map_or(0, |_| TAG_BYTES)
}

/// Writes a frame whose body is `prefix` and then `body`.
pub(super) fn encode(
    subject: &Subject,
    from: &NodeId,
    (seq, quiet, part): (u64, Duration, Part),
    (prefix, body): (&[u8], &[u8]),
    mac: Option<&Mac>,
) -> Bytes {
    let mut frame = BytesMut::with_capacity(overhead(from, mac) + prefix.len() + body.len());
    let name = from.name().as_str();
    frame.put_u8(VERSION);
    frame.put_u8(FORMAT_RAW);
    frame.put_u8(flags(part) | if mac.is_some() { SIGNED } else { 0 });
    frame.put_u8(u8::try_from(name.len()).expect("invariant: a name is at most 64 bytes"));
    frame.put_slice(name.as_bytes());
    frame.put_u64(from.incarnation().get());
    frame.put_u64(seq);
    frame.put_u16(u16::try_from(quiet.as_millis()).unwrap_or(u16::MAX));
    match part {
        Part::First(total) => frame.put_u32(total),
        Part::Whole | Part::Middle | Part::Last => {}
    }
    frame.put_slice(prefix);
    frame.put_slice(body);
    if let Some(mac) = mac {
        let tag = mac.sign(subject, &frame);
        frame.put_slice(&tag);
    }
    frame.freeze()
}

fn flags(part: Part) -> u8 {
    match part {
        Part::Whole => 0b000,
        Part::First(_) => 0b010,
        Part::Middle => 0b100,
        Part::Last => 0b110,
    }
}

/// Reads a frame. With a `mac` it must be signed; without one a signature is passed over.
pub(super) fn decode<'a>(
    subject: &Subject,
    frame: &'a [u8],
    mac: Option<&Mac>,
) -> Result<Decoded<'a>, FrameError> {
    let mut reader = Reader { bytes: frame, at: 0 };
    let [version, format, flags, name_len] = reader.take()?;
    if version != VERSION || format != FORMAT_RAW || flags & !FLAGS != 0 {
        return Err(FrameError::Malformed);
    }
    let end = match (flags & SIGNED != 0, mac) {
        (false, None) => frame.len(),
        (false, Some(_)) => return Err(FrameError::Forged),
        (true, mac) => {
            let end = frame.len().checked_sub(TAG_BYTES).ok_or(FrameError::Malformed)?;
            let (signed, tag) = frame.split_at(end);
            // Before anything else of it is looked at.
            if mac.is_some_and(|mac| !mac.verify(subject, signed, tag)) {
                return Err(FrameError::Forged);
            }
            end
        }
    };
    reader.bytes = &frame[..end];
    let name_len = usize::from(name_len);
    if name_len > NODE_NAME_BYTES_MAX {
        return Err(FrameError::Malformed);
    }
    let name = std::str::from_utf8(reader.slice(name_len)?).map_err(|_| FrameError::Malformed)?;
    let incarnation = Incarnation::new(u64::from_be_bytes(reader.take()?));
    let seq = u64::from_be_bytes(reader.take()?);
    let quiet = Duration::from_millis(u64::from(u16::from_be_bytes(reader.take()?)));
    let part = match flags & PART {
        0b000 => Part::Whole,
        0b010 => Part::First(u32::from_be_bytes(reader.take()?)),
        0b100 => Part::Middle,
        _ => Part::Last,
    };
    // The last number has none after it.
    if seq == u64::MAX {
        return Err(FrameError::Malformed);
    }
    Ok(Decoded { head: Head { name, incarnation, seq, quiet, part }, body: reader.at..end })
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn slice(&mut self, len: usize) -> Result<&'a [u8], FrameError> {
        let end = self.at + len;
        let slice = self.bytes.get(self.at..end).ok_or(FrameError::Malformed)?;
        self.at = end;
        Ok(slice)
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], FrameError> {
        self.slice(N)?.try_into().map_err(|_| FrameError::Malformed)
    }
}

#[cfg(test)]
mod tests;
