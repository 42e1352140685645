//! Transient channels: restarted without their client's notice, until that is too often.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use heronry::telemetry::{self, Event};
use heronry_channels::prelude::*;
use heronry_channels::{ChannelRestart, ChannelRestarted, Limits};

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;

use crate::support::{Client, TestServer, eventually};

/// Its rooms crash on `boom`, and from the given join on they refuse or crash.
#[derive(Default)]
struct Nest {
    joins: AtomicU32,
    refuse_from: Option<u32>,
    crash_from: Option<u32>,
}

struct Room {
    join: u32,
    params: Value,
}

impl Socket for Nest {
    type Assigns = ();

    async fn connect(&self, _: &Connect) -> Result<(), Refusal> {
        Ok(())
    }

    fn channels(routes: Routes<Self>) -> Routes<Self> {
        let restart = ChannelRestart::Transient { intensity: 2, period: Duration::from_secs(60) };
        routes.channel_with::<Room>("room:*", restart)
    }
}

impl Channel for Room {
    type Socket = Nest;
    type Msg = ();

    async fn join(_: &str, payload: Payload, socket: &mut ChannelSocket<Self>) -> Join<Self> {
        let nest = socket.handler();
        let join = nest.joins.fetch_add(1, Ordering::SeqCst) + 1;
        assert!(nest.crash_from.is_none_or(|from| join < from), "join {join} crashes");
        if nest.refuse_from.is_some_and(|from| join >= from) {
            return Err(JoinError::refuse(json!({ "reason": "full" })));
        }
        Ok((Self { join, params: payload.parse()? }, json!({ "join": join }).into()))
    }

    async fn handle_in(
        &mut self,
        event: &str,
        payload: Payload,
        socket: &mut ChannelSocket<Self>,
    ) -> Outcome {
        match event {
            "which" => Ok(Handled::ok_with(json!({ "join": self.join, "params": self.params }))),
            "shout" => {
                socket.broadcast("shout", payload)?;
                Ok(Handled::NoReply)
            }
            "stop" => Ok(Handled::Stop(ExitReason::Normal)),
            "stuck" => std::future::pending().await,
            _ => panic!("boom"),
        }
    }
}

/// A client that has joined a topic; the process table is that of all tests, so each takes a topic of its own.
struct Visit {
    _server: TestServer,
    client: Client,
    topic: &'static str,
}

impl Visit {
    async fn new(topic: &'static str, nest: Nest, limits: Limits) -> Self {
        let server = TestServer::of(nest, limits).await;
        let mut client = Client::connect(server.addr, "").await;
        client.push(Value::Null, topic, "phx_join", json!({ "seat": 4 })).await;
        let mut visit = Self { _server: server, client, topic };
        visit.expect_reply("1", json!({ "join": 1 })).await;
        visit
    }

    async fn push(&mut self, event: &str) -> String {
        self.client.push(json!("1"), self.topic, event, json!({})).await
    }

    async fn expect_reply(&mut self, reference: &str, response: Value) {
        let payload = json!({ "status": "ok", "response": response });
        self.client.expect(json!(["1", reference, self.topic, "phx_reply", payload])).await;
    }

    /// The room that answers was made by this join, with the params of the first; and nothing was sent before.
    async fn expect_join(&mut self, join: u32) {
        let reference = self.push("which").await;
        self.expect_reply(&reference, json!({ "join": join, "params": { "seat": 4 } })).await;
    }

    async fn expect_error(&mut self) {
        self.client.expect(json!(["1", "1", self.topic, "phx_error", { "reason": "channel_crash" }])).await;
    }

    /// How often each of the topic's channels has been restarted.
    fn restarts(&self) -> Vec<u32> {
        let (tree, label) = (heronry::inspect::tree(), format!("channel {}", self.topic));
        let rooms = tree.nodes.iter().filter(|node| node.label.as_str() == label);
        rooms.map(|node| node.restarts).collect()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_client_notices_nothing_until_the_intensity_is_spent() {
    let mut visit = Visit::new("room:nest-spent", Nest::default(), Limits::default()).await;
    for crash in 1..=2 {
        visit.push("boom").await;
        // What comes before the socket knows of the crash is lost with the channel.
        eventually("the restart", || visit.restarts() == [crash]).await;
        visit.expect_join(crash + 1).await;
    }
    visit.push("shout").await;
    visit.client.expect(json!([null, null, visit.topic, "shout", {}])).await;
    visit.push("boom").await;
    visit.expect_error().await;
    visit.client.push(Value::Null, visit.topic, "phx_join", json!({})).await;
    assert_eq!(visit.client.frame().await[4]["response"], json!({ "join": 4 }));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rejoin_that_is_refused_is_told() {
    let nest = Nest { refuse_from: Some(2), ..Nest::default() };
    let mut visit = Visit::new("room:nest-refused", nest, Limits::default()).await;
    visit.push("boom").await;
    visit.expect_error().await;
    visit.client.assert_alive().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rejoins_that_crash_are_counted() {
    let nest = Nest { crash_from: Some(2), ..Nest::default() };
    let mut visit = Visit::new("room:nest-crashes", nest, Limits::default()).await;
    visit.push("boom").await;
    visit.expect_error().await;
    visit.client.assert_alive().await;
    let again = visit.client.push(Value::Null, visit.topic, "phx_join", json!({})).await;
    let payload = json!({ "status": "error", "response": { "reason": "join crashed" } });
    visit.client.expect(json!([again, again, visit.topic, "phx_reply", payload])).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_orderly_end_is_no_restart() {
    let mut visit = Visit::new("room:nest-stop", Nest::default(), Limits::default()).await;
    visit.push("stop").await;
    visit.client.expect(json!(["1", "1", visit.topic, "phx_close", {}])).await;
    visit.client.assert_alive().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_socket_that_ends_does_not_restart_the_channels_that_it_kills() {
    let limits = Limits { channel_shutdown: Duration::from_millis(50), ..Limits::default() };
    let mut visit = Visit::new("room:nest-killed", Nest::default(), limits).await;
    visit.push("stuck").await;
    visit.client.assert_alive().await;
    let restarted: Arc<Mutex<Vec<String>>> = Arc::default();
    let into = restarted.clone();
    let handler = telemetry::attach(move |event: &dyn Event| {
        if let Some(event) = (event as &dyn std::any::Any).downcast_ref::<ChannelRestarted>() {
            into.lock().unwrap().push(event.topic.to_string());
        }
    });
    visit.client.tcp().shutdown().await.unwrap();
    eventually("the end of the channel", || visit.restarts().is_empty()).await;
    telemetry::detach(handler);
    assert!(!restarted.lock().unwrap().contains(&visit.topic.to_owned()));
}
