//! Stopping a child, and what a supervisor keeps of one.

use std::fmt;
use std::time::Duration;

use tokio::time::{Instant, timeout, timeout_at};

use super::reference::ChildInfo;
use super::spec::ChildSpec;
use crate::clock;
use crate::exit::ExitReason;
use crate::name::Label;
use crate::pid::Pid;
use crate::process::shutdown::Shutdown;
use crate::process::{self, Context};
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
}

impl Child {
    pub(super) fn info(&self) -> ChildInfo {
        ChildInfo {
            id: self.spec.id.clone(),
            pid: self.pid,
            kind: self.spec.kind,
            restart: self.spec.restart,
            restarts: self.restarts,
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
    if timeout(KILL_WAIT, process::wait(pid)).await.is_err() {
        telemetry::emit(&ChildStuck { pid, child: label.clone() });
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
