//! Joins and leaves.

use serde_json::{Value, json};

use super::{joined, reply, server};
use crate::support::{Client, within};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn topics() {
    let server = server().await;
    let mut client = Client::connect(server.addr, "").await;
    let table = [
        ("room:lobby", "ok", json!({ "joined": "room:lobby" })),
        ("room:", "ok", json!({ "joined": "room:" })),
        ("room:ü \"quoted\"", "ok", json!({ "joined": "room:ü \"quoted\"" })),
        ("room:slow-join", "ok", json!({ "joined": "room:slow-join" })),
        ("room:no-reply", "ok", json!({})),
        ("system", "ok", json!({})),
        ("room:private", "error", json!({ "reason": "unauthorized" })),
        ("room:crash-join", "error", json!({ "reason": "join crashed" })),
    ];
    for (topic, status, response) in table {
        let reference = client.push(Value::Null, topic, "phx_join", json!({})).await;
        client.expect(reply(&json!(reference), &reference, topic, status, response)).await;
    }
    for topic in ["nowhere", "room", "ROOM:lobby", "Room:lobby", "system:x", "System", "phoenix", ""] {
        let reference = client.push(Value::Null, topic, "phx_join", json!({})).await;
        let response = json!({ "reason": "unmatched topic" });
        client.expect(reply(&Value::Null, &reference, topic, "error", response)).await;
    }
    client.assert_alive().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_follows_the_join_comes_after_its_reply() {
    let (_server, mut client, join_ref) = joined("room:welcome").await;
    client.expect(json!([join_ref, null, "room:welcome", "welcome", { "topic": "room:welcome" }])).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_join_holds_up_its_own_socket_alone() {
    let server = server().await;
    let mut slow = Client::connect(server.addr, "").await;
    let mut other = Client::connect(server.addr, "").await;
    let join_ref = slow.push(Value::Null, "room:slow-join", "phx_join", json!({})).await;
    let started = tokio::time::Instant::now();
    other.assert_alive().await;
    assert!(started.elapsed() < std::time::Duration::from_millis(150), "the other socket waited");
    let joined = json!({ "joined": "room:slow-join" });
    slow.expect(reply(&json!(join_ref), &join_ref, "room:slow-join", "ok", joined)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_channel_too_many() {
    let server = server().await;
    let mut client = Client::connect(server.addr, "").await;
    for n in 0..100 {
        client.join(&format!("room:{n}")).await;
    }
    let reference = client.push(Value::Null, "room:100", "phx_join", json!({})).await;
    let response = json!({ "reason": "too many channels joined" });
    client.expect(reply(&json!(reference), &reference, "room:100", "error", response)).await;
    let reference = client.push(Value::Null, "room:0", "phx_leave", json!({})).await;
    client.expect(reply(&json!("1"), &reference, "room:0", "ok", json!({}))).await;
    client.expect(json!(["1", "1", "room:0", "phx_close", {}])).await;
    client.join("room:100").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leaves() {
    let (_server, mut client, join_ref) = joined("room:a").await;
    client.send_text(&json!(["stale", "7", "room:a", "phx_leave", {}]).to_string()).await;
    let reference = client.push(join_ref.clone(), "room:a", "phx_leave", json!({})).await;
    client.expect(reply(&join_ref, &reference, "room:a", "ok", json!({}))).await;
    client.expect(json!([join_ref, join_ref, "room:a", "phx_close", {}])).await;
    client.send_text(&json!(["9", "8", "room:never", "phx_leave", {}]).to_string()).await;
    client.expect(reply(&json!("9"), "8", "room:never", "ok", json!({}))).await;
    let reference = client.push(join_ref, "room:a", "echo", json!({})).await;
    let response = json!({ "reason": "unmatched topic" });
    client.expect(reply(&Value::Null, &reference, "room:a", "error", response)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_join_starts_afresh() {
    let (_server, mut client, first) = joined("room:a").await;
    let reference = client.push(first.clone(), "room:a", "count", json!({})).await;
    client.expect(reply(&first, &reference, "room:a", "ok", json!({ "count": 1 }))).await;
    let second = client.push(Value::Null, "room:a", "phx_join", json!({})).await;
    let mut got = [client.frame().await, client.frame().await];
    got.sort_by_key(|frame| frame[3] == "phx_reply");
    assert_eq!(got[0], json!([first, first, "room:a", "phx_close", {}]));
    assert_eq!(got[1], reply(&json!(second), &second, "room:a", "ok", json!({ "joined": "room:a" })));
    client.push(first, "room:a", "count", json!({})).await;
    let reference = client.push(json!(second), "room:a", "count", json!({})).await;
    client.expect(reply(&json!(second), &reference, "room:a", "ok", json!({ "count": 1 }))).await;
    within("the other frames", client.assert_alive()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn references_may_be_numbers() {
    let server = server().await;
    let mut client = Client::connect(server.addr, "").await;
    client.send_text(r#"[1,1,"room:a","phx_join",{}]"#).await;
    let joined = json!({ "status": "ok", "response": { "joined": "room:a" } });
    client.expect(json!([1, 1, "room:a", "phx_reply", joined])).await;
    // Another join_ref than that of the join.
    client.send_text(r#"["1",2,"room:a","count",{}]"#).await;
    client.send_text(r#"[1,3,"room:a","count",{}]"#).await;
    let counted = json!({ "status": "ok", "response": { "count": 1 } });
    client.expect(json!([1, 3, "room:a", "phx_reply", counted])).await;
    client.send_text(r#"[1,4,"room:a","push_back",{}]"#).await;
    client.expect(json!([1, null, "room:a", "pushed", {}])).await;
    client.send_text(r#"[1,5,"room:a","stop",{}]"#).await;
    client.expect(json!([1, 1, "room:a", "phx_close", {}])).await;
}
