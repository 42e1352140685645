//! Monitors of processes that end meanwhile.

use super::*;
use crate::process::Down;

#[test]
fn a_monitor_of_a_process_that_ends_tells_once() {
    check(|| {
        let (far, near) = (prepare::<()>(&SpawnOptions::new()), trapping());
        let task = run(&far, |_ctx| async { reason("over") });
        let monitor = near.process().monitor(far.pid());
        task.join().unwrap();
        let down = |reason| Info::Down(Down { reference: monitor, pid: far.pid(), reason });
        let heard = heard(&near);
        let possible = [vec![down(reason("over"))], vec![down(ExitReason::NoProc)]];
        assert!(possible.contains(&heard), "{heard:?}");
    });
}

#[test]
fn after_a_demonitor_nothing_comes() {
    check(|| {
        let (far, near) = (prepare::<()>(&SpawnOptions::new()), trapping());
        let monitor = near.process().monitor(far.pid());
        let task = run(&far, |_ctx| async { reason("over") });
        near.process().demonitor(monitor);
        assert_eq!(heard(&near), [], "of what came before");
        task.join().unwrap();
        assert_eq!(heard(&near), []);
    });
}

#[test]
fn who_watches_each_other_ends_at_once() {
    check(|| {
        let (one, other) = (trapping(), trapping());
        one.process().monitor(other.pid());
        other.process().monitor(one.pid());
        let (first, second) = (run(&one, |_ctx| async {}), run(&other, |_ctx| async {}));
        first.join().unwrap();
        second.join().unwrap();
    });
}
