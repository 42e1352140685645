//! Clients that poll: the requests, the windows, and the life of a session.

use std::time::Duration;

use heronry_channels::{Limits, LongPollOptions, Serializers, SocketOptions};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::poller::{Polled, json_of};
use super::room::Lab;
use crate::support::within;

const V2: &str = "vsn=2.0.0";
const NDJSON: &str = "application/x-ndjson";
const WINDOW: Duration = Duration::from_secs(10);

async fn server() -> Polled {
    Polled::start(Lab::default(), LongPollOptions::default()).await
}

fn reply(reference: &str, response: Value) -> Value {
    json!(["1", reference, "room:a", "phx_reply", { "status": "ok", "response": response }])
}

#[tokio::test(start_paused = true)]
async fn messages_are_fetched_all_at_once_and_in_order() {
    let server = server().await;
    let client = server.open(V2).await;
    client.join("room:a").await;
    for n in 0..3 {
        assert_eq!(client.send(json!(["1", n.to_string(), "room:a", "push_back", { "n": n }])).await, 200);
    }
    assert_eq!(client.send(json!(["1", "9", "room:a", "shout", {}])).await, 200);
    tokio::time::sleep(Duration::from_millis(1)).await;
    let pushed = |n| json!(["1", null, "room:a", "pushed", { "n": n }]);
    let want = vec![
        pushed(0),
        pushed(1),
        pushed(2),
        json!([null, null, "room:a", "shout", {}]),
        reply("9", json!({})),
    ];
    assert_eq!(client.poll().await, (200, want));
}

#[tokio::test(start_paused = true)]
async fn a_poll_waits_for_a_message_or_for_the_window() {
    let server = server().await;
    let client = server.open(V2).await;
    client.join("room:a").await;
    let start = Instant::now();
    assert_eq!(client.poll().await, (204, vec![]));
    assert_eq!(start.elapsed().as_secs(), WINDOW.as_secs());
    let later = async {
        tokio::time::sleep(WINDOW / 2).await;
        client.send(json!(["1", "2", "room:a", "echo", { "x": 1 }])).await
    };
    let start = Instant::now();
    let (polled, published) = tokio::join!(client.poll(), later);
    assert_eq!((polled, published), ((200, vec![reply("2", json!({ "x": 1 }))]), 200));
    assert_eq!(start.elapsed().as_secs(), WINDOW.as_secs() / 2);
}

#[tokio::test(start_paused = true)]
async fn of_two_polls_the_later_one_gets_the_messages() {
    let server = server().await;
    let client = server.open(V2).await;
    client.join("room:a").await;
    let start = Instant::now();
    let first = async { (client.poll().await, start.elapsed().as_secs()) };
    let second = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        (client.poll().await, start.elapsed().as_secs())
    };
    let send = async {
        tokio::time::sleep(Duration::from_secs(2)).await;
        client.send(json!(["1", "2", "room:a", "echo", {}])).await
    };
    let (first, second, sent) = tokio::join!(first, second, send);
    assert_eq!(sent, 200);
    assert_eq!(first, ((204, vec![]), 10));
    assert_eq!(second, ((200, vec![reply("2", json!({}))]), 2));
}

#[tokio::test(start_paused = true)]
async fn a_poll_that_is_broken_off_loses_no_message() {
    let server = server().await;
    let client = server.open(V2).await;
    client.join("room:a").await;
    let gone = tokio::time::timeout(Duration::from_secs(1), client.poll()).await;
    assert!(gone.is_err(), "{gone:?}");
    assert_eq!(client.send(json!(["1", "2", "room:a", "echo", {}])).await, 200);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(client.poll().await, (200, vec![reply("2", json!({}))]));
}

#[tokio::test(start_paused = true)]
async fn a_session_that_is_not_polled_ends_with_its_channels() {
    let lab = Lab::default();
    let journal = lab.journal.clone();
    let server = Polled::start(lab, LongPollOptions::default()).await;
    let client = server.open(V2).await;
    client.join("room:unpolled").await;
    // Publishing is no polling.
    for _ in 0..14 {
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(client.send(json!([null, "h", "phoenix", "heartbeat", {}])).await, 200);
    }
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    assert_eq!(client.send(json!([null, "h", "phoenix", "heartbeat", {}])).await, 410);
    assert!(journal.lock().unwrap().iter().any(|line| line.starts_with("room:unpolled")));
    assert_eq!(client.poll().await, (410, vec![]));
}

#[tokio::test(start_paused = true)]
async fn a_session_that_is_polled_lives() {
    let server = server().await;
    let client = server.open(V2).await;
    client.join("room:a").await;
    for _ in 0..10 {
        assert_eq!(client.poll().await, (204, vec![]));
        tokio::time::sleep(WINDOW).await;
    }
    assert_eq!(client.send(json!(["1", "2", "room:a", "echo", {}])).await, 200);
    assert_eq!(client.messages(1).await, [reply("2", json!({}))]);
}

#[tokio::test(start_paused = true)]
async fn tokens_that_are_none_open_a_session_and_publish_nothing() {
    let (server, other) = (server().await, server().await);
    let client = server.open(V2).await;
    let foreign = other.open(V2).await.token;
    let forged = format!("{}x", client.token);
    for token in ["", "nonsense", &*foreign, &*forged] {
        let answer = server.get(V2, Some(token)).await;
        assert_eq!(answer["status"], 410, "{token}");
        let headers = [("x-phoenix-longpoll-token", token)];
        let answer = json_of(server.request("POST", V2, &headers, "[]").await).await;
        assert_eq!(answer, json!({ "status": 410 }), "{token}");
    }
    assert_eq!(json_of(server.request("POST", V2, &[], "[]").await).await, json!({ "status": 410 }));
}

#[tokio::test(start_paused = true)]
async fn the_token_comes_in_the_header_or_else_in_the_param() {
    let server = server().await;
    let client = server.open(V2).await;
    let heartbeat = json!([null, "h", "phoenix", "heartbeat", {}]).to_string();
    let param = format!("token={}", client.token);
    let by_param = server.request("POST", &param, &[], heartbeat.clone()).await;
    assert_eq!(json_of(by_param).await, json!({ "status": 200 }));
    let header = [("x-phoenix-longpoll-token", &*client.token)];
    let by_header = server.request("POST", "token=bogus", &header, heartbeat.clone()).await;
    assert_eq!(json_of(by_header).await, json!({ "status": 200 }));
    let bogus_header = [("x-phoenix-longpoll-token", "bogus")];
    let header_wins = server.request("POST", &param, &bogus_header, heartbeat).await;
    assert_eq!(json_of(header_wins).await, json!({ "status": 410 }));
    assert_eq!(client.messages(2).await.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn who_is_refused_reads_403() {
    let server = server().await;
    for query in ["vsn=2.0.0&token=bad", "vsn=2.0.0&token=limited", "vsn=3.0.0", "vsn=nonsense"] {
        assert_eq!(server.get(query, None).await, json!({ "status": 403 }), "{query}");
    }
    for (origin, want) in [("http://localhost", 410), ("http://evil.test", 403), ("null", 403)] {
        let headers = [("host", "localhost"), ("origin", origin)];
        let answer = json_of(server.request("GET", V2, &headers, "").await).await;
        assert_eq!(answer["status"], want, "{origin}");
    }
    let headers = [("host", "localhost"), ("origin", "http://evil.test")];
    assert_eq!(json_of(server.request("POST", V2, &headers, "").await).await, json!({ "status": 403 }));
    assert_eq!(json_of(server.request("OPTIONS", V2, &headers, "").await).await, json!({ "status": 403 }));
}

#[tokio::test(start_paused = true)]
async fn browsers_may_ask_first_and_other_methods_mean_nothing() {
    let server = server().await;
    let asked = [("access-control-request-headers", "x-phoenix-longpoll-token,content-type")];
    let response = server.request("OPTIONS", V2, &asked, "").await;
    assert_eq!(response.status(), 200);
    let header = |name: &str| response.headers().get(name).map(|value| value.to_str().unwrap());
    assert_eq!(header("access-control-allow-headers"), Some("x-phoenix-longpoll-token,content-type"));
    assert_eq!(header("access-control-allow-methods"), Some("get, post, options"));
    assert_eq!(header("access-control-max-age"), Some("3600"));
    assert_eq!(header("access-control-allow-origin"), Some("*"));
    for method in ["PUT", "DELETE", "HEAD", "PATCH"] {
        let response = server.request(method, V2, &[], "").await;
        assert_eq!(response.status(), 400, "{method}");
        assert_eq!(response.headers()["access-control-allow-origin"], "*");
    }
}

#[tokio::test(start_paused = true)]
async fn a_batch_is_handled_in_order_with_joins_waited_for() {
    let server = server().await;
    let client = server.open(V2).await;
    // In base64: an echo_binary of the topic room:a with the bytes 1 and 2.
    let lines = [
        json!(["1", "1", "room:slow-join", "phx_join", {}]).to_string(),
        json!(["1", "2", "room:slow-join", "echo", { "n": 1 }]).to_string(),
        "AAEBDgQxM3Jvb206c2xvdy1qb2luZWNobwEC".to_owned(),
        json!(["1", "4", "room:slow-join", "echo", { "n": 2 }]).to_string(),
    ];
    let start = Instant::now();
    assert_eq!(client.publish(NDJSON, lines.join("\n")).await, 200);
    assert_eq!(start.elapsed().as_millis(), 200, "the join takes its time");
    tokio::time::sleep(Duration::from_millis(1)).await;
    let (status, messages) = client.poll().await;
    let refs: Vec<_> = messages.iter().map(|message| message[1].clone()).collect();
    assert_eq!((status, &refs[..2]), (200, &[json!("1"), json!("2")][..]));
    // The reply to the binary echo would be binary, which can't be sent to a client that polls: a crash of the channel.
    assert_eq!(messages[2], json!(["1", "1", "room:slow-join", "phx_error", { "reason": "channel_crash" }]));
}

#[tokio::test(start_paused = true)]
async fn the_lines_after_the_hundredth_are_ignored() {
    let server = server().await;
    let client = server.open(V2).await;
    client.join("room:a").await;
    let lines: Vec<_> =
        (1..=101).map(|n| json!(["1", n.to_string(), "room:a", "echo", {}]).to_string()).collect();
    assert_eq!(client.publish(NDJSON, lines.join("\n")).await, 200);
    tokio::time::sleep(Duration::from_millis(1)).await;
    let (_, messages) = client.poll().await;
    assert_eq!((messages.len(), &messages[99][1]), (100, &json!("100")));
}

#[tokio::test(start_paused = true)]
async fn a_line_that_is_neither_text_nor_base64_is_a_bad_request_and_no_more() {
    let server = server().await;
    let client = server.open(V2).await;
    let heartbeat = json!([null, "h", "phoenix", "heartbeat", {}]);
    assert_eq!(client.publish(NDJSON, format!("{heartbeat}\n*\n{heartbeat}")).await, 400);
    assert_eq!(client.messages(1).await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_is_no_message_ends_the_session_and_no_other() {
    let limits = Limits { frame_bytes_max: 1_000, ..Limits::default() };
    let options = SocketOptions { limits, ..SocketOptions::default() };
    let server = Polled::with(Lab::default(), options).await;
    let bystander = server.open(V2).await;
    bystander.join("room:a").await;
    let long = format!("[null, \"1\", \"phoenix\", \"heartbeat\", \"{}\"]", "x".repeat(1_000));
    let wrong: [(&str, Vec<u8>); 6] = [
        ("application/json", b"not json".to_vec()),
        ("application/json", b"{}".to_vec()),
        ("application/json", b"[\"\xff\"]".to_vec()),
        ("application/json", long.into_bytes()),
        (NDJSON, b"[]".to_vec()),
        (NDJSON, b"AAAA".to_vec()),
    ];
    for (content_type, body) in wrong {
        let client = server.open(V2).await;
        client.join("room:b").await;
        let shown = String::from_utf8_lossy(&body[..body.len().min(50)]).into_owned();
        assert_eq!(client.publish(content_type, body).await, 410, "{shown}");
        assert_eq!(client.poll().await, (410, vec![]), "{shown}");
    }
    assert_eq!(bystander.send(json!(["1", "2", "room:a", "echo", {}])).await, 200);
    assert_eq!(bystander.messages(1).await, [reply("2", json!({}))]);
}

#[tokio::test(start_paused = true)]
async fn a_message_that_takes_longer_than_the_window_is_408() {
    let server = Polled::start(
        Lab::default(),
        LongPollOptions { window: Duration::from_millis(100), ..LongPollOptions::default() },
    )
    .await;
    let client = server.open(V2).await;
    let start = Instant::now();
    let join = json!(["1", "1", "room:slow-join", "phx_join", {}]).to_string();
    let after = json!([null, "2", "phoenix", "heartbeat", {}]).to_string();
    let poll = async {
        loop {
            match client.poll().await {
                (204, _) => {}
                other => break other,
            }
        }
    };
    let publish =
        async { (client.publish(NDJSON, format!("{join}\n{after}")).await, start.elapsed().as_millis()) };
    let (polled, published) = tokio::join!(poll, publish);
    assert_eq!(published, (408, 100));
    // The join under way is not taken back; what followed it in the batch is not handled.
    assert_eq!(polled.1.len(), 1);
    assert_eq!((start.elapsed().as_millis(), &polled.1[0][1]), (200, &json!("1")));
    assert_eq!(client.poll().await, (204, vec![]));
}

#[tokio::test(start_paused = true)]
async fn publishes_are_handled_one_after_the_other() {
    let server = server().await;
    let client = server.open(V2).await;
    let slow = client.send(json!(["1", "1", "room:slow-join", "phx_join", {}]));
    let next = async {
        tokio::task::yield_now().await;
        client.send(json!([null, "2", "phoenix", "heartbeat", {}])).await
    };
    assert_eq!(tokio::join!(slow, next), (200, 200));
    let messages = client.messages(2).await;
    assert_eq!((&messages[0][1], &messages[1][1]), (&json!("1"), &json!("2")));
}

#[tokio::test(start_paused = true)]
async fn errors_are_replies_and_a_crash_is_told() {
    let server = server().await;
    let client = server.open(V2).await;
    assert_eq!(client.send(json!(["1", "1", "room:private", "phx_join", {}])).await, 200);
    assert_eq!(client.send(json!(["2", "2", "room:crash-join", "phx_join", {}])).await, 200);
    assert_eq!(client.send(json!(["3", "3", "nowhere", "phx_join", {}])).await, 200);
    let reasons: Vec<_> =
        client.messages(3).await.iter().map(|reply| reply[4]["response"]["reason"].clone()).collect();
    assert_eq!(reasons, ["unauthorized", "join crashed", "unmatched topic"]);
    client.join("room:a").await;
    assert_eq!(client.send(json!(["1", "5", "room:a", "boom", {}])).await, 200);
    let told = json!(["1", "1", "room:a", "phx_error", { "reason": "channel_crash" }]);
    assert_eq!(client.messages(1).await, [told]);
    client.join("room:a").await;
}

#[tokio::test(start_paused = true)]
async fn a_disconnect_ends_the_sessions_of_the_id_at_once() {
    let server = server().await;
    let first = server.open("vsn=2.0.0&user_id=7").await;
    let second = server.open("vsn=2.0.0&user_id=7").await;
    let other = server.open("vsn=2.0.0&user_id=8").await;
    first.join("room:a").await;
    let start = Instant::now();
    let disconnect = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        server.endpoint.broadcaster().broadcast(
            "user_socket:7",
            "disconnect",
            heronry_channels::Payload::empty(),
        )
    };
    // A poll that waits is answered as the next one would be: with a new session.
    let (polled, told) = tokio::join!(first.poll(), disconnect);
    told.unwrap();
    assert_eq!((polled, start.elapsed().as_secs()), ((410, vec![]), 1));
    assert_eq!(first.send(json!(["1", "2", "room:a", "echo", {}])).await, 410);
    assert_eq!(second.poll().await, (410, vec![]));
    assert_eq!(other.poll().await, (204, vec![]));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_fetches_too_little_loses_its_session() {
    for (outbound_bytes_max, messages_max) in [(4_000, 10_000), (1 << 20, 20)] {
        let limits = Limits { outbound_bytes_max, ..Limits::default() };
        let long_poll = LongPollOptions { messages_max, ..LongPollOptions::default() };
        let options = SocketOptions { limits, long_poll, ..SocketOptions::default() };
        let server = Polled::with(Lab::default(), options).await;
        let client = server.open(V2).await;
        client.join("room:a").await;
        let mut status = 200;
        let mut sent = 0;
        while status == 200 {
            sent += 1;
            assert!(sent < 100, "nothing was shed");
            status = client.send(json!(["1", "2", "room:a", "push_back", { "body": "x".repeat(50) }])).await;
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert_eq!(status, 410);
        assert!(sent > 15, "{sent}");
    }
}

#[tokio::test(start_paused = true)]
async fn only_so_many_sessions() {
    let long_poll = LongPollOptions { sessions_max: 2, ..LongPollOptions::default() };
    let server = Polled::start(Lab::default(), long_poll).await;
    let (_first, second) = (server.open(V2).await, server.open(V2).await);
    assert_eq!(server.get(V2, None).await, json!({ "status": 500 }));
    assert_eq!(second.poll().await, (204, vec![]));
    tokio::time::sleep(WINDOW / 2 + Duration::from_millis(1)).await;
    server.open(V2).await;
}

/// Whether the channel of a topic lives. The table of processes is that of all tests, so each has a topic of its own.
fn lives(topic: &str) -> bool {
    let label = format!("channel {topic}");
    heronry::inspect::tree().nodes.iter().any(|node| node.label.as_str() == label)
}

#[tokio::test(start_paused = true)]
async fn a_channel_that_does_not_end_is_killed_when_a_second_join_replaces_it() {
    let server = server().await;
    let client = server.open(V2).await;
    client.join("room:clings-poll").await;
    let start = Instant::now();
    assert_eq!(client.send(json!(["3", "3", "room:clings-poll", "phx_join", {}])).await, 200);
    assert_eq!(start.elapsed().as_secs(), 5, "the join is handled when the old channel is gone");
    let (_, messages) = client.poll().await;
    assert_eq!(messages[0], json!(["1", "1", "room:clings-poll", "phx_close", {}]));
    assert_eq!((&messages[1][0], &messages[1][4]["status"]), (&json!("3"), &json!("ok")));
}

#[tokio::test(start_paused = true)]
async fn a_stuck_channel_is_killed_some_time_after_its_session_has_ended() {
    let server = server().await;
    let client = server.open(V2).await;
    client.join("room:stuck-end").await;
    assert_eq!(client.send(json!(["1", "2", "room:stuck-end", "stuck", {}])).await, 200);
    tokio::time::sleep(WINDOW * 3 / 2 + Duration::from_secs(4)).await;
    assert_eq!(client.send(json!([null, "h", "phoenix", "heartbeat", {}])).await, 410);
    assert!(lives("room:stuck-end"), "it has five seconds");
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(!lives("room:stuck-end"));
}

#[tokio::test(start_paused = true)]
async fn a_body_over_the_limit_is_413_and_the_session_lives() {
    let long_poll = LongPollOptions { body_bytes_max: 100, ..LongPollOptions::default() };
    let server = Polled::start(Lab::default(), long_poll).await;
    let client = server.open(V2).await;
    assert_eq!(client.publish(NDJSON, "x".repeat(101)).await, 413);
    assert_eq!(client.send(json!([null, "h", "phoenix", "heartbeat", {}])).await, 200);
}

#[tokio::test(start_paused = true)]
async fn v1_clients_poll_too() {
    let server = server().await;
    let client = server.open("").await;
    let join = json!({ "topic": "room:a", "event": "phx_join", "payload": {}, "ref": "1" });
    assert_eq!(client.send(join).await, 200);
    let reply = json!({ "topic": "room:a", "event": "phx_reply", "ref": "1",
        "payload": { "status": "ok", "response": { "joined": "room:a" } } });
    assert_eq!(client.messages(1).await, [reply]);
}

#[tokio::test(start_paused = true)]
async fn a_mount_without_it_has_no_such_path() {
    let long_poll = LongPollOptions { enabled: false, ..LongPollOptions::default() };
    let server = Polled::start(Lab::default(), long_poll).await;
    assert_eq!(server.request("GET", V2, &[], "").await.status(), 404);
    let none = SocketOptions { serializers: Serializers::none(), ..SocketOptions::default() };
    let server = Polled::with(Lab::default(), none).await;
    assert_eq!(server.get(V2, None).await, json!({ "status": 403 }));
}

#[tokio::test(start_paused = true)]
async fn sessions_end_with_their_endpoint() {
    let lab = Lab::default();
    let journal = lab.journal.clone();
    let server = Polled::start(lab, LongPollOptions::default()).await;
    let client = server.open(V2).await;
    client.join("room:stopped").await;
    let stop = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        server.tree.stop().await;
    };
    let (answer, ()) = tokio::join!(server.get(V2, Some(&client.token)), stop);
    assert_eq!(answer, json!({ "status": 500 }), "at which clients try again");
    assert_eq!(*journal.lock().unwrap(), ["room:stopped shutdown: draining"]);
}

/// Over a network, as browsers do it.
mod wire {
    use heronry_channels::prelude::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    use super::*;
    use crate::support::{TestServer, eventually};

    /// One request on a connection that is kept; the body of the answer.
    async fn exchange(tcp: &mut TcpStream, method: &str, token: Option<&str>, body: &str) -> Value {
        ask(tcp, method, token, body).await;
        let mut answer = Vec::new();
        within("the answer", async {
            loop {
                tcp.read_buf(&mut answer).await.expect("readable");
                let text = String::from_utf8_lossy(&answer);
                let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
                let length =
                    head.lines().find_map(|line| line.strip_prefix("content-length: ")).expect("a length");
                if body.len() == length.parse::<usize>().expect("a number") {
                    return serde_json::from_str(body).expect("JSON");
                }
            }
        })
        .await
    }

    async fn ask(tcp: &mut TcpStream, method: &str, token: Option<&str>, body: &str) {
        let token = token.map(|token| format!("X-Phoenix-Longpoll-Token: {token}\r\n")).unwrap_or_default();
        let length = body.len();
        let request = format!(
            "{method} /socket/longpoll?{V2} HTTP/1.1\r\nHost: localhost\r\n{token}Content-Length: {length}\r\n\r\n{body}"
        );
        tcp.write_all(request.as_bytes()).await.expect("the server takes a request");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_client_whose_connection_breaks_off_gets_its_messages_on_the_next() {
        let server = TestServer::start(Endpoint::builder().socket("/socket", Lab::default())).await;
        let mut publishing = TcpStream::connect(server.addr).await.unwrap();
        let opened = exchange(&mut publishing, "GET", None, "").await;
        let token = opened["token"].as_str();
        let join = json!(["1", "1", "room:a", "phx_join", {}]).to_string();
        assert_eq!(exchange(&mut publishing, "POST", token, &join).await["status"], 200);
        let mut polling = TcpStream::connect(server.addr).await.unwrap();
        assert_eq!(exchange(&mut polling, "GET", token, "").await["status"], 200);
        let connection = format!("http {}", polling.local_addr().unwrap());
        let lives = || heronry::inspect::tree().nodes.iter().any(|node| node.label.as_str() == connection);
        assert!(lives());
        ask(&mut polling, "GET", token, "").await;
        drop(polling);
        eventually("the server to notice", || !lives()).await;
        let echo = json!(["1", "2", "room:a", "echo", {}]).to_string();
        assert_eq!(exchange(&mut publishing, "POST", token, &echo).await["status"], 200);
        let answer = exchange(&mut publishing, "GET", token, "").await;
        let frame = answer["messages"][0].as_str().expect("a message");
        assert_eq!(serde_json::from_str::<Value>(frame).unwrap(), reply("2", json!({})));
    }
}
