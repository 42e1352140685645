//! What the assertions take, what they leave, how long they wait and what they say.

use std::time::Duration;

use heronry::prelude::*;
use heronry::process;
use heronry::testing::{
    TestProcess, assert_down, assert_exit, assert_receive, assert_received, refute_down, refute_exit,
    refute_receive, refute_received,
};
use tokio::time::Instant;

use super::failure;

#[derive(Debug, PartialEq)]
enum Msg {
    Sum(u64),
    Text(String),
}

fn text(text: &str) -> Msg {
    Msg::Text(text.to_owned())
}

fn with(messages: impl IntoIterator<Item = Msg>) -> TestProcess<Msg> {
    let test = TestProcess::start();
    for message in messages {
        test.addr().send(message).expect("the process of the test runs");
    }
    test
}

#[tokio::test(start_paused = true)]
async fn assert_receive_takes_the_first_match_and_leaves_the_others_in_order() {
    let mut test = with([Msg::Sum(1), text("a"), Msg::Sum(9), text("b"), Msg::Sum(2)]);
    assert_eq!(assert_receive!(test, Msg::Sum(n) if n > 1), Msg::Sum(9));
    let first = assert_receive!(test, Msg::Text(text) => text);
    assert_eq!(first, "a");
    // A guard sees the bindings as they are, an owned text too.
    assert_eq!(assert_receive!(test, Msg::Text(text) if text == "b" => text.len()), 1);
    assert_eq!([assert_received!(test, _), assert_received!(test, _)], [Msg::Sum(1), Msg::Sum(2)]);
    refute_received!(test, _);
}

#[tokio::test(start_paused = true)]
async fn assert_receive_waits_for_what_comes_in_its_time() {
    let mut test = with([]);
    let begun = Instant::now();
    heronry::timer::send_after(&test.addr(), Duration::from_millis(99), Msg::Sum(1));
    assert_receive!(test, Msg::Sum(1));
    assert_eq!(begun.elapsed(), Duration::from_millis(99));
    heronry::timer::send_after(&test.addr(), Duration::from_millis(500), Msg::Sum(2));
    failure(async { assert_receive!(test, Msg::Sum(2)) }).await;
    assert_receive!(test, Msg::Sum(n) => n, Duration::from_millis(500));
    heronry::timer::send_after(&test.addr(), Duration::from_millis(499), Msg::Sum(3));
    test.set_assert_receive_timeout(Duration::from_millis(500));
    assert_receive!(test, Msg::Sum(3));
}

#[tokio::test(start_paused = true)]
async fn received_forms_do_not_wait() {
    let mut test = with([]);
    heronry::timer::send_after(&test.addr(), Duration::from_millis(1), Msg::Sum(1));
    let begun = Instant::now();
    refute_received!(test, _);
    failure(async { assert_received!(test, Msg::Sum(_)) }).await;
    assert_eq!(begun.elapsed(), Duration::ZERO);
    refute_receive!(test, Msg::Text(_));
    assert_eq!(begun.elapsed(), Duration::from_millis(100));
    assert_eq!(assert_received!(test, Msg::Sum(n) => n), 1);
}

#[tokio::test(start_paused = true)]
async fn a_failed_assertion_shows_the_pattern_and_the_mailbox() {
    let mut test = with([]);
    assert_eq!(
        failure(async { assert_receive!(test, Msg::Sum(n) if n > 3) }).await,
        "Assertion failed, no matching message after 100ms\npattern: Msg::Sum(n) if n > 3\nThe process mailbox is empty."
    );
    let mut test = with([Msg::Sum(3), text("a")]);
    let dead = test.monitor(process::spawn(|_: Context<()>| async {}).pid());
    let said = failure(async { assert_receive!(test, Msg::Sum(4), Duration::from_secs(2)) }).await;
    let expected = "Assertion failed, no matching message after 2s\npattern: Msg::Sum(4)\n\
                    Showing 3 of 3 messages in the process mailbox:\n  Sum(3)\n  Text(\"a\")\n  Down {";
    assert!(said.starts_with(expected), "{said}");
    assert_down!(test, dead);
    // What a failed assertion looked at is still there.
    assert_receive!(test, Msg::Sum(3));
}

#[tokio::test(start_paused = true)]
async fn a_failed_refutation_shows_what_came() {
    let mut test = with([]);
    heronry::timer::send_after(&test.addr(), Duration::from_millis(50), Msg::Sum(7));
    let said = failure(async { refute_receive!(test, Msg::Sum(n) if n > 3) }).await;
    assert_eq!(said, "Unexpectedly received message Sum(7), which matched Msg::Sum(n) if n > 3");
    heronry::timer::send_after(&test.addr(), Duration::from_millis(250), Msg::Sum(8));
    refute_receive!(test, Msg::Sum(8), Duration::from_millis(200));
    assert_receive!(test, Msg::Sum(8));
}

#[tokio::test(start_paused = true)]
async fn assert_down_tells_monitors_apart_and_matches_reasons() {
    let mut test = with([]);
    let idle = process::spawn(|mut ctx: Context<()>| async move { drop(ctx.receive().await) });
    let (one, other, dropped) =
        (test.monitor(idle.pid()), test.monitor(idle.pid()), test.monitor(idle.pid()));
    refute_down!(test, one);
    process::kill(idle.pid());
    assert_eq!(assert_down!(test, other), ExitReason::Killed);
    let said = failure(async { assert_down!(test, one, ExitReason::Panic(_)) }).await;
    assert!(
        said.contains("with the reason ExitReason::Panic(_)") && said.contains("reason: Killed"),
        "{said}"
    );
    failure(async { refute_down!(test, one) }).await;
    failure(async { assert_down!(test, one) }).await;
    test.demonitor(dropped);
    refute_down!(test, dropped);
}

#[tokio::test(start_paused = true)]
async fn assert_exit_takes_the_signal_of_one_process() {
    let mut test = with([]);
    test.trap_exit(true);
    let spawn_link = |test: &TestProcess<Msg>| {
        test.context().spawn_link(SpawnOptions::new(), |mut ctx: Context<u8>| async move {
            match ctx.receive().await {
                Received::Message(0) => ExitReason::Normal,
                Received::Message(_) | Received::Info(_) => ExitReason::custom("told so"),
            }
        })
    };
    let (one, other) = (spawn_link(&test), spawn_link(&test));
    refute_exit!(test, one.pid());
    one.send(1).unwrap();
    other.send(0).unwrap();
    assert_exit!(test, other.pid(), ExitReason::Normal);
    assert_exit!(test, one.pid(), reason if reason == ExitReason::custom("told so"), Duration::from_secs(1));
    refute_exit!(test, one.pid());
}

#[tokio::test(start_paused = true)]
async fn the_crash_of_what_is_linked_fails_the_next_assertion() {
    let mut test = with([Msg::Sum(1)]);
    test.context().spawn_link(SpawnOptions::new(), |_: Context<()>| async { panic!("ill") });
    let said = failure(async { assert_receive!(test, Msg::Sum(2)) }).await;
    assert!(said.starts_with("EXIT from") && said.contains("panic: ill"), "{said}");
}

#[tokio::test(start_paused = true)]
async fn the_crash_of_what_is_linked_fails_the_end_of_the_test() {
    let crash = || {
        let test = with([]);
        test.context().spawn_link(SpawnOptions::new(), |_: Context<()>| async { panic!("ill") });
        test
    };
    let test = crash();
    heronry::testing::settle().await;
    let said = failure(test.finish()).await;
    assert!(said.contains("panic: ill"), "{said}");
    let test = crash();
    heronry::testing::settle().await;
    let said = failure(async { drop(test) }).await;
    assert!(said.contains("panic: ill"), "{said}");
    // A normal end is none.
    let test = with([]);
    test.context().spawn_link(SpawnOptions::new(), |_: Context<()>| async {});
    heronry::testing::settle().await;
    test.finish().await;
}

#[tokio::test(start_paused = true)]
async fn run_ends_a_test_whose_process_ends() {
    let run = TestProcess::run(async |test: &mut TestProcess<Msg>| {
        test.context().spawn_link(SpawnOptions::new(), |_: Context<()>| async { panic!("ill") });
        std::future::pending::<()>().await;
    });
    let said = failure(run).await;
    assert!(said.starts_with("EXIT from") && said.contains("panic: ill"), "{said}");
    let shut_down = TestProcess::run(async |test: &mut TestProcess<Msg>| {
        process::exit(test.pid(), ExitReason::Shutdown);
        std::future::pending::<()>().await;
    });
    let said = failure(shut_down).await;
    assert!(said.ends_with(": shutdown"), "{said}");
    assert_eq!(TestProcess::run(async |_: &mut TestProcess<Msg>| 7).await, 7);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_works_on_many_threads() {
    TestProcess::run(async |test: &mut TestProcess<u64>| {
        let (to, pid) = (test.addr(), test.pid());
        let echo = move |mut ctx: Context<u64>| async move {
            ctx.link(pid);
            while let Received::Message(n) = ctx.receive().await {
                to.send(n).unwrap();
            }
        };
        let echo = process::spawn(echo);
        for n in 0..1_000 {
            echo.send(n).unwrap();
        }
        for n in (0..1_000).rev() {
            assert_receive!(test, m if m == n, Duration::from_secs(10));
        }
        test.trap_exit(true);
        process::kill(echo.pid());
        assert_exit!(test, echo.pid(), ExitReason::Killed, Duration::from_secs(10));
    })
    .await;
}
