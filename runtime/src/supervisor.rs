//! Supervisors: processes that start, watch, restart and stop others. OTP's `supervisor` and `DynamicSupervisor`.
//!
//! A supervisor starts its children in order, each after the one before it is ready, and stops them in reverse. When a
//! child ends it restarts it, or not ([`Restart`]), and others with it ([`Strategy`]). More restarts than its
//! intensity allows in its period mean that restarting does not help here: it stops its children and ends with
//! `Shutdown`, and the decision is its own supervisor's.
//!
//! Where OTP has nothing, and only for children whose specs ask for it: a restart can wait ([`Backoff`]), and a child's
//! address can stay valid over restarts and keep its mail ([`ChildSpec::stable`]).

mod backoff;
mod child;
mod children;
mod dynamic;
mod intensity;
mod partition;
mod reference;
mod report;
mod run;
mod significant;
mod spec;
mod strategy;
mod task;
mod waiting;

pub use backoff::{BACKOFF_MAX, Backoff, JITTER_PERCENT_DEFAULT};
pub use dynamic::{CHILDREN_MAX_DEFAULT, DynamicSupervisor};
pub use intensity::{INTENSITY_DEFAULT, Intensity, PERIOD_DEFAULT};
pub use partition::{
    Hashed, PARTITIONS_MAX, PartitionError, PartitionKey, PartitionRef, PartitionSupervisor,
};
pub use reference::{ChildCounts, ChildError, ChildInfo, DynamicRef, SupervisorRef};
pub use report::{ChildRestarted, ChildStartFailed, IntensityReached, RestartDelayed};
pub use significant::{AutoShutdown, SpecError};
pub use spec::{ChildKind, ChildSpec, Restart, SHUTDOWN_DEFAULT, Spawner, Started};
pub use strategy::Strategy;
pub use task::{TaskSupervisor, TaskSupervisorRef};

pub use crate::process::shutdown::Shutdown;

use std::sync::Arc;
use std::time::Duration;

use crate::name::{Label, Name};
use crate::process::{Overflow, ProcessKind, RegisterError, SpawnOptions};
use crate::server::{self, StartError};

/// A supervisor that is being described; [`start`](Self::start) makes it run.
///
/// ```
/// # use heronry::prelude::*;
/// # use std::time::Duration;
/// # struct Idle;
/// # impl Server for Idle {
/// #     type Args = ();
/// #     type Msg = ();
/// #     async fn init((): (), _: &mut Context<()>) -> Init<Self> { Ok(Idle) }
/// #     async fn handle(&mut self, (): (), _: &mut Context<()>) -> Next { Next::Continue }
/// # }
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let tree = Supervisor::one_for_one()
///     .label("shop")
///     .intensity(3, Duration::from_secs(5))
///     .child(ChildSpec::server::<Idle>("idle", ()))
///     .child(ChildSpec::process("clock", |mut ctx: Context<()>| async move { ctx.receive().await; }))
///     .start()
///     .await?;
/// assert_eq!(tree.count_children().await?.active, 2);
/// tree.stop().await;
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct Supervisor {
    strategy: Strategy,
    label: Label,
    name: Option<Arc<str>>,
    intensity: u32,
    period: Duration,
    auto_shutdown: AutoShutdown,
    children: Vec<ChildSpec>,
}

impl Supervisor {
    /// A supervisor with this strategy, an intensity of 3 restarts in 5 s, and no children yet.
    pub fn new(strategy: Strategy) -> Self {
        Self {
            strategy,
            label: Label::from("supervisor"),
            name: None,
            intensity: INTENSITY_DEFAULT,
            period: PERIOD_DEFAULT,
            auto_shutdown: AutoShutdown::Never,
            children: Vec::new(),
        }
    }

    /// When a child ends, it alone is restarted.
    pub fn one_for_one() -> Self {
        Self::new(Strategy::OneForOne)
    }

    /// When a child ends, all are stopped and started again.
    pub fn one_for_all() -> Self {
        Self::new(Strategy::OneForAll)
    }

    /// When a child ends, it and those started after it are stopped and started again.
    pub fn rest_for_one() -> Self {
        Self::new(Strategy::RestForOne)
    }

    /// A supervisor whose children come and go while it runs.
    pub fn dynamic() -> DynamicSupervisor {
        DynamicSupervisor::new()
    }

    /// What the supervisor is called in logs and in the tree.
    #[must_use]
    pub fn label(mut self, label: impl Into<Label>) -> Self {
        self.label = label.into();
        self
    }

    /// Registers the supervisor under a name before its children start, and labels it so. With a name that is taken, or a
    /// text that can't be a [`Name`], it does not start. OTP's `{local, Name}`.
    ///
    /// It is found by [`SupervisorRef::named`]. As a child it has this name in the place of
    /// [its spec's](ChildSpec::named).
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use heronry::prelude::*;
    /// use heronry::supervisor::SupervisorRef;
    ///
    /// let tree = Supervisor::one_for_one().named("shop").start().await?;
    /// assert_eq!(SupervisorRef::named("shop")?.pid(), tree.pid());
    /// assert!(Supervisor::one_for_one().named("shop").start().await.is_err());
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

    pub(crate) fn strategy(mut self, strategy: Strategy) -> Self {
        self.strategy = strategy;
        self
    }

    /// How many restarts in which period are still normal; one more and the supervisor gives up.
    #[must_use]
    pub fn intensity(mut self, restarts: u32, period: Duration) -> Self {
        self.intensity = restarts;
        self.period = period;
        self
    }

    /// Whether the supervisor ends by itself, with `Shutdown`, when [significant](ChildSpec::significant) children have
    /// ended; unless told otherwise it does not.
    #[must_use]
    pub fn auto_shutdown(mut self, auto_shutdown: AutoShutdown) -> Self {
        self.auto_shutdown = auto_shutdown;
        self
    }

    /// Adds a child; children start in the order in which they were added.
    #[must_use]
    pub fn child(mut self, spec: ChildSpec) -> Self {
        self.children.push(spec);
        self
    }

    /// Starts the supervisor and its children, linked to nobody: the root of a tree.
    ///
    /// # Errors
    /// [`StartError`] with a [`ShutdownWith`](crate::ExitReason::ShutdownWith) that names the child, if a child does not
    /// start; those started before it are stopped again. With a [`SpecError`], if the children do not fit the supervisor
    /// or each other; then none was started. With a [`RegisterError`], if it can't have its name.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub async fn start(self) -> Result<SupervisorRef, StartError> {
        let options = of_root(&self.label, self.name.as_ref())?;
        let addr = server::start(options, None, |ctx, ready| run::run(self, ctx, ready)).await?;
        Ok(SupervisorRef::new(addr))
    }

    /// Starts the supervisor and its children as a child, within the start function of a [`ChildSpec`].
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub async fn start_child(self, spawner: Spawner) -> Result<SupervisorRef, StartError> {
        let spawner = of_child(spawner, self.name.as_ref())?;
        let addr = spawner.spawn_ready(|ctx, ready| run::run(self, ctx, ready)).await?;
        Ok(SupervisorRef::new(addr))
    }
}

/// What every supervisor is spawned with. Whoever asks a busy one waits, for room too: a request that is refused could be
/// the one to stop.
fn of_supervisor(options: SpawnOptions) -> SpawnOptions {
    options.kind(ProcessKind::Supervisor).trap_exit(true).overflow(Overflow::Block)
}

/// With what a supervisor is spawned that is nobody's child.
fn of_root(label: &Label, name: Option<&Arc<str>>) -> Result<SpawnOptions, StartError> {
    Ok(of_supervisor(SpawnOptions::new().label(label.clone()).name(parse(name)?)))
}

/// What spawns a supervisor that is a child.
fn of_child(spawner: Spawner, name: Option<&Arc<str>>) -> Result<Spawner, StartError> {
    let name = parse(name)?;
    Ok(spawner.options(|options| {
        let options = if name.is_some() { options.name(name) } else { options };
        of_supervisor(options)
    }))
}

/// The name that a process is described with, if the text can be one.
fn parse(name: Option<&Arc<str>>) -> Result<Option<Name>, StartError> {
    let name = name.map(|name| Name::parse(name.clone())).transpose();
    name.map_err(|error| StartError::Name(RegisterError::Name(error)))
}
