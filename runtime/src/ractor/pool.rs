//! A pool of workers for jobs that compute long or block: `ractor::factory`, as a supervised process.
//!
//! Each job runs on a thread made for such work, so that it keeps no scheduler thread from the processes; at most as many
//! run at once as there are workers, and what waits has a limit. Who gave the job awaits its result like a call's.

mod factory;
mod job;
mod report;

pub use factory::Priority;
pub use report::{JobRefused, Refusal};

use std::fmt;
use std::num::NonZero;
use std::time::Duration;

use self::factory::{Message, describe, dispatch};
use super::child::{Ghosts, alone, under};
use crate::exit::ExitReason;
use crate::name::Label;
use crate::pid::Pid;
use crate::process::{self, Addr, WhereisError};
use crate::server::{CallError, StartError};
use crate::supervisor::{ChildSpec, Spawner};

/// How many jobs wait in a pool, unless it is told otherwise: enough for a burst, and no more than a few cores work off in
/// the time that somebody waits for an answer.
pub const QUEUE_LIMIT_DEFAULT: usize = 1_000;

/// Which job is refused when one comes and the queue is full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Discard {
    /// The one that comes, whatever its priority.
    #[default]
    Newest,
    /// The one of the lowest priority that has waited the longest: for work that is worth less the older it gets.
    Oldest,
}

/// A pool that is being described; [`start`](Self::start) or [`ChildSpec::pool`] makes it run.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use heronry::prelude::*;
/// use heronry::ractor::{Discard, Pool, PoolError, PoolRef, Priority};
///
/// let tree = Supervisor::one_for_one()
///     .child(ChildSpec::pool("thumbnails", || Pool::new().workers(2).queue_limit(100)).named("thumbnails"))
///     .start()
///     .await?;
/// let pool = PoolRef::whereis("thumbnails")?;
/// let sum = pool.run(|| (1..=1_000_u64).sum::<u64>()).await?; // on a thread of its own
/// assert_eq!(sum, 500_500);
///
/// let failed = pool.run_at(Priority::High, || panic!("no image")).await;
/// let Err::<(), _>(PoolError::Failed(reason)) = failed else { unreachable!() };
/// assert!(reason.to_string().starts_with("panic: no image at ")); // and the pool goes on
/// # tree.stop().await;
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct Pool {
    workers: usize,
    queue_limit: usize,
    discard: Discard,
    rate: Option<(usize, Duration)>,
    label: Label,
}

/// A job that gave no result.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum PoolError {
    /// It did not run: the queue was full and it was the one to go ([`Discard`]). Ask again later, or give the pool more
    /// workers.
    Discarded,
    /// It did not run: its turn came when as many jobs had begun as the rate allows.
    RateLimited,
    /// It panicked, for this reason. What it did before is done; the pool goes on.
    Failed(ExitReason),
    /// The pool has ended, or is about to, for this reason. Whether the job ran, or still does, is not known.
    Exited(ExitReason),
}

impl fmt::Display for PoolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Discarded => f.write_str("the job was discarded: the pool's queue is full"),
            Self::RateLimited => f.write_str("the job was refused: the pool's rate is spent"),
            Self::Failed(reason) => write!(f, "the job failed: {reason}"),
            Self::Exited(reason) => write!(f, "the pool has ended: {reason}"),
        }
    }
}

impl std::error::Error for PoolError {}

impl Pool {
    /// As many workers as the machine has cores, a queue of [`QUEUE_LIMIT_DEFAULT`] jobs that refuses the newest, and no
    /// limit of the rate.
    pub fn new() -> Self {
        Self {
            workers: std::thread::available_parallelism().map_or(1, NonZero::get),
            queue_limit: QUEUE_LIMIT_DEFAULT,
            discard: Discard::default(),
            rate: None,
            label: Label::from("pool"),
        }
    }

    /// How many jobs run at once; at least one. More than cores only help jobs that wait for something; more than tokio's
    /// `max_blocking_threads` (512 unless said otherwise) wait for a thread.
    #[must_use]
    pub fn workers(self, workers: usize) -> Self {
        Self { workers: workers.max(1), ..self }
    }

    /// How many jobs wait while all workers are busy; with 0 none does.
    #[must_use]
    pub fn queue_limit(self, jobs: usize) -> Self {
        Self { queue_limit: jobs, ..self }
    }

    /// Which job goes when the queue is full.
    #[must_use]
    pub fn discard(self, discard: Discard) -> Self {
        Self { discard, ..self }
    }

    /// How many jobs may begin within `per`. A job whose turn comes after that is refused, not kept: a rate sheds load, a
    /// queue levels it.
    #[must_use]
    pub fn rate_limit(self, jobs: usize, per: Duration) -> Self {
        Self { rate: Some((jobs, per)), ..self }
    }

    /// What the pool is called in logs and in the tree; a child is called by its id.
    #[must_use]
    pub fn label(self, label: impl Into<Label>) -> Self {
        Self { label: label.into(), ..self }
    }

    /// Starts the pool, linked to nobody.
    ///
    /// # Errors
    /// None that is known; the signature leaves room.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub async fn start(self) -> Result<PoolRef, StartError> {
        let label = format!("{} (pool)", self.label.as_str());
        Ok(PoolRef { addr: alone(label, move || describe(&self)).await? })
    }

    /// Starts the pool as a child, within the start function of a [`ChildSpec`]: for when its [`PoolRef`] is needed.
    ///
    /// # Errors
    /// [`StartError`] if the child's name is taken, here or in ractor's registry.
    pub async fn start_child(self, spawner: Spawner) -> Result<PoolRef, StartError> {
        Ok(PoolRef { addr: under(spawner, "pool", Ghosts::default(), move || describe(&self)).await? })
    }
}

impl Default for Pool {
    fn default() -> Self {
        Self::new()
    }
}

impl ChildSpec {
    /// A [`Pool`]; `describe` is called for each start. Its [`PoolRef`] is found by its name, [`PoolRef::whereis`].
    ///
    /// When it is stopped, the jobs that run are waited for as long as its shutdown allows, and those that wait are
    /// answered with [`PoolError::Exited`]. A job that still runs then goes on to its end: a thread cannot be killed.
    pub fn pool<F>(id: impl Into<Label>, describe: F) -> Self
    where
        F: Fn() -> Pool + Send + Sync + 'static,
    {
        let (id, ghosts) = (id.into(), Ghosts::default());
        let label = id.clone();
        Self::new(id, move |spawner| {
            let (pool, ghosts) = (describe().label(label.clone()), ghosts.clone());
            async move { Ok(under(spawner, "pool", ghosts, move || factory::describe(&pool)).await?.pid()) }
        })
    }
}

/// A running [`Pool`]. Cheap to clone.
#[derive(Clone, Debug)]
pub struct PoolRef {
    addr: Addr<Message>,
}

impl PoolRef {
    /// The pool that is registered under this name.
    ///
    /// # Errors
    /// [`WhereisError`] if there is none, or it is no pool.
    pub fn whereis(name: &str) -> Result<Self, WhereisError> {
        Ok(Self { addr: process::whereis(name)? })
    }

    /// The pool's process.
    pub fn pid(&self) -> Pid {
        self.addr.pid()
    }

    /// Runs a job at [`Priority::Normal`] and waits for its result.
    ///
    /// # Errors
    /// [`PoolError`] says why there is no result.
    ///
    /// # Cancel safety
    /// If the future is dropped, a job that has not begun does not begin; one that runs goes on, and its result is
    /// dropped. To wait for a limited time, put a `tokio::time::timeout` around it.
    pub async fn run<T, F>(&self, job: F) -> Result<T, PoolError>
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        self.run_at(Priority::default(), job).await
    }

    /// As [`run`](Self::run), at another priority: before all that wait at a lower one.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    ///
    /// # Cancel safety
    /// As [`run`](Self::run).
    pub async fn run_at<T, F>(&self, priority: Priority, job: F) -> Result<T, PoolError>
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        match self.addr.call_untimed(|reply_to| dispatch(priority, job, reply_to)).await {
            Ok(result) => result,
            Err(CallError::Exited(reason)) => Err(PoolError::Exited(reason)),
            Err(CallError::Full) => {
                report::refused(self.pid(), Refusal::QueueFull);
                Err(PoolError::Discarded)
            }
            // Its worker was killed before it began.
            Err(CallError::NoReply) => Err(PoolError::Exited(ExitReason::Killed)),
            Err(CallError::Timeout(_) | CallError::CallingSelf) => {
                unreachable!("invariant: a call without a time has none, and a job may call its pool")
            }
        }
    }

    /// Stops the pool and returns when it has ended: jobs that wait are refused, those that run are waited for 5 s. For
    /// one that no supervisor started.
    pub async fn stop(&self) {
        process::exit(self.pid(), ExitReason::Shutdown);
        self.addr.wait().await;
    }
}
