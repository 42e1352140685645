//! Stopping a child, and what a supervisor keeps of one.

use std::fmt;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::reference::ChildInfo;
use super::spec::{ChildSpec, Extra};
use super::waiting::Retry;
use crate::clock;
use crate::exit::ExitReason;
use crate::name::Label;
use crate::pid::Pid;
use crate::process::shutdown::Shutdown;
use crate::process::{self, Context, Tenant};
use crate::server::StartError;
use crate::telemetry::{self, Event, Level};

/// How long a killed child is waited for. It ends at its next await, which a blocked one never reaches: then its
/// supervisor goes on without it and says so.
const KILL_WAIT: Duration = Duration::from_secs(5);

/// A child, as its supervisor knows it.
#[derive(Debug)]
pub(super) struct Child {
    pub(super) spec: ChildSpec,
    pub(super) pid: Option<Pid>,
    pub(super) restarts: u32,
    pub(super) restarting: bool,
    /// Only for one whose spec has a back-off.
    pub(super) retry: Option<Box<Retry>>,
    /// Only for one that has a stable address.
    tenant: Option<Box<GivesUp>>,
}

/// Gives a stable address up when its child is forgotten, even if the supervisor is killed.
#[derive(Debug)]
struct GivesUp {
    tenant: Tenant,
    reason: ExitReason,
}

impl Drop for GivesUp {
    fn drop(&mut self) {
        self.tenant.give_up(&self.reason);
    }
}

impl Child {
    /// Starts a child for the first time. One that is not needed is down, and stays so until somebody asks for it.
    pub(super) async fn start(
        spec: ChildSpec,
        supervisor: Pid,
        extra: Option<Extra>,
    ) -> Result<Self, (Label, StartError)> {
        let retry = spec.backoff.as_deref().map(|backoff| Box::new(Retry::new(*backoff)));
        let tenant = spec.heir.clone().map(Tenant::new);
        let tenant = tenant.map(|tenant| Box::new(GivesUp { tenant, reason: ExitReason::Shutdown }));
        let mut child = Self { spec, pid: None, restarts: 0, restarting: false, retry, tenant };
        match child.spec.start(supervisor, 0, extra, child.tenant()).await {
            Ok(pid) => {
                child.pid = Some(pid);
                if let Some(retry) = &mut child.retry {
                    retry.started();
                }
                Ok(child)
            }
            Err(StartError::Ignored) => {
                child.ignored();
                Ok(child)
            }
            Err(error) => {
                child.note(&error.clone().into_reason());
                Err((child.spec.id, error))
            }
        }
    }

    /// Starts a child that does not run again.
    pub(super) async fn start_again(
        &mut self,
        supervisor: Pid,
        extra: Option<Extra>,
    ) -> Result<Pid, StartError> {
        let pid = match self.spec.start(supervisor, self.restarts + 1, extra, self.tenant()).await {
            Ok(pid) => pid,
            Err(error @ StartError::Ignored) => {
                self.ignored();
                return Err(error);
            }
            Err(error) => {
                self.note(&error.clone().into_reason());
                return Err(error);
            }
        };
        self.note(&ExitReason::Shutdown);
        self.restarts += 1;
        self.restarting = false;
        self.pid = Some(pid);
        if let Some(retry) = &mut self.retry {
            retry.started();
        }
        Ok(pid)
    }

    fn ignored(&mut self) {
        self.restarting = false;
        self.note(&ExitReason::Normal);
        self.give_up(&ExitReason::Normal);
    }

    /// What its stable address is given up with, if the child is forgotten now.
    pub(super) fn note(&mut self, reason: &ExitReason) {
        if let Some(gives_up) = &mut self.tenant {
            gives_up.reason = reason.clone();
        }
    }

    fn tenant(&self) -> Option<Tenant> {
        self.tenant.as_ref().map(|gives_up| gives_up.tenant.clone())
    }

    /// It stays down until somebody asks for it.
    pub(super) fn give_up(&self, reason: &ExitReason) {
        if let Some(gives_up) = &self.tenant {
            gives_up.tenant.give_up(reason);
        }
    }

    /// A significant child that runs or is about to: it keeps its supervisor from ending by itself.
    pub(super) fn is_significant(&self) -> bool {
        self.spec.significant && (self.pid.is_some() || self.restarting)
    }

    pub(super) fn info(&self) -> ChildInfo {
        ChildInfo {
            id: self.spec.id.clone(),
            pid: self.pid,
            restarting: self.restarting,
            kind: self.spec.kind,
            restart: self.spec.restart,
            restarts: self.restarts,
            significant: self.spec.significant,
        }
    }
}

/// Asks a child to stop as its spec says, without waiting; with the time that it is given.
pub(super) fn ask_to_stop<M: Send + 'static>(
    ctx: &Context<M>,
    pid: Pid,
    shutdown: Shutdown,
) -> Option<Instant> {
    // Its end is waited for by a watch: the exit signal of a link would be one more message to tell apart.
    ctx.unlink(pid);
    match shutdown {
        Shutdown::BrutalKill => {
            process::kill(pid);
            Some(clock::now())
        }
        Shutdown::After(time) => {
            process::exit(pid, ExitReason::Shutdown);
            clock::now().checked_add(time)
        }
        Shutdown::Infinity => {
            process::exit(pid, ExitReason::Shutdown);
            None
        }
    }
}

/// Waits for a child that was asked to stop, and kills it when its time is up.
pub(super) async fn wait_until_stopped(pid: Pid, label: &Label, deadline: Option<Instant>) {
    let Some(deadline) = deadline else {
        process::wait(pid).await;
        return;
    };
    if timeout_at(deadline, process::wait(pid)).await.is_ok() {
        return;
    }
    process::kill(pid);
    wait_until_killed(pid, label, clock::now() + KILL_WAIT).await;
}

async fn wait_until_killed(pid: Pid, label: &Label, deadline: Instant) {
    if timeout_at(deadline, process::wait(pid)).await.is_err() {
        telemetry::emit(&ChildStuck { pid, child: label.clone() });
    }
}

/// Waits for children that were asked to stop, all at the same time: however many overstay, or never await, it takes no
/// longer than for one of them.
pub(super) async fn wait_until_all_stopped(asked: Vec<(Pid, Label, Option<Instant>)>) {
    let (mut timed, mut unhurried) = (Vec::new(), Vec::new());
    for (pid, label, deadline) in asked {
        match deadline {
            Some(deadline) => timed.push((deadline, pid, label)),
            None => unhurried.push(pid),
        }
    }
    // By deadline, so that nobody's is missed while another is waited for. For those without one last of all, so that
    // whoever is stuck is named in time.
    timed.sort_by_key(|(deadline, _, _)| *deadline);
    let mut killed = Vec::new();
    for (deadline, pid, label) in timed {
        if timeout_at(deadline, process::wait(pid)).await.is_err() {
            process::kill(pid);
            killed.push((pid, label, clock::now() + KILL_WAIT));
        }
    }
    for (pid, label, deadline) in killed {
        wait_until_killed(pid, &label, deadline).await;
    }
    for pid in unhurried {
        process::wait(pid).await;
    }
}

/// A killed child did not end, since it never awaits: `heronry.supervisor.child_stuck`.
#[derive(Debug)]
struct ChildStuck {
    pid: Pid,
    child: Label,
}

impl fmt::Display for ChildStuck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} {} was killed but goes on: it blocks its thread without an await; its supervisor no longer waits for it",
            self.pid, self.child
        )
    }
}

impl Event for ChildStuck {
    fn name(&self) -> &'static str {
        "heronry.supervisor.child_stuck"
    }

    fn level(&self) -> Level {
        Level::Error
    }
}
