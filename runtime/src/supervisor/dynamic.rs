//! A supervisor whose children come and go while it runs. Elixir's `DynamicSupervisor`.
//!
//! Its children are all alike in rank: they stop together, and each is restarted (or not) for itself.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::child::{Child, ask_to_stop, wait_until_all_stopped, wait_until_stopped};
use super::intensity::{INTENSITY_DEFAULT, Intensity, PERIOD_DEFAULT};
use super::reference::{ChildCounts, ChildError, DynamicRef, DynamicRequest};
use super::report::{ChildRestarted, ChildStartFailed, IntensityReached, RestartDelayed};
use super::significant::{self, AutoShutdown};
use super::spec::{ChildSpec, Extra, Spawner};
use super::strategy::{Verdict, on_exit};
use super::waiting::Waiting;
use super::{of_child, of_root};
use crate::clock;
use crate::exit::ExitReason;
use crate::name::Label;
use crate::pid::Pid;
use crate::process::{Context, Exit, Info, PidHasher, Received};
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
pub struct DynamicSupervisor {
    label: Label,
    name: Option<Arc<str>>,
    intensity: u32,
    period: Duration,
    max_children: usize,
    auto_shutdown: AutoShutdown,
    extra: Option<Extra>,
}

impl DynamicSupervisor {
    /// An intensity of 3 restarts in 5 s, and room for a million children.
    pub fn new() -> Self {
        Self {
            label: Label::from("dynamic supervisor"),
            name: None,
            intensity: INTENSITY_DEFAULT,
            period: PERIOD_DEFAULT,
            max_children: CHILDREN_MAX_DEFAULT,
            auto_shutdown: AutoShutdown::Never,
            extra: None,
        }
    }

    /// What the supervisor is called in logs and in the tree.
    #[must_use]
    pub fn label(mut self, label: impl Into<Label>) -> Self {
        self.label = label.into();
        self
    }

    /// Registers the supervisor under a name, and labels it so; it is found by [`DynamicRef::named`]. As
    /// [`Supervisor::named`](super::Supervisor::named).
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use heronry::prelude::*;
    /// use heronry::supervisor::DynamicRef;
    ///
    /// let carts = ChildSpec::dynamic("carts", || Supervisor::dynamic().named("carts"));
    /// let tree = Supervisor::one_for_one().child(carts).start().await?;
    /// let cart = ChildSpec::process("cart 7", |mut ctx: Context<()>| async move { ctx.receive().await; });
    /// DynamicRef::named("carts")?.start_child(cart).await?;
    /// tree.stop().await;
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn named(mut self, name: impl Into<Arc<str>>) -> Self {
        let name = name.into();
        self.label = Label::from(name.clone());
        self.name = Some(name);
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

    /// Whether the supervisor ends by itself, with `Shutdown`, when [significant](ChildSpec::significant) children have
    /// ended; unless told otherwise it does not. (OTP's `simple_one_for_one` can, Elixir's `DynamicSupervisor` can't.)
    #[must_use]
    pub fn auto_shutdown(mut self, auto_shutdown: AutoShutdown) -> Self {
        self.auto_shutdown = auto_shutdown;
        self
    }

    /// What every child is given at each start, by [`Spawner::extra`]; Elixir's `extra_arguments`. A second call replaces
    /// the first one's.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use heronry::prelude::*;
    /// use heronry::supervisor::Spawner;
    ///
    /// let carts = Supervisor::dynamic().extra("EUR").start().await?;
    /// let cart = ChildSpec::new("cart 7", |spawner: Spawner| async move {
    ///     let currency: &'static str = *spawner.extra().expect("the supervisor gives it");
    ///     let body = move |_: Context<()>| async move { assert_eq!(currency, "EUR") };
    ///     Ok(spawner.spawn(body)?.pid())
    /// });
    /// carts.start_child(cart.restart(Restart::Temporary)).await?;
    /// carts.stop().await;
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn extra(mut self, extra: impl Send + Sync + 'static) -> Self {
        self.extra = Some(Arc::new(extra));
        self
    }

    /// Starts the supervisor, linked to nobody.
    ///
    /// # Errors
    /// [`StartError::Name`] if it can't have its name.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub async fn start(self) -> Result<DynamicRef, StartError> {
        let options = of_root(&self.label, self.name.as_ref())?;
        Ok(DynamicRef::new(server::start(options, None, |ctx, ready| run(self, ctx, ready)).await?))
    }

    /// Starts the supervisor as a child, within the start function of a [`ChildSpec`].
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub async fn start_child(self, spawner: Spawner) -> Result<DynamicRef, StartError> {
        let spawner = of_child(spawner, self.name.as_ref())?;
        Ok(DynamicRef::new(spawner.spawn_ready(|ctx, ready| run(self, ctx, ready)).await?))
    }
}

impl Default for DynamicSupervisor {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for DynamicSupervisor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DynamicSupervisor")
            .field("label", &self.label)
            .field("name", &self.name)
            .field("intensity", &self.intensity)
            .field("period", &self.period)
            .field("max_children", &self.max_children)
            .field("auto_shutdown", &self.auto_shutdown)
            .finish_non_exhaustive()
    }
}

struct Running {
    /// By the pid that each has; one that is about to be started again, by the pid that it had.
    children: HashMap<Pid, Child, PidHasher>,
    intensity: Intensity,
    waiting: Waiting<Pid>,
    described: DynamicSupervisor,
    ctx: Context<DynamicRequest>,
}

/// The supervisor stops its children and ends with `Shutdown`.
struct End;

async fn run(described: DynamicSupervisor, ctx: Context<DynamicRequest>, ready: ReplyTo<()>) -> ExitReason {
    let intensity = Intensity::new(described.intensity, described.period);
    let mut running =
        Running { children: HashMap::default(), intensity, waiting: Waiting::new(), described, ctx };
    ready.send(());
    loop {
        let outcome = match running.waiting.next(&mut running.ctx, DynamicRequest::TryAgain).await {
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
        if let Err(End) = outcome {
            running.stop_all().await;
            return ExitReason::Shutdown;
        }
    }
}

impl Running {
    async fn handle(&mut self, request: DynamicRequest) -> Result<(), End> {
        match request {
            DynamicRequest::Which(reply_to) => {
                reply_to.send(self.children.values().map(Child::info).collect())
            }
            DynamicRequest::Count(reply_to) => reply_to.send(ChildCounts::of(self.children.values())),
            DynamicRequest::StartChild(spec, reply_to) => reply_to.send(self.start_child(spec).await),
            DynamicRequest::TerminateChild(pid, reply_to) => reply_to.send(self.terminate_child(pid).await),
            DynamicRequest::TryAgain(was, reason) => {
                // It may have been terminated meanwhile.
                if let Some(child) = self.children.remove(&was) {
                    return self.restart(was, child, reason).await;
                }
            }
            DynamicRequest::Stop(_) => unreachable!("invariant: the loop takes Stop"),
        }
        Ok(())
    }

    async fn start_child(&mut self, spec: ChildSpec) -> Result<Pid, ChildError> {
        spec.check(self.described.auto_shutdown)?;
        if self.children.len() >= self.described.max_children {
            return Err(ChildError::MaxChildren(self.described.max_children));
        }
        let started = Child::start(spec, self.ctx.pid(), self.described.extra.clone()).await;
        let child = started.map_err(|(id, error)| ChildError::Start(id, error))?;
        let pid = child.pid.ok_or(ChildError::Ignored)?;
        self.children.insert(pid, child);
        Ok(pid)
    }

    async fn terminate_child(&mut self, pid: Pid) -> Result<(), ChildError> {
        let mut child = self.children.remove(&pid).ok_or(ChildError::NotFound)?;
        if let Some(retry) = &mut child.retry {
            self.waiting.cancel(retry);
        }
        if let Some(pid) = child.pid {
            let deadline = ask_to_stop(&self.ctx, pid, child.spec.shutdown);
            wait_until_stopped(pid, &child.spec.id, deadline).await;
        }
        Ok(())
    }

    async fn child_ended(&mut self, pid: Pid, reason: ExitReason) -> Result<(), End> {
        let Some(mut child) = self.children.remove(&pid) else { return Ok(()) };
        child.pid = None;
        child.note(&reason);
        match on_exit(child.spec.restart, &reason) {
            Verdict::Restart if child.retry.is_some() => {
                self.try_again_later(pid, child, reason);
                return Ok(());
            }
            Verdict::Restart => return self.restart(pid, child, reason).await,
            Verdict::Keep | Verdict::Forget => {}
        }
        let significant = child.spec.significant;
        let others = || self.children.values().any(Child::is_significant);
        if significant::ends_supervisor(self.described.auto_shutdown, significant, significant && others()) {
            return Err(End);
        }
        Ok(())
    }

    /// Starts the child again that had the pid `was`.
    async fn restart(&mut self, was: Pid, mut child: Child, reason: ExitReason) -> Result<(), End> {
        let supervisor = self.ctx.pid();
        if !self.intensity.allow(clock::now().into_std()) {
            let failed = child.spec.id.clone();
            telemetry::emit(&IntensityReached::new(supervisor, failed, &self.intensity, reason));
            return Err(End);
        }
        let extra = self.described.extra.clone();
        match child.start_again(supervisor, extra).await {
            Ok(pid) => {
                telemetry::emit(&ChildRestarted {
                    supervisor,
                    child: child.spec.id.clone(),
                    restarts: child.restarts,
                    reason,
                });
                self.children.insert(pid, child);
            }
            Err(StartError::Ignored) => {}
            Err(error) => {
                let reason = error.into_reason();
                telemetry::emit(&ChildStartFailed {
                    supervisor,
                    child: child.spec.id.clone(),
                    reason: reason.clone(),
                    tries_again: true,
                });
                self.try_again_later(was, child, reason);
            }
        }
        Ok(())
    }

    /// Through the mailbox, after its back-off if it has one, so that a shutdown can overtake it.
    fn try_again_later(&mut self, was: Pid, mut child: Child, reason: ExitReason) {
        child.restarting = true;
        match &mut child.retry {
            Some(retry) => {
                let delay = self.waiting.put(retry, was, reason.clone());
                let (supervisor, child) = (self.ctx.pid(), child.spec.id.clone());
                telemetry::emit(&RestartDelayed { supervisor, child, delay, reason });
            }
            None => self.ctx.send_self(DynamicRequest::TryAgain(was, reason)),
        }
        self.children.insert(was, child);
    }

    /// Asks all children to stop, then waits for all.
    async fn stop_all(&mut self) {
        let children: Vec<Child> = self.children.drain().map(|(_, child)| child).collect();
        let running = children.iter().filter_map(|child| child.pid.map(|pid| (pid, &child.spec)));
        let asked: Vec<_> = running
            .map(|(pid, spec)| (pid, spec.id.clone(), ask_to_stop(&self.ctx, pid, spec.shutdown)))
            .collect();
        wait_until_all_stopped(asked).await;
    }
}
