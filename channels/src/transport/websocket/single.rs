//! The message that came by itself: whole, in one frame, and nothing with it (RFC 6455, section 5.2).
//!
//! Pure: bytes in, a message out, or the bytes as they were. What it does not take, tungstenite judges.

use bytes::Bytes;
use bytestring::ByteString;

use crate::serializer::Frame;

/// Reads the message if these bytes are just one frame of a client's, of at most so many bytes.
pub(super) fn single(bytes: &mut [u8], bytes_max: usize) -> Option<Frame> {
    let [opcode @ (0x81 | 0x82), len @ 0x80..=0xff, rest @ ..] = bytes else { return None };
    let (len, rest) = match *len & 0x7f {
        len @ 0..126 => (usize::from(len), rest),
        126 => {
            let (len, rest) = rest.split_first_chunk_mut()?;
            (usize::from(u16::from_be_bytes(*len)), rest)
        }
        _ => return None,
    };
    let (mask, payload) = rest.split_first_chunk_mut()?;
    if payload.len() != len || len > bytes_max {
        return None;
    }
    unmask(payload, *mask);
    if *opcode == 0x82 {
        return Some(Frame::Binary(Bytes::copy_from_slice(payload)));
    }
    match std::str::from_utf8(payload) {
        Ok(text) => Some(Frame::Text(ByteString::from(text))),
        Err(_) => {
            // The same once more undoes it.
            unmask(payload, *mask);
            None
        }
    }
}

fn unmask(payload: &mut [u8], mask: [u8; 4]) {
    let (fours, rest) = payload.as_chunks_mut();
    for four in fours {
        *four = (u32::from_ne_bytes(*four) ^ u32::from_ne_bytes(mask)).to_ne_bytes();
    }
    rest.iter_mut().zip(mask).for_each(|(byte, mask)| *byte ^= mask);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tungstenite::Message;
    use tungstenite::protocol::{Role, WebSocketConfig, WebSocketContext};

    use super::*;
    use crate::tests::{almost, fuzz, noise};

    /// A frame of a client's.
    fn frame(first: u8, payload: &[u8], mask: [u8; 4]) -> Vec<u8> {
        let mut bytes = vec![first];
        match u16::try_from(payload.len()).unwrap() {
            len @ 0..126 => bytes.push(0x80 | len as u8),
            len => {
                bytes.push(0x80 | 126);
                bytes.extend(len.to_be_bytes());
            }
        }
        bytes.extend(mask);
        bytes.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
        bytes
    }

    const MASK: [u8; 4] = [1, 2, 0xff, 0x80];

    #[test]
    fn a_message_by_itself_is_read_and_nothing_else() {
        let texts = ["", "x", "héllo", &"y".repeat(125), &"z".repeat(126), &"long".repeat(900)];
        for text in texts {
            let read = |first, more: &[u8]| {
                single(&mut [&frame(first, text.as_bytes(), MASK), more].concat(), 3_600)
            };
            assert_eq!(read(0x81, &[]), Some(Frame::from(text)));
            assert_eq!(read(0x82, &[]), Some(Frame::Binary(Bytes::copy_from_slice(text.as_bytes()))));
            for first in [0x01, 0x02, 0x80, 0x88, 0x89, 0x8a, 0xc1, 0x91, 0x83] {
                assert_eq!(read(first, &[]), None, "{first:x}");
            }
            assert_eq!(read(0x81, &frame(0x81, b"another", MASK)), None);
        }
        let long = frame(0x81, &[b'x'; 200], MASK);
        assert_eq!(single(&mut long.clone(), 199), None, "it is too long");
        assert!(single(&mut long.clone(), 200).is_some());
        assert_eq!(single(&mut [0x81, 2, b'h', b'i'], 200), None, "it is not masked");
        for cut in 0..long.len() {
            assert_eq!(single(&mut long[..cut].to_vec(), 200), None, "{cut}");
        }
    }

    #[test]
    fn what_is_not_taken_is_as_it_was() {
        let bytes = frame(0x81, b"no UTF-8: \xff\xfe", MASK);
        let mut read = bytes.clone();
        assert_eq!(single(&mut read, 100), None);
        assert_eq!(read, bytes);
    }

    fn frames() -> impl Strategy<Value = Vec<u8>> {
        let first = prop::sample::select(vec![0x81_u8, 0x82]);
        let payload = prop_oneof![noise(), ".{0,200}".prop_map(String::into_bytes)];
        (first, payload, any::<[u8; 4]>()).prop_map(|(first, payload, mask)| frame(first, &payload, mask))
    }

    proptest! {
        #![proptest_config(fuzz())]

        #[test]
        fn fuzz_what_is_read_here_tungstenite_reads_too(bytes in prop_oneof![frames(), almost(frames()), noise()]) {
            let mut read = bytes.clone();
            let Some(frame) = single(&mut read, 1_000) else {
                prop_assert_eq!(read, bytes);
                return Ok(());
            };
            let config = Some(WebSocketConfig::default().accept_unmasked_frames(false));
            let mut server = WebSocketContext::from_partially_read(bytes, Role::Server, config);
            let message = server.read(&mut std::io::empty()).map_err(|error| TestCaseError::fail(error.to_string()))?;
            let want = match frame {
                Frame::Text(text) => Message::text(&*text),
                Frame::Binary(bytes) => Message::Binary(bytes),
            };
            prop_assert_eq!(message, want);
        }
    }
}
