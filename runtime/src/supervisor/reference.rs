//! What one asks of a running supervisor. It may be busy starting or stopping a child for as long as that takes: one waits,
//! as in OTP.

use std::fmt;
use std::sync::Arc;

use super::child::Child;
use super::partition::Routes;
use super::significant::SpecError;
use super::spec::{ChildKind, ChildSpec, Restart};
use crate::exit::ExitReason;
use crate::name::Label;
use crate::pid::Pid;
use crate::process::{self, Addr, WhereisError};
use crate::server::{CallError, ReplyTo, StartError};

/// One child of a supervisor.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ChildInfo {
    /// What it is called among its siblings.
    pub id: Label,
    /// Its process; `None` while it does not run.
    pub pid: Option<Pid>,
    /// Whether its supervisor is about to start it again. OTP says `restarting` in place of the pid.
    pub restarting: bool,
    /// Whether it is a supervisor.
    pub kind: ChildKind,
    /// Whether it is started again when it ends.
    pub restart: Restart,
    /// How often it was started again.
    pub restarts: u32,
    /// Whether its end can end its supervisor.
    pub significant: bool,
}

/// How many children a supervisor has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ChildCounts {
    /// Child specs.
    pub specs: usize,
    /// Children whose process runs.
    pub active: usize,
    /// Children that are supervisors.
    pub supervisors: usize,
    /// Children that are not.
    pub workers: usize,
}

impl ChildCounts {
    pub(super) fn of<'a>(children: impl IntoIterator<Item = &'a Child>) -> Self {
        let mut counts = Self::default();
        for child in children {
            counts.specs += 1;
            counts.active += usize::from(child.pid.is_some());
            match child.spec.kind {
                ChildKind::Worker => counts.workers += 1,
                ChildKind::Supervisor => counts.supervisors += 1,
            }
        }
        counts
    }
}

/// A request that a supervisor did not carry out.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum ChildError {
    /// A child of this id was to be started and runs; nothing was done.
    AlreadyStarted(Pid),
    /// A spec of this id is there and its child does not run; restart it or delete it first.
    AlreadyPresent,
    /// The child runs; nothing was done. Terminate it first.
    Running(Pid),
    /// The supervisor is about to start the child again; nothing was done. Terminate it first, to end the trying.
    Restarting,
    /// The spec does not fit the supervisor; nothing was started.
    Spec(SpecError),
    /// The supervisor has no such child.
    NotFound,
    /// The child of this id did not start.
    Start(Label, StartError),
    /// The child's start said that it is not needed ([`ignore`](crate::server::ignore)), and it does not run. A supervisor
    /// with a strategy has its spec, unless it is temporary; a dynamic one has forgotten it. OTP's `{ok, undefined}`.
    Ignored,
    /// The supervisor has as many children as it may; nothing was started.
    MaxChildren(usize),
    /// The supervisor has ended, or could not be asked.
    Supervisor(CallError),
}

impl fmt::Display for ChildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AlreadyStarted(pid) => write!(f, "the child runs already, as {pid}"),
            Self::AlreadyPresent => f.write_str("a child of this id is there already but does not run"),
            Self::Running(pid) => write!(f, "the child runs, as {pid}"),
            Self::Restarting => f.write_str("the child is about to be started again"),
            Self::Spec(error) => error.fmt(f),
            Self::NotFound => f.write_str("the supervisor has no such child"),
            Self::Start(id, error) => write!(f, "child {id}: {error}"),
            Self::Ignored => f.write_str("the child's init says that it is not needed"),
            Self::MaxChildren(max) => write!(f, "the supervisor has {max} children and takes no more"),
            Self::Supervisor(error) => write!(f, "the supervisor cannot be asked: {error}"),
        }
    }
}

impl std::error::Error for ChildError {}

impl From<SpecError> for ChildError {
    fn from(error: SpecError) -> Self {
        Self::Spec(error)
    }
}

impl From<CallError> for ChildError {
    fn from(error: CallError) -> Self {
        Self::Supervisor(error)
    }
}

/// What a supervisor with a strategy is asked.
#[derive(Debug)]
pub(super) enum Request {
    Which(ReplyTo<Vec<ChildInfo>>),
    Count(ReplyTo<ChildCounts>),
    StartChild(ChildSpec, ReplyTo<Result<Pid, ChildError>>),
    TerminateChild(Label, ReplyTo<Result<(), ChildError>>),
    RestartChild(Label, ReplyTo<Result<Pid, ChildError>>),
    ChildSpec(Label, ReplyTo<Result<ChildSpec, ChildError>>),
    DeleteChild(Label, ReplyTo<Result<(), ChildError>>),
    /// From itself: a restart failed.
    TryAgain(Label, ExitReason),
    /// To use that many partitions; how many there were.
    Resize(usize, Arc<Routes>, ReplyTo<Result<usize, ChildError>>),
    Stop(ReplyTo<()>),
}

/// What a dynamic supervisor is asked.
#[derive(Debug)]
pub(super) enum DynamicRequest {
    Which(ReplyTo<Vec<ChildInfo>>),
    Count(ReplyTo<ChildCounts>),
    StartChild(ChildSpec, ReplyTo<Result<Pid, ChildError>>),
    TerminateChild(Pid, ReplyTo<Result<(), ChildError>>),
    /// From itself: a restart failed, of the child that had this pid.
    TryAgain(Pid, ExitReason),
    Stop(ReplyTo<()>),
}

/// A running [`Supervisor`](super::Supervisor).
#[derive(Clone, Debug)]
pub struct SupervisorRef {
    addr: Addr<Request>,
}

impl SupervisorRef {
    pub(super) fn new(addr: Addr<Request>) -> Self {
        Self { addr }
    }

    /// The supervisor of this name.
    ///
    /// # Errors
    /// [`WhereisError`] if no process has the name, or one that is no supervisor with a strategy.
    pub fn named(name: &str) -> Result<Self, WhereisError> {
        process::whereis(name).map(Self::new)
    }

    /// The supervisor's process.
    pub fn pid(&self) -> Pid {
        self.addr.pid()
    }

    /// Its children, in start order.
    ///
    /// # Errors
    /// [`CallError`] if the supervisor has ended.
    pub async fn which_children(&self) -> Result<Vec<ChildInfo>, CallError> {
        self.addr.call_untimed(Request::Which).await
    }

    /// How many children it has.
    ///
    /// # Errors
    /// [`CallError`] if the supervisor has ended.
    pub async fn count_children(&self) -> Result<ChildCounts, CallError> {
        self.addr.call_untimed(Request::Count).await
    }

    /// Starts one more child, after all others in order.
    ///
    /// # Errors
    /// [`ChildError`] if its id is taken, its spec does not fit the supervisor, or it does not start.
    pub async fn start_child(&self, spec: ChildSpec) -> Result<Pid, ChildError> {
        self.addr.call_untimed(|reply_to| Request::StartChild(spec, reply_to)).await?
    }

    /// Stops a child and keeps its spec (a temporary child's is forgotten). One that is about to be started again stays
    /// down.
    ///
    /// # Errors
    /// [`ChildError::NotFound`] if there is no such child.
    pub async fn terminate_child(&self, id: impl Into<Label>) -> Result<(), ChildError> {
        let id = id.into();
        self.addr.call_untimed(|reply_to| Request::TerminateChild(id, reply_to)).await?
    }

    /// Starts a child that does not run again.
    ///
    /// # Errors
    /// [`ChildError`] if there is no such child, it runs or is about to, or it does not start.
    pub async fn restart_child(&self, id: impl Into<Label>) -> Result<Pid, ChildError> {
        let id = id.into();
        self.addr.call_untimed(|reply_to| Request::RestartChild(id, reply_to)).await?
    }

    /// Forgets the spec of a child that does not run.
    ///
    /// # Errors
    /// [`ChildError`] if there is no such child, or it runs or is about to.
    pub async fn delete_child(&self, id: impl Into<Label>) -> Result<(), ChildError> {
        let id = id.into();
        self.addr.call_untimed(|reply_to| Request::DeleteChild(id, reply_to)).await?
    }

    /// The spec of a child. OTP's `get_childspec/2`.
    ///
    /// # Errors
    /// [`ChildError::NotFound`] if there is no such child.
    pub async fn child_spec(&self, id: impl Into<Label>) -> Result<ChildSpec, ChildError> {
        let id = id.into();
        self.addr.call_untimed(|reply_to| Request::ChildSpec(id, reply_to)).await?
    }

    pub(super) async fn resize(&self, partitions: usize, routes: Arc<Routes>) -> Result<usize, ChildError> {
        self.addr.call_untimed(|reply_to| Request::Resize(partitions, routes, reply_to)).await?
    }

    /// Stops the children in reverse order and ends the supervisor with `Shutdown`; returns when it has ended.
    pub async fn stop(&self) {
        // If it cannot be asked it has ended, and if it ends while it is asked that is what we want.
        drop(self.addr.call_untimed(Request::Stop).await);
        self.addr.wait().await;
    }

    /// Waits until the supervisor has ended and gives its exit reason.
    pub async fn wait(&self) -> ExitReason {
        self.addr.wait().await
    }
}

/// A running [`DynamicSupervisor`](super::DynamicSupervisor).
#[derive(Clone, Debug)]
pub struct DynamicRef {
    addr: Addr<DynamicRequest>,
}

impl DynamicRef {
    pub(super) fn new(addr: Addr<DynamicRequest>) -> Self {
        Self { addr }
    }

    /// The dynamic supervisor of this name.
    ///
    /// # Errors
    /// [`WhereisError`] if no process has the name, or one that is no dynamic supervisor.
    pub fn named(name: &str) -> Result<Self, WhereisError> {
        process::whereis(name).map(Self::new)
    }

    /// The supervisor's process.
    pub fn pid(&self) -> Pid {
        self.addr.pid()
    }

    /// Its children, in no order; those that are about to be started again among them.
    ///
    /// # Errors
    /// [`CallError`] if the supervisor has ended.
    pub async fn which_children(&self) -> Result<Vec<ChildInfo>, CallError> {
        self.addr.call_untimed(DynamicRequest::Which).await
    }

    /// How many children it has.
    ///
    /// # Errors
    /// [`CallError`] if the supervisor has ended.
    pub async fn count_children(&self) -> Result<ChildCounts, CallError> {
        self.addr.call_untimed(DynamicRequest::Count).await
    }

    /// Starts a child and waits until it is ready. Ids need not be unique.
    ///
    /// # Errors
    /// [`ChildError`] if the supervisor is full, has ended, the spec does not fit it, or the child does not start.
    pub async fn start_child(&self, spec: ChildSpec) -> Result<Pid, ChildError> {
        self.addr.call_untimed(|reply_to| DynamicRequest::StartChild(spec, reply_to)).await?
    }

    /// Stops a child and forgets it. While a child is about to be started again, the pid that it had stands for it.
    ///
    /// # Errors
    /// [`ChildError::NotFound`] if there is no such child.
    pub async fn terminate_child(&self, pid: Pid) -> Result<(), ChildError> {
        self.addr.call_untimed(|reply_to| DynamicRequest::TerminateChild(pid, reply_to)).await?
    }

    /// Stops all children at once and ends the supervisor with `Shutdown`; returns when it has ended.
    pub async fn stop(&self) {
        // As for SupervisorRef::stop.
        drop(self.addr.call_untimed(DynamicRequest::Stop).await);
        self.addr.wait().await;
    }

    /// Waits until the supervisor has ended and gives its exit reason.
    pub async fn wait(&self) -> ExitReason {
        self.addr.wait().await
    }
}
