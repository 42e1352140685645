//! How a supervisor starts under a name, and how a start fails.

use std::sync::{Arc, Mutex};

use heronry::NameError;
use heronry::prelude::*;
use heronry::process::{self, RegisterError, WhereisError};
use heronry::supervisor::{DynamicRef, PartitionRef, PartitionSupervisor, SupervisorRef};

use super::lab::{Lab, idle, start};
use crate::support::{eventually, within};

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

#[tokio::test]
async fn a_named_supervisor_is_found_from_before_its_children_start_until_it_ends() {
    let seen = Arc::<Mutex<Vec<_>>>::default();
    let note = seen.clone();
    let looks = ChildSpec::new("looks", move |spawner| {
        note.lock().expect("no panic under it").push(process::whereis_pid("named.shop"));
        std::future::ready(
            spawner.spawn(|_: Context<()>| std::future::pending::<()>()).map(|addr| addr.pid()),
        )
    });
    let tree = start(Supervisor::one_for_one().named("named.shop").child(looks)).await;
    assert_eq!(*seen.lock().unwrap(), [Some(tree.pid())]);
    assert_eq!(SupervisorRef::named("named.shop").map(|found| found.pid()), Ok(tree.pid()));
    assert_eq!(process::info(tree.pid()).expect("it runs").label.as_str(), "named.shop");
    let other = DynamicRef::named("named.shop").map(|found| found.pid());
    assert_eq!(other, Err(WhereisError::OtherType("named.shop".to_owned())));
    within("the stop", tree.stop()).await;
    let gone = SupervisorRef::named("named.shop").map(|found| found.pid());
    assert_eq!(gone, Err(WhereisError::NotRegistered("named.shop".to_owned())));
    within("the stop", start(Supervisor::one_for_one().named("named.shop")).await.stop()).await;
}

#[tokio::test]
async fn a_supervisor_that_cannot_have_its_name_starts_no_child() {
    let tree = start(Supervisor::one_for_one().named("named.taken")).await;
    let lab = Lab::default();
    let below = lab.clone();
    let taken = |error: StartError| {
        let StartError::Name(RegisterError::Taken(name, holder)) = error else { panic!("{error}") };
        assert_eq!((name.as_str(), holder), ("named.taken", tree.pid()));
    };
    let second = Supervisor::one_for_one().named("named.taken").child(lab.child("a"));
    taken(within("the start", second.start()).await.expect_err("the name is taken"));
    let dynamic = Supervisor::dynamic().named("named.taken");
    taken(within("the start", dynamic.start()).await.expect_err("the name is taken"));
    let partitions = PartitionSupervisor::new(move |_| below.child("a")).partitions(1).named("named.taken");
    taken(within("the start", partitions.start()).await.expect_err("the name is taken"));
    let nameless = Supervisor::one_for_one().named("").child(lab.child("a"));
    let error = within("the start", nameless.start()).await.expect_err("it is no name");
    assert_eq!(error, StartError::Name(RegisterError::Name(NameError::Empty)));
    assert!(lab.journal().is_empty());
    within("the stop", tree.stop()).await;
}

#[tokio::test]
async fn supervisors_that_are_children_have_their_own_names_again_after_a_restart() {
    let inner = ChildSpec::supervisor("inner", || Supervisor::one_for_one().named("named.inner"));
    let carts = ChildSpec::dynamic("carts", || Supervisor::dynamic().named("named.carts"));
    let parts = ChildSpec::partitioned("parts", || {
        PartitionSupervisor::new(|_| idle("part")).partitions(2).named("named.parts")
    });
    let tree = Supervisor::one_for_one().child(inner.named("named.not")).child(carts).child(parts);
    let tree = start(tree).await;
    assert_eq!(process::whereis_pid("named.not"), None);
    assert_eq!(PartitionRef::named("named.parts").expect("it runs").partitions(), 2);
    assert_eq!(DynamicRef::named("named.carts").expect("it runs").count_children().await.unwrap().specs, 0);
    for name in ["named.inner", "named.carts", "named.parts"] {
        let pid = process::whereis_pid(name).expect("it runs");
        process::kill(pid);
        eventually("the restart", || process::whereis_pid(name).is_some_and(|new| new != pid)).await;
    }
    within("the stop", tree.stop()).await;
}
