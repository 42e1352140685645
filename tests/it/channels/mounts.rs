//! Mounts of sockets: their paths, who may connect, how fast, and what becomes of a `connect` that panics.

use std::sync::{Arc, Mutex};

use heronry::telemetry::{self, Event};
use heronry_channels::prelude::*;
use heronry_channels::{CheckOrigin, ConnectsLimited, JoinLimited, Limits, Rate, SocketOptions};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Error;

use crate::support::{Client, TestServer};

/// Shows its channels the params that it was connected with.
struct Mirror;

struct Params;

impl Socket for Mirror {
    type Assigns = Value;

    async fn connect(&self, connect: &Connect) -> Result<Value, Refusal> {
        assert!(connect.params.get("boom").is_none(), "connect was asked to panic");
        Ok(Value::Object(connect.params.as_map().clone()))
    }

    fn id(&self, params: &Value) -> Option<String> {
        assert!(params.get("bad_id").is_none(), "id was asked to panic");
        None
    }

    fn channels(routes: Routes<Self>) -> Routes<Self> {
        routes.channel::<Params>("params")
    }
}

impl Channel for Params {
    type Socket = Mirror;
    type Msg = ();

    async fn join(_: &str, _: Payload, socket: &mut ChannelSocket<Self>) -> Join<Self> {
        Ok((Self, socket.assigns().clone().into()))
    }
}

async fn server(options: SocketOptions) -> TestServer {
    let builder = Endpoint::builder()
        .socket_with("/t/:tenant/socket", Mirror, options.clone())
        .socket_with("/socket", Mirror, options);
    TestServer::start(builder).await
}

/// The status of the answer to a WebSocket's request.
async fn status(server: &TestServer, path: &str, headers: &[(&'static str, &str)]) -> u16 {
    match Client::open(server.addr, path, headers).await {
        Ok(_) => 101,
        Err(Error::Http(response)) => response.status().as_u16(),
        Err(error) => panic!("no HTTP answer: {error}"),
    }
}

async fn params(server: &TestServer, path: &str) -> Value {
    let (mut client, _) = Client::open(server.addr, path, &[]).await.expect("accepted");
    client.push(Value::Null, "params", "phx_join", json!({})).await;
    client.frame().await[4]["response"].clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn params_in_the_path() {
    let server = server(SocketOptions::default()).await;
    let path = "/t/ac%20me/socket/websocket?vsn=2.0.0&tenant=other&x=1";
    assert_eq!(params(&server, path).await, json!({ "tenant": "ac me", "x": "1" }));
    assert_eq!(params(&server, "/socket/websocket?vsn=2.0.0").await, json!({}));
    for path in
        ["/t/acme/socket", "/t/acme/socket/nope", "/t//socket/websocket", "/t/acme/x/socket/websocket"]
    {
        assert_eq!(status(&server, path, &[]).await, 404, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_path_of_ones_own_and_none() {
    let own = SocketOptions { websocket_path: Some("/ws/:room".to_owned()), ..SocketOptions::default() };
    let server = server(own).await;
    assert_eq!(params(&server, "/socket/ws/9?vsn=2.0.0").await, json!({ "room": "9" }));
    assert_eq!(status(&server, "/socket/websocket?vsn=2.0.0", &[]).await, 404);

    let none = SocketOptions { websocket_path: None, ..SocketOptions::default() };
    assert_eq!(status(&self::server(none).await, "/socket/websocket?vsn=2.0.0", &[]).await, 404);

    let wrong = SocketOptions { websocket_path: Some("ws".to_owned()), ..SocketOptions::default() };
    assert!(Endpoint::builder().socket_with("/socket", Mirror, wrong).build().is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_panic_of_the_socket_is_a_500_and_harms_nobody() {
    let server = server(SocketOptions::default()).await;
    for query in ["boom=1", "bad_id=1"] {
        assert_eq!(
            status(&server, &format!("/socket/websocket?vsn=2.0.0&{query}"), &[]).await,
            500,
            "{query}"
        );
    }
    Client::connect(server.addr, "").await.assert_alive().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_check_of_the_origin_of_ones_own() {
    let check_origin =
        CheckOrigin::custom(|origin, headers| origin == "app://ours" && headers.contains_key("x-app"));
    let server = server(SocketOptions { check_origin, ..SocketOptions::default() }).await;
    let path = "/socket/websocket?vsn=2.0.0";
    assert_eq!(status(&server, path, &[("origin", "app://ours"), ("x-app", "1")]).await, 101);
    assert_eq!(status(&server, path, &[("origin", "app://ours")]).await, 403);
    assert_eq!(status(&server, path, &[("origin", "http://localhost"), ("x-app", "1")]).await, 403);
    assert_eq!(status(&server, path, &[]).await, 101);
}

/// What telemetry said while `during` ran, of events of one type.
async fn told<E: Event, T: Send + 'static>(what: fn(&E) -> T, during: impl Future<Output = ()>) -> Vec<T> {
    let told: Arc<Mutex<Vec<T>>> = Arc::default();
    let into = told.clone();
    let handler = telemetry::attach(move |event: &dyn Event| {
        if let Some(event) = (event as &dyn std::any::Any).downcast_ref::<E>() {
            into.lock().expect("no test panics while it holds this").push(what(event));
        }
    });
    during.await;
    telemetry::detach(handler);
    std::mem::take(&mut *told.lock().expect("no test panics while it holds this"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_more_connects_than_the_rate() {
    // One in 10 s is none within this test.
    let options = SocketOptions { connects: Rate::per_second(1).burst(2), ..SocketOptions::default() };
    let server = server(options).await;
    let path = "/t/limited/socket/websocket?vsn=2.0.0";
    let told = told(|event: &ConnectsLimited| event.path.clone(), async {
        let mut answers = Vec::new();
        for _ in 0..4 {
            answers.push(status(&server, path, &[]).await);
        }
        assert_eq!(answers[..2], [101, 101]);
        assert!(answers[2..].contains(&503), "{answers:?}");
        // The other mount has a rate of its own.
        assert_eq!(status(&server, "/socket/websocket?vsn=2.0.0", &[]).await, 101);
    });
    assert!(told.await.iter().any(|path| path == "/t/limited/socket/websocket"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_more_joins_than_the_rate() {
    let limits = Limits { joins: Rate::per_second(1).burst(3), ..Limits::default() };
    let server = server(SocketOptions { limits, ..SocketOptions::default() }).await;
    let mut client = Client::connect(server.addr, "").await;
    let told = told(|event: &JoinLimited| (event.topic.to_string(), event.reason), async {
        let mut answers = Vec::new();
        for _ in 0..5 {
            client.push(Value::Null, "params", "phx_join", json!({})).await;
        }
        while answers.len() < 5 {
            let frame = client.frame().await;
            if frame[3] == "phx_reply" {
                answers.push((frame[4]["status"].clone(), frame[4]["response"].clone()));
            }
        }
        assert!(answers[..3].iter().all(|(status, _)| status == "ok"), "{answers:?}");
        assert!(
            answers[3..].contains(&(json!("error"), json!({ "reason": "too many joins" }))),
            "{answers:?}"
        );
    });
    assert!(told.await.contains(&("params".to_owned(), "too many joins")));
    client.assert_alive().await;
}
