//! The frames of phoenix.js: what its clients sent is read as they meant it, and what they were seen to read is what is
//! written. `tests/e2e/golden.mjs` recorded both from the packages of npm.

use bytes::Bytes;
use serde_json::Value;

use super::super::v1::V1;
use super::*;
use crate::message::{Broadcast, Status};

/// The two lists of the recording.
fn recorded(list: &str) -> Vec<Value> {
    let recording: Value = serde_json::from_str(include_str!("../phoenix-js-frames.json")).unwrap();
    recording[list].as_array().unwrap().clone()
}

fn serializer(row: &Value) -> &'static dyn Serializer {
    match row["vsn"].as_str().unwrap() {
        "1.0.0" => &V1,
        "2.0.0" => &V2,
        other => panic!("no such version: {other}"),
    }
}

/// Bytes are stored in hex.
fn bytes(value: &Value) -> Option<Bytes> {
    let hex = value.get("hex")?.as_str().unwrap();
    let byte = |at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
    Some((0..hex.len()).step_by(2).map(byte).collect())
}

fn frame(row: &Value) -> Frame {
    match bytes(&row["frame"]) {
        Some(bytes) => Frame::Binary(bytes),
        None => Frame::Text(row["frame"].as_str().unwrap().into()),
    }
}

fn payload(value: &Value) -> Payload {
    bytes(value).map_or_else(|| value.clone().into(), Payload::binary)
}

fn meant(row: &Value) -> Message {
    let message = &row["message"];
    let text = |field: &str| message[field].as_str().map(ToOwned::to_owned);
    Message {
        join_ref: text("join_ref").map(Into::into),
        reference: text("ref").map(Into::into),
        topic: text("topic").unwrap().into(),
        event: text("event").unwrap().into(),
        payload: payload(&message["payload"]),
    }
}

#[test]
fn what_the_clients_send_is_read_as_they_mean_it() {
    let rows = recorded("sent");
    for kind in ["join", "push", "binary push", "leave", "heartbeat"] {
        assert!(rows.iter().any(|row| row["what"] == kind), "nothing recorded of {kind}");
    }
    for row in rows {
        let mut read = serializer(&row).decode(frame(&row)).unwrap();
        let meant = meant(&row);
        // As values: the order of an object's keys and the spelling of a string are the client's own.
        let value = |payload: &Payload| payload.parse::<Value>().ok();
        assert_eq!(value(&read.payload), value(&meant.payload), "{row}");
        if value(&read.payload).is_some() {
            read.payload = meant.payload.clone();
        }
        assert_eq!(read, meant, "{row}");
    }
}

#[test]
fn what_the_clients_were_seen_to_read_is_written() {
    let rows = recorded("received");
    assert_eq!(rows.len(), 6, "text and bytes of replies, pushes and broadcasts");
    for row in rows {
        let serializer = serializer(&row);
        let Message { join_ref, reference, topic, event, payload: sent } = meant(&row);
        let written = match row["what"].as_str().unwrap().trim_start_matches("binary ") {
            "push" => {
                serializer.encode_message(&Message { join_ref, reference, topic, event, payload: sent })
            }
            "broadcast" => serializer.encode_broadcast(&Broadcast { topic, event, payload: sent }),
            "reply" => {
                let response = payload(&row["message"]["payload"]["response"]);
                let reply = Reply { status: Status::Ok, response };
                serializer.encode_reply(join_ref.as_ref(), reference.as_ref(), &topic, &reply)
            }
            other => panic!("no such kind: {other}"),
        };
        assert_eq!(written.unwrap(), frame(&row), "{row}");
    }
}
