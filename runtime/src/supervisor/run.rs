//! The process of a supervisor with a fixed strategy: carries out what `strategy.rs` decides.

use super::child::{Child, ask_to_stop, wait_until_stopped};
use super::intensity::Intensity;
use super::reference::{ChildCounts, ChildError, Request};
use super::report::{ChildRestarted, ChildStartFailed, IntensityReached};
use super::spec::{ChildSpec, Restart};
use super::strategy::{Verdict, affected, on_exit};
use super::{Strategy, Supervisor};
use crate::clock;
use crate::exit::ExitReason;
use crate::name::Label;
use crate::pid::Pid;
use crate::process::{Context, Exit, Info, Received};
use crate::server::{ReplyTo, StartError};
use crate::telemetry;

struct Running {
    strategy: Strategy,
    children: Vec<Child>,
    intensity: Intensity,
    limits: (u32, std::time::Duration),
    ctx: Context<Request>,
}

/// The supervisor cannot go on.
struct GiveUp(ExitReason);

pub(super) async fn run(supervisor: Supervisor, ctx: Context<Request>, ready: ReplyTo<()>) -> ExitReason {
    let limits = (supervisor.intensity, supervisor.period);
    let mut running = Running {
        strategy: supervisor.strategy,
        children: Vec::with_capacity(supervisor.children.len()),
        intensity: Intensity::new(limits.0, limits.1),
        limits,
        ctx,
    };
    for spec in supervisor.children {
        if running.position(&spec.id).is_some() {
            running.stop_range(0..running.children.len()).await;
            return ExitReason::custom(format!("two children have the id {}", spec.id));
        }
        if let Err(error) = running.start_child(spec).await {
            running.stop_range(0..running.children.len()).await;
            return error.into();
        }
    }
    ready.send(());
    loop {
        let outcome = match running.ctx.receive().await {
            Received::Message(Request::Stop(reply_to)) => {
                running.stop_range(0..running.children.len()).await;
                reply_to.send(());
                return ExitReason::Shutdown;
            }
            Received::Message(request) => running.handle(request).await,
            Received::Info(Info::Exit(Exit { from, reason })) if Some(from) == running.ctx.parent() => {
                Err(GiveUp(reason))
            }
            Received::Info(Info::Exit(Exit { from, reason })) => running.child_ended(from, reason).await,
            Received::Info(Info::Down(_)) => Ok(()),
        };
        if let Err(GiveUp(reason)) = outcome {
            running.stop_range(0..running.children.len()).await;
            return reason;
        }
    }
}

impl Running {
    fn position(&self, id: &Label) -> Option<usize> {
        self.children.iter().position(|child| child.spec.id.as_str() == id.as_str())
    }

    async fn handle(&mut self, request: Request) -> Result<(), GiveUp> {
        match request {
            Request::Which(reply_to) => reply_to.send(self.children.iter().map(Child::info).collect()),
            Request::Count(reply_to) => reply_to.send(ChildCounts::of(&self.children)),
            Request::StartChild(spec, reply_to) => reply_to.send(self.start_child(spec).await),
            Request::TerminateChild(id, reply_to) => reply_to.send(self.terminate_child(&id).await),
            Request::RestartChild(id, reply_to) => reply_to.send(self.restart_child(&id).await),
            Request::DeleteChild(id, reply_to) => reply_to.send(self.delete_child(&id)),
            Request::TryAgain(id, reason) => {
                if let Some(at) = self.position(&id)
                    && std::mem::take(&mut self.children[at].restarting)
                {
                    return self.restart(at, reason).await;
                }
            }
            Request::Stop(_) => unreachable!("invariant: the loop takes Stop"),
        }
        Ok(())
    }

    async fn start_child(&mut self, spec: ChildSpec) -> Result<Pid, ChildError> {
        if let Some(at) = self.position(&spec.id) {
            return Err(match self.children[at].pid {
                Some(pid) => ChildError::AlreadyStarted(pid),
                None => ChildError::AlreadyPresent,
            });
        }
        let pid =
            spec.start(self.ctx.pid(), 0).await.map_err(|error| ChildError::Start(spec.id.clone(), error))?;
        self.children.push(Child { spec, pid: Some(pid), restarts: 0, restarting: false });
        Ok(pid)
    }

    async fn terminate_child(&mut self, id: &Label) -> Result<(), ChildError> {
        let at = self.position(id).ok_or(ChildError::NotFound)?;
        self.stop_range(at..at + 1).await;
        if self.children[at].spec.restart == Restart::Temporary {
            self.children.remove(at);
        }
        Ok(())
    }

    async fn restart_child(&mut self, id: &Label) -> Result<Pid, ChildError> {
        let at = self.position(id).ok_or(ChildError::NotFound)?;
        if let Some(pid) = self.children[at].pid {
            return Err(ChildError::AlreadyStarted(pid));
        }
        self.start_again(at).await.map_err(|error| ChildError::Start(id.clone(), error))
    }

    fn delete_child(&mut self, id: &Label) -> Result<(), ChildError> {
        let at = self.position(id).ok_or(ChildError::NotFound)?;
        if let Some(pid) = self.children[at].pid {
            return Err(ChildError::AlreadyStarted(pid));
        }
        self.children.remove(at);
        Ok(())
    }

    async fn child_ended(&mut self, pid: Pid, reason: ExitReason) -> Result<(), GiveUp> {
        let Some(at) = self.children.iter().position(|child| child.pid == Some(pid)) else {
            return Ok(()); // a child that was stopped, or somebody else's exit signal
        };
        self.children[at].pid = None;
        match on_exit(self.children[at].spec.restart, &reason) {
            Verdict::Restart => self.restart(at, reason).await,
            Verdict::Keep => Ok(()),
            Verdict::Forget => {
                self.children.remove(at);
                Ok(())
            }
        }
    }

    /// Restarts a child that ended, and those that its strategy takes with it.
    async fn restart(&mut self, dead: usize, reason: ExitReason) -> Result<(), GiveUp> {
        if !self.intensity.allow(clock::now()) {
            telemetry::emit(&IntensityReached {
                supervisor: self.ctx.pid(),
                child: self.children[dead].spec.id.clone(),
                intensity: self.limits.0,
                period: self.limits.1,
                reason,
            });
            return Err(GiveUp(ExitReason::Shutdown));
        }
        let range = affected(self.strategy, dead, self.children.len());
        self.stop_range(range.clone()).await;
        let mut at = range.start;
        let mut left = range.len();
        while left > 0 {
            left -= 1;
            // A temporary child goes with its siblings but does not come back with them.
            if self.children[at].spec.restart == Restart::Temporary {
                self.children.remove(at);
                continue;
            }
            if let Err(error) = self.start_again(at).await {
                let child = self.children[at].spec.id.clone();
                let reason = error.into_reason();
                telemetry::emit(&ChildStartFailed {
                    supervisor: self.ctx.pid(),
                    child: child.clone(),
                    reason: reason.clone(),
                });
                self.children[at].restarting = true;
                // Through the mailbox, so that a shutdown can overtake it.
                self.ctx.send_self(Request::TryAgain(child, reason));
                return Ok(());
            }
            let child = &self.children[at];
            telemetry::emit(&ChildRestarted {
                supervisor: self.ctx.pid(),
                child: child.spec.id.clone(),
                restarts: child.restarts,
                reason: reason.clone(),
            });
            at += 1;
        }
        Ok(())
    }

    async fn start_again(&mut self, at: usize) -> Result<Pid, StartError> {
        let child = &mut self.children[at];
        let pid = child.spec.start(self.ctx.pid(), child.restarts + 1).await?;
        child.restarts += 1;
        child.restarting = false;
        child.pid = Some(pid);
        Ok(pid)
    }

    /// Stops the children at these positions, the last one first, one after the other.
    async fn stop_range(&mut self, range: std::ops::Range<usize>) {
        for at in range.rev() {
            let child = &mut self.children[at];
            child.restarting = false;
            if let Some(pid) = child.pid.take() {
                let deadline = ask_to_stop(&self.ctx, pid, child.spec.shutdown);
                wait_until_stopped(pid, &child.spec.id, deadline).await;
            }
        }
    }
}
