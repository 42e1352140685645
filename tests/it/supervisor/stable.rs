//! Stable addresses: what becomes of a child's mail when the child does not stay the same.

use std::any::Any;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use heronry::prelude::*;
use heronry::process::{
    self, DeadLetters, MessageQuarantined, Overflow, RegisterError, SendError, StableAddr,
};
use heronry::supervisor::{Backoff, ChildError, SupervisorRef};
use heronry::telemetry::{self, Event, HandlerId};
use tokio::time::sleep;

use super::lab::{OFTEN, PERIOD, child, idle, pid, start};
use crate::support::{eventually, within};

/// Nobody panics with what is shared here.
fn locked<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().expect("nobody panics with it")
}

const SECOND: Duration = Duration::from_secs(1);

/// What the child is told.
enum Msg {
    Note(u32),
    Crash,
    Stop(ExitReason),
    /// Answers with all that was noted, by any incarnation.
    Noted(ReplyTo<Vec<u32>>),
    /// Crashes over a call.
    Fail(ReplyTo<()>),
    /// Forgets a call and goes on.
    Drop(ReplyTo<()>),
    /// Gives a call away to a task that never answers.
    Keep(ReplyTo<()>),
    /// Waits until told to go on.
    Hold(tokio::sync::oneshot::Receiver<()>),
}

/// A copy of what can come back.
fn copy(msg: &Msg) -> Option<Msg> {
    match msg {
        Msg::Note(n) => Some(Msg::Note(*n)),
        Msg::Crash => Some(Msg::Crash),
        Msg::Stop(reason) => Some(Msg::Stop(reason.clone())),
        Msg::Noted(_) | Msg::Fail(_) | Msg::Drop(_) | Msg::Keep(_) | Msg::Hold(_) => None,
    }
}

struct Notes(Arc<Mutex<Vec<u32>>>);

impl Server for Notes {
    type Args = Arc<Mutex<Vec<u32>>>;
    type Msg = Msg;

    async fn init(noted: Self::Args, _: &mut Context<Msg>) -> Init<Self> {
        Ok(Self(noted))
    }

    async fn handle(&mut self, msg: Msg, _: &mut Context<Msg>) -> Next {
        match msg {
            Msg::Note(n) => locked(&self.0).push(n),
            Msg::Crash => panic!("told to crash"),
            Msg::Stop(reason) => return Next::Stop(reason),
            Msg::Noted(reply_to) => reply_to.send(locked(&self.0).clone()),
            Msg::Fail(_reply_to) => panic!("told to fail"),
            Msg::Drop(reply_to) => drop(reply_to),
            Msg::Keep(reply_to) => {
                tokio::spawn(async move {
                    sleep(SECOND * 100).await;
                    reply_to.send(());
                });
            }
            Msg::Hold(until) => drop(until.await),
        }
        Next::Continue
    }
}

fn notes(id: &'static str) -> ChildSpec {
    ChildSpec::server::<Notes>(id, Arc::default())
}

/// With a mailbox of this limit and policy.
fn bounded(limit: usize, overflow: Overflow, noted: Arc<Mutex<Vec<u32>>>) -> ChildSpec {
    ChildSpec::new("bounded", move |spawner| {
        let noted = noted.clone();
        async move {
            let spawner = spawner.options(|options| options.mailbox_limit(limit).overflow(overflow));
            Ok(spawner.spawn(|ctx| heronry::server::enter_loop::<Notes>(noted, ctx))?.pid())
        }
    })
}

fn supervisor() -> Supervisor {
    Supervisor::one_for_one().intensity(OFTEN, PERIOD)
}

/// A supervisor with this one child.
async fn alone((spec, addr): (ChildSpec, StableAddr<Msg>)) -> (SupervisorRef, StableAddr<Msg>) {
    (start(supervisor().child(spec)).await, addr)
}

async fn noted(addr: &StableAddr<Msg>) -> Vec<u32> {
    within("an answer", addr.call(Msg::Noted, SECOND * 5)).await.expect("it answers")
}

/// Sends without waiting.
fn send(addr: &StableAddr<Msg>, messages: impl IntoIterator<Item = Msg>) {
    messages.into_iter().for_each(|msg| addr.send(msg).expect("it is taken"));
}

/// What was told of one child.
struct Told {
    handler: HandlerId,
    dead: Arc<Mutex<Vec<(usize, ExitReason)>>>,
    quarantined: Arc<Mutex<Vec<Vec<ExitReason>>>>,
}

impl Told {
    /// Hears of the child of this id.
    fn of(id: &'static str) -> Self {
        let (dead, quarantined) = (Arc::<Mutex<Vec<_>>>::default(), Arc::<Mutex<Vec<_>>>::default());
        let (all_dead, all_quarantined) = (dead.clone(), quarantined.clone());
        let handler = telemetry::attach(move |event: &dyn Event| {
            let event: &dyn Any = event;
            if let Some(letters) = event.downcast_ref::<DeadLetters>()
                && letters.label.as_str() == id
            {
                assert_eq!(letters.message, std::any::type_name::<Msg>());
                locked(&all_dead).push((letters.count, letters.reason.clone()));
            }
            if let Some(message) = event.downcast_ref::<MessageQuarantined>()
                && message.child.as_str() == id
            {
                locked(&all_quarantined).push(message.reasons.clone());
            }
        });
        Self { handler, dead, quarantined }
    }

    fn dead(&self) -> Vec<(usize, ExitReason)> {
        std::mem::take(&mut locked(&self.dead))
    }

    fn quarantined(&self) -> Vec<Vec<ExitReason>> {
        std::mem::take(&mut locked(&self.quarantined))
    }
}

impl Drop for Told {
    fn drop(&mut self) {
        telemetry::detach(self.handler);
    }
}

#[tokio::test]
async fn what_waits_when_the_child_ends_goes_to_the_next_one_in_order() {
    let told = Told::of("stable.order");
    let (tree, addr) = alone(notes("stable.order").stable()).await;
    let first = addr.addr().expect("it runs").pid();
    send(&addr, [Msg::Note(1), Msg::Crash, Msg::Note(2), Msg::Crash, Msg::Note(3), Msg::Note(4)]);
    assert_eq!(noted(&addr).await, [1, 2, 3, 4]);
    let now = addr.addr().expect("it runs").pid();
    assert_ne!(now, first);
    assert_eq!((pid(&tree, "stable.order").await, addr.mailbox_len()), (now, 0));
    assert_eq!(child(&tree, "stable.order").await.map(|child| child.restarts), Some(2));
    within("the stop", tree.stop()).await;
    assert!(told.dead().is_empty(), "nothing was lost");
}

#[tokio::test]
async fn a_call_fails_with_the_incarnation_that_was_at_it_and_no_other() {
    let (tree, addr) = alone(notes("notes").stable()).await;
    let calls = async {
        tokio::join!(
            biased;
            addr.call(Msg::Fail, SECOND),
            addr.call(Msg::Noted, SECOND),
            addr.call(Msg::Fail, SECOND),
            addr.call(Msg::Drop, SECOND),
        )
    };
    let (first, second, third, fourth) = within("the answers", calls).await;
    for failed in [first, third] {
        assert!(matches!(&failed, Err(CallError::Exited(ExitReason::Panic(_)))), "{failed:?}");
    }
    assert_eq!(second, Ok(vec![]));
    assert_eq!(fourth, Err(CallError::NoReply), "this one goes on");
    within("the stop", tree.stop()).await;
}

/// The slot may be anywhere: the caller hears of the end of the one that took the call.
#[tokio::test(start_paused = true)]
async fn a_call_that_was_given_away_fails_with_the_one_that_took_it() {
    let (tree, addr) = alone(notes("notes").stable()).await;
    let calls = async {
        tokio::join!(biased; addr.call(Msg::Keep, SECOND * 10), async {
            tokio::task::yield_now().await;
            addr.send(Msg::Stop(ExitReason::custom("enough"))).expect("it is taken");
        })
    };
    let (kept, ()) = calls.await;
    assert_eq!(kept, Err(CallError::Exited(ExitReason::custom("enough"))));
    tree.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_is_sent_while_none_runs_waits_up_to_the_limit() {
    let small = bounded(3, Overflow::Reject, Arc::default());
    let backoff = Backoff::new(SECOND, SECOND).jitter(0);
    let (tree, addr) = alone(small.backoff(backoff).stable()).await;
    send(&addr, [Msg::Crash, Msg::Note(1)]);
    sleep(SECOND / 2).await;
    assert_eq!((addr.addr().map(|addr| addr.pid()), addr.given_up()), (None, None), "it is being restarted");
    send(&addr, [Msg::Note(2), Msg::Note(3)]);
    assert_eq!(addr.mailbox_len(), 3);
    assert!(matches!(addr.send(Msg::Note(4)), Err(SendError::Full(Msg::Note(4)))));
    assert_eq!(addr.call(Msg::Noted, SECOND).await, Err(CallError::Full));
    sleep(SECOND).await;
    assert_eq!(noted(&addr).await, [1, 2, 3]);
    tree.stop().await;
}

/// Who waits for room waits for the next incarnation too.
#[tokio::test(start_paused = true)]
async fn senders_that_can_wait_wait_for_the_next_one() {
    let noted = Arc::<Mutex<Vec<u32>>>::default();
    let blocks = bounded(2, Overflow::Block, noted.clone());
    let backoff = Backoff::new(SECOND, SECOND).jitter(0);
    let (tree, addr) = alone(blocks.backoff(backoff).stable()).await;
    let senders: Vec<_> = (0..20)
        .map(|n| {
            let addr = addr.clone();
            tokio::spawn(async move {
                let msg = if n == 5 { Msg::Crash } else { Msg::Note(n) };
                addr.send_wait(msg).await.expect("it is taken, some day");
            })
        })
        .collect();
    for sender in senders {
        within("its turn", sender).await.expect("no panic");
    }
    eventually("all notes", || locked(&noted).len() == 19).await;
    tree.stop().await;
}

#[tokio::test]
async fn nobody_is_there_before_the_first_start_or_after_one_that_failed() {
    let (spec, addr) = notes("stable.never").stable::<Msg>();
    assert_eq!(addr.given_up(), Some(ExitReason::NoProc));
    assert!(matches!(addr.send(Msg::Crash), Err(SendError::NoProc(Msg::Crash))));
    let called = within("an answer", addr.call(Msg::Noted, SECOND)).await;
    assert_eq!(called, Err(CallError::Exited(ExitReason::NoProc)));
    drop(spec);

    let told = Told::of("stable.fails");
    let (begun, begins) = tokio::sync::oneshot::channel();
    let begun = Mutex::new(Some(begun));
    let fails = ChildSpec::new("stable.fails", move |spawner| {
        let begun = locked(&begun).take().expect("it starts once");
        async move {
            let body = async move |_: Context<Msg>, _ready: ReplyTo<()>| {
                begun.send(()).expect("somebody waits");
                tokio::task::yield_now().await;
                tokio::task::yield_now().await;
                ExitReason::custom("no luck")
            };
            Ok(spawner.spawn_ready(body).await?.pid())
        }
    });
    let (spec, addr) = fails.stable();
    let tree = start(supervisor()).await;
    let calls = async {
        tokio::join!(tree.start_child(spec), async {
            begins.await.expect("it begins");
            addr.call(Msg::Noted, SECOND).await
        })
    };
    let (started, called) = within("the answers", calls).await;
    assert!(matches!(started, Err(ChildError::Start(..))), "{started:?}");
    assert_eq!(called, Err(CallError::Exited(ExitReason::custom("no luck"))));
    assert_eq!(told.dead(), [(1, ExitReason::custom("no luck"))]);
    assert_eq!(addr.given_up(), Some(ExitReason::custom("no luck")));
    within("the stop", tree.stop()).await;
}

/// However a child is given up, who waits learns why, and nothing more is taken.
#[tokio::test(start_paused = true)]
async fn a_child_that_is_given_up_fails_what_waits() {
    let boom = || ExitReason::custom("boom");
    let stop = |reason: ExitReason| Msg::Stop(reason);
    type Way = (&'static str, Restart, Option<ExitReason>, ExitReason);
    let ways: [Way; 6] = [
        ("terminated", Restart::Permanent, None, ExitReason::Shutdown),
        ("intensity", Restart::Permanent, Some(boom()), boom()),
        ("intensity, transient", Restart::Transient, Some(boom()), boom()),
        ("done", Restart::Transient, Some(ExitReason::Normal), ExitReason::Normal),
        ("temporary", Restart::Temporary, Some(boom()), boom()),
        ("temporary, done", Restart::Temporary, Some(ExitReason::Normal), ExitReason::Normal),
    ];
    for (id, restart, ends, expect) in ways {
        let told = Told::of(id);
        let (spec, addr) = notes(id).restart(restart).stable();
        let tree = start(Supervisor::one_for_one().intensity(0, PERIOD).child(spec)).await;
        let (go, until) = tokio::sync::oneshot::channel();
        send(&addr, [Msg::Hold(until)]);
        if let Some(reason) = ends.clone() {
            send(&addr, [stop(reason)]);
        }
        let calls = async {
            tokio::join!(biased; addr.call(Msg::Noted, SECOND * 20), async {
                send(&addr, [Msg::Note(1), Msg::Note(2)]);
                match ends {
                    Some(_) => go.send(()).expect("it holds"),
                    None => tree.terminate_child(id).await.expect("it is there"),
                }
            })
        };
        let (called, ()) = calls.await;
        assert_eq!(called, Err(CallError::Exited(expect.clone())), "{id}");
        assert_eq!(addr.given_up(), Some(expect.clone()), "{id}");
        assert!(matches!(addr.send(Msg::Note(3)), Err(SendError::NoProc(_))), "{id}");
        assert_eq!(told.dead(), [(3, expect)], "{id}");
        tree.stop().await;
    }
}

#[tokio::test]
async fn a_child_that_is_started_again_by_request_has_its_address_again() {
    let (tree, addr) = alone(notes("notes").stable()).await;
    send(&addr, [Msg::Note(1)]);
    within("the request", tree.terminate_child("notes")).await.expect("it is there");
    assert_eq!(addr.given_up(), Some(ExitReason::Shutdown));
    within("the request", tree.restart_child("notes")).await.expect("it starts");
    send(&addr, [Msg::Note(2)]);
    assert!(noted(&addr).await.ends_with(&[2]));
    within("the request", tree.terminate_child("notes")).await.expect("it is there");
    within("the request", tree.delete_child("notes")).await.expect("it is down");
    assert_eq!(addr.given_up(), Some(ExitReason::Shutdown));
    within("the stop", tree.stop()).await;
}

#[tokio::test]
async fn killing_the_supervisor_gives_its_children_up() {
    let (tree, addr) = alone(notes("notes").stable()).await;
    let (_go, until) = tokio::sync::oneshot::channel();
    send(&addr, [Msg::Hold(until)]);
    let calls = async {
        tokio::join!(biased; addr.call(Msg::Noted, SECOND * 20), async { process::kill(tree.pid()) })
    };
    let (called, _) = within("an answer", calls).await;
    assert!(matches!(called, Err(CallError::Exited(_))), "{called:?}");
    eventually("the end", || addr.addr().is_none()).await;
    assert!(addr.given_up().is_some());
    assert!(matches!(addr.send(Msg::Note(3)), Err(SendError::NoProc(_))));
}

/// A spec outlives its supervisor where that is itself a child: so does the address.
#[tokio::test]
async fn an_address_is_valid_again_when_the_supervisor_is_restarted() {
    let (spec, addr) = notes("notes").stable();
    let branch = ChildSpec::supervisor("branch", move || {
        Supervisor::one_for_one().intensity(0, PERIOD).child(spec.clone())
    });
    let tree = start(supervisor().child(branch)).await;
    let first = addr.addr().expect("it runs");
    send(&addr, [Msg::Note(1), Msg::Crash]);
    within("its end", first.wait()).await;
    eventually("a restart", || addr.addr().is_some_and(|addr| addr != first)).await;
    send(&addr, [Msg::Note(2)]);
    assert_eq!(noted(&addr).await, [1, 2]);
    within("the stop", tree.stop()).await;
}

#[tokio::test]
async fn a_sibling_that_is_restarted_along_keeps_its_mail() {
    let (spec, addr) = notes("notes").stable();
    let tree = start(Supervisor::one_for_all().child(idle("idle")).child(spec)).await;
    let first = addr.addr().expect("it runs");
    let (_go, until) = tokio::sync::oneshot::channel();
    send(&addr, [Msg::Hold(until), Msg::Note(1), Msg::Note(2)]);
    process::kill(pid(&tree, "idle").await);
    within("its end", first.wait()).await;
    send(&addr, [Msg::Note(3)]);
    assert_eq!(noted(&addr).await, [1, 2, 3]);
    within("the stop", tree.stop()).await;
}

/// One queue: a message and the end of its sender arrive in that order, also at the next incarnation's predecessor.
#[tokio::test]
async fn messages_keep_their_place_among_signals() {
    let seen = Arc::<Mutex<Vec<String>>>::default();
    let sees = seen.clone();
    let spec = ChildSpec::process("watches", move |mut ctx: Context<(Pid, u32)>| {
        let seen = sees.clone();
        async move {
            loop {
                let what = match ctx.receive().await {
                    Received::Message((pid, 0)) => {
                        ctx.monitor(pid);
                        "monitors".to_owned()
                    }
                    Received::Message((_, n)) => n.to_string(),
                    Received::Info(_) => "down".to_owned(),
                };
                locked(&seen).push(what);
                if locked(&seen).len() == 5 {
                    return;
                }
            }
        }
    });
    let (spec, addr) = spec.restart(Restart::Transient).stable::<(Pid, u32)>();
    let tree = start(supervisor().child(spec)).await;
    let talks = addr.clone();
    let (go, goes) = tokio::sync::oneshot::channel();
    let sender = spawn(move |ctx: Context<()>| async move {
        goes.await.expect("it is told");
        for n in 1..=3 {
            talks.send((ctx.pid(), n)).expect("it is taken");
        }
    });
    addr.send((sender.pid(), 0)).expect("it is taken");
    eventually("the monitor", || locked(&seen).len() == 1).await;
    go.send(()).expect("it waits");
    eventually("the end", || locked(&seen).len() == 5).await;
    assert_eq!(*locked(&seen), ["monitors", "1", "2", "3", "down"]);
    within("the stop", tree.stop()).await;
}

#[tokio::test]
async fn a_spec_of_another_type_or_started_twice_does_not_start() {
    let (spec, _addr) = notes("notes").named("stable.other").stable::<String>();
    let tree = start(supervisor()).await;
    let refused = within("an answer", tree.start_child(spec)).await;
    let expect = StartError::Name(RegisterError::AddressOfOtherType);
    assert_eq!(refused, Err(ChildError::Start("notes".into(), expect)));
    assert_eq!(process::whereis_pid("stable.other"), None);

    let (spec, addr) = notes("notes").stable::<Msg>();
    let holder = within("the child", tree.start_child(spec.clone())).await.expect("it starts");
    let other = start(supervisor()).await;
    let refused = within("an answer", other.start_child(spec.clone())).await;
    let expect = StartError::Name(RegisterError::AddressTaken(holder));
    assert_eq!(refused, Err(ChildError::Start("notes".into(), expect)));
    assert_eq!(addr.addr().map(|addr| addr.pid()), Some(holder), "the first one has it");
    within("the stop", tree.stop()).await;
    within("the child", other.start_child(spec)).await.expect("it is free");
    within("the stop", other.stop()).await;
}

#[tokio::test]
async fn a_child_does_not_call_itself_by_its_stable_address() {
    let itself = Arc::<Mutex<Option<StableAddr<ReplyTo<Option<CallError>>>>>>::default();
    let knows = itself.clone();
    let spec = ChildSpec::process("caller", move |mut ctx: Context<ReplyTo<Option<CallError>>>| {
        let itself = knows.clone();
        async move {
            while let Received::Message(reply_to) = ctx.receive().await {
                let itself = locked(&itself).clone().expect("it is told");
                reply_to.send(itself.call(|reply_to| reply_to, SECOND).await.err());
            }
        }
    });
    let (spec, addr) = spec.stable();
    *locked(&itself) = Some(addr.clone());
    let tree = start(supervisor().child(spec)).await;
    let called = within("an answer", addr.call(|reply_to| reply_to, SECOND)).await;
    assert_eq!(called, Ok(Some(CallError::CallingSelf)));
    within("the stop", tree.stop()).await;
}

#[tokio::test]
async fn dynamic_children_have_stable_addresses_too() {
    let tree = Supervisor::dynamic().intensity(OFTEN, PERIOD).start().await.expect("it starts");
    let (spec, addr) = notes("notes").stable();
    within("the child", tree.start_child(spec)).await.expect("it starts");
    send(&addr, [Msg::Note(1), Msg::Crash, Msg::Note(2)]);
    assert_eq!(noted(&addr).await, [1, 2]);
    let now = addr.addr().expect("it runs").pid();
    within("the request", tree.terminate_child(now)).await.expect("it is there");
    assert_eq!(addr.given_up(), Some(ExitReason::Shutdown));
    within("the stop", tree.stop()).await;
}

/// Many senders on many threads, and a child that ends all the time: nothing is lost or told twice, and each sender's
/// messages keep their order.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_is_lost_or_out_of_order_whatever_the_threads_do() {
    const SENDERS: u32 = 4;
    const EACH: u32 = 5_000;
    let all = Arc::<Mutex<Vec<u32>>>::default();
    let spec = ChildSpec::server::<Notes>("notes", all.clone());
    let (spec, addr) = spec.stable::<Msg>();
    let tree = start(Supervisor::one_for_one().intensity(u32::MAX, PERIOD).child(spec)).await;
    let senders: Vec<_> = (0..SENDERS)
        .map(|sender| {
            let addr = addr.clone();
            tokio::spawn(async move {
                for n in 0..EACH {
                    addr.send(Msg::Note(sender * EACH + n)).expect("it is taken");
                    if n % 100 == 0 {
                        addr.send(Msg::Crash).expect("it is taken");
                        tokio::task::yield_now().await;
                    }
                }
            })
        })
        .collect();
    for sender in senders {
        within("the sender", sender).await.expect("no panic");
    }
    let noted = noted(&addr).await;
    for sender in 0..SENDERS {
        let of = noted.iter().filter(|n| **n / EACH == sender).copied();
        assert!(of.eq(sender * EACH..(sender + 1) * EACH), "sender {sender}");
    }
    within("the stop", tree.stop()).await;
}

#[tokio::test]
async fn a_message_comes_back_until_it_has_ended_too_many() {
    let told = Told::of("stable.poison");
    let (tree, addr) = alone(notes("stable.poison").stable_redelivering(3, copy)).await;
    send(&addr, [Msg::Note(1), Msg::Crash, Msg::Note(2)]);
    assert_eq!(noted(&addr).await, [1, 2], "what was handled does not come back");
    assert_eq!(child(&tree, "stable.poison").await.map(|child| child.restarts), Some(3));
    let quarantined = told.quarantined();
    assert_eq!(quarantined.len(), 1);
    assert_eq!(quarantined[0].len(), 3);
    assert!(quarantined[0].iter().all(|reason| matches!(reason, ExitReason::Panic(_))), "{quarantined:?}");
    assert!(told.dead().is_empty());

    // A call has no copy: it ends one incarnation.
    let failed = within("an answer", addr.call(Msg::Fail, SECOND)).await;
    assert!(matches!(failed, Err(CallError::Exited(ExitReason::Panic(_)))), "{failed:?}");
    assert_eq!(noted(&addr).await, [1, 2]);
    assert_eq!(child(&tree, "stable.poison").await.map(|child| child.restarts), Some(4));
    assert!(told.quarantined().is_empty());
    within("the stop", tree.stop()).await;
}

/// A message that ended a child in order was handled; one under which it was killed was not.
#[tokio::test]
async fn only_what_was_not_handled_comes_back() {
    for (reason, restarts) in [(ExitReason::Normal, 1), (ExitReason::custom("boom"), 2)] {
        let (tree, addr) = alone(notes("notes").stable_redelivering(2, copy)).await;
        send(&addr, [Msg::Stop(reason.clone()), Msg::Note(1)]);
        assert_eq!(noted(&addr).await, [1], "{reason}");
        assert_eq!(child(&tree, "notes").await.map(|child| child.restarts), Some(restarts), "{reason}");
        // At rest: nothing is in hand any more.
        process::kill(addr.addr().expect("it runs").pid());
        assert_eq!(noted(&addr).await, [1], "{reason}");
        within("the stop", tree.stop()).await;
    }
}

/// A child that is shut down over a message, here with its sibling, was not done with it, and the message is not to blame.
#[tokio::test]
async fn a_message_that_was_cut_off_comes_back_however_often() {
    let told = Told::of("stable.cut");
    let tries = Arc::<Mutex<u32>>::default();
    let counts = tries.clone();
    let spec = ChildSpec::process("stable.cut", move |mut ctx: Context<Msg>| {
        let tries = counts.clone();
        async move {
            ctx.receive().await;
            *locked(&tries) += 1;
            std::future::pending::<()>().await;
        }
    });
    let (spec, addr) = spec.stable_redelivering(2, copy);
    let supervisor = Supervisor::one_for_all().intensity(OFTEN, PERIOD);
    let tree = start(supervisor.child(idle("idle")).child(spec)).await;
    addr.send(Msg::Note(1)).expect("it is taken");
    for n in 1..=5 {
        eventually("the next one is at it", || *locked(&tries) == n).await;
        process::kill(pid(&tree, "idle").await);
    }
    eventually("the last one is at it", || *locked(&tries) == 6).await;
    assert!(told.quarantined().is_empty());
    // Twice killed over it, it is out.
    for n in 6..=7 {
        eventually("the next one is at it", || *locked(&tries) == n).await;
        process::kill(addr.addr().expect("it runs").pid());
    }
    eventually("the quarantine", || !locked(&told.quarantined).is_empty()).await;
    assert_eq!(told.quarantined(), [[ExitReason::Killed, ExitReason::Killed]]);
    within("the stop", tree.stop()).await;
}

/// A mailbox that is full where that is a reason to end is not kept: it would be the next one's end too.
#[tokio::test]
async fn a_mailbox_that_ended_its_child_by_being_full_is_dropped() {
    let told = Told::of("bounded");
    let spec = bounded(2, Overflow::Exit, Arc::default());
    let (tree, addr) = alone(spec.stable()).await;
    let first = addr.addr().expect("it runs");
    send(&addr, [Msg::Note(1), Msg::Note(2)]);
    assert!(addr.send(Msg::Note(3)).is_err());
    assert_eq!(within("its end", first.wait()).await, ExitReason::custom("mailbox full"));
    assert_eq!(told.dead(), [(2, ExitReason::custom("mailbox full"))]);
    eventually("a restart", || addr.addr().is_some()).await;
    assert!(noted(&addr).await.is_empty());
    assert_eq!(child(&tree, "bounded").await.map(|child| child.restarts), Some(1));
    within("the stop", tree.stop()).await;
}

/// What a selective receive has looked at and left is still in the mailbox.
#[tokio::test]
async fn what_was_passed_over_goes_to_the_next_one_in_order() {
    let seen = Arc::<Mutex<Vec<u32>>>::default();
    let sees = seen.clone();
    let spec = ChildSpec::process("picky", move |mut ctx: Context<u32>| {
        let seen = sees.clone();
        async move {
            if locked(&seen).is_empty() {
                let odd = |received: &Received<u32>| matches!(received, Received::Message(n) if n % 20 == 19);
                let Some(Received::Message(n)) = ctx.receive_match(odd, SECOND * 5).await else {
                    panic!("none came")
                };
                locked(&seen).push(n);
                panic!("after a message that was not the first");
            }
            while let Received::Message(n) = ctx.receive().await {
                locked(&seen).push(n);
            }
        }
    });
    let (spec, addr) = spec.stable::<u32>();
    let tree = start(supervisor().child(spec)).await;
    // So many that they come in batches.
    (0..40).for_each(|n| addr.send(n).expect("it is taken"));
    eventually("all", || locked(&seen).len() == 40).await;
    let expect: Vec<u32> = std::iter::once(19).chain((0..40).filter(|n| *n != 19)).collect();
    assert_eq!(*locked(&seen), expect);
    within("the stop", tree.stop()).await;
}

/// It goes first again, and what comes after it keeps its order.
#[tokio::test]
async fn a_message_that_comes_back_is_the_first_again() {
    let flaky = Arc::<Mutex<Vec<u32>>>::default();
    let tried = flaky.clone();
    let spec = ChildSpec::process("flaky", move |mut ctx: Context<u32>| {
        let tried = tried.clone();
        async move {
            while let Received::Message(n) = ctx.receive().await {
                let first = !locked(&tried).contains(&n);
                locked(&tried).push(n);
                assert!(!(first && n % 2 == 1), "an odd one works the second time");
            }
        }
    });
    let (spec, addr) = spec.stable_redelivering(2, |n: &u32| Some(*n));
    let tree = start(supervisor().child(spec)).await;
    (1..=5).for_each(|n| addr.send(n).expect("it is taken"));
    eventually("all", || locked(&flaky).ends_with(&[5, 5])).await;
    assert_eq!(*locked(&flaky), [1, 1, 2, 3, 3, 4, 5, 5]);
    within("the stop", tree.stop()).await;
}

#[tokio::test]
async fn messages_left_unread_are_dead_letters_whatever_the_end() {
    for (id, reason) in [("dead.normal", ExitReason::Normal), ("dead.boom", ExitReason::custom("boom"))] {
        let told = Told::of(id);
        let ends = reason.clone();
        let process = SpawnOptions::new().label(id).spawn(move |mut ctx: Context<Msg>| async move {
            ctx.receive().await;
            ends
        });
        (0..3).for_each(|n| process.send(Msg::Note(n)).expect("it lives"));
        assert_eq!(within("its end", process.wait()).await, reason);
        assert_eq!(told.dead(), [(2, reason)]);
    }
}

/// The supervisor's end and its successor's start may overtake the end of its child: the last incarnation of the one must
/// not take the post from the first of the other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_incarnation_that_ends_late_leaves_its_successor_alone() {
    let (spec, addr) = notes("notes").stable();
    let branch = ChildSpec::supervisor("branch", move || supervisor().child(spec.clone()));
    let supervisor = Supervisor::one_for_one().intensity(u32::MAX, PERIOD);
    let tree = start(supervisor.child(branch)).await;
    for round in 0..500 {
        let first = addr.addr().expect("it runs").pid();
        process::kill(pid(&tree, "branch").await);
        let back = within("the next one", async {
            loop {
                match addr.addr().map(|addr| addr.pid()) {
                    Some(now) if now != first => return now,
                    Some(_) | None => tokio::task::yield_now().await,
                }
            }
        });
        let back = back.await;
        noted(&addr).await;
        assert_eq!(addr.addr().map(|addr| addr.pid()), Some(back), "round {round}");
    }
    within("the stop", tree.stop()).await;
}
