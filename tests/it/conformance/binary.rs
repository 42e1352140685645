//! Binary payloads, byte by byte.

use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use super::{joined, reply};
use crate::support::{Client, within};

/// A client push: kind 0, four lengths, four strings, the data.
fn push(join_ref: &str, reference: &str, topic: &str, event: &str, data: &[u8]) -> Vec<u8> {
    let fields = [join_ref, reference, topic, event];
    let lengths = fields.map(|field| u8::try_from(field.len()).expect("a short field"));
    [&[0][..], &lengths, fields.concat().as_bytes(), data].concat()
}

async fn send(client: &mut Client, bytes: Vec<u8>) {
    client.send(Message::Binary(bytes.into())).await;
}

async fn expect(client: &mut Client, head: &[&[u8]], data: &[u8]) {
    let message = within("a binary frame", client.next()).await.expect("open").expect("readable");
    let want = [&head.concat(), data].concat();
    assert_eq!(message, Message::Binary(want.into()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bytes_in_and_out() {
    let (server, mut client, join_ref) = joined("room:b").await;
    let mut other = Client::connect(server.addr, "").await;
    other.join("room:b").await;
    let data: Vec<u8> = (0..=255).collect();
    let jr = join_ref.as_str().expect("a string");

    for event in ["binary", "echo"] {
        send(&mut client, push(jr, "55", "room:b", event, &data)).await;
        expect(&mut client, &[&[1, 1, 2, 6, 2], b"155room:bok"], &data).await;
    }
    send(&mut client, push(jr, "56", "room:b", "binary_len", &data)).await;
    client.expect(reply(&join_ref, "56", "room:b", "ok", json!({ "bytes": 256 }))).await;
    send(&mut client, push(jr, "57", "room:b", "binary_push", b"")).await;
    expect(&mut client, &[&[0, 1, 6, 13], b"1room:bbinary_pushed"], b"").await;
    send(&mut client, push("", "58", "room:b", "binary_shout", &data)).await;
    for client in [&mut client, &mut other] {
        expect(client, &[&[2, 6, 12], b"room:bbinary_shout"], &data).await;
    }
    client.expect(reply(&join_ref, "58", "room:b", "ok", json!({}))).await;

    send(&mut client, push("9", "59", "room:b", "binary", &data)).await;
    send(&mut client, push(jr, "60", "room:nowhere", "binary", &data)).await;
    let response = json!({ "reason": "unmatched topic" });
    client.expect(reply(&Value::Null, "60", "room:nowhere", "error", response)).await;
    client.assert_alive().await;
    other.assert_alive().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bytes_where_json_is_expected_are_a_crash() {
    let (_server, mut client, join_ref) = joined("room:b").await;
    send(&mut client, push("1", "2", "room:b", "sleep", b"{}")).await;
    client.expect(json!([join_ref, join_ref, "room:b", "phx_error", { "reason": "channel_crash" }])).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_frame_passes() {
    let (_server, mut client, join_ref) = joined("room:b").await;
    let data = vec![7; 1_499_000];
    send(&mut client, push("1", "2", "room:b", "binary_len", &data)).await;
    client.expect(reply(&join_ref, "2", "room:b", "ok", json!({ "bytes": 1_499_000 }))).await;
}
