//! The process of a supervisor with a fixed strategy: carries out what `strategy.rs` decides.

use std::collections::HashSet;
use std::ops::RangeInclusive;

use super::child::{Child, ask_to_stop, wait_until_stopped};
use super::children::Children;
use super::intensity::Intensity;
use super::partition::Routes;
use super::reference::{ChildCounts, ChildError, Request};
use super::report::{ChildRestarted, ChildStartFailed, IntensityReached, RestartDelayed};
use super::significant::{self, AutoShutdown, SpecError};
use super::spec::{ChildSpec, Restart};
use super::strategy::{Rank, Verdict, affected, on_exit};
use super::waiting::Waiting;
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
    auto_shutdown: AutoShutdown,
    children: Children,
    intensity: Intensity,
    waiting: Waiting<Label>,
    ctx: Context<Request>,
}

/// The supervisor stops its children and ends.
struct End(ExitReason);

pub(super) async fn run(supervisor: Supervisor, ctx: Context<Request>, ready: ReplyTo<()>) -> ExitReason {
    if let Err(error) = check(&supervisor) {
        return error.into();
    }
    let mut running = Running {
        strategy: supervisor.strategy,
        auto_shutdown: supervisor.auto_shutdown,
        children: Children::default(),
        intensity: Intensity::new(supervisor.intensity, supervisor.period),
        waiting: Waiting::new(),
        ctx,
    };
    for spec in supervisor.children {
        if let Err((id, error)) = running.add(spec).await {
            running.stop_all().await;
            return running.start_failed(id, error.into_reason());
        }
    }
    ready.send(());
    loop {
        let outcome = match running.waiting.next(&mut running.ctx, Request::TryAgain).await {
            Received::Message(Request::Stop(reply_to)) => {
                running.stop_all().await;
                reply_to.send(());
                return ExitReason::Shutdown;
            }
            Received::Message(request) => running.handle(request).await,
            Received::Info(Info::Exit(Exit { from, reason })) if Some(from) == running.ctx.parent() => {
                Err(End(reason))
            }
            Received::Info(Info::Exit(Exit { from, reason })) => running.child_ended(from, reason).await,
            Received::Info(Info::Down(_)) => Ok(()),
        };
        if let Err(End(reason)) = outcome {
            running.stop_all().await;
            return reason;
        }
    }
}

/// Before any child starts, as OTP does.
fn check(supervisor: &Supervisor) -> Result<(), SpecError> {
    let mut ids = HashSet::with_capacity(supervisor.children.len());
    for spec in &supervisor.children {
        spec.check(supervisor.auto_shutdown)?;
        if !ids.insert(&spec.id) {
            return Err(SpecError::DuplicateId(spec.id.clone()));
        }
    }
    Ok(())
}

impl Running {
    /// Tells of a start that failed; with what the supervisor ends: OTP's `{shutdown, {failed_to_start_child, ..}}`. It
    /// is an orderly end, since the one who starts the supervisor hears of it.
    fn start_failed(&self, child: Label, reason: ExitReason) -> ExitReason {
        let end = ExitReason::shutdown_with(format!("failed to start child {child}: {reason}"));
        let supervisor = self.ctx.pid();
        telemetry::emit(&ChildStartFailed { supervisor, child, reason, tries_again: false });
        end
    }

    async fn handle(&mut self, request: Request) -> Result<(), End> {
        match request {
            Request::Which(reply_to) => reply_to.send(self.children.iter().map(Child::info).collect()),
            Request::Count(reply_to) => reply_to.send(ChildCounts::of(self.children.iter())),
            Request::StartChild(spec, reply_to) => reply_to.send(self.start_child(spec).await),
            Request::TerminateChild(id, reply_to) => reply_to.send(self.terminate_child(&id).await),
            Request::RestartChild(id, reply_to) => reply_to.send(self.restart_child(&id).await),
            Request::DeleteChild(id, reply_to) => reply_to.send(self.delete_child(&id)),
            Request::ChildSpec(id, reply_to) => {
                let child = self.children.find(&id).map(|at| self.children[at].spec.clone());
                reply_to.send(child.ok_or(ChildError::NotFound));
            }
            Request::TryAgain(id, reason) => {
                if let Some(at) = self.children.find(&id)
                    && std::mem::take(&mut self.children[at].restarting)
                {
                    return self.restart(at, reason).await;
                }
            }
            Request::Resize(partitions, routes, reply_to) => {
                reply_to.send(self.resize(partitions, &routes).await);
            }
            Request::Stop(_) => unreachable!("invariant: the loop takes Stop"),
        }
        Ok(())
    }

    /// Starts a child for the first time, behind all others; without a pid if it is not needed.
    async fn add(&mut self, spec: ChildSpec) -> Result<Option<Pid>, (Label, StartError)> {
        let child = Child::start(spec, self.ctx.pid(), None).await?;
        let pid = child.pid;
        if pid.is_some() || child.spec.restart != Restart::Temporary {
            self.children.push(child);
        }
        Ok(pid)
    }

    async fn start_child(&mut self, spec: ChildSpec) -> Result<Pid, ChildError> {
        spec.check(self.auto_shutdown)?;
        if let Some(at) = self.children.find(&spec.id) {
            return Err(match self.children[at].pid {
                Some(pid) => ChildError::AlreadyStarted(pid),
                None => ChildError::AlreadyPresent,
            });
        }
        let started = self.add(spec).await.map_err(|(id, error)| ChildError::Start(id, error))?;
        started.ok_or(ChildError::Ignored)
    }

    async fn terminate_child(&mut self, id: &Label) -> Result<(), ChildError> {
        let at = self.children.find(id).ok_or(ChildError::NotFound)?;
        self.stop_range(at..=at).await;
        if let Some(at) = self.children.find(id) {
            self.children[at].give_up(&ExitReason::Shutdown);
        }
        Ok(())
    }

    async fn restart_child(&mut self, id: &Label) -> Result<Pid, ChildError> {
        let at = self.down(id)?;
        let started = self.start_again(at).await;
        started.map_err(|error| match error {
            StartError::Ignored => ChildError::Ignored,
            error => {
                self.children[at].give_up(&error.clone().into_reason());
                ChildError::Start(id.clone(), error)
            }
        })
    }

    fn delete_child(&mut self, id: &Label) -> Result<(), ChildError> {
        let at = self.down(id)?;
        self.children.remove(at);
        Ok(())
    }

    /// Makes the keys of a partition supervisor lead to the first so many of its children, and ends the others.
    async fn resize(&mut self, partitions: usize, routes: &Routes) -> Result<usize, ChildError> {
        let before = routes.used();
        let id = |partition: usize| Label::from(partition.to_string());
        for partition in before..partitions {
            match self.restart_child(&id(partition)).await {
                // A sibling's restart may have taken it along; one that is not needed is as good as there.
                Ok(_) | Err(ChildError::Running(_) | ChildError::Restarting | ChildError::Ignored) => {}
                Err(error) => return Err(error),
            }
        }
        routes.set_used(partitions);
        for partition in (partitions..before).rev() {
            match self.terminate_child(&id(partition)).await {
                // A temporary one that has ended is forgotten.
                Ok(()) | Err(ChildError::NotFound) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(before)
    }

    /// The rank of a child that neither runs nor is about to.
    fn down(&self, id: &Label) -> Result<Rank, ChildError> {
        let at = self.children.find(id).ok_or(ChildError::NotFound)?;
        match &self.children[at] {
            Child { pid: Some(pid), .. } => Err(ChildError::Running(*pid)),
            Child { restarting: true, .. } => Err(ChildError::Restarting),
            Child { pid: None, restarting: false, .. } => Ok(at),
        }
    }

    async fn child_ended(&mut self, pid: Pid, reason: ExitReason) -> Result<(), End> {
        let Some(at) = self.children.ended(pid) else {
            return Ok(()); // a child that was stopped, or somebody else's exit signal
        };
        let child = &mut self.children[at];
        child.note(&reason);
        let significant = child.spec.significant;
        match on_exit(child.spec.restart, &reason) {
            Verdict::Restart if child.retry.is_some() => {
                // Those that go with it go now.
                self.stop_range(affected(self.strategy, at)).await;
                self.try_again_later(at, reason);
                return Ok(());
            }
            Verdict::Restart => return self.restart(at, reason).await,
            Verdict::Keep => child.give_up(&reason),
            Verdict::Forget => self.children.remove(at),
        }
        let others = || self.children.iter().any(Child::is_significant);
        if significant::ends_supervisor(self.auto_shutdown, significant, significant && others()) {
            return Err(End(ExitReason::Shutdown));
        }
        Ok(())
    }

    /// Restarts a child that ended, and those that its strategy takes with it.
    async fn restart(&mut self, dead: Rank, reason: ExitReason) -> Result<(), End> {
        let supervisor = self.ctx.pid();
        if !self.intensity.allow(clock::now().into_std()) {
            let child = self.children[dead].spec.id.clone();
            telemetry::emit(&IntensityReached::new(supervisor, child, &self.intensity, reason));
            return Err(End(ExitReason::Shutdown));
        }
        let range = affected(self.strategy, dead);
        // A temporary child goes with its siblings but does not come back with them.
        for at in self.stop_range(range).await {
            let started = self.start_again(at).await;
            let child = &self.children[at];
            match started {
                Ok(_) => telemetry::emit(&ChildRestarted {
                    supervisor,
                    child: child.spec.id.clone(),
                    restarts: child.restarts,
                    reason: reason.clone(),
                }),
                Err(StartError::Ignored) => {}
                Err(error) => {
                    let (child, reason) = (child.spec.id.clone(), error.into_reason());
                    telemetry::emit(&ChildStartFailed {
                        supervisor,
                        child,
                        reason: reason.clone(),
                        tries_again: true,
                    });
                    self.try_again_later(at, reason);
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Through the mailbox, after its back-off if it has one, so that a shutdown can overtake it.
    fn try_again_later(&mut self, at: Rank, reason: ExitReason) {
        let child = &mut self.children[at];
        child.restarting = true;
        let (id, supervisor) = (child.spec.id.clone(), self.ctx.pid());
        match &mut child.retry {
            Some(retry) => {
                let delay = self.waiting.put(retry, id.clone(), reason.clone());
                telemetry::emit(&RestartDelayed { supervisor, child: id, delay, reason });
            }
            None => self.ctx.send_self(Request::TryAgain(id, reason)),
        }
    }

    async fn start_again(&mut self, at: Rank) -> Result<Pid, StartError> {
        self.children.start_again(at, self.ctx.pid()).await
    }

    async fn stop_all(&mut self) {
        self.stop_range(Rank::MIN..=Rank::MAX).await;
    }

    /// Stops the children of these ranks, the last one first, one after the other, and forgets the temporary ones; the
    /// ranks of those that are left.
    async fn stop_range(&mut self, range: RangeInclusive<Rank>) -> Vec<Rank> {
        let mut ranks = self.children.ranks(range);
        for &at in ranks.iter().rev() {
            let running = self.children.take_pid(at);
            let child = &mut self.children[at];
            child.restarting = false;
            if let Some(retry) = &mut child.retry {
                self.waiting.cancel(retry);
            }
            if let Some(pid) = running {
                let deadline = ask_to_stop(&self.ctx, pid, child.spec.shutdown);
                wait_until_stopped(pid, &child.spec.id, deadline).await;
            }
            if child.spec.restart == Restart::Temporary {
                self.children.remove(at);
            }
        }
        ranks.retain(|at| self.children.has(*at));
        ranks
    }
}
