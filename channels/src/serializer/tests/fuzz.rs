//! Fuzz targets: whatever a client sends is a message or an error, and what is a message can be sent on.

use super::super::v1::V1;
use super::super::v2::decode_any;
use super::*;
use crate::tests::{almost, fuzz, noise};

/// What reads of a frame may cost to write: escapes are at most six bytes for one.
fn written_bytes_max(read: usize) -> usize {
    6 * read + 64
}

/// Frames that are right, as text and as bytes.
fn frames() -> impl Strategy<Value = Vec<u8>> {
    let text = r#"("[a-z0-9:é\\n\\u0041]{0,12}"|null|[0-9]{1,3})"#;
    let reference = || format!("({text}|-?[0-9]{{1,20}}(\\.[0-9]{{1,3}})?([eE][0-9]{{1,3}})?)");
    let payload = r#"(\{\}|\{"a":[0-9]{1,3}\}|\[1,"x",null\]|"text"|null)"#;
    let v2 = format!("\\[{0},{0},{text},{text},{payload}\\]", reference());
    let v1 = format!(
        r#"\{{"topic":{text},"event":{text},"payload":{payload},"ref":{0}(,"join_ref":{0})?\}}"#,
        reference()
    );
    let binary = (prop::array::uniform4("[a-zé]{0,60}"), prop::collection::vec(any::<u8>(), 0..60)).prop_map(
        |(fields, data)| {
            let lengths = fields.each_ref().map(|field| u8::try_from(field.len()).unwrap());
            [&[0][..], &lengths, fields.concat().as_bytes(), &data].concat()
        },
    );
    prop_oneof![
        prop::string::string_regex(&v2).unwrap().prop_map(String::into_bytes),
        prop::string::string_regex(&v1).unwrap().prop_map(String::into_bytes),
        binary,
    ]
}

/// As each of the two kinds of frame that these bytes can be.
fn both(bytes: Vec<u8>) -> Vec<Frame> {
    let text = String::from_utf8(bytes.clone()).ok();
    let text = text.map(|text| Frame::Text(text.into()));
    text.into_iter().chain([Frame::Binary(bytes.into())]).collect()
}

fn check(serializer: &dyn Serializer, frame: Frame) -> Result<(), TestCaseError> {
    let len = frame.len();
    let Ok(mut message) = serializer.decode(frame) else { return Ok(()) };
    let written = serializer.encode_message(&message).expect("what was read can be written");
    prop_assert!(written.len() <= written_bytes_max(len), "{} bytes of {len}", written.len());
    // A binary push of ours is not one of a client's: it has no reference, and its head is shorter.
    let Frame::Text(_) = &written else { return Ok(()) };
    let again = serializer.decode(written).expect("what was written can be read");
    // V1 has a join_ref on the way in alone.
    if again.join_ref.is_none() {
        message.join_ref = None;
    }
    prop_assert_eq!(again, message);
    Ok(())
}

proptest! {
    #![proptest_config(fuzz())]

    #[test]
    fn fuzz_any_bytes_are_a_message_or_an_error(bytes in noise()) {
        for frame in both(bytes) {
            check(&V1, frame.clone())?;
            check(&V2, frame)?;
        }
    }

    #[test]
    fn fuzz_what_is_almost_a_message_is_one_or_an_error(bytes in almost(frames())) {
        for frame in both(bytes) {
            check(&V1, frame.clone())?;
            check(&V2, frame)?;
        }
    }

    #[test]
    fn fuzz_broadcasts_and_replies_are_written_or_refused_by_their_lengths(
        fields in prop::array::uniform4(".{0,140}"),
        data in prop::collection::vec(any::<u8>(), 0..50),
    ) {
        let [join_ref, reference, topic, word] = fields;
        let broadcast = Broadcast {
            topic: topic.clone().into(),
            event: word.clone().into(),
            payload: Payload::binary(data.clone()),
        };
        let fits = |fields: &[&String]| fields.iter().all(|field| field.len() <= BINARY_FIELD_BYTES_MAX);
        prop_assert_eq!(V2.encode_broadcast(&broadcast).is_ok(), fits(&[&topic, &word]));
        let reply = Reply::with(word.clone(), Payload::binary(data));
        let (of_join, of_push) = (MessageRef::from(join_ref.clone()), MessageRef::from(reference.clone()));
        let written = V2.encode_reply(Some(&of_join), Some(&of_push), &topic, &reply);
        prop_assert_eq!(written.is_ok(), fits(&[&join_ref, &reference, &topic, &word]));
    }

    #[test]
    fn fuzz_what_is_read_the_short_way_is_read_no_otherwise(bytes in prop_oneof![frames(), almost(frames()), noise()]) {
        let Ok(text) = String::from_utf8(bytes) else { return Ok(()) };
        prop_assert_eq!(V2.decode(Frame::Text(text.clone().into())), decode_any(&text.into()));
    }
}

/// Brackets without end are no recursion without end.
#[test]
fn fuzz_depth_costs_no_stack() {
    let deep = "[".repeat(700_000) + &"]".repeat(700_000);
    let objects = r#"{"a":"#.repeat(200_000) + "1" + &"}".repeat(200_000);
    for payload in [&deep, &objects, &"[".repeat(1_400_000)] {
        for frame in [
            format!(r#"["1","1","t","e",{payload}]"#),
            format!(r#"[{payload},"1","t","e",{{}}]"#),
            format!(r#"["1","1",{payload},"e",{{}}]"#),
            format!(r#"["1","1","t","e",{{}},{payload}]"#),
            format!(r#"{{"topic":"t","event":"e","ref":"1","payload":{payload}}}"#),
            format!(r#"{{"topic":"t","event":"e","ref":"1","payload":{{}},"more":{payload}}}"#),
            payload.clone(),
        ] {
            for serializer in [&V1 as &dyn Serializer, &V2] {
                if let Ok(message) = serializer.decode(Frame::Text(frame.clone().into())) {
                    assert!(
                        message.payload.parse::<serde_json::Value>().is_err() || message.payload.is_object()
                    );
                }
            }
        }
    }
}
