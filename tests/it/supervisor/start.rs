//! How a supervisor's start fails.

use heronry::prelude::*;
use heronry::process;

use super::lab::{Lab, idle, start};
use crate::support::within;

#[tokio::test]
async fn a_child_that_does_not_start_stops_those_before_it_and_is_named_by_the_error() {
    let lab = Lab::default();
    lab.plan_starts("c", 0, 1);
    let mut supervisor = Supervisor::one_for_one();
    for id in ["a", "b", "c", "d"] {
        supervisor = supervisor.child(lab.child(id));
    }
    let error = within("the start", supervisor.start()).await.expect_err("c does not start");
    let expect = ExitReason::shutdown_with("failed to start child c: no luck");
    assert_eq!(error, StartError::Init(expect), "an orderly end, as in OTP");
    assert_eq!(lab.journal(), ["a starts", "b starts", "c fails", "b stops", "a stops"]);
    assert!(!lab.addr("a").is_alive() && !lab.addr("b").is_alive());
}

#[tokio::test]
async fn the_error_of_a_supervisor_below_names_the_child_there() {
    let lab = Lab::default();
    lab.plan_starts("leaf", 0, 1);
    let inner = lab.clone();
    let branch =
        ChildSpec::supervisor("branch", move || Supervisor::one_for_one().child(inner.child("leaf")));
    let supervisor = Supervisor::one_for_one().child(lab.child("a")).child(branch);
    let error = within("the start", supervisor.start()).await.expect_err("the leaf does not start");
    let text = error.to_string();
    assert!(
        text.contains("child branch") && text.contains("child leaf") && text.contains("no luck"),
        "{text}"
    );
    assert_eq!(lab.journal(), ["a starts", "leaf fails", "a stops"]);
}

/// OTP: `{duplicate_child_name, Id}`.
#[tokio::test]
async fn two_children_of_one_id_do_not_start_and_the_error_names_it() {
    let lab = Lab::default();
    let supervisor = Supervisor::one_for_one().child(lab.child("twin")).child(lab.child("twin"));
    let error = within("the start", supervisor.start()).await.expect_err("an id is there once");
    assert!(error.to_string().contains("twin"), "{error}");
    assert!(lab.journal().is_empty(), "as in OTP, no child was started");
}

#[tokio::test]
async fn a_name_that_is_taken_or_is_none_is_an_error_of_the_start() {
    let tree = start(Supervisor::one_for_one().child(idle("first").named("supervisor.once"))).await;
    for (name, expect) in [("supervisor.once", "taken"), ("", "at least one byte")] {
        let second = Supervisor::one_for_one().child(idle("second").named(name));
        let error = within("the start", second.start()).await.expect_err("it does not start");
        let text = error.to_string();
        assert!(text.contains("child second") && text.contains(expect), "{text}");
    }
    assert!(process::whereis_pid("supervisor.once").is_some());
    within("the stop", tree.stop()).await;
}
