//! The end of a user's sockets, and broadcasts from outside.

use std::time::Duration;

use serde_json::{Value, json};

use super::server;
use crate::support::http::{exchange, head, status};
use crate::support::{Client, TestServer};

async fn post(server: &TestServer, path: &str, body: &str) -> String {
    let length = format!("Content-Type: application/json\r\nContent-Length: {}\r\n", body.len());
    let answer = exchange(server.addr, &(head("POST", path, &length) + body)).await;
    status(&answer).to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_sockets_of_a_user_are_closed_on_every_mount() {
    let server = server().await;
    let mut here = Client::connect(server.addr, "user_id=7").await;
    let fast = "/socket-fast/websocket?vsn=2.0.0&user_id=7";
    let (mut there, _) = Client::open(server.addr, fast, &[]).await.expect("the fast mount accepts");
    let mut other = Client::connect(server.addr, "user_id=8").await;
    assert_eq!(post(&server, "/conformance/disconnect", r#"{"user_id":"7"}"#).await, "204");
    assert_eq!(here.close_code().await, Some(1001));
    assert_eq!(there.close_code().await, Some(1001));
    other.assert_alive().await;
    let join_ref = json!(other.join("room:a").await);
    other.push(join_ref, "room:a", "disconnect_me", json!({})).await;
    assert_eq!(other.close_code().await, Some(1001));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn broadcasts_from_outside() {
    let server = server().await;
    let mut client = Client::connect(server.addr, "user_id=7").await;
    let join_ref = client.join("room:a").await;
    let fast = "/socket-fast/websocket?vsn=2.0.0";
    let (mut there, _) = Client::open(server.addr, fast, &[]).await.expect("the fast mount accepts");
    there.join("room:a").await;
    let body = r#"{"topic":"room:a","event":"news","payload":{"n":1}}"#;
    assert_eq!(post(&server, "/conformance/broadcast", body).await, "204");
    for client in [&mut client, &mut there] {
        client.expect(json!([null, null, "room:a", "news", { "n": 1 }])).await;
    }
    let body = r#"{"topic":"room:a","event":"intercepted","payload":{}}"#;
    assert_eq!(post(&server, "/conformance/broadcast", body).await, "204");
    client.expect(json!([join_ref, null, "room:a", "intercepted", { "seen_by": "7" }])).await;
    for (path, body, want) in [
        ("/conformance/broadcast", "nonsense", "400"),
        ("/conformance/broadcast", r#"{"topic":"room:a","event":"e","payload":[]}"#, "400"),
        ("/conformance/disconnect", "{}", "400"),
        ("/conformance", "{}", "404"),
        ("/socket", "{}", "404"),
    ] {
        assert_eq!(post(&server, path, body).await, want, "{path} {body}");
    }
    assert_eq!(status(&exchange(server.addr, &head("GET", "/conformance/broadcast", "")).await), "404");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_fast_mount_is_fast() {
    let server = server().await;
    let (mut client, _) = Client::open(server.addr, "/socket-fast/websocket?vsn=2.0.0", &[])
        .await
        .expect("the fast mount accepts");
    let start = tokio::time::Instant::now();
    for _ in 0..5 {
        tokio::time::sleep(Duration::from_millis(200)).await;
        client.assert_alive().await;
    }
    client.close_code().await;
    let lived = start.elapsed();
    assert!(lived > Duration::from_millis(1_500) && lived < Duration::from_millis(3_000), "lived {lived:?}");
    let (mut client, _) = Client::open(server.addr, "/socket-fast/websocket?vsn=2.0.0", &[])
        .await
        .expect("the fast mount accepts");
    let too_long = json!([Value::Null, "1", "phoenix", "heartbeat", "x".repeat(65_536)]);
    client.send_text(&too_long.to_string()).await;
    assert_eq!(client.close_code().await, Some(1009));
}
