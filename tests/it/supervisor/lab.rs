//! Children that note when they start and stop, fail to start when told, and end when told.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use heronry::prelude::*;
use heronry::process;
use heronry::supervisor::{ChildInfo, DynamicRef, SupervisorRef};
use tokio::sync::{Notify, oneshot};

use crate::support::within;

/// An intensity that no test here reaches.
pub(super) const OFTEN: u32 = 1_000;
pub(super) const PERIOD: Duration = Duration::from_secs(5);

/// What the children of one test share.
#[derive(Clone, Default)]
pub(super) struct Lab(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    journal: Vec<String>,
    addrs: HashMap<&'static str, Addr<End>>,
    /// How many starts of a child still succeed, and how many then fail.
    starts: HashMap<&'static str, (u32, u32)>,
}

/// Ends a child.
pub(super) enum End {
    With(ExitReason),
    Panic,
}

/// A child that traps exits, so that it notes its stop.
struct Worker {
    lab: Lab,
    id: &'static str,
}

impl Server for Worker {
    type Args = (Lab, &'static str);
    type Msg = End;

    async fn init((lab, id): Self::Args, ctx: &mut Context<End>) -> Init<Self> {
        ctx.trap_exit(true);
        let mut inner = lab.inner();
        if let Some((succeed, fail)) = inner.starts.get_mut(id) {
            let fails = *succeed == 0 && *fail > 0;
            let left = if *succeed > 0 { succeed } else { fail };
            *left = left.saturating_sub(1);
            if fails {
                inner.journal.push(format!("{id} fails"));
                return Err(ExitReason::custom("no luck"));
            }
        }
        inner.journal.push(format!("{id} starts"));
        inner.addrs.insert(id, ctx.addr());
        drop(inner);
        Ok(Self { lab, id })
    }

    async fn handle(&mut self, end: End, _: &mut Context<End>) -> Next {
        match end {
            End::With(reason) => Next::Stop(reason),
            End::Panic => panic!("{} panics", self.id),
        }
    }

    async fn terminate(&mut self, reason: &ExitReason, _: &mut Context<End>) {
        let what = if matches!(reason, ExitReason::Shutdown) { "stops" } else { "ends" };
        self.lab.note(format!("{} {what}", self.id));
    }
}

impl Lab {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().expect("nobody panics with the lab")
    }

    pub(super) fn note(&self, line: impl Into<String>) {
        self.inner().journal.push(line.into());
    }

    /// What was noted since the last time that somebody asked.
    pub(super) fn journal(&self) -> Vec<String> {
        std::mem::take(&mut self.inner().journal)
    }

    /// The child's next `succeed` starts go well, then `fail` ones don't.
    pub(super) fn plan_starts(&self, id: &'static str, succeed: u32, fail: u32) {
        self.inner().starts.insert(id, (succeed, fail));
    }

    pub(super) fn child(&self, id: &'static str) -> ChildSpec {
        ChildSpec::server::<Worker>(id, (self.clone(), id))
    }

    /// The latest incarnation of a child.
    pub(super) fn addr(&self, id: &str) -> Addr<End> {
        self.inner().addrs.get(id).unwrap_or_else(|| panic!("{id} never started")).clone()
    }

    /// Ends a child and waits for that. Tests run on one thread, so its supervisor has the news by then.
    pub(super) async fn end(&self, id: &str, end: End) {
        let addr = self.addr(id);
        addr.send(end).expect("the child lives");
        within("the child's end", addr.wait()).await;
    }

    pub(super) async fn kill(&self, id: &str) {
        let addr = self.addr(id);
        assert!(process::kill(addr.pid()));
        assert_eq!(within("the child's end", addr.wait()).await, ExitReason::Killed);
    }
}

/// A child that traps exits and ignores them, from its first moment.
pub(super) fn stubborn(id: &'static str) -> ChildSpec {
    ChildSpec::new(id, |spawner| async {
        let spawner = spawner.options(|options| options.trap_exit(true));
        Ok(spawner.spawn(|_: Context<()>| std::future::pending::<()>())?.pid())
    })
}

pub(super) fn idle(id: &'static str) -> ChildSpec {
    ChildSpec::process(id, |_: Context<()>| std::future::pending::<()>())
}

pub(super) async fn start(supervisor: Supervisor) -> SupervisorRef {
    within("the start", supervisor.start()).await.expect("it starts")
}

pub(super) async fn children(supervisor: &SupervisorRef) -> Vec<ChildInfo> {
    within("the children", supervisor.which_children()).await.expect("the supervisor lives")
}

pub(super) async fn child(supervisor: &SupervisorRef, id: &str) -> Option<ChildInfo> {
    children(supervisor).await.into_iter().find(|child| child.id.as_str() == id)
}

/// The pid of a child that must run.
pub(super) async fn pid(supervisor: &SupervisorRef, id: &str) -> Pid {
    child(supervisor, id).await.and_then(|child| child.pid).unwrap_or_else(|| panic!("{id} does not run"))
}

pub(super) async fn dynamic_children(supervisor: &DynamicRef) -> Vec<ChildInfo> {
    within("the children", supervisor.which_children()).await.expect("the supervisor lives")
}

/// Watches a process of which one has the pid alone; the future gives the reason of its end.
pub(super) async fn watch(pid: Pid) -> impl Future<Output = ExitReason> + Send + 'static {
    let (sender, watches) = oneshot::channel();
    let watcher = spawn(move |mut ctx: Context<()>| async move {
        ctx.monitor(pid);
        sender.send(()).expect("somebody waits");
        match ctx.receive().await {
            Received::Info(Info::Down(down)) => down.reason,
            other => panic!("no Down: {other:?}"),
        }
    });
    watches.await.expect("the watcher lives");
    async move { watcher.wait().await }
}

/// Waits until a process has ended: its reason, or `NoProc` if it had ended before.
pub(super) async fn wait(pid: Pid) -> ExitReason {
    watch(pid).await.await
}

/// A child whose restarts can be held and made to fail.
#[derive(Clone, Default)]
pub(super) struct Gate(Arc<GateState>);

#[derive(Default)]
struct GateState {
    closed: AtomicBool,
    reached: Notify,
    opened: Notify,
}

impl Gate {
    pub(super) fn spec(&self, id: &'static str) -> ChildSpec {
        let gate = self.0.clone();
        ChildSpec::new(id, move |spawner| {
            let gate = gate.clone();
            async move {
                if gate.closed.load(Ordering::SeqCst) {
                    gate.reached.notify_one();
                    gate.opened.notified().await;
                    return Err(StartError::Init(ExitReason::custom("no luck")));
                }
                Ok(spawner.spawn(|_: Context<()>| std::future::pending::<()>())?.pid())
            }
        })
    }

    /// From now on a start waits and then fails.
    pub(super) fn close(&self) {
        self.0.closed.store(true, Ordering::SeqCst);
    }

    /// Waits until a start waits.
    pub(super) async fn reached(&self) {
        within("a start", self.0.reached.notified()).await;
    }

    /// Fails the start that waits; later ones succeed.
    pub(super) fn fail(&self) {
        self.0.closed.store(false, Ordering::SeqCst);
        self.0.opened.notify_one();
    }
}
