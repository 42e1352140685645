//! V1 frames as the protocol has them, and what is none.

use bytes::Bytes;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::message::Payload;

fn decode(text: &str) -> Result<Message, DecodeError> {
    V1.decode(Frame::Text(text.into()))
}

fn encoded(frame: Result<Frame, EncodeError>) -> Value {
    match frame.unwrap() {
        Frame::Text(text) => serde_json::from_str(&text).unwrap(),
        Frame::Binary(bytes) => panic!("binary: {bytes:?}"),
    }
}

fn message(join_ref: Option<&str>, reference: Option<&str>, payload: &str) -> Message {
    Message {
        join_ref: join_ref.map(Into::into),
        reference: reference.map(Into::into),
        topic: "t".into(),
        event: "e".into(),
        payload: Payload::json_text(payload.to_owned()).unwrap(),
    }
}

#[test]
fn objects_are_read() {
    let table = [
        (r#"{"topic":"t","event":"e","payload":"p","ref":"1"}"#, message(None, Some("1"), r#""p""#)),
        (r#"{"ref":null,"payload":{"m":1},"event":"e","topic":"t"}"#, message(None, None, r#"{"m":1}"#)),
        (
            r#" {"topic":"t","event":"e","payload":null,"ref":"1","join_ref":"9"} "#,
            message(Some("9"), Some("1"), "null"),
        ),
        (
            r#"{"topic":"t","event":"e","payload":[],"ref":"1","join_ref":null,"more":{"topic":7}}"#,
            message(None, Some("1"), "[]"),
        ),
        (
            r#"{"topic":"x","topic":"t","\u0065vent":"\u0065","payload":{},"ref":"1"}"#,
            message(None, Some("1"), "{}"),
        ),
    ];
    for (frame, want) in table {
        assert_eq!(decode(frame).unwrap(), want, "{frame}");
    }
}

#[test]
fn what_is_no_message_is_refused() {
    let frames = [
        "",
        "not json",
        "null",
        "{}",
        r#""logs""#,
        r#"[null,"1","t","e",{}]"#,
        r#"["t","e",{},"1"]"#,
        r#"{"event":"e","payload":{},"ref":"1"}"#,
        r#"{"topic":"t","payload":{},"ref":"1"}"#,
        r#"{"topic":"t","event":"e","ref":"1"}"#,
        r#"{"topic":"t","event":"e","payload":{}}"#,
        r#"{"topic":null,"event":"e","payload":{},"ref":"1"}"#,
        r#"{"topic":"t","event":7,"payload":{},"ref":"1"}"#,
        r#"{"topic":"t","event":"e","payload":{},"ref":{}}"#,
        r#"{"topic":"t","event":"e","payload":{},"ref":"1"} x"#,
        r#"{"topic":"t","event":"e","payload":{},"ref":"1""#,
    ];
    for frame in frames {
        assert!(matches!(decode(frame), Err(DecodeError::Text(_))), "{frame}");
    }
    let binary = Frame::Binary(Bytes::from_static(b"\0\0\x01\x01\x011te"));
    assert!(matches!(V1.decode(binary), Err(DecodeError::Binary(_))));
}

#[test]
fn strings_are_slices_of_the_frame() {
    let frame =
        ByteString::from(r#"{"topic":"room:lobby","event":"shout","payload":{"body":"hello"},"ref":"1"}"#);
    let range = frame.as_bytes().as_ptr_range();
    let message = V1.decode(Frame::Text(frame.clone())).unwrap();
    for part in
        [&*message.topic, &*message.event, message.payload.as_json().unwrap(), &message.reference.unwrap()]
    {
        assert!(range.contains(&part.as_ptr()), "{part} was copied");
    }
}

#[test]
fn exactly_the_four_fields_are_written() {
    let want = json!({ "topic": "t", "event": "e", "payload": { "m": 1 }, "ref": null });
    assert_eq!(encoded(V1.encode_message(&message(Some("9"), None, r#"{"m":1}"#))), want);
    let broadcast = Broadcast::new("t".into(), "e", Payload::from(json!({ "m": 1 }))).unwrap();
    assert_eq!(encoded(V1.encode_broadcast(&broadcast)), want);
    let reply = Reply::with("may\"be", Payload::json(&[1, 2]).unwrap());
    let want = json!({ "topic": "a\"\n", "event": "phx_reply", "payload": { "status": "may\"be", "response": [1, 2] },
        "ref": "1" });
    assert_eq!(encoded(V1.encode_reply(Some(&"9".into()), Some(&"1".into()), "a\"\n", &reply)), want);
}

#[test]
fn bytes_can_not_be_written() {
    let data = Payload::binary(&b"x"[..]);
    let mut push = message(None, None, "{}");
    push.payload = data.clone();
    assert_eq!(V1.encode_message(&push), Err(EncodeError::Binary));
    assert_eq!(
        V1.encode_reply(None, Some(&"1".into()), "t", &Reply::ok(data.clone())),
        Err(EncodeError::Binary)
    );
    let broadcast = Broadcast::new("t".into(), "e", data).unwrap();
    assert_eq!(V1.encode_broadcast(&broadcast), Err(EncodeError::Binary));
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(reference in prop::option::of(".*"), topic in ".*", event in ".*", body in ".*") {
        let message = Message {
            join_ref: None,
            reference: reference.map(Into::into),
            topic: topic.into(),
            event: event.into(),
            payload: json!({ "body": body }).into(),
        };
        prop_assert_eq!(V1.decode(V1.encode_message(&message).unwrap()).unwrap(), message);
    }

    #[test]
    fn no_text_like_a_frame_does_harm(text in r#"\{?("(topic|event|payload|ref|join_ref)"|"[a-z]*"|null|\{|\}|,|:|\[|\]|\\u00| )*\}?"#) {
        drop(V1.decode(Frame::Text(text.into())));
    }
}
