//! The HTTP side: what is served, and what is refused.

use std::time::Duration;

use heronry_channels::http::{Method, Request, Response};
use heronry_channels::prelude::*;
use heronry_channels::{Body, HttpLimits, Limits};

use super::room::Lab;
use crate::support::http::{exchange, exchange_open, head, status};
use crate::support::{Client, TestServer};

async fn server() -> TestServer {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let limits = HttpLimits {
        body_bytes_max: 1_000,
        body_timeout: Duration::from_millis(200),
        head_timeout: Duration::from_millis(400),
        head_bytes_max: 8_192,
        ..HttpLimits::default()
    };
    let builder = Endpoint::builder()
        .http_limits(limits)
        .socket("/socket", Lab::default())
        .route(Method::POST, "/echo", |request: Request<_>| async {
            Response::new(Body::from(request.into_body()))
        })
        .route(Method::GET, "/hello", |_| async { Response::new(Body::from("hello")) })
        .route(Method::GET, "/boom", |_| async { panic!("boom") })
        .file("/", folder.join("lib.rs"))
        .files("/src", &folder);
    TestServer::start(builder).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn paths_and_methods() {
    let server = server().await;
    let table = [
        ("GET", "/hello", "200"),
        ("HEAD", "/hello", "200"),
        ("POST", "/hello", "404"),
        ("GET", "/echo", "404"),
        ("GET", "/", "200"),
        ("GET", "/?room=lobby", "200"),
        ("GET", "/src/browser.rs", "200"),
        ("GET", "/src/no.rs", "404"),
        ("GET", "/nope", "404"),
        ("GET", "/boom", "500"),
        ("GET", "/socket", "404"),
        ("GET", "/socket/websocket", "400"),
        ("POST", "/socket/websocket", "400"),
        ("GET", "/src/../Cargo.toml", "404"),
        ("GET", "/src/%2e%2e/Cargo.toml", "404"),
        ("GET", "/src/..%2fCargo.toml", "404"),
        ("GET", "/src//etc/passwd", "404"),
        ("GET", "/src/%00", "404"),
    ];
    for (method, path, want) in table {
        let answer = exchange(server.addr, &head(method, path, "")).await;
        assert_eq!(status(&answer), want, "{method} {path}: {answer}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_within_their_limits() {
    let server = server().await;
    let post =
        |length: usize, body: &str| head("POST", "/echo", &format!("Content-Length: {length}\r\n")) + body;
    assert!(exchange(server.addr, &post(2, "ab")).await.ends_with("\r\n\r\nab"));
    assert_eq!(status(&exchange(server.addr, &post(1_001, "")).await), "413");
    let chunked = head("POST", "/echo", "Transfer-Encoding: chunked\r\n") + "7d0\r\n" + &"x".repeat(2_000);
    assert_eq!(status(&exchange(server.addr, &chunked).await), "413");
    assert_eq!(status(&exchange(server.addr, &post(10, "slow")).await), "408");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn heads_within_their_limits() {
    let server = server().await;
    let many: String = (0..200).map(|n| format!("X-{n}: 1\r\n")).collect();
    assert_eq!(status(&exchange(server.addr, &head("GET", "/hello", &many)).await), "431");
    let long = format!("X: {}\r\n", "x".repeat(20_000));
    assert_eq!(status(&exchange(server.addr, &head("GET", "/hello", &long)).await), "431");
    let two_lengths = "Content-Length: 1\r\nContent-Length: 2\r\n";
    assert_eq!(status(&exchange(server.addr, &head("POST", "/echo", two_lengths)).await), "400");
    // A head that never ends, and a connection that never speaks, are ended.
    assert!(matches!(
        status(&exchange(server.addr, "GET /hello HTTP/1.1\r\nHost:").await),
        "408" | "no answer"
    ));
    assert_eq!(exchange(server.addr, "").await, "");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_are_refused_as_the_socket_says() {
    let server = TestServer::of(Lab::default(), Limits::default()).await;
    let handshake = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                     Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let table = [
        ("vsn=2.0.0&token=bad", "403", ""),
        ("vsn=2.0.0&token=limited", "429", "Too many requests"),
        ("vsn=3.0.0", "403", ""),
        ("vsn=nonsense", "403", ""),
        ("vsn=1.1.0", "403", ""),
        ("vsn=", "403", ""),
        ("vsn[]=2.0.0", "403", ""),
    ];
    for (query, want, body) in table {
        let request = format!("GET /socket/websocket?{query} HTTP/1.1\r\nHost: localhost\r\n{handshake}\r\n");
        let answer = exchange_open(server.addr, &request).await;
        assert_eq!(status(&answer), want, "{query}: {answer}");
        assert!(answer.ends_with(&format!("\r\n\r\n{body}")), "{query}: {answer}");
    }
    Client::connect(server.addr, "vsn=2.0.7").await.assert_alive().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_foreign_page_is_refused() {
    let builder = Endpoint::builder().socket("/socket", Lab::default());
    let server = TestServer::start(builder).await;
    for (origin, want) in [
        (format!("http://{}", server.addr), "101"),
        ("http://evil.test".to_owned(), "403"),
        ("null".to_owned(), "403"),
    ] {
        let request = format!(
            "GET /socket/websocket?vsn=2.0.0 HTTP/1.1\r\nHost: {}\r\nOrigin: {origin}\r\nConnection: Upgrade\r\n\
             Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
            server.addr
        );
        assert_eq!(status(&exchange_open(server.addr, &request).await), want, "{origin}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_route_that_takes_too_long_is_given_up() {
    let limits = HttpLimits { route_timeout: Duration::from_millis(50), ..HttpLimits::default() };
    let held = std::sync::Arc::new(());
    let holds = held.clone();
    let builder = Endpoint::builder()
        .route(Method::GET, "/never", move |_| {
            let holds = holds.clone();
            async move {
                std::future::pending::<()>().await;
                drop(holds);
                Response::new(Body::empty())
            }
        })
        .route(Method::GET, "/hello", |_| async { Response::new(Body::from("hello")) })
        .http_limits(limits);
    let server = TestServer::start(builder).await;
    assert_eq!(status(&exchange(server.addr, &head("GET", "/never", "")).await), "503");
    assert_eq!(status(&exchange(server.addr, &head("GET", "/hello", "")).await), "200");
    assert_eq!(std::sync::Arc::strong_count(&held), 2, "the handler has let go of what it held");
}
