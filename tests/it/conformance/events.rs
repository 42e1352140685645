//! The events of a room, as their sender and other members see them.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use super::{joined, reply, server};
use crate::support::Client;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replies() {
    let (_server, mut client, join_ref) = joined("room:a").await;
    let deep = json!({ "a": [1, "é\n\"", null, { "b": 1.5 }] });
    let table = [
        ("echo", deep.clone(), "ok", deep),
        ("echo", json!([1, 2]), "ok", json!([1, 2])),
        ("echo", json!("text"), "ok", json!("text")),
        ("echo", Value::Null, "ok", Value::Null),
        ("ack", json!({ "x": 1 }), "ok", json!({})),
        ("fail", json!({}), "error", json!({ "reason": "asked" })),
        ("custom_status", json!({}), "maybe", json!({})),
        ("count", json!({}), "ok", json!({ "count": 1 })),
        ("count", json!({}), "ok", json!({ "count": 2 })),
        ("sleep", json!({ "ms": 5 }), "ok", json!({})),
        ("big", json!({ "n": 3 }), "ok", json!({ "data": "xxx" })),
    ];
    for (event, payload, status, response) in table {
        let reference = client.push(join_ref.clone(), "room:a", event, payload).await;
        client.expect(reply(&join_ref, &reference, "room:a", status, response)).await;
    }
    client.push(join_ref.clone(), "room:a", "quiet", json!({})).await;
    client.assert_alive().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_answer() {
    let (_server, mut client, join_ref) = joined("room:a").await;
    let n = 1_500_000;
    let reference = client.push(join_ref.clone(), "room:a", "big", json!({ "n": n })).await;
    let answer = client.frame().await;
    assert_eq!(answer[1], json!(reference));
    assert_eq!(answer[4]["response"]["data"].as_str().map(str::len), Some(n));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_from_another_task_comes_later() {
    let (_server, mut client, join_ref) = joined("room:a").await;
    let start = Instant::now();
    let late = client.push(join_ref.clone(), "room:a", "async", json!({ "n": 1 })).await;
    let soon = client.push(join_ref.clone(), "room:a", "ack", json!({})).await;
    client.expect(reply(&join_ref, &soon, "room:a", "ok", json!({}))).await;
    client.expect(reply(&join_ref, &late, "room:a", "ok", json!({ "n": 1 }))).await;
    assert!(start.elapsed() >= Duration::from_millis(50), "after {:?}", start.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_timer_of_the_channel() {
    let (_server, mut client, join_ref) = joined("room:a").await;
    let start = Instant::now();
    let tick = json!({ "ms": 80, "x": [1] });
    let reference = client.push(join_ref.clone(), "room:a", "tick", tick.clone()).await;
    client.expect(reply(&join_ref, &reference, "room:a", "ok", json!({}))).await;
    client.expect(json!([join_ref, null, "room:a", "tick", tick])).await;
    assert!(start.elapsed() >= Duration::from_millis(80), "after {:?}", start.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hibernation_keeps_the_state() {
    let (_server, mut client, join_ref) = joined("room:a").await;
    for count in 1..=2 {
        let reference = client.push(join_ref.clone(), "room:a", "count", json!({})).await;
        client.expect(reply(&join_ref, &reference, "room:a", "ok", json!({ "count": count }))).await;
        client.push(join_ref.clone(), "room:a", "hibernate", json!({})).await;
        client.expect(json!([join_ref, null, "room:a", "hibernating", {}])).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_gets_what() {
    let server = server().await;
    let mut a = Client::connect(server.addr, "user_id=a").await;
    let mut b = Client::connect(server.addr, "").await;
    let mut elsewhere = Client::connect(server.addr, "").await;
    let of_a = json!(a.join("room:x").await);
    let of_b = json!(b.join("room:x").await);
    elsewhere.join("room:y").await;

    let reference = a.push(of_a.clone(), "room:x", "shout", json!({ "n": 1 })).await;
    let shout = json!([null, null, "room:x", "shout", { "n": 1 }]);
    a.expect(shout.clone()).await;
    a.expect(reply(&of_a, &reference, "room:x", "ok", json!({}))).await;
    b.expect(shout).await;

    let reference = a.push(of_a.clone(), "room:x", "shout_others", json!({ "n": 2 })).await;
    a.expect(reply(&of_a, &reference, "room:x", "ok", json!({}))).await;
    b.expect(json!([null, null, "room:x", "shout_others", { "n": 2 }])).await;

    a.push(of_a.clone(), "room:x", "push_back", json!({ "n": 3 })).await;
    a.expect(json!([of_a, null, "room:x", "pushed", { "n": 3 }])).await;

    let reference = a.push(of_a.clone(), "room:x", "intercepted", json!({ "n": 4 })).await;
    b.expect(json!([of_b, null, "room:x", "intercepted", { "n": 4, "seen_by": null }])).await;
    let mut got = [a.frame().await, a.frame().await];
    got.sort_by_key(|frame| frame[3] == "phx_reply");
    assert_eq!(got[0], json!([of_a, null, "room:x", "intercepted", { "n": 4, "seen_by": "a" }]));
    assert_eq!(got[1], reply(&of_a, &reference, "room:x", "ok", json!({})));
    for client in [&mut a, &mut b, &mut elsewhere] {
        client.assert_alive().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_busy_channel_holds_up_nobody() {
    let (_server, mut client, join_ref) = joined("room:busy").await;
    let other = json!(client.join("room:other").await);
    let slept = client.push(join_ref.clone(), "room:busy", "sleep", json!({ "ms": 200 })).await;
    for n in 0..1_000 {
        client.push(join_ref.clone(), "room:busy", "echo", json!(n)).await;
    }
    let reference = client.push(other.clone(), "room:other", "ack", json!({})).await;
    client.expect(reply(&other, &reference, "room:other", "ok", json!({}))).await;
    client.assert_alive().await;
    client.expect(reply(&join_ref, &slept, "room:busy", "ok", json!({}))).await;
    for n in 0..1_000 {
        assert_eq!(client.frame().await[4]["response"], json!(n));
    }
}
