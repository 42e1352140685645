//! Pools: jobs off the scheduler's threads, limits of the queue and the rate, priorities, and jobs that fail.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::Duration;

use heronry::inspect;
use heronry::prelude::*;
use heronry::process;
use heronry::ractor::{Discard, JobRefused, Pool, PoolError, PoolRef, Priority, Refusal};
use heronry::telemetry;
use tokio::task::JoinHandle;

use crate::support::{eventually, within};

async fn start(pool: Pool) -> PoolRef {
    within("the start", pool.start()).await.expect("it starts")
}

/// A job that runs until it is let go.
struct Busy {
    answer: JoinHandle<Result<(), PoolError>>,
    gate: mpsc::Sender<()>,
}

/// Keeps one worker busy; returns when it is.
async fn busy(pool: &PoolRef) -> Busy {
    let ((gate, gated), (begin, begun)) = (mpsc::channel::<()>(), tokio::sync::oneshot::channel());
    let job = move || {
        begin.send(()).expect("somebody waits");
        gated.recv().expect("the gate opens");
    };
    let pool = pool.clone();
    let answer = tokio::spawn(async move { pool.run(job).await });
    within("the job's beginning", begun).await.expect("it begins");
    Busy { answer, gate }
}

impl Busy {
    async fn finish(self) {
        self.gate.send(()).expect("the job waits");
        assert_eq!(within("its end", self.answer).await.expect("no panic"), Ok(()));
    }
}

type Journal = Arc<Mutex<Vec<&'static str>>>;

/// Gives the pool jobs one after the other, each when the one before is in the pool; they note that they ran.
async fn give(
    pool: &PoolRef,
    journal: &Journal,
    jobs: &[(Priority, &'static str)],
) -> Vec<JoinHandle<Result<&'static str, PoolError>>> {
    let mut answers = Vec::new();
    for (priority, name) in jobs.iter().copied() {
        let (pool, journal) = (pool.clone(), journal.clone());
        answers.push(tokio::spawn(async move {
            let note = move || {
                journal.lock().expect("no panic before").push(name);
                name
            };
            pool.run_at(priority, note).await
        }));
        // One thread runs everything but jobs, in turn: the process, the factory.
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
    }
    answers
}

async fn answers(
    answers: Vec<JoinHandle<Result<&'static str, PoolError>>>,
) -> Vec<Result<&'static str, PoolError>> {
    let mut results = Vec::new();
    for answer in answers {
        results.push(within("an answer", answer).await.expect("no panic"));
    }
    results
}

fn ran(journal: &Journal) -> Vec<&'static str> {
    journal.lock().expect("no panic before").clone()
}

#[tokio::test]
async fn a_job_that_blocks_keeps_no_scheduler_thread() {
    let pool = start(Pool::new().workers(1)).await;
    let busy = busy(&pool).await;
    // The one thread of this test's scheduler goes on.
    let other = spawn(|_: Context<()>| async {});
    assert_eq!(within("a process", other.wait()).await, ExitReason::Normal);
    busy.finish().await;
    let here = thread::current().id();
    assert_ne!(pool.run(move || thread::current().id()).await, Ok(here));
    assert_eq!(pool.run(process::self_pid).await, Ok(Some(pool.pid())));
    pool.stop().await;
}

#[tokio::test]
async fn as_many_jobs_run_at_once_as_there_are_workers() {
    let pool = start(Pool::new().workers(3)).await;
    let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let mut jobs = Vec::new();
    for _ in 0..30 {
        let (pool, running, most) = (pool.clone(), running.clone(), most.clone());
        jobs.push(tokio::spawn(async move {
            let job = move || {
                most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                thread::yield_now();
                running.fetch_sub(1, Ordering::SeqCst);
            };
            pool.run(job).await
        }));
    }
    let three = [busy(&pool).await, busy(&pool).await, busy(&pool).await];
    for busy in three {
        busy.finish().await;
    }
    for job in jobs {
        assert_eq!(within("a job", job).await.expect("no panic"), Ok(()));
    }
    assert!(most.load(Ordering::SeqCst) <= 3);
    pool.stop().await;
}

#[tokio::test]
async fn a_panic_answers_its_caller_and_harms_nobody() {
    let pool = start(Pool::new().workers(1)).await;
    for round in 0..10 {
        let failed: Result<(), _> = pool.run(move || panic!("round {round}")).await;
        let Err(PoolError::Failed(reason)) = failed else { panic!("{failed:?}") };
        let text = reason.to_string();
        assert!(
            text.starts_with(&format!("panic: round {round} at ")) && text.contains("pool.rs:"),
            "{text}"
        );
        assert_eq!(pool.run(move || round).await, Ok(round));
    }
    pool.stop().await;
}

/// Panics when it is dropped.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        assert!(thread::panicking(), "boom");
    }
}

#[tokio::test]
async fn destructors_that_panic_harm_nobody() {
    let pool = start(Pool::new().workers(1).queue_limit(1)).await;
    let busy = busy(&pool).await;
    let journal = Journal::default();
    let waits = give(&pool, &journal, &[(Priority::Normal, "waits")]).await;
    let bomb = Bomb;
    let refused = pool.run(move || std::mem::size_of_val(&bomb)).await;
    assert_eq!(refused, Err(PoolError::Discarded));
    busy.finish().await;
    assert_eq!(answers(waits).await, [Ok("waits")]);
    let bomb = Bomb;
    let failed = pool.run(move || std::mem::size_of_val(&bomb)).await;
    assert!(matches!(failed, Err(PoolError::Failed(_))), "{failed:?}");
    assert_eq!(pool.run(|| 1).await, Ok(1));
    pool.stop().await;
}

#[tokio::test]
async fn a_full_queue_refuses_the_newest_or_the_oldest() {
    const ALL: [(Priority, &str); 4] =
        [(Priority::Normal, "a"), (Priority::Normal, "b"), (Priority::Normal, "c"), (Priority::Normal, "d")];
    let no = || Err(PoolError::Discarded);
    for (discard, expect) in
        [(Discard::Newest, [Ok("a"), Ok("b"), no(), no()]), (Discard::Oldest, [no(), no(), Ok("c"), Ok("d")])]
    {
        let pool = start(Pool::new().workers(1).queue_limit(2).discard(discard)).await;
        let pid = pool.pid();
        let refusals = Arc::new(AtomicUsize::new(0));
        let counted = refusals.clone();
        let handler = telemetry::attach(move |event: &dyn telemetry::Event| {
            let event: &dyn std::any::Any = event;
            let refused = event.downcast_ref::<JobRefused>();
            if refused.is_some_and(|refused| refused.pool == pid && refused.why == Refusal::QueueFull) {
                counted.fetch_add(1, Ordering::SeqCst);
            }
        });
        let (busy, journal) = (busy(&pool).await, Journal::default());
        let jobs = give(&pool, &journal, &ALL).await;
        busy.finish().await;
        assert_eq!(answers(jobs).await, expect, "{discard:?}");
        let expected: Vec<_> = expect.into_iter().flatten().collect();
        assert_eq!(ran(&journal), expected, "{discard:?}");
        assert_eq!(refusals.load(Ordering::SeqCst), 2, "{discard:?}");
        telemetry::detach(handler);
        pool.stop().await;
    }
}

#[tokio::test]
async fn priorities_go_first_and_the_lowest_is_discarded_first() {
    const ALL: [(Priority, &str); 5] = [
        (Priority::Low, "low"),
        (Priority::Normal, "normal 1"),
        (Priority::High, "high"),
        (Priority::Normal, "normal 2"),
        (Priority::Low, "low, late"),
    ];
    let pool = start(Pool::new().workers(1).queue_limit(4).discard(Discard::Oldest)).await;
    let (busy, journal) = (busy(&pool).await, Journal::default());
    let jobs = give(&pool, &journal, &ALL).await;
    busy.finish().await;
    assert_eq!(answers(jobs).await[0], Err(PoolError::Discarded));
    assert_eq!(ran(&journal), ["high", "normal 1", "normal 2", "low, late"]);
    pool.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_rate_is_spent_and_comes_back() {
    let second = Duration::from_secs(1);
    let pool = start(Pool::new().workers(8).rate_limit(3, second)).await;
    for round in 0..3 {
        for n in 0..3 {
            assert_eq!(pool.run(move || n).await, Ok(n), "{round}");
        }
        for _ in 0..3 {
            assert_eq!(pool.run(|| 0).await, Err(PoolError::RateLimited), "{round}");
        }
        tokio::time::sleep(second).await;
    }
    pool.stop().await;
}

#[tokio::test]
async fn a_job_that_nobody_waits_for_any_more_does_not_begin() {
    let pool = start(Pool::new().workers(1)).await;
    let (busy, journal) = (busy(&pool).await, Journal::default());
    let jobs = give(&pool, &journal, &[(Priority::Normal, "abandoned"), (Priority::Normal, "kept")]).await;
    jobs[0].abort();
    tokio::task::yield_now().await;
    busy.finish().await;
    let [_, kept] = jobs.try_into().expect("two jobs");
    assert_eq!(within("the job", kept).await.expect("no panic"), Ok("kept"));
    assert_eq!(ran(&journal), ["kept"]);
    pool.stop().await;
}

#[tokio::test]
async fn a_pool_that_stops_finishes_what_runs_and_refuses_what_waits() {
    let pool = start(Pool::new().workers(1)).await;
    let (busy, journal) = (busy(&pool).await, Journal::default());
    let waits = give(&pool, &journal, &[(Priority::Normal, "waits")]).await;
    let stopping = tokio::spawn({
        let pool = pool.clone();
        async move { pool.stop().await }
    });
    let exited = Err(PoolError::Exited(ExitReason::Shutdown));
    assert_eq!(answers(waits).await, std::slice::from_ref(&exited));
    assert!(!stopping.is_finished(), "a job runs");
    busy.finish().await;
    within("the stop", stopping).await.expect("no panic");
    assert_eq!(pool.run(|| "late").await, exited);
    assert!(ran(&journal).is_empty());
}

#[tokio::test]
async fn a_pool_is_a_supervised_child_and_is_found_again_after_a_restart() {
    let spec = ChildSpec::pool("jobs", || Pool::new().workers(2)).named("pool-jobs");
    let tree = Supervisor::one_for_one().label("pools").child(spec).start().await.expect("it starts");
    let before = PoolRef::whereis("pool-jobs").expect("it is named");
    assert_eq!(before.run(|| 1).await, Ok(1));
    let labels: Vec<_> = inspect::tree().nodes.into_iter().filter(|node| node.pid == before.pid()).collect();
    assert_eq!(labels[0].label.as_str(), "jobs (pool)");

    let busy = busy(&before).await;
    process::kill(before.pid());
    assert_eq!(
        within("the answer", busy.answer).await.expect("no panic"),
        Err(PoolError::Exited(ExitReason::Killed))
    );
    // The job itself cannot be killed.
    busy.gate.send(()).expect("it runs");
    eventually("the restart", || PoolRef::whereis("pool-jobs").is_ok_and(|pool| pool.pid() != before.pid()))
        .await;
    let after = PoolRef::whereis("pool-jobs").expect("it is named");
    assert_eq!(after.run(|| 2).await, Ok(2));
    assert_eq!(before.run(|| 3).await, Err(PoolError::Exited(ExitReason::Killed)));
    tree.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_jobs_is_answered_to_the_last() {
    let pool = start(Pool::new().workers(2).queue_limit(50)).await;
    let mut jobs = Vec::new();
    for n in 0..5_000_usize {
        let pool = pool.clone();
        jobs.push(tokio::spawn(async move { pool.run(move || n).await }));
    }
    let (mut done, mut discarded) = (0, 0);
    for (n, job) in jobs.into_iter().enumerate() {
        match within("an answer", job).await.expect("no panic") {
            Ok(value) => {
                assert_eq!(value, n);
                done += 1;
            }
            Err(PoolError::Discarded) => discarded += 1,
            Err(other) => panic!("{other}"),
        }
    }
    assert!(done >= 50, "{done} done, {discarded} discarded");
    pool.stop().await;
}
