//! How channels end, and what remains.

use serde_json::{Value, json};

use super::{joined, reply, server};
use crate::support::Client;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_end_is_told_and_the_topic_can_be_joined_again() {
    let server = server().await;
    let mut client = Client::connect(server.addr, "").await;
    let mut bystander = Client::connect(server.addr, "").await;
    bystander.join("room:a").await;
    client.join("room:b").await;
    let crash = ("phx_error", json!({ "reason": "channel_crash" }));
    let close = ("phx_close", json!({}));
    let table = [
        ("boom", json!({}), None, &crash),
        ("bad_return", json!({}), None, &crash),
        ("no such event", json!({}), None, &crash),
        ("stop_error", json!({}), None, &crash),
        ("disconnect_me", json!({}), None, &crash),
        ("shout", json!([1]), None, &crash),
        ("push_back", json!("text"), None, &crash),
        ("sleep", json!({}), None, &crash),
        ("binary", json!({}), None, &crash),
        ("binary_len", json!({}), None, &crash),
        ("boom_later", json!({}), Some(json!({})), &crash),
        ("stop", json!({}), None, &close),
        ("stop_shutdown", json!({}), None, &close),
        ("stop_reply", json!({}), Some(json!({ "bye": true })), &close),
    ];
    for (event, payload, response, (end, told)) in table {
        let join_ref = json!(client.join("room:a").await);
        let reference = client.push(join_ref.clone(), "room:a", "count", json!({})).await;
        client.expect(reply(&join_ref, &reference, "room:a", "ok", json!({ "count": 1 }))).await;
        let reference = client.push(join_ref.clone(), "room:a", event, payload).await;
        if let Some(response) = response {
            client.expect(reply(&join_ref, &reference, "room:a", "ok", response)).await;
        }
        client.expect(json!([join_ref, join_ref, "room:a", end, told])).await;
        let reference = client.push(join_ref, "room:a", "echo", json!({})).await;
        let response = json!({ "reason": "unmatched topic" });
        client.expect(reply(&Value::Null, &reference, "room:a", "error", response)).await;
    }
    client.assert_alive().await;
    bystander.assert_alive().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_storm_of_crashes_disturbs_nobody() {
    let (server, mut bystander, join_ref) = joined("room:a").await;
    let mut client = Client::connect(server.addr, "").await;
    for _ in 0..200 {
        let join_ref = json!(client.join("room:a").await);
        client.push(join_ref.clone(), "room:a", "boom", json!({})).await;
        client
            .expect(json!([join_ref, join_ref, "room:a", "phx_error", { "reason": "channel_crash" }]))
            .await;
    }
    let reference = bystander.push(join_ref.clone(), "room:a", "count", json!({})).await;
    bystander.expect(reply(&join_ref, &reference, "room:a", "ok", json!({ "count": 1 }))).await;
}
