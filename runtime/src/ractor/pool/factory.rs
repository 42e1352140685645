//! The pool's rules in the words of `ractor::factory`.

use std::sync::Arc;

use ::ractor::factory::queues::{self, PriorityManager, PriorityQueue};
use ::ractor::factory::routing::QueuerRouting;
use ::ractor::factory::{
    DiscardHandler, DiscardMode, DiscardReason, DiscardSettings, Factory, FactoryArguments, FactoryMessage,
    FactoryRef, Job, JobOptions, LeakyBucketRateLimiter, RateLimitedRouter, RateLimiter, Worker, WorkerId,
    worker_builder,
};
use ::ractor::{Actor, ActorProcessingErr};

use super::job::Work;
use super::report::{Refusal, refused};
use super::{Discard, Pool, PoolError};
use crate::exit::ExitReason;
use crate::pid::Pid;
use crate::process;
use crate::server::ReplyTo;

/// Which job is taken first of those that wait.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Priority {
    /// Before all others.
    High,
    /// Before what has time.
    #[default]
    Normal,
    /// When nothing else waits; the first to go when the queue is full and the oldest are discarded.
    Low,
}

const PRIORITIES: usize = 3;

impl queues::Priority for Priority {
    fn get_index(&self) -> usize {
        match self {
            Self::High => 0,
            Self::Normal => 1,
            Self::Low => 2,
        }
    }
}

impl From<usize> for Priority {
    fn from(index: usize) -> Self {
        match index {
            0 => Self::High,
            1 => Self::Normal,
            _ => Self::Low,
        }
    }
}

/// What the pool's process takes.
pub(super) type Message = FactoryMessage<Priority, Work>;

type Queue = PriorityQueue<Priority, Work, Priority, ByKey, PRIORITIES>;
type Router = RateLimitedRouter<QueuerRouting<Priority, Work>, Rate>;
type PoolFactory = Factory<Priority, Work, (), PoolWorker, Router, Queue>;

pub(super) fn dispatch<T, F>(priority: Priority, work: F, reply_to: ReplyTo<Result<T, PoolError>>) -> Message
where
    T: Send + 'static,
    F: FnOnce() -> T + Send + 'static,
{
    let msg = Work::new(work, reply_to);
    FactoryMessage::Dispatch(Job { key: priority, msg, options: JobOptions::default(), accepted: None })
}

/// The factory of a pool; called in the pool's process.
pub(super) fn describe(pool: &Pool) -> (PoolFactory, <PoolFactory as Actor>::Arguments) {
    let pid = process::self_pid().expect("invariant: a pool is described in its process");
    let mode = match pool.discard {
        Discard::Newest => DiscardMode::Newest,
        Discard::Oldest => DiscardMode::Oldest,
    };
    let rate_limiter =
        Rate(pool.rate.map(|(jobs, per)| {
            LeakyBucketRateLimiter::builder().refill(jobs).interval(per).max(jobs).build()
        }));
    let arguments = FactoryArguments::builder()
        .worker_builder(Box::new(worker_builder(move |_| (PoolWorker { pool: pid }, ()))))
        .num_initial_workers(pool.workers)
        .router(RateLimitedRouter { router: QueuerRouting::default(), rate_limiter })
        .queue(PriorityQueue::new(ByKey))
        .discard_handler(Arc::new(Refuse { pool: pid }))
        .discard_settings(DiscardSettings::Static { limit: pool.queue_limit, mode })
        .build();
    (PoolFactory::default(), arguments)
}

/// A job's key is its priority.
pub(super) struct ByKey;

impl PriorityManager<Priority, Priority> for ByKey {
    fn is_discardable(&self, _: &Priority) -> bool {
        true
    }

    fn get_priority(&self, key: &Priority) -> Option<Priority> {
        Some(*key)
    }
}

/// The rate, if there is one.
pub(super) struct Rate(Option<LeakyBucketRateLimiter>);

impl RateLimiter for Rate {
    fn check(&mut self) -> bool {
        self.0.as_mut().is_none_or(RateLimiter::check)
    }

    fn bump(&mut self) {
        if let Some(limiter) = &mut self.0 {
            limiter.bump();
        }
    }
}

/// Answers the jobs that the factory lets go.
struct Refuse {
    pool: Pid,
}

impl DiscardHandler<Priority, Work> for Refuse {
    fn discard(&self, reason: DiscardReason, job: &mut Job<Priority, Work>) {
        let (why, error) = match reason {
            // No job has a time to live.
            DiscardReason::Loadshed | DiscardReason::TtlExpired => (Refusal::QueueFull, PoolError::Discarded),
            DiscardReason::RateLimited => (Refusal::RateLimited, PoolError::RateLimited),
            DiscardReason::Shutdown => (Refusal::Shutdown, PoolError::Exited(ExitReason::Shutdown)),
        };
        job.msg.refuse(error);
        refused(self.pool, why);
    }
}

/// Runs one job after the other.
pub(super) struct PoolWorker {
    pool: Pid,
}

impl Worker for PoolWorker {
    type Key = Priority;
    type Message = Work;
    type Arguments = ();
    type State = ();

    async fn pre_start(
        &self,
        _: WorkerId,
        _: &FactoryRef<Priority, Work>,
        (): (),
    ) -> Result<(), ActorProcessingErr> {
        Ok(())
    }

    async fn handle(
        &self,
        _: WorkerId,
        _: &FactoryRef<Priority, Work>,
        Job { key, msg, .. }: Job<Priority, Work>,
        (): &mut (),
    ) -> Result<Priority, ActorProcessingErr> {
        msg.run(self.pool).await;
        Ok(key)
    }
}
