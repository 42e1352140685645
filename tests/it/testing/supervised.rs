//! Children of the test: started, stopped, and gone with it, in order.

use std::time::Duration;

use heronry::prelude::*;
use heronry::process::{self, whereis_pid};
use heronry::supervisor::ChildError;
use heronry::testing::{TestProcess, assert_receive, assert_received, refute_received};

use super::failure;

/// Tells when it ends, and counts what it gets.
struct Teller {
    to: Addr<String>,
    name: &'static str,
}

impl Server for Teller {
    type Args = (Addr<String>, &'static str);
    type Msg = &'static str;

    async fn init((to, name): Self::Args, ctx: &mut Context<Self::Msg>) -> Init<Self> {
        ctx.trap_exit(true);
        Ok(Self { to, name })
    }

    async fn handle(&mut self, word: &'static str, _: &mut Context<Self::Msg>) -> Next {
        assert_ne!(word, "crash");
        drop(self.to.send(word.to_owned()));
        Next::Continue
    }

    async fn terminate(&mut self, reason: &ExitReason, _: &mut Context<Self::Msg>) {
        drop(self.to.send(format!("{} ends: {reason}", self.name)));
    }
}

fn spec(to: &Addr<String>, name: &'static str) -> ChildSpec {
    ChildSpec::server::<Teller>(name, (to.clone(), name)).named(name)
}

#[tokio::test(start_paused = true)]
async fn children_end_with_the_test_the_last_first_and_their_names_are_free() {
    let mut ears = TestProcess::<String>::start();
    let to = ears.addr();
    for _ in 0..2 {
        TestProcess::run(async |test: &mut TestProcess<()>| {
            let one = test.start_supervised(spec(&to, "testing.one")).await.unwrap();
            let two = test.start_supervised(spec(&to, "testing.two")).await.unwrap();
            assert_eq!((whereis_pid("testing.one"), whereis_pid("testing.two")), (Some(one), Some(two)));
        })
        .await;
        assert_eq!(assert_received!(ears, _), "testing.two ends: shutdown");
        assert_eq!(assert_received!(ears, _), "testing.one ends: shutdown");
        assert_eq!((whereis_pid("testing.one"), whereis_pid("testing.two")), (None, None));
    }
    ears.finish().await;
}

#[tokio::test(start_paused = true)]
async fn children_end_with_a_test_that_fails() {
    let mut ears = TestProcess::<String>::start();
    let to = ears.addr();
    let fails = TestProcess::run(async |test: &mut TestProcess<()>| {
        test.start_supervised(spec(&to, "testing.failed")).await.unwrap();
        panic!("the test fails");
    });
    assert_eq!(failure(fails).await, "the test fails");
    assert_eq!(whereis_pid("testing.failed"), None);
    assert_received!(ears, text if text == "testing.failed ends: shutdown");
    // One that is dropped ends its children too, if its runtime goes on.
    let mut test = TestProcess::<()>::start();
    test.start_supervised(spec(&to, "testing.dropped")).await.unwrap();
    drop(test);
    assert_receive!(ears, text if text == "testing.dropped ends: shutdown");
}

#[tokio::test(start_paused = true)]
async fn a_supervised_server_gives_its_address_and_is_restarted() {
    let mut test = TestProcess::<String>::start();
    let to = test.addr();
    let first = test.start_supervised_server::<Teller>("server", (to, "server")).await.unwrap();
    first.cast("hello").unwrap();
    assert_receive!(test, text if text == "hello");
    first.cast("crash").unwrap();
    assert_receive!(test, text if text.starts_with("server ends: panic"));
    heronry::testing::settle().await;
    let children = test.supervisor().unwrap().which_children().await.unwrap();
    assert!(children[0].pid.is_some_and(|pid| pid != first.pid()) && children[0].restarts == 1);
    test.finish().await;
}

#[tokio::test(start_paused = true)]
async fn stop_supervised_returns_when_the_child_has_ended_and_frees_its_id() {
    let mut test = TestProcess::<String>::start();
    assert_eq!(test.stop_supervised("none").await, Err(ChildError::NotFound));
    let spec = spec(&test.addr(), "testing.stopped");
    let pid = test.start_supervised(spec.clone()).await.unwrap();
    assert_eq!(test.start_supervised(spec.clone()).await, Err(ChildError::AlreadyStarted(pid)));
    test.stop_supervised("testing.stopped").await.unwrap();
    assert!(!process::is_alive(pid));
    assert_received!(test, text if text == "testing.stopped ends: shutdown");
    let temporary = spec.restart(Restart::Temporary);
    let again = test.start_supervised(temporary).await.unwrap();
    assert_ne!(again, pid);
    test.stop_supervised("testing.stopped").await.unwrap();
    assert_eq!(test.stop_supervised("testing.stopped").await, Err(ChildError::NotFound));
    test.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_linked_child_takes_the_test_along_but_not_when_it_is_stopped() {
    let idle = || {
        ChildSpec::process("idle", |mut ctx: Context<()>| async move {
            ctx.receive().await;
        })
    };
    let mut test = TestProcess::<String>::start();
    test.start_link_supervised(idle()).await.unwrap();
    test.stop_supervised("idle").await.unwrap();
    refute_received!(test, _);
    let pid = test.start_link_supervised(idle()).await.unwrap();
    process::kill(pid);
    let said = failure(async { assert_receive!(test, _, Duration::from_secs(1)) }).await;
    assert!(said.starts_with("EXIT from") && said.ends_with("killed"), "{said}");
}
