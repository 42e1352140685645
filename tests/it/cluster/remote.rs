//! Processes of other nodes.

use std::sync::Arc;
use std::time::Duration;

use heronry::cluster::{
    EXPORTS_MAX, ExportError, Exported, Node, NodeOptions, RemoteError, RemoteLimit, RemoteLimited,
    RemoteMonitor, RemoteRef, SESSION_MESSAGES_MAX,
};
use heronry::engine::sim::{Faults, Sim};
use heronry::engine::{Engine, LocalHub};
use heronry::node::NodeName;
use heronry::prelude::*;
use heronry::process::SpawnOptions;
use heronry::testing::TelemetryTest;
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep, timeout};

use super::{Log, id, local, node, settle, take};

/// What other nodes say to a clerk.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Note {
    Write(String),
    /// The text of a panic.
    Panic(String),
    Stop,
}

/// What other nodes ask it.
#[derive(Clone, Debug, Serialize, Deserialize)]
enum Ask {
    Read,
    /// Answered never, and kept.
    Keep,
    /// Dropped without an answer.
    Drop,
    /// The end of the clerk.
    Die,
}

enum Msg {
    Note(Note),
    Ask(Ask, ReplyTo<Vec<String>>),
}

/// Keeps what it is told, and tells it.
fn clerk() -> Addr<Msg> {
    spawn(|mut ctx: Context<Msg>| async move {
        let (mut written, mut kept) = (Vec::new(), Vec::new());
        loop {
            match ctx.receive().await {
                Received::Message(Msg::Note(Note::Write(text))) => written.push(text),
                Received::Message(Msg::Note(Note::Panic(text))) => panic!("{text}"),
                Received::Message(Msg::Note(Note::Stop)) => return ExitReason::shutdown_with("told to"),
                Received::Message(Msg::Ask(ask, reply_to)) => match ask {
                    Ask::Read => reply_to.send(written.clone()),
                    Ask::Keep => kept.push(reply_to),
                    Ask::Drop => drop(reply_to),
                    Ask::Die => return ExitReason::custom("asked to die"),
                },
                Received::Info(_) => {}
            }
        }
    })
}

fn export(at: &Node, clerk: &Addr<Msg>) {
    let exported = Exported::new(clerk).casts(Msg::Note).calls(Msg::Ask);
    at.export("clerk", exported).expect("the name is free");
}

fn clerk_of(from: &Node, at: &Node) -> RemoteRef {
    from.remote(at.id().name(), "clerk").expect("a name")
}

fn write(text: &str) -> Note {
    Note::Write(text.to_owned())
}

const PATIENCE: Duration = Duration::from_secs(60);

async fn ask(clerk: &RemoteRef, what: Ask) -> Result<Vec<String>, RemoteError> {
    clerk.call(&what, PATIENCE).await
}

/// A process that monitors, and what it is told.
fn monitor(of: &RemoteRef) -> (Addr<ExitReason>, Log<ExitReason>) {
    let log = Log::default();
    let (into, of) = (log.clone(), of.clone());
    let watcher = spawn(move |mut ctx: Context<ExitReason>| async move {
        let _monitor = of.monitor(&ctx, |down| down.reason);
        while let Received::Message(reason) = ctx.receive().await {
            into.lock().expect("no panic under it").push(reason);
        }
    });
    (watcher, log)
}

async fn two() -> (Node, Node) {
    let hub = LocalHub::new();
    let (a, b) = (node(&hub, "a", 1).await, node(&hub, "b", 2).await);
    settle().await;
    (a, b)
}

#[tokio::test(start_paused = true)]
async fn messages_and_calls_arrive_in_order_from_here_and_from_there() {
    let (a, b) = two().await;
    export(&b, &clerk());
    for from in [&a, &b] {
        let clerk = clerk_of(from, &b);
        for n in 0..3_000 {
            clerk.send(&write(&n.to_string())).expect("it is up");
        }
    }
    settle().await;
    for from in [&a, &b] {
        let read = ask(&clerk_of(from, &b), Ask::Read).await.expect("a reply");
        let of_each = read.iter().map(|text| text.parse::<u32>().expect("a number"));
        let mut next = [0, 0];
        for n in of_each {
            let from = next.iter_mut().find(|next| **next == n);
            *from.expect("in the order of one of the two") += 1;
        }
        assert_eq!(next, [3_000, 3_000]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_is_behind_what_was_sent_before() {
    let (a, b) = two().await;
    export(&b, &clerk());
    let clerk = clerk_of(&a, &b);
    for n in 0..100 {
        clerk.send(&write("x")).expect("it is up");
        let (reading, later) = (clerk.clone(), clerk.clone());
        let read = tokio::join!(async move { ask(&reading, Ask::Read).await }, async move {
            later.send(&write("x")).expect("it is up");
        });
        assert_eq!(read.0.expect("a reply").len(), 2 * n + 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_gets_no_reply_says_why() {
    let (a, b) = two().await;
    for from in [&a, &b] {
        let clerk_there = clerk();
        let remote = clerk_of(from, &b);
        assert_eq!(ask(&remote, Ask::Read).await, Err(RemoteError::NoProc));
        export(&b, &clerk_there);
        assert_eq!(ask(&remote, Ask::Read).await, Ok(vec![]));
        assert_eq!(ask(&remote, Ask::Drop).await, Err(RemoteError::NoReply));
        let soon = Duration::from_secs(3);
        let (before, kept) = (Instant::now(), remote.call::<_, Vec<String>>(&Ask::Keep, soon).await);
        assert_eq!((kept, before.elapsed()), (Err(RemoteError::Timeout(soon)), soon));
        // Another type than the one that is meant there.
        let wrong = remote.call::<_, Vec<String>>(&99_u8, soon).await;
        assert!(matches!(wrong, Err(RemoteError::Unfit(_))), "{wrong:?}");
        let wrong = remote.call::<_, (u64, u64)>(&Ask::Read, soon).await;
        assert!(matches!(wrong, Err(RemoteError::Unfit(_))), "{wrong:?}");
        let died = ask(&remote, Ask::Die).await;
        assert_eq!(died, Err(RemoteError::Exited(ExitReason::custom("asked to die"))));
        assert_eq!(clerk_there.wait().await, ExitReason::custom("asked to die"));
        assert_eq!(ask(&remote, Ask::Read).await, Err(RemoteError::NoProc));
    }
    let nowhere = a.remote(&NodeName::parse("nowhere").expect("a name"), "clerk").expect("a name");
    let no_connection = RemoteError::NoConnection(nowhere.node().clone());
    assert_eq!(ask(&nowhere, Ask::Read).await, Err(no_connection.clone()));
    assert_eq!(nowhere.send(&Note::Stop), Err(no_connection));
}

#[tokio::test(start_paused = true)]
async fn what_does_not_fit_harms_nobody() {
    let (a, b) = two().await;
    let (clerk_there, silent) = (clerk(), clerk());
    export(&b, &clerk_there);
    b.export("silent", Exported::new(&silent)).expect("the name is free");
    let remote = clerk_of(&a, &b);
    remote.send(&vec![7_u64; 1_000]).expect("it is up");
    remote.send(&250_u8).expect("it is up");
    let silent = a.remote(b.id().name(), "silent").expect("a name");
    silent.send(&Note::Stop).expect("it is up");
    let refused = ask(&silent, Ask::Read).await;
    assert!(matches!(refused, Err(RemoteError::Unfit(_))), "{refused:?}");
    assert_eq!(ask(&remote, Ask::Read).await, Ok(vec![]));
    // A panic of what makes messages is the process's.
    let clumsy = clerk();
    let wrap = |_: u8| -> Msg { panic!("clumsy") };
    b.export("clumsy", Exported::new(&clumsy).casts(wrap)).expect("the name is free");
    a.remote(b.id().name(), "clumsy").expect("a name").send(&1_u8).expect("it is up");
    let reason = clumsy.wait().await;
    assert!(matches!(&reason, ExitReason::Panic(report) if report.message == "clumsy"), "{reason}");
    assert_eq!(ask(&remote, Ask::Read).await, Ok(vec![]));
}

#[tokio::test(start_paused = true)]
async fn a_monitor_tells_the_reason_once() {
    let (a, b) = two().await;
    for from in [&a, &b] {
        let remote = clerk_of(from, &b);
        let (_none, told) = monitor(&remote);
        settle().await;
        assert_eq!(take(&told), [ExitReason::NoProc]);
        for (note, reason) in [
            (Note::Stop, ExitReason::shutdown_with("told to")),
            (Note::Panic("no".to_owned()), ExitReason::Normal),
        ] {
            let clerk_there = clerk();
            export(&b, &clerk_there);
            let (_one, one) = monitor(&remote);
            let (_two, two) = monitor(&remote);
            settle().await;
            assert_eq!((take(&one), take(&two)), (vec![], vec![]));
            remote.send(&note).expect("it is up");
            let ended = clerk_there.wait().await;
            settle().await;
            match note {
                Note::Panic(text) => {
                    assert!(matches!(&ended, ExitReason::Panic(report) if report.message == text))
                }
                Note::Write(_) | Note::Stop => assert_eq!(ended, reason),
            }
            assert_eq!((take(&one), take(&two)), (vec![ended.clone()], vec![ended]));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_monitor_that_ended_tells_nothing() {
    let (a, b) = two().await;
    for from in [&a, &b] {
        let (remote, clerk_there) = (clerk_of(from, &b), clerk());
        export(&b, &clerk_there);
        let told: Log<ExitReason> = Log::default();
        let (into, of) = (told.clone(), remote.clone());
        let watcher = spawn(move |mut ctx: Context<ExitReason>| async move {
            let monitors: Vec<RemoteMonitor> = (0..3).map(|_| of.monitor(&ctx, |down| down.reason)).collect();
            sleep(Duration::from_secs(1)).await;
            drop(monitors);
            while let Received::Message(reason) = ctx.receive().await {
                into.lock().expect("no panic under it").push(reason);
            }
        });
        sleep(Duration::from_secs(2)).await;
        remote.send(&Note::Stop).expect("it is up");
        clerk_there.wait().await;
        sleep(Duration::from_secs(2)).await;
        assert_eq!(take(&told), []);
        heronry::process::kill(watcher.pid());
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_node_fails_calls_and_fires_monitors_at_once() {
    let (a, b) = two().await;
    export(&b, &clerk());
    let remote = clerk_of(&a, &b);
    let (_watcher, told) = monitor(&remote);
    let calling = tokio::spawn({
        let remote = remote.clone();
        async move { ask(&remote, Ask::Keep).await }
    });
    settle().await;
    b.stop().await;
    let lost = timeout(Duration::from_millis(100), calling).await.expect("at once").expect("no panic");
    let no_connection = RemoteError::NoConnection(b.id().name().clone());
    assert_eq!(lost, Err(no_connection.clone()));
    assert_eq!(take(&told), [ExitReason::NoConnection]);
    assert_eq!(ask(&remote, Ask::Read).await, Err(no_connection));
    let (_late, told) = monitor(&remote);
    settle().await;
    assert_eq!(take(&told), [ExitReason::NoConnection]);
}

#[tokio::test(start_paused = true)]
async fn a_name_is_one_processs_until_it_ends() {
    let (a, b) = two().await;
    let (one, two) = (clerk(), clerk());
    export(&b, &one);
    let taken = b.export("clerk", Exported::new(&two));
    assert_eq!(taken, Err(ExportError::Taken(one.pid())));
    assert!(matches!(b.export("", Exported::new(&two)), Err(ExportError::Name(_))));
    heronry::process::kill(one.pid());
    one.wait().await;
    assert_eq!(b.export("clerk", Exported::new(&one)), Err(ExportError::NoProc(one.pid())));
    // Who hears of the end finds the name free.
    export(&b, &two);
    assert_eq!(ask(&clerk_of(&a, &b), Ask::Read).await, Ok(vec![]));
    let (_watcher, told) = monitor(&clerk_of(&a, &b));
    settle().await;
    assert!(b.unexport("clerk") && !b.unexport("clerk"));
    assert_eq!(ask(&clerk_of(&a, &b), Ask::Read).await, Err(RemoteError::NoProc));
    // It is the process that is monitored, whatever it is called by now.
    heronry::process::kill(two.pid());
    settle().await;
    assert_eq!(take(&told), [ExitReason::Killed]);
}

#[tokio::test(start_paused = true)]
async fn a_full_mailbox_refuses_calls() {
    let (a, b) = two().await;
    let stuck = SpawnOptions::new().mailbox_limit(1).spawn(|_: Context<Msg>| std::future::pending::<()>());
    export(&b, &stuck);
    let remote = clerk_of(&a, &b);
    remote.send(&write("x")).expect("it is up");
    assert_eq!(ask(&remote, Ask::Read).await, Err(RemoteError::Full));
    heronry::process::kill(stuck.pid());
}

/// Nothing that one node says to the other is left out, whatever the network does, or the connection is lost for both.
#[tokio::test(start_paused = true)]
async fn over_a_bad_network_nothing_is_missing() {
    for seed in 0..4 {
        let sim = Sim::new(seed, Faults { drop: 0.1, duplicate: 0.2, reorder: 0.2, ..Faults::default() });
        let start = |name, life| Node::start(Arc::new(sim.engine(id(name, life))), &OPTIONS);
        let (a, b) = (start("a", 1).await.expect("it starts"), start("b", 2).await.expect("it starts"));
        while a.nodes().is_empty() || b.nodes().is_empty() {
            sleep(Duration::from_millis(10)).await;
        }
        let clerk_there = clerk();
        export(&b, &clerk_there);
        let remote = clerk_of(&a, &b);
        let (_watcher, told) = monitor(&remote);
        for n in 0..500 {
            remote.send(&write(&n.to_string())).expect("it is up");
            sleep(Duration::from_millis(1)).await;
        }
        let read = ask(&remote, Ask::Read).await.expect("a reply");
        let all: Vec<_> = (0..500).map(|n| n.to_string()).collect();
        assert_eq!(read, all, "seed {seed}");
        assert_eq!(take(&told), []);
        remote.send(&Note::Stop).expect("it is up");
        clerk_there.wait().await;
        sleep(Duration::from_secs(5)).await;
        assert_eq!(take(&told), [ExitReason::shutdown_with("told to")], "seed {seed}");
    }
}

/// Heartbeats are lost too: a node that is seldom heard is not lost for that here.
static OPTIONS: std::sync::LazyLock<NodeOptions> =
    std::sync::LazyLock::new(|| NodeOptions::new().down(Duration::from_secs(30)));

/// One side holds the other to be lost, and the other does not: both see it, as with a connection.
#[tokio::test(start_paused = true)]
async fn a_connection_is_lost_for_both() {
    let sim = Sim::new(7, Faults::default());
    let start = |name, life, options| {
        let engine = Arc::new(sim.engine(id(name, life)));
        async move { Node::start(engine, &options).await.expect("it starts") }
    };
    // This one is quick to hold others to be lost, that one is not.
    let quick = NodeOptions::new().suspect(Duration::from_millis(1_500)).down(Duration::from_secs(2));
    let (a, b) = (start("a", 1, NodeOptions::new()).await, start("b", 2, quick).await);
    sleep(Duration::from_secs(1)).await;
    let clerk_there = clerk();
    export(&b, &clerk_there);
    let remote = clerk_of(&a, &b);
    let (_watcher, told) = monitor(&remote);
    sleep(Duration::from_secs(1)).await;
    sim.control(|network, _| network.partition(&[&[a.id().clone()], &[b.id().clone()]]));
    while !b.nodes().is_empty() {
        sleep(Duration::from_millis(10)).await;
    }
    sim.control(|network, _| network.heal());
    assert_eq!(a.nodes(), [b.id().clone()], "it has not noticed");
    sleep(Duration::from_secs(3)).await;
    assert_eq!(take(&told), [ExitReason::NoConnection]);
    // And from there on all is as it was.
    let (_watcher, told) = monitor(&remote);
    assert_eq!(ask(&remote, Ask::Read).await, Ok(vec![]));
    remote.send(&Note::Stop).expect("it is up");
    sleep(Duration::from_secs(1)).await;
    assert_eq!(take(&told), [ExitReason::shutdown_with("told to")]);
}

#[tokio::test(start_paused = true)]
async fn each_limit_is_told_once_a_heartbeat_with_how_often_it_was_reached() {
    let mut limited = TelemetryTest::attach(|event: &RemoteLimited| (event.by, event.count));
    let hub = LocalHub::new();
    let a = node(&hub, "a", 1).await;
    let engine = local(&hub, "b", 2);
    let b = Node::start(engine.clone(), &NodeOptions::new()).await.expect("it starts");
    settle().await;
    let watched = clerk();
    export(&a, &watched);
    let (_watcher, _told) = monitor(&clerk_of(&b, &a));
    settle().await;

    // It does not hear any more, and nobody knows yet.
    engine.stop(Duration::ZERO).await;
    let to_b = clerk_of(&a, &b);
    let sent = (0..SESSION_MESSAGES_MAX + 3).filter(|_| to_b.send(&write("x")).is_ok()).count();
    assert_eq!(sent, SESSION_MESSAGES_MAX);
    // What must be said finds no room either.
    heronry::process::kill(watched.pid());
    watched.wait().await;
    let many = clerk();
    let export = |n: usize| a.export(&format!("clerk-{n}"), Exported::new(&many));
    assert!((0..EXPORTS_MAX).all(|n| export(n).is_ok()));
    assert_eq!(export(EXPORTS_MAX), Err(ExportError::Full));

    sleep(Duration::from_secs(1)).await;
    let mut told = limited.collect();
    told.sort();
    assert_eq!(told, [(RemoteLimit::Session, 3), (RemoteLimit::Connection, 1), (RemoteLimit::Exports, 1)]);
}
