//! What callbacks may leave out, what `handle_out` may do, and what reaches a channel besides its client's events.

use std::sync::{Arc, Mutex};

use heronry::process;
use heronry::pubsub::Subscription;
use heronry_channels::prelude::*;
use heronry_channels::{Broadcaster, ChannelAddr, Limits, SocketOptions};
use serde_json::{Value, json};
use tokio::sync::oneshot;

use super::room::Lab;
use crate::support::{Client, TestServer, within};

/// Holds the address of the last `Listener` that was joined.
#[derive(Clone, Default)]
struct Hub {
    listener: Arc<Mutex<Option<ChannelAddr<Told>>>>,
}

impl Socket for Hub {
    type Assigns = ();

    async fn connect(&self, _: &Connect) -> Result<(), Refusal> {
        Ok(())
    }

    fn channels(routes: Routes<Self>) -> Routes<Self> {
        routes
            .channel::<Filter>("exact:1")
            .channel::<Silent>("exact:*")
            .channel::<Silent>("prefix:*")
            .channel::<Filter>("prefix:1")
            .channel::<Filter>("filter")
            .channel::<Listener>("listener")
    }
}

/// Implements what it has to, and nothing more.
struct Silent;

impl Channel for Silent {
    type Socket = Hub;
    type Msg = &'static str;
    const INTERCEPT: &'static [&'static str] = &["note"];

    async fn join(_: &str, _: Payload, socket: &mut ChannelSocket<Self>) -> Join<Self> {
        socket.addr().send("nobody reads this")?;
        Ok((Self, json!({ "channel": "silent" }).into()))
    }
}

/// Does with a broadcast what its event says.
struct Filter;

impl Channel for Filter {
    type Socket = Hub;
    type Msg = ();
    const INTERCEPT: &'static [&'static str] = &["drop", "twice", "stop", "boom"];

    async fn join(_: &str, _: Payload, _: &mut ChannelSocket<Self>) -> Join<Self> {
        Ok((Self, json!({ "channel": "filter" }).into()))
    }

    async fn handle_out(
        &mut self,
        event: &str,
        payload: Payload,
        socket: &mut ChannelSocket<Self>,
    ) -> Outcome {
        match event {
            "drop" => {}
            "twice" => {
                socket.push("first", payload.clone())?;
                socket.push("second", payload)?;
            }
            "stop" => return Ok(Handled::Stop(ExitReason::Normal)),
            other => panic!("a broadcast of {other}"),
        }
        Ok(Handled::NoReply)
    }
}

/// Listens to another topic, and answers questions of other processes.
struct Listener {
    _news: Subscription,
}

enum Told {
    News(String, Payload),
    Ask(oneshot::Sender<String>),
}

impl Channel for Listener {
    type Socket = Hub;
    type Msg = Told;

    async fn join(_: &str, _: Payload, socket: &mut ChannelSocket<Self>) -> Join<Self> {
        let news = socket.subscribe("news", |news| Told::News(news.event.to_string(), news.payload));
        *socket.handler().listener.lock().expect("nobody panics with it") = Some(socket.addr());
        Ok((Self { _news: news }, Payload::empty()))
    }

    async fn handle_info(&mut self, told: Told, socket: &mut ChannelSocket<Self>) -> Outcome {
        match told {
            Told::News(event, payload) => socket.push(&event, payload)?,
            Told::Ask(answer) => drop(answer.send(socket.topic().to_owned())),
        }
        Ok(Handled::NoReply)
    }
}

async fn server() -> (TestServer, Broadcaster, Hub) {
    let hub = Hub::default();
    let builder = Endpoint::builder().socket_with("/socket", hub.clone(), SocketOptions::default());
    let broadcaster = builder.broadcaster();
    (TestServer::start(builder).await, broadcaster, hub)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_routes_the_first_that_matches_serves() {
    let (server, ..) = server().await;
    let mut client = Client::connect(server.addr, "").await;
    for (topic, channel) in
        [("exact:1", "filter"), ("exact:2", "silent"), ("prefix:1", "silent"), ("prefix:2", "silent")]
    {
        client.push(Value::Null, topic, "phx_join", json!({})).await;
        assert_eq!(client.frame().await[4]["response"]["channel"], channel, "{topic}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_left_out_is_a_crash_for_events_a_push_for_broadcasts_and_nothing_for_messages() {
    let (server, broadcaster, _) = server().await;
    let mut client = Client::connect(server.addr, "").await;
    let join_ref = json!(client.join("exact:silent").await);
    broadcaster.broadcast("exact:silent", "note", json!({ "n": 1 })).expect("an object");
    client.expect(json!([join_ref, null, "exact:silent", "note", { "n": 1 }])).await;
    client.push(join_ref.clone(), "exact:silent", "anything", json!({})).await;
    let told = json!({ "reason": "channel_crash" });
    client.expect(json!([join_ref, join_ref, "exact:silent", "phx_error", told])).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broadcast_on_its_way_out_is_dropped_rewritten_or_ends_the_channel() {
    let (server, broadcaster, _) = server().await;
    let mut client = Client::connect(server.addr, "").await;
    let send = |event: &str| broadcaster.broadcast("filter", event, json!({})).expect("an object");
    for (event, end, told) in
        [("stop", "phx_close", json!({})), ("boom", "phx_error", json!({ "reason": "channel_crash" }))]
    {
        let join_ref = json!(client.join("filter").await);
        for event in ["drop", "twice", "plain", event] {
            send(event);
            if event == "twice" {
                client.expect(json!([join_ref, null, "filter", "first", {}])).await;
                client.expect(json!([join_ref, null, "filter", "second", {}])).await;
            } else if event == "plain" {
                client.expect(json!([null, null, "filter", "plain", {}])).await;
            }
        }
        client.expect(json!([join_ref, join_ref, "filter", end, told])).await;
    }
    client.assert_alive().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_channel_hears_another_topic_and_answers_other_processes() {
    let (server, broadcaster, hub) = server().await;
    let mut client = Client::connect(server.addr, "").await;
    let join_ref = json!(client.join("listener").await);
    broadcaster.broadcast("news", "headline", json!({ "n": 1 })).expect("an object");
    client.expect(json!([join_ref, null, "listener", "headline", { "n": 1 }])).await;
    let listener = hub.listener.lock().expect("nobody panics with it").clone().expect("it was joined");
    let (answer, answered) = oneshot::channel();
    assert!(listener.send(Told::Ask(answer)).is_ok());
    assert_eq!(within("the answer", answered).await.expect("an answer"), "listener");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_hears_a_topic_as_long_as_it_is_subscribed() {
    let (_server, broadcaster, _) = server().await;
    let (subscribed, is_subscribed) = oneshot::channel();
    let (heard, is_heard) = oneshot::channel();
    let by = broadcaster.clone();
    let listener = process::spawn(move |mut ctx| async move {
        let subscription = by.subscribe(&ctx, "news", |news| (news.event.to_string(), news.payload));
        subscribed.send(()).expect("the test waits for it");
        let first = ctx.receive().await;
        drop(subscription);
        drop(heard.send(first));
        ctx.receive().await;
    });
    within("the subscription", is_subscribed).await.expect("it lives");
    broadcaster.broadcast("other", "headline", json!({ "n": 0 })).expect("an object");
    broadcaster.broadcast("news", "headline", json!({ "n": 1 })).expect("an object");
    let first = within("the news", is_heard).await.expect("it lives");
    assert!(matches!(
        first,
        heronry::Received::Message((event, payload))
            if event == "headline" && payload.as_json() == Some(r#"{"n":1}"#)
    ));
    broadcaster.broadcast("news", "headline", json!({ "n": 2 })).expect("an object");
    assert_eq!(process::info(listener.pid()).map(|info| info.mailbox_len), Some(0), "no more was delivered");
    process::kill(listener.pid());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_that_asks_for_no_reply_can_not_be_replied_to_later() {
    let server = TestServer::of(Lab::default(), Limits::default()).await;
    let mut client = Client::connect(server.addr, "").await;
    let join_ref = json!(client.join("room:a").await);
    client.send_text(&json!([join_ref, null, "room:a", "async", {}]).to_string()).await;
    let told = json!({ "reason": "channel_crash" });
    client.expect(json!([join_ref, join_ref, "room:a", "phx_error", told])).await;
}
