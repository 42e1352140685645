//! Mounts of sockets: their paths, who may connect, how fast, and what becomes of a `connect` that panics.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use heronry::telemetry::{self, Event};
use heronry_channels::http::StatusCode;
use heronry_channels::prelude::*;
use heronry_channels::{CheckOrigin, ConnectsLimited, JoinLimited, Limits, Rate, SocketOptions};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Error;

use super::poller::Polled;
use super::room::Lab;
use crate::support::{Client, TestServer, within};

/// Shows its channels the params that it was connected with.
struct Mirror;

struct Params;

impl Socket for Mirror {
    type Assigns = Value;

    async fn connect(&self, connect: &Connect) -> Result<Value, Refusal> {
        assert!(connect.params.get("boom").is_none(), "connect was asked to panic");
        if connect.params.get("busy").is_some() {
            let busy = Refusal::new(StatusCode::TOO_MANY_REQUESTS, "slow down");
            return Err(busy.retry_after(Duration::from_millis(1_500)));
        }
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_says_when_to_try_again() {
    let options = SocketOptions { connects: Rate::per_second(1).burst(2), ..SocketOptions::default() };
    let server = server(options).await;
    let path = "/socket/websocket?vsn=2.0.0";
    let busy = format!("{path}&busy=1");
    let mut answers = Vec::new();
    for path in [&*busy, path, path, path] {
        if let Err(Error::Http(answer)) = Client::open(server.addr, path, &[]).await {
            let after = answer.headers().get("retry-after").and_then(|value| value.to_str().ok());
            answers.push((answer.status().as_u16(), after.map(str::to_owned)));
        }
    }
    assert_eq!(answers[0], (429, Some("2".to_owned())));
    assert_eq!(answers[1], (503, Some("1".to_owned())));

    let polled = Polled::with(Mirror, SocketOptions::default()).await;
    let answer = polled.request("GET", "vsn=2.0.0&busy=1", &[], "").await;
    assert_eq!(answer.headers()["retry-after"], "2");
    assert_eq!(super::poller::json_of(answer).await, json!({ "status": 403 }));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_endpoint_at_two_addresses() {
    let endpoint = Endpoint::builder().socket("/socket", Lab::default()).build().expect("described right");
    let any = || SocketAddr::from(([127, 0, 0, 1], 0));
    let bound = endpoint.bind(any()).and_then(|bound| bound.also(any())).expect("free ports");
    let addrs: Vec<SocketAddr> = bound.local_addrs().collect();
    assert_eq!((addrs.len(), addrs[0]), (2, bound.local_addr()));
    let tree = Supervisor::one_for_one().child(bound.child_spec()).start().await.expect("it starts");
    let mut clients = Vec::new();
    for addr in &addrs {
        let mut client = Client::connect(*addr, "").await;
        client.join("room:a").await;
        clients.push(client);
    }
    // A second set of processes would take the sockets from the first.
    let again = endpoint.bind(any()).expect("a free port");
    for second in [again.child_spec(), endpoint.sockets()] {
        let error = Supervisor::one_for_one().child(second).start().await.expect_err("it runs already");
        assert!(error.to_string().contains("Bound::also"), "{error}");
    }
    endpoint.broadcaster().broadcast("room:a", "news", Payload::empty()).expect("an object");
    for client in &mut clients {
        client.expect(json!([null, null, "room:a", "news", {}])).await;
    }
    let [first, second] = &mut clients[..] else { panic!("two clients") };
    within("the end", async { tokio::join!(tree.stop(), first.close_code(), second.close_code()) }).await;
    // Once it has ended it may run anew, anywhere.
    let tree = Supervisor::one_for_one().child(again.child_spec()).start().await.expect("it starts");
    Client::connect(again.local_addr(), "").await.assert_alive().await;
    tree.stop().await;
}
