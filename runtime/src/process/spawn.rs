//! How a process is started, and with what.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;

use super::addr::Addr;
use super::context::Context;
use super::core::Process;
use super::current;
use super::mailbox::{MAILBOX_ALARM_DEFAULT, MAILBOX_LIMIT_DEFAULT, Overflow};
use super::names::{self, RegisterError};
use super::post::Tenant;
use super::run::Run;
use super::table::{self, ProcessKind};
use crate::exit::{ExitReason, IntoExitReason};
use crate::name::{Label, Name};
use crate::pid::Pid;
use crate::unwind::drop_quietly;

/// What a process is spawned with; Erlang's `spawn_opt`.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// use heronry::process::{SendError, SpawnOptions};
///
/// let stuck = SpawnOptions::new()
///     .label("stuck")
///     .mailbox_limit(1)
///     .spawn(|_ctx: heronry::Context<u8>| std::future::pending::<()>());
/// assert!(stuck.send(1).is_ok());
/// assert_eq!(stuck.send(2), Err(SendError::Full(2)));
/// # heronry::process::kill(stuck.pid());
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct SpawnOptions {
    pub(super) label: Option<Label>,
    pub(super) mailbox_limit: usize,
    pub(super) overflow: Overflow,
    pub(super) mailbox_alarm: usize,
    pub(super) trap_exit: bool,
    pub(super) parent: Option<Pid>,
    pub(super) kind: ProcessKind,
    pub(super) restarts: u32,
    name: Option<Name>,
    tenant: Option<Tenant>,
}

impl SpawnOptions {
    /// The defaults: no label, a mailbox of [`MAILBOX_LIMIT_DEFAULT`] messages, exits not trapped.
    pub fn new() -> Self {
        Self {
            label: None,
            mailbox_limit: MAILBOX_LIMIT_DEFAULT,
            overflow: Overflow::default(),
            mailbox_alarm: MAILBOX_ALARM_DEFAULT,
            trap_exit: false,
            parent: None,
            kind: ProcessKind::Worker,
            restarts: 0,
            name: None,
            tenant: None,
        }
    }

    /// What the process is called in logs and in the tree.
    #[must_use]
    pub fn label(mut self, label: impl Into<Label>) -> Self {
        self.label = Some(label.into());
        self
    }

    /// How many messages its mailbox holds; what becomes of the next one says [`overflow`](Self::overflow).
    #[must_use]
    pub fn mailbox_limit(mut self, messages: usize) -> Self {
        self.mailbox_limit = messages;
        self
    }

    /// What becomes of a message that finds the mailbox full; unless said otherwise it is refused.
    #[must_use]
    pub fn overflow(mut self, policy: Overflow) -> Self {
        self.overflow = policy;
        self
    }

    /// From which length on a mailbox is reported as long ([`MailboxLong`](super::MailboxLong)); unless said
    /// otherwise [`MAILBOX_ALARM_DEFAULT`].
    #[must_use]
    pub fn mailbox_alarm(mut self, messages: usize) -> Self {
        self.mailbox_alarm = messages;
        self
    }

    /// Whether it traps exits from its first moment.
    #[must_use]
    pub fn trap_exit(mut self, on: bool) -> Self {
        self.trap_exit = on;
        self
    }

    /// How often the child that this process is was started again before; shown in the tree.
    #[must_use]
    pub fn restarts(mut self, times: u32) -> Self {
        self.restarts = times;
        self
    }

    pub(crate) fn parent(mut self, parent: Pid) -> Self {
        self.parent = Some(parent);
        self
    }

    pub(crate) fn kind(mut self, kind: ProcessKind) -> Self {
        self.kind = kind;
        self
    }

    pub(crate) fn name(mut self, name: Option<Name>) -> Self {
        self.name = name;
        self
    }

    /// What the process will be called, and registered under.
    #[cfg(feature = "ractor")]
    pub(crate) fn called(&self) -> (Option<&Label>, Option<&Name>) {
        (self.label.as_ref(), self.name.as_ref())
    }

    /// The child that the process is an incarnation of, if that has a stable address.
    pub(crate) fn tenant(mut self, tenant: Option<Tenant>) -> Self {
        self.tenant = tenant;
        self
    }

    /// Spawns a process that runs `body`.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn spawn<M, F, B>(self, body: F) -> Addr<M>
    where
        M: Send + 'static,
        F: FnOnce(Context<M>) -> B,
        B: Future<Output: IntoExitReason> + Send + 'static,
    {
        start(prepare(&self), body)
    }

    pub(super) fn linked<M, F, B>(self, body: F, with: Pid) -> Addr<M>
    where
        M: Send + 'static,
        F: FnOnce(Context<M>) -> B,
        B: Future<Output: IntoExitReason> + Send + 'static,
    {
        let process = prepare(&self);
        // A context may have outlived its process: then the new one begins with the exit signal, as with any link.
        process.link(with);
        start(process, body)
    }

    /// Spawns under a name, linked if `link` is given; fails if the name is taken.
    pub(crate) fn spawn_named<M, F, B>(self, with: Option<Pid>, body: F) -> Result<Addr<M>, RegisterError>
    where
        M: Send + 'static,
        F: FnOnce(Context<M>) -> B,
        B: Future<Output: IntoExitReason> + Send + 'static,
    {
        self.spawn_if(with, |_| Ok(()), body)
    }

    /// [`spawn_named`](Self::spawn_named), if `claim` agrees too. It is called before anything of the body runs and
    /// before there is a link; if it refuses, what the process had (its name, entries in registries) is free again.
    pub(crate) fn spawn_if<M, F, B, E>(
        self,
        with: Option<Pid>,
        claim: impl FnOnce(&Addr<M>) -> Result<(), E>,
        body: F,
    ) -> Result<Addr<M>, E>
    where
        M: Send + 'static,
        F: FnOnce(Context<M>) -> B,
        B: Future<Output: IntoExitReason> + Send + 'static,
        E: From<RegisterError>,
    {
        let process = prepare(&self);
        let claimed = unborn(&process, || {
            if let Some(name) = &self.name {
                names::register_process(name, process.clone())?;
            }
            claim(&Addr::new(process.clone()))?;
            // Last: what waits at a stable address goes to a process that will run.
            if let Some(tenant) = self.tenant {
                tenant.install(&process)?;
            }
            Ok(())
        });
        if let Err(refused) = claimed {
            abandon(&process, &ExitReason::Normal);
            return Err(refused);
        }
        if let Some(with) = with {
            // With a process that has ended it begins with that process's exit signal, as any link would.
            process.link(with);
        }
        Ok(start(process, body))
    }
}

impl Default for SpawnOptions {
    fn default() -> Self {
        Self::new()
    }
}

/// Spawns a process that runs `body`, with the default options and linked to nobody; Erlang's `spawn/1`.
///
/// The body is given its [`Context`] and returns anything that [`IntoExitReason`] takes. A panic in it ends this
/// process alone.
///
/// # Panics
/// Outside of a tokio runtime.
pub fn spawn<M, F, B>(body: F) -> Addr<M>
where
    M: Send + 'static,
    F: FnOnce(Context<M>) -> B,
    B: Future<Output: IntoExitReason> + Send + 'static,
{
    SpawnOptions::new().spawn(body)
}

/// A process that can be found but does not run yet.
pub(super) fn prepare<M: Send + 'static>(options: &SpawnOptions) -> Arc<Process<M>> {
    let process = Arc::new(Process::new(options));
    table::insert(process.clone());
    process
}

fn start<M, F, B>(process: Arc<Process<M>>, body: F) -> Addr<M>
where
    M: Send + 'static,
    F: FnOnce(Context<M>) -> B,
    B: Future<Output: IntoExitReason> + Send + 'static,
{
    current::install_panic_hook();
    let body = unborn(&process, || body(Context::new(process.clone())));
    tokio::spawn(Run::new(process.clone(), body));
    Addr::new(process)
}

/// Runs code of the caller's before the process runs: if it panics, there never was a process.
fn unborn<M: Send + 'static, T>(process: &Process<M>, run: impl FnOnce() -> T) -> T {
    match catch_unwind(AssertUnwindSafe(run)) {
        Ok(value) => value,
        Err(payload) => {
            abandon(process, &ExitReason::Killed);
            resume_unwind(payload);
        }
    }
}

/// Ends a process that never ran; who found it in the meantime is told.
fn abandon<M: Send + 'static>(process: &Process<M>, reason: &ExitReason) {
    drop_quietly(process.announce(process.close(reason), reason));
}
