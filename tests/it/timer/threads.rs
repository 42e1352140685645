//! Timers on real threads and the real clock: races.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use heronry::process;
use heronry::timer::{self, TimerRef};
use tokio::time::{Instant, sleep, sleep_until};

use super::{Counted, deaf, ms, recorder};
use crate::support::{eventually, within};

/// After a cancel the message either is in the mailbox or never comes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancel_that_races_with_the_firing_is_right_either_way() {
    let addr = deaf(usize::MAX);
    let mut fired = 0;
    let start = Instant::now();
    for n in 0..400_u64 {
        let due = Instant::now() + ms(1);
        let timer = timer::send_after(&addr, ms(1), n);
        sleep_until(due).await;
        // The firing is some microseconds away, on the other thread.
        for _ in 0..(n % 40) * 50 {
            std::hint::spin_loop();
        }
        if timer.cancel().is_none() {
            fired += 1;
        }
        assert_eq!(addr.mailbox_len(), fired, "in the mailbox at once, or never");
    }
    sleep(ms(20)).await;
    assert_eq!(addr.mailbox_len(), fired);
    assert!(start.elapsed() >= ms(400));
    process::kill(addr.pid());
}

/// Of each timer either the message comes or exactly one cancel gets it.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn cancels_from_several_threads_and_the_firing_share_the_timers_out() {
    /// So many fire before anybody cancels, and so many come too late to fire: nobody goes away with nothing.
    const SURE: usize = 100;
    const TIMERS: usize = 20_000;
    let (addr, mut hears) = recorder::<usize>();
    let mut outcomes = vec![0_u8; TIMERS];
    let mut timers: Vec<TimerRef> = (0..SURE).map(|n| timer::send_after(&addr, Duration::ZERO, n)).collect();
    for _ in 0..SURE {
        outcomes[within("a message", hears.recv()).await.expect("it lives").0] += 1;
    }
    timers.extend((SURE..TIMERS - SURE).map(|n| timer::send_after(&addr, ms(n as u64 % 25), n)));
    timers.extend((TIMERS - SURE..TIMERS).map(|n| timer::send_after(&addr, ms(3_600_000), n)));
    let timers: Arc<[TimerRef]> = timers.into();
    let cancels: Vec<_> = [false, true]
        .map(|backwards| {
            let timers = timers.clone();
            tokio::spawn(async move {
                let mut cancelled = Vec::new();
                for nth in 0..TIMERS {
                    let n = if backwards { TIMERS - 1 - nth } else { nth };
                    if timers[n].cancel().is_some() {
                        cancelled.push(n);
                    }
                }
                cancelled
            })
        })
        .into();
    let mut cancelled = 0;
    for cancel in cancels {
        for n in cancel.await.expect("no panic") {
            outcomes[n] += 1;
            cancelled += 1;
        }
    }
    for _ in cancelled + SURE..TIMERS {
        outcomes[within("a message", hears.recv()).await.expect("it lives").0] += 1;
    }
    assert!(outcomes.iter().all(|outcome| *outcome == 1));
    assert!(cancelled >= SURE);
    assert_eq!(timer::count(), 0);
    sleep(ms(50)).await;
    assert!(hears.try_recv().is_err(), "none came twice");
}

/// Arming races with the end of the process; nothing stays armed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn arming_that_races_with_the_end_of_the_process_leaves_nothing() {
    let dropped = Arc::new(AtomicUsize::new(0));
    let mut armed = 0;
    for _ in 0..300 {
        let idle = deaf(10);
        let killer = tokio::spawn({
            let pid = idle.pid();
            async move { process::kill(pid) }
        });
        for _ in 0..5 {
            timer::send_after(&idle, Duration::from_secs(3_600), Counted(dropped.clone()));
            armed += 1;
        }
        killer.await.expect("no panic");
        idle.wait().await;
    }
    // Exit watchers are told of the end in turn: the wait above may be told first.
    eventually("all to be dropped", || timer::count() == 0).await;
    assert_eq!(dropped.load(Ordering::SeqCst), armed);
}
