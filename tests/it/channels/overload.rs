//! Clients that read more slowly than their topics speak: bounded by bytes and by age, shed as their mount says, and
//! nobody else notices.

use std::any::Any;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use heronry::telemetry::{self, Event, HandlerId};
use heronry_channels::prelude::*;
use heronry_channels::{
    Broadcaster, CheckOrigin, Conflation, Limits, Overload, SocketOptions, SocketOverloaded, SocketShed,
};
use serde_json::{Value, json};
use tokio::net::TcpSocket;
use tokio_tungstenite::tungstenite::{Bytes, Message};

use super::room::Lab;
use crate::support::{Client, TestServer, eventually, within};

const TOPIC: &str = "room:flood";

/// What is sent in each test: more than all kernel buffers on the way hold.
const FLOOD: u64 = 800;
const BODY_BYTES: usize = 20_000;

/// What sockets of this test reported; other tests run beside it, so it is told by pid.
#[derive(Default)]
struct Reports {
    shed: Vec<(heronry::Pid, u64, u64)>,
    overloaded: Vec<(heronry::Pid, usize, Option<Duration>)>,
}

struct Watch {
    reports: Arc<Mutex<Reports>>,
    handler: HandlerId,
}

impl Watch {
    fn new() -> Self {
        let reports: Arc<Mutex<Reports>> = Arc::default();
        let into = reports.clone();
        let handler = telemetry::attach(move |event: &dyn Event| {
            let event = event as &dyn Any;
            let mut reports = into.lock().expect("no test panics while it holds this");
            if let Some(shed) = event.downcast_ref::<SocketShed>() {
                reports.shed.push((shed.pid, shed.dropped, shed.conflated));
            } else if let Some(over) = event.downcast_ref::<SocketOverloaded>() {
                reports.overloaded.push((over.pid, over.bytes, over.age));
            }
        });
        Self { reports, handler }
    }

    /// (dropped, conflated, reports) of a socket.
    fn shed(&self, pid: heronry::Pid) -> (u64, u64, usize) {
        let reports = self.reports.lock().expect("no test panics while it holds this");
        let of_pid = reports.shed.iter().filter(|report| report.0 == pid);
        of_pid.fold((0, 0, 0), |sum, report| (sum.0 + report.1, sum.1 + report.2, sum.2 + 1))
    }

    fn overloaded(&self, pid: heronry::Pid) -> Option<(usize, Option<Duration>)> {
        let reports = self.reports.lock().expect("no test panics while it holds this");
        reports.overloaded.iter().find(|report| report.0 == pid).map(|report| (report.1, report.2))
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        telemetry::detach(self.handler);
    }
}

async fn server(limits: Limits, overload: Overload) -> (TestServer, Broadcaster) {
    let options =
        SocketOptions { limits, overload, check_origin: CheckOrigin::Off, ..SocketOptions::default() };
    let builder = Endpoint::builder().socket_with("/socket", Lab::default(), options);
    let broadcaster = builder.broadcaster();
    (TestServer::start(builder).await, broadcaster)
}

/// A member of the topic whose kernel holds little, with the pid of its socket.
async fn slow_member(addr: SocketAddr, name: &str) -> (Client, heronry::Pid) {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_recv_buffer_size(16 << 10).expect("a small buffer");
    let tcp = socket.connect(addr).await.expect("the server listens");
    let mut client = Client::over(tcp, &format!("user_id={name}")).await.expect("it is accepted");
    client.join(TOPIC).await;
    let label = format!("socket user_socket:{name}");
    let tree = heronry::inspect::tree();
    let socket = tree.nodes.iter().find(|node| node.label.as_str() == label).expect("its process");
    (client, socket.pid)
}

/// Sends the flood, and a reader has every message of it; what waits for anybody else does not hold it up.
async fn flood(addr: SocketAddr, broadcaster: &Broadcaster, keys: u64) {
    let mut reader = Client::connect(addr, "").await;
    reader.join(TOPIC).await;
    let body = "x".repeat(BODY_BYTES);
    for n in 0..FLOOD {
        let payload = json!({ "n": n, "key": n % keys, "body": body });
        broadcaster.broadcast(TOPIC, "price", payload).expect("an object");
        assert_eq!(reader.frame().await[4]["n"], n);
    }
    reader.assert_alive().await;
}

/// Reads broadcasts up to the reply to a heartbeat that was sent after all of them: their numbers.
async fn numbers(client: &mut Client) -> Vec<u64> {
    let heartbeat = client.push(Value::Null, "phoenix", "heartbeat", json!({})).await;
    let mut numbers = Vec::new();
    loop {
        let frame = client.frame().await;
        match frame[3].as_str() {
            Some("price") => numbers.push(frame[4]["n"].as_u64().expect("a number")),
            _ if frame[1] == heartbeat => return numbers,
            other => panic!("not sent: {other:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_waits_only_so_long_for_a_client() {
    let age_max = Duration::from_millis(500);
    let limits = Limits { outbound_bytes_max: 1 << 30, outbound_age_max: age_max, ..Limits::default() };
    let (server, broadcaster) = server(limits, Overload::Disconnect).await;
    let watch = Watch::new();
    let (mut slow, pid) = slow_member(server.addr, "aged").await;
    let start = tokio::time::Instant::now();
    flood(server.addr, &broadcaster, 1).await;
    eventually("the slow one to be disconnected", || watch.overloaded(pid).is_some()).await;
    let (bytes, age) = watch.overloaded(pid).expect("it was seen");
    assert!(bytes < 1 << 30, "it was not the bytes");
    let age = age.expect("it was the age");
    assert!(age >= age_max && age <= start.elapsed(), "{age:?}");
    let code = slow.close_code().await;
    assert!(matches!(code, Some(1008) | None), "{code:?}");
}

/// Nothing that a client sends is read while it is behind; that it takes what waits for it shows that it is there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_never_catches_up_but_reads_is_not_silent() {
    // Some times as long as the kernel takes to find room worth telling of: a third of its buffer.
    let idle_timeout = Duration::from_secs(1);
    // And more waits than the kernel ever finds room for at once, so that the queue is never empty.
    let limits = Limits { outbound_bytes_max: 16 << 20, idle_timeout, ..Limits::default() };
    let (server, broadcaster) = server(limits, Overload::DropNewest).await;
    let watch = Watch::new();
    let (mut slow, pid) = slow_member(server.addr, "steady").await;
    let flood = tokio::spawn(async move {
        let body = "x".repeat(BODY_BYTES);
        for n in 0.. {
            for _ in 0..4 {
                broadcaster.broadcast(TOPIC, "price", json!({ "n": n, "body": body })).expect("an object");
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    });
    let mut behind_since = None;
    for turn in 0.. {
        if turn % 50 == 0 {
            slow.send(Message::Ping(Bytes::new())).await;
        }
        let message = within("a frame", slow.next()).await.expect("open").expect("readable");
        assert!(!message.is_close(), "{message:?}");
        tokio::time::sleep(Duration::from_millis(2)).await;
        let now = tokio::time::Instant::now();
        if behind_since.is_none() && watch.shed(pid).0 > 0 {
            behind_since = Some(now);
        }
        if behind_since.is_some_and(|since| now > since + 3 * idle_timeout) {
            break;
        }
    }
    flood.abort();
    assert_eq!(watch.overloaded(pid), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn drop_newest_keeps_what_waits_and_drops_what_comes() {
    let limits = Limits { outbound_bytes_max: 200_000, ..Limits::default() };
    let (server, broadcaster) = server(limits, Overload::DropNewest).await;
    let watch = Watch::new();
    let (mut slow, pid) = slow_member(server.addr, "dropping").await;
    for _ in 0..30 {
        slow.push(Value::Null, TOPIC, "echo", json!({ "reply": true })).await;
    }
    for n in 1..=30 {
        assert_eq!(slow.frame().await[1], (n + 1).to_string());
    }
    flood(server.addr, &broadcaster, 1).await;
    eventually("the first report", || watch.shed(pid).0 > 0).await;
    let got = numbers(&mut slow).await;
    assert!((1..FLOOD).contains(&(got.len() as u64)), "{} came", got.len());
    assert_eq!(got, (0..got.len() as u64).collect::<Vec<_>>(), "what waited came, in order");
    // From now on it reads, and gets everything again.
    broadcaster.broadcast(TOPIC, "price", json!({ "n": 9_999 })).expect("an object");
    assert_eq!(numbers(&mut slow).await, [9_999]);
    let accounted = || watch.shed(pid).0 + got.len() as u64 == FLOOD;
    eventually("every message to be accounted for", accounted).await;
    let (_, conflated, reports) = watch.shed(pid);
    assert!(conflated == 0 && reports < 20, "{reports} reports");
    assert_eq!(watch.overloaded(pid), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn drop_newest_also_goes_by_age_and_never_drops_a_reply() {
    let limits = Limits {
        outbound_bytes_max: 1 << 30,
        outbound_age_max: Duration::from_millis(300),
        ..Limits::default()
    };
    let (server, broadcaster) = server(limits, Overload::DropNewest).await;
    let watch = Watch::new();
    let (mut slow, pid) = slow_member(server.addr, "stalled").await;
    // Replies that come while the client is behind: they are waited for by reference.
    let mut awaited = Vec::new();
    for _ in 0..20 {
        awaited.push(slow.push(Value::Null, TOPIC, "sleep", json!({ "ms": 50 })).await);
    }
    flood(server.addr, &broadcaster, 1).await;
    eventually("something to be too old", || {
        broadcaster.broadcast(TOPIC, "price", json!({ "n": 5_000 })).expect("an object");
        watch.shed(pid).0 > 0
    })
    .await;
    while !awaited.is_empty() {
        let frame = slow.frame().await;
        if frame[3] == "phx_reply" {
            assert_eq!(frame[1], awaited.remove(0));
        }
    }
    numbers(&mut slow).await;
    broadcaster.broadcast(TOPIC, "price", json!({ "n": 9_999 })).expect("an object");
    assert_eq!(numbers(&mut slow).await, [9_999], "caught up, it gets everything again");
    assert_eq!(watch.overloaded(pid), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn conflation_leaves_the_newest_of_each_key_in_order() {
    const KEYS: u64 = 7;
    let limits = Limits { outbound_bytes_max: 400_000, ..Limits::default() };
    let overload = Overload::ConflateByKey(Conflation::new().by_key("price", "key"));
    let (server, broadcaster) = server(limits, overload).await;
    let watch = Watch::new();
    let (mut slow, pid) = slow_member(server.addr, "conflating").await;
    flood(server.addr, &broadcaster, KEYS).await;
    let got = numbers(&mut slow).await;
    assert!((got.len() as u64) < FLOOD, "nothing was conflated");
    assert!(got.is_sorted() && got.windows(2).all(|pair| pair[0] != pair[1]), "in the order of sending");
    for key in 0..KEYS {
        let newest = (0..FLOOD).rev().find(|n| n % KEYS == key);
        assert_eq!(got.iter().rev().find(|n| **n % KEYS == key).copied(), newest, "the newest of {key}");
    }
    eventually("every message to be accounted for", || watch.shed(pid).1 + got.len() as u64 == FLOOD).await;
    assert_eq!((watch.shed(pid).0, watch.overloaded(pid)), (0, None));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_declared_is_not_conflated() {
    let limits = Limits { outbound_bytes_max: 200_000, ..Limits::default() };
    let overload = Overload::ConflateByKey(Conflation::new().by_topic("viewers"));
    let (server, broadcaster) = server(limits, overload).await;
    let watch = Watch::new();
    let (mut slow, pid) = slow_member(server.addr, "undeclared").await;
    flood(server.addr, &broadcaster, 1).await;
    eventually("the slow one to be disconnected", || watch.overloaded(pid).is_some()).await;
    let (bytes, age) = watch.overloaded(pid).expect("it was seen");
    assert!(bytes <= 200_000 && age.is_none(), "{bytes} {age:?}");
    let code = slow.close_code().await;
    assert!(matches!(code, Some(1008) | None), "{code:?}");
}

/// On one thread a burst goes to a socket that has had no chance to take any of it.
#[tokio::test]
async fn a_burst_of_one_key_waits_as_one_message() {
    let limits = Limits { outbound_bytes_max: 10_000, ..Limits::default() };
    let overload = Overload::ConflateByKey(Conflation::new().by_topic("price"));
    let (server, broadcaster) = server(limits, overload).await;
    let mut client = Client::connect(server.addr, "").await;
    client.join(TOPIC).await;
    for n in 0..150_000 {
        broadcaster.broadcast(TOPIC, "price", json!({ "n": n })).expect("an object");
    }
    assert_eq!(within("the newest", client.frame()).await[4]["n"], 149_999);
    client.assert_alive().await;
}

/// Larger than all kernel buffers on the way.
const HUGE_BYTES: usize = 12 << 20;

/// A member that does not read, and has been sent a part of a huge frame; its payload.
async fn amid_frame(name: &str) -> (TestServer, Broadcaster, Client, Value) {
    let limits = Limits { outbound_bytes_max: 1 << 30, ..Limits::default() };
    let (server, broadcaster) = server(limits, Overload::Disconnect).await;
    let (mut client, _) = slow_member(server.addr, name).await;
    let payload = json!({ "n": 0, "body": "x".repeat(HUGE_BYTES) });
    broadcaster.broadcast(TOPIC, "price", payload.clone()).expect("an object");
    within("the first byte", client.tcp().peek(&mut [0])).await.expect("the connection is open");
    (server, broadcaster, client, payload)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_comes_between_two_parts_of_a_frame() {
    let (_server, broadcaster, mut client, payload) = amid_frame("amid_pong").await;
    client.send(Message::Ping(Bytes::from_static(b"?"))).await;
    broadcaster.broadcast(TOPIC, "price", json!({ "n": 1 })).expect("an object");
    let heartbeat = client.push(Value::Null, "phoenix", "heartbeat", json!({})).await;
    let huge = client.frame().await;
    assert!(huge[4] == payload, "it is whole");
    assert_eq!(client.frame().await[4], json!({ "n": 1 }));
    let pong = within("the pong", client.next()).await.expect("the connection is open");
    assert_eq!(pong.expect("a readable frame"), Message::Pong(Bytes::from_static(b"?")));
    assert_eq!(client.frame().await[1], heartbeat);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frame_is_finished_before_the_close() {
    let (_server, broadcaster, mut client, payload) = amid_frame("amid_close").await;
    broadcaster.broadcast(TOPIC, "price", json!({ "n": 1 })).expect("an object");
    broadcaster.broadcast("user_socket:amid_close", "disconnect", json!({})).expect("an object");
    let huge = client.frame().await;
    assert!(huge[4] == payload, "it is whole");
    assert_eq!(client.close_code().await, Some(1001));
}

/// As in Phoenix, where the socket's process handles the one after the other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_broadcast_before_the_disconnect_arrives_before_the_close() {
    let (server, broadcaster) = server(Limits::default(), Overload::Disconnect).await;
    let mut client = Client::connect(server.addr, "user_id=last_words").await;
    client.join(TOPIC).await;
    for n in 0..100 {
        broadcaster.broadcast(TOPIC, "price", json!({ "n": n })).expect("an object");
    }
    broadcaster.broadcast("user_socket:last_words", "disconnect", json!({})).expect("an object");
    for n in 0..100 {
        assert_eq!(client.frame().await[4], json!({ "n": n }));
    }
    assert_eq!(client.close_code().await, Some(1001));
}
