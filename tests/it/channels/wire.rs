//! What goes over the wire besides frames of a channel: serializers of one's own, origins by mount, extensions, what
//! long poll tells of a client; and what never goes into a log.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use heronry::Pid;
use heronry::process::ProcessCrashed;
use heronry::telemetry::{self, Event};
use heronry_channels::prelude::*;
use heronry_channels::{
    Broadcast, ChannelHandledIn, ChannelJoined, CheckOrigin, DecodeError, EncodeError, Frame, Limits,
    Message, MessageRef, Reply, Serializer, Serializers, SocketClosed, SocketConnected, SocketOptions,
};
use serde_json::{Value, json};
use tests::conformance_app;
use tokio_tungstenite::tungstenite;

use super::poller::{Polled, json_of};
use super::room::Lab;
use crate::support::{Client, TestServer, eventually, within};

/// `ref topic event payload`, with spaces between; counts the broadcasts that it writes.
struct Spaced {
    broadcasts: Arc<AtomicUsize>,
}

impl Serializer for Spaced {
    fn decode(&self, frame: Frame) -> Result<Message, DecodeError> {
        let Frame::Text(text) = frame else { return Err(DecodeError::Binary("no bytes here")) };
        let [reference, topic, event, payload] = *text.splitn(4, ' ').collect::<Vec<_>>() else {
            return Err(DecodeError::Text("not four words".to_owned()));
        };
        let payload =
            Payload::json_text(payload.to_owned()).map_err(|error| DecodeError::Text(error.to_string()))?;
        let reference = MessageRef::from(reference.to_owned());
        Ok(Message {
            join_ref: None,
            reference: Some(reference),
            topic: topic.into(),
            event: event.into(),
            payload,
        })
    }

    fn encode_message(&self, message: &Message) -> Result<Frame, EncodeError> {
        let payload = message.payload.as_json().ok_or(EncodeError::Binary)?;
        Ok(Frame::Text(format!("- {} {} {payload}", message.topic, message.event).into()))
    }

    fn encode_reply(
        &self,
        _: Option<&MessageRef>,
        reference: Option<&MessageRef>,
        topic: &str,
        reply: &Reply,
    ) -> Result<Frame, EncodeError> {
        let reference = reference.map_or("-", MessageRef::as_str);
        let response = reply.response.as_json().ok_or(EncodeError::Binary)?;
        Ok(Frame::Text(format!("{reference} {topic} {} {response}", reply.status.as_str()).into()))
    }

    fn encode_broadcast(&self, broadcast: &Broadcast) -> Result<Frame, EncodeError> {
        self.broadcasts.fetch_add(1, Ordering::Relaxed);
        let payload = broadcast.payload.as_json().ok_or(EncodeError::Binary)?;
        Ok(Frame::Text(format!("* {} {} {payload}", broadcast.topic, broadcast.event).into()))
    }
}

async fn text(client: &mut Client) -> String {
    match within("a frame", client.next()).await.expect("open").expect("readable") {
        tungstenite::Message::Text(text) => text.to_string(),
        other => panic!("not text: {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_serializer_of_ones_own_writes_a_broadcast_once_for_all() {
    let broadcasts = Arc::new(AtomicUsize::new(0));
    let own = Spaced { broadcasts: broadcasts.clone() };
    let serializers = Serializers::default().serializer("~> 3.1", own).expect("a requirement");
    let options = SocketOptions { serializers, ..SocketOptions::default() };
    let builder = Endpoint::builder().socket_with("/socket", Lab::default(), options);
    let broadcaster = builder.broadcaster();
    let server = TestServer::start(builder).await;
    let mut members = Vec::new();
    for _ in 0..3 {
        let path = "/socket/websocket?vsn=3.7.0";
        let (mut client, _) = Client::open(server.addr, path, &[]).await.expect("accepted");
        client.send_text("7 room:a phx_join {}").await;
        assert_eq!(text(&mut client).await, r#"7 room:a ok {"joined":"room:a"}"#);
        members.push(client);
    }
    let mut v2 = Client::connect(server.addr, "").await;
    v2.join("room:a").await;
    broadcaster.broadcast("room:a", "news", json!({ "n": 1 })).expect("an object");
    for member in &mut members {
        assert_eq!(text(member).await, r#"* room:a news {"n":1}"#);
    }
    v2.expect(json!([null, null, "room:a", "news", { "n": 1 }])).await;
    assert_eq!(broadcasts.load(Ordering::Relaxed), 1);
    members[0].send_text("no words").await;
    assert_eq!(members[0].close_code().await, Some(1011));
    assert!(Client::open(server.addr, "/socket/websocket?vsn=3.0.9", &[]).await.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_mount_has_a_check_of_its_own_for_origins() {
    let with = |check_origin| SocketOptions { check_origin, ..SocketOptions::default() };
    let list = CheckOrigin::list(["//ours.test"]).expect("a pattern");
    let builder = Endpoint::builder().socket_with("/strict", Lab::default(), with(list)).socket_with(
        "/open",
        Lab::default(),
        with(CheckOrigin::Off),
    );
    let server = TestServer::start(builder).await;
    for _ in 0..2 {
        for (mount, origin, accepted) in [
            ("strict", "https://ours.test", true),
            ("strict", "https://theirs.test", false),
            ("open", "https://theirs.test", true),
        ] {
            let path = format!("/{mount}/websocket?vsn=2.0.0");
            let opened = Client::open(server.addr, &path, &[("origin", origin)]).await;
            assert_eq!(opened.is_ok(), accepted, "{mount} {origin}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn compression_is_not_agreed_on_though_a_client_offers_it() {
    let server = TestServer::of(Lab::default(), Limits::default()).await;
    let offer = [("sec-websocket-extensions", "permessage-deflate; client_max_window_bits")];
    let path = "/socket/websocket?vsn=2.0.0";
    let (mut client, response) = Client::open(server.addr, path, &offer).await.expect("accepted");
    assert_eq!(response.headers().get("sec-websocket-extensions"), None);
    client.assert_alive().await;
}

#[tokio::test(start_paused = true)]
async fn a_polling_client_is_known_as_one_with_a_websocket() {
    let endpoint =
        conformance_app::app(None).expect("its origins are patterns").endpoint.build().expect("right");
    let tree = Supervisor::one_for_one().child(endpoint.sockets()).start().await.expect("the tree starts");
    let server = Polled { endpoint, tree };
    let headers =
        [("user-agent", "test/1"), ("x-one", "1"), ("tracestate", "a=b"), ("x-phoenix-authtoken", "1234")];
    let answer = json_of(server.request("GET", "vsn=2.0.0&user_id=7&a[b]=c", &headers, "").await).await;
    let token = answer["token"].as_str().expect("a token").to_owned();
    let client = super::poller::Poller { server: &server, token };
    client.join("room:a").await;
    assert_eq!(client.send(json!(["1", "2", "room:a", "connect_info", {}])).await, 200);
    assert_eq!(client.send(json!(["1", "3", "room:a", "whoami", {}])).await, 200);
    let replies = client.messages(2).await;
    let info = json!({ "user_agent": "test/1", "x_headers": { "x-one": "1", "x-phoenix-authtoken": "1234" },
        "trace": { "tracestate": "a=b" }, "path": "/socket/longpoll", "peer": "127.0.0.1", "auth_token": "1234" });
    assert_eq!(replies[0][4]["response"], info);
    let me = &replies[1][4]["response"];
    assert_eq!(
        (&me["transport"], &me["connect_params"]),
        (&json!("longpoll"), &json!({ "user_id": "7", "a": { "b": "c" } }))
    );
}

/// What telemetry told of the clients of one test.
#[derive(Default)]
struct Told {
    names: Vec<&'static str>,
    open: Vec<Pid>,
    /// Events that a secret is in.
    leaks: Vec<String>,
}

/// The value, the topic and the ids of no other test.
const SECRET: &str = "correct horse battery staple";
const LEAKY: &str = "room:leaky";
const LEAKY_ID: &str = "user_socket:leaky";

impl Told {
    fn take(&mut self, event: &dyn Event) {
        let any = event as &dyn std::any::Any;
        if let Some(connected) =
            any.downcast_ref::<SocketConnected>().filter(|it| it.id.as_deref() == Some(LEAKY_ID))
        {
            self.open.push(connected.pid);
            self.names.push(event.name());
        } else if let Some(closed) = any.downcast_ref::<SocketClosed>() {
            self.open.retain(|pid| *pid != closed.pid);
        } else if any.downcast_ref::<ChannelJoined>().is_some_and(|it| it.topic == LEAKY)
            || any.downcast_ref::<ChannelHandledIn>().is_some_and(|it| it.topic == LEAKY)
            || any.downcast_ref::<ProcessCrashed>().is_some_and(|it| it.label.as_str().contains(LEAKY))
        {
            self.names.push(event.name());
        }
        let text = format!("{event} {event:?}");
        if text.contains(SECRET) {
            self.leaks.push(text);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_clients_send_is_in_no_event_and_no_log_line() {
    let told: Arc<Mutex<Told>> = Arc::default();
    let into = told.clone();
    let handler =
        telemetry::attach(move |event: &dyn Event| into.lock().expect("nobody panics with it").take(event));
    let server = TestServer::of(Lab::default(), Limits::default()).await;
    let query = format!("user_id=leaky&password={}", SECRET.replace(' ', "+"));
    let password = json!({ "password": SECRET });
    let mut client = Client::connect(server.addr, &query).await;
    client.push(Value::Null, LEAKY, "phx_join", password.clone()).await;
    client.frame().await;
    client.push(Value::Null, LEAKY, "echo", password.clone()).await;
    assert_eq!(client.frame().await[4]["response"], password);
    // A value of another type than expected: the channel crashes, and says why.
    client.push(Value::Null, LEAKY, "sleep", json!({ "ms": SECRET })).await;
    assert_eq!(client.frame().await[3], "phx_error");
    drop(client);
    // Messages of no shape: the connection is closed, and the log says why.
    for text in [json!(SECRET), json!([null, null, { "topic": SECRET }, "e", {}]), json!([{ "r": SECRET }])] {
        let mut client = Client::connect(server.addr, &query).await;
        client.send_text(&text.to_string()).await;
        assert_eq!(client.close_code().await, Some(1011), "{text}");
    }
    let names = [
        "heronry.socket.connected",
        "heronry.channel.joined",
        "heronry.channel.handled_in",
        "heronry.process.crashed",
    ];
    eventually("the events", || {
        let told = told.lock().expect("nobody panics with it");
        told.open.is_empty() && names.iter().all(|name| told.names.contains(name))
    })
    .await;
    telemetry::detach(handler);
    assert_eq!(told.lock().expect("nobody panics with it").leaks, [""; 0]);
}
