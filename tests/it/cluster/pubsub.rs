//! PubSub over several nodes, against `Phoenix.PubSub`'s distributed tests; and endpoints on them.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use heronry::Name;
use heronry::cluster::{Node, NodeOptions};
use heronry::engine::sim::{Faults, Sim};
use heronry::engine::{Local, LocalHub, PublishError};
use heronry::node::{Incarnation, NodeId, NodeName};
use heronry::prelude::*;
use heronry::pubsub::{BroadcastError, Dispatcher, Entry, PubSub, Subscription, Wire, WireError};
use heronry_channels::prelude::*;
use heronry_channels::testing::{ChannelTest, ConnectInfo, assert_push, refute_push};
use heronry_channels::{CloseCode, Endpoint};
use serde_json::json;
use tokio::time::sleep;

/// Numbers, written down where they arrive.
struct Numbers;

type Log = Arc<Mutex<Vec<u32>>>;
type News = PubSub<Numbers>;

impl Dispatcher for Numbers {
    type Message = u32;
    type Subscriber = Log;

    fn dispatch(&self, entries: &mut dyn Iterator<Item = &Entry<Log>>, message: &u32) {
        entries.for_each(|entry| entry.subscriber.lock().expect("no panic under it").push(*message));
    }
}

/// A number that has no form to travel in.
const AT_HOME: u32 = u32::MAX;

impl Wire for Numbers {
    fn encode(&self, message: &u32) -> Result<Bytes, WireError> {
        if *message == AT_HOME {
            return Err(WireError::new("it stays at home"));
        }
        Ok(Bytes::copy_from_slice(&message.to_be_bytes()))
    }

    fn decode(&self, _: &str, bytes: Bytes) -> Result<u32, WireError> {
        Ok(u32::from_be_bytes(bytes.as_ref().try_into().map_err(WireError::new)?))
    }
}

fn name(text: &str) -> Name {
    Name::parse(text).expect("a name")
}

fn id(name: &str, life: u64) -> NodeId {
    NodeId::new(NodeName::parse(name).expect("a name"), Incarnation::new(life))
}

async fn nodes() -> [Node; 3] {
    let hub = LocalHub::new();
    let node = |name, life| {
        let engine = Arc::new(Local::new(id(name, life), &hub));
        async move { Node::start(engine, &NodeOptions::new()).await.expect("it starts") }
    };
    let nodes = [node("a", 1).await, node("b", 2).await, node("c", 3).await];
    settle().await;
    nodes
}

fn news(node: &Node) -> News {
    PubSub::over(node, name("news"), Numbers)
}

/// What the process hears that subscribes to a topic.
fn listen(news: &News, pid: Pid, topic: &str) -> (Subscription, Log) {
    let log = Log::default();
    (news.subscribe(pid, topic, log.clone()), log)
}

fn nothing() -> Vec<u32> {
    Vec::new()
}

fn take(log: &Log) -> Vec<u32> {
    std::mem::take(&mut *log.lock().expect("no panic under it"))
}

fn pids() -> [Pid; 2] {
    let idle = || spawn(|mut ctx: Context<()>| async move { drop(ctx.receive().await) }).pid();
    [idle(), idle()]
}

/// Long enough for what is on its way.
async fn settle() {
    sleep(Duration::from_millis(100)).await;
}

#[tokio::test(start_paused = true)]
async fn a_broadcast_reaches_subscribers_of_its_topic_on_all_nodes() {
    let [a, b, _] = &nodes().await;
    let ([one, two], here, there) = (pids(), news(a), news(b));
    let (_h1, here_one) = listen(&here, one, "t");
    let (_h2, here_two) = listen(&here, two, "t");
    let (_t1, there_one) = listen(&there, one, "t");
    let (_t2, other_topic) = listen(&there, two, "u");
    settle().await;

    here.broadcast("t", 1).unwrap();
    assert_eq!(take(&here_one), [1], "at home it is there when the call returns");
    here.broadcast_from(one, "t", 2).unwrap();
    here.local_broadcast("t", 3);
    here.local_broadcast_from(two, "t", 4);
    there.broadcast("t", 5).unwrap();
    settle().await;
    // A pid is of its node: nobody elsewhere is left out. Its own node's 5 was there first.
    assert_eq!(take(&there_one), [5, 1, 2]);
    assert_eq!(take(&here_one), [3, 4, 5]);
    assert_eq!(take(&here_two), [1, 2, 3, 5]);
    assert_eq!(take(&other_topic), nothing());
}

#[tokio::test(start_paused = true)]
async fn a_direct_broadcast_reaches_one_node_and_an_unknown_one_is_harmless() {
    let [a, b, c] = &nodes().await;
    let ([one, _], on) = (pids(), [news(a), news(b), news(c)]);
    let logs: Vec<_> = on.iter().map(|news| listen(news, one, "t")).collect();
    settle().await;
    let to = |text: &str| NodeName::parse(text).unwrap();
    on[0].direct_broadcast(&to("b"), "t", 1).unwrap();
    on[0].direct_broadcast(&to("a"), "t", 2).unwrap();
    on[0].direct_broadcast(&to("nobody"), "t", 3).unwrap();
    settle().await;
    assert_eq!([take(&logs[0].1), take(&logs[1].1), take(&logs[2].1)], [vec![2], vec![1], vec![]]);
}

#[tokio::test(start_paused = true)]
async fn a_pubsub_of_another_name_hears_nothing() {
    let [a, b, _] = &nodes().await;
    let [one, _] = pids();
    let other = PubSub::over(b, name("other"), Numbers);
    let (_subscription, log) = listen(&other, one, "t");
    settle().await;
    news(a).broadcast("t", 1).unwrap();
    settle().await;
    assert_eq!(take(&log), nothing());
}

#[tokio::test(start_paused = true)]
async fn who_has_unsubscribed_hears_nothing_and_who_subscribes_again_does() {
    let [a, b, _] = &nodes().await;
    let ([one, two], here, there) = (pids(), news(a), news(b));
    let (first, log) = listen(&there, one, "t");
    let (second, _) = listen(&there, two, "t");
    drop(first);
    drop(second);
    // Longer than an interest lingers.
    sleep(Duration::from_secs(10)).await;
    here.broadcast("t", 1).unwrap();
    settle().await;
    assert_eq!(take(&log), nothing());
    let (_again, log) = listen(&there, one, "t");
    settle().await;
    here.broadcast("t", 2).unwrap();
    settle().await;
    assert_eq!(take(&log), [2]);
}

#[tokio::test(start_paused = true)]
async fn a_subscription_hears_other_nodes_though_no_handle_is_left_here() {
    let [a, b, _] = &nodes().await;
    let ([one, _], here, there) = (pids(), news(a), news(b));
    let (subscription, log) = listen(&there, one, "t");
    drop(there);
    settle().await;
    here.broadcast("t", 1).unwrap();
    settle().await;
    assert_eq!(take(&log), [1]);
    drop(subscription);
    assert_eq!(Arc::strong_count(&log), 1, "and nothing of it is left after it");
}

#[tokio::test(start_paused = true)]
async fn each_message_comes_once_and_in_order_over_a_network_that_repeats_and_reorders() {
    const MESSAGES: u32 = 2_000;
    for seed in 0..10 {
        let faults = Faults { duplicate: 0.5, reorder: 0.2, ..Faults::default() };
        let sim = Sim::new(seed, faults);
        let mut nodes = Vec::new();
        for (name, life) in [("a", 1), ("b", 2), ("c", 3)] {
            let engine = Arc::new(sim.engine(id(name, life)));
            nodes.push(Node::start(engine, &NodeOptions::new()).await.unwrap());
        }
        settle().await;
        let ([one, _], on) = (pids(), nodes.iter().map(news).collect::<Vec<_>>());
        let (_subscription, log) = listen(&on[0], one, "t");
        settle().await;
        for n in 0..MESSAGES {
            on[1].broadcast("t", 2 * n).unwrap();
            on[2].broadcast("t", 2 * n + 1).unwrap();
            // A frame that is late by 20 ms has 80 of its sender behind it, fewer than are waited for.
            if n % 4 == 3 {
                sleep(Duration::from_millis(1)).await;
            }
        }
        sleep(Duration::from_secs(2)).await;
        let heard = take(&log);
        for sender in [0, 1] {
            let of_sender: Vec<_> = heard.iter().filter(|n| *n % 2 == sender).copied().collect();
            let sent: Vec<_> = (0..MESSAGES).map(|n| 2 * n + sender).collect();
            assert_eq!(of_sender, sent, "of sender {sender} with seed {seed}");
        }
        for node in nodes {
            node.stop().await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_outage_of_the_engine_is_an_error_and_no_more() {
    let sim = Sim::new(7, Faults::default());
    let node = |name, life| Node::start(Arc::new(sim.engine(id(name, life))), &OPTIONS);
    static OPTIONS: std::sync::LazyLock<NodeOptions> = std::sync::LazyLock::new(NodeOptions::new);
    let (a, b) = (node("a", 1).await.unwrap(), node("b", 2).await.unwrap());
    settle().await;
    let ([one, two], here, there) = (pids(), news(&a), news(&b));
    let ((_h, here_log), (_t, there_log)) = (listen(&here, one, "t"), listen(&there, two, "t"));
    settle().await;

    sim.control(|network, _| network.kill_broker());
    settle().await;
    let lost = here.broadcast("t", 1).unwrap_err();
    assert!(matches!(lost, BroadcastError::Publish(PublishError::Disconnected)), "{lost:?}");
    assert_eq!(take(&here_log), [1]);

    sim.control(|network, _| network.start_broker());
    settle().await;
    here.broadcast("t", 2).unwrap();
    settle().await;
    assert_eq!((take(&here_log), take(&there_log)), (vec![2], vec![2]));
}

#[tokio::test(start_paused = true)]
async fn what_can_not_travel_reaches_this_node() {
    let [a, b, _] = &nodes().await;
    let ([one, _], here, there) = (pids(), news(a), news(b));
    let long = "t".repeat(65_536);
    let (_h, here_log) = listen(&here, one, "t");
    let (_l, long_log) = listen(&here, one, &long);
    let (_t, there_log) = listen(&there, one, "t");
    settle().await;
    assert!(matches!(here.broadcast("t", AT_HOME), Err(BroadcastError::Encode(_))));
    assert!(matches!(here.broadcast(&long, 1), Err(BroadcastError::Encode(_))));
    settle().await;
    assert_eq!((take(&here_log), take(&long_log), take(&there_log)), (vec![AT_HOME], vec![1], vec![]));
}

struct Lobby;

impl Socket for Lobby {
    type Assigns = ();

    async fn connect(&self, _: &Connect) -> Result<(), Refusal> {
        Ok(())
    }

    fn id(&self, (): &()) -> Option<String> {
        Some("user:7".to_owned())
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

    async fn handle_in(
        &mut self,
        event: &str,
        payload: Payload,
        socket: &mut ChannelSocket<Self>,
    ) -> Outcome {
        socket.broadcast(event, payload)?;
        Ok(Handled::NoReply)
    }
}

#[tokio::test(start_paused = true)]
async fn clients_of_endpoints_on_two_nodes_share_topics_and_socket_ids() {
    let [a, b, _] = &nodes().await;
    let endpoint = |node| Endpoint::over(node, name("endpoint")).build().unwrap();
    let (here, there) = (endpoint(a).broadcaster(), endpoint(b).broadcaster());
    ChannelTest::run_with(&here, async |test_here| {
        ChannelTest::run_with(&there, async |test_there| {
            let info = ConnectInfo::default;
            let of_here = test_here.connect(Lobby, json!({}), info()).await.unwrap();
            let of_there = test_there.connect(Lobby, json!({}), info()).await.unwrap();
            let (_, room_here) = test_here.join(&of_here, "room:1", json!({})).await.unwrap();
            test_there.join(&of_there, "room:1", json!({})).await.unwrap();
            settle().await;

            room_here.push("shout", json!({ "n": 1 }));
            assert_push!(test_here, "shout", json!({ "n": 1 }));
            assert_push!(test_there, "shout", json!({ "n": 1 }));
            here.broadcast("room:1", "bytes", Payload::binary(&b"\x00\xff"[..])).unwrap();
            assert_push!(test_there, "bytes");
            here.local_broadcast("room:1", "here", json!({})).unwrap();
            assert_push!(test_here, "here");
            refute_push!(test_there, "here");

            test_here.trap_exit(true);
            test_there.trap_exit(true);
            here.broadcast("user:7", "disconnect", json!({})).unwrap();
            assert_eq!(test_there.assert_closed().await.0, CloseCode::GoingAway);
        })
        .await;
    })
    .await;
}
