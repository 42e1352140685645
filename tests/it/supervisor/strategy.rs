//! Whom a dead child takes with it, and in which order they stop and start.

use heronry::prelude::*;
use heronry::supervisor::Strategy;

use super::lab::{End, Lab, OFTEN, PERIOD, children, start};
use crate::support::within;

async fn ids(tree: &heronry::supervisor::SupervisorRef) -> Vec<String> {
    children(tree).await.iter().map(|child| child.id.to_string()).collect()
}

#[tokio::test]
async fn children_stop_in_reverse_and_start_in_order() {
    let table: [(Strategy, &[&str]); 3] = [
        (Strategy::OneForOne, &["b ends", "b starts"]),
        (
            Strategy::OneForAll,
            &["b ends", "d stops", "c stops", "a stops", "a starts", "b starts", "c starts", "d starts"],
        ),
        (Strategy::RestForOne, &["b ends", "d stops", "c stops", "b starts", "c starts", "d starts"]),
    ];
    for (strategy, journal) in table {
        let lab = Lab::default();
        let mut supervisor = Supervisor::new(strategy);
        for id in ["a", "b", "c", "d"] {
            supervisor = supervisor.child(lab.child(id));
        }
        let tree = start(supervisor).await;
        assert_eq!(lab.journal(), ["a starts", "b starts", "c starts", "d starts"]);
        lab.end("b", End::With(ExitReason::custom("boom"))).await;
        assert_eq!(ids(&tree).await, ["a", "b", "c", "d"]);
        assert_eq!(lab.journal(), journal, "{strategy:?}");
        within("the stop", tree.stop()).await;
        assert_eq!(lab.journal(), ["d stops", "c stops", "b stops", "a stops"]);
    }
}

#[tokio::test]
async fn temporary_siblings_go_with_a_restarted_child_and_do_not_come_back() {
    let table: [(Strategy, &[&str], &[&str]); 2] = [
        (Strategy::OneForAll, &["b ends", "late stops", "early stops", "b starts"], &["b"]),
        (Strategy::RestForOne, &["b ends", "late stops", "b starts"], &["early", "b"]),
    ];
    for (strategy, journal, left) in table {
        let lab = Lab::default();
        let supervisor = Supervisor::new(strategy)
            .child(lab.child("early").restart(Restart::Temporary))
            .child(lab.child("b"))
            .child(lab.child("late").restart(Restart::Temporary));
        let tree = start(supervisor).await;
        lab.journal();
        lab.end("b", End::Panic).await;
        assert_eq!(ids(&tree).await, left, "{strategy:?}");
        assert_eq!(lab.journal(), journal, "{strategy:?}");
        within("the stop", tree.stop()).await;
    }
}

#[tokio::test]
async fn a_child_that_is_not_restarted_takes_nobody_with_it() {
    for strategy in [Strategy::OneForAll, Strategy::RestForOne] {
        let lab = Lab::default();
        let supervisor = Supervisor::new(strategy)
            .child(lab.child("temporary").restart(Restart::Temporary))
            .child(lab.child("transient").restart(Restart::Transient))
            .child(lab.child("b"));
        let tree = start(supervisor).await;
        lab.journal();
        lab.kill("temporary").await;
        lab.end("transient", End::With(ExitReason::Normal)).await;
        assert_eq!(ids(&tree).await, ["transient", "b"]);
        assert_eq!(lab.journal(), ["transient ends"], "{strategy:?}");
        within("the stop", tree.stop()).await;
    }
}

/// OTP's `start_children` starts all that are there, a transient child that had ended in order too.
#[tokio::test]
async fn one_for_all_brings_a_transient_child_back_that_had_ended_in_order() {
    let lab = Lab::default();
    let supervisor = Supervisor::one_for_all()
        .child(lab.child("transient").restart(Restart::Transient))
        .child(lab.child("b"));
    let tree = start(supervisor).await;
    lab.end("transient", End::With(ExitReason::Normal)).await;
    children(&tree).await;
    lab.journal();
    lab.kill("b").await;
    assert!(children(&tree).await.iter().all(|child| child.pid.is_some()));
    assert_eq!(lab.journal(), ["transient starts", "b starts"]);
    within("the stop", tree.stop()).await;
}

#[tokio::test]
async fn a_sibling_that_fails_to_come_back_is_tried_again_with_those_that_its_strategy_takes() {
    let table: [(Strategy, &[&str]); 2] = [
        (
            Strategy::OneForAll,
            &["c stops", "a stops", "a starts", "b fails", "a stops", "a starts", "b starts", "c starts"],
        ),
        (Strategy::RestForOne, &["c stops", "b fails", "b starts", "c starts"]),
    ];
    for (strategy, journal) in table {
        let lab = Lab::default();
        lab.plan_starts("b", 1, 1);
        let supervisor = Supervisor::new(strategy).intensity(OFTEN, PERIOD);
        let tree = start(supervisor.child(lab.child("a")).child(lab.child("b")).child(lab.child("c"))).await;
        lab.journal();
        lab.kill("b").await;
        let running = || async { children(&tree).await.iter().all(|child| child.pid.is_some()) };
        within("all", async {
            while !running().await {
                tokio::task::yield_now().await;
            }
        })
        .await;
        assert_eq!(lab.journal(), journal, "{strategy:?}");
        within("the stop", tree.stop()).await;
    }
}
