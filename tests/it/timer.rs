//! Timers from the outside: time is paused wherever time is what is tested.

mod mailbox;
mod many;
mod threads;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use heronry::process::{self, Info, SpawnOptions};
use heronry::telemetry::{self, Event};
use heronry::timer::{self, TICKS_LATE_MAX, TicksSkipped, TimerRef};
use heronry::{Addr, Context, ExitReason, Init, Next, Received, ReplyTo, Server};
use tokio::sync::mpsc::{self, UnboundedReceiver};
use tokio::time::{Instant, advance, sleep};

use crate::support::within;

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// A process that reports each message with the time since it was spawned.
fn recorder<M: Send + 'static>() -> (Addr<M>, UnboundedReceiver<(M, Duration)>) {
    let (heard, hears) = mpsc::unbounded_channel();
    let start = Instant::now();
    let addr = process::spawn(move |mut ctx: Context<M>| async move {
        while let Received::Message(message) = ctx.receive().await {
            if heard.send((message, start.elapsed())).is_err() {
                break;
            }
        }
    });
    (addr, hears)
}

/// A process that never reads its mailbox.
fn deaf<M: Send + 'static>(limit: usize) -> Addr<M> {
    SpawnOptions::new().mailbox_limit(limit).spawn(|_ctx: Context<M>| std::future::pending::<()>())
}

/// Everything that it is sent is counted when it is dropped.
struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[tokio::test(start_paused = true)]
async fn they_fire_in_the_order_of_their_deadlines_and_exactly_then() {
    let (addr, mut hears) = recorder();
    for delay in [70, 5, 0, 5_000, 64, 4_096, 1, 63] {
        timer::send_after(&addr, ms(delay), delay);
    }
    for delay in [0, 1, 5, 63, 64, 70, 4_096, 5_000] {
        let (message, at) = within("a timer", hears.recv()).await.unwrap();
        assert_eq!((message, at), (delay, ms(delay)));
    }
    assert_eq!(timer::count(), 0);
}

#[tokio::test(start_paused = true)]
async fn one_deadline_keeps_the_order_of_arming() {
    let (addr, mut hears) = recorder();
    for n in 0..500 {
        timer::send_after(&addr, ms(1_000 - n), n);
        sleep(ms(1)).await;
    }
    for n in 0..500 {
        assert_eq!(hears.recv().await.unwrap(), (n, ms(1_000)));
    }
}

#[tokio::test(start_paused = true)]
async fn a_fraction_of_a_millisecond_is_not_cut_off() {
    let (addr, mut hears) = recorder();
    advance(Duration::from_micros(300)).await;
    timer::send_after(&addr, Duration::from_micros(1_500), ());
    let (_, at) = hears.recv().await.unwrap();
    let due = Duration::from_micros(1_800);
    assert!(at >= due && at < due + ms(2), "rounded up to a tick of ours and to one of tokio's: {at:?}");
}

#[tokio::test(start_paused = true)]
async fn a_hundred_days_and_for_ever() {
    let (addr, mut hears) = recorder();
    let day = Duration::from_secs(24 * 60 * 60);
    let never = timer::send_after(&addr, Duration::MAX, 0);
    timer::send_after(&addr, day * 100, 100);
    timer::send_after(&addr, day * 1_000, 1_000);
    assert_eq!(hears.recv().await.unwrap(), (100, day * 100));
    assert_eq!(hears.recv().await.unwrap(), (1_000, day * 1_000));
    assert!(never.read().unwrap() > day * 365 * 1_000_000);
    assert!(never.cancel().is_some());
}

/// On the real clock: the time left is never more than what was asked for, and never less by more than has passed.
#[tokio::test]
async fn the_time_left_on_the_real_clock() {
    let idle = deaf(10);
    for n in 1..200 {
        let start = Instant::now();
        let timer = timer::send_after(&idle, ms(60_000 + n), n);
        tokio::task::yield_now().await;
        let left = timer.cancel().expect("a minute is not over");
        assert!(left <= ms(60_000 + n) && left + start.elapsed() + ms(1) >= ms(60_000 + n), "{left:?}");
    }
    process::kill(idle.pid());
}

#[tokio::test]
async fn a_clock_that_is_paused_later_pauses_the_timers() {
    let (addr, mut hears) = recorder();
    timer::send_after(&addr, ms(3_600_000), "before");
    tokio::task::yield_now().await;
    tokio::time::pause();
    timer::send_after(&addr, ms(7_200_000), "after");
    for (expect, hours) in [("before", 1), ("after", 2)] {
        let (message, at) = hears.recv().await.unwrap();
        let due = ms(3_600_000) * hours;
        assert_eq!(message, expect);
        assert!(at >= due && at < due + ms(1_000), "{at:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn read_and_cancel_tell_the_time_left() {
    let (addr, mut hears) = recorder();
    let timer = timer::send_after(&addr, ms(1_000), "never");
    let fires = timer::send_after(&addr, ms(500), "fires");
    assert_eq!(timer.read(), Some(ms(1_000)));
    sleep(ms(400)).await;
    assert_eq!((timer.read(), fires.read()), (Some(ms(600)), Some(ms(100))));
    sleep(ms(200)).await;
    assert_eq!((fires.read(), fires.cancel()), (None, None));
    assert_eq!(timer.clone().cancel(), Some(ms(400)));
    assert_eq!((timer.read(), timer.cancel()), (None, None));
    sleep(ms(10_000)).await;
    assert_eq!(hears.recv().await.unwrap().0, "fires");
    assert!(hears.try_recv().is_err());
}

#[tokio::test(start_paused = true)]
async fn a_reference_that_is_dropped_and_a_message_that_is_dropped() {
    let dropped = Arc::new(AtomicUsize::new(0));
    let (addr, mut hears) = recorder();
    drop(timer::send_after(&addr, ms(5), Counted(dropped.clone())));
    let cancelled = timer::send_after(&addr, ms(5), Counted(dropped.clone()));
    assert!(cancelled.cancel().is_some());
    assert_eq!(dropped.load(Ordering::SeqCst), 1, "the message goes with the timer");
    let (_message, at) = hears.recv().await.unwrap();
    assert_eq!((at, dropped.load(Ordering::SeqCst)), (ms(5), 1));
}

#[tokio::test(start_paused = true)]
async fn an_interval_keeps_its_cadence_until_cancelled() {
    let (addr, mut hears) = recorder();
    let mut n = 0;
    let ticks = timer::send_interval(&addr, ms(100), move || {
        n += 1;
        n
    });
    for n in 1..=50 {
        assert_eq!(hears.recv().await.unwrap(), (n, ms(100) * n));
    }
    sleep(ms(30)).await;
    assert_eq!((ticks.read(), ticks.cancel(), ticks.cancel()), (Some(ms(70)), Some(ms(70)), None));
    sleep(ms(1_000)).await;
    assert!(hears.try_recv().is_err());
}

#[tokio::test(start_paused = true)]
async fn an_interval_and_a_timer_share_one_order() {
    let (addr, mut hears) = recorder();
    timer::send_after(&addr, ms(9), "before");
    timer::send_interval(&addr, ms(10), || "tick");
    timer::send_after(&addr, ms(10), "after");
    timer::send_after(&addr, ms(11), "last");
    advance(ms(15)).await;
    for expect in ["before", "tick", "after", "last"] {
        assert_eq!(hears.recv().await.unwrap().0, expect);
    }
}

#[tokio::test(start_paused = true)]
async fn late_ticks_come_one_after_the_other_and_the_grid_stays() {
    let (addr, mut hears) = recorder();
    let (mut made, mut other) = (0, 100);
    timer::send_interval(&addr, ms(100), move || {
        made += 1;
        made
    });
    timer::send_interval(&addr, ms(400), move || {
        other += 1;
        other
    });
    sleep(ms(1)).await;
    advance(ms(1_049)).await;
    for expect in [1, 2, 3, 101, 4, 5, 6, 7, 102, 8, 9, 10] {
        let (n, at) = hears.recv().await.unwrap();
        assert_eq!((n, at), (expect, ms(1_050)));
    }
    assert_eq!(hears.recv().await.unwrap(), (11, ms(1_100)), "back on the grid");
    assert_eq!(hears.recv().await.unwrap(), (103, ms(1_200)));
    assert_eq!(hears.recv().await.unwrap(), (12, ms(1_200)));
}

#[tokio::test(start_paused = true)]
async fn ticks_that_are_too_late_are_skipped_and_said() {
    let (addr, mut hears) = recorder();
    let pid = addr.pid();
    let (said, mut says) = mpsc::unbounded_channel();
    let handler = telemetry::attach(move |event: &dyn Event| {
        if let Some(event) = (event as &dyn std::any::Any).downcast_ref::<TicksSkipped>()
            && event.pid == pid
        {
            said.send((event.skipped, event.period)).expect("the test listens");
        }
    });
    let late = TICKS_LATE_MAX + 1_500;
    timer::send_interval(&addr, ms(10), || ());
    sleep(ms(1)).await;
    advance(ms(late * 10 + 4)).await;
    // The first that is late, and the last so many.
    for _ in 0..=TICKS_LATE_MAX {
        assert_eq!(hears.recv().await.unwrap().1, ms(late * 10 + 5));
    }
    assert_eq!(says.recv().await.unwrap(), (1_499, ms(10)));
    assert_eq!(hears.recv().await.unwrap().1, ms(late * 10 + 10), "back on the grid");
    assert_eq!(hears.recv().await.unwrap().1, ms(late * 10 + 20));
    assert!(says.try_recv().is_err());
    telemetry::detach(handler);
}

#[tokio::test(start_paused = true)]
async fn a_period_of_nothing_is_a_millisecond() {
    let (addr, mut hears) = recorder();
    timer::send_interval(&addr, Duration::ZERO, || ());
    for n in 1..=3 {
        assert_eq!(hears.recv().await.unwrap().1, ms(n));
    }
}

#[tokio::test(start_paused = true)]
async fn the_end_of_a_process_ends_its_timers_at_once() {
    let dropped = Arc::new(AtomicUsize::new(0));
    let (idle, other) = (deaf(10), deaf(10));
    let timers: Vec<TimerRef> =
        (1..=100).map(|n| timer::send_after(&idle, ms(n * 1_000), Counted(dropped.clone()))).collect();
    let (made, makes) = (Arc::new(AtomicUsize::new(0)), dropped.clone());
    let counter = made.clone();
    let ticks = timer::send_interval(&idle, ms(10_000), move || {
        counter.fetch_add(1, Ordering::SeqCst);
        Counted(makes.clone())
    });
    let others = timer::send_after(&other, ms(60_000), Counted(dropped.clone()));
    assert!(timers[50].cancel().is_some());
    process::kill(idle.pid());
    assert_eq!(idle.wait().await, ExitReason::Killed);
    assert_eq!(dropped.load(Ordering::SeqCst), 100);
    assert!(timers.iter().all(|timer| timer.read().is_none()) && ticks.read().is_none());
    assert_eq!((timer::count(), others.read()), (1, Some(ms(60_000))));
    sleep(ms(50_000)).await;
    assert_eq!(made.load(Ordering::SeqCst), 0);
    let late = timer::send_after(&idle, ms(1), Counted(dropped.clone()));
    assert_eq!((late.read(), late.cancel(), dropped.load(Ordering::SeqCst)), (None, None, 101));
    let late = timer::send_interval(&idle, ms(1), || unreachable!("nobody is there"));
    assert_eq!((late.read(), timer::count()), (None, 1));
    process::kill(other.pid());
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_an_interval_is_the_panic_of_its_process() {
    let panicking = deaf::<()>(10);
    timer::send_interval(&panicking, ms(10), || panic!("no tick"));
    let (bystander, mut hears) = recorder();
    timer::send_after(&bystander, ms(20), "unharmed");
    let reason = panicking.wait().await;
    assert!(matches!(&reason, ExitReason::Panic(report) if report.message == "no tick"), "{reason}");
    assert_eq!(hears.recv().await.unwrap().0, "unharmed");
    assert_eq!(timer::count(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_a_destructor_harms_no_other_timer() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("a bomb");
        }
    }
    let full = deaf(0);
    timer::send_after(&full, ms(10), Bomb);
    timer::send_after(&full, ms(60_000), Bomb);
    let (bystander, mut hears) = recorder();
    timer::send_after(&bystander, ms(20), "unharmed");
    assert_eq!(hears.recv().await.unwrap(), ("unharmed", ms(20)));
    process::kill(full.pid());
    assert_eq!(full.wait().await, ExitReason::Killed);
    assert_eq!(timer::count(), 0);
}

/// Cancelling, arming and reading from wherever code of the user's runs must not lock itself out.
#[tokio::test(start_paused = true)]
async fn code_of_the_users_may_use_timers_wherever_it_runs() {
    struct Rearm(Addr<Option<Rearm>>, TimerRef);
    impl Drop for Rearm {
        fn drop(&mut self) {
            self.1.cancel();
            timer::send_after(&self.0, ms(5), None);
        }
    }
    let (addr, mut hears) = recorder();
    let reference = timer::send_after(&addr, ms(1_000), None);
    let full = deaf(0);
    timer::send_after(&full, ms(10), Some(Rearm(addr.clone(), reference.clone())));
    assert!(hears.recv().await.unwrap().0.is_none());
    assert_eq!(reference.read(), None);

    let cell = Arc::new(std::sync::OnceLock::<TimerRef>::new());
    let own = cell.clone();
    let ticks = timer::send_interval(&addr, ms(10), move || {
        assert_eq!(own.get().expect("set below").cancel(), Some(Duration::ZERO));
        None
    });
    cell.set(ticks).expect("set once");
    sleep(ms(100)).await;
    assert!(hears.try_recv().is_err(), "cancelled while it made its message: not sent");
    assert_eq!(timer::count(), 0);
    process::kill(full.pid());
}

#[tokio::test(start_paused = true)]
async fn a_process_hears_its_own_timers_beside_its_signals() {
    let trapping = SpawnOptions::new().trap_exit(true).spawn(|mut ctx: Context<u8>| async move {
        ctx.send_after(ms(20), 1);
        ctx.send_interval(ms(15), || 2);
        let mut heard = Vec::new();
        for _ in 0..4 {
            heard.push(match ctx.receive().await {
                Received::Message(message) => message,
                Received::Info(Info::Exit(_)) => 0,
                Received::Info(_) => unreachable!("nothing is monitored"),
            });
        }
        assert_eq!(heard, [0, 2, 1, 2]);
    });
    sleep(ms(1)).await;
    process::exit(trapping.pid(), ExitReason::Shutdown);
    assert_eq!(trapping.wait().await, ExitReason::Normal);
}

/// A server that works by its own timers; OTP's usual `handle_info(tick, …)`.
#[tokio::test(start_paused = true)]
async fn a_server_sends_itself_what_is_due() {
    struct Session {
        idle: TimerRef,
        beats: u32,
    }
    enum Msg {
        Beat,
        Idle,
        Touch,
        Beats(ReplyTo<u32>),
    }
    impl Server for Session {
        type Args = ();
        type Msg = Msg;
        async fn init((): (), ctx: &mut Context<Msg>) -> Init<Self> {
            ctx.send_interval(ms(100), || Msg::Beat);
            Ok(Self { idle: ctx.send_after(ms(1_000), Msg::Idle), beats: 0 })
        }
        async fn handle(&mut self, msg: Msg, ctx: &mut Context<Msg>) -> Next {
            match msg {
                Msg::Beat => self.beats += 1,
                Msg::Idle => return Next::Stop(ExitReason::Shutdown),
                Msg::Touch => {
                    assert!(self.idle.cancel().is_some());
                    self.idle = ctx.send_after(ms(1_000), Msg::Idle);
                }
                Msg::Beats(reply_to) => reply_to.send(self.beats),
            }
            Next::Continue
        }
    }
    let start = Instant::now();
    let session = Session::start(()).await.expect("it starts");
    sleep(ms(950)).await;
    session.cast(Msg::Touch).unwrap();
    sleep(ms(900)).await;
    assert_eq!(session.call(Msg::Beats, ms(1_000)).await, Ok(18));
    assert_eq!(session.wait().await, ExitReason::Shutdown);
    assert_eq!((start.elapsed(), timer::count()), (ms(1_950), 0));
}

#[test]
fn two_runtimes_at_once_have_timers_of_their_own() {
    let build = |paused| {
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(paused).build().unwrap()
    };
    let (fast, slow) = (build(true), build(false));
    let (addr, mut hears) = fast.block_on(async { recorder::<u8>() });
    let far = slow.block_on(async {
        let far = timer::send_after(&addr, ms(3_600_000), 9);
        assert_eq!(timer::count(), 1);
        far
    });
    fast.block_on(async {
        assert_eq!(timer::count(), 0);
        timer::send_after(&addr, ms(3_600_000), 1);
        assert_eq!(hears.recv().await.unwrap().0, 1, "an hour of paused time");
    });
    assert!(far.read().is_some(), "no hour has passed in the other one");
    slow.block_on(async {
        timer::send_after(&addr, ms(1), 2);
        sleep(ms(20)).await;
    });
    fast.block_on(async { assert_eq!(hears.recv().await.unwrap().0, 2, "from one runtime to the other") });
    drop(slow);
    assert_eq!((far.read(), far.cancel()), (None, None), "its timers go with a runtime");
    drop(fast);
    assert!(!addr.is_alive());
}
