//! The paused clock.

use std::time::Duration;

use heronry::prelude::*;
use heronry::process;
use heronry::testing::{TestProcess, advance, assert_received, settle};
use tokio::time::Instant;

use super::failure;

#[tokio::test(start_paused = true)]
async fn what_becomes_due_on_the_way_runs_at_its_own_moment() {
    let mut test = TestProcess::<Duration>::start();
    let (to, begun) = (test.addr(), Instant::now());
    process::spawn(move |_: Context<()>| async move {
        for _ in 0..3 {
            tokio::time::sleep(Duration::from_secs(10)).await;
            to.send(begun.elapsed()).unwrap();
        }
    });
    advance(Duration::from_secs(35)).await;
    assert_eq!(begun.elapsed(), Duration::from_secs(35));
    for secs in [10, 20, 30] {
        assert_eq!(assert_received!(test, _), Duration::from_secs(secs));
    }
}

#[tokio::test(start_paused = true)]
async fn settle_waits_until_nothing_is_left_to_do() {
    let mut test = TestProcess::<u32>::start();
    let to = test.addr();
    // A thousand hops, each of which wakes the next one.
    let first = (0..1_000).fold(to, |next: Addr<u32>, _| {
        process::spawn(move |mut ctx: Context<u32>| async move {
            if let Received::Message(n) = ctx.receive().await {
                next.send(n + 1).unwrap();
            }
        })
    });
    first.send(0).unwrap();
    settle().await;
    assert_eq!(assert_received!(test, _), 1_000);
}

#[tokio::test]
async fn a_running_clock_is_not_advanced() {
    let said = failure(advance(Duration::from_secs(1))).await;
    assert!(said.contains("time is not frozen"), "{said}");
}
