//! A supervisor whose children come and go while it runs. Elixir's `DynamicSupervisor`.
//!
//! Its children are all alike in rank: they stop together, and each is restarted (or not) for itself.

use std::collections::HashMap;
use std::time::Duration;

use super::child::{Child, ask_to_stop, wait_until_stopped};
use super::intensity::{INTENSITY_DEFAULT, Intensity, PERIOD_DEFAULT};
use super::of_supervisor;
use super::reference::{ChildCounts, ChildError, DynamicRef, DynamicRequest};
use super::report::{ChildRestarted, ChildStartFailed, IntensityReached};
use super::spec::{ChildSpec, Spawner};
use super::strategy::{Verdict, on_exit};
use crate::clock;
use crate::exit::ExitReason;
use crate::name::Label;
use crate::pid::Pid;
use crate::process::{Context, Exit, Info, Received, SpawnOptions};
use crate::server::{self, ReplyTo, StartError};
use crate::telemetry;

/// How many children a dynamic supervisor takes unless told otherwise.
pub const CHILDREN_MAX_DEFAULT: usize = 1_000_000;

/// A dynamic supervisor that is being described; [`start`](Self::start) makes it run.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use heronry::prelude::*;
///
/// let carts = Supervisor::dynamic().label("carts").max_children(10_000).start().await?;
/// let cart = ChildSpec::process("cart 7", |mut ctx: Context<()>| async move { ctx.receive().await; });
/// let pid = carts.start_child(cart.restart(Restart::Temporary)).await?;
/// carts.terminate_child(pid).await?;
/// carts.stop().await;
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct DynamicSupervisor {
    label: Label,
    intensity: u32,
    period: Duration,
    max_children: usize,
}

impl DynamicSupervisor {
    /// An intensity of 3 restarts in 5 s, and room for a million children.
    pub fn new() -> Self {
        Self {
            label: Label::from("dynamic supervisor"),
            intensity: INTENSITY_DEFAULT,
            period: PERIOD_DEFAULT,
            max_children: CHILDREN_MAX_DEFAULT,
        }
    }

    /// What the supervisor is called in logs and in the tree.
    #[must_use]
    pub fn label(mut self, label: impl Into<Label>) -> Self {
        self.label = label.into();
        self
    }

    /// How many restarts in which period are still normal; one more and the supervisor gives up.
    #[must_use]
    pub fn intensity(mut self, restarts: u32, period: Duration) -> Self {
        self.intensity = restarts;
        self.period = period;
        self
    }

    /// How many children it takes; the next one is refused with [`ChildError::MaxChildren`].
    #[must_use]
    pub fn max_children(mut self, children: usize) -> Self {
        self.max_children = children;
        self
    }

    /// Starts the supervisor, linked to nobody.
    ///
    /// # Errors
    /// None that is known; the signature leaves room.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub async fn start(self) -> Result<DynamicRef, StartError> {
        let options = of_supervisor(SpawnOptions::new().label(self.label.clone()));
        Ok(DynamicRef::new(server::start(options, None, |ctx, ready| run(self, ctx, ready)).await?))
    }

    /// Starts the supervisor as a child, within the start function of a [`ChildSpec`].
    ///
    /// # Errors
    /// [`StartError`] if the child's name is taken.
    pub async fn start_child(self, spawner: Spawner) -> Result<DynamicRef, StartError> {
        let spawner = spawner.options(of_supervisor);
        Ok(DynamicRef::new(spawner.spawn_ready(|ctx, ready| run(self, ctx, ready)).await?))
    }
}

impl Default for DynamicSupervisor {
    fn default() -> Self {
        Self::new()
    }
}

struct Running {
    children: HashMap<Pid, Child>,
    /// Children that are in the mailbox, to be tried again.
    restarting: usize,
    intensity: Intensity,
    described: DynamicSupervisor,
    ctx: Context<DynamicRequest>,
}

/// Restarts spent.
struct GiveUp;

async fn run(described: DynamicSupervisor, ctx: Context<DynamicRequest>, ready: ReplyTo<()>) -> ExitReason {
    let intensity = Intensity::new(described.intensity, described.period);
    let mut running = Running { children: HashMap::new(), restarting: 0, intensity, described, ctx };
    ready.send(());
    loop {
        let outcome = match running.ctx.receive().await {
            Received::Message(DynamicRequest::Stop(reply_to)) => {
                running.stop_all().await;
                reply_to.send(());
                return ExitReason::Shutdown;
            }
            Received::Message(request) => running.handle(request).await,
            Received::Info(Info::Exit(Exit { from, reason })) if Some(from) == running.ctx.parent() => {
                running.stop_all().await;
                return reason;
            }
            Received::Info(Info::Exit(Exit { from, reason })) => running.child_ended(from, reason).await,
            Received::Info(Info::Down(_)) => Ok(()),
        };
        if let Err(GiveUp) = outcome {
            running.stop_all().await;
            return ExitReason::Shutdown;
        }
    }
}

impl Running {
    async fn handle(&mut self, request: DynamicRequest) -> Result<(), GiveUp> {
        match request {
            DynamicRequest::Which(reply_to) => {
                reply_to.send(self.children.values().map(Child::info).collect())
            }
            DynamicRequest::Count(reply_to) => reply_to.send(ChildCounts::of(self.children.values())),
            DynamicRequest::StartChild(spec, reply_to) => reply_to.send(self.start_child(spec).await),
            DynamicRequest::TerminateChild(pid, reply_to) => reply_to.send(self.terminate_child(pid).await),
            DynamicRequest::TryAgain(child, reason) => {
                self.restarting -= 1;
                return self.restart(*child, reason).await;
            }
            DynamicRequest::Stop(_) => unreachable!("invariant: the loop takes Stop"),
        }
        Ok(())
    }

    async fn start_child(&mut self, spec: ChildSpec) -> Result<Pid, ChildError> {
        if self.children.len() + self.restarting >= self.described.max_children {
            return Err(ChildError::MaxChildren(self.described.max_children));
        }
        let started = spec.start(self.ctx.pid(), 0).await;
        let pid = started.map_err(|error| ChildError::Start(spec.id.clone(), error))?;
        self.children.insert(pid, Child { spec, pid: Some(pid), restarts: 0, restarting: false });
        Ok(pid)
    }

    async fn terminate_child(&mut self, pid: Pid) -> Result<(), ChildError> {
        let child = self.children.remove(&pid).ok_or(ChildError::NotFound)?;
        let deadline = ask_to_stop(&self.ctx, pid, child.spec.shutdown);
        wait_until_stopped(pid, &child.spec.id, deadline).await;
        Ok(())
    }

    async fn child_ended(&mut self, pid: Pid, reason: ExitReason) -> Result<(), GiveUp> {
        let Some(child) = self.children.remove(&pid) else { return Ok(()) };
        match on_exit(child.spec.restart, &reason) {
            Verdict::Restart => self.restart(child, reason).await,
            Verdict::Keep | Verdict::Forget => Ok(()),
        }
    }

    async fn restart(&mut self, mut child: Child, reason: ExitReason) -> Result<(), GiveUp> {
        let supervisor = self.ctx.pid();
        if !self.intensity.allow(clock::now()) {
            telemetry::emit(&IntensityReached {
                supervisor,
                child: child.spec.id,
                intensity: self.described.intensity,
                period: self.described.period,
                reason,
            });
            return Err(GiveUp);
        }
        match child.spec.start(supervisor, child.restarts + 1).await {
            Ok(pid) => {
                child.restarts += 1;
                child.pid = Some(pid);
                telemetry::emit(&ChildRestarted {
                    supervisor,
                    child: child.spec.id.clone(),
                    restarts: child.restarts,
                    reason,
                });
                self.children.insert(pid, child);
                Ok(())
            }
            Err(error) => {
                let reason = error.into_reason();
                let failed = child.spec.id.clone();
                telemetry::emit(&ChildStartFailed { supervisor, child: failed, reason: reason.clone() });
                // Through the mailbox, so that a shutdown can overtake it.
                self.restarting += 1;
                self.ctx.send_self(DynamicRequest::TryAgain(Box::new(child), reason));
                Ok(())
            }
        }
    }

    /// Asks all children to stop, then waits for each.
    async fn stop_all(&mut self) {
        let mut asked: Vec<_> = self
            .children
            .drain()
            .map(|(pid, child)| (pid, ask_to_stop(&self.ctx, pid, child.spec.shutdown), child.spec.id))
            .collect();
        // By deadline, so that nobody's is missed while another is waited for; those without one come last.
        asked.sort_by_key(|(_, deadline, _)| (deadline.is_none(), *deadline));
        for (pid, deadline, label) in asked {
            wait_until_stopped(pid, &label, deadline).await;
        }
    }
}
