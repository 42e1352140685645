//! Process groups across nodes.

use std::sync::Arc;
use std::time::Duration;

use heronry::cluster::{Exported, GroupError, GroupEvent, Node, NodeOptions, RemoteRef};
use heronry::engine::LocalHub;
use heronry::engine::sim::{Faults, Sim};
use heronry::prelude::*;
use heronry::process::kill;
use tokio::time::{Instant, sleep};

use super::{Log, id, node, settle, take};

/// A process that is exported as this and counts what it is sent.
fn worker(at: &Node, name: &str) -> (Addr<u32>, Log<u32>) {
    let log: Log<u32> = Log::default();
    let into = log.clone();
    let worker = spawn(|mut ctx: Context<u32>| async move {
        while let Received::Message(n) = ctx.receive().await {
            into.lock().expect("no panic under it").push(n);
        }
    });
    at.export(name, Exported::new(&worker).casts(|n: u32| n)).expect("the name is free");
    (worker, log)
}

fn shown(members: &[RemoteRef]) -> Vec<String> {
    members.iter().map(|member| format!("{}@{}", member.name(), member.node())).collect()
}

fn members(from: &Node, group: &str) -> Vec<String> {
    shown(&from.groups().members(group))
}

/// A process that monitors a group, or all, and what it is told.
fn monitor(at: &Node, group: Option<&'static str>) -> (Addr<GroupEvent>, Log<String>) {
    let log: Log<String> = Log::default();
    let (into, groups) = (log.clone(), at.groups().clone());
    let watcher = spawn(move |mut ctx: Context<GroupEvent>| async move {
        let _monitor = match group {
            Some(group) => groups.monitor(&ctx, group, |event| event).expect("a name").0,
            None => groups.monitor_scope(&ctx, |event| event).0,
        };
        while let Received::Message(event) = ctx.receive().await {
            let line = match event {
                GroupEvent::Joined { group, member } => format!("+{group} {}", shown(&[member])[0]),
                GroupEvent::Left { group, member } => format!("-{group} {}", shown(&[member])[0]),
                other => format!("{other:?}"),
            };
            into.lock().expect("no panic under it").push(line);
        }
    });
    (watcher, log)
}

#[tokio::test(start_paused = true)]
async fn members_of_all_nodes_are_seen_and_reached_from_each() {
    let hub = LocalHub::new();
    let (a, b) = (node(&hub, "a", 1).await, node(&hub, "b", 2).await);
    settle().await;
    let ((one, at_one), (_two, at_two)) = (worker(&a, "one"), worker(&b, "two"));
    let no_proc = a.groups().join("idle", "nobody");
    assert!(matches!(no_proc, Err(GroupError::NoProc(name)) if name.as_str() == "nobody"));
    assert!(matches!(a.groups().join("", "one"), Err(GroupError::Name(_))));
    a.groups().join("idle", "one").expect("it is exported");
    assert_eq!((members(&a, "idle"), members(&b, "idle")), (vec!["one@a".to_owned()], vec![]));
    b.groups().join("idle", "two").expect("it is exported");
    b.groups().join("idle", "two").expect("once more");
    b.groups().join("busy", "two").expect("it is exported");
    settle().await;
    assert_eq!(members(&a, "idle"), ["one@a", "two@b", "two@b"]);
    assert_eq!(members(&b, "idle"), ["two@b", "two@b", "one@a"]);
    assert_eq!(shown(&b.groups().local_members("idle")), ["two@b", "two@b"]);
    for from in [&a, &b] {
        let groups = from.groups().which_groups();
        assert_eq!(groups.iter().map(|group| group.as_str()).collect::<Vec<_>>(), ["busy", "idle"]);
        for member in from.groups().members("idle") {
            member.send(&7_u32).expect("it is up");
        }
    }
    settle().await;
    assert_eq!((take(&at_one), take(&at_two)), (vec![7; 2], vec![7; 4]));
    // A node that comes later is told too.
    let c = node(&hub, "c", 3).await;
    settle().await;
    assert_eq!(members(&c, "idle"), ["one@a", "two@b", "two@b"]);
    assert!(!c.groups().leave("idle", "two"), "it is another node's");
    assert!(b.groups().leave("idle", "two"));
    settle().await;
    kill(one.pid());
    one.wait().await;
    assert_eq!(members(&a, "idle"), ["two@b"], "who hears of the end does not find it");
    settle().await;
    assert_eq!(
        (members(&a, "idle"), members(&c, "idle")),
        (vec!["two@b".to_owned()], vec!["two@b".to_owned()])
    );
    assert!(b.unexport("two"));
    settle().await;
    for from in [&a, &b, &c] {
        assert_eq!(from.groups().which_groups(), []);
    }
}

#[tokio::test(start_paused = true)]
async fn a_membership_is_its_processs_and_not_that_of_who_has_the_name_later() {
    let hub = LocalHub::new();
    let a = node(&hub, "a", 1).await;
    let (first, _) = worker(&a, "w");
    a.groups().join("g", "w").expect("it is exported");
    assert!(a.unexport("w"));
    let (second, _) = worker(&a, "w");
    a.groups().join("g", "w").expect("it is exported");
    kill(first.pid());
    first.wait().await;
    assert_eq!(members(&a, "g"), ["w@a"]);
    kill(second.pid());
    second.wait().await;
    assert_eq!(members(&a, "g"), [] as [&str; 0]);
}

static OPTIONS: std::sync::LazyLock<NodeOptions> = std::sync::LazyLock::new(NodeOptions::new);

async fn until(what: &str, is_so: impl Fn() -> bool) -> Duration {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < Duration::from_secs(60), "never: {what}");
        sleep(Duration::from_millis(5)).await;
    }
    start.elapsed()
}

#[tokio::test(start_paused = true)]
async fn who_is_parted_is_gone_at_once_and_back_once() {
    for seed in 0..4 {
        let sim = Sim::new(seed, Faults { drop: 0.05, duplicate: 0.2, reorder: 0.1, ..Faults::default() });
        let start = |name, life| Node::start(Arc::new(sim.engine(id(name, life))), &OPTIONS);
        let (a, b) = (start("a", 1).await.expect("it starts"), start("b", 2).await.expect("it starts"));
        until("they meet", || !a.nodes().is_empty() && !b.nodes().is_empty()).await;
        let ((_one, _), (_two, _)) = (worker(&a, "one"), worker(&b, "two"));
        a.groups().join("g", "one").expect("it is exported");
        b.groups().join("g", "two").expect("it is exported");
        until("all are seen", || members(&a, "g").len() == 2 && members(&b, "g").len() == 2).await;
        let ((_m, of_g), (_n, of_all)) = (monitor(&a, Some("g")), monitor(&a, None));
        settle().await;
        sim.control(|network, _| network.partition(&[&[a.id().clone()], &[b.id().clone()]]));
        until("a parts", || a.nodes().is_empty()).await;
        assert_eq!(members(&a, "g"), ["one@a"], "at once");
        until("b parts", || b.nodes().is_empty()).await;
        let (_three, _) = worker(&b, "three");
        b.groups().join("h", "three").expect("it is exported");
        sim.control(|network, _| network.heal());
        let took = until("all are back", || members(&a, "g").len() == 2 && members(&b, "g").len() == 2).await;
        assert!(took <= Duration::from_secs(3), "seed {seed}: {took:?}");
        sleep(Duration::from_secs(5)).await;
        assert_eq!(
            (members(&a, "g"), members(&a, "h")),
            (vec!["one@a".to_owned(), "two@b".to_owned()], vec!["three@b".to_owned()])
        );
        assert_eq!(take(&of_g), ["-g two@b", "+g two@b"], "seed {seed}");
        let mut of_all = take(&of_all);
        of_all.sort_unstable();
        assert_eq!(of_all, ["+g two@b", "+h three@b", "-g two@b"], "seed {seed}");
        // A machine that dies.
        sim.control(|network, _| network.leave(b.id()));
        let took = until("its members go", || members(&a, "g").len() == 1).await;
        assert!(took <= Duration::from_millis(5_010), "seed {seed}: {took:?}");
    }
}
