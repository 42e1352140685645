//! Drain: nobody is cut off, clients are told in rounds, channels hear why, and nothing new is let in.

use std::any::Any;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use heronry::telemetry::{self, Event};
use heronry_channels::http::{Method, Response};
use heronry_channels::prelude::*;
use heronry_channels::{Body, Drainer, SocketDrain};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite;

use super::room::{Journal, Lab};
use crate::support::{Client, TestServer, eventually, within};

struct Served {
    endpoint: Endpoint,
    server: TestServer,
    journal: Journal,
    /// Lets `/slow` answer.
    go: Arc<Notify>,
}

async fn serve(drainer: impl Into<Option<Drainer>>) -> Served {
    let (journal, go) = (Journal::default(), Arc::new(Notify::new()));
    let waits = go.clone();
    let endpoint = Endpoint::builder()
        .socket("/socket", Lab { journal: journal.clone() })
        .route(Method::GET, "/slow", move |_| {
            let waits = waits.clone();
            async move {
                waits.notified().await;
                Response::new(Body::from("slow"))
            }
        })
        .drainer(drainer)
        .build()
        .expect("it is described right");
    let bound = endpoint.bind(SocketAddr::from(([127, 0, 0, 1], 0))).expect("a free port");
    let tree = Supervisor::one_for_one().label("test").child(bound.child_spec()).start().await;
    let server = TestServer { addr: bound.local_addr(), tree: tree.expect("the tree starts") };
    Served { endpoint, server, journal, go }
}

fn drainer(batch_size: usize, batch_interval: Duration, shutdown: Duration) -> Drainer {
    Drainer { batch_size, batch_interval, shutdown }
}

/// The rounds of drains of this many sockets: (count, index, rounds).
fn rounds_of(total: usize) -> Arc<Mutex<Vec<(usize, usize, usize)>>> {
    let rounds: Arc<Mutex<Vec<_>>> = Arc::default();
    let into = rounds.clone();
    telemetry::attach(move |event: &dyn Event| {
        if let Some(drain) = (event as &dyn Any).downcast_ref::<SocketDrain>()
            && drain.total == total
        {
            let mut rounds = into.lock().expect("no test panics while it holds this");
            rounds.push((drain.count, drain.index, drain.rounds));
        }
    });
    rounds
}

fn lines(journal: &Journal, line: &str) -> usize {
    let journal = journal.lock().expect("no test panics while it holds this");
    journal.iter().filter(|other| *other == line).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sockets_are_told_in_rounds_and_their_channels_hear_why() {
    let interval = Duration::from_millis(400);
    let served = serve(drainer(3, interval, Duration::from_secs(10))).await;
    let rounds = rounds_of(7);
    let mut clients = Vec::new();
    for _ in 0..7 {
        let mut client = Client::connect(served.server.addr, "").await;
        client.join("room:drained").await;
        clients.push(client);
    }
    let start = Instant::now();
    let closes = clients.into_iter().map(|mut client| {
        tokio::spawn(async move {
            let code = client.close_code().await;
            (code, start.elapsed())
        })
    });
    let closes: Vec<_> = closes.collect();
    let drained = within("the drain", served.endpoint.drain()).await;
    assert_eq!((drained.told, drained.sockets_left, drained.connections_left), (7, 0, 0));
    let mut times = Vec::new();
    for close in closes {
        let (code, at) = close.await.expect("it was closed");
        assert_eq!(code, Some(1012));
        times.push(at.as_millis() / interval.as_millis());
    }
    times.sort_unstable();
    assert_eq!(times, [0, 0, 0, 1, 1, 1, 2], "rounds of three, an interval apart");
    assert_eq!(*rounds.lock().expect("no test panics"), [(3, 1, 3), (3, 2, 3), (1, 3, 3)]);
    assert_eq!(lines(&served.journal, "room:drained shutdown: draining"), 7);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_under_way_are_answered_and_nothing_new_is_let_in() {
    let served = serve(Drainer::default()).await;
    let addr = served.server.addr;
    let mut slow = TcpStream::connect(addr).await.expect("the server listens");
    slow.write_all(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n").await.expect("room");
    let mut idle = TcpStream::connect(addr).await.expect("the server listens");
    let mut client = Client::connect(addr, "").await;
    client.assert_alive().await;
    let label = format!("http {}", slow.local_addr().expect("it is connected"));
    let is_served = || heronry::inspect::tree().nodes.iter().any(|node| node.label.as_str() == label);
    eventually("the slow one to be served", is_served).await;
    let endpoint = served.endpoint.clone();
    let drain = tokio::spawn(async move { endpoint.drain().await });
    assert_eq!(client.close_code().await, Some(1012));
    // The idle connection ends, the port is closed, and another server's requests are refused.
    assert_eq!(within("the end of the idle one", idle.read(&mut [0])).await.unwrap_or(0), 0);
    within("the port to close", async {
        while TcpStream::connect(addr).await.is_ok() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert!(!drain.is_finished(), "a request is under way");
    served.go.notify_one();
    let mut answer = String::new();
    within("the answer", slow.read_to_string(&mut answer)).await.expect("readable");
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("slow"), "{answer}");
    let drained = within("the end of the drain", drain).await.expect("it does not panic");
    assert_eq!((drained.told, drained.sockets_left, drained.connections_left), (1, 0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drain_ends_at_its_deadline_and_says_what_is_left() {
    let short = Duration::from_millis(300);
    let served = serve(drainer(1, Duration::from_secs(60), short)).await;
    let first = Client::connect(served.server.addr, "").await;
    let second = Client::connect(served.server.addr, "").await;
    let mut slow = TcpStream::connect(served.server.addr).await.expect("the server listens");
    slow.write_all(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n").await.expect("room");
    let label = format!("http {}", slow.local_addr().expect("it is connected"));
    let is_served = || heronry::inspect::tree().nodes.iter().any(|node| node.label.as_str() == label);
    eventually("the slow one to be served", is_served).await;
    let start = Instant::now();
    let close = |mut client: Client| async move { client.close_code().await };
    let codes = async { tokio::join!(close(first), close(second)) };
    let stop = async {
        let drained = served.endpoint.drain().await;
        assert!(start.elapsed() >= short && start.elapsed() < short * 10, "{:?}", start.elapsed());
        assert_eq!((drained.sockets_left, drained.connections_left), (1, 1));
        within("the end", served.server.tree.stop()).await;
    };
    let (codes, ()) = tokio::join!(codes, stop);
    assert_eq!(codes, (Some(1012), Some(1012)), "who was not told is told when the tree stops");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stopping_the_tree_drains_first() {
    let interval = Duration::from_millis(300);
    let served = serve(drainer(2, interval, Duration::from_secs(10))).await;
    let rounds = rounds_of(5);
    let mut clients = Vec::new();
    for _ in 0..5 {
        let mut client = Client::connect(served.server.addr, "").await;
        let join_ref = json!(client.join("room:stopping").await);
        client.push(join_ref, "room:stopping", "sleep", json!({ "ms": 100 })).await;
        clients.push(client);
    }
    let start = Instant::now();
    within("the end", async {
        let codes = async {
            for client in &mut clients {
                assert_eq!(client.close_code().await, Some(1012));
            }
        };
        tokio::join!(served.server.tree.stop(), codes)
    })
    .await;
    assert!(start.elapsed() >= interval * 2);
    assert_eq!(*rounds.lock().expect("no test panics"), [(2, 1, 3), (2, 2, 3), (1, 3, 3)]);
    assert_eq!(lines(&served.journal, "room:stopping shutdown: draining"), 5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_drainer_all_are_closed_at_once() {
    let served = serve(None).await;
    let rounds = rounds_of(11);
    let mut clients = Vec::new();
    for _ in 0..11 {
        clients.push(Client::connect(served.server.addr, "").await);
    }
    let codes = async {
        for client in &mut clients {
            assert_eq!(client.close_code().await, Some(1012));
        }
    };
    within("the end", async { tokio::join!(served.server.tree.stop(), codes) }).await;
    assert!(rounds.lock().expect("no test panics").is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drained_endpoint_serves_again_when_its_child_is_restarted() {
    let served = serve(Drainer::default()).await;
    served.endpoint.drain().await;
    let refused = Client::try_connect(served.server.addr, "").await.map(drop);
    assert!(matches!(refused, Err(tungstenite::Error::Io(_))), "{refused:?}");
    served.server.tree.terminate_child("endpoint").await.expect("it is a child");
    served.server.tree.restart_child("endpoint").await.expect("it starts");
    let mut client = Client::connect(served.server.addr, "").await;
    client.push(Value::Null, "room:a", "phx_join", json!({})).await;
    assert_eq!(client.frame().await[4]["status"], "ok");
}
