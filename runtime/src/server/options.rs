//! How a server is started.

use std::fmt;
use std::time::Duration;

use super::reply::{Pending, ReplyTo, slot};
use super::run::Begun;
use super::{CallError, Server, run};
use crate::exit::ExitReason;
use crate::name::{Label, Name, NameError};
use crate::pid::Pid;
use crate::process::{self, Addr, Context, RegisterError, SpawnOptions};

/// A process that could not be started. Nothing of it is left.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum StartError {
    /// Its `init` failed or panicked, or it ended before it was ready, for this reason.
    Init(ExitReason),
    /// Its name could not be had.
    Name(RegisterError),
    /// Its `init` did not return within this time. It was killed.
    Timeout(Duration),
    /// Its `init` found that it is not needed: see [`ignore`](super::ignore). OTP's `ignore`.
    Ignored,
    /// Another process has its key in the registry that it was to be started via: the one given. OTP's
    /// `{already_started, Pid}`.
    AlreadyStarted(Pid),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Init(reason) => write!(f, "it did not start: {reason}"),
            Self::Name(error) => write!(f, "it did not start: {error}"),
            Self::Timeout(time) => write!(f, "it did not start within {time:?}, and was killed"),
            Self::Ignored => f.write_str("it did not start: its init says that it is not needed"),
            Self::AlreadyStarted(pid) => write!(f, "it did not start: {pid} has its key in the registry"),
        }
    }
}

impl std::error::Error for StartError {}

impl From<RegisterError> for StartError {
    fn from(error: RegisterError) -> Self {
        Self::Name(error)
    }
}

impl StartError {
    /// The reason that the process would have ended with.
    pub fn into_reason(self) -> ExitReason {
        match self {
            Self::Init(reason) => reason,
            Self::Name(error) => error.into(),
            Self::Timeout(_) => ExitReason::Killed,
            Self::Ignored => ExitReason::Normal,
            Self::AlreadyStarted(_) => self.into(),
        }
    }
}

/// With what a server is started: name, label, mailbox limit, link.
///
/// ```
/// # use heronry::prelude::*;
/// # struct Idle;
/// # impl Server for Idle {
/// #     type Args = ();
/// #     type Msg = ();
/// #     async fn init((): (), _: &mut Context<()>) -> Init<Self> { Ok(Idle) }
/// #     async fn handle(&mut self, (): (), _: &mut Context<()>) -> Next { Next::Continue }
/// # }
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use heronry::server::ServerOptions;
///
/// let idle = ServerOptions::new().name("idle")?.mailbox_limit(100).start::<Idle>(()).await?;
/// assert_eq!(heronry::process::whereis_pid("idle"), Some(idle.pid()));
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, Default)]
pub struct ServerOptions {
    spawn: SpawnOptions,
    link: Option<Pid>,
    init_timeout: Option<Duration>,
}

impl ServerOptions {
    /// The defaults of [`SpawnOptions`], linked to nobody.
    pub fn new() -> Self {
        Self::default()
    }

    /// Registers the server under a name before its `init` runs.
    ///
    /// # Errors
    /// [`NameError`] if the text can't be a name.
    pub fn name(self, name: &str) -> Result<Self, NameError> {
        let name = Name::parse(name)?;
        Ok(Self { spawn: self.spawn.label(name.clone()).name(Some(name)), ..self })
    }

    /// What the server is called in logs and in the tree.
    #[must_use]
    pub fn label(self, label: impl Into<Label>) -> Self {
        Self { spawn: self.spawn.label(label), ..self }
    }

    /// How many messages its mailbox holds.
    #[must_use]
    pub fn mailbox_limit(self, messages: usize) -> Self {
        Self { spawn: self.spawn.mailbox_limit(messages), ..self }
    }

    /// Links the server with the process of `ctx` from its first moment: OTP's `start_link`.
    #[must_use]
    pub fn link<M: Send + 'static>(self, ctx: &Context<M>) -> Self {
        Self { spawn: self.spawn.parent(ctx.pid()), link: Some(ctx.pid()), ..self }
    }

    /// How long its `init` may take; then it is killed and the start fails with [`StartError::Timeout`]. OTP's option
    /// `timeout`; unless said otherwise the starter waits for ever, as in OTP.
    #[must_use]
    pub fn init_timeout(self, time: Duration) -> Self {
        Self { init_timeout: Some(time), ..self }
    }

    pub(crate) fn child(spawn: SpawnOptions, supervisor: Pid) -> Self {
        Self { spawn, link: Some(supervisor), init_timeout: None }
    }

    /// Starts a server and waits for its `init`.
    ///
    /// # Errors
    /// [`StartError`] if the name is taken, `init` fails or takes too long, or the server is not needed.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub async fn start<S: Server>(self, args: S::Args) -> Result<Addr<S::Msg>, StartError> {
        self.start_if::<S>(args, |_| Ok(())).await
    }

    /// [`start`](Self::start), if `claim` agrees: it is called before anything of the server runs.
    pub(crate) async fn start_if<S: Server>(
        self,
        args: S::Args,
        claim: impl FnOnce(&Addr<S::Msg>) -> Result<(), StartError>,
    ) -> Result<Addr<S::Msg>, StartError> {
        let Self { spawn, link, init_timeout } = self;
        let (addr, started) =
            begin(spawn, link, claim, |ctx, ready| run::run::<S>(args, ctx, link, Some(ready)))?;
        let Some(time) = init_timeout else { return begun(addr.clone(), started.of(&addr).await?).await };
        let pid = addr.pid();
        match tokio::time::timeout(time, started.of(&addr)).await {
            Ok(started) => begun(addr.clone(), started?).await,
            Err(_) => {
                process::kill(pid);
                addr.wait().await;
                Err(StartError::Timeout(time))
            }
        }
    }
}

/// Spawns a body that says when it is ready, and waits for that or for its end.
pub(crate) async fn start<M, B>(
    options: SpawnOptions,
    link: Option<Pid>,
    body: impl FnOnce(Context<M>, ReplyTo<()>) -> B,
) -> Result<Addr<M>, StartError>
where
    M: Send + 'static,
    B: Future<Output = ExitReason> + Send + 'static,
{
    let (addr, starting) = begin(options, link, |_| Ok(()), body)?;
    starting.of(&addr).await?;
    Ok(addr)
}

/// The address of a server that runs. One that does not want to is waited for: its name is free when its starter hears.
async fn begun<M: Send + 'static>(addr: Addr<M>, begun: Begun) -> Result<Addr<M>, StartError> {
    match begun {
        Begun::Runs => Ok(addr),
        Begun::Ignored => {
            addr.wait().await;
            Err(StartError::Ignored)
        }
    }
}

/// A process that was spawned and has not said yet that it is ready.
struct Starting<T: Send + 'static>(Pending<T>);

impl<T: Send + 'static> Starting<T> {
    /// A process that fails to start does not say so: it ends, and its end is what we hear. Its name is free by then.
    async fn of<M: Send + 'static>(self, addr: &Addr<M>) -> Result<T, StartError> {
        match self.0.await {
            Ok(ready) => Ok(ready),
            Err(CallError::Exited(reason)) => Err(StartError::Init(reason)),
            Err(_) => Err(StartError::Init(addr.wait().await)),
        }
    }
}

fn begin<M, T, B>(
    options: SpawnOptions,
    link: Option<Pid>,
    claim: impl FnOnce(&Addr<M>) -> Result<(), StartError>,
    body: impl FnOnce(Context<M>, ReplyTo<T>) -> B,
) -> Result<(Addr<M>, Starting<T>), StartError>
where
    M: Send + 'static,
    T: Send + 'static,
    B: Future<Output = ExitReason> + Send + 'static,
{
    let mut waiting = None;
    let addr = options.spawn_if(link, claim, |ctx: Context<M>| {
        let (ready, pending) = slot(Some(ctx.pid()));
        waiting = Some(pending);
        body(ctx, ready)
    })?;
    let pending = waiting.expect("invariant: a process that was spawned has a body");
    if let Err(reason) = process::watch_exit(&addr, pending.watcher()) {
        pending.watcher().exited(&reason);
    }
    Ok((addr, Starting(pending)))
}
