//! Child specs: what a supervisor needs to know to start, judge and stop a child.

use std::any::Any;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use super::backoff::Backoff;
use super::significant::{self, AutoShutdown, SpecError};
use super::{DynamicSupervisor, Supervisor};
use crate::exit::{ExitReason, IntoExitReason};
use crate::name::{Label, Name};
use crate::pid::Pid;
use crate::process::shutdown::Shutdown;
use crate::process::{Addr, Context, Heir, ProcessKind, Redelivery, SpawnOptions, StableAddr, Tenant};
use crate::server::{self, ReplyTo, Server, ServerOptions, StartError};
use crate::sync::Mutex;

/// How long a child may take to stop, unless its spec says otherwise; as OTP's.
pub const SHUTDOWN_DEFAULT: Duration = Duration::from_secs(5);

/// Whether a child that ended is started again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Restart {
    /// Always.
    Permanent,
    /// If it ended for a reason that is not orderly.
    Transient,
    /// Never.
    Temporary,
}

/// Whether a child is itself a supervisor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChildKind {
    /// It is not.
    Worker,
    /// It is.
    Supervisor,
}

/// The outcome of a start, when it comes.
pub type Started = Pin<Box<dyn Future<Output = Result<Pid, StartError>> + Send>>;

#[derive(Clone)]
pub(super) enum Start {
    Again(Arc<dyn Fn(Spawner) -> Started + Send + Sync>),
    Once(Arc<Mutex<Option<OnceStart>>>),
}

type OnceStart = Box<dyn FnOnce(Spawner) -> Started + Send>;

/// How to start, judge and stop one child; OTP's child spec.
///
/// A spec is `Permanent` with a shutdown of 5 s unless it says otherwise; a supervisor's is `Permanent` with
/// `Infinity`.
#[derive(Clone)]
pub struct ChildSpec {
    pub(super) id: Label,
    /// What its process is called, if not by the id.
    label: Option<Label>,
    name: Option<Arc<str>>,
    pub(super) restart: Restart,
    pub(super) shutdown: Shutdown,
    pub(super) significant: bool,
    /// Boxed: few children have one, and there may be millions.
    pub(super) backoff: Option<Box<Backoff>>,
    pub(super) heir: Option<Arc<dyn Heir>>,
    pub(super) kind: ChildKind,
    pub(super) start: Start,
}

/// Given to a spec's start function: spawns the child as it must be spawned, linked to its supervisor and labelled.
pub struct Spawner {
    options: SpawnOptions,
    supervisor: Pid,
    extra: Option<Extra>,
}

/// What a dynamic supervisor gives to every child that it starts.
pub(super) type Extra = Arc<dyn Any + Send + Sync>;

impl Spawner {
    fn new(
        spec: &ChildSpec,
        supervisor: Pid,
        restarts: u32,
        extra: Option<Extra>,
        tenant: Option<Tenant>,
    ) -> Result<Self, StartError> {
        let name = super::parse(spec.name.as_ref())?;
        let kind = match spec.kind {
            ChildKind::Worker => ProcessKind::Worker,
            ChildKind::Supervisor => ProcessKind::Supervisor,
        };
        let options = SpawnOptions::new()
            .label(spec.label.as_ref().unwrap_or(&spec.id).clone())
            .name(name)
            .parent(supervisor)
            .kind(kind)
            .restarts(restarts)
            .tenant(tenant);
        Ok(Self { options, supervisor, extra })
    }

    /// Sets more of the child's spawn options.
    #[must_use]
    pub fn options(self, change: impl FnOnce(SpawnOptions) -> SpawnOptions) -> Self {
        Self { options: change(self.options), ..self }
    }

    /// What the child will be called, and registered under.
    #[cfg(feature = "ractor")]
    pub(crate) fn called(&self) -> (Option<&Label>, Option<&Name>) {
        self.options.called()
    }

    /// What the dynamic supervisor gives to each of its children, see
    /// [`DynamicSupervisor::extra`](DynamicSupervisor::extra); `None` if it gives nothing of this type.
    pub fn extra<T: Send + Sync + 'static>(&self) -> Option<Arc<T>> {
        self.extra.clone()?.downcast().ok()
    }

    /// Spawns a process that is ready at once.
    ///
    /// # Errors
    /// [`StartError::Name`] if the child's name is taken.
    pub fn spawn<M, F, B>(self, body: F) -> Result<Addr<M>, StartError>
    where
        M: Send + 'static,
        F: FnOnce(Context<M>) -> B,
        B: Future<Output: IntoExitReason> + Send + 'static,
    {
        self.options.spawn_named(Some(self.supervisor), body).map_err(StartError::Name)
    }

    /// Spawns a process that says when it is ready, and waits for that. If it ends first, the start has failed.
    ///
    /// # Errors
    /// [`StartError`] if the name is taken or the process ended before it was ready.
    pub async fn spawn_ready<M, B>(
        self,
        body: impl FnOnce(Context<M>, ReplyTo<()>) -> B,
    ) -> Result<Addr<M>, StartError>
    where
        M: Send + 'static,
        B: Future<Output = ExitReason> + Send + 'static,
    {
        server::start(self.options, Some(self.supervisor), body).await
    }

    /// Starts a server and waits for its `init`.
    ///
    /// # Errors
    /// [`StartError`] if the name is taken or `init` fails.
    pub async fn server<S: Server>(self, args: S::Args) -> Result<Addr<S::Msg>, StartError> {
        self.into_server_options().start::<S>(args).await
    }

    pub(crate) fn into_server_options(self) -> ServerOptions {
        ServerOptions::child(self.options, self.supervisor)
    }
}

impl ChildSpec {
    /// A child started by `start`, which spawns it with the [`Spawner`] and gives its pid. Called again at each
    /// restart.
    pub fn new<F, R>(id: impl Into<Label>, start: F) -> Self
    where
        F: Fn(Spawner) -> R + Send + Sync + 'static,
        R: Future<Output = Result<Pid, StartError>> + Send + 'static,
    {
        Self::with(id.into(), Start::Again(Arc::new(move |spawner| Box::pin(start(spawner)))))
    }

    /// A child that can be started only once, and so is `Temporary`.
    pub fn once<F, R>(id: impl Into<Label>, start: F) -> Self
    where
        F: FnOnce(Spawner) -> R + Send + 'static,
        R: Future<Output = Result<Pid, StartError>> + Send + 'static,
    {
        let start: OnceStart = Box::new(move |spawner| Box::pin(start(spawner)));
        let start = Start::Once(Arc::new(Mutex::new(Some(start))));
        Self { restart: Restart::Temporary, ..Self::with(id.into(), start) }
    }

    /// A server; `args` are cloned for each start.
    pub fn server<S: Server<Args: Clone + Sync>>(id: impl Into<Label>, args: S::Args) -> Self {
        Self::new(id, move |spawner| {
            let args = args.clone();
            async move { Ok(spawner.server::<S>(args).await?.pid()) }
        })
    }

    /// A process that runs `body`, ready at once.
    pub fn process<M, F, B>(id: impl Into<Label>, body: F) -> Self
    where
        M: Send + 'static,
        F: Fn(Context<M>) -> B + Send + Sync + 'static,
        B: Future<Output: IntoExitReason> + Send + 'static,
    {
        Self::new(id, move |spawner| std::future::ready(spawner.spawn(&body).map(|addr| addr.pid())))
    }

    /// A supervisor; `describe` is called for each start.
    pub fn supervisor<F>(id: impl Into<Label>, describe: F) -> Self
    where
        F: Fn() -> Supervisor + Send + Sync + 'static,
    {
        let start = move |spawner| {
            let started = describe().start_child(spawner);
            async move { Ok(started.await?.pid()) }
        };
        Self::new(id, start).kind(ChildKind::Supervisor)
    }

    /// A dynamic supervisor; `describe` is called for each start.
    pub fn dynamic<F>(id: impl Into<Label>, describe: F) -> Self
    where
        F: Fn() -> DynamicSupervisor + Send + Sync + 'static,
    {
        let start = move |spawner| {
            let started = describe().start_child(spawner);
            async move { Ok(started.await?.pid()) }
        };
        Self::new(id, start).kind(ChildKind::Supervisor)
    }

    /// Makes it one partition of many.
    pub(super) fn of_partition(mut self, partition: usize) -> Self {
        self.label = Some(Label::from(format!("{} {partition}", self.id)));
        self.id = Label::from(partition.to_string());
        self
    }

    /// Calls `started` with the pid of each incarnation.
    pub(super) fn on_start<F: Fn(Pid) + Clone + Send + Sync + 'static>(self, started: F) -> Self {
        let noted = |starting: Started, started: F| -> Started {
            Box::pin(async move { starting.await.inspect(|pid| started(*pid)) })
        };
        let start = match self.start {
            Start::Again(start) => {
                Start::Again(Arc::new(move |spawner| noted(start(spawner), started.clone())))
            }
            Start::Once(start) => {
                let start = start
                    .lock()
                    .take()
                    .map(|start| -> OnceStart { Box::new(move |spawner| noted(start(spawner), started)) });
                Start::Once(Arc::new(Mutex::new(start)))
            }
        };
        Self { start, ..self }
    }

    /// Whether a supervisor of this policy takes the child.
    pub(super) fn check(&self, auto_shutdown: AutoShutdown) -> Result<(), SpecError> {
        significant::check(auto_shutdown, &self.id, self.restart, self.significant)
    }

    /// Starts one incarnation of the child.
    pub(super) async fn start(
        &self,
        supervisor: Pid,
        restarts: u32,
        extra: Option<Extra>,
        tenant: Option<Tenant>,
    ) -> Result<Pid, StartError> {
        let mut spawner = Some(Spawner::new(self, supervisor, restarts, extra, tenant)?);
        let mut starting: Option<Started> = None;
        std::future::poll_fn(|cx| {
            let polled = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| match &mut starting {
                Some(starting) => starting.as_mut().poll(cx),
                None => {
                    let spawner = spawner.take().expect("invariant: a start function is called once");
                    let made = match &self.start {
                        Start::Again(start) => start(spawner),
                        Start::Once(start) => match start.lock().take() {
                            Some(start) => start(spawner),
                            None => Box::pin(std::future::ready(Err(StartError::Init(ExitReason::custom(
                                "a child that starts once was started before",
                            ))))),
                        },
                    };
                    starting.insert(made).as_mut().poll(cx)
                }
            }));
            polled.unwrap_or_else(|payload| {
                Poll::Ready(Err(StartError::Init(crate::process::panic_reason(&*payload))))
            })
        })
        .await
    }

    fn with(id: Label, start: Start) -> Self {
        Self {
            id,
            label: None,
            name: None,
            restart: Restart::Permanent,
            shutdown: Shutdown::After(SHUTDOWN_DEFAULT),
            significant: false,
            backoff: None,
            heir: None,
            kind: ChildKind::Worker,
            start,
        }
    }

    /// Registers the child under a name, each time that it starts. With a text that can't be a [`Name`] it does not
    /// start.
    #[must_use]
    pub fn named(mut self, name: impl Into<Arc<str>>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Whether the child is itself a supervisor; then its shutdown becomes [`Shutdown::Infinity`].
    #[must_use]
    pub fn kind(mut self, kind: ChildKind) -> Self {
        self.kind = kind;
        if kind == ChildKind::Supervisor {
            self.shutdown = Shutdown::Infinity;
        }
        self
    }

    /// Whether the child is started again; a child made by [`once`](Self::once) never is.
    #[must_use]
    pub fn restart(mut self, restart: Restart) -> Self {
        self.restart = match self.start {
            Start::Again(_) => restart,
            Start::Once(_) => Restart::Temporary,
        };
        self
    }

    /// Whether its end, if it is not restarted, can end its supervisor: see [`AutoShutdown`](super::AutoShutdown).
    #[must_use]
    pub fn significant(mut self, significant: bool) -> Self {
        self.significant = significant;
        self
    }

    /// Lets its supervisor wait before it starts the child again; unless told so, it doesn't. Meanwhile the child counts as
    /// one that is about to be started; siblings that its end takes along are stopped at once, and come back with it.
    #[must_use]
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        self.backoff = Some(Box::new(backoff));
        self
    }

    /// Gives the child an address that stays valid when it is restarted, and keeps its mail: see [`StableAddr`]. `M` is
    /// what its process takes; with another type it does not start.
    ///
    /// The address is that of one child, so start the spec (and its clones) under one supervisor at a time. A spec that
    /// has such an address gets another one, and the first is nobody's.
    pub fn stable<M: Send + 'static>(self) -> (Self, StableAddr<M>) {
        self.stable_with(None)
    }

    /// As [`stable`](Self::stable), and the message that the child was at when it ended goes to the next incarnation once
    /// more, before all others: it is handled **at least once**, and not at most once. A message under which `deaths_max`
    /// incarnations have ended is taken out of circulation instead
    /// ([`MessageQuarantined`](crate::process::MessageQuarantined)), so that it can't burn the intensity for all others;
    /// keep `deaths_max` at or below the intensity, as each end counts.
    ///
    /// `copy` makes the copy that is kept while a message is handled, or gives `None` for one that shall not come back: a
    /// call can't, since its [`ReplyTo`] has no copy, and its caller has learned of the end.
    ///
    /// A message counts as handled when the child asks for the next one, or ends in order by its own doing. Every end that is
    /// not orderly counts against it, a kill from elsewhere too; being shut down does not.
    ///
    /// ```
    /// # use std::time::Duration;
    /// use heronry::prelude::*;
    /// use heronry::process::StableAddr;
    ///
    /// enum Msg { Print(String), Count(ReplyTo<usize>) }
    ///
    /// let body = |mut ctx: Context<Msg>| async move {
    ///     let mut printed = 0;
    ///     while let Received::Message(msg) = ctx.receive().await {
    ///         match msg {
    ///             Msg::Print(text) => {
    ///                 assert!(!text.is_empty(), "out of paper");
    ///                 printed += 1;
    ///             }
    ///             Msg::Count(reply_to) => reply_to.send(printed),
    ///         }
    ///     }
    /// };
    /// let spec = ChildSpec::process("printer", body);
    /// let (spec, printer): (_, StableAddr<Msg>) = spec.stable_redelivering(2, |msg| match msg {
    ///     Msg::Print(text) => Some(Msg::Print(text.clone())),
    ///     Msg::Count(_) => None,
    /// });
    /// # #[tokio::main(flavor = "current_thread")] async fn run(spec: ChildSpec, printer: StableAddr<Msg>) {
    /// let tree = Supervisor::one_for_one().child(spec).start().await.unwrap();
    /// printer.cast(Msg::Print(String::new())).unwrap(); // ends two printers, and no third
    /// printer.cast(Msg::Print("a page".into())).unwrap();
    /// assert_eq!(printer.call(Msg::Count, Duration::from_secs(5)).await, Ok(1));
    /// tree.stop().await;
    /// # }
    /// # run(spec, printer)
    /// ```
    pub fn stable_redelivering<M: Send + 'static>(
        self,
        deaths_max: u8,
        copy: impl Fn(&M) -> Option<M> + Send + Sync + 'static,
    ) -> (Self, StableAddr<M>) {
        self.stable_with(Some(Redelivery { deaths_max, copy: Box::new(copy) }))
    }

    fn stable_with<M: Send + 'static>(mut self, redelivery: Option<Redelivery<M>>) -> (Self, StableAddr<M>) {
        let (addr, heir) = StableAddr::new(self.id.clone(), redelivery);
        self.heir = Some(heir);
        (self, addr)
    }

    /// How the child is stopped.
    #[must_use]
    pub fn shutdown(mut self, shutdown: Shutdown) -> Self {
        self.shutdown = shutdown;
        self
    }

    /// What the child is called among its siblings.
    pub fn id(&self) -> &str {
        self.id.as_str()
    }
}

impl fmt::Debug for Spawner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Spawner")
            .field("options", &self.options)
            .field("supervisor", &self.supervisor)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for ChildSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChildSpec")
            .field("id", &self.id)
            .field("restart", &self.restart)
            .field("shutdown", &self.shutdown)
            .field("significant", &self.significant)
            .field("backoff", &self.backoff)
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
}
