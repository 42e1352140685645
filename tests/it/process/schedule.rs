//! Processes share their threads: a busy one leaves room for others.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use heronry::process::{self, SpawnOptions};
use heronry::{Context, ExitReason, Received, spawn};

use crate::support::within;

#[tokio::test]
async fn an_endless_stream_of_messages_does_not_starve_another_process() {
    let turns = Arc::new(AtomicU64::new(0));
    let counted = turns.clone();
    let busy = spawn(move |mut ctx: Context<()>| async move {
        let own = ctx.addr();
        while own.send(()).is_ok() {
            ctx.receive().await;
            counted.fetch_add(1, Ordering::Relaxed);
        }
    });
    let quiet = spawn(|mut ctx: Context<u32>| async move {
        for n in 0..100 {
            ctx.addr().send(n).unwrap();
            assert_eq!(ctx.receive().await, Received::Message(n));
            tokio::task::yield_now().await;
        }
    });
    assert_eq!(within("the quiet process", quiet.wait()).await, ExitReason::Normal);
    assert!(turns.load(Ordering::Relaxed) > 0, "the busy process worked meanwhile");
    assert!(process::kill(busy.pid()));
    assert_eq!(within("the end of a busy process", busy.wait()).await, ExitReason::Killed);
}

#[tokio::test]
async fn an_exit_signal_ends_a_process_amid_a_full_mailbox() {
    let busy = SpawnOptions::new().spawn(|mut ctx: Context<u32>| async move {
        while let Received::Message(_) = ctx.receive().await {}
    });
    for n in 0..60_000 {
        busy.send(n).unwrap();
    }
    tokio::task::yield_now().await;
    process::exit(busy.pid(), ExitReason::Shutdown);
    assert_eq!(within("its end", busy.wait()).await, ExitReason::Shutdown);
    assert_eq!(busy.mailbox_len(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_context_that_moved_into_a_plain_task_still_receives() {
    let over = Arc::new(AtomicBool::new(false));
    let give_up = over.clone();
    let lender = spawn(move |mut ctx: Context<u32>| async move {
        let task = tokio::spawn(async move {
            let mut received = 0;
            while received < 300 && !give_up.load(Ordering::SeqCst) {
                tokio::select! {
                    _ = ctx.receive() => received += 1,
                    () = tokio::task::yield_now() => {}
                }
            }
            received
        });
        match task.await {
            Ok(300) => ExitReason::Normal,
            other => ExitReason::custom(format!("{other:?}")),
        }
    });
    for n in 0..300 {
        lender.send(n).unwrap();
    }
    let ended = tokio::time::timeout(std::time::Duration::from_secs(3), lender.wait()).await;
    over.store(true, Ordering::SeqCst);
    assert_eq!(ended, Ok(ExitReason::Normal));
}

#[tokio::test(start_paused = true)]
async fn a_process_may_wait_on_time_and_on_its_mailbox_at_once() {
    let clock = spawn(|mut ctx: Context<u32>| async move {
        let mut ticks = 0;
        loop {
            tokio::select! {
                received = ctx.receive() => {
                    assert_eq!(received, Received::Message(3), "after three ticks");
                    assert_eq!(ticks, 3);
                    return;
                }
                () = tokio::time::sleep(std::time::Duration::from_secs(1)) => ticks += 1,
            }
        }
    });
    tokio::time::sleep(std::time::Duration::from_millis(3_500)).await;
    clock.send(3).unwrap();
    assert_eq!(within("its end", clock.wait()).await, ExitReason::Normal);
}
