//! Significant children and the supervisors that end with them. The cases are those of OTP's supervisor_SUITE.

use std::time::Duration;

use heronry::Label;
use heronry::prelude::*;
use heronry::supervisor::{AutoShutdown, ChildError, SpecError, SupervisorRef};

use super::lab::{End, Lab, OFTEN, PERIOD, child, children, idle, start};
use crate::support::within;
use AutoShutdown::{AllSignificant, AnySignificant, Never};

async fn ends(tree: &SupervisorRef) {
    assert_eq!(within("its end", tree.wait()).await, ExitReason::Shutdown);
}

fn significant(lab: &Lab, id: &'static str, restart: Restart) -> ChildSpec {
    lab.child(id).restart(restart).significant(true)
}

#[tokio::test]
async fn specs_that_can_not_be_meant_are_refused_before_any_child_starts() {
    let table = [
        (Never, Restart::Permanent, false),
        (Never, Restart::Transient, false),
        (Never, Restart::Temporary, false),
        (AnySignificant, Restart::Permanent, true),
        (AllSignificant, Restart::Permanent, true),
    ];
    for (policy, restart, permanent) in table {
        let id = Label::from("b");
        let expect =
            if permanent { SpecError::SignificantPermanent(id) } else { SpecError::SignificantNever(id) };
        let lab = Lab::default();
        let supervisor = Supervisor::one_for_one().auto_shutdown(policy);
        let supervisor = supervisor.child(lab.child("a")).child(significant(&lab, "b", restart));
        let error = within("the start", supervisor.start()).await.expect_err("it is refused");
        assert!(error.to_string().contains(&expect.to_string()), "{policy:?}, {restart:?}: {error}");
        assert!(lab.journal().is_empty(), "no child was started");

        let tree = start(Supervisor::one_for_one().auto_shutdown(policy)).await;
        let refused = within("an answer", tree.start_child(significant(&lab, "b", restart))).await;
        assert_eq!(refused, Err(ChildError::Spec(expect.clone())), "{policy:?}, {restart:?}");
        let dynamic = Supervisor::dynamic().auto_shutdown(policy).start().await.expect("it starts");
        let refused = within("an answer", dynamic.start_child(significant(&lab, "b", restart))).await;
        assert_eq!(refused, Err(ChildError::Spec(expect)), "{policy:?}, {restart:?}");
        assert!(lab.journal().is_empty());
        within("the stops", async { tokio::join!(tree.stop(), dynamic.stop()) }).await;
    }
}

/// Which ends of a significant child end its supervisor: those after which it is not restarted.
#[tokio::test]
async fn each_end_of_a_significant_child_ends_its_supervisor_or_is_followed_by_a_restart() {
    type Row = (Restart, fn() -> End, bool);
    let table: [Row; 8] = [
        (Restart::Transient, || End::With(ExitReason::Normal), true),
        (Restart::Transient, || End::With(ExitReason::Shutdown), true),
        (Restart::Transient, || End::With(ExitReason::shutdown_with("x")), true),
        (Restart::Transient, || End::With(ExitReason::custom("boom")), false),
        (Restart::Transient, || End::Panic, false),
        (Restart::Temporary, || End::With(ExitReason::Normal), true),
        (Restart::Temporary, || End::With(ExitReason::custom("boom")), true),
        (Restart::Temporary, || End::Panic, true),
    ];
    for policy in [AnySignificant, AllSignificant] {
        for (n, (restart, end, ends_it)) in table.iter().enumerate() {
            let lab = Lab::default();
            let supervisor = Supervisor::one_for_one().auto_shutdown(policy);
            let tree = start(supervisor.child(lab.child("a")).child(significant(&lab, "b", *restart))).await;
            lab.end("b", end()).await;
            if *ends_it {
                ends(&tree).await;
                assert!(!lab.addr("a").is_alive(), "{policy:?}, row {n}");
            } else {
                let b = child(&tree, "b").await.expect("it is there");
                assert_eq!(
                    (b.pid.is_some(), b.restarts, b.significant),
                    (true, 1, true),
                    "{policy:?}, row {n}"
                );
                within("the stop", tree.stop()).await;
            }
        }
    }
}

#[tokio::test]
async fn the_last_of_all_significant_children_ends_the_supervisor_and_others_do_not() {
    let lab = Lab::default();
    let supervisor = Supervisor::one_for_one().auto_shutdown(AllSignificant).child(lab.child("plain"));
    let supervisor = supervisor
        .child(significant(&lab, "a", Restart::Transient))
        .child(significant(&lab, "b", Restart::Temporary))
        .child(lab.child("transient").restart(Restart::Transient))
        .child(lab.child("temporary").restart(Restart::Temporary));
    let tree = start(supervisor).await;
    let normal = || End::With(ExitReason::Normal);
    lab.end("a", normal()).await;
    assert_eq!(children(&tree).await.len(), 5);
    lab.end("transient", normal()).await;
    lab.end("temporary", normal()).await;
    assert_eq!(children(&tree).await.len(), 4, "insignificant ends");
    lab.end("plain", normal()).await;
    assert_eq!(child(&tree, "plain").await.map(|plain| plain.restarts), Some(1), "the supervisor goes on");
    lab.end("b", normal()).await;
    ends(&tree).await;
    assert!(!lab.addr("plain").is_alive());
}

/// OTP: a child that the supervisor itself terminates ends nobody, and is not there for the next one's end.
#[tokio::test]
async fn terminating_a_significant_child_by_request_ends_nobody() {
    for policy in [AnySignificant, AllSignificant] {
        let lab = Lab::default();
        let supervisor = Supervisor::one_for_one().auto_shutdown(policy);
        let supervisor = supervisor
            .child(significant(&lab, "a", Restart::Transient))
            .child(significant(&lab, "b", Restart::Temporary))
            .child(significant(&lab, "c", Restart::Transient));
        let tree = start(supervisor).await;
        for id in ["a", "b"] {
            within("the request", tree.terminate_child(id)).await.expect("it is there");
        }
        assert_eq!(children(&tree).await.len(), 2, "{policy:?}");
        lab.end("c", End::With(ExitReason::Normal)).await;
        ends(&tree).await;
    }
}

/// Nor does one that goes down with a sibling: a temporary one is gone after that.
#[tokio::test]
async fn a_significant_sibling_that_goes_with_a_restart_ends_nobody() {
    let lab = Lab::default();
    let supervisor = Supervisor::one_for_all().auto_shutdown(AnySignificant).intensity(OFTEN, PERIOD);
    let supervisor = supervisor
        .child(lab.child("a"))
        .child(significant(&lab, "b", Restart::Temporary))
        .child(significant(&lab, "c", Restart::Transient));
    let tree = start(supervisor).await;
    lab.kill("a").await;
    let ids: Vec<_> = children(&tree).await.iter().map(|child| child.id.to_string()).collect();
    assert_eq!(ids, ["a", "c"]);
    lab.end("c", End::With(ExitReason::Shutdown)).await;
    ends(&tree).await;
}

/// A significant child that is about to be started again is not gone.
#[tokio::test]
async fn a_significant_child_that_is_tried_again_keeps_its_supervisor() {
    let lab = Lab::default();
    let supervisor = Supervisor::one_for_one().auto_shutdown(AllSignificant).intensity(OFTEN, PERIOD);
    let supervisor = supervisor.child(significant(&lab, "a", Restart::Transient)).child(significant(
        &lab,
        "b",
        Restart::Transient,
    ));
    let tree = start(supervisor).await;
    lab.plan_starts("a", 0, 5);
    let b = lab.addr("b");
    // The restart of one fails while the end of the other waits.
    lab.addr("a").send(End::Panic).expect("it lives");
    b.send(End::With(ExitReason::Normal)).expect("it lives");
    crate::support::eventually("a restart", || lab.addr("a").is_alive() && !b.is_alive()).await;
    assert_eq!(child(&tree, "a").await.and_then(|a| a.pid), Some(lab.addr("a").pid()));
    within("the stop", tree.stop()).await;
}

#[tokio::test]
async fn a_supervisor_that_ended_with_a_child_is_a_transient_child_that_ended_in_order() {
    let lab = Lab::default();
    let inner = lab.clone();
    let branch = ChildSpec::supervisor("branch", move || {
        let leaf = significant(&inner, "leaf", Restart::Transient);
        Supervisor::one_for_one().auto_shutdown(AnySignificant).child(leaf)
    });
    let supervisor = Supervisor::one_for_one().auto_shutdown(AnySignificant);
    let branch = branch.restart(Restart::Transient).significant(true);
    let tree = start(supervisor.child(idle("aside")).child(branch)).await;
    lab.end("leaf", End::With(ExitReason::Normal)).await;
    ends(&tree).await;
}

#[tokio::test]
async fn dynamic_supervisors_end_with_their_significant_children_too() {
    for (policy, ends_with_the_first) in [(AnySignificant, true), (AllSignificant, false)] {
        let lab = Lab::default();
        let tree = Supervisor::dynamic().auto_shutdown(policy).start().await.expect("it starts");
        for id in ["a", "b"] {
            let spec = significant(&lab, id, Restart::Temporary);
            within("the child", tree.start_child(spec)).await.expect("it starts");
        }
        within("the child", tree.start_child(lab.child("plain"))).await.expect("it starts");
        lab.end("a", End::Panic).await;
        if !ends_with_the_first {
            let count = within("the count", tree.count_children()).await.expect("it goes on");
            assert_eq!(count.active, 2);
            lab.end("b", End::With(ExitReason::Normal)).await;
        }
        assert_eq!(within("its end", tree.wait()).await, ExitReason::Shutdown, "{policy:?}");
        assert!(!lab.addr("plain").is_alive());
    }
}

/// Its children are stopped as ever: in reverse order, each with its time.
#[tokio::test(start_paused = true)]
async fn an_end_with_a_child_stops_the_others_in_order() {
    let lab = Lab::default();
    let supervisor = Supervisor::rest_for_one().auto_shutdown(AnySignificant);
    let supervisor = supervisor
        .child(lab.child("a"))
        .child(super::lab::stubborn("slow").shutdown(Shutdown::After(Duration::from_secs(3))))
        .child(lab.child("b"))
        .child(significant(&lab, "c", Restart::Transient));
    let tree = start(supervisor).await;
    let before = tokio::time::Instant::now();
    lab.end("c", End::With(ExitReason::Normal)).await;
    ends(&tree).await;
    assert_eq!(before.elapsed().as_secs(), 3);
    assert_eq!(lab.journal(), ["a starts", "b starts", "c starts", "c ends", "b stops", "a stops"]);
}
