//! What one asks of a running supervisor, and the errors.

use heronry::prelude::*;
use heronry::process;
use heronry::supervisor::ChildError;

use super::lab::{Gate, Lab, child, children, idle, pid, start};
use crate::support::within;

#[tokio::test]
async fn children_are_terminated_restarted_and_deleted() {
    let lab = Lab::default();
    let tree = start(Supervisor::one_for_one().child(lab.child("a")).child(lab.child("b"))).await;
    let first = pid(&tree, "a").await;
    within("the requests", async {
        assert_eq!(tree.restart_child("a").await, Err(ChildError::Running(first)));
        assert_eq!(tree.delete_child("a").await, Err(ChildError::Running(first)));
        assert_eq!(tree.start_child(idle("a")).await, Err(ChildError::AlreadyStarted(first)));

        assert_eq!(tree.terminate_child("a").await, Ok(()));
        assert!(!process::is_alive(first));
        assert_eq!(tree.terminate_child("a").await, Ok(()), "as in OTP, twice is no error");
        assert_eq!(tree.start_child(idle("a")).await, Err(ChildError::AlreadyPresent));
        let count = tree.count_children().await.expect("the supervisor lives");
        assert_eq!((count.specs, count.active, count.workers, count.supervisors), (2, 1, 2, 0));

        let second = tree.restart_child("a").await.expect("it starts");
        assert_ne!(second, first);
        assert_eq!(pid(&tree, "a").await, second);

        assert_eq!(tree.terminate_child("a").await, Ok(()));
        assert_eq!(tree.delete_child("a").await, Ok(()));
        assert!(child(&tree, "a").await.is_none());
        for gone in ["a", "never there"] {
            assert_eq!(tree.terminate_child(gone).await, Err(ChildError::NotFound));
            assert_eq!(tree.restart_child(gone).await, Err(ChildError::NotFound));
            assert_eq!(tree.delete_child(gone).await, Err(ChildError::NotFound));
        }
        tree.start_child(lab.child("a")).await.expect("its id is free");
    })
    .await;
    let ids: Vec<_> = children(&tree).await.iter().map(|child| child.id.to_string()).collect();
    assert_eq!(ids, ["b", "a"], "a child that is added later comes after the others");
    within("the stop", tree.stop()).await;
    assert_eq!(lab.journal().split_off(5), ["a starts", "a stops", "b stops"]);
}

#[tokio::test]
async fn a_temporary_child_is_forgotten_when_it_is_terminated() {
    let lab = Lab::default();
    let tree = start(Supervisor::one_for_one().child(lab.child("a").restart(Restart::Temporary))).await;
    within("the requests", async {
        assert_eq!(tree.terminate_child("a").await, Ok(()));
        assert_eq!(tree.restart_child("a").await, Err(ChildError::NotFound));
        assert_eq!(tree.delete_child("a").await, Err(ChildError::NotFound));
    })
    .await;
    within("the stop", tree.stop()).await;
}

#[tokio::test]
async fn a_terminated_child_is_neither_a_crash_nor_a_restart() {
    let lab = Lab::default();
    let supervisor = Supervisor::one_for_all().intensity(0, super::lab::PERIOD);
    let tree = start(supervisor.child(lab.child("a")).child(lab.child("b"))).await;
    let b = pid(&tree, "b").await;
    for _ in 0..3 {
        within("the end", tree.terminate_child("a")).await.expect("it is there");
        within("the start", tree.restart_child("a")).await.expect("it starts");
    }
    assert_eq!(pid(&tree, "b").await, b);
    within("the stop", tree.stop()).await;
}

#[tokio::test]
async fn a_child_that_does_not_start_is_not_added_and_one_that_does_not_restart_is_kept() {
    let lab = Lab::default();
    let tree = start(Supervisor::one_for_one()).await;
    let no_luck = StartError::Init(ExitReason::custom("no luck"));
    let failed = ChildError::Start("a".into(), no_luck);
    within("the requests", async {
        lab.plan_starts("a", 0, 1);
        assert_eq!(tree.start_child(lab.child("a")).await, Err(failed.clone()));
        assert_eq!(tree.delete_child("a").await, Err(ChildError::NotFound));

        tree.start_child(lab.child("a")).await.expect("it starts");
        tree.terminate_child("a").await.expect("it is there");
        lab.plan_starts("a", 0, 1);
        assert_eq!(tree.restart_child("a").await, Err(failed));
        assert_eq!(child(&tree, "a").await.expect("its spec is kept").pid, None);
        tree.restart_child("a").await.expect("it starts");
    })
    .await;
    within("the stop", tree.stop()).await;
}

#[tokio::test]
async fn a_supervisor_that_has_ended_says_why() {
    let tree = start(Supervisor::one_for_one()).await;
    within("the stop", tree.stop()).await;
    within("the second stop", tree.stop()).await;
    let ended = CallError::Exited(ExitReason::Shutdown);
    let answers = within("the answers", async {
        (
            tree.which_children().await.map(drop),
            tree.start_child(idle("a")).await,
            tree.terminate_child("a").await,
        )
    });
    let (which, started, terminated) = answers.await;
    assert_eq!(which, Err(ended.clone()));
    assert_eq!(started, Err(ChildError::Supervisor(ended.clone())));
    assert_eq!(terminated, Err(ChildError::Supervisor(ended)));
}

/// OTP catches what a start function throws: it is a start that failed, not the supervisor's end.
#[tokio::test]
async fn a_start_function_that_panics_is_a_start_that_failed() {
    let lab = Lab::default();
    let tree = start(Supervisor::one_for_one().child(lab.child("a"))).await;
    let panics = ChildSpec::new("panics", |_| async { panic!("no start") });
    let started = within("an answer", tree.start_child(panics)).await;
    assert!(matches!(&started, Err(ChildError::Start(id, _)) if id.as_str() == "panics"), "{started:?}");
    assert!(lab.addr("a").is_alive());
    within("the stop", tree.stop()).await;
}

/// A body that panics before it is a future runs in the spawner: nothing of the process may be left.
#[tokio::test]
async fn a_body_that_panics_before_its_first_await_leaves_no_name_behind() {
    let early = |_: Context<()>| -> std::future::Ready<()> { panic!("no body") };
    let tree = start(Supervisor::one_for_one()).await;
    let spec = ChildSpec::process("early", early).named("supervisor.early");
    let started = within("an answer", tree.start_child(spec.restart(Restart::Temporary))).await;
    assert_eq!(process::whereis_pid("supervisor.early"), None, "{started:?}");
    assert!(
        !heronry::inspect::tree().nodes.iter().any(|node| node.label.as_str() == "early"),
        "it is in the process table"
    );
    within("the stop", tree.stop()).await;
}

#[tokio::test]
async fn a_spec_that_starts_once_is_refused_the_second_time() {
    let lab = Lab::default();
    let tree = start(Supervisor::one_for_one().child(lab.child("a"))).await;
    let once = ChildSpec::once("once", |spawner| async {
        Ok(spawner.spawn(|_: Context<()>| std::future::pending::<()>())?.pid())
    });
    within("the start", tree.start_child(once.clone())).await.expect("it starts");
    within("the end", tree.terminate_child("once")).await.expect("it is there");
    let again = within("an answer", tree.start_child(once)).await;
    assert!(matches!(&again, Err(ChildError::Start(id, _)) if id.as_str() == "once"), "{again:?}");
    assert!(lab.addr("a").is_alive());
    within("the stop", tree.stop()).await;
}

/// OTP: `restarting` for a restart and a deletion, `already_present` for a start; a termination ends the trying.
#[tokio::test(start_paused = true)]
async fn a_child_that_is_about_to_be_started_again_says_so() {
    let gate = Gate::default();
    let tree = start(Supervisor::one_for_one().child(gate.spec("gated"))).await;
    let first = pid(&tree, "gated").await;
    gate.close();
    process::kill(first);
    gate.reached().await;
    // All of these are in the mailbox before the restart fails and is tried again.
    let requests = async {
        tokio::join!(
            biased;
            tree.which_children(),
            tree.restart_child("gated"),
            tree.delete_child("gated"),
            tree.start_child(idle("gated")),
            tree.terminate_child("gated"),
            tree.restart_child("gated"),
            async { gate.fail() }
        )
    };
    let (which, restarted, deleted, started, terminated, again, ()) = within("the answers", requests).await;
    let which = which.expect("the supervisor lives");
    assert_eq!((which[0].pid, which[0].restarting), (None, true));
    assert_eq!(restarted, Err(ChildError::Restarting));
    assert_eq!(deleted, Err(ChildError::Restarting));
    assert_eq!(started, Err(ChildError::AlreadyPresent));
    assert_eq!(terminated, Ok(()));
    let again = again.expect("it starts");
    let gated = child(&tree, "gated").await.expect("it is there");
    assert_eq!((gated.pid, gated.restarting, gated.restarts), (Some(again), false, 1));
    within("the stop", tree.stop()).await;
}

#[tokio::test]
async fn the_spec_of_a_child_can_be_had_and_started_elsewhere() {
    let lab = Lab::default();
    let tree = start(Supervisor::one_for_one().child(lab.child("a").restart(Restart::Transient))).await;
    let spec = within("the spec", tree.child_spec("a")).await.expect("it is there");
    assert_eq!(spec.id(), "a");
    let none = within("an answer", tree.child_spec("b")).await.map(drop);
    assert_eq!(none, Err(ChildError::NotFound));
    let other = start(Supervisor::one_for_one().child(spec)).await;
    assert_eq!(child(&other, "a").await.map(|child| child.restart), Some(Restart::Transient));
    within("the stops", async { tokio::join!(tree.stop(), other.stop()) }).await;
}
