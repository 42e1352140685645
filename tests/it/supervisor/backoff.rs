//! Restarts that wait.

use std::time::Duration;

use heronry::prelude::*;
use heronry::process;
use heronry::supervisor::{Backoff, ChildError, SupervisorRef};
use tokio::time::{Instant, advance, sleep};

use super::lab::{End, Lab, OFTEN, PERIOD, child, children, dynamic_children, idle, pid, start, wait};
use crate::support::within;

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Exactly 1 s, 2 s, 4 s, 8 s, 8 s, and from the first again after a life of a minute.
fn exact() -> Backoff {
    Backoff::new(seconds(1), seconds(8)).jitter(0).reset_after(seconds(60))
}

/// In how many seconds the child runs again.
async fn comes_back(tree: &SupervisorRef, id: &str) -> u64 {
    let before = Instant::now();
    loop {
        if child(tree, id).await.is_some_and(|child| child.pid.is_some()) {
            return before.elapsed().as_millis().div_ceil(100) as u64 * 100 / 1_000;
        }
        sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn each_restart_waits_longer_than_the_one_before_and_a_long_life_forgets_that() {
    let lab = Lab::default();
    let supervisor = Supervisor::one_for_one().intensity(OFTEN, PERIOD);
    let tree = start(supervisor.child(lab.child("a").backoff(exact())).child(lab.child("b"))).await;
    let b = pid(&tree, "b").await;
    for (lives, expect) in [(0, 1), (0, 2), (59, 4), (0, 8), (3, 8), (60, 1), (0, 2)] {
        sleep(seconds(lives)).await;
        lab.kill("a").await;
        assert_eq!(comes_back(&tree, "a").await, expect, "after a life of {lives} s");
    }
    assert_eq!(child(&tree, "a").await.map(|a| a.restarts), Some(7));
    lab.kill("b").await;
    assert_ne!(pid(&tree, "b").await, b, "one without a back-off does not wait");
    within("the stop", tree.stop()).await;
}

#[tokio::test(start_paused = true)]
async fn a_restart_that_fails_waits_too() {
    let lab = Lab::default();
    let tree = start(Supervisor::one_for_one().child(lab.child("a").backoff(exact()))).await;
    lab.plan_starts("a", 0, 3);
    lab.kill("a").await;
    let before = Instant::now();
    // 1 s, then 2 s, 4 s and 8 s after the starts that failed; three of five seconds' tries are allowed.
    while !lab.addr("a").is_alive() {
        sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(before.elapsed().as_secs(), 1 + 2 + 4 + 8);
    assert_eq!(lab.journal(), ["a starts", "a fails", "a fails", "a fails", "a starts"]);
    tree.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_stop_does_not_wait_for_a_restart_nor_does_the_end_of_the_parent() {
    let lab = Lab::default();
    let inner = lab.clone();
    let branch = ChildSpec::supervisor("branch", move || {
        Supervisor::one_for_one().child(inner.child("leaf").backoff(exact()))
    });
    let tree = start(Supervisor::one_for_one().child(branch).child(lab.child("a").backoff(exact()))).await;
    lab.kill("a").await;
    lab.kill("leaf").await;
    let before = Instant::now();
    tree.stop().await;
    assert_eq!(before.elapsed(), Duration::ZERO);
    sleep(seconds(20)).await;
    assert!(!lab.addr("a").is_alive() && !lab.addr("leaf").is_alive(), "and nothing comes after it");
}

#[tokio::test(start_paused = true)]
async fn a_child_that_waits_is_about_to_be_restarted_until_it_is_terminated() {
    let lab = Lab::default();
    let tree = start(Supervisor::one_for_one().child(lab.child("a").backoff(exact()))).await;
    lab.kill("a").await;
    let waits = child(&tree, "a").await.expect("it is there");
    assert_eq!((waits.pid, waits.restarting), (None, true));
    assert_eq!(tree.restart_child("a").await, Err(ChildError::Restarting));
    assert_eq!(tree.delete_child("a").await, Err(ChildError::Restarting));
    assert_eq!(tree.terminate_child("a").await, Ok(()));
    sleep(seconds(20)).await;
    let down = child(&tree, "a").await.expect("its spec is kept");
    assert_eq!((down.pid, down.restarting), (None, false));

    tree.restart_child("a").await.expect("it starts");
    lab.kill("a").await;
    assert_eq!(comes_back(&tree, "a").await, 2, "its first wait was not in vain");
    tree.stop().await;
}

#[tokio::test(start_paused = true)]
async fn siblings_that_go_with_it_go_at_once_and_come_back_with_it() {
    let lab = Lab::default();
    let supervisor = Supervisor::rest_for_one().child(lab.child("a"));
    let supervisor = supervisor
        .child(lab.child("t").restart(Restart::Temporary))
        .child(lab.child("b").backoff(exact()))
        .child(lab.child("u").restart(Restart::Temporary))
        .child(lab.child("c"));
    let tree = start(supervisor).await;
    lab.journal();
    lab.end("b", End::Panic).await;
    let states: Vec<_> = children(&tree).await;
    let states: Vec<_> =
        states.iter().map(|child| (child.id.as_str(), child.pid.is_some(), child.restarting)).collect();
    assert_eq!(states, [("a", true, false), ("t", true, false), ("b", false, true), ("c", false, false)]);
    assert_eq!(lab.journal(), ["b ends", "c stops", "u stops"]);
    assert_eq!(comes_back(&tree, "c").await, 1);
    assert_eq!(lab.journal(), ["b starts", "c starts"]);
    tree.stop().await;
}

/// A restart counts when it is tried: what has waited for longer than the period does not add up.
#[tokio::test(start_paused = true)]
async fn restarts_count_when_they_are_tried() {
    for (first, lives) in [(seconds(10), true), (Duration::from_millis(10), false)] {
        let lab = Lab::default();
        let supervisor = Supervisor::one_for_one().intensity(2, seconds(5));
        let backoff = Backoff::new(first, first).jitter(0);
        let tree = start(supervisor.child(lab.child("a").backoff(backoff))).await;
        for _ in 0..2 {
            lab.kill("a").await;
            comes_back(&tree, "a").await;
        }
        lab.kill("a").await;
        if lives {
            assert_eq!(comes_back(&tree, "a").await, 10);
            tree.stop().await;
        } else {
            assert_eq!(within("its end", tree.wait()).await, ExitReason::Shutdown);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn dynamic_children_wait_too() {
    let lab = Lab::default();
    let tree = Supervisor::dynamic().max_children(2).start().await.expect("it starts");
    let first = tree.start_child(lab.child("a").backoff(exact())).await.expect("it starts");
    let other = tree.start_child(lab.child("b").backoff(exact())).await.expect("it starts");
    lab.kill("a").await;
    lab.kill("b").await;
    let kids = dynamic_children(&tree).await;
    assert!(kids.len() == 2 && kids.iter().all(|child| child.pid.is_none() && child.restarting));
    assert_eq!(tree.start_child(idle("c")).await, Err(ChildError::MaxChildren(2)), "they keep their places");
    assert_eq!(tree.terminate_child(other).await, Ok(()));
    assert_eq!(tree.terminate_child(other).await, Err(ChildError::NotFound));
    sleep(Duration::from_millis(1_100)).await;
    let kids = dynamic_children(&tree).await;
    assert_eq!(kids.len(), 1, "one was terminated");
    assert_eq!((kids[0].pid, kids[0].restarts), (Some(lab.addr("a").pid()), 1));
    assert_ne!(kids[0].pid, Some(first));
    lab.kill("a").await;
    let before = Instant::now();
    tree.stop().await;
    assert_eq!(before.elapsed(), Duration::ZERO);
}

/// Children that end of one cause at the same time come back at different times, none later than the delay.
#[tokio::test(start_paused = true)]
async fn chance_keeps_them_apart() {
    let tree = Supervisor::dynamic().intensity(OFTEN, PERIOD).start().await.expect("it starts");
    let backoff = Backoff::new(seconds(100), seconds(100)).jitter(100);
    for _ in 0..20 {
        let pid = tree.start_child(idle("a").backoff(backoff)).await.expect("it starts");
        process::kill(pid);
        wait(pid).await;
    }
    let back = async || {
        let kids = dynamic_children(&tree).await;
        kids.iter().filter(|child| child.pid.is_some()).count()
    };
    sleep(seconds(50)).await;
    let half = back().await;
    // Each is back by then with a chance of one half: all or none, once in half a million runs.
    assert!(0 < half && half < 20, "{half} of 20 came back within half of the time");
    sleep(seconds(51)).await;
    assert_eq!(back().await, 20);
    tree.stop().await;
}

/// Who asks all the time does not push a restart off.
#[tokio::test(start_paused = true)]
async fn a_busy_supervisor_restarts_in_time() {
    let lab = Lab::default();
    let tree = start(Supervisor::one_for_one().child(lab.child("a").backoff(exact()))).await;
    lab.kill("a").await;
    let old = lab.addr("a");
    let busy: Vec<_> = (0..4)
        .map(|_| {
            let tree = tree.clone();
            tokio::spawn(async move { while tree.count_children().await.is_ok() {} })
        })
        .collect();
    for tenth in 0..11 {
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        assert!(lab.addr("a") == old || tenth == 10, "{tenth} tenths of a second are over");
        advance(Duration::from_millis(100)).await;
    }
    assert!(lab.addr("a") != old, "a second is over");
    tree.stop().await;
    for asks in busy {
        asks.await.expect("no panic");
    }
}
