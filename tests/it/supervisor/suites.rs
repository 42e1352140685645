//! What the suites of OTP's `supervisor` and of Elixir's `DynamicSupervisor` ask and no other file here does
//! (`tests/scenarios.md` says which test there is which one here).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use heronry::prelude::*;
use heronry::process;
use heronry::supervisor::{
    ChildError, ChildKind, INTENSITY_DEFAULT, PERIOD_DEFAULT, SHUTDOWN_DEFAULT, Strategy,
};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::lab::{PERIOD, child, children, dynamic_children, idle, pid, start, stubborn, wait, watch};
use crate::support::{eventually, within};

/// An intensity that cannot be spent: a loop of restarts that fail has no end.
const ENDLESS: u32 = u32::MAX;
const SECOND: Duration = Duration::from_secs(1);

fn boom() -> ExitReason {
    ExitReason::custom("boom")
}

/// A child that traps exits from its first moment and, told to stop, ends with a reason of its own.
fn headstrong(id: &'static str, reason: ExitReason) -> ChildSpec {
    ChildSpec::new(id, move |spawner| {
        let reason = reason.clone();
        let spawner = spawner.options(|options| options.trap_exit(true));
        let body = |mut ctx: Context<()>| async move {
            ctx.receive().await;
            reason
        };
        std::future::ready(spawner.spawn(body).map(|addr| addr.pid()))
    })
}

/// A child that starts once and never again; with how often it was to start.
fn once(id: &'static str) -> (ChildSpec, Arc<AtomicU32>) {
    let starts = Arc::new(AtomicU32::new(0));
    let counted = starts.clone();
    let spec = ChildSpec::new(id, move |spawner| {
        let first = counted.fetch_add(1, Ordering::SeqCst) == 0;
        async move {
            if !first {
                return Err(StartError::Init(boom()));
            }
            Ok(spawner.spawn(|_: Context<()>| std::future::pending::<()>())?.pid())
        }
    });
    (spec, starts)
}

#[tokio::test]
async fn what_is_not_said_is_as_otps_and_elixirs() {
    assert_eq!((INTENSITY_DEFAULT, PERIOD_DEFAULT), (3, Duration::from_secs(5)));
    let worker = idle("worker");
    let below = ChildSpec::supervisor("below", Supervisor::one_for_one);
    for (spec, shutdown) in
        [(&worker, format!("After({SHUTDOWN_DEFAULT:?})")), (&below, "Infinity".to_owned())]
    {
        let text = format!("{spec:?}");
        assert!(text.contains(&format!("shutdown: {shutdown}")), "{text}");
    }
    assert_eq!(SHUTDOWN_DEFAULT, Duration::from_secs(5));
    let tree = start(Supervisor::one_for_one().child(worker).child(below)).await;
    let kids = children(&tree).await;
    let got: Vec<_> = kids.iter().map(|child| (child.id.as_str(), child.restart, child.kind)).collect();
    let expected = [
        ("worker", Restart::Permanent, ChildKind::Worker),
        ("below", Restart::Permanent, ChildKind::Supervisor),
    ];
    assert_eq!(got, expected);
    let counts = within("the count", tree.count_children()).await.expect("it lives");
    assert_eq!((counts.specs, counts.active, counts.supervisors, counts.workers), (2, 2, 1, 1));
    within("the stop", tree.stop()).await;
}

/// Children end with reasons of their own while their supervisor is still busy with the last one.
#[tokio::test(start_paused = true)]
async fn a_stop_is_completed_though_children_end_by_themselves_meanwhile() {
    let reasons = [ExitReason::Normal, ExitReason::Shutdown, ExitReason::shutdown_with("test"), boom()];
    let go = Arc::new(Notify::new());
    let mut supervisor = Supervisor::one_for_one().intensity(0, PERIOD).child(idle("first"));
    let mut expected = Vec::new();
    for restart in [Restart::Temporary, Restart::Transient, Restart::Permanent] {
        for reason in &reasons {
            let id = format!("{restart:?} {reason}");
            expected.push((id.clone(), reason.clone()));
            let (go, reason) = (go.clone(), reason.clone());
            let body = move |_: Context<()>| {
                let (go, reason) = (go.clone(), reason.clone());
                async move {
                    go.notified().await;
                    reason
                }
            };
            supervisor = supervisor.child(ChildSpec::process(id, body).restart(restart));
        }
    }
    let last = stubborn("last").shutdown(Shutdown::After(2 * SECOND)).restart(Restart::Temporary);
    let tree = start(supervisor.child(last)).await;
    let mut ends = Vec::new();
    for (id, reason) in expected {
        ends.push((id.clone(), reason, watch(pid(&tree, &id).await).await));
    }
    let (first, last) = (watch(pid(&tree, "first").await).await, watch(pid(&tree, "last").await).await);
    let before = tokio::time::Instant::now();
    tokio::join!(tree.stop(), async {
        tokio::time::sleep(SECOND).await;
        go.notify_waiters();
    });
    assert_eq!(before.elapsed().as_secs(), 2);
    for (id, reason, end) in ends {
        assert_eq!(end.await, reason, "{id}");
    }
    assert_eq!((first.await, last.await), (ExitReason::Shutdown, ExitReason::Killed));
    assert_eq!(tree.wait().await, ExitReason::Shutdown);
}

/// Each kind of shutdown and each way to take it, when all are stopped and when one is terminated.
#[tokio::test(start_paused = true)]
async fn a_dynamic_supervisor_stops_each_child_as_its_spec_says() {
    let after = Shutdown::After(SECOND);
    let normal = ExitReason::Normal;
    let (shutdown, killed) = (ExitReason::Shutdown, ExitReason::Killed);
    type Row = (fn() -> ChildSpec, Shutdown, ExitReason);
    let rows: [Row; 10] = [
        (|| idle("idle"), Shutdown::BrutalKill, killed.clone()),
        (|| idle("idle"), Shutdown::Infinity, shutdown.clone()),
        (|| idle("idle"), after, shutdown.clone()),
        (|| idle("idle"), Shutdown::After(Duration::ZERO), shutdown),
        (|| headstrong("headstrong", boom()), Shutdown::Infinity, boom()),
        (|| headstrong("headstrong", boom()), after, boom()),
        (|| headstrong("headstrong", ExitReason::Normal), Shutdown::Infinity, normal),
        (|| headstrong("headstrong", boom()), Shutdown::BrutalKill, killed.clone()),
        (|| stubborn("stubborn"), after, killed.clone()),
        (|| stubborn("stubborn"), Shutdown::BrutalKill, killed),
    ];
    for one_by_one in [true, false] {
        for restart in [Restart::Permanent, Restart::Transient, Restart::Temporary] {
            let tree = Supervisor::dynamic().intensity(0, PERIOD).start().await.expect("it starts");
            let mut ends = Vec::new();
            for (spec, shutdown, reason) in &rows {
                let spec = spec().shutdown(*shutdown).restart(restart);
                let what = format!("{spec:?}, one by one: {one_by_one}");
                let pid = tree.start_child(spec).await.expect("it starts");
                ends.push((what, pid, reason.clone(), watch(pid).await));
            }
            if one_by_one {
                for (_, pid, ..) in &ends {
                    assert_eq!(tree.terminate_child(*pid).await, Ok(()));
                    assert_eq!(tree.terminate_child(*pid).await, Err(ChildError::NotFound));
                }
                let counts = tree.count_children().await.expect("a terminated child is no crash");
                assert_eq!((counts.specs, counts.active), (0, 0));
            }
            tree.stop().await;
            for (what, _, reason, end) in ends {
                assert_eq!(end.await, reason, "{what}");
            }
        }
    }
}

/// OTP monitors a child before it stops it, so that one that has unlinked itself cannot make it wait for ever.
#[tokio::test(start_paused = true)]
async fn a_child_that_unlinked_itself_is_stopped_all_the_same() {
    let unlinked = |id: &'static str| {
        ChildSpec::new(id, |spawner| async {
            let (sender, done) = tokio::sync::oneshot::channel();
            let body = |ctx: Context<()>| async move {
                ctx.unlink(ctx.parent().expect("its supervisor"));
                sender.send(()).expect("its start waits");
                std::future::pending::<()>().await;
            };
            let pid = spawner.spawn(body)?.pid();
            done.await.expect("it lives");
            Ok(pid)
        })
    };
    let tree = start(
        Supervisor::one_for_one()
            .child(unlinked("terminated"))
            .child(unlinked("dead"))
            .child(unlinked("left")),
    )
    .await;
    let terminated = watch(pid(&tree, "terminated").await).await;
    assert_eq!(tree.terminate_child("terminated").await, Ok(()));
    assert_eq!(terminated.await, ExitReason::Shutdown);
    let dead = pid(&tree, "dead").await;
    process::kill(dead);
    wait(dead).await;
    assert_eq!(pid(&tree, "dead").await, dead, "its supervisor has not heard of it, as in OTP");
    assert_eq!(tree.terminate_child("dead").await, Ok(()), "and does not wait for a dead one");
    assert_eq!(child(&tree, "dead").await.expect("its spec is kept").pid, None);
    let left = watch(pid(&tree, "left").await).await;
    let before = tokio::time::Instant::now();
    tree.stop().await;
    assert_eq!((left.await, before.elapsed().as_secs()), (ExitReason::Shutdown, 0));
}

#[tokio::test]
async fn a_supervisor_amid_restarts_that_fail_without_end_answers_and_stops() {
    for strategy in [Strategy::OneForOne, Strategy::OneForAll, Strategy::RestForOne] {
        for terminate in [true, false] {
            let (spec, starts) = once("once");
            let supervisor = Supervisor::new(strategy).intensity(ENDLESS, PERIOD);
            let tree = start(supervisor.child(idle("before")).child(spec).child(idle("after"))).await;
            process::kill(pid(&tree, "once").await);
            eventually("a few tries", || starts.load(Ordering::SeqCst) > 10).await;
            let counts = within("the count", tree.count_children()).await.expect("it lives");
            assert_eq!(counts.specs, 3);
            assert_eq!(child(&tree, "once").await.expect("it is there").pid, None);
            if terminate {
                within("the end of the tries", tree.terminate_child("once")).await.expect("it is there");
                let tries = starts.load(Ordering::SeqCst);
                assert_eq!(children(&tree).await.len(), 3);
                assert_eq!(starts.load(Ordering::SeqCst), tries, "{strategy:?}: nobody tries any more");
                within("the deletion", tree.delete_child("once")).await.expect("it does not run");
            }
            within("the stop", tree.stop()).await;
            assert_eq!(tree.wait().await, ExitReason::Shutdown, "{strategy:?}");
        }
    }
    let (spec, starts) = once("once");
    let tree = Supervisor::dynamic().intensity(ENDLESS, PERIOD).start().await.expect("it starts");
    let pid = within("the child", tree.start_child(spec)).await.expect("it starts");
    process::kill(pid);
    eventually("a few tries", || starts.load(Ordering::SeqCst) > 10).await;
    within("the stop", tree.stop()).await;
}

#[tokio::test]
async fn the_parents_exit_ends_a_supervisor_amid_restarts_that_fail_without_end() {
    let starts = Arc::new(AtomicU32::new(0));
    let counted = starts.clone();
    let branch = ChildSpec::supervisor("suites.branch", move || {
        let (spec, starts) = once("once");
        let counted = counted.clone();
        let probe = ChildSpec::new("probe", move |spawner| {
            counted.store(starts.load(Ordering::SeqCst), Ordering::SeqCst);
            std::future::ready(
                spawner.spawn(|_: Context<()>| std::future::pending::<()>()).map(|addr| addr.pid()),
            )
        });
        Supervisor::one_for_all().intensity(ENDLESS, PERIOD).child(probe).child(spec)
    });
    let tree = start(Supervisor::one_for_one().child(branch)).await;
    let inside = pid_below("once").await;
    process::kill(inside);
    eventually("a few tries", || starts.load(Ordering::SeqCst) > 10).await;
    let end = watch(pid(&tree, "suites.branch").await).await;
    within("the stop", tree.stop()).await;
    assert_eq!(within("the branch's end", end).await, ExitReason::Shutdown);
}

/// The pid of the process of this label under `suites.branch`.
async fn pid_below(label: &str) -> Pid {
    let nodes = heronry::inspect::tree().nodes;
    let branch = nodes.iter().position(|node| node.label.as_str() == "suites.branch").expect("it runs");
    let below = nodes[branch + 1..].iter().take_while(|node| node.depth > nodes[branch].depth);
    let found: Vec<_> = below.filter(|node| node.label.as_str() == label).collect();
    assert_eq!(found.len(), 1);
    found[0].pid
}

#[tokio::test]
async fn dynamic_supervisors_stand_in_a_tree_side_by_side() {
    let refs = Arc::new(std::sync::Mutex::new(Vec::new()));
    let dynamic = |id: &'static str, children: usize| {
        let refs = refs.clone();
        ChildSpec::new(id, move |spawner| {
            let refs = refs.clone();
            async move {
                let dynamic = Supervisor::dynamic().max_children(children).start_child(spawner).await?;
                refs.lock().expect("nobody panics with it").push(dynamic.clone());
                Ok(dynamic.pid())
            }
        })
        .kind(ChildKind::Supervisor)
    };
    let plain = ChildSpec::dynamic("plain", Supervisor::dynamic).named("suites.plain");
    let tree =
        start(Supervisor::one_for_one().child(dynamic("none", 0)).child(dynamic("one", 1)).child(plain))
            .await;
    let kinds: Vec<_> = children(&tree).await.iter().map(|child| child.kind).collect();
    assert_eq!(kinds, [ChildKind::Supervisor; 3]);
    assert_eq!(process::whereis_pid("suites.plain"), Some(pid(&tree, "plain").await));
    let refs = std::mem::take(&mut *refs.lock().expect("nobody panics with it"));
    let refused = within("an answer", refs[0].start_child(idle("child"))).await;
    assert_eq!(refused, Err(ChildError::MaxChildren(0)));
    let kept = within("the child", refs[1].start_child(idle("child"))).await.expect("there is room");
    let end = watch(kept).await;
    within("the stop", tree.stop()).await;
    assert_eq!(within("the child's end", end).await, ExitReason::Shutdown);
    assert_eq!(process::whereis_pid("suites.plain"), None);
}

#[tokio::test]
async fn a_dynamic_child_that_never_comes_back_spends_the_intensity() {
    const INTENSITY: u32 = 10;
    let supervisor = Supervisor::dynamic().intensity(INTENSITY, PERIOD);
    let tree = within("the start", supervisor.start()).await.expect("it starts");
    let (spec, starts) = once("once");
    let sibling = within("the sibling", tree.start_child(idle("sibling"))).await.expect("it starts");
    let child = within("the child", tree.start_child(spec)).await.expect("it starts");
    let (end, sibling) = (watch(tree.pid()).await, watch(sibling).await);
    process::exit(child, ExitReason::Shutdown);
    assert_eq!(within("its end", end).await, ExitReason::Shutdown);
    assert_eq!(within("the sibling's end", sibling).await, ExitReason::Shutdown);
    assert_eq!(starts.load(Ordering::SeqCst), 1 + INTENSITY, "each try is a restart");
}

#[tokio::test]
async fn a_start_function_of_a_dynamic_child_may_fail_in_any_way() {
    let tree = within("the start", Supervisor::dynamic().start()).await.expect("it starts");
    let early = Arc::new(AtomicBool::new(false));
    let seen = early.clone();
    let specs = [
        ChildSpec::new("error", |_| async { Err(StartError::Init(boom())) }),
        ChildSpec::new("panic", |_| async { panic!("no start") }),
        ChildSpec::new("early panic", move |_| -> std::future::Ready<Result<Pid, StartError>> {
            seen.store(true, Ordering::SeqCst);
            panic!("no future")
        }),
        ChildSpec::new("init", |spawner| async move {
            let body = |_: Context<()>, _| async { boom() };
            Ok(spawner.spawn_ready(body).await?.pid())
        }),
    ];
    for spec in specs {
        let id = spec.id().to_owned();
        match within("an answer", tree.start_child(spec)).await {
            Err(ChildError::Start(named, StartError::Init(_))) => assert_eq!(named.as_str(), id),
            other => panic!("{id}: {other:?}"),
        }
    }
    assert!(early.load(Ordering::SeqCst));
    assert!(dynamic_children(&tree).await.is_empty());
    within("the stop", tree.stop()).await;
}

/// OTP's suite counts the time of many temporary children; here a wrong order of growth would not be done in time.
#[tokio::test]
async fn many_temporary_children_end_and_are_forgotten() {
    const MANY: usize = 30_000;
    let tree = within("the start", Supervisor::dynamic().start()).await.expect("it starts");
    within("all starts", async {
        for _ in 0..MANY {
            tree.start_child(idle("child").restart(Restart::Temporary)).await.expect("it starts");
        }
    })
    .await;
    let kids = dynamic_children(&tree).await;
    assert_eq!(kids.len(), MANY);
    kids.iter().filter_map(|child| child.pid).for_each(|pid| assert!(process::kill(pid)));
    within("all ends", async {
        while tree.count_children().await.expect("it lives").specs > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    within("the stop", tree.stop()).await;
}

/// The median of the first tenth and of the last one: what others do on the machine meanwhile moves both, or neither.
fn assert_no_growth(what: &str, times: &[Duration]) {
    let tenth = times.len() / 10;
    let median = |times: &[Duration]| {
        let mut times = times.to_vec();
        times.sort_unstable();
        times[times.len() / 2]
    };
    let (first, last) = (median(&times[..tenth]), median(&times[times.len() - tenth..]));
    assert!(first.max(last) < first.min(last) * 3, "{what}: {first:?} at first, {last:?} at last");
}

/// OTP's suite has 100,000 children and compares times as well: none costs more for those that are there already.
#[tokio::test]
async fn children_with_ids_cost_the_same_however_many_there_are() {
    const MANY: usize = 20_000;
    let tree = start(Supervisor::one_for_one().intensity(u32::MAX, PERIOD)).await;
    let mut times = Vec::new();
    for n in 0..MANY {
        let spec = ChildSpec::process(n.to_string(), |_: Context<()>| std::future::pending::<()>());
        let before = Instant::now();
        within("a start", tree.start_child(spec)).await.expect("it starts");
        times.push(before.elapsed());
    }
    assert_no_growth("starts", &times);
    let first = children(&tree).await;
    times.clear();
    for child in &first {
        let pid = child.pid.expect("it runs");
        let before = Instant::now();
        assert!(process::kill(pid));
        wait(pid).await;
        let _ = within("the restart", tree.child_spec(child.id.clone())).await.expect("it is there");
        times.push(before.elapsed());
    }
    assert_no_growth("restarts", &times);
    let second = children(&tree).await;
    assert_eq!(second.len(), MANY);
    for (n, (before, after)) in first.iter().zip(&second).enumerate() {
        assert_eq!((after.id.as_str(), after.restarts), (n.to_string().as_str(), 1));
        assert!(after.pid.is_some() && after.pid != before.pid, "child {n}");
    }
    times.clear();
    for child in second.iter().rev() {
        let before = Instant::now();
        within("the end", tree.terminate_child(child.id.clone())).await.expect("it is there");
        within("the deletion", tree.delete_child(child.id.clone())).await.expect("it is down");
        times.push(before.elapsed());
    }
    assert_no_growth("deletions", &times);
    assert_eq!(children(&tree).await.len(), 0);
    within("the stop", tree.stop()).await;
}
