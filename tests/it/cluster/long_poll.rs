//! Polls and publishes that land on another node than their session's.

use std::sync::Arc;
use std::time::Duration;

use heronry::Name;
use heronry::cluster::{Node, NodeOptions};
use heronry::engine::{Local, LocalHub};
use heronry::node::{Incarnation, NodeId, NodeName};
use heronry_channels::prelude::*;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::channels::poller::{Polled, Poller};

const SECRET: &str = "a secret that all nodes of the cluster have in common, and nobody else";

struct Lobby;

impl Socket for Lobby {
    type Assigns = ();

    async fn connect(&self, _: &Connect) -> Result<(), Refusal> {
        Ok(())
    }

    fn channels(routes: Routes<Self>) -> Routes<Self> {
        routes.channel::<Room>("room:*")
    }
}

struct Room;

impl Channel for Room {
    type Socket = Lobby;
    type Msg = ();

    async fn join(_: &str, _: Payload, _: &mut ChannelSocket<Self>) -> Join<Self> {
        Ok((Self, Payload::empty()))
    }

    async fn handle_in(&mut self, _: &str, payload: Payload, _: &mut ChannelSocket<Self>) -> Outcome {
        Ok(Handled::ok_with(payload))
    }
}

struct Two {
    nodes: [Node; 2],
    /// The same endpoint on each.
    on: [Polled; 2],
}

async fn two(secrets: [&str; 2]) -> Two {
    let hub = LocalHub::new();
    let start = async |name: &str, life, secret: &str| {
        let id = NodeId::new(NodeName::parse(name).expect("a name"), Incarnation::new(life));
        let node = Node::start(Arc::new(Local::new(id, &hub)), &NodeOptions::new()).await.expect("it starts");
        let pubsub = Name::parse("endpoint").expect("a name");
        let endpoint = Endpoint::over(&node, pubsub).secret_key_base(secret).socket("/socket", Lobby).build();
        let polled = Polled::of(endpoint.expect("the endpoint's description is right")).await;
        (node, polled)
    };
    let (a, on_a) = start("a", 1, secrets[0]).await;
    let (b, on_b) = start("b", 2, secrets[1]).await;
    sleep(Duration::from_millis(100)).await;
    Two { nodes: [a, b], on: [on_a, on_b] }
}

/// The session of `poller`, by requests to another server.
fn by<'a>(server: &'a Polled, poller: &Poller<'_>) -> Poller<'a> {
    Poller { server, token: poller.token.clone() }
}

fn echo(n: u64) -> Value {
    json!(["1", "2", "room:a", "echo", { "n": n }])
}

#[tokio::test(start_paused = true)]
async fn a_session_is_polled_and_published_to_by_way_of_any_node() {
    let two = two([SECRET; 2]).await;
    let at_home = two.on[0].open("vsn=2.0.0").await;
    let away = by(&two.on[1], &at_home);
    away.join("room:a").await;
    for n in 0..3 {
        let (asks, reads) = if n % 2 == 0 { (&at_home, &away) } else { (&away, &at_home) };
        assert_eq!(asks.send(echo(n)).await, 200);
        assert_eq!(reads.messages(1).await[0][4]["response"], json!({ "n": n }));
    }
    // A batch, with a frame that is none at its end.
    let batch = format!("{}\n{}\n*", echo(7), echo(8));
    assert_eq!(away.publish("application/x-ndjson", batch).await, 400);
    let messages = away.messages(2).await;
    assert_eq!([&messages[0][4]["response"]["n"], &messages[1][4]["response"]["n"]], [7, 8]);
}

#[tokio::test(start_paused = true)]
async fn a_poll_by_way_of_another_node_waits_for_its_window_and_is_woken_by_a_message() {
    let two = two([SECRET; 2]).await;
    let at_home = two.on[0].open("vsn=2.0.0").await;
    let away = by(&two.on[1], &at_home);
    away.join("room:a").await;
    let start = Instant::now();
    assert_eq!(away.poll().await, (204, vec![]));
    assert_eq!(start.elapsed().as_secs(), 10);

    let start = Instant::now();
    let later = async {
        sleep(Duration::from_secs(3)).await;
        assert_eq!(at_home.send(echo(1)).await, 200);
    };
    let ((status, messages), ()) = tokio::join!(away.poll(), later);
    assert_eq!((status, messages.len(), start.elapsed().as_secs()), (200, 1, 3));
}

#[tokio::test(start_paused = true)]
async fn when_the_node_of_a_session_is_gone_so_is_the_session() {
    let two = two([SECRET; 2]).await;
    let away = by(&two.on[1], &two.on[0].open("vsn=2.0.0").await);
    away.join("room:a").await;
    two.on[0].tree.stop().await;
    two.nodes[0].stop().await;
    sleep(Duration::from_millis(100)).await;
    assert_eq!(away.send(echo(1)).await, 410);
    let (status, messages) = away.poll().await;
    assert_eq!((status, messages), (410, vec![]), "with the token of a new session");
}

#[tokio::test(start_paused = true)]
async fn a_session_that_has_ended_is_gone_by_way_of_any_node() {
    let two = two([SECRET; 2]).await;
    let away = by(&two.on[1], &two.on[0].open("vsn=2.0.0").await);
    away.join("room:a").await;
    sleep(Duration::from_secs(16)).await;
    let start = Instant::now();
    assert_eq!(away.send(echo(1)).await, 410);
    assert_eq!(away.poll().await.0, 410);
    assert!(start.elapsed() < Duration::from_millis(100), "its node says so at once");
}

#[tokio::test(start_paused = true)]
async fn a_token_of_another_secret_is_none() {
    let two = two([SECRET, "another secret, of the other node alone, for once"]).await;
    let away = by(&two.on[1], &two.on[0].open("vsn=2.0.0").await);
    assert_eq!(away.send(echo(1)).await, 410);
    assert_eq!(away.poll().await.0, 410);
}
