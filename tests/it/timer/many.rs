//! A million timers.

use heronry::process;
use heronry::timer::{self, TimerRef};
use tokio::time::Instant;

use super::{deaf, ms, recorder};
use crate::support::within;

/// The bound is far above what it takes, on a busy machine as well; work that grows with the square would not keep it.
#[tokio::test]
async fn a_million_are_armed_read_and_cancelled_in_bounded_time() {
    let idle = deaf::<u32>(10);
    let start = Instant::now();
    let timers: Vec<TimerRef> = (0..1_000_000)
        .map(|n| timer::send_after(&idle, ms(60_000 + u64::from(n) * 61 % 600_000), n))
        .collect();
    assert_eq!(timer::count(), 1_000_000);
    assert!(timers.iter().all(|timer| timer.read().is_some()));
    assert!(timers.iter().all(|timer| timer.cancel().is_some()));
    assert_eq!(timer::count(), 0);
    assert!(start.elapsed() < ms(20_000), "{:?}", start.elapsed());
    process::kill(idle.pid());
}

#[tokio::test(start_paused = true)]
async fn a_million_fire_in_order_from_one_task() {
    let (addr, mut hears) = recorder();
    let tasks = tokio::runtime::Handle::current().metrics().num_alive_tasks();
    for n in 0..1_000_000_u64 {
        timer::send_after(&addr, ms(1_000 + n * 61 % 1_000), (n * 61 % 1_000, n));
    }
    let tasks = tokio::runtime::Handle::current().metrics().num_alive_tasks() - tasks;
    assert_eq!(tasks, 1, "one task serves them all");
    let mut last = None;
    for _ in 0..1_000_000 {
        let (id, at) = hears.recv().await.unwrap();
        assert!(last < Some(id), "{last:?} {id:?}");
        assert_eq!(at, ms(1_000 + id.0));
        last = Some(id);
    }
}

/// The end of a process with a million timers takes them along, and holds nobody's timers up for it.
#[tokio::test]
async fn the_end_of_a_process_with_a_million_timers() {
    let idle = deaf::<u32>(10);
    let (bystander, mut hears) = recorder();
    for n in 0..1_000_000 {
        timer::send_after(&idle, ms(3_600_000), n);
    }
    timer::send_after(&bystander, ms(1), "unharmed");
    process::kill(idle.pid());
    within("the end", idle.wait()).await;
    assert_eq!(within("a timer", hears.recv()).await.unwrap().0, "unharmed");
    assert_eq!(timer::count(), 0);
}
