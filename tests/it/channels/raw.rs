//! Sockets without channels: frames in, frames out, over both transports, and how each end reads to the client.

use std::sync::Arc;
use std::time::Duration;

use heronry::pubsub::Subscription;
use heronry_channels::http::StatusCode;
use heronry_channels::prelude::*;
use heronry_channels::{
    Broadcast, ControlKind, EncodeError, Frame, Limits, LongPollOptions, PushError, RawAddr, RawConnection,
    RawSocket, SocketOptions,
};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::protocol::frame::CloseFrame;
use tokio_tungstenite::tungstenite::{Bytes, Error, Message};

use super::poller::Polled;
use crate::support::{Client, TestServer, within};

/// Does what the texts that it gets say; all else it sends back.
struct Obedient {
    name: String,
    subscription: Option<Subscription>,
}

enum Msg {
    Heard(Broadcast),
    Name(ReplyTo<String>),
    Tick,
}

/// Where connections say who they are and how they ended.
#[derive(Clone)]
struct Log {
    opened: mpsc::UnboundedSender<RawAddr<Msg>>,
    ended: mpsc::UnboundedSender<String>,
}

impl RawSocket for Obedient {
    type Shared = Log;
    type Msg = Msg;

    async fn connect(_: &Log, connect: &Connect) -> Result<Self, Refusal> {
        match connect.params.get_str("name") {
            Some(name) => Ok(Self { name: name.to_owned(), subscription: None }),
            None => Err(Refusal::new(StatusCode::UNAUTHORIZED, "who are you?")),
        }
    }

    async fn init(&mut self, connection: &mut RawConnection<Self>) -> Next {
        connection.shared().opened.send(connection.addr()).ok();
        match &*self.name {
            "unwanted" => Next::Stop(ExitReason::Shutdown),
            "silent" => Next::Continue,
            name => push(connection, json!({ "hello": name }).to_string()),
        }
    }

    async fn handle_in(&mut self, frame: Frame, connection: &mut RawConnection<Self>) -> Next {
        let Frame::Text(text) = &frame else { return push(connection, frame) };
        match &**text {
            "panic" => panic!("as it was told"),
            "normal" => stop(connection, ExitReason::Normal),
            "shutdown" => stop(connection, ExitReason::shutdown_with("told to")),
            "error" => stop(connection, ExitReason::custom("told to fail")),
            "hang" => {
                let next = push(connection, "\"hanging\"");
                std::future::pending::<()>().await;
                next
            }
            "slow" => {
                tokio::time::sleep(Duration::from_secs(3)).await;
                push(connection, "\"slow\"")
            }
            "binary" => {
                let pushed = connection.push(vec![1, 2, 3]);
                assert_eq!(pushed, Err(PushError::Encode(EncodeError::Binary)));
                push(connection, "\"refused\"")
            }
            "subscribe" => {
                self.subscription = Some(connection.subscribe("news", Msg::Heard));
                push(connection, "\"subscribed\"")
            }
            "tick" => {
                connection.send_after(Duration::from_millis(1), Msg::Tick);
                Next::Continue
            }
            "flood" => {
                for _ in 0..64 {
                    let _ = push(connection, "x".repeat(64 << 10));
                }
                Next::Continue
            }
            _ => push(connection, frame),
        }
    }

    async fn handle_control(
        &mut self,
        kind: ControlKind,
        payload: Bytes,
        connection: &mut RawConnection<Self>,
    ) -> Next {
        push(connection, json!({ "control": format!("{kind:?}"), "bytes": payload.len() }).to_string())
    }

    async fn handle_info(&mut self, msg: Msg, connection: &mut RawConnection<Self>) -> Next {
        match msg {
            Msg::Heard(news) => push(connection, json!({ "news": &*news.event }).to_string()),
            Msg::Name(reply_to) => {
                reply_to.send(self.name.clone());
                Next::Continue
            }
            Msg::Tick => push(connection, "\"tick\""),
        }
    }

    async fn terminate(&mut self, reason: &ExitReason, connection: &mut RawConnection<Self>) {
        connection.shared().ended.send(reason.to_string()).ok();
    }
}

fn push(connection: &RawConnection<Obedient>, frame: impl Into<Frame>) -> Next {
    match connection.push(frame) {
        Ok(()) => Next::Continue,
        Err(error) => Next::Stop(error.into()),
    }
}

/// Says goodbye, which must arrive.
fn stop(connection: &RawConnection<Obedient>, reason: ExitReason) -> Next {
    match push(connection, "\"goodbye\"") {
        Next::Continue => Next::Stop(reason),
        stop @ Next::Stop(_) => stop,
    }
}

struct Ears {
    opened: mpsc::UnboundedReceiver<RawAddr<Msg>>,
    ended: mpsc::UnboundedReceiver<String>,
}

impl Ears {
    async fn ended(&mut self) -> String {
        within("an end", self.ended.recv()).await.expect("the sender is mounted")
    }
}

fn log() -> (Log, Ears) {
    let ((opened, opened_in), (ended, ended_in)) = (mpsc::unbounded_channel(), mpsc::unbounded_channel());
    (Log { opened, ended }, Ears { opened: opened_in, ended: ended_in })
}

async fn server(limits: Limits) -> (TestServer, Ears) {
    let (log, ears) = log();
    let options = SocketOptions { limits, ..SocketOptions::default() };
    let builder = Endpoint::builder().raw_socket_with::<Obedient>("/raw", log, options);
    (TestServer::start(builder).await, ears)
}

async fn open(server: &TestServer, name: &str) -> Client {
    let path = format!("/raw/websocket?name={name}");
    let (client, _) = Client::open(server.addr, &path, &[]).await.expect("accepted");
    client
}

/// A connection that has said hello.
async fn greeted(server: &TestServer) -> Client {
    let mut client = open(server, "ann").await;
    client.expect(json!({ "hello": "ann" })).await;
    client
}

async fn refused(server: &TestServer, path: &str, headers: &[(&'static str, &str)]) -> (u16, String) {
    match Client::open(server.addr, path, headers).await {
        Err(Error::Http(answer)) => {
            let body = answer.body().clone().unwrap_or_default();
            (answer.status().as_u16(), String::from_utf8(body).expect("text"))
        }
        other => panic!("not refused: {:?}", other.map(drop)),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frames_come_back_as_they_were() {
    let (server, _ears) = server(Limits::default()).await;
    let mut client = greeted(&server).await;
    client.send_text("{\"any\": [\"JSON\"]}").await;
    client.expect(json!({ "any": ["JSON"] })).await;
    client.send(Message::Binary(Bytes::from_static(&[0, 255]))).await;
    let message = within("a frame", client.next()).await.expect("open").expect("readable");
    assert_eq!(message, Message::Binary(Bytes::from_static(&[0, 255])));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_may_not_connect_is_refused_before_the_upgrade() {
    let (server, _ears) = server(Limits::default()).await;
    assert_eq!(refused(&server, "/raw/websocket", &[]).await, (401, "who are you?".to_owned()));
    let foreign = [("origin", "http://elsewhere.example")];
    assert_eq!(refused(&server, "/raw/websocket?name=a", &foreign).await.0, 403);
    // A version means nothing to it.
    Client::open(server.addr, "/raw/websocket?name=a&vsn=9", &[]).await.map(drop).expect("accepted");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pings_and_pongs_are_seen_and_answered() {
    let (server, _ears) = server(Limits::default()).await;
    let mut client = greeted(&server).await;
    client.send(Message::Ping(Bytes::from_static(b"abc"))).await;
    client.send(Message::Pong(Bytes::from_static(b"late"))).await;
    let mut seen = Vec::new();
    while seen.len() < 3 {
        match within("a frame", client.next()).await.expect("open").expect("readable") {
            Message::Pong(payload) => seen.push(json!({ "pong": payload.len() })),
            Message::Text(text) => seen.push(serde_json::from_str(&text).expect("JSON")),
            other => panic!("{other:?}"),
        }
    }
    for want in [
        json!({ "pong": 3 }),
        json!({ "control": "Ping", "bytes": 3 }),
        json!({ "control": "Pong", "bytes": 4 }),
    ] {
        assert!(seen.contains(&want), "{want} in {seen:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_of_other_processes_timers_and_topics() {
    let (log, mut ears) = log();
    let builder = Endpoint::builder().raw_socket::<Obedient>("/raw", log);
    let broadcaster = builder.broadcaster();
    let server = TestServer::start(builder).await;
    let mut client = greeted(&server).await;
    let addr = ears.opened.recv().await.expect("it opened");
    assert_eq!(addr.call(Msg::Name, Duration::from_secs(5)).await, Ok("ann".to_owned()));
    addr.send(Msg::Tick).expect("it lives");
    client.expect(json!("tick")).await;
    client.send_text("tick").await;
    client.expect(json!("tick")).await;
    client.send_text("subscribe").await;
    client.expect(json!("subscribed")).await;
    broadcaster.broadcast("news", "rain", Payload::empty()).expect("an object");
    client.expect(json!({ "news": "rain" })).await;
    drop(client);
    assert_eq!(ears.ended().await, "shutdown: closed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn how_it_ends_is_the_close_code_and_what_was_pushed_arrives() {
    let (server, mut ears) = server(Limits::default()).await;
    let mut bystander = greeted(&server).await;
    for (told, code, reason) in
        [("normal", 1000, "normal"), ("shutdown", 1001, "shutdown: told to"), ("error", 1011, "told to fail")]
    {
        let mut client = greeted(&server).await;
        client.send_text(told).await;
        client.expect(json!("goodbye")).await;
        assert_eq!(client.close_code().await, Some(code), "{told}");
        assert_eq!(ears.ended().await, reason);
    }
    let mut client = greeted(&server).await;
    client.send_text("panic").await;
    match within("the close", client.next()).await {
        Some(Ok(Message::Close(Some(CloseFrame { code, reason })))) => {
            assert_eq!((u16::from(code), reason.as_str()), (1011, "internal error"));
        }
        other => panic!("{other:?}"),
    }
    assert!(ears.ended().await.contains("as it was told"));
    let mut unwanted = open(&server, "unwanted").await;
    assert_eq!(unwanted.close_code().await, Some(1001));
    bystander.send_text("7").await;
    bystander.expect(json!(7)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_callback_that_hangs_holds_up_neither_what_it_pushed_nor_the_end() {
    let limits = Limits { channel_shutdown: Duration::from_millis(50), ..Limits::default() };
    let (server, mut ears) = server(limits).await;
    let mut client = greeted(&server).await;
    let addr = ears.opened.recv().await.expect("it opened");
    client.send_text("hang").await;
    client.expect(json!("hanging")).await;
    let end = addr.call(Msg::Name, Duration::from_secs(10));
    drop(client);
    let error = within("the kill", end).await.expect_err("it hangs");
    assert_eq!(error.to_string(), CallError::Exited(ExitReason::Killed).to_string());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn limits_are_those_of_any_socket() {
    let limits = Limits { frame_bytes_max: 1_000, outbound_bytes_max: 100_000, ..Limits::default() };
    let (server, mut ears) = server(limits).await;
    let mut client = greeted(&server).await;
    client.send_text(&"x".repeat(1_001)).await;
    assert_eq!(client.close_code().await, Some(1009));
    assert_eq!(ears.ended().await, "shutdown: closed");
    let mut client = greeted(&server).await;
    client.send_text("flood").await;
    assert_eq!(client.close_code().await, Some(1008));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drain_closes_it_with_1012() {
    let (server, mut ears) = server(Limits::default()).await;
    let mut client = greeted(&server).await;
    within("the end", async {
        tokio::join!(server.tree.stop(), async {
            assert_eq!(client.close_code().await, Some(1012));
        })
    })
    .await;
    assert_eq!(ears.ended().await, "shutdown: draining");
}

async fn polled() -> (Polled, Ears) {
    let (log, ears) = log();
    let endpoint =
        Endpoint::builder().raw_socket::<Obedient>("/socket", log).build().expect("described right");
    let tree = Supervisor::one_for_one().child(endpoint.sockets()).start().await.expect("it starts");
    (Polled { endpoint, tree }, ears)
}

const NDJSON: &str = "application/x-ndjson";

#[tokio::test(start_paused = true)]
async fn a_client_that_polls() {
    let (server, _ears) = polled().await;
    assert_eq!(server.get("", None).await, json!({ "status": 403 }));
    let client = server.open("name=ann").await;
    assert_eq!(client.messages(1).await, [json!({ "hello": "ann" })]);
    assert_eq!(client.publish(NDJSON, "[1]\n[2]").await, 200);
    assert_eq!(client.messages(2).await, [json!([1]), json!([2])]);
    assert_eq!(client.publish("text/plain", "binary").await, 200);
    assert_eq!(client.messages(1).await, [json!("refused")]);
    assert_eq!(client.publish("text/plain", "subscribe").await, 200);
    let broadcaster = server.endpoint.broadcaster();
    broadcaster.broadcast("news", "rain", Payload::empty()).expect("an object");
    let news: Vec<Value> = client.messages(2).await;
    assert_eq!(news, [json!("subscribed"), json!({ "news": "rain" })]);
}

#[tokio::test(start_paused = true)]
async fn a_publish_is_answered_when_it_is_handled() {
    let (server, mut ears) = polled().await;
    let client = server.open("name=silent").await;
    let start = Instant::now();
    assert_eq!(client.publish("text/plain", "slow").await, 200);
    assert_eq!(start.elapsed().as_secs(), 3);
    assert_eq!(client.messages(1).await, [json!("slow")]);
    // One that takes longer than the window is answered so, and the session goes on meanwhile.
    assert_eq!(client.publish("text/plain", "hang").await, 408);
    assert_eq!(client.messages(1).await, [json!("hanging")]);
    drop(client);
    ears.ended.try_recv().expect_err("it hangs still");
}

#[tokio::test(start_paused = true)]
async fn the_end_of_a_session_is_told_to_the_poll_that_waits() {
    let (server, mut ears) = polled().await;
    let client = server.open("name=silent").await;
    let later = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        client.publish("text/plain", "shutdown").await
    };
    let ((status, messages), published) = tokio::join!(client.poll(), later);
    assert_eq!((status, messages, published), (200, vec![json!("goodbye")], 200));
    assert_eq!(ears.ended().await, "shutdown: told to");
    assert_eq!(client.publish("text/plain", "1").await, 410);
    // A session that nobody polls ends by itself.
    let idle = server.open("name=silent").await;
    tokio::time::sleep(LongPollOptions::default().window * 2).await;
    assert_eq!(ears.ended().await, "shutdown: closed");
    assert_eq!(idle.publish("text/plain", "1").await, 410);
}

#[test]
fn what_can_be_pushed() {
    assert_eq!(Frame::from("a"), Frame::from("a".to_owned()));
    assert_eq!(Frame::from(vec![1]), Frame::from(Bytes::from_static(&[1])));
    let shared: Arc<str> = Arc::from("a");
    assert_eq!(Frame::from(&*shared).len(), 1);
}
