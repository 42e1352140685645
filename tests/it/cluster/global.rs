//! Names of the whole cluster.

use std::sync::Arc;
use std::time::Duration;

use heronry::cluster::{Exported, GlobalError, NameLost, Node, NodeOptions, RemoteError};
use heronry::engine::LocalHub;
use heronry::engine::sim::{Faults, Sim};
use heronry::node::NodeId;
use heronry::prelude::*;
use heronry::process::kill;
use tokio::time::{Instant, sleep};

use super::{Log, id, node, settle, take};

/// A process that says who it is.
struct Who(ReplyTo<String>);

fn owner(called: &str) -> Addr<Who> {
    let called = called.to_owned();
    spawn(|mut ctx: Context<Who>| async move {
        while let Received::Message(Who(reply_to)) = ctx.receive().await {
            reply_to.send(called.clone());
        }
    })
}

fn register(at: &Node, name: &str, owner: &Addr<Who>) -> Result<(), GlobalError> {
    at.global().register(name, Exported::new(owner).calls(|(), reply_to| Who(reply_to)))
}

/// Who answers to the name, as seen from a node.
async fn who(from: &Node, name: &str) -> Result<String, RemoteError> {
    let found = from.global().whereis(name).ok_or(RemoteError::NoProc)?;
    found.call(&(), Duration::from_secs(5)).await
}

fn whereis(from: &Node, name: &str) -> Option<String> {
    from.global().whereis(name).map(|found| found.node().to_string())
}

async fn until(what: &str, is_so: impl Fn() -> bool) -> Duration {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < Duration::from_secs(60), "never: {what}");
        sleep(Duration::from_millis(5)).await;
    }
    start.elapsed()
}

async fn three(sim: &Sim) -> [Node; 3] {
    let start = |name, life| Node::start(Arc::new(sim.engine(id(name, life))), &OPTIONS);
    let nodes = [start("a", 1).await, start("b", 2).await, start("c", 3).await];
    let nodes = nodes.map(|node| node.expect("it starts"));
    until("they meet", || nodes.iter().all(|node| node.nodes().len() == 2)).await;
    nodes
}

static OPTIONS: std::sync::LazyLock<NodeOptions> = std::sync::LazyLock::new(NodeOptions::new);

fn part(sim: &Sim, sides: &[&[&Node]]) {
    let sides: Vec<Vec<NodeId>> =
        sides.iter().map(|side| side.iter().map(|node| node.id().clone()).collect()).collect();
    let sides: Vec<&[NodeId]> = sides.iter().map(Vec::as_slice).collect();
    sim.control(|network, _| network.partition(&sides));
}

#[tokio::test(start_paused = true)]
async fn a_name_is_found_and_called_from_everywhere_until_its_process_ends() {
    let hub = LocalHub::new();
    let (a, b) = (node(&hub, "a", 1).await, node(&hub, "b", 2).await);
    settle().await;
    let one = owner("one");
    register(&a, "boss", &one).expect("it is free");
    assert_eq!(who(&a, "boss").await.as_deref(), Ok("one"));
    settle().await;
    assert_eq!(who(&b, "boss").await.as_deref(), Ok("one"));
    // Names that a node exports are others.
    let exported = b.remote(a.id().name(), "boss").expect("a name");
    assert_eq!(exported.call::<_, String>(&(), Duration::from_secs(1)).await, Err(RemoteError::NoProc));
    let two = owner("two");
    for at in [&a, &b] {
        assert_eq!(register(at, "boss", &two), Err(GlobalError::Taken(a.id().clone())));
    }
    assert!(matches!(register(&a, "", &two), Err(GlobalError::Name(_))));
    // A node that comes later is told too.
    let c = node(&hub, "c", 3).await;
    settle().await;
    assert_eq!(who(&c, "boss").await.as_deref(), Ok("one"));
    let held = c.global().whereis("boss").expect("it is registered");

    kill(one.pid());
    one.wait().await;
    assert_eq!(a.global().whereis("boss").map(|_| ()), None, "who hears of the end does not find it");
    assert_eq!(register(&a, "boss", &one), Err(GlobalError::NoProc(one.pid())));
    settle().await;
    assert_eq!((whereis(&b, "boss"), whereis(&c, "boss")), (None, None));
    register(&b, "boss", &two).expect("it is free");
    settle().await;
    for from in [&a, &b, &c] {
        assert_eq!(who(from, "boss").await.as_deref(), Ok("two"));
        assert_eq!(from.global().registered(), [held.name().clone()]);
    }
    assert_eq!(held.call::<_, String>(&(), Duration::from_secs(1)).await, Err(RemoteError::NoProc));
    assert!(!a.global().unregister("boss"), "it is another node's");
    assert!(b.global().unregister("boss"));
    settle().await;
    assert_eq!(who(&a, "boss").await, Err(RemoteError::NoProc));
    assert_eq!(two.exit_reason(), None, "who gives a name back lives on");
}

#[tokio::test(start_paused = true)]
async fn a_process_with_many_names_takes_all_of_them_along() {
    let hub = LocalHub::new();
    let (a, b) = (node(&hub, "a", 1).await, node(&hub, "b", 2).await);
    let one = owner("one");
    for n in 0..3_000 {
        register(&a, &format!("name {n}"), &one).expect("it is free");
    }
    settle().await;
    assert_eq!(b.global().registered().len(), 3_000);
    assert_eq!(who(&b, "name 2999").await.as_deref(), Ok("one"));
    kill(one.pid());
    one.wait().await;
    settle().await;
    assert_eq!((a.global().registered(), b.global().registered()), (vec![], vec![]));
}

#[tokio::test(start_paused = true)]
async fn a_node_that_leaves_or_dies_takes_its_names_along() {
    let sim = Sim::new(1, Faults::default());
    let [a, b, c] = three(&sim).await;
    register(&b, "leaves", &owner("b")).expect("it is free");
    register(&c, "dies", &owner("c")).expect("it is free");
    settle().await;
    assert_eq!((whereis(&a, "leaves"), whereis(&a, "dies")), (Some("b".to_owned()), Some("c".to_owned())));
    b.stop().await;
    let took = until("its name goes", || whereis(&a, "leaves").is_none()).await;
    assert!(took <= Duration::from_millis(200), "{took:?}");
    sim.control(|network, _| network.leave(c.id()));
    let took = until("its name goes", || whereis(&a, "dies").is_none()).await;
    assert!(took <= Duration::from_millis(5_010), "{took:?}");
    register(&a, "dies", &owner("a")).expect("it is free");
}

/// The owners of a name on both sides of a partition: the earlier one keeps it, whoever it is, on all nodes.
#[tokio::test(start_paused = true)]
async fn after_a_partition_the_earlier_claim_wins_on_all_nodes() {
    for (seed, is_first_alone) in [(1, true), (2, false), (3, true), (4, false)] {
        let sim = Sim::new(seed, Faults { drop: 0.05, duplicate: 0.1, reorder: 0.1, ..Faults::default() });
        let [a, b, c] = three(&sim).await;
        part(&sim, &[&[&a], &[&b, &c]]);
        until("they part", || a.nodes().is_empty() && b.nodes().len() == 1).await;
        let (first, second) = if is_first_alone { (&a, &b) } else { (&b, &a) };
        let (winner, loser) = (owner("winner"), owner("loser"));
        register(first, "boss", &winner).expect("it is free");
        sleep(Duration::from_millis(100)).await;
        register(second, "boss", &loser).expect("it is free here");
        sleep(Duration::from_secs(5)).await;
        sim.control(|network, _| network.heal());
        let reason = loser.wait().await;
        assert!(matches!(&reason, ExitReason::Custom(why) if why.contains("boss")), "seed {seed}: {reason}");
        until("all agree", || {
            [&a, &b, &c].iter().all(|from| whereis(from, "boss") == Some(first.id().name().to_string()))
        })
        .await;
        for from in [&a, &b, &c] {
            assert_eq!(who(from, "boss").await.as_deref(), Ok("winner"), "seed {seed}");
        }
        assert_eq!(winner.exit_reason(), None);
    }
}

enum Told {
    Who(ReplyTo<String>),
    Lost(NameLost),
}

#[tokio::test(start_paused = true)]
async fn who_asked_for_a_message_is_told_and_lives_on() {
    let sim = Sim::new(5, Faults::default());
    let [a, b, c] = three(&sim).await;
    let log: Log<NameLost> = Log::default();
    let into = log.clone();
    let polite = spawn(|mut ctx: Context<Told>| async move {
        while let Received::Message(told) = ctx.receive().await {
            match told {
                Told::Who(reply_to) => reply_to.send("polite".to_owned()),
                Told::Lost(lost) => into.lock().expect("no panic under it").push(lost),
            }
        }
    });
    // At the very same time, before either can have heard of the other: the smaller name of a node wins.
    let boss = owner("boss");
    let exported = Exported::new(&polite).calls(|(), reply_to| Told::Who(reply_to));
    c.global().register_notify("boss", exported, Told::Lost).expect("it is free here");
    register(&a, "boss", &boss).expect("it is free here");
    assert_eq!((whereis(&a, "boss"), whereis(&c, "boss")), (Some("a".to_owned()), Some("c".to_owned())));
    until("it is told", || !log.lock().expect("no panic under it").is_empty()).await;
    settle().await;
    let told = take(&log);
    assert_eq!(
        told.iter().map(|lost| (lost.name.as_str(), &lost.winner)).collect::<Vec<_>>(),
        [("boss", a.id())]
    );
    for from in [&a, &b, &c] {
        assert_eq!(who(from, "boss").await.as_deref(), Ok("boss"));
    }
    assert_eq!((polite.exit_reason(), boss.exit_reason()), (None, None));
    // It can take the name when it is free again.
    kill(boss.pid());
    boss.wait().await;
    settle().await;
    let exported = Exported::new(&polite).calls(|(), reply_to| Told::Who(reply_to));
    c.global().register_notify("boss", exported, Told::Lost).expect("it is free");
    settle().await;
    assert_eq!(who(&a, "boss").await.as_deref(), Ok("polite"));
}

#[tokio::test(start_paused = true)]
async fn after_a_hundred_restarts_of_a_node_there_is_one_owner() {
    let sim = Sim::new(6, Faults::default());
    let watcher = Node::start(Arc::new(sim.engine(id("a", 1))), &OPTIONS).await.expect("it starts");
    let mut last = None;
    for life in 100..200 {
        let node = Node::start(Arc::new(sim.engine(id("b", life))), &OPTIONS).await.expect("it starts");
        let worker = owner(&life.to_string());
        register(&node, "worker", &worker).expect("nobody has it in this life");
        register(&node, &format!("of {life}"), &worker).expect("it is free");
        settle().await;
        let called = who(&watcher, "worker").await;
        assert_eq!(called, Ok(life.to_string()), "the new life's, at once");
        // It dies without a word.
        sim.control(|network, _| network.leave(node.id()));
        if let Some((former, worker)) = last.replace((node, worker)) {
            let former: Node = former;
            let worker: Addr<Who> = worker;
            kill(worker.pid());
            former.stop().await;
        }
    }
    assert_eq!(watcher.global().registered().len(), 2);
    until("the last is down", || watcher.nodes().is_empty()).await;
    assert_eq!(watcher.global().registered(), []);
}

#[tokio::test(start_paused = true)]
async fn a_dead_broker_takes_no_name() {
    let sim = Sim::new(7, Faults::default());
    let [a, b, _c] = three(&sim).await;
    register(&a, "boss", &owner("one")).expect("it is free");
    settle().await;
    sim.control(|network, _| network.kill_broker());
    sleep(Duration::from_secs(20)).await;
    register(&a, "meanwhile", &owner("two")).expect("it is free");
    assert_eq!(whereis(&b, "boss").as_deref(), Some("a"));
    sim.control(|network, _| network.start_broker());
    let took = until("it is told", || whereis(&b, "meanwhile").is_some()).await;
    assert!(took <= Duration::from_secs(3), "{took:?}");
    assert_eq!(who(&b, "boss").await.as_deref(), Ok("one"));
}
