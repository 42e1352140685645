//! The endpoint as a service within an application of another framework: axum.

use std::net::SocketAddr;

use axum::Router;
use axum::routing::get;
use heronry::supervisor::SupervisorRef;
use heronry_channels::prelude::*;
use heronry_channels::{CheckOrigin, Limits, SocketOptions};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::edge::{exchange, statuses};
use super::room::Lab;
use crate::support::{Client, TestServer, within};

struct App {
    addr: SocketAddr,
    endpoint: Endpoint,
    tree: SupervisorRef,
    server: tokio::task::JoinHandle<std::io::Result<()>>,
}

impl Drop for App {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn app() -> App {
    let options = SocketOptions { check_origin: CheckOrigin::Off, ..SocketOptions::default() };
    let endpoint = Endpoint::builder().socket_with("/socket", Lab::default(), options);
    let endpoint = endpoint.build().expect("it is described right");
    let tree = Supervisor::one_for_one().label("app").child(endpoint.sockets()).start().await;
    let router = Router::new()
        .route("/", get(|| async { "axum" }))
        .nest_service("/live", endpoint.clone())
        .fallback_service(endpoint.clone());
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let addr = listener.local_addr().expect("it is bound");
    let server = tokio::spawn(async move { axum::serve(listener, router).await });
    App { addr, endpoint, tree: tree.expect("it starts"), server }
}

async fn status(addr: SocketAddr, path: &str) -> String {
    let head = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    statuses(&exchange(addr, head).await).concat()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn channels_work_within_an_axum_application() {
    let app = app().await;
    assert_eq!(status(app.addr, "/").await, "200");
    assert_eq!(status(app.addr, "/nope").await, "404");
    assert_eq!(status(app.addr, "/socket/websocket").await, "400");
    assert_eq!(status(app.addr, "/live/socket/websocket").await, "400");
    let mut client = Client::connect(app.addr, "user_id=axum").await;
    let join_ref = json!(client.join("room:mounted").await);
    let payload = json!({ "long": "x".repeat(100_000) });
    client.push(join_ref, "room:mounted", "echo", payload.clone()).await;
    assert_eq!(client.frame().await[4]["response"], payload);
    app.endpoint
        .broadcaster()
        .broadcast("user_socket:axum", "disconnect", Payload::empty())
        .expect("an object");
    assert_eq!(client.close_code().await, Some(1001));
}

/// What a server reads beyond the request is the first of the WebSocket.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frames_in_one_piece_with_the_request_are_not_lost() {
    let (app, own) = (app().await, TestServer::of(Lab::default(), Limits::default()).await);
    let heartbeat = br#"[null,"1","phoenix","heartbeat",{}]"#;
    let mut bytes = b"GET /socket/websocket?vsn=2.0.0 HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
        Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        .to_vec();
    bytes.extend([0x81, 0x80 | u8::try_from(heartbeat.len()).expect("a short text"), 0, 0, 0, 0]);
    bytes.extend(heartbeat);
    for addr in [app.addr, own.addr] {
        let mut tcp = TcpStream::connect(addr).await.expect("the server listens");
        tcp.write_all(&bytes).await.expect("room");
        let mut answer = Vec::new();
        let reply = async {
            while !String::from_utf8_lossy(&answer).ends_with(r#"{"status":"ok","response":{}}]"#) {
                assert!(tcp.read_buf(&mut answer).await.expect("readable") > 0, "it was closed");
            }
        };
        within("the reply", reply).await;
        assert!(answer.starts_with(b"HTTP/1.1 101 "));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mounted_endpoint_is_drained_when_its_child_is_stopped() {
    let app = app().await;
    let mut client = Client::connect(app.addr, "").await;
    client.join("room:a").await;
    within("the end", async { tokio::join!(app.tree.stop(), client.close_code()) }).await;
    let refused = Client::try_connect(app.addr, "").await.map(drop).expect_err("it is stopped");
    assert!(refused.to_string().contains("503"), "{refused}");
    assert_eq!(status(app.addr, "/").await, "200", "the rest of the application goes on");
}
