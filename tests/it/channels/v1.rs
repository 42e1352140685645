//! The V1 protocol, and which version of a client gets which protocol.

use heronry_channels::{Limits, Serializers, SocketOptions, prelude::*};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::{Bytes, Message};

use super::room::Lab;
use crate::support::{Client, TestServer};

async fn push(client: &mut Client, topic: &str, event: &str, payload: Value, reference: &str) {
    let message = json!({ "topic": topic, "event": event, "payload": payload, "ref": reference });
    client.send_text(&message.to_string()).await;
}

fn frame(topic: &str, event: &str, payload: Value, reference: Value) -> Value {
    json!({ "topic": topic, "event": event, "payload": payload, "ref": reference })
}

fn ok(response: Value) -> Value {
    json!({ "status": "ok", "response": response })
}

/// A client of version 1.0.0 that has joined `room:a`.
async fn joined(server: &TestServer, params: &str) -> Client {
    let mut client = Client::connect(server.addr, params).await;
    push(&mut client, "room:a", "phx_join", json!({}), "1").await;
    client.expect(frame("room:a", "phx_reply", ok(json!({ "joined": "room:a" })), json!("1"))).await;
    client
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_v1_client_lives_its_life() {
    let server = TestServer::of(Lab::default(), Limits::default()).await;
    let mut client = joined(&server, "vsn=1.0.0").await;
    push(&mut client, "phoenix", "heartbeat", json!({}), "2").await;
    client.expect(frame("phoenix", "phx_reply", ok(json!({})), json!("2"))).await;
    push(&mut client, "room:a", "push_back", json!({ "n": 1 }), "3").await;
    client.expect(frame("room:a", "pushed", json!({ "n": 1 }), Value::Null)).await;
    push(&mut client, "room:a", "shout", json!({ "n": 2 }), "4").await;
    client.expect(frame("room:a", "shout", json!({ "n": 2 }), Value::Null)).await;
    client.expect(frame("room:a", "phx_reply", ok(json!({})), json!("4"))).await;
    push(&mut client, "room:b", "echo", json!({}), "5").await;
    let unmatched = json!({ "status": "error", "response": { "reason": "unmatched topic" } });
    client.expect(frame("room:b", "phx_reply", unmatched, json!("5"))).await;
    push(&mut client, "room:a", "phx_leave", json!({}), "6").await;
    client.expect(frame("room:a", "phx_reply", ok(json!({})), json!("6"))).await;
    client.expect(frame("room:a", "phx_close", json!({}), Value::Null)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_join_ref_counts_in_v1_if_it_is_there() {
    let server = TestServer::of(Lab::default(), Limits::default()).await;
    let mut client = Client::connect(server.addr, "vsn=1.0.0").await;
    let send = |event: &str, join_ref: &str, reference: &str| {
        json!({ "topic": "room:a", "event": event, "payload": {}, "ref": reference, "join_ref": join_ref })
            .to_string()
    };
    client.send_text(&send("phx_join", "7", "1")).await;
    client.expect(frame("room:a", "phx_reply", ok(json!({ "joined": "room:a" })), json!("1"))).await;
    client.send_text(&send("echo", "stale", "2")).await;
    client.send_text(&send("echo", "7", "3")).await;
    client.expect(frame("room:a", "phx_reply", ok(json!({})), json!("3"))).await;
    client.send_text(&send("boom", "7", "4")).await;
    client.expect(frame("room:a", "phx_error", json!({ "reason": "channel_crash" }), json!("7"))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_of_both_versions_hear_each_other() {
    let server = TestServer::of(Lab::default(), Limits::default()).await;
    let mut v1 = joined(&server, "vsn=1.0.3").await;
    let mut v2 = Client::connect(server.addr, "").await;
    let join_ref = json!(v2.join("room:a").await);
    push(&mut v1, "room:a", "shout", json!({ "from": "v1" }), "2").await;
    v2.expect(json!([null, null, "room:a", "shout", { "from": "v1" }])).await;
    v1.frame().await;
    v1.frame().await;
    v2.push(join_ref.clone(), "room:a", "shout", json!({ "from": "v2" })).await;
    v1.expect(frame("room:a", "shout", json!({ "from": "v2" }), Value::Null)).await;
    // Bytes reach those that can take them, and disturb nobody else.
    v2.frame().await;
    v2.frame().await;
    let binary = b"\x00\x01\x01\x06\x0519room:ashout\xff".to_vec();
    assert_eq!(join_ref, "1");
    v2.send(Message::Binary(binary.into())).await;
    let shout = v2.next().await.unwrap().unwrap();
    assert_eq!(shout, Message::Binary(Bytes::from_static(b"\x02\x06\x05room:ashout\xff")));
    push(&mut v1, "room:a", "echo", json!({}), "3").await;
    v1.expect(frame("room:a", "phx_reply", ok(json!({})), json!("3"))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_v1_message_closes_with_1011() {
    let server = TestServer::of(Lab::default(), Limits::default()).await;
    let wrong = [
        Message::text("not json"),
        Message::text(r#"["1","1","room:a","phx_join",{}]"#),
        Message::text(r#"{"topic":"room:a","event":"phx_join","payload":{}}"#),
        Message::text(r#"{"topic":"room:a","event":"phx_join","ref":"1"}"#),
        Message::binary(b"\0\x01\x01\x06\x0411room:aecho".to_vec()),
    ];
    for message in wrong {
        let mut client = Client::connect(server.addr, "vsn=1.0.0").await;
        client.send(message.clone()).await;
        assert_eq!(client.close_code().await, Some(1011), "{message:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mount_serves_the_versions_that_it_names() {
    let serializers = Serializers::none().v2();
    let options = SocketOptions { serializers, ..SocketOptions::default() };
    let server = TestServer::start(Endpoint::builder().socket_with("/socket", Lab::default(), options)).await;
    assert!(Client::try_connect(server.addr, "vsn=1.0.0").await.is_err());
    Client::connect(server.addr, "vsn=2.0.0").await.assert_alive().await;
}
