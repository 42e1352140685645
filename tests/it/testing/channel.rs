//! `heronry_channels::testing`: each row of Phoenix's `channel_test.exs` (CT), by its name there.

use std::time::Duration;

use heronry::process;
use heronry::pubsub::Subscription;
use heronry::testing::{TestProcess, assert_down, assert_exit, assert_receive, refute_received};
use heronry_channels::prelude::*;
use heronry_channels::testing::{
    ChannelTest, ConnectInfo, Status, TestChannel, TestSocket, assert_broadcast, assert_push, assert_reply,
    refute_broadcast, refute_push, refute_reply,
};
use heronry_channels::{CloseCode, Endpoint, Limits};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::failure;

struct UserSocket {
    /// Hears with what reason channels terminate.
    ears: Addr<ExitReason>,
}

#[derive(Debug, PartialEq)]
struct Assigns {
    name: String,
    peer: Option<String>,
}

impl Socket for UserSocket {
    type Assigns = Assigns;

    async fn connect(&self, connect: &Connect) -> Result<Assigns, Refusal> {
        if connect.params.get("reject") == Some(&json!(true)) {
            return Err(Refusal::forbidden());
        }
        let name = connect.params.get_str("name").or(connect.auth_token.as_deref());
        let peer = connect.peer.map(|peer| format!("{peer} {:?}", connect.user_agent()));
        Ok(Assigns { name: name.unwrap_or("nobody").to_owned(), peer })
    }

    fn id(&self, _: &Assigns) -> Option<String> {
        Some("123".to_owned())
    }

    fn channels(routes: Routes<Self>) -> Routes<Self> {
        routes.channel::<Foo>("foo:*")
    }
}

struct Foo {
    listening: Option<Subscription>,
}

enum Msg {
    Stop,
    Push,
    Broadcast,
    Ping(Addr<&'static str>),
    External(Payload),
}

impl Channel for Foo {
    type Socket = UserSocket;
    type Msg = Msg;

    const INTERCEPT: &'static [&'static str] = &["stop"];

    async fn join(topic: &str, payload: Payload, socket: &mut ChannelSocket<Self>) -> Join<Self> {
        match topic {
            "foo:error" => Err(JoinError::refuse(payload)),
            "foo:crash" => panic!("join crashes"),
            "foo:slow" => {
                tokio::time::sleep(Duration::from_secs(30)).await;
                Ok((Self { listening: None }, Payload::empty()))
            }
            _ => Ok((
                Self { listening: None },
                json!({ "name": socket.assigns().name, "transport": socket.transport() }).into(),
            )),
        }
    }

    async fn handle_in(
        &mut self,
        event: &str,
        payload: Payload,
        socket: &mut ChannelSocket<Self>,
    ) -> Outcome {
        let request: Value = if payload.is_binary() { Value::Null } else { payload.parse()? };
        let response = json!({ "resp": request["req"] });
        match event {
            "noreply" => {
                socket.push("noreply", response)?;
                Ok(Handled::NoReply)
            }
            "reply" => Ok(Handled::ok_with(response)),
            "bytes" => {
                socket.push("bytes", payload.clone())?;
                Ok(Handled::ok_with(payload))
            }
            "async_reply" => {
                let reference = socket.socket_ref()?;
                tokio::spawn(async move { reference.reply(&Reply::ok(response)) });
                Ok(Handled::NoReply)
            }
            "other" => Ok(Handled::Reply(Reply::with("maybe", Payload::empty()))),
            "broadcast" => {
                socket.broadcast_from("broadcast", payload)?;
                Ok(Handled::NoReply)
            }
            "crash" => panic!("boom!"),
            "stop" => Ok(Handled::Stop(ExitReason::Normal)),
            "stop_and_reply" => Ok(Handled::StopReply(ExitReason::Shutdown, Reply::ok(response))),
            "listen" => {
                self.listening =
                    Some(socket.subscribe("external:topic", |heard| Msg::External(heard.payload)));
                Ok(Handled::ok())
            }
            other => panic!("no such event: {other}"),
        }
    }

    async fn handle_out(&mut self, _: &str, _: Payload, _: &mut ChannelSocket<Self>) -> Outcome {
        Ok(Handled::Stop(ExitReason::Shutdown))
    }

    async fn handle_info(&mut self, msg: Msg, socket: &mut ChannelSocket<Self>) -> Outcome {
        match msg {
            Msg::Stop => return Ok(Handled::Stop(ExitReason::Shutdown)),
            Msg::Push => socket.push("info", json!({ "reason": "push" }))?,
            Msg::Broadcast => socket.broadcast_from("info", json!({ "reason": "broadcast" }))?,
            Msg::Ping(from) => drop(from.send("pong")),
            Msg::External(payload) => socket.push("external_event", payload)?,
        }
        Ok(Handled::NoReply)
    }

    async fn terminate(&mut self, reason: &ExitReason, socket: &mut ChannelSocket<Self>) {
        if socket.topic() == "foo:timeout" {
            std::future::pending::<()>().await;
        }
        drop(socket.handler().ears.send(reason.clone()));
    }
}

type Ears = TestProcess<ExitReason>;

/// Runs a test with a socket, and with what hears of terminations.
async fn with_socket(test: impl AsyncFnOnce(&mut ChannelTest, &mut Ears, TestSocket<UserSocket>)) {
    let mut ears = Ears::start();
    ChannelTest::run(async |channels| {
        let assigns = Assigns { name: "original".to_owned(), peer: None };
        let handler = UserSocket { ears: ears.addr() };
        let socket = channels.socket(handler, Some("id"), assigns).await;
        test(channels, &mut ears, socket).await;
    })
    .await;
    ears.finish().await;
}

/// Runs a test with a channel that the test has joined and whose broadcasts it hears.
async fn with_channel(test: impl AsyncFnOnce(&mut ChannelTest, &mut Ears, TestChannel)) {
    with_socket(async |channels, ears, socket| {
        let (_, channel) = channels.subscribe_and_join(&socket, "foo:ok", json!({})).await.expect("it joins");
        test(channels, ears, channel).await;
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn socket_with_id_and_assigns() {
    with_socket(async |_, _, socket| {
        assert_eq!((socket.id(), &*socket.assigns().name), (Some("id"), "original"));
        assert!(process::is_alive(socket.pid()));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn connect_runs_the_socket_with_its_params_and_connect_info() {
    let ears = Ears::start();
    ChannelTest::run(async |test| {
        let handler = || UserSocket { ears: ears.addr() };
        let refused = test.connect(handler(), json!({ "reject": true }), ConnectInfo::default()).await;
        assert_eq!(refused.unwrap_err(), Refusal::forbidden());
        let mut info = ConnectInfo { peer: Some(([192, 0, 2, 1], 7).into()), ..ConnectInfo::default() };
        info.headers.insert("user-agent", "a test".parse().unwrap());
        info.auth_token = Some("token".to_owned());
        let socket = test.connect(handler(), json!({}), info).await.unwrap();
        let peer = Some("192.0.2.1:7 Some(\"a test\")".to_owned());
        assert_eq!(*socket.assigns(), Assigns { name: "token".to_owned(), peer });
        assert_eq!(socket.id(), Some("123"));
        let named = test.connect(handler(), json!({ "name": "ann" }), ConnectInfo::default()).await.unwrap();
        let (reply, _) = test.join(&named, "foo:ok", json!({})).await.unwrap();
        assert_eq!(reply, json!({ "name": "ann", "transport": "test" }).into());
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn join_with_success_links_the_channel() {
    with_socket(async |test, _, socket| {
        let (reply, channel) = test.join(&socket, "foo:ok", json!({})).await.unwrap();
        assert_eq!(reply.parse::<Value>().unwrap()["name"], "original");
        assert_eq!(channel.topic(), "foo:ok");
        let links = process::info(channel.channel_pid()).unwrap().links;
        assert!(links.contains(&test.pid()) && links.contains(&socket.pid()));
        // Without subscribing, nothing of the topic is heard as a broadcast.
        channel.push("broadcast", json!({ "foo": "bar" }));
        refute_broadcast!(test, _);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn join_from_another_process_and_join_that_takes_long() {
    with_socket(async |test, _, socket| {
        let joining = socket.clone();
        let (_, channel) =
            tokio::spawn(async move { joining.join("foo:slow", json!({})).await }).await.unwrap().unwrap();
        assert!(!process::info(channel.channel_pid()).unwrap().links.contains(&test.pid()));
        channel.push("noreply", json!({ "req": "foo" }));
        assert_push!(test, "noreply", json!({ "resp": "foo" }));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn join_with_error_reply_with_crash_and_of_a_topic_that_nobody_serves() {
    with_socket(async |test, _, socket| {
        let refused = test.join(&socket, "foo:error", json!({ "error": "mybad" })).await;
        assert_eq!(refused.unwrap_err(), json!({ "error": "mybad" }).into());
        let crashed = test.join(&socket, "foo:crash", json!({})).await;
        assert_eq!(crashed.unwrap_err(), json!({ "reason": "join crashed" }).into());
        let unmatched = test.join(&socket, "bar", json!({})).await;
        assert_eq!(unmatched.unwrap_err(), json!({ "reason": "unmatched topic" }).into());
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn pushes_and_receives_pushed_messages_with_guards() {
    with_channel(async |test, _, channel| {
        let reference = channel.push("noreply", json!({ "req": "foo" }));
        let pushed = assert_push!(test, "noreply", payload if payload["resp"].is_string());
        assert_eq!((&*pushed.topic, &*pushed.event), ("foo:ok", "noreply"));
        refute_reply!(test, reference);
        refute_push!(test, _);
        channel.push("noreply", json!({ "req": "bar" }));
        refute_push!(test, "noreply", json!({ "resp": "foo" }));
        failure(async { refute_push!(test, "noreply", json!({ "resp": "bar" })) }).await;
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn pushes_and_receives_replies() {
    with_channel(async |test, _, channel| {
        let reference = channel.push("reply", json!({}));
        assert_reply!(test, reference, Status::Ok);
        refute_push!(test, _, _);
        let lists = json!([{ "bar": "baz" }, { "bar": "foo" }]);
        let reference = channel.push("reply", json!({ "req": lists }));
        let response = assert_reply!(test, reference, Status::Ok, json!({ "resp": lists }));
        assert_eq!(response, json!({ "resp": lists }).into());
        let reference = channel.push("async_reply", json!({ "req": "foo" }));
        assert_reply!(test, reference, Status::Ok, payload if payload["resp"] == "foo");
        let reference = channel.push("other", json!({}));
        refute_reply!(test, reference, Status::Ok | Status::Error);
        assert_reply!(test, reference, Status::Other(_), _, Duration::from_secs(1));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn bytes_go_both_ways() {
    with_channel(async |test, _, channel| {
        let reference = channel.push_binary("bytes", vec![1, 0, 255]);
        assert_push!(test, "bytes", heronry_channels::Payload::binary(vec![1, 0, 255]));
        assert_reply!(test, reference, Status::Ok, heronry_channels::Payload::binary(vec![1, 0, 255]));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn crashed_channel_propagates_exit() {
    with_channel(async |test, ears, channel| {
        test.trap_exit(true);
        channel.push("crash", json!({}));
        assert_receive!(ears, ExitReason::Panic(report) if report.message == "boom!");
        assert_exit!(test.process(), channel.channel_pid(), ExitReason::Panic(_));
        assert_push!(test, "phx_error");
        refute_push!(test, "phx_close");
    })
    .await;
    // Without trapping exits the test ends.
    let crash = with_channel(async |_, _, channel| {
        channel.push("crash", json!({}));
        std::future::pending::<()>().await;
    });
    let said = failure(crash).await;
    assert!(said.starts_with("EXIT from") && said.contains("boom!"), "{said}");
}

#[tokio::test(start_paused = true)]
async fn pushes_on_stop() {
    with_channel(async |test, ears, channel| {
        test.trap_exit(true);
        channel.push("stop", json!({}));
        assert_receive!(ears, ExitReason::Normal);
        assert_exit!(test.process(), channel.channel_pid(), ExitReason::Normal);
        assert_push!(test, "phx_close");
        // Pushing after stop doesn't crash the client or the socket, which says what it says then.
        let late = channel.push("stop", json!({}));
        assert_reply!(test, late, Status::Error, json!({ "reason": "unmatched topic" }));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn pushes_and_receives_replies_on_stop() {
    with_channel(async |test, ears, channel| {
        test.trap_exit(true);
        let reference = channel.push("stop_and_reply", json!({ "req": "foo" }));
        assert_reply!(test, reference, Status::Ok, json!({ "resp": "foo" }));
        assert_receive!(ears, ExitReason::Shutdown);
        assert_push!(test, "phx_close");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn pushes_and_broadcasts_messages_with_guards() {
    with_channel(async |test, _, channel| {
        refute_broadcast!(test, "broadcast");
        channel.push("broadcast", json!({ "foo": "bar", "more": 1 }));
        assert_broadcast!(test, "broadcast", payload if payload["foo"].is_string());
        channel.push("broadcast", json!({ "foo": "bar", "more": 1 }));
        let heard = assert_broadcast!(test, "broadcast", json!({ "foo": "bar" }));
        assert_eq!(heard.topic, "foo:ok");
        refute_push!(test, _);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn push_broadcasts_by_default() {
    with_channel(async |test, _, channel| {
        channel.broadcast_from("default", json!({ "foo": "bar" })).unwrap();
        assert_push!(test, "default", json!({ "foo": "bar" }));
        refute_broadcast!(test, _);
        // From any process.
        tokio::spawn(async move { channel.broadcast_from("default", json!({ "n": 2 })) })
            .await
            .unwrap()
            .unwrap();
        assert_push!(test, "default", json!({ "n": 2 }));
        test.broadcaster().broadcast("foo:ok", "default", json!({ "n": 3 })).unwrap();
        assert_push!(test, "default", json!({ "n": 3 }));
        assert_broadcast!(test, "default", json!({ "n": 3 }));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn handles_broadcasts_and_stops() {
    with_channel(async |test, ears, channel| {
        test.trap_exit(true);
        channel.broadcast_from("stop", json!({ "foo": "bar" })).unwrap();
        assert_receive!(ears, ExitReason::Shutdown);
        assert_push!(test, "phx_close");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn handles_messages_pushes_broadcasts_and_stops() {
    with_channel(async |test, ears, channel| {
        let addr = channel.addr::<Foo>();
        addr.send(Msg::Push).unwrap();
        assert_push!(test, "info", json!({ "reason": "push" }));
        addr.send(Msg::Broadcast).unwrap();
        assert_broadcast!(test, "info", json!({ "reason": "broadcast" }));
        let mut caller = TestProcess::start();
        addr.send(Msg::Ping(caller.addr())).unwrap();
        assert_receive!(caller, "pong");
        test.unlink(&channel);
        addr.send(Msg::Stop).unwrap();
        assert_receive!(ears, ExitReason::Shutdown);
        assert_push!(test, "phx_close");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn leaves_the_channel() {
    with_channel(async |test, ears, channel| {
        test.trap_exit(true);
        let reference = channel.leave();
        assert_reply!(test, reference, Status::Ok, json!({}));
        assert_receive!(ears, reason if reason == ExitReason::shutdown_with("left"));
        assert_exit!(test.process(), channel.channel_pid(), reason if reason == ExitReason::shutdown_with("left"));
        assert_push!(test, "phx_close");
        // Leaving again doesn't crash.
        let again = channel.leave();
        assert_reply!(test, again, Status::Ok);
    })
    .await;
    let said = failure(with_channel(async |_, _, channel| {
        channel.leave();
        std::future::pending::<()>().await;
    }))
    .await;
    assert!(said.ends_with("shutdown: left"), "{said}");
}

#[tokio::test(start_paused = true)]
async fn closes_the_channel() {
    with_channel(async |test, ears, channel| {
        test.trap_exit(true);
        assert_eq!(channel.close().await, ExitReason::shutdown_with("closed"));
        assert!(!process::is_alive(channel.channel_pid()));
        assert_receive!(ears, reason if reason == ExitReason::shutdown_with("closed"));
        assert_exit!(test.process(), channel.channel_pid(), reason if reason == ExitReason::shutdown_with("closed"));
        // Closing again doesn't crash, nor does pushing.
        channel.close().await;
        let late = channel.push("reply", json!({}));
        refute_reply!(test, late);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn kills_the_channel_when_we_reach_timeout_on_close() {
    with_socket(async |test, ears, socket| {
        test.trap_exit(true);
        let (_, channel) = test.join(&socket, "foo:timeout", json!({})).await.unwrap();
        let begun = Instant::now();
        channel.close_within(Duration::ZERO).await;
        assert!(begun.elapsed() < Duration::from_millis(5));
        assert_exit!(test.process(), channel.channel_pid(), ExitReason::Killed);
        refute_received!(ears, _);
        channel.close().await;
    })
    .await;
    with_socket(async |test, _, socket| {
        test.trap_exit(true);
        test.join(&socket, "foo:timeout", json!({})).await.unwrap();
        let begun = Instant::now();
        socket.close().await;
        assert_eq!(begun.elapsed().as_secs(), 5);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn external_subscriptions() {
    with_channel(async |test, _, channel| {
        let listening = channel.push("listen", json!({}));
        assert_reply!(test, listening, Status::Ok);
        test.broadcaster().broadcast("external:topic", "external_event", json!({ "one": 1 })).unwrap();
        let pushed = assert_push!(test, "external_event", json!({ "one": 1 }));
        assert_eq!(pushed.topic, "foo:ok");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn subscribes_to_the_id_of_the_socket_and_is_disconnected() {
    with_channel(async |test, ears, channel| {
        test.trap_exit(true);
        test.subscribe("id");
        test.broadcaster().broadcast("id", "disconnect", json!({})).unwrap();
        assert_broadcast!(test, "disconnect", json!({}));
        assert_eq!(test.assert_closed().await, (CloseCode::GoingAway, "disconnect".to_owned()));
        assert_receive!(ears, reason if reason == ExitReason::shutdown_with("closed"));
        let monitor = test.process().monitor(channel.channel_pid());
        assert_down!(test.process(), monitor);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_second_join_of_a_topic_closes_the_first_as_for_any_client() {
    with_socket(async |test, ears, socket| {
        test.trap_exit(true);
        let (_, first) = test.join(&socket, "foo:ok", json!({})).await.unwrap();
        let (_, second) = test.join(&socket, "foo:ok", json!({})).await.unwrap();
        assert_receive!(ears, reason if reason == ExitReason::shutdown_with("duplicate join"));
        assert_push!(test, "phx_close");
        let stale = first.push("reply", json!({}));
        refute_reply!(test, stale);
        let reference = second.push("reply", json!({}));
        assert_reply!(test, reference, Status::Ok);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn the_limits_of_sockets_hold() {
    let ears = Ears::start();
    ChannelTest::run(async |test| {
        test.trap_exit(true);
        test.set_limits(Limits { channels_max: 1, frame_bytes_max: 1_000, ..Limits::default() });
        let handler = UserSocket { ears: ears.addr() };
        let socket = test.connect(handler, json!({}), ConnectInfo::default()).await.unwrap();
        let (_, channel) = test.join(&socket, "foo:1", json!({})).await.unwrap();
        let second = test.join(&socket, "foo:2", json!({})).await;
        assert_eq!(second.unwrap_err(), json!({ "reason": "too many channels joined" }).into());
        channel.push("reply", json!({ "req": "a".repeat(1_000) }));
        assert_eq!(test.assert_closed().await.0, CloseCode::TooBig);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_failed_assertion_says_what_came() {
    with_channel(async |test, _, channel| {
        let reference = channel.push("reply", json!({ "req": 1 }));
        channel.push("noreply", json!({ "req": 2 }));
        channel.broadcast_from("default", json!({})).unwrap();
        test.broadcaster().broadcast("foo:ok", "all", json!({})).unwrap();
        heronry::testing::settle().await;
        let said = failure(async { assert_push!(test, "noreply", json!({ "resp": 3 })) }).await;
        let head = "Assertion failed, no matching message after 100ms\n\
                    pattern: push \"noreply\": {\"resp\":3}\n\
                    Showing 5 of 5 messages in the process mailbox:\n";
        assert!(said.starts_with(head), "{said}");
        let reply = format!("\n  reply to {reference:?} on \"foo:ok\": ok {{\"resp\":1}}");
        assert!(
            said.contains("\n  push \"noreply\" on \"foo:ok\": {\"resp\":2}") && said.contains(&reply),
            "{said}"
        );
        assert!(said.contains("\n  broadcast \"all\" on \"foo:ok\": {}"), "{said}");
        let said = failure(async { assert_reply!(test, reference, Status::Error) }).await;
        assert!(
            said.contains(&format!("pattern: reply to {reference:?}: Status::Error any payload")),
            "{said}"
        );
        let said = failure(async { refute_reply!(test, reference) }).await;
        assert!(said.starts_with("Unexpectedly received message reply to"), "{said}");
        let said = failure(async { assert_broadcast!(test, _, payload if payload["n"] == 1) }).await;
        assert!(said.contains("pattern: broadcast of any event: a payload if payload[\"n\"] == 1"), "{said}");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn the_pubsub_of_an_endpoint_is_shared() {
    let endpoint = Endpoint::builder().build().unwrap();
    let ears = Ears::start();
    ChannelTest::run_with(&endpoint.broadcaster(), async |test| {
        let handler = UserSocket { ears: ears.addr() };
        let socket = test.connect(handler, json!({}), ConnectInfo::default()).await.unwrap();
        test.join(&socket, "foo:ok", json!({})).await.unwrap();
        endpoint.broadcaster().broadcast("foo:ok", "news", json!({})).unwrap();
        assert_push!(test, "news");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_meet_on_many_threads() {
    let ears = Ears::start();
    ChannelTest::run(async |test| {
        let mut rooms = Vec::new();
        for n in 0..10 {
            let handler = UserSocket { ears: ears.addr() };
            let name = format!("user {n}");
            let socket =
                test.connect(handler, json!({ "name": name }), ConnectInfo::default()).await.unwrap();
            rooms.push(test.join(&socket, "foo:ok", json!({})).await.unwrap().1);
        }
        for (n, room) in rooms.iter().enumerate() {
            room.push("broadcast", json!({ "n": n }));
        }
        // Each hears the nine others.
        for n in 0..10 {
            for _ in 0..9 {
                assert_push!(test, "broadcast", json!({ "n": n }), Duration::from_secs(10));
            }
        }
        let last = rooms[0].push("reply", json!({}));
        assert_reply!(test, last, Status::Ok, _, Duration::from_secs(10));
        refute_push!(test, _, _, Duration::ZERO);
    })
    .await;
}
