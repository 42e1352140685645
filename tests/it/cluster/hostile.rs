//! A stranger on the engine, who repeats what nodes said, as it was and with a few bytes changed.
//!
//! With a key nobody notices. Without one it can pass for any node, so much can happen; but no process crashes, and a node
//! that was under fire gets along with nodes that come later.
//!
//! `HERONRY_FUZZ_CASES=10000 cargo test -p tests --test it hostile` is a longer run. A failure prints the smallest shots that
//! it was found to fail for.

use std::any::Any;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use heronry::cluster::{Exported, MacKey, NodeEvent, NodeOptions, RemoteRef};
use heronry::engine::{
    Caps, Engine, Local, LocalHub, PublishError, Receiver, ReceiverPanicked, Stopping, Subject,
};
use heronry::node::NodeId;
use heronry::prelude::*;
use heronry::process::ProcessCrashed;
use heronry::telemetry;
use heronry_presence::{TopicDiff, Tracker, TrackerOptions, TrackerRef};
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::TestRunner;
use serde_json::json;
use tokio::time::{Instant, sleep};

use super::{Log, Node, local, payload, pubsub, settle, subscribe, take, watch};
use crate::support::is_alone;

/// Cases of a test, unless `HERONRY_FUZZ_CASES` says otherwise.
const CASES_DEFAULT: u32 = 64;
/// How long a node may take to forget whom it took for a node because of what a stranger said.
const FORGOTTEN_WITHIN: Duration = Duration::from_secs(30);

/// An engine that keeps what its node says.
#[derive(Debug)]
struct Tapped {
    engine: Arc<Local>,
    said: Mutex<Vec<(Subject, Bytes)>>,
}

impl Engine for Tapped {
    fn node(&self) -> &NodeId {
        self.engine.node()
    }

    fn caps(&self) -> Caps {
        self.engine.caps()
    }

    fn start(&self, receiver: Arc<dyn Receiver>) {
        self.engine.start(receiver);
    }

    fn publish(&self, subject: &Subject, frame: Bytes) -> Result<(), PublishError> {
        self.said.lock().expect("no panic under it").push((subject.clone(), frame.clone()));
        self.engine.publish(subject, frame)
    }

    fn set_interest(&self, subject: &Subject, wanted: bool) {
        self.engine.set_interest(subject, wanted);
    }

    fn stop(&self, deadline: Duration) -> Stopping {
        self.engine.stop(deadline)
    }
}

struct Silent;

impl Tracker for Silent {
    type Args = Log<String>;
    type Msg = ();

    async fn init(_: Log<String>) -> Result<Self, ExitReason> {
        Ok(Self)
    }

    async fn handle_diff(&mut self, _: &[TopicDiff]) {}
}

/// A node with all that rides on it.
struct Full {
    node: Node,
    tracker: TrackerRef<Silent>,
    /// What came on the channel.
    heard: Log<heronry::cluster::Delivery>,
    events: Log<NodeEvent>,
    _kept: Vec<Box<dyn Any>>,
}

impl Full {
    async fn start(engine: Arc<dyn Engine>, options: &NodeOptions) -> Self {
        let node = Node::start(engine, options).await.expect("it starts");
        let name = node.id().name().to_string();
        let options = TrackerOptions { node: Some(node.clone()), pool_size: 1, ..TrackerOptions::default() };
        let tracker = TrackerRef::new("hostile", Log::default(), options);
        let tree = Supervisor::one_for_one().child(tracker.child_spec()).start().await.expect("it starts");
        let (subscription, heard) = subscribe(&node, pubsub());
        let (watch, events) = watch(&node);
        let worker = spawn(|mut ctx: Context<ReplyTo<u32>>| async move {
            while let Received::Message(reply_to) = ctx.receive().await {
                reply_to.send(7);
            }
        });
        let exported = || Exported::new(&worker).calls(|(), reply_to: ReplyTo<u32>| reply_to);
        node.export("worker", exported()).expect("the name is free");
        node.groups().join("workers", "worker").expect("it is exported");
        node.global().register(&name, exported()).expect("the name is free");
        tracker.track(worker.pid(), "t", &name, json!({ "of": name })).await.expect("tracked");
        let kept: Vec<Box<dyn Any>> = vec![Box::new((subscription, watch, tree, worker))];
        Self { node, tracker, heard, events, _kept: kept }
    }

    fn keys(&self) -> Vec<String> {
        let mut keys: Vec<_> = self.tracker.list("t").iter().map(|entry| entry.key().to_owned()).collect();
        keys.sort_unstable();
        keys
    }

    fn name(&self) -> &str {
        self.node.id().name().as_str()
    }
}

async fn ask(worker: Option<RemoteRef>) -> bool {
    let Some(worker) = worker else { return false };
    matches!(worker.call::<_, u32>(&(), Duration::from_secs(5)).await, Ok(7))
}

/// Whether each of the two knows what the other has, and is heard and answered by it.
async fn get_along(a: &Full, b: &Full) -> bool {
    for (from, to) in [(a, b), (b, a)] {
        let name = to.node.id().name();
        let known = from.node.find(name).as_ref() == Some(to.node.id())
            && from.keys().iter().any(|key| key == to.name())
            && from.node.groups().members("workers").iter().any(|member| member.node() == name);
        if !known
            || !ask(from.node.remote(name, "worker").ok()).await
            || !ask(from.node.global().whereis(to.name())).await
        {
            return false;
        }
        to.heard.lock().expect("no panic under it").clear();
        from.node.publish(pubsub(), b"hello").expect("published");
        settle().await;
        if !take(&to.heard).contains(&payload(&from.node, "hello")) {
            return false;
        }
    }
    true
}

async fn until_they_get_along(a: &Full, b: &Full, within: Duration) -> Result<(), TestCaseError> {
    let start = Instant::now();
    while !get_along(a, b).await {
        prop_assert!(
            start.elapsed() < within,
            "{:?} and {:?} do not get along: {:?}, {:?}; {:?}, {:?}",
            a.node.id(),
            b.node.id(),
            a.node.nodes(),
            a.keys(),
            b.node.nodes(),
            b.keys()
        );
        sleep(Duration::from_millis(100)).await;
    }
    Ok(())
}

/// A frame that was said, and what is done to it.
#[derive(Clone, Debug)]
struct Shot {
    frame: Index,
    /// Said on the subject of another frame.
    elsewhere: Option<Index>,
    changed: Vec<(Index, u8)>,
    cut: Option<Index>,
    more: Vec<u8>,
}

fn shots() -> impl Strategy<Value = Vec<Shot>> {
    let shot = (
        any::<Index>(),
        prop::option::weighted(0.2, any::<Index>()),
        prop::collection::vec((any::<Index>(), any::<u8>()), 0..4),
        prop::option::weighted(0.2, any::<Index>()),
        prop_oneof![4 => Just(vec![]), 1 => prop::collection::vec(any::<u8>(), 0..40)],
    );
    let shot =
        shot.prop_map(|(frame, elsewhere, changed, cut, more)| Shot { frame, elsewhere, changed, cut, more });
    prop::collection::vec(shot, 1..100)
}

fn fire(stranger: &Local, said: &[(Subject, Bytes)], shot: &Shot) {
    let (subject, frame) = shot.frame.get(said);
    let subject = shot.elsewhere.as_ref().map_or(subject, |other| &other.get(said).0);
    let mut frame = frame.to_vec();
    for (at, byte) in &shot.changed {
        let at = at.index(frame.len());
        frame[at] = *byte;
    }
    if let Some(cut) = &shot.cut {
        frame.truncate(cut.index(frame.len()));
    }
    frame.extend(&shot.more);
    stranger.publish(subject, frame.into()).expect("the hub takes it");
}

/// Two nodes that know each other and have said all that nodes say.
async fn two(hub: &LocalHub, options: &NodeOptions) -> (Full, Full, Vec<(Subject, Bytes)>) {
    let tap = |name, life| Arc::new(Tapped { engine: local(hub, name, life), said: Mutex::default() });
    let (tap_a, tap_b) = (tap("a", 1), tap("b", 2));
    let a = Full::start(tap_a.clone(), options).await;
    let b = Full::start(tap_b.clone(), options).await;
    settle().await;
    until_they_get_along(&a, &b, Duration::from_secs(5)).await.expect("nobody is between them");
    // In parts.
    a.node.publish(pubsub(), &vec![1; 600_000]).expect("published");
    settle().await;
    let said = [tap_a, tap_b].map(|tap| std::mem::take(&mut *tap.said.lock().expect("no panic under it")));
    (a, b, said.concat())
}

/// Runs a case for each of many volleys, in a process of its own: no crash, of whatever process.
fn run(case: impl AsyncFn(Vec<Shot>) -> Result<(), TestCaseError>) {
    let crashes: Log<String> = Log::default();
    let into = crashes.clone();
    let handler = telemetry::attach(move |event: &dyn telemetry::Event| {
        let event: &dyn Any = event;
        let crash = event.downcast_ref::<ProcessCrashed>();
        // The end of the runtime kills all that run on it.
        let crash = crash.filter(|crash| crash.reason != ExitReason::Killed).map(ToString::to_string);
        let panic = event.downcast_ref::<ReceiverPanicked>().map(ToString::to_string);
        into.lock().expect("no panic under it").extend(crash.or(panic));
    });
    let wanted = std::env::var("HERONRY_FUZZ_CASES").ok();
    let cases = wanted.map_or(CASES_DEFAULT, |cases| cases.parse().expect("HERONRY_FUZZ_CASES is a number"));
    let config = ProptestConfig {
        cases,
        max_shrink_iters: 500,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let ran = TestRunner::new(config).run(&shots(), |shots| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        runtime.expect("a runtime").block_on(case(shots))?;
        let crashes = take(&crashes);
        prop_assert!(crashes.is_empty(), "{crashes:?}");
        Ok(())
    });
    telemetry::detach(handler);
    if let Err(error) = ran {
        panic!("{error}");
    }
}

#[test]
fn without_a_key_nothing_crashes_and_later_nodes_get_along() {
    if !is_alone("cluster::hostile::without_a_key_nothing_crashes_and_later_nodes_get_along") {
        return;
    }
    run(async |shots| {
        let hub = LocalHub::new();
        let (_a, b, said) = two(&hub, &NodeOptions::new()).await;
        let stranger = local(&hub, "stranger", 3);
        for shot in &shots {
            fire(&stranger, &said, shot);
        }
        settle().await;
        let later = Full::start(local(&hub, "later", 4), &NodeOptions::new()).await;
        until_they_get_along(&b, &later, FORGOTTEN_WITHIN).await
    });
}

#[test]
fn with_a_key_nobody_notices() {
    if !is_alone("cluster::hostile::with_a_key_nobody_notices") {
        return;
    }
    let options = NodeOptions::new().mac_key(MacKey::new(&[7; 32]).expect("a key"));
    run(async |shots| {
        let hub = LocalHub::new();
        let (a, b, said) = two(&hub, &options).await;
        let stranger = local(&hub, "stranger", 3);
        for full in [&a, &b] {
            drop((take(&full.heard), take(&full.events)));
        }
        for (n, shot) in shots.iter().enumerate() {
            fire(&stranger, &said, shot);
            a.node.publish(pubsub(), n.to_string().as_bytes()).expect("published");
        }
        settle().await;
        let numbered: Vec<_> = (0..shots.len()).map(|n| payload(&a.node, n.to_string())).collect();
        prop_assert_eq!(take(&b.heard), numbered);
        sleep(Duration::from_secs(10)).await;
        prop_assert_eq!((take(&a.heard), take(&b.heard)), (vec![], vec![]));
        prop_assert_eq!((take(&a.events), take(&b.events)), (vec![], vec![]));
        prop_assert!(get_along(&a, &b).await);
        Ok(())
    });
}
