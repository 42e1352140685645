//! Servers of ours among ractor's actors: messages and calls come in, ends go out, and back.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use heronry::inspect;
use heronry::prelude::*;
use heronry::process;
use heronry::ractor::{ExitError, Hosted, reply_to};
use ractor::rpc::CallResult;
use ractor::{Actor, ActorProcessingErr, ActorRef, RpcReplyPort, SpawnErr, SupervisionEvent};
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::support::within;

type Journal = Arc<Mutex<Vec<String>>>;

#[derive(Clone, Default)]
struct Args {
    journal: Journal,
    init: Option<ExitReason>,
    goodbye: Duration,
}

struct Counter {
    count: u64,
    args: Args,
}

enum Msg {
    Add(u64),
    Get(ReplyTo<u64>),
    GetByPort(RpcReplyPort<u64>),
    Forget(ReplyTo<u64>),
    Stop(ExitReason),
    Panic,
}

impl Server for Counter {
    type Args = Args;
    type Msg = Msg;

    async fn init(args: Args, ctx: &mut Context<Msg>) -> Init<Self> {
        ctx.trap_exit(true);
        match args.init {
            Some(reason) => Err(reason),
            None => Ok(Self { count: 0, args }),
        }
    }

    async fn handle(&mut self, msg: Msg, _: &mut Context<Msg>) -> Next {
        match msg {
            Msg::Add(n) => self.count += n,
            Msg::Get(reply_to) => reply_to.send(self.count),
            Msg::GetByPort(port) => port.send(self.count).expect("the caller waits"),
            Msg::Forget(reply_to) => drop(reply_to),
            Msg::Stop(reason) => return Next::Stop(reason),
            Msg::Panic => panic!("the counter panics"),
        }
        Next::Continue
    }

    async fn terminate(&mut self, reason: &ExitReason, _: &mut Context<Msg>) {
        tokio::time::sleep(self.args.goodbye).await;
        self.args.journal.lock().expect("no panic before").push(format!("terminate: {reason}"));
    }
}

/// A hosted counter, and its server's address.
async fn counter(args: Args) -> (ActorRef<Msg>, Addr<Msg>) {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let name = format!("hosted-{}", COUNT.fetch_add(1, Ordering::Relaxed));
    let options = ServerOptions::new().name(&name).expect("a name");
    let (actor, _) = within("the start", Actor::spawn(None, Hosted::<Counter>::with(options), args))
        .await
        .expect("it starts");
    (actor, process::whereis(&name).expect("the server is named"))
}

/// A ractor supervisor that hands on how its children end.
struct Parent;

impl Actor for Parent {
    type Msg = ();
    type State = mpsc::UnboundedSender<Result<Option<String>, ActorProcessingErr>>;
    type Arguments = Self::State;

    async fn pre_start(
        &self,
        _: ActorRef<()>,
        heard: Self::State,
    ) -> Result<Self::State, ActorProcessingErr> {
        Ok(heard)
    }

    async fn handle_supervisor_evt(
        &self,
        _: ActorRef<()>,
        event: SupervisionEvent,
        heard: &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        match event {
            SupervisionEvent::ActorTerminated(_, _, reason) => heard.send(Ok(reason))?,
            SupervisionEvent::ActorFailed(_, error) => heard.send(Err(error))?,
            _ => {}
        }
        Ok(())
    }
}

#[tokio::test]
async fn casts_and_calls_of_ractor_reach_the_server() {
    let (actor, addr) = counter(Args::default()).await;
    actor.cast(Msg::Add(40)).expect("it lives");
    actor.cast(Msg::Add(2)).expect("it lives");
    let by_port = within("a reply", actor.call(Msg::GetByPort, None)).await;
    assert!(matches!(by_port, Ok(CallResult::Success(42))), "{by_port:?}");
    let by_slot = within("a reply", actor.call(|port| Msg::Get(reply_to(port)), None)).await;
    assert!(matches!(by_slot, Ok(CallResult::Success(42))), "{by_slot:?}");
    let none = within("no reply", actor.call(|port| Msg::Forget(reply_to(port)), None)).await;
    assert!(matches!(none, Ok(CallResult::SenderError)), "{none:?}");
    assert_eq!(addr.call(Msg::Get, Duration::from_secs(5)).await, Ok(42));
    actor.stop(None);
    within("the end", addr.wait()).await;
}

#[tokio::test]
async fn a_ractor_supervisor_sees_each_exit_reason() {
    type Check = fn(Result<Option<String>, ActorProcessingErr>) -> bool;
    fn failed(end: Result<Option<String>, ActorProcessingErr>) -> Option<ExitReason> {
        Some(end.err()?.downcast_ref::<ExitError>()?.reason().clone())
    }
    let boom = || ExitReason::custom("boom");
    let table: [(&str, Msg, Check); 5] = [
        ("normal", Msg::Stop(ExitReason::Normal), |end| matches!(end, Ok(None))),
        ("shutdown", Msg::Stop(ExitReason::Shutdown), |end| {
            end.is_ok_and(|why| why.as_deref() == Some("shutdown"))
        }),
        ("left", Msg::Stop(ExitReason::shutdown_with("left")), |end| {
            end.is_ok_and(|why| why.as_deref() == Some("shutdown: left"))
        }),
        ("custom", Msg::Stop(boom()), |end| failed(end) == Some(ExitReason::custom("boom"))),
        ("panic", Msg::Panic, |end| matches!(failed(end), Some(ExitReason::Panic(_)))),
    ];
    for (name, msg, check) in table {
        let (heard, mut ends) = mpsc::unbounded_channel();
        let (parent, _) = Actor::spawn(None, Parent, heard).await.expect("it starts");
        let spawned =
            Actor::spawn_linked(None, Hosted::<Counter>::new(), Args::default(), parent.get_cell()).await;
        let (actor, task) = spawned.expect("it starts");
        actor.cast(msg).expect("it lives");
        let end = within(name, ends.recv()).await.expect("the parent lives");
        let shown = format!("{end:?}");
        assert!(check(end), "{name}: {shown}");
        within("the actor's task", task).await.expect("no panic");
        parent.stop(None);
    }
}

#[tokio::test]
async fn a_killed_server_is_a_failed_actor_and_a_killed_actor_a_killed_server() {
    let (actor, addr) = counter(Args::default()).await;
    process::kill(addr.pid());
    within("the end of the actor", actor.wait(None)).await.expect("no time is set");

    let (actor, addr) = counter(Args::default()).await;
    actor.kill();
    assert_eq!(within("the end of the server", addr.wait()).await, ExitReason::Killed);

    // With the supervisor of the actor, too.
    let (heard, _ends) = mpsc::unbounded_channel();
    let (parent, _) = Actor::spawn(None, Parent, heard).await.expect("it starts");
    let (actor, addr) = counter(Args::default()).await;
    actor.link(parent.get_cell());
    parent.stop(None);
    assert_eq!(within("the end of the server", addr.wait()).await, ExitReason::Killed);
}

#[tokio::test(start_paused = true)]
async fn a_stopped_actor_stops_its_server_in_order_or_kills_it_after_five_seconds() {
    for (goodbye, in_order) in [(0, true), (4, true), (6, false)] {
        let goodbye = Duration::from_secs(goodbye);
        let args = Args { goodbye, ..Args::default() };
        let (actor, addr) = counter(args.clone()).await;
        let before = Instant::now();
        actor.stop(None);
        actor.wait(None).await.expect("no time is set");
        assert_eq!(before.elapsed().as_secs(), goodbye.as_secs().min(5));
        let expect = if in_order { ExitReason::Shutdown } else { ExitReason::Killed };
        assert_eq!(addr.exit_reason(), Some(expect));
        let journal = args.journal.lock().expect("no panic before").clone();
        assert_eq!(journal == ["terminate: shutdown"], in_order, "{journal:?}");
    }
}

#[tokio::test]
async fn an_init_that_fails_fails_the_spawn() {
    let args = Args { init: Some(ExitReason::custom("no luck")), ..Args::default() };
    let spawned = Actor::spawn(None, Hosted::<Counter>::new(), args).await;
    let Err(SpawnErr::StartupFailed(error)) = spawned.map(drop) else { panic!("it started") };
    assert_eq!(error.downcast_ref(), Some(&ExitError::new(ExitReason::custom("no luck"))));
}

/// A server whose `init` never ends.
struct Stuck;

impl Server for Stuck {
    type Args = ();
    type Msg = ();

    async fn init((): (), _: &mut Context<()>) -> Init<Self> {
        std::future::pending().await
    }

    async fn handle(&mut self, (): (), _: &mut Context<()>) -> Next {
        Next::Continue
    }
}

#[tokio::test]
async fn a_spawn_that_is_given_up_leaves_no_server() {
    let options = ServerOptions::new().name("hosted-stuck").expect("a name");
    let spawning = Actor::spawn(None, Hosted::<Stuck>::with(options), ());
    assert!(tokio::time::timeout(Duration::from_millis(10), spawning).await.is_err());
    crate::support::eventually("its end", || process::whereis_pid("hosted-stuck").is_none()).await;
}

#[tokio::test]
async fn a_hosted_server_under_a_supervisor_of_ours_keeps_its_reason_and_its_place() {
    let options = ServerOptions::new().label("counter");
    let host =
        heronry::ractor::start(Hosted::<Counter>::with(options), Args::default()).await.expect("it starts");
    host.send(Msg::Add(42)).expect("it lives");
    assert_eq!(host.call(Msg::Get, Duration::from_secs(5)).await, Ok(42));
    let nodes = inspect::tree().nodes;
    let at = nodes.iter().position(|node| node.pid == host.pid()).expect("it is in the tree");
    assert_eq!((nodes[at + 1].label.as_str(), nodes[at + 1].depth), ("counter", nodes[at].depth + 1));
    host.send(Msg::Stop(ExitReason::custom("boom"))).expect("it lives");
    assert_eq!(within("its end", host.wait()).await, ExitReason::custom("boom"));
}
