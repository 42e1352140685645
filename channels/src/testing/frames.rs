//! The client's side of the V2 protocol.
//!
//! Pure: bytes in, values out.

use bytes::Bytes;
use bytestring::ByteString;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::message::{Message, Payload, Status};
use crate::serializer::{EncodeError, Frame, Serializer};

/// What a server sends.
#[derive(Debug, PartialEq)]
pub(super) enum FromServer {
    Message(Message),
    Reply { reference: Option<ByteString>, topic: ByteString, status: Status, response: Payload },
}

/// A frame that no server should send.
#[derive(Debug)]
pub(super) struct Unreadable(pub(super) String);

/// Writes a message of a client.
pub(super) fn encode(message: &Message) -> Result<Frame, EncodeError> {
    let Message { join_ref, reference, topic, event, payload } = message;
    let (join_ref, reference) = (join_ref.as_deref(), reference.as_deref());
    let Some(data) = payload.as_binary() else {
        let quoted = |text: &str| serde_json::Value::from(text).to_string();
        let given = |text: Option<&str>| text.map_or_else(|| "null".to_owned(), quoted);
        let head = [given(join_ref), given(reference), quoted(topic), quoted(event)].join(",");
        let payload = payload.as_json().unwrap_or("null");
        return Ok(Frame::Text(format!("[{head},{payload}]").into()));
    };
    let fields = [
        ("join_ref", join_ref.unwrap_or("")),
        ("ref", reference.unwrap_or("")),
        ("topic", topic),
        ("event", event),
    ];
    let mut bytes = vec![0];
    for (field, value) in fields {
        bytes.push(EncodeError::check(field, value)?);
    }
    fields.iter().for_each(|(_, value)| bytes.extend_from_slice(value.as_bytes()));
    bytes.extend_from_slice(data);
    Ok(Frame::Binary(bytes.into()))
}

/// Reads a frame of a server; text has the same form both ways, so `serializer` reads it.
pub(super) fn decode(serializer: &dyn Serializer, frame: Frame) -> Result<FromServer, Unreadable> {
    match frame {
        Frame::Text(_) => {
            let message = serializer.decode(frame).map_err(|error| Unreadable(error.to_string()))?;
            if &*message.event == "phx_reply" { reply(&message) } else { Ok(FromServer::Message(message)) }
        }
        Frame::Binary(bytes) => binary(&bytes),
    }
}

fn reply(message: &Message) -> Result<FromServer, Unreadable> {
    #[derive(Deserialize)]
    struct Wire<'a> {
        status: String,
        #[serde(borrow)]
        response: &'a RawValue,
    }
    let wire: Wire<'_> = message.payload.parse().map_err(|error| Unreadable(error.to_string()))?;
    let response = Payload::json_text(wire.response.get().to_owned());
    Ok(FromServer::Reply {
        reference: message.reference.as_deref().map(ByteString::from),
        topic: message.topic.clone(),
        status: status(wire.status.into()),
        response: response.map_err(|error| Unreadable(error.to_string()))?,
    })
}

fn status(word: ByteString) -> Status {
    match &*word {
        "ok" => Status::Ok,
        "error" => Status::Error,
        _ => Status::Other(word),
    }
}

fn binary(bytes: &Bytes) -> Result<FromServer, Unreadable> {
    match bytes.first() {
        Some(0) => {
            let ([join_ref, topic, event], payload) = fields(bytes)?;
            Ok(FromServer::Message(Message {
                join_ref: Some(join_ref.into()),
                reference: None,
                topic,
                event,
                payload,
            }))
        }
        Some(1) => {
            let ([_, reference, topic, word], response) = fields(bytes)?;
            Ok(FromServer::Reply { reference: Some(reference), topic, status: status(word), response })
        }
        Some(2) => {
            let ([topic, event], payload) = fields(bytes)?;
            Ok(FromServer::Message(Message { join_ref: None, reference: None, topic, event, payload }))
        }
        Some(_) | None => Err(Unreadable("bytes of no known kind".to_owned())),
    }
}

/// The strings of a binary frame, and its data.
fn fields<const N: usize>(bytes: &Bytes) -> Result<([ByteString; N], Payload), Unreadable> {
    let short = || Unreadable("bytes that end too early".to_owned());
    let mut strings = [const { ByteString::new() }; N];
    let mut at = 1 + N;
    for (string, len) in strings.iter_mut().zip(bytes.get(1..at).ok_or_else(short)?) {
        let end = at + usize::from(*len);
        let part = bytes.get(at..end).ok_or_else(short)?;
        *string =
            ByteString::try_from(bytes.slice_ref(part)).map_err(|error| Unreadable(error.to_string()))?;
        at = end;
    }
    Ok((strings, Payload::binary(bytes.slice(at..))))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::message::{Broadcast, Reply};
    use crate::serializer::Serializers;
    use crate::vsn::Vsn;

    fn message(payload: Payload) -> Message {
        let (join_ref, reference) = (Some("1".into()), Some("\"2".into()));
        Message { join_ref, reference, topic: "room:\n".into(), event: "e".into(), payload }
    }

    /// What the server's own serializer writes is read, and what is written here it reads.
    #[test]
    fn both_ways_in_text_and_in_bytes() {
        let serializers = Serializers::default();
        let v2 = serializers.choose(&Vsn::parse("2.0.0").unwrap()).unwrap();
        for payload in [Payload::from(json!({ "a": [1, null] })), Payload::binary(vec![0, 255])] {
            let message = message(payload.clone());
            assert_eq!(v2.decode(encode(&message).unwrap()), Ok(message.clone()));
            // A push of the server has no reference in bytes.
            let push = Message { reference: None, ..message };
            let got = decode(&**v2, v2.encode_message(&push).unwrap()).unwrap();
            assert_eq!(got, FromServer::Message(push.clone()));
            let Message { topic, event, payload, .. } = push;
            let broadcast =
                Broadcast { topic: topic.clone(), event: event.clone(), payload: payload.clone() };
            let got = decode(&**v2, v2.encode_broadcast(&broadcast).unwrap()).unwrap();
            let want = Message { join_ref: None, reference: None, topic, event, payload: payload.clone() };
            assert_eq!(got, FromServer::Message(want));
            for status in [Status::Ok, Status::Error, Status::Other("maybe".into())] {
                let reply = Reply { status: status.clone(), response: payload.clone() };
                let frame = v2.encode_reply(Some(&"1".into()), Some(&"2".into()), "t", &reply).unwrap();
                let (reference, topic, response) = (Some("2".into()), "t".into(), payload.clone());
                let want = FromServer::Reply { reference, topic, status, response };
                assert_eq!(decode(&**v2, frame).unwrap(), want);
            }
        }
    }

    #[test]
    fn no_bytes_are_too_short_to_be_refused() {
        let serializers = Serializers::default();
        let v2 = serializers.choose(&Vsn::parse("2.0.0").unwrap()).unwrap();
        let whole =
            v2.encode_reply(Some(&"1".into()), Some(&"2".into()), "t", &Reply::ok(Payload::binary(vec![])));
        let Frame::Binary(whole) = whole.unwrap() else { panic!("bytes") };
        for len in 0..whole.len() {
            assert!(decode(&**v2, Frame::Binary(whole.slice(..len))).is_err(), "{len}");
        }
        assert!(decode(&**v2, Frame::Binary(whole)).is_ok());
    }
}
