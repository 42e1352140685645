//! Ractor actors as children of our supervisors: whatever holds for a process holds for them.

use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, mpsc};
use std::time::Duration;

use heronry::inspect;
use heronry::prelude::*;
use heronry::process::{self, LongSchedule, SendError, SpawnOptions};
use heronry::ractor::FORWARDED_MAX;
use heronry::supervisor::SupervisorRef;
use heronry::telemetry;
use ractor::{Actor, ActorCell, ActorProcessingErr, ActorRef};
use tokio::sync::{Semaphore, oneshot};
use tokio::time::Instant;

use crate::support::{eventually, within};

const PATIENCE: Duration = Duration::from_secs(5);

/// An actor that does what the message says.
struct Puppet {
    /// How long `post_stop` takes, and where it notes that it ran to its end.
    goodbye: Duration,
    journal: Journal,
}

type Journal = Arc<Mutex<Vec<&'static str>>>;

fn noted(journal: &Journal) -> MutexGuard<'_, Vec<&'static str>> {
    journal.lock().expect("nobody panics with the journal")
}

enum Act {
    Cell(ReplyTo<ActorCell>),
    SelfPid(ReplyTo<Option<Pid>>),
    SpawnChild(ReplyTo<Pid>),
    Forget(ReplyTo<()>),
    Panic(Option<ReplyTo<()>>),
    Fail(Option<ReplyTo<()>>),
    Wait(Arc<Semaphore>),
    /// Says that it is there, and then blocks its thread.
    Block(oneshot::Sender<()>, mpsc::Receiver<()>),
    Note,
}

impl Puppet {
    fn new() -> (Self, ()) {
        (Self { goodbye: Duration::ZERO, journal: Journal::default() }, ())
    }
}

impl Actor for Puppet {
    type Msg = Act;
    type State = ();
    type Arguments = ();

    async fn pre_start(&self, _: ActorRef<Act>, (): ()) -> Result<(), ActorProcessingErr> {
        Ok(())
    }

    async fn post_stop(&self, _: ActorRef<Act>, _: &mut ()) -> Result<(), ActorProcessingErr> {
        tokio::time::sleep(self.goodbye).await;
        noted(&self.journal).push("goodbye");
        Ok(())
    }

    async fn handle(&self, myself: ActorRef<Act>, act: Act, _: &mut ()) -> Result<(), ActorProcessingErr> {
        match act {
            Act::Cell(reply_to) => reply_to.send(myself.get_cell()),
            Act::SelfPid(reply_to) => reply_to.send(process::self_pid()),
            Act::SpawnChild(reply_to) => {
                let child = SpawnOptions::new().label("grandchild");
                reply_to.send(child.spawn(|_: Context<()>| std::future::pending::<()>()).pid());
            }
            Act::Forget(reply_to) => drop(reply_to),
            Act::Block(there, gate) => {
                there.send(()).expect("somebody waits");
                gate.recv()?;
            }
            Act::Panic(_kept) => panic!("the puppet panics"),
            Act::Fail(_kept) => return Err("the puppet fails".into()),
            Act::Wait(gate) => gate.acquire().await?.forget(),
            Act::Note => noted(&self.journal).push("noted"),
        }
        Ok(())
    }
}

async fn puppet() -> Addr<Act> {
    let (actor, args) = Puppet::new();
    within("the start", heronry::ractor::start(actor, args)).await.expect("it starts")
}

async fn ask<T: Send + 'static>(addr: &Addr<Act>, act: impl FnOnce(ReplyTo<T>) -> Act) -> T {
    addr.call(act, PATIENCE).await.expect("an answer")
}

async fn under(spec: ChildSpec) -> SupervisorRef {
    within("the start", Supervisor::one_for_one().label("mixed").child(spec).start())
        .await
        .expect("it starts")
}

async fn idle(mut ctx: Context<()>) {
    ctx.receive().await;
}

/// The lines below `root` in the tree: label and restarts.
fn below(root: Pid) -> Vec<(String, u32)> {
    let nodes = inspect::tree().nodes;
    let at = nodes.iter().position(|node| node.pid == root).expect("the root is in the tree");
    let depth = nodes[at].depth;
    let below = nodes[at + 1..].iter().take_while(|node| node.depth > depth);
    below.map(|node| (node.label.to_string(), node.restarts)).collect()
}

async fn pids(tree: &SupervisorRef) -> Vec<Pid> {
    let children = tree.which_children().await.expect("the supervisor lives");
    children.iter().map(|child| child.pid.unwrap_or_else(|| panic!("{} does not run", child.id))).collect()
}

/// Kills a process and waits for its end. Tests run on one thread, so its supervisor has the news by then.
async fn kill<M: Send + 'static>(name: &str) {
    let addr: Addr<M> = process::whereis(name).expect("the child is named");
    assert!(process::kill(addr.pid()));
    assert_eq!(within("the end", addr.wait()).await, ExitReason::Killed);
}

#[tokio::test]
async fn an_actor_and_a_process_are_each_killed_and_each_restarted_under_one_supervisor() {
    let tree = Supervisor::one_for_one()
        .label("mixed")
        .intensity(4, PATIENCE)
        .child(ChildSpec::ractor("actor", Puppet::new).named("child-mixed-actor"))
        .child(ChildSpec::process("process", idle).named("child-mixed-process"));
    let tree = tree.start().await.expect("it starts");
    let line = |label: &str, restarts| (label.to_owned(), restarts);
    assert_eq!(below(tree.pid()), [line("actor (ractor)", 0), line("process", 0)]);

    let before = pids(&tree).await;
    kill::<Act>("child-mixed-actor").await;
    let between = pids(&tree).await;
    assert!(between[0] != before[0] && between[1] == before[1], "{before:?}, {between:?}");
    assert_eq!(process::whereis_pid("child-mixed-actor"), Some(between[0]));
    kill::<()>("child-mixed-process").await;
    let after = pids(&tree).await;
    assert!(after[0] == between[0] && after[1] != between[1], "{between:?}, {after:?}");
    kill::<Act>("child-mixed-actor").await;
    pids(&tree).await;
    assert_eq!(below(tree.pid()), [line("process", 1), line("actor (ractor)", 2)]);

    // The actor itself is killed, by ractor's means.
    let actor: Addr<Act> = process::whereis("child-mixed-actor").expect("it is named");
    ask(&actor, Act::Cell).await.kill();
    assert_eq!(within("the end of the process", actor.wait()).await, ExitReason::Killed);
    pids(&tree).await;
    assert_eq!(below(tree.pid()), [line("process", 1), line("actor (ractor)", 3)]);
    tree.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_waits_until_a_killed_actor_has_ended() {
    let tree = under(ChildSpec::ractor("blocked", Puppet::new).named("child-blocked")).await;
    let actor: Addr<Act> = process::whereis("child-blocked").expect("it is named");
    let ((there, is_there), (gate, gated)) = (oneshot::channel(), mpsc::channel());
    actor.send(Act::Block(there, gated)).unwrap();
    within("the block", is_there).await.unwrap();
    assert!(process::kill(actor.pid()));
    within("the end of the process", actor.wait()).await;
    let mut children = pin!(tree.which_children());
    let early = tokio::time::timeout(Duration::from_millis(100), &mut children).await;
    assert!(early.is_err(), "its supervisor should wait for the actor: {early:?}");
    gate.send(()).unwrap();
    let children = within("the restart", children).await.expect("the supervisor lives");
    assert!(children[0].pid.is_some() && children[0].restarts == 1, "{children:?}");
    tree.stop().await;
}

#[tokio::test]
async fn each_end_of_an_actor_is_an_exit_reason_of_its_process() {
    type End = fn(&Addr<Act>, &ActorCell);
    let table: [(&str, End, &str); 8] = [
        ("panic", |addr, _| addr.send(Act::Panic(None)).unwrap(), "panic: the puppet panics at "),
        ("error", |addr, _| addr.send(Act::Fail(None)).unwrap(), "error: the puppet fails"),
        ("stop", |_, cell| cell.stop(None), "normal"),
        ("stop, why", |_, cell| cell.stop(Some("left".to_owned())), "shutdown: left"),
        ("stop, killed", |_, cell| cell.stop(Some("killed".to_owned())), "shutdown: killed"),
        ("drain", |_, cell| cell.drain().unwrap(), "shutdown: Drained"),
        ("kill", |_, cell| cell.kill(), "killed"),
        ("exit", |addr, _| assert!(process::exit(addr.pid(), ExitReason::custom("boom"))), "boom"),
    ];
    for (name, end, expect) in table {
        let addr = puppet().await;
        let cell = ask(&addr, Act::Cell).await;
        end(&addr, &cell);
        let reason = within(name, addr.wait()).await.to_string();
        assert!(reason.starts_with(expect), "{name}: {reason}");
        assert_eq!(reason.contains("child.rs:"), name == "panic", "{name}: {reason}");
        within("the end of the actor", cell.wait(None)).await.unwrap();
    }
}

#[tokio::test]
async fn links_and_monitors_see_the_end_of_an_actor_and_a_link_ends_it() {
    let actor = puppet().await;
    let (linked, watched) = (actor.pid(), actor.pid());
    let (ready, is_ready) = oneshot::channel();
    let watcher = spawn(move |mut ctx: Context<()>| async move {
        ctx.monitor(watched);
        ready.send(()).unwrap();
        match ctx.receive().await {
            Received::Info(Info::Down(down)) => down.reason,
            other => panic!("no Down: {other:?}"),
        }
    });
    is_ready.await.unwrap();
    let (ready, is_ready) = oneshot::channel();
    let friend = spawn(move |ctx: Context<()>| async move {
        ctx.link(linked);
        ready.send(()).unwrap();
        std::future::pending::<()>().await
    });
    is_ready.await.unwrap();
    let cell = ask(&actor, Act::Cell).await;
    process::exit(friend.pid(), ExitReason::custom("boom"));
    assert_eq!(within("the actor's process", actor.wait()).await, ExitReason::custom("boom"));
    assert_eq!(within("the watcher", watcher.wait()).await, ExitReason::custom("boom"));
    within("the end of the actor", cell.wait(None)).await.unwrap();
}

#[tokio::test]
async fn a_normal_exit_of_a_link_is_none_of_the_actors_business() {
    let actor = puppet().await;
    let pid = actor.pid();
    let friend = spawn(move |ctx: Context<()>| async move { ctx.link(pid) });
    assert_eq!(friend.wait().await, ExitReason::Normal);
    assert_eq!(ask(&actor, Act::SelfPid).await, Some(pid));
}

#[tokio::test(start_paused = true)]
async fn a_supervisor_waits_for_post_stop_and_kills_when_time_is_up() {
    let seconds = Duration::from_secs;
    let table = [
        (Shutdown::After(seconds(3)), seconds(2), seconds(2), true),
        (Shutdown::After(seconds(3)), seconds(4), seconds(3), false),
        (Shutdown::Infinity, seconds(100_000), seconds(100_000), true),
        (Shutdown::BrutalKill, seconds(1), seconds(0), false),
    ];
    for (shutdown, goodbye, takes, in_order) in table {
        let journal = Journal::default();
        let copy = journal.clone();
        let describe = move || (Puppet { goodbye, journal: copy.clone() }, ());
        let tree = under(ChildSpec::ractor("slow", describe).shutdown(shutdown)).await;
        let before = Instant::now();
        tree.stop().await;
        let took = before.elapsed();
        assert!(took >= takes && took < takes + seconds(1), "{shutdown:?}: {took:?}");
        tokio::time::sleep(seconds(10)).await;
        assert_eq!(!noted(&journal).is_empty(), in_order, "{shutdown:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_actor_that_does_not_heed_a_link_is_killed_after_five_seconds() {
    let actor = puppet().await;
    let cell = ask(&actor, Act::Cell).await;
    actor.send(Act::Wait(Arc::new(Semaphore::new(0)))).unwrap();
    tokio::task::yield_now().await;
    let before = Instant::now();
    process::exit(actor.pid(), ExitReason::custom("boom"));
    assert_eq!(actor.wait().await, ExitReason::Killed);
    assert_eq!(before.elapsed().as_secs(), 5);
    within("the end of the actor", cell.wait(None)).await.unwrap();
}

#[tokio::test]
async fn a_stop_runs_post_stop_after_what_waits() {
    let journal = Journal::default();
    let actor = Puppet { goodbye: Duration::ZERO, journal: journal.clone() };
    let addr = heronry::ractor::start(actor, ()).await.expect("it starts");
    let left = ExitReason::shutdown_with("left");
    assert_eq!(addr.stop(left.clone(), PATIENCE).await, Ok(()));
    assert_eq!(addr.exit_reason(), Some(left));
    assert_eq!(*noted(&journal), ["goodbye"]);
}

/// What the watchdog tells of a process.
fn long_schedules(pid: Pid) -> (telemetry::HandlerId, mpsc::Receiver<Duration>) {
    let (tell, told) = mpsc::channel();
    let handler = telemetry::attach(move |event: &dyn telemetry::Event| {
        let event: &dyn std::any::Any = event;
        if let Some(long) = event.downcast_ref::<LongSchedule>().filter(|long| long.pid == pid && long.ended)
        {
            let _ = tell.send(long.duration);
        }
    });
    (handler, told)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_watchdog_names_an_actor_that_holds_a_thread_and_no_job_of_a_pool() {
    const LONG: Duration = Duration::from_millis(100);
    let addr = puppet().await;
    let pool = heronry::ractor::Pool::new().workers(1).start().await.expect("it starts");
    let ((actor_handler, of_actor), (pool_handler, of_pool)) =
        (long_schedules(addr.pid()), long_schedules(pool.pid()));
    let ((there, is_there), (_gate, gated)) = (oneshot::channel(), mpsc::channel::<()>());
    // A gate that never opens, for a while.
    let held = pool.run(move || gated.recv_timeout(LONG)).await;
    assert_eq!(held, Ok(Err(mpsc::RecvTimeoutError::Timeout)));
    let (gate, gated) = mpsc::channel();
    addr.send(Act::Block(there, gated)).unwrap();
    is_there.await.unwrap();
    tokio::time::sleep(LONG).await;
    gate.send(()).unwrap();
    let told = tokio::task::spawn_blocking(move || of_actor.recv_timeout(PATIENCE)).await.unwrap();
    assert!(told.is_ok_and(|duration| duration >= LONG / 2), "{told:?}");
    assert_eq!(of_pool.try_recv(), Err(mpsc::TryRecvError::Empty));
    telemetry::detach(actor_handler);
    telemetry::detach(pool_handler);
    pool.stop().await;
    process::kill(addr.pid());
}

#[tokio::test]
async fn calls_hear_the_reason_of_the_actors_end_or_that_there_is_no_reply() {
    let addr = puppet().await;
    assert_eq!(addr.call(Act::Forget, PATIENCE).await, Err(CallError::NoReply));

    let panicked = addr.call(|reply_to| Act::Panic(Some(reply_to)), PATIENCE).await;
    assert!(matches!(panicked, Err(CallError::Exited(ExitReason::Panic(_)))), "{panicked:?}");

    let addr = puppet().await;
    let failed = addr.call(|reply_to| Act::Fail(Some(reply_to)), PATIENCE).await;
    assert!(matches!(failed, Err(CallError::Exited(ExitReason::Error(_)))), "{failed:?}");

    // Not delivered any more: the actor drains.
    let addr = puppet().await;
    let (cell, gate) = (ask(&addr, Act::Cell).await, Arc::new(Semaphore::new(0)));
    addr.send(Act::Wait(gate.clone())).unwrap();
    tokio::task::yield_now().await;
    cell.drain().unwrap();
    let late = tokio::spawn({
        let addr = addr.clone();
        async move { addr.call(Act::SelfPid, PATIENCE).await }
    });
    tokio::task::yield_now().await;
    gate.add_permits(1);
    let late = within("the answer", late).await.unwrap();
    assert_eq!(late, Err(CallError::Exited(ExitReason::shutdown_with("Drained"))));
}

#[tokio::test]
async fn what_an_actor_does_its_process_does() {
    let addr = puppet().await;
    assert_eq!(ask(&addr, Act::SelfPid).await, Some(addr.pid()));
    let grandchild = ask(&addr, Act::SpawnChild).await;
    assert_eq!(below(addr.pid()), [("grandchild".to_owned(), 0)]);
    process::kill(grandchild);
    process::kill(addr.pid());
}

#[tokio::test]
async fn a_stuck_actor_holds_as_many_messages_as_its_window_and_its_mailbox() {
    const MAILBOX: usize = 10;
    let journal = Journal::default();
    let (copy, (sender, receiver)) = (journal.clone(), oneshot::channel());
    let sender = Mutex::new(Some(sender));
    let spec = ChildSpec::new("stuck", move |spawner| {
        let actor = Puppet { goodbye: Duration::ZERO, journal: copy.clone() };
        let sender = sender.lock().unwrap().take();
        async move {
            let spawner = spawner.options(|options| options.mailbox_limit(MAILBOX));
            let addr = heronry::ractor::start_child(spawner, actor, ()).await?;
            let pid = addr.pid();
            drop(sender.map(|sender| sender.send(addr)));
            Ok(pid)
        }
    });
    let tree = under(spec).await;
    let addr: Addr<Act> = receiver.await.unwrap();
    let gate = Arc::new(Semaphore::new(0));
    addr.send(Act::Wait(gate.clone())).unwrap();
    let mut taken = 0;
    loop {
        match addr.send(Act::Note) {
            Ok(()) => taken += 1,
            Err(SendError::Full(_))
                if addr.mailbox_len() == MAILBOX && taken == FORWARDED_MAX - 1 + MAILBOX =>
            {
                break;
            }
            // The process has yet to pass on what its mailbox holds.
            Err(SendError::Full(_)) => {}
            Err(other) => panic!("{other}"),
        }
        assert!(taken <= FORWARDED_MAX - 1 + MAILBOX, "{taken} messages wait");
        tokio::task::yield_now().await;
    }
    gate.add_permits(1);
    eventually("all that waited", || noted(&journal).len() == taken).await;
    assert_eq!(ask(&addr, Act::SelfPid).await, Some(addr.pid()));
    tree.stop().await;
}

#[tokio::test]
async fn an_actor_is_found_by_its_name_in_both_registries() {
    let tree = under(ChildSpec::ractor("named", Puppet::new).named("child-both-registries")).await;
    let addr: Addr<Act> = process::whereis("child-both-registries").expect("here");
    let cell = ractor::registry::where_is("child-both-registries").expect("there");
    assert_eq!(ask(&addr, Act::Cell).await.get_id(), cell.get_id());

    let taken = Supervisor::one_for_one()
        .child(ChildSpec::ractor("other", Puppet::new).named("child-both-registries"))
        .start()
        .await;
    assert!(taken.is_err(), "the name is taken");
    tree.stop().await;
    assert!(ractor::registry::where_is("child-both-registries").is_none());
}

/// An actor that does not start.
struct Stillborn {
    panics: bool,
}

impl Actor for Stillborn {
    type Msg = ();
    type State = ();
    type Arguments = ();

    async fn pre_start(&self, _: ActorRef<()>, (): ()) -> Result<(), ActorProcessingErr> {
        if self.panics { panic!("no start") } else { Err("no luck".into()) }
    }
}

#[tokio::test]
async fn an_actor_that_does_not_start_says_why() {
    for (panics, expect) in [(true, "panic: no start at "), (false, "error: no luck")] {
        let started = heronry::ractor::start(Stillborn { panics }, ()).await;
        let Err(StartError::Init(reason)) = started else { panic!("{started:?}") };
        assert!(reason.to_string().starts_with(expect), "{reason}");
    }
}

#[tokio::test]
async fn an_actor_that_another_supervisor_takes_over_still_ends_its_process() {
    let (addr, thief) = (puppet().await, puppet().await);
    let (cell, thief_cell) = (ask(&addr, Act::Cell).await, ask(&thief, Act::Cell).await);
    cell.link(thief_cell);
    cell.stop(None);
    let reason = within("the end", addr.wait()).await;
    assert!(reason.to_string().contains("another supervisor"), "{reason}");
    process::kill(thief.pid());
}
