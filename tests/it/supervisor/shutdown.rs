//! How children are stopped, and what ends them when their supervisor does not stop but end.

use std::time::Duration;

use heronry::prelude::*;
use heronry::process;
use tokio::time::Instant;

use super::lab::{Lab, idle, pid, start, stubborn, watch};

/// A child that traps exits and takes its time to stop.
fn slow(id: &'static str, time: Duration) -> ChildSpec {
    ChildSpec::new(id, move |spawner| async move {
        let spawner = spawner.options(|options| options.trap_exit(true));
        let body = move |mut ctx: Context<()>| async move {
            ctx.receive().await;
            tokio::time::sleep(time).await;
            ExitReason::Shutdown
        };
        Ok(spawner.spawn(body)?.pid())
    })
}

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[tokio::test(start_paused = true)]
async fn each_kind_of_shutdown_takes_its_time() {
    let after = |time| Shutdown::After(seconds(time));
    let (killed, shutdown) = (ExitReason::Killed, ExitReason::Shutdown);
    let table = [
        (idle("idle"), after(5), 0, shutdown.clone()),
        (idle("idle, killed"), Shutdown::BrutalKill, 0, killed.clone()),
        (idle("idle, forever"), Shutdown::Infinity, 0, shutdown.clone()),
        (idle("idle, as long as can be"), Shutdown::After(Duration::MAX), 0, shutdown.clone()),
        (slow("slow, killed", seconds(2)), Shutdown::BrutalKill, 0, killed.clone()),
        (slow("slow, in time", seconds(2)), after(3), 2, shutdown.clone()),
        (slow("slow, out of time", seconds(4)), after(3), 3, killed.clone()),
        (slow("slow, forever", seconds(100_000)), Shutdown::Infinity, 100_000, shutdown),
        (stubborn("stubborn"), after(7), 7, killed.clone()),
        (stubborn("stubborn, killed"), Shutdown::BrutalKill, 0, killed),
    ];
    for (spec, shutdown, takes, reason) in table {
        let name = spec.id().to_owned();
        let tree = start(Supervisor::one_for_one().child(spec.shutdown(shutdown))).await;
        let end = watch(pid(&tree, &name).await).await;
        let before = Instant::now();
        tree.stop().await;
        let took = before.elapsed();
        assert!(
            took >= seconds(takes) && took < seconds(takes) + Duration::from_millis(50),
            "{name}: {took:?}"
        );
        assert_eq!(end.await, reason, "{name}");
        assert_eq!(tree.wait().await, ExitReason::Shutdown, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn children_stop_one_after_the_other() {
    let supervisor = Supervisor::one_for_one()
        .child(slow("a", seconds(2)))
        .child(slow("b", seconds(3)))
        .child(stubborn("c").shutdown(Shutdown::After(seconds(1))));
    let tree = start(supervisor).await;
    let before = Instant::now();
    tree.stop().await;
    assert_eq!(before.elapsed().as_secs(), 6);
}

#[tokio::test]
async fn killing_a_supervisor_kills_its_children() {
    let lab = Lab::default();
    let inner = lab.clone();
    let branch = ChildSpec::supervisor("branch", move || {
        Supervisor::one_for_one().child(inner.child("leaf")).child(idle("plain"))
    });
    let tree = start(Supervisor::one_for_one().child(branch).child(lab.child("a"))).await;
    lab.journal();
    let (branch, a) = (pid(&tree, "branch").await, lab.addr("a"));
    let (leaf, branch_end) = (lab.addr("leaf"), watch(branch).await);
    assert!(process::kill(tree.pid()));
    crate::support::within("the end of the tree", async {
        assert_eq!(tree.wait().await, ExitReason::Killed);
        assert_eq!(a.wait().await, ExitReason::Killed);
        // A supervisor traps exits: it stops its children in order, then ends with its parent's reason.
        assert_eq!(leaf.wait().await, ExitReason::Shutdown);
        assert_eq!(branch_end.await, ExitReason::Killed);
    })
    .await;
    let mut journal = lab.journal();
    journal.sort_unstable();
    assert_eq!(journal, ["a ends", "leaf stops"]);
    assert!(tree.which_children().await.is_err());
}

/// OTP: `exit(Sup, shutdown)` of anybody but the parent is no reason to end.
#[tokio::test]
async fn a_supervisor_ends_with_its_parents_exit_and_no_other() {
    let lab = Lab::default();
    let tree = start(Supervisor::one_for_one().child(lab.child("a"))).await;
    let supervisor = tree.pid();
    let stranger = spawn(move |_: Context<()>| async move {
        process::exit(supervisor, ExitReason::custom("boom"));
    });
    crate::support::within("the signal", stranger.wait()).await;
    assert_eq!(pid(&tree, "a").await, lab.addr("a").pid(), "nothing happened");
    crate::support::within("the stop", tree.stop()).await;
}
