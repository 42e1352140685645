//! Children whose `init` says that they are not needed: OTP's `ignore`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use heronry::prelude::*;
use heronry::process;
use heronry::server::ignore;
use heronry::supervisor::{ChildCounts, ChildError, SupervisorRef};

use super::lab::{PERIOD, child, children, idle, pid, start, wait};
use crate::support::{eventually, within};

/// Whether the servers of a test are needed.
#[derive(Clone, Default)]
struct Needed(Arc<AtomicBool>);

impl Needed {
    fn set(&self, needed: bool) {
        self.0.store(needed, Ordering::SeqCst);
    }

    fn child(&self, id: &'static str) -> ChildSpec {
        ChildSpec::server::<Maybe>(id, self.clone())
    }
}

struct Maybe;

impl Server for Maybe {
    type Args = Needed;
    type Msg = ();

    async fn init(needed: Needed, _: &mut Context<()>) -> Init<Self> {
        if needed.0.load(Ordering::SeqCst) { Ok(Maybe) } else { ignore() }
    }

    async fn handle(&mut self, (): (), _: &mut Context<()>) -> Next {
        Next::Continue
    }
}

async fn ids(tree: &SupervisorRef) -> Vec<(String, bool)> {
    let kids = children(tree).await;
    kids.into_iter().map(|child| (child.id.to_string(), child.pid.is_some())).collect()
}

fn is_ignored<T: std::fmt::Debug>(answer: &Result<T, ChildError>) -> bool {
    matches!(answer, Err(ChildError::Ignored))
}

#[tokio::test]
async fn a_server_that_is_not_needed_ends_in_order_and_frees_its_name() {
    let needed = Needed::default();
    let starter = spawn(move |ctx: Context<()>| async move {
        for _ in 0..2 {
            let options = ServerOptions::new().name("ignored.server").expect("it is a name").link(&ctx);
            let started = options.init_timeout(PERIOD).start::<Maybe>(needed.clone()).await;
            assert_eq!(started, Err(StartError::Ignored));
            assert_eq!(process::whereis_pid("ignored.server"), None);
        }
        tokio::task::yield_now().await; // a link that said more than `normal` would have ended it
    });
    assert_eq!(within("its end", starter.wait()).await, ExitReason::Normal);
    let alone = spawn(|ctx| heronry::server::enter_loop::<Maybe>(Needed::default(), ctx));
    assert_eq!(within("its end", alone.wait()).await, ExitReason::Normal);
}

#[tokio::test]
async fn a_supervisor_keeps_the_spec_of_a_child_that_is_not_needed_unless_it_is_temporary() {
    let needed = Needed::default();
    let temporary = |id| needed.child(id).restart(Restart::Temporary);
    let supervisor = Supervisor::one_for_one();
    let tree = start(supervisor.child(needed.child("a")).child(temporary("t")).child(idle("b"))).await;
    assert_eq!(ids(&tree).await, [("a".to_owned(), false), ("b".to_owned(), true)]);
    for (spec, kept) in [(needed.child("c"), true), (temporary("u"), false)] {
        let id = spec.id().to_owned();
        assert!(is_ignored(&within("the start", tree.start_child(spec.clone())).await), "{id}");
        assert_eq!(child(&tree, &id).await.is_some(), kept, "{id}");
        let again = within("the start", tree.start_child(spec)).await;
        let expect = if kept { ChildError::AlreadyPresent } else { ChildError::Ignored };
        assert_eq!(again, Err(expect), "{id}");
    }
    let counts = within("the count", tree.count_children()).await.expect("it lives");
    let ChildCounts { specs, active, workers, .. } = counts;
    assert_eq!((specs, active, workers), (3, 1, 3));
    assert!(is_ignored(&within("the restart", tree.restart_child("a")).await));
    needed.set(true);
    let started = within("the restart", tree.restart_child("a")).await.expect("it is needed now");
    assert_eq!(pid(&tree, "a").await, started);
    within("the stop", tree.stop()).await;
}

#[tokio::test]
async fn a_child_that_is_not_needed_any_more_when_it_is_restarted_stays_down() {
    let needed = Needed::default();
    needed.set(true);
    // One restart more than this one would end the supervisor.
    let supervisor = Supervisor::one_for_all().intensity(1, PERIOD);
    let tree = start(supervisor.child(needed.child("a")).child(idle("b"))).await;
    let (a, b) = (pid(&tree, "a").await, pid(&tree, "b").await);
    needed.set(false);
    process::kill(a);
    wait(a).await;
    let down = child(&tree, "a").await.expect("its spec is kept");
    assert_eq!((down.pid, down.restarting, down.restarts), (None, false, 0));
    let sibling = pid(&tree, "b").await;
    assert!(sibling != b && process::is_alive(sibling));
    needed.set(true);
    within("the restart", tree.restart_child("a")).await.expect("it is needed again");
    within("the stop", tree.stop()).await;
}

#[tokio::test]
async fn a_dynamic_supervisor_forgets_children_that_are_not_needed() {
    let needed = Needed::default();
    let tree = within("the start", Supervisor::dynamic().start()).await.expect("it starts");
    for restart in [Restart::Permanent, Restart::Transient, Restart::Temporary] {
        let spec = needed.child("child").restart(restart);
        assert!(is_ignored(&within("the start", tree.start_child(spec)).await), "{restart:?}");
    }
    let specs = async || within("the count", tree.count_children()).await.expect("it lives").specs;
    assert_eq!(specs().await, 0);
    needed.set(true);
    let child = within("the start", tree.start_child(needed.child("child"))).await.expect("it is needed");
    assert_eq!(specs().await, 1);
    needed.set(false);
    process::kill(child);
    wait(child).await;
    assert_eq!(specs().await, 0, "it was to be restarted, and is not needed");
    within("the stop", tree.stop()).await;
}

#[tokio::test]
async fn a_stable_address_of_a_child_that_is_not_needed_takes_nothing() {
    let needed = Needed::default();
    let (spec, addr) = needed.child("a").stable::<()>();
    let tree = start(Supervisor::one_for_one().child(spec)).await;
    assert!(addr.cast(()).is_err());
    needed.set(true);
    within("the restart", tree.restart_child("a")).await.expect("it is needed now");
    addr.cast(()).expect("it runs");
    needed.set(false);
    process::kill(pid(&tree, "a").await);
    eventually("its restart", || addr.cast(()).is_err()).await;
    within("the stop", tree.stop()).await;
}
