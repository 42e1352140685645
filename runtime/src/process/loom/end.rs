//! The end of a process, and all who hear of it.

use super::*;
use crate::process::{exit, kill};

#[test]
fn one_reason_wins_and_all_see_the_same() {
    check(|| {
        let process = prepare::<()>(&SpawnOptions::new());
        let witness = trapping();
        witness.process().link(process.pid());
        let monitor = witness.process().monitor(process.pid());
        let task = run(&process, |_ctx| async {});
        let victim = process.pid();
        let killer = meanwhile(move || {
            exit(victim, reason("asked"));
            kill(victim);
        });
        let seen = block_on(process.wait());
        assert_eq!(process.exit_reason(), Some(seen.clone()));
        killer.join().unwrap();
        assert_eq!(task.join().unwrap(), seen);
        assert!([ExitReason::Normal, reason("asked"), ExitReason::Killed].contains(&seen), "{seen}");

        let down = crate::process::Down { reference: monitor, pid: victim, reason: seen.clone() };
        assert_eq!(heard(&witness), [Info::Exit(Exit { from: victim, reason: seen }), Info::Down(down)]);
    });
}

#[test]
fn a_waiting_process_is_woken_to_die() {
    check(|| {
        let process = prepare::<()>(&SpawnOptions::new());
        let task = run(&process, |_ctx| std::future::pending::<()>());
        let victim = process.pid();
        let other = meanwhile(move || exit(victim, reason("asked")));
        kill(victim);
        other.join().unwrap();
        let seen = task.join().unwrap();
        assert!([reason("asked"), ExitReason::Killed].contains(&seen), "{seen}");
    });
}

#[test]
fn a_waiter_hears_of_the_end_or_finds_it() {
    check(|| {
        let process = prepare::<()>(&SpawnOptions::new());
        let task = run(&process, |_ctx| async { reason("over") });
        let other = process.clone();
        let waiter = meanwhile(move || block_on(other.wait()));
        let seen = block_on(crate::process::wait(process.pid()));
        // By pid alone, a process that has ended can't be told from one that never was.
        assert!([reason("over"), ExitReason::NoProc].contains(&seen), "{seen}");
        assert_eq!(waiter.join().unwrap(), reason("over"));
        task.join().unwrap();
        assert_eq!((crate::process::count(), crate::process::is_alive(process.pid())), (0, false));
    });
}
