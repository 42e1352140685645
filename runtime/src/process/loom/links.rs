//! Links between processes that end, link and unlink at the same time.

use super::*;
use crate::process::table::AnyProcess;

/// Linked as `spawn_link` links: before either runs.
fn linked(near: &Addr<()>, far: &Addr<()>) {
    near.process().link(far.pid());
}

#[test]
fn a_link_with_a_process_that_ends_brings_one_signal() {
    check(|| {
        let (far, near) = (prepare::<()>(&SpawnOptions::new()), trapping());
        let task = run(&far, |_ctx| async { reason("over") });
        near.process().link(far.pid());
        task.join().unwrap();
        let signal = |reason| Info::Exit(Exit { from: far.pid(), reason });
        let heard = heard(&near);
        let possible = [vec![signal(reason("over"))], vec![signal(ExitReason::NoProc)]];
        assert!(possible.contains(&heard), "{heard:?}");
        assert_eq!(near.process().info().links, []);
    });
}

#[test]
fn nobody_outlives_a_process_that_it_links_with() {
    check(|| {
        let (far, near) = (prepare::<()>(&SpawnOptions::new()), prepare::<()>(&SpawnOptions::new()));
        let ending = run(&far, |_ctx| async { reason("over") });
        let target = far.pid();
        let task = run(&near, move |ctx| async move {
            ctx.link(target);
            std::future::pending::<()>().await;
        });
        ending.join().unwrap();
        let seen = task.join().unwrap();
        assert!([reason("over"), ExitReason::NoProc].contains(&seen), "{seen}");
    });
}

#[test]
fn both_ends_of_a_link_end_at_once() {
    check(|| {
        let (one, other) = (prepare::<()>(&SpawnOptions::new()), prepare::<()>(&SpawnOptions::new()));
        linked(&one, &other);
        let first = run(&one, |_ctx| async { reason("one") });
        let second = run(&other, |_ctx| async { reason("other") });
        let seen = (first.join().unwrap(), second.join().unwrap());
        let possible = [("one", "other"), ("one", "one"), ("other", "other")];
        assert!(possible.map(|(one, other)| (reason(one), reason(other))).contains(&seen), "{seen:?}");
    });
}

#[test]
fn after_an_unlink_no_signal_comes() {
    check(|| {
        let (far, near) = (prepare::<()>(&SpawnOptions::new()), trapping());
        linked(&near, &far);
        let task = run(&far, |_ctx| async { reason("over") });
        near.process().unlink(far.pid());
        // What came before waits in the mailbox, as on the BEAM.
        let before = heard(&near);
        assert!(before.len() <= 1, "{before:?}");
        task.join().unwrap();
        assert_eq!(heard(&near), []);
    });
}

#[test]
fn a_link_holds_whatever_was_undone_at_once_before() {
    check(|| {
        let (far, near) = (trapping(), trapping());
        linked(&near, &far);
        let (unlinking, target) = (far.clone(), near.pid());
        let other = meanwhile(move || unlinking.process().unlink(target));
        near.process().unlink(far.pid());
        near.process().link(far.pid());
        other.join().unwrap();
        // The three may have left a link on one side alone.
        far.process().link(near.pid());
        let links = |addr: &Addr<()>| addr.process().info().links;
        assert_eq!((links(&near), links(&far)), (vec![far.pid()], vec![near.pid()]));
    });
}
