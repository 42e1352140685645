//! Streams of tasks, against "async_stream/2" of Elixir's `task_test.exs` (see `tests/scenarios.md`).

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use heronry::task::{AsyncStream, OnTimeout, StreamOptions, async_stream};
use proptest::prelude::*;

use super::*;

/// All results of a stream.
pub(super) async fn all<I: Iterator, T: Send + 'static>(
    mut stream: AsyncStream<I, T>,
) -> Vec<Result<T, ExitReason>> {
    let mut results = Vec::new();
    while let Some(result) = stream.next().await {
        results.push(result);
    }
    assert!(stream.next().await.is_none(), "the end is the end");
    results
}

pub(super) async fn sleep_ms(ms: u64) -> u64 {
    sleep(Duration::from_millis(ms)).await;
    ms
}

fn timed_out() -> ExitReason {
    ExitReason::custom("timeout")
}

fn labelled(label: &str) -> usize {
    heronry::inspect::tree().nodes.iter().filter(|node| node.label.as_str() == label).count()
}

// "streams an enumerable with fun", "with slowest first", "is zippable on success", "with inner halt …"
#[tokio::test(start_paused = true)]
async fn gives_results_in_input_order_at_any_concurrency() {
    in_process(|ctx| async move {
        for max in [1, 2, 4, 100] {
            let options = StreamOptions::new().max_concurrency(max);
            let slowest_first = [4, 3, 2, 1];
            let results = all(options.stream(&ctx, slowest_first, sleep_ms)).await;
            assert_eq!(results, slowest_first.map(Ok), "{max}");
        }
        assert_eq!(all(async_stream(&ctx, (1..9).take(2), sleep_ms)).await, [Ok(1), Ok(2)]);
        assert!(all(async_stream(&ctx, [], sleep_ms)).await.is_empty());
    })
    .await;
}

// "streams an enumerable with ordered: false", "with ordered: false, on_timeout: :kill_task"
#[tokio::test(start_paused = true)]
async fn unordered_gives_them_as_they_come() {
    let options = StreamOptions::new().ordered(false);
    let one = options.clone().max_concurrency(1).stream_nolink([40, 30, 20, 10], sleep_ms);
    assert_eq!(all(one).await, [40, 30, 20, 10].map(Ok));
    let four = options.clone().max_concurrency(4);
    assert_eq!(all(four.clone().stream_nolink([40, 30, 20, 10], sleep_ms)).await, [10, 20, 30, 40].map(Ok));
    let killing = four.timeout(50 * MS).on_timeout(OnTimeout::KillTask);
    let results = all(killing.stream_nolink([100, 1, 101, 2], sleep_ms)).await;
    assert_eq!(results, [Ok(1), Ok(2), Err(timed_out()), Err(timed_out())]);
}

// "timeout", "with :on_timeout set to :kill_task", "streams an enumerable with infinite timeout"
#[tokio::test(start_paused = true)]
async fn an_item_that_takes_too_long() {
    in_process(|ctx| async move {
        let options = StreamOptions::new().max_concurrency(4).timeout(50 * MS).label("late item");
        let exiting = options.clone().on_timeout(OnTimeout::Exit);
        let results = all(exiting.stream(&ctx, [1, 100, 2, 3, 40, 40], sleep_ms)).await;
        assert_eq!(results, [Ok(1), Err(timed_out())], "the stream ends");
        settle().await;
        assert_eq!(labelled("late item"), 0);
        let killing = options.on_timeout(OnTimeout::KillTask);
        let results = all(killing.stream(&ctx, [100, 1, 100, 2], sleep_ms)).await;
        assert_eq!(results, [Err(timed_out()), Ok(1), Err(timed_out()), Ok(2)], "and this process lives");
        let zero = StreamOptions::new().timeout(Duration::ZERO);
        assert_eq!(all(zero.stream(&ctx, [1], sleep_ms)).await, [Err(timed_out())]);
        let ever = StreamOptions::new().timeout(Duration::MAX);
        assert_eq!(all(ever.stream(&ctx, [9_000], sleep_ms)).await, [Ok(9_000)]);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_late_item_ends_though_nobody_asks() {
    let options = StreamOptions::new().timeout(50 * MS).label("late item, unasked");
    let mut stream = options.on_timeout(OnTimeout::KillTask).stream_nolink([100_u64], sleep_ms);
    assert!(tokio::time::timeout(MS, stream.next()).await.is_err());
    sleep(60 * MS).await;
    assert_eq!(labelled("late item, unasked"), 0);
    assert_eq!(stream.next().await, Some(Err(timed_out())));
    assert_eq!(stream.next().await, None);
}

// "streams an enumerable with exits", "is zippable on failure", "with outer halt on failure"
#[tokio::test(start_paused = true)]
async fn a_trapping_caller_gets_crashes_as_results_and_not_as_messages() {
    in_process(|mut ctx| async move {
        ctx.trap_exit(true);
        let reason = |n: u32| ExitReason::custom(n.to_string());
        for max in [1, 2, 4] {
            let options = StreamOptions::new().max_concurrency(max);
            let stream = options.stream(&ctx, 1..=4, move |n| exit_with::<()>(reason(n)));
            assert_eq!(all(stream).await, [1, 2, 3, 4].map(|n| Err(reason(n))), "{max}");
        }
        assert!(tokio::time::timeout(MS, ctx.receive()).await.is_err(), "no exit message");
    })
    .await;
}

// The caller that does not trap exits
#[tokio::test(start_paused = true)]
async fn a_crash_is_the_callers() {
    let caller = spawn(|ctx: Context<()>| async move {
        drop(all(async_stream(&ctx, [boom()], exit_with::<()>)).await);
    });
    assert_eq!(caller.wait().await, boom());
}

#[tokio::test(start_paused = true)]
async fn a_panic_of_the_function_itself_is_the_tasks() {
    let f = |n: u32| {
        assert_ne!(n, 2, "not two");
        async move { n }
    };
    let results = all(StreamOptions::new().stream_nolink(1..=3, f)).await;
    assert!(matches!(&results[..], [Ok(1), Err(ExitReason::Panic(_)), Ok(3)]), "{results:?}");
}

// "does not allow streaming with max_concurrency = 0"
#[test]
#[should_panic(expected = "max_concurrency")]
fn no_concurrency_is_refused() {
    drop(StreamOptions::new().max_concurrency(0));
}

// "streams an enumerable without leaking tasks", "shuts down unused tasks", "with outer halt on success"
#[tokio::test(start_paused = true)]
async fn a_dropped_stream_ends_its_tasks() {
    in_process(|ctx| async move {
        let options = StreamOptions::new().max_concurrency(4).label("unused");
        let mut stream = options.stream(&ctx, [0, u64::MAX / 2, 1_000_000, 1_000_000], sleep_ms);
        assert_eq!(stream.next().await, Some(Ok(0)));
        assert_eq!(labelled("unused"), 3);
        drop(stream);
        settle().await;
        assert_eq!(labelled("unused"), 0);
        let links = heronry::inspect::tree().nodes.iter().find(|node| node.pid == ctx.pid()).unwrap().links;
        assert_eq!(links, 0);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn endless_items_are_taken_as_the_consumer_asks() {
    for ordered in [true, false] {
        let taken = Arc::new(AtomicUsize::new(0));
        let counting = taken.clone();
        let items = (0..).inspect(move |_: &u64| {
            counting.fetch_add(1, Ordering::Relaxed);
        });
        let options = StreamOptions::new().max_concurrency(8).ordered(ordered);
        let mut stream = options.stream_nolink(items, |n| async move { n });
        assert_eq!(taken.load(Ordering::Relaxed), 0, "nothing happens before the first question");
        for asked in 1..=100 {
            assert!(stream.next().await.is_some());
            settle().await; // whatever could run ahead of its consumer has the time to
            assert!(taken.load(Ordering::Relaxed) <= asked + 7, "{asked}, ordered {ordered}");
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum End {
    Value,
    Panic,
    Exit,
    Late,
}

fn items() -> impl Strategy<Value = Vec<(End, u64)>> {
    let end =
        prop_oneof![4 => Just(End::Value), 1 => Just(End::Panic), 1 => Just(End::Exit), 1 => Just(End::Late)];
    proptest::collection::vec((end, 0..40_u64), 0..30)
}

/// Counts while it lives.
struct Alive(Arc<AtomicUsize>);

impl Alive {
    fn new(count: &Arc<AtomicUsize>, peak: &AtomicUsize) -> Self {
        peak.fetch_max(count.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        Self(count.clone())
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Runs the items; the results with their positions, and the most tasks that were ever alive.
async fn run(items: Vec<(End, u64)>, max: usize, ordered: bool) -> (Vec<(usize, End)>, usize) {
    let (alive, peak) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let options = StreamOptions::new().max_concurrency(max).ordered(ordered);
    let options = options.timeout(50 * MS).on_timeout(OnTimeout::KillTask);
    let seen = peak.clone();
    let work = move |(at, (end, ms)): (usize, (End, u64))| {
        let alive = Alive::new(&alive, &seen);
        async move {
            let _alive = alive;
            sleep_ms(ms).await;
            match end {
                End::Value => at,
                End::Panic => panic!("{at}"),
                End::Exit => exit_with(ExitReason::custom(at.to_string())).await,
                End::Late => pending().await,
            }
        }
    };
    let results = all(options.stream_nolink(items.into_iter().enumerate(), work)).await;
    let ends = results.into_iter().map(|result| match result {
        Ok(at) => (at, End::Value),
        Err(ExitReason::Panic(report)) => (report.message.parse().expect("a position"), End::Panic),
        Err(ExitReason::Custom(text)) if &*text == "timeout" => (usize::MAX, End::Late),
        Err(ExitReason::Custom(text)) => (text.parse().expect("a position"), End::Exit),
        Err(other) => panic!("{other}"),
    });
    (ends.collect(), peak.load(Ordering::SeqCst))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever the items do: each gives its own end once, in input order if ordered, within the limit.
    #[test]
    fn each_item_once(items in items(), max in 1..6_usize, ordered: bool) {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let (ends, peak) = runtime.block_on(run(items.clone(), max, ordered));
        prop_assert!(peak <= max);
        prop_assert_eq!(ends.len(), items.len());
        let name = |(at, end): (usize, End)| match end {
            End::Late => "late".to_owned(), // a timeout does not say whose
            End::Value | End::Panic | End::Exit => format!("{at} {end:?}"),
        };
        let mut expect: Vec<_> = items.iter().enumerate().map(|(at, (end, _))| name((at, *end))).collect();
        let mut got: Vec<_> = ends.into_iter().map(name).collect();
        if !ordered {
            expect.sort_unstable();
            got.sort_unstable();
        }
        prop_assert_eq!(got, expect);
    }
}
