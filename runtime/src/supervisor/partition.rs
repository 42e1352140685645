//! A supervisor of many like children, each for its share of the keys. Elixir's `PartitionSupervisor`.
//!
//! For a process that has become a bottleneck and whose state can be divided: a key leads to its partition without asking
//! any process.

mod key;
mod routes;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::reference::{ChildCounts, ChildError, ChildInfo, DynamicRef, Request, SupervisorRef};
use super::spec::{ChildKind, ChildSpec, Spawner};
use super::{SpecError, Strategy, Supervisor, of_child, of_root, run};
use crate::exit::ExitReason;
use crate::name::Label;
use crate::pid::Pid;
use crate::process::{self, Addr, Context, WhereisError};
use crate::server::{self, CallError, ReplyTo, StartError};

pub use key::{Hashed, PartitionKey};
pub(super) use routes::Routes;

/// The most partitions that a partition supervisor may have: far above the number of cores of any machine.
pub const PARTITIONS_MAX: usize = 4_096;

/// A partition supervisor that is being described; [`start`](Self::start) makes it run.
///
/// ```
/// # use heronry::prelude::*;
/// # use std::time::Duration;
/// use heronry::supervisor::PartitionSupervisor;
///
/// struct Counter { partition: usize, count: u64 }
///
/// enum Msg { Hit, Get(ReplyTo<(usize, u64)>) }
///
/// impl Server for Counter {
///     type Args = usize;
///     type Msg = Msg;
///     async fn init(partition: usize, _: &mut Context<Msg>) -> Init<Self> {
///         Ok(Counter { partition, count: 0 })
///     }
///     async fn handle(&mut self, msg: Msg, _: &mut Context<Msg>) -> Next {
///         match msg {
///             Msg::Hit => self.count += 1,
///             Msg::Get(reply_to) => reply_to.send((self.partition, self.count)),
///         }
///         Next::Continue
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let counters = PartitionSupervisor::new(|partition| ChildSpec::server::<Counter>("counter", partition))
///     .partitions(4)
///     .start()
///     .await?;
/// let counter: Addr<Msg> = counters.whereis(6)?; // any key will do: a text, a pid, a hash
/// counter.cast(Msg::Hit)?;
/// assert_eq!(counter.call(Msg::Get, Duration::from_secs(5)).await?, (2, 1));
/// counters.stop().await;
/// # Ok(()) }
/// ```
///
/// Dynamic supervisors make good partitions when one of them is too busy to start children:
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use heronry::prelude::*;
/// use heronry::supervisor::{PartitionRef, PartitionSupervisor};
///
/// let carts = ChildSpec::partitioned("carts", || {
///     PartitionSupervisor::new(|_| ChildSpec::dynamic("carts", Supervisor::dynamic))
/// });
/// let tree = Supervisor::one_for_one().child(carts.named("carts")).start().await?;
/// let cart = ChildSpec::process("cart 7", |mut ctx: Context<()>| async move { ctx.receive().await; });
/// PartitionRef::named("carts")?.dynamic("cart 7")?.start_child(cart).await?;
/// tree.stop().await;
/// # Ok(()) }
/// ```
pub struct PartitionSupervisor {
    child: Box<dyn Fn(usize) -> ChildSpec + Send>,
    partitions: Option<usize>,
    inner: Supervisor,
}

/// A key that led to no process.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum PartitionError {
    /// The name led to no partition supervisor: no process has it, or one that is none. One that is starting or ending
    /// isn't there either.
    Supervisor(WhereisError),
    /// The supervisor was resized to no partitions, or has ended.
    NoPartitions,
    /// The process of this partition is being restarted, or was terminated. Try again.
    Down(usize),
    /// The process of this partition takes other messages than was asked for.
    OtherType(usize),
    /// There can be no more partitions than the supervisor was started with: this many. Nothing was changed.
    TooMany(usize),
    /// A partition did not start. Those before it run, but no key leads to them.
    Child(ChildError),
}

/// A running [`PartitionSupervisor`].
#[derive(Clone, Debug)]
pub struct PartitionRef {
    supervisor: SupervisorRef,
    routes: Arc<Routes>,
}

impl PartitionSupervisor {
    /// One partition for each scheduler thread of the tokio runtime that it is started in, with an intensity of 3 restarts
    /// in 5 s. `child` gives the spec of each partition, numbered from 0; the number replaces the spec's id. (Elixir has
    /// one spec and `:with_arguments` to tell it the number.)
    pub fn new(child: impl Fn(usize) -> ChildSpec + Send + 'static) -> Self {
        let inner = Supervisor::one_for_one().label("partition supervisor");
        Self { child: Box::new(child), partitions: None, inner }
    }

    /// How many partitions there are, from 1 to [`PARTITIONS_MAX`]; with another number it does not start.
    #[must_use]
    pub fn partitions(mut self, partitions: usize) -> Self {
        self.partitions = Some(partitions);
        self
    }

    /// Which partitions are restarted when one has ended: unless told otherwise, it alone.
    #[must_use]
    pub fn strategy(mut self, strategy: Strategy) -> Self {
        self.inner.strategy = strategy;
        self
    }

    /// What the supervisor is called in logs and in the tree.
    #[must_use]
    pub fn label(self, label: impl Into<Label>) -> Self {
        Self { inner: self.inner.label(label), ..self }
    }

    /// Registers the supervisor under a name before its partitions start, and labels it so; it is found by
    /// [`PartitionRef::named`]. As [`Supervisor::named`].
    #[must_use]
    pub fn named(self, name: impl Into<Arc<str>>) -> Self {
        Self { inner: self.inner.named(name), ..self }
    }

    /// How many restarts in which period are still normal; one more and the supervisor gives up.
    #[must_use]
    pub fn intensity(self, restarts: u32, period: Duration) -> Self {
        Self { inner: self.inner.intensity(restarts, period), ..self }
    }

    /// Starts the supervisor and its partitions, linked to nobody.
    ///
    /// # Errors
    /// [`StartError`] if a partition does not start, their number is not from 1 to [`PARTITIONS_MAX`], or it can't have
    /// its name.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub async fn start(self) -> Result<PartitionRef, StartError> {
        let (inner, routes) = self.divide()?;
        let options = of_root(&inner.label, inner.name.as_ref())?;
        let table = routes.clone();
        let addr = server::start(options, None, |ctx, ready| listed(inner, table, ctx, ready)).await?;
        Ok(PartitionRef { supervisor: SupervisorRef::new(addr), routes })
    }

    /// Starts the supervisor and its partitions as a child, within the start function of a [`ChildSpec`].
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub async fn start_child(self, spawner: Spawner) -> Result<PartitionRef, StartError> {
        let (inner, routes) = self.divide()?;
        let spawner = of_child(spawner, inner.name.as_ref())?;
        let table = routes.clone();
        let addr = spawner.spawn_ready(|ctx, ready| listed(inner, table, ctx, ready)).await?;
        Ok(PartitionRef { supervisor: SupervisorRef::new(addr), routes })
    }

    /// The plain supervisor that it is, and where that notes its children.
    fn divide(self) -> Result<(Supervisor, Arc<Routes>), StartError> {
        let partitions = self.partitions.unwrap_or_else(schedulers);
        if !(1..=PARTITIONS_MAX).contains(&partitions) {
            return Err(StartError::Init(SpecError::Partitions(partitions).into()));
        }
        let routes = Arc::new(Routes::new(partitions));
        let mut inner = self.inner;
        for partition in 0..partitions {
            let routes = routes.clone();
            let spec = (self.child)(partition).of_partition(partition);
            inner = inner.child(spec.on_start(move |pid| routes.set(partition, pid)));
        }
        Ok((inner, routes))
    }
}

/// As many as threads that run processes.
fn schedulers() -> usize {
    tokio::runtime::Handle::current().metrics().num_workers().clamp(1, PARTITIONS_MAX)
}

/// The process: a plain supervisor that can be found by its name.
async fn listed(
    inner: Supervisor,
    routes: Arc<Routes>,
    ctx: Context<Request>,
    ready: ReplyTo<()>,
) -> ExitReason {
    let _listed = routes::Listed::new(ctx.pid(), routes);
    run::run(inner, ctx, ready).await
}

impl PartitionRef {
    /// The partition supervisor of this name. With [`whereis`](Self::whereis) it is Elixir's
    /// `{:via, PartitionSupervisor, {name, key}}`.
    ///
    /// # Errors
    /// [`PartitionError::Supervisor`] if no process has the name, or one that is no partition supervisor.
    pub fn named(name: &str) -> Result<Self, PartitionError> {
        let addr: Addr<Request> = process::whereis(name).map_err(PartitionError::Supervisor)?;
        let routes = routes::find(addr.pid());
        let none = || PartitionError::Supervisor(WhereisError::NotRegistered(name.to_owned()));
        Ok(Self { supervisor: SupervisorRef::new(addr), routes: routes.ok_or_else(none)? })
    }

    /// The supervisor's process.
    pub fn pid(&self) -> Pid {
        self.supervisor.pid()
    }

    /// How many partitions keys lead to.
    pub fn partitions(&self) -> usize {
        self.routes.used()
    }

    /// The process of a key's partition.
    ///
    /// # Errors
    /// [`PartitionError`] if there is none at the moment.
    pub fn whereis_pid(&self, key: impl PartitionKey) -> Result<Pid, PartitionError> {
        self.route(key).map(|(_, pid)| pid)
    }

    /// The address of a key's partition.
    ///
    /// # Errors
    /// [`PartitionError`] if there is none at the moment, or the partitions take other messages.
    pub fn whereis<M: Send + 'static>(&self, key: impl PartitionKey) -> Result<Addr<M>, PartitionError> {
        let (partition, pid) = self.route(key)?;
        match process::addr_of(pid) {
            Some(Ok(addr)) => Ok(addr),
            Some(Err(_)) => Err(PartitionError::OtherType(partition)),
            None => Err(PartitionError::Down(partition)),
        }
    }

    /// The dynamic supervisor that is a key's partition.
    ///
    /// # Errors
    /// [`PartitionError`] if there is none at the moment, or the partitions are no dynamic supervisors.
    pub fn dynamic(&self, key: impl PartitionKey) -> Result<DynamicRef, PartitionError> {
        self.whereis(key).map(DynamicRef::new)
    }

    /// Changes how many partitions keys lead to, at most to as many as there were at the start, and gives how many there
    /// were before. Those not used any more are terminated and keep their specs; nothing moves from one to another.
    /// Elixir's `PartitionSupervisor.resize!/2`.
    ///
    /// # Errors
    /// [`PartitionError::TooMany`] if that is more than at the start; [`PartitionError::Child`] if a partition does not
    /// start, or the supervisor has ended.
    pub async fn resize(&self, partitions: usize) -> Result<usize, PartitionError> {
        if partitions > self.routes.max() {
            return Err(PartitionError::TooMany(self.routes.max()));
        }
        self.supervisor.resize(partitions, self.routes.clone()).await.map_err(PartitionError::Child)
    }

    /// Its partitions, in order; the id of each is its number. Those that are not used stand among them, without a pid.
    ///
    /// # Errors
    /// [`CallError`] if the supervisor has ended.
    pub async fn which_children(&self) -> Result<Vec<ChildInfo>, CallError> {
        self.supervisor.which_children().await
    }

    /// How many partitions it has.
    ///
    /// # Errors
    /// [`CallError`] if the supervisor has ended.
    pub async fn count_children(&self) -> Result<ChildCounts, CallError> {
        self.supervisor.count_children().await
    }

    /// Stops the partitions in reverse order and ends the supervisor with `Shutdown`; returns when it has ended.
    pub async fn stop(&self) {
        self.supervisor.stop().await;
    }

    /// Waits until the supervisor has ended and gives its exit reason.
    pub async fn wait(&self) -> ExitReason {
        self.supervisor.wait().await
    }

    fn route(&self, key: impl PartitionKey) -> Result<(usize, Pid), PartitionError> {
        let (partition, pid) = self.routes.route(&key).ok_or(PartitionError::NoPartitions)?;
        match pid.filter(|pid| process::is_alive(*pid)) {
            Some(pid) => Ok((partition, pid)),
            None if process::is_alive(self.pid()) => Err(PartitionError::Down(partition)),
            None => Err(PartitionError::NoPartitions),
        }
    }
}

impl ChildSpec {
    /// A partition supervisor; `describe` is called for each start.
    pub fn partitioned<F>(id: impl Into<Label>, describe: F) -> Self
    where
        F: Fn() -> PartitionSupervisor + Send + Sync + 'static,
    {
        let start = move |spawner| {
            let started = describe().start_child(spawner);
            async move { Ok(started.await?.pid()) }
        };
        Self::new(id, start).kind(ChildKind::Supervisor)
    }
}

impl fmt::Debug for PartitionSupervisor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PartitionSupervisor")
            .field("partitions", &self.partitions)
            .field("inner", &self.inner)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for PartitionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Supervisor(error) => write!(f, "no such partition supervisor: {error}"),
            Self::NoPartitions => f.write_str("the partition supervisor has no partitions"),
            Self::Down(partition) => write!(f, "partition {partition} does not run at the moment"),
            Self::OtherType(partition) => write!(f, "partition {partition} takes messages of another type"),
            Self::TooMany(max) => write!(f, "there can be no more partitions than at the start: {max}"),
            Self::Child(error) => write!(f, "the partitions could not be resized: {error}"),
        }
    }
}

impl std::error::Error for PartitionError {}
