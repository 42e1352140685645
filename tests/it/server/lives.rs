//! Beginnings that take too long, what comes before the mailbox, and stops from outside.

use std::time::Duration;

use heronry::process::{self, SpawnOptions};
use heronry::server::StopError;
use tokio::time::Instant;

use super::*;

/// What its journal tells, and a call that others wait behind.
struct Steps {
    done: Vec<&'static str>,
}

enum Step {
    Do(&'static str),
    ThenContinue(&'static [&'static str]),
    Done(ReplyTo<Vec<&'static str>>),
    Panic,
}

impl Server for Steps {
    type Args = Option<Duration>;
    type Msg = Step;

    async fn init(slow: Option<Duration>, ctx: &mut Context<Step>) -> Init<Self> {
        match slow {
            Some(time) => tokio::time::sleep(time).await,
            None => ctx.continue_with(Step::Do("the rest of init")),
        }
        Ok(Self { done: Vec::new() })
    }

    async fn handle(&mut self, step: Step, ctx: &mut Context<Step>) -> Next {
        match step {
            Step::Do(what) => self.done.push(what),
            Step::ThenContinue(steps) => {
                self.done.push("a message");
                steps.iter().for_each(|step| ctx.continue_with(Step::Do(step)));
            }
            Step::Done(reply_to) => reply_to.send(self.done.clone()),
            Step::Panic => panic!("boom"),
        }
        Next::Continue
    }
}

#[tokio::test]
async fn what_is_continued_comes_before_what_waits() {
    let steps = Steps::start(None).await.unwrap();
    steps.cast(Step::ThenContinue(&["first", "second"])).unwrap();
    steps.cast(Step::Do("what waited")).unwrap();
    let done = within("the reply", steps.call(Step::Done, LONG)).await.unwrap();
    assert_eq!(done, ["the rest of init", "a message", "first", "second", "what waited"]);
    process::kill(steps.pid());
}

#[tokio::test]
async fn a_panic_in_what_is_continued_ends_the_server() {
    let steps = Steps::start(None).await.unwrap();
    steps.cast(Step::Panic).unwrap();
    assert_panic(&within("the end", steps.wait()).await, "boom");
}

#[tokio::test(start_paused = true)]
async fn an_init_that_takes_too_long_is_killed_and_its_name_is_free() {
    let begun = Instant::now();
    let slow =
        |time| ServerOptions::new().name("slow init").unwrap().init_timeout(LONG).start::<Steps>(Some(time));
    assert_eq!(slow(LONG * 2).await.unwrap_err(), StartError::Timeout(LONG));
    assert_eq!(begun.elapsed(), LONG);
    assert_eq!(process::whereis_pid("slow init"), None);
    let steps = slow(LONG / 2).await.unwrap();
    process::kill(steps.pid());
}

#[tokio::test]
async fn a_stop_comes_after_what_waits_and_runs_terminate() {
    let plan = Plan::default();
    let journal = plan.journal.clone();
    let subject = subject(plan).await;
    let kept = tokio::spawn({
        let subject = subject.clone();
        async move { subject.call(Ask::Keep, LONG).await }
    });
    tokio::task::yield_now().await;
    subject.cast(Ask::ReplyToKept).unwrap();
    within("the stop", subject.stop(ExitReason::Shutdown, LONG)).await.unwrap();
    assert_eq!(kept.await.unwrap(), Ok(1));
    assert_eq!(lines(&journal), ["terminate: shutdown"]);
    assert_eq!(subject.exit_reason(), Some(ExitReason::Shutdown));
    assert_eq!(subject.stop(boom(), LONG).await, Err(StopError::Exited(ExitReason::Shutdown)));
}

#[tokio::test(start_paused = true)]
async fn a_stop_that_takes_too_long_is_still_asked_for() {
    let plan = Plan { farewell: LONG, ..Plan::default() };
    let subject = subject(plan).await;
    let begun = Instant::now();
    assert_eq!(subject.stop(boom(), LONG / 5).await, Err(StopError::Timeout(LONG / 5)));
    assert_eq!(subject.wait().await, boom());
    assert_eq!(begun.elapsed(), LONG);
}

#[tokio::test]
async fn a_stop_passes_a_full_mailbox_and_reaches_plain_processes() {
    let (go, wait) = oneshot::channel::<()>();
    let plain = SpawnOptions::new().mailbox_limit(1).spawn(|mut ctx: Context<u8>| async move {
        wait.await.unwrap();
        loop {
            ctx.receive().await;
        }
    });
    plain.send(1).unwrap();
    assert!(plain.send(2).is_err());
    let stopping = tokio::spawn({
        let plain = plain.clone();
        async move { plain.stop(boom(), LONG).await }
    });
    tokio::task::yield_now().await;
    go.send(()).unwrap();
    within("the stop", stopping).await.unwrap().unwrap();
    assert_eq!(plain.exit_reason(), Some(boom()));
}

#[tokio::test]
async fn a_process_cannot_wait_for_its_own_end() {
    let (tell, told) = oneshot::channel();
    let selfish = spawn(|ctx: Context<()>| async move {
        drop(tell.send(ctx.addr().stop(ExitReason::Normal, LONG).await));
        std::future::pending::<()>().await;
    });
    assert_eq!(within("the answer", told).await.unwrap(), Err(StopError::StoppingSelf));
    process::kill(selfish.pid());
}

#[tokio::test]
async fn a_start_that_was_linked_with_a_process_that_had_ended_fails() {
    let (tell, told) = oneshot::channel();
    let starter = spawn(|ctx: Context<()>| async move {
        drop(tell.send(ctx));
    });
    let ctx = within("the context", told).await.unwrap();
    starter.wait().await;
    let started = within("the start", ServerOptions::new().link(&ctx).start::<Steps>(Some(LONG * 10))).await;
    assert_eq!(started.unwrap_err(), StartError::Init(ExitReason::NoProc));
}

#[tokio::test]
async fn the_exit_of_a_starter_that_is_not_linked_is_an_info_as_any_other() {
    let plan = Plan { trap_exit: true, ..Plan::default() };
    let journal = plan.journal.clone();
    let (tell, told) = oneshot::channel();
    let starter = spawn(|ctx: Context<()>| async move {
        let subject = ServerOptions::new().start::<Subject>(plan).await.unwrap();
        ctx.link(subject.pid());
        drop(tell.send(subject));
    });
    let subject = within("the server", told).await.unwrap();
    starter.wait().await;
    assert_eq!(within("a call", subject.call(|reply_to| Ask::Echo(1, reply_to), LONG)).await, Ok(1));
    assert_eq!(lines(&journal), ["exit signal: normal"]);
    process::kill(subject.pid());
}
