//! Requests that are slow, ambiguous or malformed.

use std::time::Duration;

use heronry_channels::http::{Method, Request, Response};
use heronry_channels::prelude::*;
use heronry_channels::{Body, HttpLimits};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::{exchange, rest_of, statuses};
use crate::channels::room::Lab;
use crate::support::{TestServer, eventually, within};

/// Longer than all of the limits below, and far shorter than `PATIENCE`.
const SHORT: Duration = Duration::from_millis(300);

async fn server() -> TestServer {
    let limits = HttpLimits {
        head_timeout: SHORT,
        body_timeout: SHORT,
        write_timeout: SHORT,
        ..HttpLimits::default()
    };
    let builder = Endpoint::builder()
        .http_limits(limits)
        .socket("/socket", Lab::default())
        .route(Method::POST, "/echo", |request: Request<_>| async {
            Response::new(Body::from(request.into_body()))
        })
        .route(Method::GET, "/hello", |_| async { Response::new(Body::from("hello")) })
        .route(Method::GET, "/huge", |_| async { Response::new(Body::from(vec![b'x'; 64 << 20])) });
    TestServer::start(builder).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_of_unclear_length_is_refused_and_nothing_behind_it_is_a_request() {
    let server = server().await;
    let hidden = "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n";
    let length = format!("Content-Length: {}\r\n", hidden.len() + 5);
    let table = [
        format!("Transfer-Encoding: chunked\r\n{length}\r\n0\r\n\r\n{hidden}"),
        format!("{length}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n{hidden}"),
        format!("{length}X: y\r\ntransfer-encoding : chunked\r\n\r\n0\r\n\r\n{hidden}"),
        format!("Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n{hidden}"),
        format!("Transfer-Encoding: gzip\r\n\r\n0\r\n\r\n{hidden}"),
        format!("Content-Length: 4\r\nContent-Length: 5\r\n\r\nabcd{hidden}"),
        format!("Content-Length: 4, 5\r\n\r\nabcd{hidden}"),
        format!("Content-Length: +4\r\n\r\nabcd{hidden}"),
        format!("Content-Length: -4\r\n\r\nabcd{hidden}"),
        format!("Content-Length: 0x4\r\n\r\nabcd{hidden}"),
        format!("Content-Length: 99999999999999999999\r\n\r\nabcd{hidden}"),
        format!("Transfer-Encoding: chunked\r\n\r\nzz\r\nabcd\r\n0\r\n\r\n{hidden}"),
        format!("Transfer-Encoding: chunked\r\n\r\n-4\r\nabcd\r\n0\r\n\r\n{hidden}"),
        format!("Transfer-Encoding: chunked\r\n\r\n4\r\nabcde\r\n0\r\n\r\n{hidden}"),
        format!("Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\nabcd\r\n0\r\n\r\n{hidden}"),
    ];
    for rest in table {
        let answers = exchange(server.addr, format!("POST /echo HTTP/1.1\r\nHost: x\r\n{rest}")).await;
        assert_eq!(statuses(&answers), ["400"], "{rest:?}: {answers}");
    }
    let old = format!("POST /echo HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{hidden}");
    assert_eq!(statuses(&exchange(server.addr, old).await), ["400"]);
    // What is clear is served, one request after the other.
    let clear = format!(
        "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nContent-Length: 4\r\n\r\nabcd\
         POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n0\r\n\r\n{hidden}"
    );
    let answers = exchange(server.addr, clear).await;
    assert_eq!(statuses(&answers), ["200", "200", "200"], "{answers}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_request_is_refused() {
    let server = server().await;
    for bytes in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..],
        b"GET\r\n\r\n",
        b"GET /hello HTTP/9.9\r\n\r\n",
        b"GET /he llo HTTP/1.1\r\n\r\n",
        b"GET /hello HTTP/1.1\r\nHost\x00: x\r\n\r\n",
        b"GET /hello HTTP/1.1\r\n: x\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\xff\xfe\xfd\r\n\r\n",
    ] {
        let answer = exchange(server.addr, bytes).await;
        let statuses = statuses(&answer);
        assert!(statuses.is_empty() || statuses == ["400"], "{bytes:?}: {answer}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_clients_are_ended_wherever_they_dawdle() {
    let server = server().await;
    let post = "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n";
    let chunked = "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
    let table = [
        ("nothing at all", String::new(), "", None),
        ("a head byte by byte", "GET /hello HTTP/1.1\r\nX: ".to_owned(), "x", None),
        ("a head without end", "GET /hello HTTP/1.1\r\n".to_owned(), "X: y\r\n", None),
        ("a body byte by byte", post.to_owned(), "x", Some("408")),
        ("chunk by chunk", chunked.to_owned(), "1\r\nx\r\n", Some("408")),
        ("a body that nobody wants", post.replace("/echo", "/nope"), "x", Some("404")),
        ("silence after an answer", "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(), "", Some("200")),
    ];
    let start = Instant::now();
    let dawdlers = table.map(|(what, begin, more, status)| {
        tokio::spawn(async move {
            let mut tcp = TcpStream::connect(server.addr).await.expect("the server listens");
            tcp.write_all(begin.as_bytes()).await.expect("room");
            let (mut read, mut write) = tcp.split();
            let dawdle = async {
                while write.write_all(more.as_bytes()).await.is_ok() {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                std::future::pending::<()>().await;
            };
            let mut answer = Vec::new();
            let end = async { drop(read.read_to_end(&mut answer).await) };
            within(what, async {
                tokio::select! { () = dawdle => {}, () = end => {} }
            })
            .await;
            let answer = String::from_utf8_lossy(&answer).into_owned();
            assert_eq!(statuses(&answer), status.into_iter().collect::<Vec<_>>(), "{what}: {answer}");
        })
    });
    for dawdler in dawdlers {
        dawdler.await.expect("it was ended");
    }
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    // By default all of that is over within a minute.
    let limits = HttpLimits::default();
    for limit in [limits.head_timeout, limits.body_timeout, limits.write_timeout] {
        assert!(limit < Duration::from_secs(60));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_takes_nothing_of_its_answer_is_ended() {
    let server = server().await;
    let mut tcp = TcpStream::connect(server.addr).await.expect("the server listens");
    let label = format!("http {}", tcp.local_addr().expect("it is connected"));
    let serves = || heronry::inspect::tree().nodes.iter().any(|node| node.label.as_str() == label);
    tcp.write_all(b"GET /huge HTTP/1.1\r\nHost: x\r\n\r\n").await.expect("room");
    eventually("the connection's process", serves).await;
    eventually("its end", || !serves()).await;
    assert!(rest_of(&mut tcp).await.len() < 64 << 20);
    // One that takes its time, but takes it, gets it all.
    let mut tcp = TcpStream::connect(server.addr).await.expect("the server listens");
    tcp.write_all(b"GET /huge HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.expect("room");
    let (mut got, mut buffer, start) = (0, vec![0; 8 << 20], Instant::now());
    loop {
        match within("more", tcp.read(&mut buffer)).await.expect("readable") {
            0 => break,
            n => got += n,
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(got > 64 << 20 && start.elapsed() > Duration::from_millis(80));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_malformed_handshake_is_a_bad_request() {
    let server = server().await;
    let good = [
        ("Connection", "Upgrade"),
        ("Upgrade", "websocket"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];
    let handshake = |change: (&str, Option<&str>)| {
        let lines = good.iter().filter_map(|(name, value)| match change {
            (changed, value) if changed == *name => value.map(|value| format!("{name}: {value}\r\n")),
            _ => Some(format!("{name}: {value}\r\n")),
        });
        let head: String = lines.collect();
        format!("GET /socket/websocket?vsn=2.0.0 HTTP/1.1\r\nHost: x\r\n{head}\r\n")
    };
    let table = [
        ("Connection", None),
        ("Connection", Some("keep-alive")),
        ("Upgrade", None),
        ("Upgrade", Some("h2c")),
        ("Sec-WebSocket-Version", None),
        ("Sec-WebSocket-Version", Some("8")),
        ("Sec-WebSocket-Version", Some("thirteen")),
        ("Sec-WebSocket-Key", None),
        ("Sec-WebSocket-Key", Some("")),
        ("Sec-WebSocket-Key", Some("c2hvcnQ=")),
        ("Sec-WebSocket-Key", Some("dGhlIHNhbXBsZSBub25jZQ")),
        ("Sec-WebSocket-Key", Some("!!!!!!!!!!!!!!!!!!!!!!==")),
        (
            "Sec-WebSocket-Key",
            Some("dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="),
        ),
    ];
    for change in table {
        let answer = exchange(server.addr, handshake(change)).await;
        assert_eq!(statuses(&answer), ["400"], "{change:?}: {answer}");
        assert!(answer.contains("sec-websocket-version: 13"), "{answer}");
    }
    let mut tcp = TcpStream::connect(server.addr).await.expect("the server listens");
    tcp.write_all(handshake(("", None)).as_bytes()).await.expect("room");
    let mut head = [0; 12];
    within("the answer", tcp.read_exact(&mut head)).await.expect("readable");
    assert_eq!(&head, b"HTTP/1.1 101");
}
