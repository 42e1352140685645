//! Servers against OTP's `gen_server`: starting, calling, ending.

mod lives;
mod state;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use heronry::prelude::*;
use heronry::process::{self, Overflow, RegisterError, SendError};
use heronry::server;
use tokio::sync::oneshot;

use crate::support::within;

/// Longer than any call here takes, so that a `Timeout` is a failure.
const LONG: Duration = Duration::from_secs(5);

type Journal = Arc<Mutex<Vec<String>>>;

fn lines(journal: &Journal) -> Vec<String> {
    journal.lock().expect("nobody panics with the journal").clone()
}

/// How a server's `init` goes.
#[derive(Clone, Debug, Default)]
enum Beginning {
    #[default]
    Ready,
    Fails(ExitReason),
    Panics,
}

#[derive(Clone, Debug, Default)]
struct Plan {
    beginning: Beginning,
    trap_exit: bool,
    /// How long `terminate` takes.
    farewell: Duration,
    journal: Journal,
}

/// Does what it is asked, and notes what happens to it.
struct Subject {
    plan: Plan,
    kept: Vec<ReplyTo<u32>>,
}

enum Ask {
    Echo(u32, ReplyTo<u32>),
    Ignore(ReplyTo<u32>),
    IgnoreAndStop(ExitReason, ReplyTo<u32>),
    Keep(ReplyTo<u32>),
    KeepAndStop(ExitReason, ReplyTo<u32>),
    /// Replies to all whose call it kept.
    ReplyToKept,
    Hand(oneshot::Sender<ReplyTo<u32>>, ReplyTo<u32>),
    CallYourself(ReplyTo<Result<u32, CallError>>),
    Panic(ReplyTo<u32>),
    /// Panics when the future is made, not when it is polled.
    PanicEarly(ReplyTo<u32>),
    Stop(ExitReason),
}

impl Server for Subject {
    type Args = Plan;
    type Msg = Ask;

    async fn init(plan: Plan, ctx: &mut Context<Ask>) -> Init<Self> {
        ctx.trap_exit(plan.trap_exit);
        match &plan.beginning {
            Beginning::Ready => Ok(Self { plan, kept: Vec::new() }),
            Beginning::Fails(reason) => Err(reason.clone()),
            Beginning::Panics => panic!("no beginning"),
        }
    }

    fn handle(&mut self, ask: Ask, ctx: &mut Context<Ask>) -> impl Future<Output = Next> + Send {
        if let Ask::PanicEarly(reply_to) = ask {
            drop(reply_to);
            panic!("early boom");
        }
        self.answer(ask, ctx)
    }

    async fn handle_info(&mut self, info: Info, _: &mut Context<Ask>) -> Next {
        match info {
            Info::Exit(exit) => self.note(format!("exit signal: {}", exit.reason)),
            other => self.note(format!("{other:?}")),
        }
        Next::Continue
    }

    async fn terminate(&mut self, reason: &ExitReason, _: &mut Context<Ask>) {
        if !self.plan.farewell.is_zero() {
            tokio::time::sleep(self.plan.farewell).await;
        }
        match reason {
            // Not with its location, which is this file's own.
            ExitReason::Panic(report) => self.note(format!("terminate: panic: {}", report.message)),
            other => self.note(format!("terminate: {other}")),
        }
    }
}

impl Subject {
    fn note(&self, line: String) {
        self.plan.journal.lock().expect("nobody panics with the journal").push(line);
    }

    async fn answer(&mut self, ask: Ask, ctx: &mut Context<Ask>) -> Next {
        match ask {
            Ask::Echo(n, reply_to) => reply_to.send(n),
            Ask::Ignore(reply_to) => drop(reply_to),
            Ask::IgnoreAndStop(reason, reply_to) => {
                drop(reply_to);
                return Next::Stop(reason);
            }
            Ask::Keep(reply_to) => self.kept.push(reply_to),
            Ask::KeepAndStop(reason, reply_to) => {
                self.kept.push(reply_to);
                return Next::Stop(reason);
            }
            Ask::ReplyToKept => self.kept.drain(..).for_each(|reply_to| reply_to.send(1)),
            Ask::Hand(to, reply_to) => to.send(reply_to).expect("the test waits for the slot"),
            Ask::CallYourself(reply_to) => {
                reply_to.send(ctx.addr().call(|reply_to| Ask::Echo(1, reply_to), LONG).await);
            }
            Ask::Panic(reply_to) => {
                let _held = reply_to;
                panic!("boom");
            }
            Ask::PanicEarly(_) => unreachable!("handle panics before"),
            Ask::Stop(reason) => return Next::Stop(reason),
        }
        Next::Continue
    }
}

async fn subject(plan: Plan) -> Addr<Ask> {
    within("the start", ServerOptions::new().start::<Subject>(plan)).await.expect("it starts")
}

fn boom() -> ExitReason {
    ExitReason::custom("boom")
}

#[track_caller]
fn assert_panic(reason: &ExitReason, message: &str) {
    match reason {
        ExitReason::Panic(report) => assert_eq!(report.message, message),
        other => panic!("not a panic: {other:?}"),
    }
}

#[track_caller]
fn assert_call_panicked(result: Result<u32, CallError>, message: &str) {
    match result {
        Err(CallError::Exited(reason)) => assert_panic(&reason, message),
        other => panic!("the call did not end with the callee: {other:?}"),
    }
}

mod requests;

mod start {
    //! How a start ends.

    use super::*;

    #[tokio::test]
    async fn an_init_that_fails_is_reported_to_the_starter_and_frees_the_name() {
        for reason in [boom(), ExitReason::Normal, ExitReason::Shutdown] {
            let plan = Plan { beginning: Beginning::Fails(reason.clone()), ..Plan::default() };
            let options = ServerOptions::new().name("server.init fails").expect("a name");
            let failed = within("the start", options.start::<Subject>(plan.clone())).await;
            assert_eq!(failed.unwrap_err(), StartError::Init(reason));
            assert_eq!(process::whereis_pid("server.init fails"), None);
            assert_eq!(lines(&plan.journal), [""; 0], "there is no state to terminate");
        }
    }

    #[tokio::test]
    async fn an_init_that_panics_is_reported_to_the_starter_and_frees_the_name() {
        let options = ServerOptions::new().name("server.init panics").expect("a name");
        let plan = Plan { beginning: Beginning::Panics, ..Plan::default() };
        match within("the start", options.clone().start::<Subject>(plan)).await {
            Err(StartError::Init(reason)) => assert_panic(&reason, "no beginning"),
            other => panic!("it started, or failed otherwise: {other:?}"),
        }
        let again = within("the start", options.start::<Subject>(Plan::default())).await;
        let again = again.expect("the name is free");
        assert_eq!(process::whereis_pid("server.init panics"), Some(again.pid()));
        process::kill(again.pid());
    }

    /// The starter may look while the process is being cleaned up on another thread.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn the_name_of_a_failed_start_is_free_whatever_the_threads_do() {
        let options = ServerOptions::new().name("server.failed often").expect("a name");
        let plan = Plan { beginning: Beginning::Fails(boom()), ..Plan::default() };
        for round in 0..20_000 {
            let failed = within("the start", options.clone().start::<Subject>(plan.clone())).await;
            assert_eq!(failed.unwrap_err(), StartError::Init(boom()), "round {round}");
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn the_name_is_free_for_whoever_waited_for_the_end() {
        let options = ServerOptions::new().name("server.ends often").expect("a name");
        for round in 0..20_000 {
            let started = within("the start", options.clone().start::<Subject>(Plan::default())).await;
            let addr = started.unwrap_or_else(|error| panic!("round {round}: {error}"));
            addr.cast(Ask::Stop(ExitReason::Normal)).expect("it lives");
            within("its end", addr.wait()).await;
        }
    }

    #[tokio::test]
    async fn a_name_that_is_taken_is_an_error_that_says_by_whom() {
        let options = ServerOptions::new().name("server.taken").expect("a name");
        let holder = within("the start", options.clone().start::<Subject>(Plan::default())).await;
        let holder = holder.expect("it starts");
        match within("the start", options.start::<Subject>(Plan::default())).await {
            Err(StartError::Name(RegisterError::Taken(name, pid))) => {
                assert_eq!((name.as_str(), pid), ("server.taken", holder.pid()));
            }
            other => panic!("not taken: {other:?}"),
        }
        assert!(holder.is_alive());
        process::kill(holder.pid());
    }

    #[tokio::test]
    async fn enter_loop_makes_a_server_of_the_process_that_awaits_it() {
        let plan = Plan::default();
        let args = plan.clone();
        let addr = spawn(|ctx| server::enter_loop::<Subject>(args, ctx));
        let echo = addr.call(|reply_to| Ask::Echo(7, reply_to), LONG);
        assert_eq!(within("a reply", echo).await, Ok(7), "a call that comes before init is done waits");
        addr.cast(Ask::Stop(boom())).expect("it lives");
        assert_eq!(within("its end", addr.wait()).await, boom());
        assert_eq!(lines(&plan.journal), ["terminate: boom"]);

        let plan = Plan { beginning: Beginning::Fails(boom()), ..plan };
        let addr = spawn(|ctx| server::enter_loop::<Subject>(plan, ctx));
        let echo = addr.call(|reply_to| Ask::Echo(7, reply_to), LONG);
        assert_eq!(within("an end", echo).await, Err(CallError::Exited(boom())));
    }

    /// What becomes of a linked server when its starter ends: with the starter's reason, whether the server traps.
    #[tokio::test]
    async fn a_linked_server_ends_with_its_starter() {
        let killed = ExitReason::Killed;
        let table = [
            (boom(), false, Some(boom()), vec![]),
            (killed.clone(), false, Some(killed.clone()), vec![]),
            (ExitReason::Shutdown, false, Some(ExitReason::Shutdown), vec![]),
            (ExitReason::Normal, false, None, vec![]),
            (boom(), true, Some(boom()), vec!["terminate: boom"]),
            (killed.clone(), true, Some(killed), vec!["terminate: killed"]),
            (ExitReason::Normal, true, Some(ExitReason::Normal), vec!["terminate: normal"]),
        ];
        for (reason, trap_exit, end, journal) in table {
            let plan = Plan { trap_exit, ..Plan::default() };
            let args = plan.clone();
            let (sender, started) = oneshot::channel();
            let starter = spawn(|mut ctx: Context<ExitReason>| async move {
                let linked = ServerOptions::new().link(&ctx).start::<Subject>(args).await;
                sender.send(linked.expect("it starts")).expect("the test waits");
                match ctx.receive().await {
                    Received::Message(reason) => reason,
                    Received::Info(info) => panic!("it traps nothing: {info:?}"),
                }
            });
            let linked = within("the server", started).await.expect("it was sent");
            if reason == ExitReason::Killed {
                process::kill(starter.pid());
            } else {
                starter.send(reason.clone()).expect("the starter lives");
            }
            within("the starter's end", starter.wait()).await;
            match end {
                Some(end) => assert_eq!(within("its end", linked.wait()).await, end, "{reason} {trap_exit}"),
                None => {
                    let echo = linked.call(|reply_to| Ask::Echo(1, reply_to), LONG);
                    assert_eq!(within("a reply", echo).await, Ok(1), "{reason} passes no link");
                    process::kill(linked.pid());
                }
            }
            assert_eq!(lines(&plan.journal), journal, "{reason} {trap_exit}");
        }
    }

    #[tokio::test]
    async fn a_starter_dies_with_the_server_that_it_is_linked_with() {
        let (sender, started) = oneshot::channel();
        let starter = spawn(|ctx: Context<()>| async move {
            let linked = ServerOptions::new().link(&ctx).start::<Subject>(Plan::default()).await;
            sender.send(linked.expect("it starts")).expect("the test waits");
            std::future::pending::<()>().await;
        });
        let linked = within("the server", started).await.expect("it was sent");
        linked.cast(Ask::Stop(boom())).expect("it lives");
        assert_eq!(within("the starter's end", starter.wait()).await, boom());
    }
}

mod call {
    //! How a call ends.

    use super::*;

    #[tokio::test]
    async fn a_call_to_a_server_that_has_ended_gives_the_reason_of_its_end() {
        for reason in [ExitReason::Normal, ExitReason::shutdown_with("left"), boom()] {
            let addr = subject(Plan::default()).await;
            addr.cast(Ask::Stop(reason.clone())).expect("it lives");
            within("its end", addr.wait()).await;
            let echo = within("an answer", addr.call(|reply_to| Ask::Echo(1, reply_to), LONG)).await;
            assert_eq!(echo, Err(CallError::Exited(reason)));
            assert!(matches!(addr.cast(Ask::ReplyToKept), Err(SendError::NoProc(Ask::ReplyToKept))));
        }
    }

    #[tokio::test]
    async fn a_panic_ends_the_call_that_caused_it_and_those_that_wait_behind_it() {
        let addr = subject(Plan::default()).await;
        let kept = addr.call(Ask::Keep, LONG);
        let first = addr.call(Ask::Panic, LONG);
        let behind = addr.call(|reply_to| Ask::Echo(1, reply_to), LONG);
        let ended = within("the calls", async { tokio::join!(kept, first, behind) }).await;
        for result in [ended.0, ended.1, ended.2] {
            assert_call_panicked(result, "boom");
        }
        assert_panic(&addr.exit_reason().expect("it has ended"), "boom");
    }

    #[tokio::test]
    async fn a_dropped_slot_means_no_reply_while_the_server_lives_and_its_reason_if_it_stops() {
        let addr = subject(Plan::default()).await;
        assert_eq!(within("an answer", addr.call(Ask::Ignore, LONG)).await, Err(CallError::NoReply));
        let echo = addr.call(|reply_to| Ask::Echo(2, reply_to), LONG);
        assert_eq!(within("a reply", echo).await, Ok(2), "the server goes on");

        let table: [fn(ExitReason, ReplyTo<u32>) -> Ask; 2] = [Ask::IgnoreAndStop, Ask::KeepAndStop];
        for ask in table {
            let addr = subject(Plan::default()).await;
            let stopped = within("an answer", addr.call(|reply_to| ask(boom(), reply_to), LONG)).await;
            assert_eq!(stopped, Err(CallError::Exited(boom())));
        }
    }

    /// OTP's caller watches the callee, which ends after its `terminate`: it gets the reason, if a little later.
    #[tokio::test(start_paused = true)]
    async fn a_slot_dropped_by_a_stopping_server_gives_its_reason_though_terminate_takes_its_time() {
        let plan = Plan { farewell: Duration::from_secs(1), ..Plan::default() };
        let addr = subject(plan.clone()).await;
        let stopped = addr.call(|reply_to| Ask::IgnoreAndStop(boom(), reply_to), LONG).await;
        assert_eq!(stopped, Err(CallError::Exited(boom())));
        let addr = subject(plan).await;
        assert_call_panicked(addr.call(Ask::Panic, LONG).await, "boom");
    }

    #[tokio::test]
    async fn a_slot_in_another_task_can_be_used_late_and_learns_of_the_servers_end_at_once() {
        let addr = subject(Plan::default()).await;
        let (sender, slot) = oneshot::channel();
        let call = addr.call(|reply_to| Ask::Hand(sender, reply_to), LONG);
        let replier = tokio::spawn(async move {
            let reply_to = slot.await.expect("the server hands it over");
            assert!(reply_to.is_waiting());
            reply_to.send(9);
        });
        assert_eq!(within("a reply", call).await, Ok(9));
        within("the replier", replier).await.expect("it replies");

        let (sender, slot) = oneshot::channel();
        let other = addr.clone();
        let call =
            tokio::spawn(async move { other.call(|reply_to| Ask::Hand(sender, reply_to), LONG).await });
        let reply_to = within("the slot", slot).await.expect("the server hands it over");
        process::kill(addr.pid());
        let ended = within("the call", call).await.expect("no panic");
        assert_eq!(ended, Err(CallError::Exited(ExitReason::Killed)));
        assert!(!reply_to.is_waiting());
        reply_to.send(10); // too late, and no harm
    }

    #[tokio::test]
    async fn a_slot_dropped_by_another_task_means_no_reply_at_once() {
        let addr = subject(Plan::default()).await;
        let (sender, slot) = oneshot::channel();
        let call = addr.call(|reply_to| Ask::Hand(sender, reply_to), LONG);
        let dropper = tokio::spawn(async move { drop(slot.await) });
        assert_eq!(within("an answer", call).await, Err(CallError::NoReply));
        within("the dropper", dropper).await.expect("no panic");
    }

    /// A call that took the place of the oldest message waits as any other does: it hears of the callee's end.
    #[tokio::test]
    async fn a_call_that_took_the_place_of_another_ends_with_the_callee() {
        let deaf = SpawnOptions::new()
            .mailbox_limit(1)
            .overflow(Overflow::DropOldest)
            .spawn(|_ctx: Context<ReplyTo<u32>>| std::future::pending::<()>());
        let call = |addr: Addr<ReplyTo<u32>>| {
            tokio::spawn(async move { addr.call(|reply_to| reply_to, LONG * 10).await })
        };
        let displaced = call(deaf.clone());
        within("the first call", async {
            while deaf.mailbox_len() == 0 {
                tokio::task::yield_now().await;
            }
        })
        .await;
        let last = call(deaf.clone());
        assert_eq!(within("an answer", displaced).await.expect("no panic"), Err(CallError::NoReply));
        process::kill(deaf.pid());
        let ended = within("the last call", last).await.expect("no panic");
        assert_eq!(ended, Err(CallError::Exited(ExitReason::Killed)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_ends_when_its_time_is_up_and_the_late_reply_is_dropped() {
        let addr = subject(Plan::default()).await;
        let time = Duration::from_millis(70);
        let start = tokio::time::Instant::now();
        assert_eq!(addr.call(Ask::Keep, time).await, Err(CallError::Timeout(time)));
        let took = start.elapsed();
        assert!(took >= time && took < time * 2, "took {took:?}");
        addr.cast(Ask::ReplyToKept).expect("it lives");
        assert_eq!(addr.call(|reply_to| Ask::Echo(3, reply_to), LONG).await, Ok(3));
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_calls_itself_is_told_so() {
        let addr = subject(Plan::default()).await;
        let start = tokio::time::Instant::now();
        assert_eq!(addr.call(Ask::CallYourself, LONG).await, Ok(Err(CallError::CallingSelf)));
        assert!(start.elapsed() < LONG);
    }

    #[tokio::test]
    async fn a_call_to_a_full_mailbox_fails_and_leaves_no_message() {
        let addr = ServerOptions::new().mailbox_limit(2).start::<Subject>(Plan::default()).await;
        let addr = addr.expect("it starts");
        // On this one thread the server does not run before we await.
        for _ in 0..2 {
            addr.cast(Ask::ReplyToKept).expect("there is room");
        }
        assert!(matches!(addr.cast(Ask::ReplyToKept), Err(SendError::Full(Ask::ReplyToKept))));
        let refused = within("an answer", addr.call(|reply_to| Ask::Echo(1, reply_to), LONG)).await;
        assert_eq!(refused, Err(CallError::Full));
        crate::support::eventually("an empty mailbox", || addr.mailbox_len() == 0).await;
        let echo = within("a reply", addr.call(|reply_to| Ask::Echo(4, reply_to), LONG)).await;
        assert_eq!(echo, Ok(4), "there is room again");
    }

    /// Counts what a server has of its replies.
    struct Counter {
        token: Arc<()>,
        kept: Vec<ReplyTo<Arc<()>>>,
    }

    enum Count {
        Give(ReplyTo<Arc<()>>),
        Keep(ReplyTo<Arc<()>>),
        GiveLate,
    }

    impl Server for Counter {
        type Args = Arc<()>;
        type Msg = Count;

        async fn init(token: Arc<()>, _: &mut Context<Count>) -> Init<Self> {
            Ok(Self { token, kept: Vec::new() })
        }

        async fn handle(&mut self, count: Count, _: &mut Context<Count>) -> Next {
            match count {
                Count::Give(reply_to) => reply_to.send(self.token.clone()),
                Count::Keep(reply_to) => self.kept.push(reply_to),
                Count::GiveLate => {
                    self.kept.drain(..).for_each(|reply_to| reply_to.send(self.token.clone()));
                }
            }
            Next::Continue
        }
    }

    #[tokio::test(start_paused = true)]
    async fn ten_thousand_calls_leave_no_reply_behind() {
        let token = Arc::new(());
        let addr = Counter::start(token.clone()).await.expect("it starts");
        let idle = Arc::strong_count(&token);
        for _ in 0..10_000 {
            drop(addr.call(Count::Give, LONG).await.expect("a reply"));
        }
        assert_eq!(Arc::strong_count(&token), idle, "after the finished calls");
        let time = Duration::from_millis(1);
        for _ in 0..10_000 {
            assert_eq!(addr.call(Count::Keep, time).await.unwrap_err(), CallError::Timeout(time));
        }
        addr.cast(Count::GiveLate).expect("it lives");
        drop(addr.call(Count::Give, LONG).await.expect("a reply"));
        assert_eq!(Arc::strong_count(&token), idle, "after the calls whose time was up");
        for _ in 0..10_000 {
            // Dropped when the message is on its way: the reply comes to nobody.
            tokio::select! {
                biased;
                reply = addr.call(Count::Give, LONG) => panic!("nobody ran the server yet: {reply:?}"),
                () = std::future::ready(()) => {}
            }
        }
        drop(addr.call(Count::Give, LONG).await.expect("a reply"));
        assert_eq!(Arc::strong_count(&token), idle, "after the calls that were given up");
    }
}

mod terminate {
    //! When `terminate` runs, and with which reason.

    use super::*;

    #[tokio::test]
    async fn it_runs_when_the_server_stops_whatever_the_reason() {
        for reason in [ExitReason::Normal, ExitReason::Shutdown, ExitReason::shutdown_with("left"), boom()] {
            let plan = Plan::default();
            let addr = subject(plan.clone()).await;
            addr.cast(Ask::Stop(reason.clone())).expect("it lives");
            assert_eq!(within("its end", addr.wait()).await, reason);
            assert_eq!(lines(&plan.journal), [format!("terminate: {reason}")]);
        }
    }

    #[tokio::test]
    async fn it_runs_after_a_panic_in_a_handler_with_the_panic_as_reason() {
        let plan = Plan::default();
        let addr = subject(plan.clone()).await;
        assert_call_panicked(within("an answer", addr.call(Ask::Panic, LONG)).await, "boom");
        assert_eq!(lines(&plan.journal), ["terminate: panic: boom"]);
    }

    #[tokio::test]
    async fn it_runs_after_a_panic_in_a_handler_that_is_no_async_fn() {
        let plan = Plan::default();
        let addr = subject(plan.clone()).await;
        assert_call_panicked(within("an answer", addr.call(Ask::PanicEarly, LONG)).await, "early boom");
        assert_eq!(lines(&plan.journal), ["terminate: panic: early boom"]);
    }

    #[tokio::test]
    async fn it_does_not_run_on_an_exit_signal_that_is_not_trapped() {
        type Signal = fn(Pid) -> bool;
        let table: [(Signal, ExitReason); 3] = [
            (|pid| process::exit(pid, boom()), boom()),
            (|pid| process::exit(pid, ExitReason::Shutdown), ExitReason::Shutdown),
            (process::kill, ExitReason::Killed),
        ];
        for (signal, end) in table {
            let plan = Plan::default();
            let addr = subject(plan.clone()).await;
            assert!(signal(addr.pid()));
            assert_eq!(within("its end", addr.wait()).await, end);
            assert_eq!(lines(&plan.journal), [""; 0]);
        }
    }

    #[tokio::test]
    async fn a_trapped_exit_of_anybody_but_the_parent_goes_to_handle_info() {
        let plan = Plan { trap_exit: true, ..Plan::default() };
        let addr = subject(plan.clone()).await;
        let (to, reason) = (addr.pid(), boom());
        let stranger = spawn(move |_: Context<()>| async move {
            process::exit(to, reason);
        });
        within("the signal", stranger.wait()).await;
        process::exit(addr.pid(), ExitReason::Normal);
        let echo = within("a reply", addr.call(|reply_to| Ask::Echo(1, reply_to), LONG)).await;
        assert_eq!(echo, Ok(1), "it lives");
        assert_eq!(lines(&plan.journal), ["exit signal: boom", "exit signal: normal"]);
        process::kill(addr.pid());
        assert_eq!(within("its end", addr.wait()).await, ExitReason::Killed);
        assert_eq!(lines(&plan.journal).len(), 2, "a kill is neither heard nor terminated");
    }
}
