//! Frames that break the WebSocket protocol, or cost more than they carry.

use std::time::Duration;

use heronry_channels::{Limits, Rate};
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio_tungstenite::tungstenite::protocol::frame::CloseFrame;
use tokio_tungstenite::tungstenite::{Bytes, Message};

use crate::channels::room::Lab;
use crate::support::{Client, TestServer, within};

/// A frame masked with zeros, so that its payload is what it looks like.
fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match u8::try_from(payload.len()) {
        Ok(len @ 0..126) => frame.push(0x80 | len),
        _ => {
            frame.push(0x80 | 126);
            frame.extend(u16::try_from(payload.len()).expect("a short payload").to_be_bytes());
        }
    }
    frame.extend([0; 4]);
    frame.extend(payload);
    frame
}

async fn write(client: &mut Client, bytes: &[u8]) {
    within("room", client.tcp().write_all(bytes)).await.expect("the connection is open");
}

/// Reads up to the close frame.
async fn close_of(client: &mut Client) -> Option<(u16, String)> {
    loop {
        match within("the close", client.next()).await {
            Some(Ok(Message::Close(Some(CloseFrame { code, reason })))) => {
                return Some((code.into(), reason.to_string()));
            }
            Some(Ok(_)) => {}
            Some(Err(_)) | None => return None,
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_breach_of_the_protocol_closes_with_its_code() {
    let server = TestServer::of(Lab::default(), Limits::default()).await;
    let mut bystander = Client::connect(server.addr, "").await;
    let long = [0; 126];
    let table: [(&str, Vec<u8>, u16); 16] = [
        ("an unmasked frame", b"\x81\x02[]".to_vec(), 1002),
        ("reserved bit 1", masked(0xc1, b"[]"), 1002),
        ("reserved bit 2", masked(0xa1, b"[]"), 1002),
        ("reserved bit 3", masked(0x91, b"[]"), 1002),
        ("a reserved data opcode", masked(0x83, b"[]"), 1002),
        ("a reserved control opcode", masked(0x8b, b""), 1002),
        ("a fragmented ping", masked(0x09, b""), 1002),
        ("a ping of 126 bytes", masked(0x89, &long), 1002),
        ("a continuation of nothing", masked(0x80, b"x"), 1002),
        ("a message within a message", [masked(0x01, b"["), masked(0x81, b"]")].concat(), 1002),
        ("a close of one byte", masked(0x88, b"\x03"), 1002),
        ("a close with a code that may not be sent", masked(0x88, &1005_u16.to_be_bytes()), 1002),
        ("a close whose reason is not UTF-8", masked(0x88, b"\x03\xe8\xff\xff"), 1007),
        ("text that is not UTF-8", masked(0x81, b"\xc3\x28"), 1007),
        ("fragments that are not UTF-8", [masked(0x01, b"\xc3"), masked(0x80, b"\x28")].concat(), 1007),
        ("a frame that would be too big", b"\x81\xff\0\0\0\0\xff\xff\xff\xff\0\0\0\0".to_vec(), 1009),
    ];
    for (what, bytes, code) in table {
        let mut client = Client::connect(server.addr, "").await;
        write(&mut client, &bytes).await;
        assert_eq!(close_of(&mut client).await.map(|close| close.0), Some(code), "{what}");
    }
    let mut client = Client::connect(server.addr, "").await;
    write(&mut client, &masked(0x88, b"\x0f\xa0bye")).await;
    assert_eq!(close_of(&mut client).await, Some((4000, "bye".to_owned())), "a close is echoed");
    bystander.assert_alive().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_too_big_are_refused_however_they_are_cut() {
    let limits = Limits { frame_bytes_max: 1_000, ..Limits::default() };
    let server = TestServer::of(Lab::default(), limits).await;
    let mut client = Client::connect(server.addr, "").await;
    write(&mut client, &masked(0x01, &[b'x'; 600])).await;
    write(&mut client, &masked(0x80, &[b'x'; 600])).await;
    assert_eq!(close_of(&mut client).await, Some((1009, "message too big".to_owned())));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_is_cut_into_so_many_frames_at_most() {
    let limits = Limits { fragments_max: 50, ..Limits::default() };
    let server = TestServer::of(Lab::default(), limits).await;
    let mut client = Client::connect(server.addr, "").await;
    client.join("room:a").await;
    let echo = json!([null, "9", "room:a", "echo", {}]).to_string();
    // As many as may be, with pings between them and some of them empty.
    let mut message = masked(0x01, b"");
    for piece in 0..48 {
        let byte = echo.as_bytes().get(piece).map_or(&[][..], std::slice::from_ref);
        message.extend(masked(0x00, byte));
        message.extend(masked(0x89, b"!"));
    }
    message.extend(masked(0x80, echo.as_bytes().get(48..).unwrap_or_default()));
    write(&mut client, &message).await;
    let reply = loop {
        match within("the reply", client.next()).await.expect("open").expect("readable") {
            Message::Text(text) => break text,
            other => assert!(matches!(other, Message::Pong(_)), "{other:?}"),
        }
    };
    assert!(reply.contains(r#""status":"ok""#), "{reply}");
    // One more is too many, whether the message ends with it or never ends.
    write(&mut client, &masked(0x01, b"")).await;
    write(&mut client, &[masked(0x00, b"").repeat(49), masked(0x80, b"")].concat()).await;
    assert_eq!(close_of(&mut client).await, Some((1008, "too many fragments".to_owned())));
    let mut endless = Client::connect(server.addr, "").await;
    write(&mut endless, &[masked(0x02, b""), masked(0x00, b"").repeat(50)].concat()).await;
    assert_eq!(close_of(&mut endless).await, Some((1008, "too many fragments".to_owned())));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn floods_of_control_frames_are_ended_and_a_few_are_answered() {
    let limits = Limits { control_frames: Rate::per_second(20), ..Limits::default() };
    let server = TestServer::of(Lab::default(), limits).await;
    let mut bystander = Client::connect(server.addr, "").await;
    let mut client = Client::connect(server.addr, "").await;
    for n in 0..20_u8 {
        client.send(Message::Ping(Bytes::copy_from_slice(&[n]))).await;
    }
    for n in 0..20_u8 {
        let pong = within("a pong", client.next()).await.expect("open").expect("readable");
        assert_eq!(pong, Message::Pong(Bytes::copy_from_slice(&[n])), "each is answered, in order");
    }
    for opcode in [0x89, 0x8a] {
        let mut client = Client::connect(server.addr, "").await;
        write(&mut client, &masked(opcode, b"").repeat(2_000)).await;
        let close = close_of(&mut client).await;
        assert_eq!(close, Some((1008, "too many control frames".to_owned())));
    }
    bystander.assert_alive().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pings_that_have_piled_up_are_no_flood() {
    let server = TestServer::of(Lab::default(), Limits::default()).await;
    let mut client = Client::connect(server.addr, "").await;
    // What a client that pings 60 times a second sends in a minute in which it is not read.
    write(&mut client, &masked(0x89, b"still there?").repeat(3_600)).await;
    client.send_text(r#"[null,"1","phoenix","heartbeat",{}]"#).await;
    loop {
        match within("the heartbeat's reply", client.next()).await.expect("open").expect("readable") {
            Message::Text(_) => break,
            other => assert_eq!(other, Message::Pong(Bytes::from_static(b"still there?"))),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_trickles_is_alive_by_its_frames_and_dead_without() {
    let idle_timeout = Duration::from_millis(300);
    let server = TestServer::of(Lab::default(), Limits { idle_timeout, ..Limits::default() }).await;
    let (mut framed, mut bytewise) =
        (Client::connect(server.addr, "").await, Client::connect(server.addr, "").await);
    write(&mut framed, &masked(0x01, b"[null,\"1\",\"phoenix\",")).await;
    write(&mut bytewise, b"\x81\xfe\x04\x00\0\0\0\0").await;
    let trickle = async {
        for _ in 0..15 {
            tokio::time::sleep(idle_timeout / 5).await;
            write(&mut framed, &masked(0x00, b" ")).await;
        }
        write(&mut framed, &masked(0x80, b"\"heartbeat\",{}]")).await;
        assert_eq!(framed.frame().await[1], "1");
    };
    let dribble = async {
        for _ in 0..20 {
            // Fails when the server has had enough, which is what is waited for below.
            drop(bytewise.tcp().write_all(b"x").await);
            tokio::time::sleep(idle_timeout / 5).await;
        }
        assert!(matches!(close_of(&mut bytewise).await, Some((1001, _)) | None));
    };
    tokio::join!(trickle, dribble);
}
