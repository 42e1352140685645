//! Tasks, against the scenarios of Elixir's `task_test.exs`, named above the test that covers them; why some do not apply
//! is in `tests/scenarios.md`. The time is paused.

use std::future::pending;
use std::time::Duration;

use heronry::prelude::*;
use heronry::process::{self, Exit, is_alive};
use tokio::time::sleep;

use crate::support::{PATIENCE, within};

mod stream;
mod supervisor;

const SECOND: Duration = Duration::from_secs(1);
const MS: Duration = Duration::from_millis(1);

/// Runs the body of a test in a process; what it panics with is what the test fails with.
async fn in_process<B>(body: impl FnOnce(Context<()>) -> B)
where
    B: Future<Output = ()> + Send + 'static,
{
    assert_eq!(within("the process", spawn(body).wait()).await, ExitReason::Normal);
}

/// Ends the process that awaits it, as Elixir's `exit/1`.
async fn exit_with<T>(reason: ExitReason) -> T {
    process::exit(process::self_pid().expect("in a process"), reason);
    pending().await
}

fn boom() -> ExitReason {
    ExitReason::custom("boom")
}

/// Lets every process that can run do so.
async fn settle() {
    sleep(MS).await;
}

fn trapping() -> SpawnOptions {
    SpawnOptions::new().label("stubborn").trap_exit(true)
}

// "async/1"
#[tokio::test(start_paused = true)]
async fn runs_in_a_process_of_its_own_linked_with_the_caller() {
    in_process(|ctx| async move {
        let caller = ctx.pid();
        let options = SpawnOptions::new().label("fetch 7");
        let task = Task::spawn_with(&ctx, options, async {
            sleep(MS).await;
            process::self_pid()
        });
        let pid = task.pid();
        assert_ne!(pid, caller);
        let tree = heronry::inspect::tree();
        let at = tree.nodes.iter().position(|node| node.pid == caller).unwrap();
        let (caller, child) = (&tree.nodes[at], &tree.nodes[at + 1]);
        assert_eq!((child.pid, child.label.as_str(), child.depth), (pid, "fetch 7", caller.depth + 1));
        assert_eq!((caller.links, child.links), (1, 1));
        assert_eq!(task.join(SECOND).await, Ok(Some(pid)));
        settle().await;
        assert!(!is_alive(pid));
    })
    .await;
}

// "async/1": the crash of the one is the crash of the other
#[tokio::test(start_paused = true)]
async fn its_crash_is_the_callers() {
    let caller = spawn(|ctx: Context<()>| async move {
        let task = Task::spawn(&ctx, exit_with::<()>(boom()));
        task.join(SECOND).await.unwrap();
    });
    assert_eq!(caller.wait().await, boom());
}

#[tokio::test(start_paused = true)]
async fn the_callers_end_is_its_own() {
    for reason in [boom(), ExitReason::Normal] {
        let (send, receive) = std::sync::mpsc::channel();
        let ending = reason.clone();
        let caller = spawn(|ctx: Context<()>| async move {
            let task = Task::spawn(&ctx, pending::<()>());
            send.send(task.pid()).unwrap();
            sleep(MS).await;
            assert_eq!(task.ignore(), None);
            let task = Task::spawn(&ctx, pending::<()>());
            send.send(task.pid()).unwrap();
            sleep(MS).await;
            ending
        });
        assert_eq!(caller.wait().await, reason);
        settle().await;
        let (ignored, held) = (receive.recv().unwrap(), receive.recv().unwrap());
        assert!(is_alive(ignored), "{reason}");
        assert!(!is_alive(held), "{reason}");
        process::kill(ignored);
    }
}

// "start/1", "default :logger reporter" ("logs a terminated task")
#[tokio::test(start_paused = true)]
async fn start_links_with_nobody_and_its_crash_is_reported() {
    use std::sync::{Arc, Mutex};

    use heronry::process::ProcessCrashed;
    use heronry::telemetry::{self, Event};

    let crashed = Arc::new(Mutex::new(Vec::new()));
    let seen = crashed.clone();
    let handler = telemetry::attach(move |event: &dyn Event| {
        if let Some(crash) = (event as &dyn std::any::Any).downcast_ref::<ProcessCrashed>() {
            seen.lock().unwrap().push((crash.pid, crash.label.as_str().to_owned(), crash.reason.clone()));
        }
    });
    in_process(|_| async move {
        let pid = Task::start(exit_with(boom()));
        settle().await;
        assert!(!is_alive(pid), "and this process lives");
        assert!(crashed.lock().unwrap().contains(&(pid, "task".to_owned(), boom())));
    })
    .await;
    telemetry::detach(handler);
    assert!(is_alive(Task::start(async {})), "outside of any process");
}

// "start_link/1"
#[tokio::test(start_paused = true)]
async fn start_link_links() {
    in_process(|mut ctx| async move {
        ctx.trap_exit(true);
        let pid = Task::start_link(&ctx, exit_with(boom()));
        let exit = Info::Exit(Exit { from: pid, reason: boom() });
        assert_eq!(ctx.receive().await, Received::Info(exit));
    })
    .await;
}

// "ignore/1": all
#[tokio::test(start_paused = true)]
async fn ignore_gives_what_is_there_and_lets_the_task_run() {
    in_process(|ctx| async move {
        // "discards on time replies"
        let task = Task::spawn(&ctx, async { 1 });
        settle().await;
        assert_eq!(task.ignore(), Some(Ok(1)));
        // "discards late replies", "discards late failures"
        let (send, receive) = std::sync::mpsc::channel();
        let task = Task::spawn(&ctx, async move {
            sleep(10 * MS).await;
            send.send(()).unwrap();
            exit_with::<()>(boom()).await
        });
        assert_eq!(task.ignore(), None);
        sleep(20 * MS).await;
        assert_eq!(receive.try_recv(), Ok(()), "it ran on, and its crash is not this process's");
        // An ignored task that has not begun to run begins.
        let (send, receive) = std::sync::mpsc::channel();
        assert_eq!(Task::spawn(&ctx, async move { send.send(()).unwrap() }).ignore(), None);
        settle().await;
        assert_eq!(receive.try_recv(), Ok(()));
        // "discards on-time failures"
        ctx.trap_exit(true);
        let task = Task::spawn(&ctx, exit_with::<()>(boom()));
        settle().await;
        assert_eq!(task.ignore(), Some(Err(boom())));
        // "can ignore completed tasks"
        let mut task = Task::spawn(&ctx, async { 1 });
        assert_eq!(task.yield_for(SECOND).await, Some(Ok(1)));
        assert_eq!(task.ignore(), Some(Err(ExitReason::NoProc)));
    })
    .await;
}

// "await/2": "exits on timeout"
#[tokio::test(start_paused = true)]
async fn join_times_out_and_shuts_the_task_down() {
    in_process(|ctx| async move {
        for options in [SpawnOptions::new(), trapping()] {
            let task = Task::spawn_with(&ctx, options, pending::<()>());
            let pid = task.pid();
            assert_eq!(task.join(10 * MS).await, Err(TaskError::Timeout(10 * MS)));
            settle().await;
            assert!(!is_alive(pid), "and this process lives");
        }
        let late = Task::spawn(&ctx, async { 1 });
        settle().await;
        assert_eq!(late.join(Duration::ZERO).await, Ok(1), "a value that is there is never late");
        assert_eq!(Task::spawn(&ctx, async { 1 }).join(Duration::MAX).await, Ok(1));
    })
    .await;
}

// "await/2": "exits on normal exit", "on task throw", "on task error", "on task exit"
#[tokio::test(start_paused = true)]
async fn join_gives_the_exit_reason() {
    in_process(|ctx| async move {
        ctx.trap_exit(true);
        for reason in [ExitReason::Normal, ExitReason::Shutdown, boom()] {
            let task = Task::spawn(&ctx, exit_with::<()>(reason.clone()));
            assert_eq!(task.join(SECOND).await, Err(TaskError::Exited(reason)));
        }
        match Task::spawn(&ctx, async { panic!("boom") }).join(SECOND).await {
            Err::<(), _>(TaskError::Exited(ExitReason::Panic(report))) => assert_eq!(report.message, "boom"),
            other => panic!("{other:?}"),
        }
        let task = Task::spawn(&ctx, pending::<()>());
        process::kill(task.pid());
        assert_eq!(task.join(SECOND).await, Err(TaskError::Exited(ExitReason::Killed)));
    })
    .await;
}

// In the place of "raises when invoked from a non-owner process"
#[tokio::test(start_paused = true)]
async fn moves_to_another_holder() {
    let (send, receive) = std::sync::mpsc::channel();
    let caller = spawn(|ctx: Context<()>| async move {
        send.send(Task::spawn(&ctx, async { 1 })).unwrap();
        sleep(10 * MS).await;
    });
    settle().await;
    assert_eq!(receive.recv().unwrap().join(SECOND).await, Ok(1));
    assert_eq!(caller.wait().await, ExitReason::Normal);
}

// "await_many/2": "returns list of replies", "in input order ignoring response order", "returns an empty list
// immediately", "exits on timeout", "exits immediately when any task exits/crashes/throws", "on any task error"
#[tokio::test(start_paused = true)]
async fn join_many_is_all_or_the_first_failure() {
    in_process(|ctx| async move {
        let numbers = |ctx: &Context<()>| {
            [3, 1, 2]
                .map(|n| {
                    Task::spawn(ctx, async move {
                        sleep(n * MS).await;
                        n
                    })
                })
                .into()
        };
        assert_eq!(Task::join_many(numbers(&ctx), SECOND).await, Ok(vec![3, 1, 2]));
        assert_eq!(Task::<u8>::join_many(Vec::new(), Duration::ZERO).await, Ok(vec![]));
        assert_eq!(
            Task::join_many(numbers(&ctx), 2 * MS + MS / 2).await,
            Err(TaskError::Timeout(2 * MS + MS / 2))
        );
        ctx.trap_exit(true);
        let slow = Task::spawn(&ctx, pending());
        let pid = slow.pid();
        let failing = Task::spawn(&ctx, exit_with::<()>(boom()));
        let before = tokio::time::Instant::now();
        assert_eq!(Task::join_many(vec![slow, failing], SECOND).await, Err(TaskError::Exited(boom())));
        assert_eq!(before.elapsed(), Duration::ZERO);
        settle().await;
        assert!(!is_alive(pid));
    })
    .await;
}

// "yield/2": all
#[tokio::test(start_paused = true)]
async fn yield_for_leaves_the_task_running() {
    in_process(|ctx| async move {
        ctx.trap_exit(true);
        let mut task = Task::spawn(&ctx, async {
            sleep(10 * MS).await;
            1
        });
        assert_eq!(task.yield_for(Duration::ZERO).await, None);
        assert_eq!(task.yield_for(5 * MS).await, None);
        assert!(is_alive(task.pid()));
        assert_eq!(task.yield_for(SECOND).await, Some(Ok(1)));
        assert_eq!(task.yield_for(SECOND).await, Some(Err(ExitReason::NoProc)));
        assert_eq!(task.join(SECOND).await, Err(TaskError::Exited(ExitReason::NoProc)));
        for reason in [ExitReason::Normal, boom()] {
            let mut task = Task::spawn(&ctx, exit_with::<()>(reason.clone()));
            assert_eq!(task.yield_for(SECOND).await, Some(Err(reason)));
        }
    })
    .await;
}

// "yield_many/2": "returns results from multiple tasks", "returns nil on timeout by default", "on infinity timeout",
// "return exit on normal exit"
#[tokio::test(start_paused = true)]
async fn yield_many_gives_what_came_in_time() {
    in_process(|ctx| async move {
        ctx.trap_exit(true);
        let mut tasks = vec![
            Task::spawn(&ctx, async { 1 }),
            Task::spawn(&ctx, async {
                sleep(SECOND).await;
                2
            }),
            Task::spawn(&ctx, exit_with(ExitReason::Normal)),
        ];
        let outcomes = Task::yield_many(&mut tasks, MS).await;
        assert_eq!(outcomes, [Some(Ok(1)), None, Some(Err(ExitReason::Normal))]);
        assert_eq!(Task::yield_many(&mut tasks[1..2], Duration::MAX).await, [Some(Ok(2))]);
    })
    .await;
}

// "shutdown/2" and "shutdown/2 with :brutal_kill": a row for each test of the two
#[tokio::test(start_paused = true)]
async fn shutdown_against_every_end() {
    let after = Shutdown::After(SECOND);
    let brutal = Shutdown::BrutalKill;
    let rows = [
        // how, the task's own end, what comes back
        (after, Ok(1), Some(Ok(1))),
        (after, Err(boom()), Some(Err(boom()))),
        (after, Err(ExitReason::Normal), Some(Err(ExitReason::Normal))),
        (after, Err(ExitReason::Shutdown), None),
        (after, Err(ExitReason::Killed), Some(Err(ExitReason::Killed))),
        (Shutdown::Infinity, Err(ExitReason::Shutdown), None),
        (brutal, Ok(1), Some(Ok(1))),
        (brutal, Err(boom()), Some(Err(boom()))),
        (brutal, Err(ExitReason::Normal), Some(Err(ExitReason::Normal))),
        (brutal, Err(ExitReason::Shutdown), Some(Err(ExitReason::Shutdown))),
        (brutal, Err(ExitReason::Killed), None),
    ];
    in_process(|ctx| async move {
        ctx.trap_exit(true);
        for (how, end, expect) in rows {
            let what = format!("{how:?} {end:?}");
            let task = Task::spawn(&ctx, async {
                match end {
                    Ok(value) => value,
                    Err(reason) => exit_with(reason).await,
                }
            });
            settle().await;
            assert_eq!(task.shutdown(how).await, expect, "{what}");
        }
    })
    .await;
}

// "shutdown/2": "returns nil on shutting down task", "returns nil on killing task", "returns exit on killing task after
// shutdown timeout", "returns {:exit, :noproc} if task handled"
#[tokio::test(start_paused = true)]
async fn shutdown_of_a_running_task_spares_the_caller() {
    in_process(|ctx| async move {
        let rows = [
            (SpawnOptions::new(), Shutdown::After(SECOND), None),
            (SpawnOptions::new(), Shutdown::Infinity, None),
            (SpawnOptions::new(), Shutdown::BrutalKill, None),
            (trapping(), Shutdown::BrutalKill, None),
            (trapping(), Shutdown::After(MS), Some(Err(ExitReason::Killed))),
        ];
        for (options, how, expect) in rows {
            let task = Task::spawn_with(&ctx, options, pending::<()>());
            let pid = task.pid();
            settle().await;
            assert_eq!(task.shutdown(how).await, expect, "{how:?}");
            assert!(!is_alive(pid), "shutdown waits for the end");
        }
        let stubborn = Task::spawn_with(&ctx, trapping(), async {
            sleep(10 * MS).await;
            1
        });
        assert_eq!(
            stubborn.shutdown(Shutdown::After(SECOND)).await,
            Some(Ok(1)),
            "it came to its value in time"
        );
        let mut task = Task::spawn(&ctx, async { 1 });
        assert_eq!(task.yield_for(SECOND).await, Some(Ok(1)));
        assert_eq!(task.shutdown(Shutdown::BrutalKill).await, Some(Err(ExitReason::NoProc)));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_dropped_task_is_shut_down_and_its_holder_is_not() {
    in_process(|ctx| async move {
        for options in [SpawnOptions::new(), trapping()] {
            let task = Task::spawn_with(&ctx, options, pending::<()>());
            let pid = task.pid();
            drop(task);
            settle().await;
            assert!(!is_alive(pid));
        }
        // A join that loses a race is a drop.
        let task = Task::spawn(&ctx, pending::<()>());
        let pid = task.pid();
        assert!(tokio::time::timeout(MS, task.join(SECOND)).await.is_err());
        settle().await;
        assert!(!is_alive(pid));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn the_works_state_is_gone_when_its_value_comes() {
    struct Held(std::sync::Arc<()>);
    in_process(|ctx| async move {
        let held = std::sync::Arc::new(());
        let inside = Held(held.clone());
        let task = Task::spawn(&ctx, async move {
            sleep(MS).await;
            std::sync::Arc::strong_count(&inside.0)
        });
        assert_eq!(task.join(SECOND).await, Ok(2));
        assert_eq!(std::sync::Arc::strong_count(&held), 1);
    })
    .await;
}

/// With threads in parallel: the link's signal is there before the waiting caller learns of the end. The other links
/// make the time between the two long enough to be seen.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_linked_caller_never_survives_to_see_the_crash() {
    for _ in 0..5 {
        let caller = spawn(|ctx: Context<()>| async move {
            let task = Task::spawn(&ctx, async {
                sleep(50 * MS).await;
                exit_with::<()>(boom()).await
            });
            let pid = task.pid();
            for _ in 0..2_000 {
                spawn(move |ctx: Context<()>| async move {
                    ctx.link(pid);
                    pending::<()>().await
                });
            }
            drop(task.join(PATIENCE).await);
        });
        assert_eq!(within("the caller's end", caller.wait()).await, boom());
    }
}
