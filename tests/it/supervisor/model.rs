//! The three strategies against a naive model, with random kills.

use heronry::prelude::*;
use heronry::process;
use heronry::supervisor::{Strategy, SupervisorRef};
use proptest::prelude::*;

use super::lab::{PERIOD, children, wait};

/// A child in the model: its number, whether it is temporary, and how often it was started.
type Known = (usize, bool, u32);

fn model(strategy: Strategy, known: &mut Vec<Known>, dead: usize) {
    let temporary = known[dead].1;
    let mut at = 0;
    known.retain_mut(|(_, is_temporary, starts)| {
        let hit = match strategy {
            _ if temporary => at == dead,
            Strategy::OneForOne => at == dead,
            Strategy::OneForAll => true,
            Strategy::RestForOne => at >= dead,
        };
        at += 1;
        *starts += u32::from(hit);
        !(hit && *is_temporary)
    });
}

/// What the supervisor has: the children's ids and pids, in order.
async fn seen(tree: &SupervisorRef) -> Vec<(String, Pid)> {
    let kids = children(tree).await;
    kids.into_iter().map(|child| (child.id.to_string(), child.pid.expect("all run"))).collect()
}

async fn check(strategy: Strategy, temporary: Vec<bool>, kills: Vec<prop::sample::Index>) {
    let mut known: Vec<Known> =
        temporary.iter().enumerate().map(|(n, temporary)| (n, *temporary, 1)).collect();
    let mut supervisor = Supervisor::new(strategy).intensity(u32::MAX, PERIOD);
    for (n, temporary, _) in &known {
        let spec = ChildSpec::process(n.to_string(), |_: Context<()>| std::future::pending::<()>());
        let restart = if *temporary { Restart::Temporary } else { Restart::Permanent };
        supervisor = supervisor.child(spec.restart(restart));
    }
    let tree = super::lab::start(supervisor).await;
    let mut before = seen(&tree).await;
    for kill in kills {
        if known.is_empty() {
            break;
        }
        let dead = kill.index(known.len());
        let old = known.clone();
        model(strategy, &mut known, dead);
        let (_, pid) = before[dead];
        process::kill(pid);
        wait(pid).await;
        let after = seen(&tree).await;
        let ids: Vec<_> = after.iter().map(|(id, _)| id.clone()).collect();
        let expected: Vec<_> = known.iter().map(|(n, ..)| n.to_string()).collect();
        assert_eq!(ids, expected);
        for ((n, _, starts), (id, pid)) in known.iter().zip(&after) {
            let (at, (_, _, starts_before)) =
                old.iter().enumerate().find(|(_, (m, ..))| m == n).expect("nobody is added");
            assert_eq!(before[at].1 == *pid, starts_before == starts, "child {id} after the end of {dead}");
            assert!(process::is_alive(*pid), "child {id}");
        }
        for (_, pid) in before.iter().filter(|(_, pid)| !after.iter().any(|(_, other)| other == pid)) {
            assert!(!process::is_alive(*pid), "a child that was replaced or removed runs on");
        }
        before = after;
    }
    tree.stop().await;
    assert!(before.iter().all(|(_, pid)| !process::is_alive(*pid)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn the_strategies_agree_with_a_naive_model(
        strategy in prop::sample::select(vec![Strategy::OneForOne, Strategy::OneForAll, Strategy::RestForOne]),
        temporary in prop::collection::vec(prop::bool::weighted(0.25), 1..7),
        kills in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
        runtime.block_on(check(strategy, temporary, kills));
    }
}
