//! Frames as phoenix.js writes and reads them, byte for byte; and that no bytes can do harm.

mod fuzz;
mod golden;

use proptest::prelude::*;
use serde_json::json;

use super::v2::V2;
use super::*;
use crate::message::Payload;

fn decode(text: &str) -> Result<Message, DecodeError> {
    V2.decode(Frame::Text(text.into()))
}

fn message(join_ref: Option<&str>, reference: Option<&str>, payload: Payload) -> Message {
    Message {
        join_ref: join_ref.map(Into::into),
        reference: reference.map(Into::into),
        topic: "t".into(),
        event: "e".into(),
        payload,
    }
}

fn text(frame: Result<Frame, EncodeError>) -> String {
    match frame.unwrap() {
        Frame::Text(text) => text.to_string(),
        Frame::Binary(bytes) => panic!("binary: {bytes:?}"),
    }
}

fn binary(frame: Result<Frame, EncodeError>) -> Vec<u8> {
    match frame.unwrap() {
        Frame::Binary(bytes) => bytes.to_vec(),
        Frame::Text(text) => panic!("text: {text}"),
    }
}

#[test]
fn text_frames_are_read() {
    let one = Payload::json_text(r#"{"m":1}"#).unwrap();
    let table = [
        (r#"["0","1","t","e",{"m":1}]"#, message(Some("0"), Some("1"), one.clone())),
        (r#"[null,null,"t","e",{"m":1}]"#, message(None, None, one.clone())),
        (r#" [ "0" , "1" , "t" , "e" , {"m":1} , "more", [] ] "#, message(Some("0"), Some("1"), one)),
        (r#"[null,"1","t","e",null]"#, message(None, Some("1"), Payload::json_text("null").unwrap())),
        (
            r#"["\u0030","1","\u0074","e","x\ny"]"#,
            message(Some("0"), Some("1"), Payload::json_text(r#""x\ny""#).unwrap()),
        ),
    ];
    for (frame, want) in table {
        assert_eq!(decode(frame).unwrap(), want, "{frame}");
    }
}

#[test]
fn references_come_back_as_the_text_or_number_that_they_were() {
    let long = "99999999999999999999999";
    let table = [("1", "2"), ("\"1\"", "2"), ("-7", "\"2\""), ("null", "1.50"), ("0", "null"), (long, "1e2")];
    for (join_ref, reference) in table {
        let read = decode(&format!(r#"[{join_ref},{reference},"t","e",{{}}]"#)).unwrap();
        let written = V2.encode_reply(
            read.join_ref.as_ref(),
            read.reference.as_ref(),
            "t",
            &Reply::ok(Payload::empty()),
        );
        let want = format!(r#"[{join_ref},{reference},"t","phx_reply",{{"status":"ok","response":{{}}}}]"#);
        assert_eq!(text(written), want);
    }
    assert_ne!(decode(r#"[1,null,"t","e",{}]"#).unwrap(), decode(r#"["1",null,"t","e",{}]"#).unwrap());
    for no_reference in ["true", "{}", "[1]", "1e999"] {
        assert!(decode(&format!(r#"[null,{no_reference},"t","e",{{}}]"#)).is_err(), "{no_reference}");
    }
}

#[test]
fn what_is_no_message_is_refused() {
    let frames = [
        "",
        "not json",
        "{}",
        "null",
        "[]",
        r#"["0","1","t","e"]"#,
        r#"["0","1","t","e",]"#,
        r#"["0","1",null,"e",{}]"#,
        r#"["0","1","t",7,{}]"#,
        r#"[{},"1","t","e",{}]"#,
        r#"["0","1","t","e",{}"#,
        r#"["0","1","t","e",{}] x"#,
        r#"{"topic":"t","event":"e","payload":{},"ref":"1"}"#,
    ];
    for frame in frames {
        assert!(matches!(decode(frame), Err(DecodeError::Text(_))), "{frame}");
    }
}

#[test]
fn strings_are_slices_of_the_frame() {
    let frame = ByteString::from(r#"["0","1","room:lobby","shout",{"body":"hello"}]"#);
    let range = frame.as_bytes().as_ptr_range();
    let message = V2.decode(Frame::Text(frame.clone())).unwrap();
    for part in
        [&*message.topic, &*message.event, message.payload.as_json().unwrap(), &message.join_ref.unwrap()]
    {
        assert!(range.contains(&part.as_ptr()), "{part} was copied");
    }
}

#[test]
fn text_frames_are_written() {
    let payload = Payload::from(json!({ "m": 1 }));
    assert_eq!(
        text(V2.encode_message(&message(Some("0"), None, payload.clone()))),
        r#"["0",null,"t","e",{"m":1}]"#
    );
    let reply = Reply::ok(payload.clone());
    assert_eq!(
        text(V2.encode_reply(Some(&"0".into()), Some(&"1".into()), "t", &reply)),
        r#"["0","1","t","phx_reply",{"status":"ok","response":{"m":1}}]"#
    );
    let maybe = Reply::with("may\"be", Payload::json(&[1, 2]).unwrap());
    assert_eq!(
        text(V2.encode_reply(None, Some(&"1".into()), "t", &maybe)),
        r#"[null,"1","t","phx_reply",{"status":"may\"be","response":[1,2]}]"#
    );
    let broadcast = Broadcast::new("a\"\n".into(), "e", payload).unwrap();
    assert_eq!(text(V2.encode_broadcast(&broadcast)), r#"[null,null,"a\"\n","e",{"m":1}]"#);
}

#[test]
fn binary_frames_are_as_the_protocol_says() {
    let push = b"\0\x01\x02\x03\x0412abcevnt\x01\xff";
    let got = V2.decode(Frame::Binary(Bytes::from_static(push))).unwrap();
    let want = Message {
        join_ref: Some("1".into()),
        reference: Some("2a".into()),
        topic: "bce".into(),
        event: "vnt\u{1}".into(),
        payload: Payload::binary(&b"\xff"[..]),
    };
    assert_eq!(got, want);

    let data = || Payload::binary(&b"\x01\x02"[..]);
    assert_eq!(binary(V2.encode_message(&message(Some("12"), None, data()))), b"\0\x02\x01\x0112te\x01\x02");
    let reply = Reply::ok(data());
    assert_eq!(
        binary(V2.encode_reply(Some(&"12".into()), Some(&"3".into()), "t", &reply)),
        b"\x01\x02\x01\x01\x02123tok\x01\x02"
    );
    let broadcast = Broadcast::new("top".into(), "e", data()).unwrap();
    assert_eq!(binary(V2.encode_broadcast(&broadcast)), b"\x02\x03\x01tope\x01\x02");
}

#[test]
fn broken_binary_frames_are_refused() {
    let frames: [&[u8]; 6] =
        [b"", b"\0", b"\x01\0\0\0\0", b"\x07\0\0\0\0", b"\0\x05\0\0\0abc", b"\0\x01\0\0\0\xff"];
    for frame in frames {
        let got = V2.decode(Frame::Binary(Bytes::copy_from_slice(frame)));
        assert!(matches!(got, Err(DecodeError::Binary(_))), "{frame:?}");
    }
}

#[test]
fn a_field_too_long_for_a_binary_frame_is_an_error_before_anything_is_sent() {
    let long: ByteString = "é".repeat(128).into();
    let too_long = |field| EncodeError::FieldTooLong { field, len: 256 };
    let data = Payload::binary(&b"x"[..]);
    assert_eq!(Broadcast::new(long.clone(), "e", data.clone()), Err(too_long("topic")));
    assert_eq!(Broadcast::new("t".into(), long.clone(), data.clone()), Err(too_long("event")));
    assert!(Broadcast::new(long.clone(), long.clone(), Payload::empty()).is_ok());
    let mut push = message(None, None, data);
    push.topic = long;
    assert_eq!(V2.encode_message(&push), Err(too_long("topic")));
}

fn any_json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        ".*".prop_map(Into::into),
    ];
    leaf.prop_recursive(4, 32, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
            prop::collection::hash_map(".*", inner, 0..4).prop_map(|map| map.into_iter().collect()),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(
        join_ref in prop::option::of(".*"),
        reference in prop::option::of(".*"),
        topic in ".*",
        event in ".*",
        payload in any_json(),
    ) {
        let message = Message {
            join_ref: join_ref.map(Into::into),
            reference: reference.map(Into::into),
            topic: topic.into(),
            event: event.into(),
            payload: payload.clone().into(),
        };
        let frame = V2.encode_message(&message).unwrap();
        let Frame::Text(text) = &frame else { panic!("JSON is text") };
        prop_assert!(serde_json::from_str::<serde_json::Value>(text).is_ok(), "{}", text);
        let back = V2.decode(frame).unwrap();
        prop_assert_eq!(back.payload.parse::<serde_json::Value>().unwrap(), payload);
        prop_assert_eq!(back, message);
    }
}
