//! Task supervisors, against the scenarios of Elixir's `task/supervisor_test.exs` (see `tests/scenarios.md`).

use heronry::supervisor::{ChildError, ChildKind, TaskSupervisor, TaskSupervisorRef};
use heronry::task::StreamOptions;

use super::stream::{all, sleep_ms};
use super::*;

async fn tasks() -> TaskSupervisorRef {
    TaskSupervisor::new().start().await.expect("it starts")
}

async fn active(tasks: &TaskSupervisorRef) -> usize {
    tasks.count_children().await.expect("it runs").active
}

// "can be supervised directly" (of both files)
#[tokio::test(start_paused = true)]
async fn stands_in_a_tree() {
    let (send, receive) = std::sync::mpsc::channel();
    let tree = Supervisor::one_for_one()
        .child(ChildSpec::task_supervisor("jobs", || TaskSupervisor::new().max_children(3)))
        .child(ChildSpec::task("once", move || {
            let send = send.clone();
            async move { send.send(()).unwrap() }
        }))
        .start()
        .await
        .unwrap();
    settle().await;
    assert_eq!(receive.try_iter().count(), 1, "a temporary child runs once");
    let children = tree.which_children().await.unwrap();
    assert_eq!(children.len(), 1);
    assert_eq!((children[0].id.as_str(), children[0].kind), ("jobs", ChildKind::Supervisor));
    tree.stop().await;
}

// "counts and returns children", "async/1 spawns tasks under the supervisor"
#[tokio::test(start_paused = true)]
async fn async_link_is_linked_with_supervisor_and_caller() {
    in_process(|ctx| async move {
        let tasks = tasks().await;
        assert_eq!(active(&tasks).await, 0);
        let task = tasks.async_link(&ctx, sleep_ms(5)).await.unwrap();
        let children = tasks.which_children().await.unwrap();
        assert_eq!(children.iter().map(|child| child.pid).collect::<Vec<_>>(), [Some(task.pid())]);
        let tree = heronry::inspect::tree();
        let node = tree.nodes.iter().find(|node| node.pid == task.pid()).unwrap();
        assert_eq!((node.links, node.label.as_str()), (2, "task"));
        assert_eq!(task.join(SECOND).await, Ok(5));
        settle().await;
        assert_eq!(active(&tasks).await, 0);
        tasks.stop().await;
    })
    .await;
    let supervisor = tasks().await;
    let inner = supervisor.clone();
    let caller = spawn(|ctx: Context<()>| async move {
        let task = inner.async_link(&ctx, exit_with::<()>(boom())).await.unwrap();
        drop(task.join(SECOND).await);
    });
    assert_eq!(caller.wait().await, boom());
    assert_eq!(active(&supervisor).await, 0);
    supervisor.stop().await;
}

// "async_nolink/1", "await/1": "exits on task throw / error / exit", "demonitors and unalias on timeout"
#[tokio::test(start_paused = true)]
async fn async_nolink_fails_alone() {
    let tasks = tasks().await;
    let inner = tasks.clone();
    in_process(|ctx| async move {
        let task = inner.async_nolink(exit_with::<()>(boom())).await.unwrap();
        assert_eq!(task.join(SECOND).await, Err(TaskError::Exited(boom())));
        let task = inner.async_nolink(async { panic!("boom") }).await.unwrap();
        let failed: Result<(), _> = task.join(SECOND).await;
        assert!(matches!(failed, Err(TaskError::Exited(ExitReason::Panic(_)))), "{failed:?}");
        let task = inner.async_nolink(pending::<()>()).await.unwrap();
        assert_eq!(task.join(MS).await, Err(TaskError::Timeout(MS)));
        drop(ctx);
    })
    .await;
    let task = tasks.async_nolink(async { 1 }).await.unwrap();
    assert_eq!(task.join(SECOND).await, Ok(1), "outside of any process");
    settle().await;
    assert_eq!(active(&tasks).await, 0);
    tasks.stop().await;
}

// "raises when :max_children is reached" (async and async_nolink)
#[tokio::test(start_paused = true)]
async fn max_children_is_a_limit() {
    let tasks = TaskSupervisor::new().max_children(1).start().await.unwrap();
    let first = tasks.async_nolink(pending::<()>()).await.unwrap();
    assert_eq!(tasks.async_nolink(async {}).await.unwrap_err(), ChildError::MaxChildren(1));
    assert_eq!(tasks.start_child(async {}).await, Err(ChildError::MaxChildren(1)));
    assert_eq!(first.shutdown(Shutdown::After(SECOND)).await, None);
    settle().await;
    assert_eq!(tasks.async_nolink(async { 1 }).await.unwrap().join(SECOND).await, Ok(1));
    tasks.stop().await;
    let gone = tasks.async_nolink(async {}).await.unwrap_err();
    assert!(matches!(gone, ChildError::Supervisor(_)), "{gone}");
}

// "start_child/1", "terminate_child/2"
#[tokio::test(start_paused = true)]
async fn start_child_answers_nobody() {
    let tasks = tasks().await;
    let (send, receive) = std::sync::mpsc::channel();
    tasks.start_child(async move { send.send(1).unwrap() }).await.unwrap();
    settle().await;
    assert_eq!(receive.try_recv(), Ok(1));
    let pid = tasks.start_child(pending()).await.unwrap();
    assert_eq!(tasks.terminate_child(pid).await, Ok(()));
    assert!(!is_alive(pid));
    assert_eq!(tasks.terminate_child(pid).await, Err(ChildError::NotFound));
    tasks.start_child(exit_with(boom())).await.unwrap();
    settle().await;
    assert_eq!(active(&tasks).await, 0, "it is not restarted, and the supervisor lives");
    tasks.stop().await;
}

// "with custom shutdown"
#[tokio::test(start_paused = true)]
async fn stop_gives_tasks_what_their_shutdown_says() {
    for shutdown in [Shutdown::BrutalKill, Shutdown::After(SECOND)] {
        let tasks = TaskSupervisor::new().task_shutdown(shutdown).start().await.unwrap();
        let task = tasks.async_nolink(pending::<()>()).await.unwrap();
        tasks.stop().await;
        let reason = match shutdown {
            Shutdown::BrutalKill => ExitReason::Killed,
            Shutdown::After(_) | Shutdown::Infinity => ExitReason::Shutdown,
        };
        assert_eq!(task.join(SECOND).await, Err(TaskError::Exited(reason)));
    }
}

#[tokio::test(start_paused = true)]
async fn a_start_that_nobody_waits_for_leaves_no_task() {
    let tasks = tasks().await;
    let (send, receive) = std::sync::mpsc::channel();
    for polls in 1..20 {
        let send = send.clone();
        let mut start = Box::pin(tasks.async_nolink(async move {
            sleep(MS).await;
            send.send(()).unwrap();
        }));
        for _ in 0..polls {
            let polled = std::future::poll_fn(|cx| std::task::Poll::Ready(start.as_mut().poll(cx))).await;
            if polled.is_ready() {
                break;
            }
        }
        drop(start);
        sleep(5 * MS).await;
        assert_eq!(active(&tasks).await, 0, "{polls}");
    }
    assert!(receive.try_recv().is_err());
    // The supervisor has started the task, but its answer was not taken yet.
    let mut start = Box::pin(tasks.async_nolink(pending::<()>()));
    let polled = std::future::poll_fn(|cx| std::task::Poll::Ready(start.as_mut().poll(cx).is_ready())).await;
    assert!(!polled);
    settle().await;
    assert_eq!(active(&tasks).await, 1);
    drop(start);
    settle().await;
    assert_eq!(active(&tasks).await, 0);
    tasks.stop().await;
}

// "async_stream" and "async_stream_nolink": "streams an enumerable with fun", "with slowest first", "with exits",
// "without leaking tasks", "shuts down unused tasks"
#[tokio::test(start_paused = true)]
async fn streams_run_under_the_supervisor() {
    let tasks = tasks().await;
    let inner = tasks.clone();
    in_process(|ctx| async move {
        let options = StreamOptions::new().max_concurrency(4);
        let linked = inner.async_stream(&ctx, options.clone(), [4, 3, 2, 1], sleep_ms);
        assert_eq!(all(linked).await, [4, 3, 2, 1].map(Ok));
        let alone = inner.async_stream_nolink(options.clone(), 0..3, |_| exit_with::<()>(boom()));
        assert_eq!(all(alone).await, [Err(boom()), Err(boom()), Err(boom())]);
        assert_eq!(active(&inner).await, 0);
        let mut unused = inner.async_stream(&ctx, options, [5, 1_000, 1_000, 1_000], sleep_ms);
        assert_eq!(unused.next().await, Some(Ok(5)));
        assert_eq!(active(&inner).await, 3);
        drop(unused);
        settle().await;
        assert_eq!(active(&inner).await, 0);
    })
    .await;
    tasks.stop().await;
}

// "raises an error if :max_children is reached with clean stream shutdown"
#[tokio::test(start_paused = true)]
async fn a_stream_that_is_refused_a_task_ends() {
    let tasks = TaskSupervisor::new().max_children(2).start().await.unwrap();
    let options = StreamOptions::new().max_concurrency(4);
    let results = all(tasks.async_stream_nolink(options, [1_000; 9], sleep_ms)).await;
    assert_eq!(results.len(), 1);
    let reason = results[0].as_ref().unwrap_err();
    assert!(reason.to_string().contains("2 children"), "{reason}");
    settle().await;
    assert_eq!(active(&tasks).await, 0);
    tasks.stop().await;
}
