//! Joins, events, replies, broadcasts and ends.

use heronry_channels::{Endpoint, Limits};
use serde_json::{Value, json};

use super::room::{Journal, Lab};
use crate::support::{Client, PATIENCE, TestServer, eventually};

async fn server() -> TestServer {
    TestServer::of(Lab::default(), Limits::default()).await
}

fn reply(join_ref: &Value, reference: &str, topic: &str, status: &str, response: Value) -> Value {
    json!([join_ref, reference, topic, "phx_reply", { "status": status, "response": response }])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn joins_are_answered() {
    let server = server().await;
    let mut client = Client::connect(server.addr, "").await;
    let table = [
        ("room:lobby", "ok", json!({ "joined": "room:lobby" })),
        ("system", "ok", json!({ "joined": "system" })),
        ("room:slow-join", "ok", json!({ "joined": "room:slow-join" })),
        ("room:private", "error", json!({ "reason": "unauthorized" })),
        ("room:crash-join", "error", json!({ "reason": "join crashed" })),
        ("room:push-in-join", "error", json!({ "reason": "join crashed" })),
    ];
    for (topic, status, response) in table {
        let reference = client.push(Value::Null, topic, "phx_join", json!({})).await;
        client.expect(reply(&json!(reference), &reference, topic, status, response)).await;
    }
    for topic in ["nowhere", "ROOM:lobby", "system:x", "phoenix"] {
        let reference = client.push(Value::Null, topic, "phx_join", json!({})).await;
        let response = json!({ "reason": "unmatched topic" });
        client.expect(reply(&Value::Null, &reference, topic, "error", response)).await;
    }
    client.assert_alive().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_are_answered() {
    let server = server().await;
    let mut client = Client::connect(server.addr, "user_id=7").await;
    let join_ref = json!(client.join("room:a").await);
    let deep = json!({ "a": [1, "é\n\"", null, { "b": 1.5 }] });
    let table = [
        ("echo", deep.clone(), "ok", deep),
        ("echo", json!([1, 2]), "ok", json!([1, 2])),
        ("echo", Value::Null, "ok", Value::Null),
        ("fail", json!({}), "error", json!({ "reason": "asked" })),
        ("custom_status", json!({}), "maybe", json!({})),
        ("count", json!({}), "ok", json!({ "count": 1 })),
        ("count", json!({}), "ok", json!({ "count": 2 })),
        ("async", json!({ "late": true }), "ok", json!({ "late": true })),
    ];
    for (event, payload, status, response) in table {
        let reference = client.push(join_ref.clone(), "room:a", event, payload).await;
        client.expect(reply(&join_ref, &reference, "room:a", status, response)).await;
    }
    let reference = client.push(Value::Null, "room:a", "echo", json!({ "no": "join_ref" })).await;
    client.expect(reply(&join_ref, &reference, "room:a", "ok", json!({ "no": "join_ref" }))).await;
    client.push(json!("stale"), "room:a", "echo", json!({})).await;
    client.push(join_ref.clone(), "room:a", "quiet", json!({})).await;
    client.push(join_ref.clone(), "room:a", "push_back", json!({ "x": 1 })).await;
    client.expect(json!([join_ref, null, "room:a", "pushed", { "x": 1 }])).await;
    client.send_text(&json!([join_ref, null, "room:a", "echo", {}]).to_string()).await;
    client.expect(json!([join_ref, null, "room:a", "phx_reply", { "status": "ok", "response": {} }])).await;
    client.assert_alive().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn broadcasts_reach_the_members_in_order() {
    let server = server().await;
    let mut a = Client::connect(server.addr, "user_id=a").await;
    let mut b = Client::connect(server.addr, "").await;
    let mut elsewhere = Client::connect(server.addr, "").await;
    let join_ref = json!(a.join("room:x").await);
    let of_b = json!(b.join("room:x").await);
    elsewhere.join("room:y").await;

    let reference = a.push(join_ref.clone(), "room:x", "shout", json!({ "n": 1 })).await;
    let shout = json!([null, null, "room:x", "shout", { "n": 1 }]);
    a.expect(shout.clone()).await;
    a.expect(reply(&join_ref, &reference, "room:x", "ok", json!({}))).await;
    b.expect(shout).await;

    let reference = a.push(join_ref.clone(), "room:x", "shout_others", json!({})).await;
    a.expect(reply(&join_ref, &reference, "room:x", "ok", json!({}))).await;
    b.expect(json!([null, null, "room:x", "shout_others", {}])).await;

    a.push(join_ref.clone(), "room:x", "intercepted", json!({ "n": 2 })).await;
    b.expect(json!([of_b, null, "room:x", "intercepted", { "n": 2, "seen_by": null }])).await;
    let mut got = [a.frame().await, a.frame().await];
    got.sort_by_key(|frame| frame[3] == "phx_reply");
    assert_eq!(got[0], json!([join_ref, null, "room:x", "intercepted", { "n": 2, "seen_by": "a" }]));
    elsewhere.assert_alive().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_sent_after_the_join_comes_after_its_reply() {
    let server = server().await;
    let mut client = Client::connect(server.addr, "").await;
    let join_ref = client.join("room:welcome").await;
    client.expect(json!([join_ref, null, "room:welcome", "welcome", { "topic": "room:welcome" }])).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_channel_ends_as_its_reason_says_and_can_be_joined_again() {
    let server = server().await;
    let mut client = Client::connect(server.addr, "").await;
    let mut bystander = Client::connect(server.addr, "").await;
    bystander.join("room:a").await;
    let crash = ("phx_error", json!({ "reason": "channel_crash" }));
    let close = ("phx_close", json!({}));
    let table = [
        ("boom", None, &crash),
        ("unknown event", None, &crash),
        ("push_list", None, &crash),
        ("stop_error", None, &crash),
        ("boom_later", Some(json!({})), &crash),
        ("stop", None, &close),
        ("stop_shutdown", None, &close),
        ("stop_reply", Some(json!({ "bye": true })), &close),
        ("phx_leave", Some(json!({})), &close),
    ];
    for (event, response, (end, payload)) in table {
        let join_ref = json!(client.join("room:a").await);
        let reference = client.push(join_ref.clone(), "room:a", event, json!({})).await;
        if let Some(response) = response {
            client.expect(reply(&join_ref, &reference, "room:a", "ok", response)).await;
        }
        client.expect(json!([join_ref, join_ref, "room:a", end, payload])).await;
        let reference = client.push(join_ref.clone(), "room:a", "echo", json!({})).await;
        let response = json!({ "reason": "unmatched topic" });
        client.expect(reply(&Value::Null, &reference, "room:a", "error", response)).await;
    }
    bystander.assert_alive().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_join_replaces_the_first() {
    let server = server().await;
    let mut client = Client::connect(server.addr, "").await;
    let first = json!(client.join("room:a").await);
    client.push(first.clone(), "room:a", "count", json!({})).await;
    client.frame().await;
    let second = client.push(Value::Null, "room:a", "phx_join", json!({})).await;
    let mut got = [client.frame().await, client.frame().await];
    got.sort_by_key(|frame| frame[3] == "phx_reply");
    assert_eq!(got[0], json!([first, first, "room:a", "phx_close", {}]));
    assert_eq!(got[1], reply(&json!(second), &second, "room:a", "ok", json!({ "joined": "room:a" })));
    let reference = client.push(json!(second), "room:a", "count", json!({})).await;
    client.expect(reply(&json!(second), &reference, "room:a", "ok", json!({ "count": 1 }))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_channel_that_does_not_end_is_killed_when_a_second_join_replaces_it() {
    let limits = Limits { channel_shutdown: std::time::Duration::from_millis(50), ..Limits::default() };
    let server = TestServer::of(Lab::default(), limits).await;
    let mut client = Client::connect(server.addr, "").await;
    let first = json!(client.join("room:clings").await);
    let second = client.push(Value::Null, "room:clings", "phx_join", json!({})).await;
    client.expect(json!([first, first, "room:clings", "phx_close", {}])).await;
    client
        .expect(reply(&json!(second), &second, "room:clings", "ok", json!({ "joined": "room:clings" })))
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_join_does_not_wait_for_what_the_first_is_at() {
    let lab = Lab::default();
    let journal = lab.journal.clone();
    let limits = Limits { channel_shutdown: PATIENCE * 10, ..Limits::default() };
    let server = TestServer::of(lab, limits).await;
    let mut client = Client::connect(server.addr, "").await;
    let first = json!(client.join("room:at-it").await);
    client.push(first.clone(), "room:at-it", "stuck", json!({})).await;
    // Handled by nobody: the order to end passes it.
    client.push(first.clone(), "room:at-it", "echo", json!({})).await;
    let second = client.push(Value::Null, "room:at-it", "phx_join", json!({})).await;
    client.expect(json!([first, first, "room:at-it", "phx_close", {}])).await;
    let joined = json!({ "joined": "room:at-it" });
    client.expect(reply(&json!(second), &second, "room:at-it", "ok", joined)).await;
    assert!(journal_has(&journal, "room:at-it shutdown: duplicate join"));
    client.assert_alive().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_so_many_channels_on_a_socket() {
    let server = TestServer::of(Lab::default(), Limits { channels_max: 2, ..Limits::default() }).await;
    let mut client = Client::connect(server.addr, "").await;
    client.join("room:1").await;
    client.join("room:2").await;
    let reference = client.push(Value::Null, "room:3", "phx_join", json!({})).await;
    let response = json!({ "reason": "too many channels joined" });
    client.expect(reply(&json!(reference), &reference, "room:3", "error", response)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn channels_and_heartbeats_do_not_wait_for_a_busy_channel() {
    let server = server().await;
    let mut client = Client::connect(server.addr, "").await;
    let busy = json!(client.join("room:busy").await);
    let other = json!(client.join("room:other").await);
    client.push(busy, "room:busy", "stuck", json!({})).await;
    let reference = client.push(other.clone(), "room:other", "echo", json!({})).await;
    client.expect(reply(&other, &reference, "room:other", "ok", json!({}))).await;
    client.assert_alive().await;
}

fn journal_has(journal: &Journal, line: &str) -> bool {
    journal.lock().expect("no test panics while it holds this").iter().any(|other| other == line)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn terminate_learns_why() {
    let lab = Lab::default();
    let journal = lab.journal.clone();
    let server = TestServer::of(lab, Limits::default()).await;
    let mut client = Client::connect(server.addr, "").await;
    for (topic, event, reason) in [
        ("room:left", "phx_leave", "shutdown: left"),
        ("room:normal", "stop", "normal"),
        ("room:enough", "stop_shutdown", "shutdown: enough"),
        ("room:broken", "stop_error", "broken"),
        ("room:twice", "phx_join", "shutdown: duplicate join"),
    ] {
        let join_ref = json!(client.join(topic).await);
        let join_ref = if event == "phx_join" { Value::Null } else { join_ref };
        client.push(join_ref, topic, event, json!({})).await;
        eventually(reason, || journal_has(&journal, &format!("{topic} {reason}"))).await;
        client.frame().await;
        if event == "phx_leave" || event == "phx_join" {
            client.frame().await;
        }
    }
    client.join("room:boom").await;
    client.push(Value::Null, "room:boom", "boom", json!({})).await;
    eventually("the panic", || {
        let lines = journal.lock().expect("no test panics while it holds this");
        lines.iter().any(|line| line.starts_with("room:boom panic: boom at ") && line.contains("room.rs:"))
    })
    .await;
    client.frame().await;
    client.join("room:closed").await;
    drop(client);
    eventually("the close", || journal_has(&journal, "room:closed shutdown: closed")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_tree_shows_sockets_channels_and_their_restarts() {
    let server = server().await;
    let mut client = Client::connect(server.addr, "user_id=tree").await;
    client.join("room:tree").await;
    client.push(Value::Null, "room:tree", "boom", json!({})).await;
    client.frame().await;
    client.join("room:tree").await;
    let tree = heronry::inspect::tree().to_string();
    let lines: Vec<&str> = tree.lines().collect();
    let socket = lines.iter().position(|line| line.contains("socket user_socket:tree")).expect(&tree);
    assert!(lines[socket + 1].contains("channel room:tree"), "{tree}");
    assert!(lines[socket + 1].contains("restarts 1"), "{tree}");
    server.tree.stop().await;
    assert_eq!(client.close_code().await, Some(1012));
    assert!(!heronry::inspect::tree().to_string().contains("user_socket:tree"));
}

/// Also if the socket was about to read the event already when the broadcast came.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broadcast_comes_before_the_answer_to_what_was_sent_after_it() {
    let builder = Endpoint::builder().socket("/socket", Lab::default());
    let broadcaster = builder.broadcaster();
    let server = TestServer::start(builder).await;
    let mut client = Client::connect(server.addr, "").await;
    client.join("room:causal").await;
    for n in 0..2_000 {
        broadcaster.broadcast("room:causal", "news", json!({ "n": n })).expect("an object");
        let heartbeat = client.push(Value::Null, "phoenix", "heartbeat", json!({})).await;
        assert_eq!(client.frame().await[4]["n"], n);
        assert_eq!(client.frame().await[1], heartbeat);
    }
}
