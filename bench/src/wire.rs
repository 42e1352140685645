//! WebSocket frames and channel messages, by hand and no more of them than a benchmark needs.
//!
//! Pure: bytes in, bytes out. Fragmented messages are not read: no server here sends them.

use std::ops::Range;

#[cfg(test)]
mod tests;

const FIN: u8 = 0x80;
const MASKED: u8 = 0x80;
/// The mask of all that is sent: zero, which leaves the text as it is.
const MASK: [u8; 4] = [0; 4];

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Opcode {
    Text,
    Close,
    Ping,
    Pong,
}

/// A whole frame within a buffer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) opcode: Opcode,
    /// Where its payload is.
    pub(crate) payload: Range<usize>,
    /// The mask that the payload is still under.
    pub(crate) mask: Option<[u8; 4]>,
}

/// Appends the frame that a client sends.
pub(crate) fn push_masked(out: &mut Vec<u8>, opcode: Opcode, payload: &[u8]) {
    push_head(out, opcode, payload.len(), MASKED);
    out.extend_from_slice(&MASK);
    out.extend_from_slice(payload);
}

/// Appends the frame that a server sends.
pub(crate) fn push_plain(out: &mut Vec<u8>, opcode: Opcode, payload: &[u8]) {
    push_head(out, opcode, payload.len(), 0);
    out.extend_from_slice(payload);
}

fn push_head(out: &mut Vec<u8>, opcode: Opcode, len: usize, masked: u8) {
    let opcode = match opcode {
        Opcode::Text => 1,
        Opcode::Close => 8,
        Opcode::Ping => 9,
        Opcode::Pong => 10,
    };
    out.push(FIN | opcode);
    if let Some(len) = u8::try_from(len).ok().filter(|len| *len < 126) {
        out.push(masked | len);
    } else if let Ok(len) = u16::try_from(len) {
        out.push(masked | 126);
        out.extend_from_slice(&len.to_be_bytes());
    } else {
        out.push(masked | 127);
        out.extend_from_slice(&(len as u64).to_be_bytes());
    }
}

/// The first frame of a buffer; `None` if it is not all there yet.
///
/// # Errors
/// What no server here sends: a fragment, an unknown opcode.
pub(crate) fn first_frame(buffer: &[u8]) -> Result<Option<Frame>, &'static str> {
    let &[first, second, ..] = buffer else { return Ok(None) };
    let opcode = match first {
        0x81 => Opcode::Text,
        0x88 => Opcode::Close,
        0x89 => Opcode::Ping,
        0x8a => Opcode::Pong,
        _ => return Err("a frame that is neither text nor control, or a fragment"),
    };
    let (len, mut start) = match second & !MASKED {
        126 => match buffer.get(2..4).and_then(|bytes| bytes.try_into().ok()) {
            Some(bytes) => (usize::from(u16::from_be_bytes(bytes)), 4),
            None => return Ok(None),
        },
        127 => match buffer.get(2..10).and_then(|bytes| bytes.try_into().ok()) {
            Some(bytes) => {
                (usize::try_from(u64::from_be_bytes(bytes)).map_err(|_| "a frame beyond memory")?, 10)
            }
            None => return Ok(None),
        },
        len => (usize::from(len), 2),
    };
    let mut mask = None;
    if second & MASKED != 0 {
        let Some(bytes) = buffer.get(start..start + 4).and_then(|bytes| bytes.try_into().ok()) else {
            return Ok(None);
        };
        mask = Some(bytes);
        start += 4;
    }
    let end = start.checked_add(len).ok_or("a frame beyond memory")?;
    Ok((buffer.len() >= end).then_some(Frame { opcode, payload: start..end, mask }))
}

/// A message of the protocol V2, `[join_ref, ref, topic, event, payload]`, as its five parts of JSON text. The refs and
/// topics of the benchmarks contain no comma, which is what makes this so cheap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Message<'a> {
    pub(crate) join_ref: &'a [u8],
    pub(crate) reference: &'a [u8],
    pub(crate) topic: &'a [u8],
    pub(crate) event: &'a [u8],
    pub(crate) payload: &'a [u8],
}

impl<'a> Message<'a> {
    /// `None` if the text is no message.
    pub(crate) fn parse(text: &'a [u8]) -> Option<Self> {
        let inner = text.strip_prefix(b"[")?.strip_suffix(b"]")?;
        let mut parts = inner.splitn(5, |byte| *byte == b',');
        Some(Self {
            join_ref: parts.next()?,
            reference: parts.next()?,
            topic: parts.next()?,
            event: parts.next()?,
            payload: parts.next()?,
        })
    }

    /// Whether it is a reply with status `ok`. Servers differ in where the status stands, but it is first or last.
    pub(crate) fn is_ok_reply(&self) -> bool {
        self.event == br#""phx_reply""#
            && (self.payload.starts_with(br#"{"status":"ok""#)
                || self.payload.ends_with(br#""status":"ok"}"#))
    }

    /// The number in the reference; `None` if it has none.
    pub(crate) fn number(&self) -> Option<u64> {
        digits(self.reference.strip_prefix(b"\"")?.strip_suffix(b"\"")?)
    }

    /// The number of a payload that begins with `{"at":"…"`; `None` if it does not.
    pub(crate) fn stamp(&self) -> Option<u64> {
        let rest = self.payload.strip_prefix(STAMP)?;
        digits(&rest[..rest.iter().position(|byte| *byte == b'"')?])
    }
}

const STAMP: &[u8] = br#"{"at":""#;

fn digits(text: &[u8]) -> Option<u64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// A payload of so many bytes (32 at least) that carries a number.
pub(crate) fn stamped(number: u64, bytes: usize) -> String {
    // The text around the filling is 28 bytes.
    format!(r#"{{"at":"{number:012}","p":"{:x<1$}"}}"#, "", bytes.saturating_sub(28))
}
