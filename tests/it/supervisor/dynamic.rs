//! Supervisors whose children come and go.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use heronry::prelude::*;
use heronry::process;
use heronry::supervisor::{ChildError, DynamicRef, DynamicSupervisor, Spawner};
use tokio::time::Instant;

use super::lab::{End, Lab, OFTEN, PERIOD, dynamic_children, idle, stubborn, wait, watch};
use crate::support::within;

async fn start(supervisor: DynamicSupervisor) -> DynamicRef {
    within("the start", supervisor.start()).await.expect("it starts")
}

async fn add(tree: &DynamicRef, spec: ChildSpec) -> Pid {
    within("the child", tree.start_child(spec)).await.expect("it starts")
}

#[tokio::test]
async fn it_takes_no_more_than_its_children() {
    let tree = start(Supervisor::dynamic().max_children(2)).await;
    let first = add(&tree, idle("child")).await;
    add(&tree, idle("child")).await;
    let refused = within("an answer", tree.start_child(idle("child"))).await;
    assert_eq!(refused, Err(ChildError::MaxChildren(2)));
    within("the end", tree.terminate_child(first)).await.expect("it is there");
    add(&tree, idle("child")).await;
    let count = within("the count", tree.count_children()).await.expect("the supervisor lives");
    assert_eq!((count.specs, count.active), (2, 2));
    within("the stop", tree.stop()).await;
}

#[tokio::test]
async fn each_child_is_restarted_or_forgotten_for_itself() {
    let lab = Lab::default();
    let tree = start(Supervisor::dynamic().intensity(OFTEN, PERIOD)).await;
    for (id, restart) in [
        ("permanent", Restart::Permanent),
        ("transient", Restart::Transient),
        ("temporary", Restart::Temporary),
    ] {
        add(&tree, lab.child(id).restart(restart)).await;
    }
    type Step = (&'static str, fn() -> End, &'static [(&'static str, u32)]);
    let steps: [Step; 4] = [
        ("transient", || End::Panic, &[("permanent", 0), ("temporary", 0), ("transient", 1)]),
        (
            "permanent",
            || End::With(ExitReason::Normal),
            &[("permanent", 1), ("temporary", 0), ("transient", 1)],
        ),
        ("transient", || End::With(ExitReason::Shutdown), &[("permanent", 1), ("temporary", 0)]),
        ("temporary", || End::Panic, &[("permanent", 1)]),
    ];
    for (id, end, left) in steps {
        lab.end(id, end()).await;
        let kids = dynamic_children(&tree).await;
        let mut got: Vec<_> = kids.iter().map(|child| (child.id.as_str(), child.restarts)).collect();
        got.sort_unstable();
        assert_eq!(got, left, "after {id}");
        let pid = kids.iter().find(|child| child.id.as_str() == "permanent").and_then(|child| child.pid);
        assert_eq!(pid, Some(lab.addr("permanent").pid()));
    }
    within("the stop", tree.stop()).await;
}

#[tokio::test]
async fn too_many_restarts_end_it_and_all_its_children() {
    let lab = Lab::default();
    let tree = start(Supervisor::dynamic().intensity(1, PERIOD)).await;
    add(&tree, lab.child("a")).await;
    add(&tree, lab.child("b")).await;
    lab.kill("a").await;
    assert_eq!(dynamic_children(&tree).await.len(), 2);
    let end = watch(tree.pid()).await;
    lab.kill("b").await;
    assert_eq!(within("its end", end).await, ExitReason::Shutdown);
    assert!(!lab.addr("a").is_alive());
    let refused = within("an answer", tree.start_child(idle("c"))).await;
    assert_eq!(refused, Err(ChildError::Supervisor(CallError::Exited(ExitReason::Shutdown))));
}

#[tokio::test]
async fn a_terminated_child_is_gone_and_a_stranger_is_not_found() {
    let lab = Lab::default();
    let tree = start(Supervisor::dynamic()).await;
    let pid = add(&tree, lab.child("a")).await;
    within("the requests", async {
        assert_eq!(tree.terminate_child(tree.pid()).await, Err(ChildError::NotFound));
        assert_eq!(tree.terminate_child(pid).await, Ok(()));
        assert!(!process::is_alive(pid));
        assert_eq!(tree.terminate_child(pid).await, Err(ChildError::NotFound));
    })
    .await;
    assert!(dynamic_children(&tree).await.is_empty());
    assert_eq!(lab.journal(), ["a starts", "a stops"]);
    within("the stop", tree.stop()).await;
}

#[tokio::test]
async fn a_child_that_does_not_start_is_named_and_not_kept() {
    let lab = Lab::default();
    lab.plan_starts("a", 0, 1);
    let tree = start(Supervisor::dynamic()).await;
    let failed = within("an answer", tree.start_child(lab.child("a"))).await;
    let no_luck = StartError::Init(ExitReason::custom("no luck"));
    assert_eq!(failed, Err(ChildError::Start("a".into(), no_luck)));
    assert!(dynamic_children(&tree).await.is_empty());
    within("the stop", tree.stop()).await;
}

#[tokio::test]
async fn a_child_that_starts_once_owns_what_it_was_given_and_never_comes_back() {
    let token = Arc::new(());
    let owned = token.clone();
    let once = ChildSpec::once("once", move |spawner| async move {
        let body = move |mut ctx: Context<()>| async move {
            let _owned = owned;
            ctx.receive().await;
        };
        Ok(spawner.spawn(body)?.pid())
    });
    let tree = start(Supervisor::dynamic()).await;
    let pid = add(&tree, once.restart(Restart::Permanent)).await;
    assert_eq!(dynamic_children(&tree).await[0].restart, Restart::Temporary);
    assert_eq!(Arc::strong_count(&token), 2);
    process::kill(pid);
    within("its end", wait(pid)).await;
    assert!(dynamic_children(&tree).await.is_empty());
    assert_eq!(Arc::strong_count(&token), 1);
    within("the stop", tree.stop()).await;
}

#[tokio::test(start_paused = true)]
async fn a_stop_ends_all_children_in_parallel() {
    let tree = start(Supervisor::dynamic()).await;
    for _ in 0..50 {
        add(&tree, stubborn("child").shutdown(Shutdown::After(Duration::from_secs(3)))).await;
    }
    let before = Instant::now();
    tree.stop().await;
    assert_eq!(before.elapsed().as_secs(), 3);
}

/// Each child has a time of its own: one that may take long does not keep another alive.
#[tokio::test(start_paused = true)]
async fn a_stop_kills_each_child_when_its_own_time_is_up() {
    let tree = start(Supervisor::dynamic()).await;
    let mut ends = Vec::new();
    let before = Instant::now();
    // Many, since in which order they are waited for is the supervisor's secret.
    for seconds in [1, 10, 1, 10, 1, 10, 1, 10, 1, 10, 1, 10, 1, 10, 1, 10, 1, 10, 1, 10, 1, 10] {
        let pid = add(&tree, stubborn("child").shutdown(Shutdown::After(Duration::from_secs(seconds)))).await;
        let end = watch(pid).await;
        ends.push((
            seconds,
            tokio::spawn(async move {
                end.await;
                before.elapsed().as_secs()
            }),
        ));
    }
    tree.stop().await;
    for (seconds, end) in ends {
        assert_eq!(end.await.expect("no panic"), seconds);
    }
}

/// Children that never await can't even be killed. However many there are, they are waited for at the same time.
#[test]
fn a_stop_waits_for_children_that_never_await_only_once() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(8).enable_all().build();
    let runtime = runtime.expect("a runtime");
    let over = Arc::new(AtomicBool::new(false));
    let until = over.clone();
    let took = runtime.block_on(async move {
        let tree = start(Supervisor::dynamic()).await;
        let begun = Arc::new(AtomicUsize::new(0));
        for _ in 0..4 {
            let (over, begun) = (until.clone(), begun.clone());
            let blocks = ChildSpec::process("blocks", move |_: Context<()>| {
                let (over, begun) = (over.clone(), begun.clone());
                async move {
                    begun.fetch_add(1, Ordering::SeqCst);
                    while !over.load(Ordering::SeqCst) {
                        std::thread::park_timeout(Duration::from_millis(20));
                    }
                }
            });
            add(&tree, blocks.restart(Restart::Temporary).shutdown(Shutdown::BrutalKill)).await;
        }
        crate::support::eventually("all at it", || begun.load(Ordering::SeqCst) == 4).await;
        let before = Instant::now();
        within("the stop", tree.stop()).await;
        before.elapsed()
    });
    over.store(true, Ordering::SeqCst);
    assert!(took >= Duration::from_secs(5) && took < Duration::from_secs(8), "{took:?}");
}

#[tokio::test]
async fn what_is_extra_is_given_to_each_start() {
    let lab = Lab::default();
    let noted = lab.clone();
    let supervisor = Supervisor::dynamic().extra("first").extra("second").intensity(OFTEN, PERIOD);
    let tree = start(supervisor).await;
    let spec = ChildSpec::new("child", move |spawner: Spawner| {
        let lab = noted.clone();
        async move {
            assert!(spawner.extra::<u32>().is_none(), "nothing of this type is given");
            lab.note(*spawner.extra::<&'static str>().expect("the supervisor gives it"));
            Ok(spawner.spawn(|_: Context<()>| std::future::pending::<()>())?.pid())
        }
    });
    let first = add(&tree, spec).await;
    process::kill(first);
    within("its end", wait(first)).await;
    assert_eq!(dynamic_children(&tree).await[0].restarts, 1);
    assert_eq!(lab.journal(), ["second", "second"]);
    within("the stop", tree.stop()).await;
    assert_eq!(within("its end", tree.wait()).await, ExitReason::Shutdown);
}
