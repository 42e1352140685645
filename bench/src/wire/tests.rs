//! Frames and messages as they are on the wire: whole, in pieces, and refused.

use super::*;

fn masked(payload: &[u8]) -> Vec<u8> {
    let mut frame = Vec::new();
    push_masked(&mut frame, Opcode::Text, payload);
    frame
}

#[test]
fn a_frame_is_read_as_it_was_written_whatever_its_length() {
    for len in [0, 1, 125, 126, 127, 65_535, 65_536] {
        let payload = vec![b'x'; len];
        let mut buffer = masked(&payload);
        let whole = buffer.len();
        buffer.extend_from_slice(b"more");
        let frame = first_frame(&buffer).unwrap().unwrap();
        assert_eq!((frame.opcode, frame.mask), (Opcode::Text, Some(MASK)));
        assert_eq!((&buffer[frame.payload.clone()], frame.payload.end), (&*payload, whole));
    }
}

#[test]
fn what_is_not_whole_waits() {
    let mut plain = Vec::new();
    push_plain(&mut plain, Opcode::Text, &[b'x'; 300]);
    for buffer in [masked(&[b'x'; 200]), masked(b"short"), plain] {
        for len in 0..buffer.len() {
            assert_eq!(first_frame(&buffer[..len]), Ok(None), "{len} of {}", buffer.len());
        }
        assert!(first_frame(&buffer).unwrap().is_some());
    }
}

#[test]
fn fragments_and_binary_are_refused() {
    for first in [0x01, 0x80, 0x82, 0x83] {
        assert!(first_frame(&[first, 0]).is_err(), "{first:#x}");
    }
}

#[test]
fn a_message_has_five_parts_and_the_payload_may_contain_anything() {
    let message =
        Message::parse(br#"["1","22","bench:echo:0","phx_reply",{"status":"ok","response":{"a":[1,2]}}]"#)
            .unwrap();
    assert_eq!((message.join_ref, message.topic), (&br#""1""#[..], &br#""bench:echo:0""#[..]));
    assert_eq!((message.number(), message.is_ok_reply()), (Some(22), true));
    let other = br#"[null,null,"t","phx_reply",{"response":{"status":"ok"},"status":"error"}]"#;
    let other = Message::parse(other).unwrap();
    assert_eq!((other.number(), other.is_ok_reply()), (None, false));
    let phoenix = br#"["1","2","t","phx_reply",{"response":{},"status":"ok"}]"#;
    assert!(Message::parse(phoenix).unwrap().is_ok_reply());
    for text in ["", "[]", "[1,2,3,4]", "1,2,3,4,5"] {
        assert_eq!(Message::parse(text.as_bytes()), None, "{text}");
    }
}

#[test]
fn a_stamp_comes_back() {
    let payload = stamped(77, 100);
    assert_eq!(payload.len(), 100);
    let text = format!(r#"[null,null,"t","shout",{payload}]"#);
    assert_eq!(Message::parse(text.as_bytes()).unwrap().stamp(), Some(77));
    assert!(serde_json::from_str::<serde_json::Value>(&payload).is_ok());
}
