//! Bad input, floods and slow readers: each harms its own connection at most.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use heronry::telemetry::{self, Event};
use heronry_channels::{Limits, SocketOverloaded};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio_tungstenite::tungstenite::{Bytes, Message};

use super::room::Lab;
use crate::support::{Client, TestServer, eventually, is_alone, within};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn undecodable_frames_close_their_connection_with_1011() {
    let server = TestServer::of(Lab::default(), Limits::default()).await;
    let mut bystander = Client::connect(server.addr, "").await;
    let join_ref = json!(bystander.join("room:a").await);
    for text in ["not json", "{}", "[]", r#"["1","1","room:a","phx_join"]"#, r#"["1","1",5,"phx_join",{}]"#] {
        let mut client = Client::connect(server.addr, "").await;
        client.send_text(text).await;
        assert_eq!(client.close_code().await, Some(1011), "{text}");
    }
    for bytes in [&b""[..], b"\0\xff\0\0\0abc", b"\x09\0\0\0\0"] {
        let mut client = Client::connect(server.addr, "").await;
        client.send(Message::Binary(Bytes::copy_from_slice(bytes))).await;
        assert_eq!(client.close_code().await, Some(1011), "{bytes:?}");
    }
    let reference = bystander.push(join_ref.clone(), "room:a", "echo", json!({})).await;
    bystander
        .expect(json!([join_ref, reference, "room:a", "phx_reply", { "status": "ok", "response": {} }]))
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn text_that_is_not_utf8_closes_with_1007() {
    let server = TestServer::of(Lab::default(), Limits::default()).await;
    let mut client = Client::connect(server.addr, "").await;
    client.send_raw_text(b"[\"\xff\xfe\"]").await;
    assert_eq!(client.close_code().await, Some(1007));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_largest_frame_passes_and_a_larger_one_closes_with_1009() {
    let limits = Limits { frame_bytes_max: 10_000, ..Limits::default() };
    let server = TestServer::of(Lab::default(), limits).await;
    let mut client = Client::connect(server.addr, "").await;
    client.join("room:a").await;
    let empty = json!([null, "9", "room:a", "echo", ""]).to_string().len();
    let fits = json!([null, "9", "room:a", "echo", "x".repeat(10_000 - empty)]).to_string();
    assert_eq!(fits.len(), 10_000);
    client.send_text(&fits).await;
    assert_eq!(client.frame().await[4]["status"], "ok");
    client.send_text(&format!("{fits} ")).await;
    assert_eq!(client.close_code().await, Some(1009));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_breaks_the_websocket_protocol_is_told_1002() {
    let server = TestServer::of(Lab::default(), Limits::default()).await;
    let mut client = Client::connect(server.addr, "").await;
    // An unmasked frame.
    within("room", client.tcp().write_all(b"\x81\x02[]")).await.unwrap();
    assert_eq!(client.close_code().await, Some(1002));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silence_ends_a_connection_and_any_frame_keeps_it() {
    let idle_timeout = Duration::from_secs(1);
    let server = TestServer::of(Lab::default(), Limits { idle_timeout, ..Limits::default() }).await;
    let mut silent = Client::connect(server.addr, "").await;
    let mut talking = Client::connect(server.addr, "").await;
    let start = tokio::time::Instant::now();
    let talk = async {
        while start.elapsed() < idle_timeout * 2 {
            talking.send(Message::Ping(Bytes::new())).await;
            tokio::time::sleep(idle_timeout / 6).await;
        }
    };
    let (code, ()) = tokio::join!(silent.close_code(), talk);
    assert_eq!(code, Some(1001));
    assert!(start.elapsed() >= idle_timeout);
    talking.push(Value::Null, "phoenix", "heartbeat", json!({})).await;
    loop {
        let message = within("the heartbeat's reply", talking.next()).await;
        if matches!(message, Some(Ok(Message::Text(_)))) {
            break;
        }
        assert!(matches!(message, Some(Ok(Message::Pong(_)))), "{message:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disconnect_closes_all_sockets_of_the_id() {
    use heronry_channels::prelude::*;
    let builder = Endpoint::builder().socket("/socket", Lab::default());
    let broadcaster = builder.broadcaster();
    let server = TestServer::start(builder).await;
    let mut first = Client::connect(server.addr, "user_id=7").await;
    let mut second = Client::connect(server.addr, "user_id=7").await;
    let mut other = Client::connect(server.addr, "user_id=8").await;
    broadcaster.broadcast("user_socket:7", "anything else", Payload::empty()).unwrap();
    first.assert_alive().await;
    broadcaster.broadcast("user_socket:7", "disconnect", Payload::empty()).unwrap();
    assert_eq!(first.close_code().await, Some(1001));
    assert_eq!(second.close_code().await, Some(1001));
    other.assert_alive().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_does_not_read_is_disconnected_and_the_others_get_everything() {
    let overloaded: Arc<Mutex<Vec<usize>>> = Arc::default();
    let into = overloaded.clone();
    let handler = telemetry::attach(move |event: &dyn Event| {
        if let Some(event) = (event as &dyn std::any::Any).downcast_ref::<SocketOverloaded>() {
            into.lock().unwrap().push(event.bytes);
        }
    });
    let limits = Limits { outbound_bytes_max: 200_000, ..Limits::default() };
    let server = TestServer::of(Lab::default(), limits).await;
    let mut slow = Client::connect(server.addr, "").await;
    slow.join("room:flood").await;
    let mut reader = Client::connect(server.addr, "").await;
    let join_ref = json!(reader.join("room:flood").await);
    let body = "x".repeat(20_000);
    let mut sent = 0;
    while overloaded.lock().unwrap().is_empty() {
        assert!(sent < 5_000, "nothing was shed after 100 MB");
        reader.push(join_ref.clone(), "room:flood", "shout", json!({ "n": sent, "body": body })).await;
        let shout = reader.frame().await;
        assert_eq!((&shout[3], &shout[4]["n"]), (&json!("shout"), &json!(sent)));
        assert_eq!(reader.frame().await[3], "phx_reply");
        sent += 1;
    }
    telemetry::detach(handler);
    assert!(overloaded.lock().unwrap().iter().all(|bytes| *bytes <= 200_000));
    let code = slow.close_code().await;
    assert!(matches!(code, Some(1008) | None), "{code:?}");
    reader.assert_alive().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flooding_client_is_not_read_while_its_channel_is_busy() {
    let limits = Limits { inflight_max: 8, ..Limits::default() };
    let server = TestServer::of(Lab::default(), limits).await;
    let mut client = Client::connect(server.addr, "user_id=flood").await;
    let join_ref = json!(client.join("room:busy-flood").await);
    client.push(join_ref.clone(), "room:busy-flood", "sleep", json!({ "ms": 300 })).await;
    for n in 0..100 {
        client.push(join_ref.clone(), "room:busy-flood", "echo", json!({ "n": n })).await;
    }
    let most = AtomicUsize::new(0);
    eventually("the channel to catch up", || {
        let tree = heronry::inspect::tree();
        let channel = tree.nodes.iter().find(|node| node.label.as_str() == "channel room:busy-flood");
        let channel = channel.expect("the channel lives");
        most.fetch_max(channel.mailbox_len_max, Ordering::Relaxed);
        channel.handled >= 101
    })
    .await;
    assert!((4..=8).contains(&most.load(Ordering::Relaxed)), "{most:?} events waited");
    assert_eq!(client.frame().await[4]["response"], json!({}));
    for n in 0..100 {
        assert_eq!(client.frame().await[4]["response"]["n"], n, "none is lost and all are in order");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_breaks_off_ends_its_channels() {
    let lab = Lab::default();
    let journal = lab.journal.clone();
    let server = TestServer::of(lab, Limits::default()).await;
    let mut client = Client::connect(server.addr, "").await;
    client.join("room:gone").await;
    client.tcp().set_zero_linger().unwrap();
    drop(client);
    eventually("terminate", || journal.lock().unwrap().iter().any(|line| line.starts_with("room:gone")))
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_joined_channel_does_not_keep_the_frame_of_its_join() {
    const CHANNELS: usize = 60;
    const PAYLOAD: usize = 1_000_000;
    if !is_alone("channels::abuse::a_joined_channel_does_not_keep_the_frame_of_its_join") {
        return;
    }
    let server = TestServer::of(Lab::default(), Limits::default()).await;
    let mut client = Client::connect(server.addr, "").await;
    let before = rss_bytes();
    for n in 0..CHANNELS {
        let payload = json!({ "ballast": "x".repeat(PAYLOAD) });
        client.push(Value::Null, &format!("room:ballast-{n}"), "phx_join", payload).await;
        assert_eq!(client.frame().await[4]["status"], "ok");
    }
    let grown = rss_bytes().saturating_sub(before);
    assert!(grown < CHANNELS * PAYLOAD / 2, "{grown} bytes more after {CHANNELS} joins of {PAYLOAD} bytes");
}

fn rss_bytes() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("/proc is there");
    let kib = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("it has a VmRSS");
    kib.trim().trim_end_matches(" kB").parse::<usize>().expect("a number") * 1_024
}
