//! Which children are restarted, how often, and what becomes of a restart that fails.

use std::time::Duration;

use heronry::inspect;
use heronry::prelude::*;
use heronry::process;
use heronry::supervisor::ChildError;

use super::lab::{End, Gate, Lab, OFTEN, PERIOD, child, children, idle, pid, start, watch};
use crate::support::within;

fn boom() -> ExitReason {
    ExitReason::custom("boom")
}

/// What a supervisor has of a child after its end.
#[derive(Debug, PartialEq)]
enum Fate {
    Restarted,
    Kept,
    Forgotten,
}

#[tokio::test]
async fn every_restart_type_meets_every_reason() {
    use Fate::{Forgotten, Kept, Restarted};
    type Row = (&'static str, fn() -> Option<End>, [Fate; 3]);
    let ends: [Row; 6] = [
        ("normal", || Some(End::With(ExitReason::Normal)), [Restarted, Kept, Forgotten]),
        ("shutdown", || Some(End::With(ExitReason::Shutdown)), [Restarted, Kept, Forgotten]),
        ("shutdown with", || Some(End::With(ExitReason::shutdown_with("x"))), [Restarted, Kept, Forgotten]),
        ("custom", || Some(End::With(boom())), [Restarted, Restarted, Forgotten]),
        ("panic", || Some(End::Panic), [Restarted, Restarted, Forgotten]),
        ("kill", || None, [Restarted, Restarted, Forgotten]),
    ];
    for (name, end, fates) in ends {
        for (restart, fate) in
            [Restart::Permanent, Restart::Transient, Restart::Temporary].into_iter().zip(fates)
        {
            let lab = Lab::default();
            let tree = start(Supervisor::one_for_one().child(lab.child("a").restart(restart))).await;
            let before = pid(&tree, "a").await;
            match end() {
                Some(end) => lab.end("a", end).await,
                None => lab.kill("a").await,
            }
            let got = match child(&tree, "a").await.map(|child| (child.pid, child.restarts)) {
                Some((Some(pid), 1)) if pid != before => Fate::Restarted,
                Some((None, 0)) => Fate::Kept,
                None => Fate::Forgotten,
                other => panic!("{name}, {restart:?}: {other:?}, before {before}"),
            };
            assert_eq!(got, fate, "{name}, {restart:?}");
            within("the stop", tree.stop()).await;
        }
    }
}

#[tokio::test]
async fn a_restarted_child_has_its_name_again_and_the_tree_shows_how_often_it_came_back() {
    let lab = Lab::default();
    let child = lab.child("supervisor.named").named("supervisor.named");
    let tree = start(Supervisor::one_for_one().label("supervisor.naming").child(child)).await;
    for restarts in 0..3 {
        let found: Addr<End> = process::whereis("supervisor.named").expect("it has its name");
        assert_eq!(found.pid(), pid(&tree, "supervisor.named").await);
        let shown = inspect::tree();
        let node = shown.nodes.iter().find(|node| node.pid == found.pid()).expect("it is in the tree");
        assert_eq!((node.restarts, node.label.as_str()), (restarts, "supervisor.named"));
        let line = shown.to_string();
        let line = line.lines().find(|line| line.contains("name \"supervisor.named\"")).expect("a line");
        assert!(line.contains(&format!("  restarts {restarts}  ")), "{line}");
        lab.end("supervisor.named", End::Panic).await;
    }
    within("the stop", tree.stop()).await;
    assert_eq!(process::whereis_pid("supervisor.named"), None);
}

/// A sibling that stops on another thread may not be done when its supervisor has the news.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn named_siblings_come_back_whatever_the_threads_do() {
    let named = |id: &'static str| idle(id).named(format!("supervisor.{id}"));
    let supervisor = Supervisor::one_for_all().intensity(u32::MAX, PERIOD);
    let tree = start(supervisor.child(named("left")).child(named("right"))).await;
    for round in 0..3_000 {
        let kids = children(&tree).await;
        // Both at once: while the supervisor hears of one, the other is ending.
        let pids: Vec<_> = kids.iter().filter_map(|child| child.pid).collect();
        pids.iter().for_each(|pid| assert!(process::kill(*pid) || !process::is_alive(*pid)));
        let back = within("both", async {
            loop {
                let now = children(&tree).await;
                if now.iter().zip(&kids).all(|(now, old)| now.pid.is_some() && now.pid != old.pid) {
                    return now;
                }
                tokio::task::yield_now().await;
            }
        });
        // One restart: the second end is that of a child which the supervisor has stopped already.
        for (now, old) in back.await.iter().zip(&kids) {
            let times = now.restarts - old.restarts;
            assert_eq!(times, 1, "round {round}: {} came back that often", now.id);
        }
    }
    within("the stop", tree.stop()).await;
}

#[tokio::test(start_paused = true)]
async fn restarts_within_the_period_count_and_one_too_many_ends_the_supervisor() {
    let lab = Lab::default();
    let supervisor = Supervisor::one_for_one().intensity(2, PERIOD);
    let tree = start(supervisor.child(lab.child("a")).child(lab.child("b"))).await;
    for _ in 0..4 {
        lab.end("a", End::With(boom())).await;
        lab.end("b", End::With(boom())).await;
        assert_eq!(children(&tree).await.len(), 2, "two restarts are allowed");
        tokio::time::advance(PERIOD + Duration::from_millis(1)).await;
    }
    for id in ["a", "b", "a"] {
        lab.end(id, End::With(boom())).await;
    }
    assert_eq!(within("its end", tree.wait()).await, ExitReason::Shutdown);
    assert!(!lab.addr("b").is_alive());
    assert_eq!(lab.journal().last().map(String::as_str), Some("b stops"));
}

#[tokio::test]
async fn a_supervisor_that_gives_up_is_restarted_by_its_own_with_fresh_children() {
    let lab = Lab::default();
    let inner = lab.clone();
    let branch = ChildSpec::supervisor("branch", move || {
        Supervisor::one_for_one().intensity(1, PERIOD).child(inner.child("a")).child(inner.child("b"))
    });
    let tree = start(Supervisor::one_for_one().child(branch).child(lab.child("aside"))).await;
    let (branch, aside) = (pid(&tree, "branch").await, pid(&tree, "aside").await);
    let (a, b) = (lab.addr("a"), lab.addr("b"));
    lab.kill("a").await;
    children(&tree).await;
    crate::support::eventually("a restart", || lab.addr("a") != a).await;
    assert_eq!(pid(&tree, "branch").await, branch, "one restart is allowed");
    let (a, end) = (lab.addr("a"), watch(branch).await);
    lab.kill("a").await;
    assert_eq!(within("the end of the branch", end).await, ExitReason::Shutdown);
    within("b's end", b.wait()).await;
    crate::support::eventually("fresh children", || lab.addr("a") != a && lab.addr("b") != b).await;
    assert_ne!(pid(&tree, "branch").await, branch);
    assert_eq!(pid(&tree, "aside").await, aside);
    let restarts: Vec<_> = children(&tree).await.iter().map(|child| child.restarts).collect();
    assert_eq!(restarts, [1, 0]);
    within("the stop", tree.stop()).await;
}

#[tokio::test]
async fn a_restart_that_fails_is_tried_again_and_each_try_counts() {
    for (fail, lives) in [(2, true), (3, false)] {
        let lab = Lab::default();
        lab.plan_starts("a", 1, fail);
        let supervisor = Supervisor::one_for_one().intensity(3, PERIOD);
        let tree = start(supervisor.child(lab.child("a")).child(lab.child("b"))).await;
        lab.journal();
        lab.kill("a").await;
        if lives {
            crate::support::eventually("a restart", || lab.addr("a").is_alive()).await;
            let back = child(&tree, "a").await.expect("it is there");
            assert_eq!(back.restarts, 1, "the tries that failed were no restarts");
            assert_eq!(lab.journal(), ["a fails", "a fails", "a starts"]);
            within("the stop", tree.stop()).await;
        } else {
            assert_eq!(within("its end", tree.wait()).await, ExitReason::Shutdown);
            assert_eq!(lab.journal(), ["a fails", "a fails", "a fails", "b stops"]);
        }
    }
}

/// OTP: `terminate_child` on a child that is being restarted ends the trying.
#[tokio::test]
async fn a_child_terminated_while_its_restart_is_tried_again_stays_down() {
    let gate = Gate::default();
    let tree = start(Supervisor::one_for_one().intensity(OFTEN, PERIOD).child(gate.spec("gated"))).await;
    gate.close();
    process::kill(pid(&tree, "gated").await);
    gate.reached().await;
    let (terminated, ()) = within("the request", async {
        // Polled in this order: the request is in the mailbox before the restart fails.
        tokio::join!(biased; tree.terminate_child("gated"), async { gate.fail() })
    })
    .await;
    assert_eq!(terminated, Ok(()));
    let gated = child(&tree, "gated").await.expect("its spec is kept");
    assert_eq!((gated.pid, gated.restarting), (None, false), "it was terminated, and nobody restarted it");
    within("the stop", tree.stop()).await;
}

/// The same in a dynamic supervisor: a child that is being restarted keeps its place.
#[tokio::test]
async fn a_child_whose_restart_is_tried_again_counts_among_the_children() {
    let gate = Gate::default();
    let supervisor = Supervisor::dynamic().max_children(1).intensity(OFTEN, PERIOD);
    let tree = within("the start", supervisor.start()).await.expect("it starts");
    let first = within("the child", tree.start_child(gate.spec("gated"))).await.expect("it starts");
    gate.close();
    process::kill(first);
    gate.reached().await;
    let (second, which, ()) = within("the request", async {
        tokio::join!(biased; tree.start_child(idle("second")), tree.which_children(), async { gate.fail() })
    })
    .await;
    assert_eq!(second, Err(ChildError::MaxChildren(1)));
    let which = which.expect("the supervisor lives");
    assert_eq!((which.len(), which[0].pid, which[0].restarting), (1, None, true));
    let count = within("the count", tree.count_children()).await.expect("the supervisor lives");
    assert_eq!((count.specs, count.active), (1, 1));
    within("the stop", tree.stop()).await;
}

/// And it is terminated by the pid that it had.
#[tokio::test]
async fn a_dynamic_child_whose_restart_is_tried_again_can_be_terminated() {
    let gate = Gate::default();
    let tree = within("the start", Supervisor::dynamic().start()).await.expect("it starts");
    let first = within("the child", tree.start_child(gate.spec("gated"))).await.expect("it starts");
    gate.close();
    process::kill(first);
    gate.reached().await;
    let (terminated, twice, ()) = within("the request", async {
        tokio::join!(biased; tree.terminate_child(first), tree.terminate_child(first), async { gate.fail() })
    })
    .await;
    assert_eq!(terminated, Ok(()));
    assert_eq!(twice, Err(ChildError::NotFound));
    let count = within("the count", tree.count_children()).await.expect("the supervisor lives");
    assert_eq!((count.specs, count.active), (0, 0), "nobody started it again");
    within("the stop", tree.stop()).await;
}
