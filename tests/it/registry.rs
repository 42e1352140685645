//! Registries, from the outside.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use heronry::prelude::*;
use heronry::process::{self, EVENTS_WAITING_MAX};
use heronry::registry::{RegisterError, Registry, RegistryEvent};

use crate::puppet::{Msg, Puppet, Seeded, downs, kill, listened, puppet, within_puppet};
use crate::support::{PATIENCE, within};

type Names = Registry<String, u32, Msg>;

fn pids(entries: &[(Addr<Msg>, u32)]) -> Vec<(Pid, u32)> {
    entries.iter().map(|(addr, value)| (addr.pid(), *value)).collect()
}

/// Registers a puppet, in a registry of either kind.
macro_rules! register {
    ($registry:expr, $puppet:expr, $key:expr, $value:expr) => {{
        let registry = $registry.clone();
        within_puppet($puppet, move |ctx| registry.register(ctx, $key.to_owned(), $value).map(drop)).await
    }};
}

#[tokio::test(flavor = "multi_thread")]
async fn a_unique_key_has_one_process() {
    let names = Names::unique();
    let (a, b) = (puppet().await, puppet().await);
    assert_eq!(register!(names, &a, "hello", 1), Ok(()));
    for again in [&a, &b] {
        assert_eq!(register!(names, again, "hello", 2), Err(RegisterError::AlreadyRegistered(a.pid())));
    }
    assert_eq!(register!(names, &a, "world", 3), Ok(()));
    assert_eq!(names.whereis("hello"), Some(a.clone()));
    assert_eq!(names.values("hello", a.pid()), [1]);
    assert_eq!(names.values("hello", b.pid()), [0; 0]);
    let mut keys = names.keys(a.pid());
    keys.sort_unstable();
    assert_eq!(keys, ["hello", "world"]);
    assert_eq!(names.keys(b.pid()), [""; 0]);
    // What was found can be called.
    within_puppet(&names.whereis("world").unwrap(), |ctx| ctx.set_label("found")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_duplicate_key_has_many_entries() {
    let tags = Registry::<String, u32, Msg>::duplicate();
    assert_eq!((tags.count(), tags.select(|_, _, value| Some(*value))), (0, vec![]));
    let (a, b) = (puppet().await, puppet().await);
    for (who, value) in [(&a, 1), (&b, 2), (&a, 3), (&a, 3)] {
        assert_eq!(register!(tags, who, "hello", value), Ok(()));
    }
    let (one, two) = (a.pid(), b.pid());
    assert_eq!(pids(&tags.lookup("hello")), [(one, 1), (two, 2), (one, 3), (one, 3)]);
    assert_eq!(tags.values("hello", one), [1, 3, 3]);
    assert_eq!(tags.keys(one), ["hello"; 3]);
    assert_eq!(tags.keys(two), ["hello"]);
    assert_eq!(tags.count(), 4);
    let by_b = tags.select(|key, addr, value| (*addr == b).then(|| (key.clone(), *value)));
    assert_eq!(by_b, [("hello".to_owned(), 2)]);
    assert_eq!(tags.select(|_, _, value| Some(*value)), [1, 2, 3, 3]);
    assert_eq!(tags.count_select(|key, _, value| key == "hello" && *value > 1), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_unique_key_is_matched_dispatched_to_and_unregistered() {
    let names = Names::unique();
    let a = puppet().await;
    for (key, value) in [("hello", 1), ("world", 2)] {
        assert_eq!(register!(names, &a, key, value), Ok(()));
    }
    assert_eq!(pids(&names.matching("hello", |value| *value == 1)), [(a.pid(), 1)]);
    assert_eq!(pids(&names.matching("hello", |value| *value > 1)), []);
    assert_eq!((names.count_match("hello", |_| true), names.count_match("never", |_| true)), (1, 0));
    let mut told = Vec::new();
    names.dispatch("hello", |entries| told.extend(entries.iter().map(|(addr, value)| (addr.pid(), **value))));
    assert_eq!(told, [(a.pid(), 1)]);
    let registry = names.clone();
    let removed = within_puppet(&a, move |ctx| {
        [
            registry.unregister_match(ctx, "hello", |value| *value > 1),
            registry.unregister_match(ctx, "hello", |value| *value == 1),
            registry.unregister(ctx, "hello"),
            registry.unregister(ctx, "world"),
        ]
    });
    assert_eq!(removed.await, [0, 1, 0, 1]);
    assert_eq!((names.keys(a.pid()).len(), names.count()), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn counting() {
    let names = Names::unique();
    assert_eq!((names.count(), names.lookup("hello").len()), (0, 0));
    assert_eq!(names.select(|key, _, _| Some(key.clone())), [""; 0]);
    let a = puppet().await;
    for at in 0..200 {
        assert_eq!(register!(names, &a, at.to_string(), at), Ok(()));
    }
    assert_eq!(names.count(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn matching_by_value() {
    let tags = Registry::<String, u32, Msg>::duplicate();
    let a = puppet().await;
    for value in 1..=4 {
        assert_eq!(register!(tags, &a, "hello", value), Ok(()));
    }
    assert_eq!(pids(&tags.matching("hello", |value| value % 2 == 0)), [(a.pid(), 2), (a.pid(), 4)]);
    assert_eq!(tags.count_match("hello", |value| *value > 1), 3);
    assert_eq!(tags.count_match("world", |_| true), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn selecting_from_all() {
    let names = Names::unique();
    let (a, b) = (puppet().await, puppet().await);
    for (who, key, value) in [(&a, "one", 1), (&b, "two", 2), (&a, "three", 3)] {
        assert_eq!(register!(names, who, key, value), Ok(()));
    }
    let mut odd = names.select(|key, addr, value| (value % 2 == 1).then(|| (key.clone(), addr.pid())));
    odd.sort();
    assert_eq!(odd, [("one".to_owned(), a.pid()), ("three".to_owned(), a.pid())]);
    assert_eq!(names.count_select(|_, addr, _| *addr == b), 1);
    // The closure runs without a lock: it may ask the registry.
    assert_eq!(names.count_select(|key, _, _| names.whereis(key).is_some()), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn unregistering() {
    let tags = Registry::<String, u32, Msg>::duplicate();
    let (a, b) = (puppet().await, puppet().await);
    for (who, key) in [(&a, "hello"), (&a, "hello"), (&b, "hello"), (&a, "world")] {
        assert_eq!(register!(tags, who, key, 0), Ok(()));
    }
    let registry = tags.clone();
    let removed =
        within_puppet(&a, move |ctx| ["hello", "hello", "never"].map(|key| registry.unregister(ctx, key)));
    assert_eq!(removed.await, [2, 0, 0]);
    assert_eq!(pids(&tags.lookup("hello")), [(b.pid(), 0)]);
    assert_eq!(tags.keys(a.pid()), ["world"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn unregistering_by_value() {
    let tags = Registry::<String, u32, Msg>::duplicate();
    let (a, b) = (puppet().await, puppet().await);
    for (who, value) in [(&a, 1), (&a, 2), (&a, 3), (&b, 2)] {
        assert_eq!(register!(tags, who, "hello", value), Ok(()));
    }
    let registry = tags.clone();
    let removed = within_puppet(&a, move |ctx| registry.unregister_match(ctx, "hello", |value| *value >= 2));
    assert_eq!(removed.await, 2);
    assert_eq!(pids(&tags.lookup("hello")), [(a.pid(), 1), (b.pid(), 2)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_updates_its_own_value() {
    let names = Names::unique();
    let (a, b) = (puppet().await, puppet().await);
    assert_eq!(register!(names, &a, "hello", 1), Ok(()));
    for (who, key, expect) in [(&a, "hello", Some((11, 1))), (&b, "hello", None), (&a, "never", None)] {
        let registry = names.clone();
        let updated =
            within_puppet(who, move |ctx| registry.update_value(ctx, key, |value| value + 10)).await;
        assert_eq!(updated, expect, "{key}");
    }
    assert_eq!(pids(&names.lookup("hello")), [(a.pid(), 11)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn dispatching() {
    let tags = Registry::<String, u32, Msg>::duplicate();
    let (a, b) = (puppet().await, puppet().await);
    for (who, value) in [(&a, 1), (&b, 2), (&a, 3)] {
        assert_eq!(register!(tags, who, "hello", value), Ok(()));
    }
    let sum = Arc::new(AtomicUsize::new(0));
    tags.dispatch("hello", |entries| {
        // No lock is held: from in here the registry can be changed, by others too.
        tokio::task::block_in_place(|| {
            tokio::runtime::Handle::current().block_on(async {
                assert_eq!(register!(tags, &b, "hello", 4), Ok(()));
            });
        });
        for (addr, value) in entries {
            let (sum, value) = (sum.clone(), **value as usize);
            let add = Msg::Do(Box::new(move |_| _ = sum.fetch_add(value, Ordering::Relaxed)));
            addr.cast(add).expect("it lives");
        }
    });
    within_puppet(&a, |_| ()).await;
    within_puppet(&b, |_| ()).await;
    assert_eq!((sum.load(Ordering::Relaxed), tags.lookup("hello").len()), (6, 4));
    tags.dispatch("never", |_| panic!("it is not called without entries"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_key_leaves_nothing() {
    let names = Names::unique();
    let (a, b) = (puppet().await, puppet().await);
    let value = Arc::new(());
    let held = Registry::<String, Arc<()>, Msg>::unique();
    assert_eq!(register!(names, &a, "hello", 1), Ok(()));
    assert_eq!(register!(held, &a, "hello", Arc::new(())), Ok(()));
    for who in [&a, &b].repeat(10) {
        assert!(register!(names, who, "hello", 2).is_err());
        let refused = value.clone();
        assert!(register!(held, who, "hello", refused).is_err());
    }
    assert_eq!((names.count(), Arc::strong_count(&value)), (1, 1));
    assert_eq!((names.keys(a.pid()).len(), names.keys(b.pid()).len()), (1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn registering_and_unregistering_leaves_nothing_behind() {
    let names = Names::unique();
    let a = puppet().await;
    let registry = names.clone();
    within_puppet(&a, move |ctx| {
        for _ in 0..1_000 {
            registry.register(ctx, "hello".to_owned(), 1).unwrap();
            assert_eq!(registry.unregister(ctx, "hello"), 1);
        }
    })
    .await;
    assert_eq!((names.count(), names.keys(a.pid()).len()), (0, 0));
    assert!(a.is_alive());
}

#[tokio::test(flavor = "multi_thread")]
async fn entries_are_gone_with_their_process() {
    let names = Names::unique();
    for (key, reason) in
        [("normal", Some(ExitReason::Normal)), ("error", Some(ExitReason::custom("oops"))), ("killed", None)]
    {
        let a = puppet().await;
        assert_eq!(register!(names, &a, key, 1), Ok(()));
        match reason {
            Some(reason) => a.cast(Msg::Stop(reason)).unwrap(),
            None => drop(process::kill(a.pid())),
        }
        a.wait().await;
        assert_eq!((names.whereis(key), names.count(), names.keys(a.pid()).len()), (None, 0, 0), "{key}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_free_when_its_holder_is_dead() {
    let names = Names::unique();
    for _ in 0..100 {
        let (a, b) = (puppet().await, puppet().await);
        assert_eq!(register!(names, &a, "hello", 1), Ok(()));
        process::kill(a.pid());
        // Not waited for: as soon as its end shows anywhere, it does not stand in the way.
        while a.is_alive() {
            std::hint::spin_loop();
        }
        assert_eq!(names.whereis("hello"), None);
        assert_eq!(register!(names, &b, "hello", 2), Ok(()));
        a.wait().await;
        assert_eq!(names.whereis("hello"), Some(b.clone()));
        kill(&b).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_gets_the_down_finds_nothing() {
    let names = Names::unique();
    let watcher = puppet().await;
    for round in 0..200_u32 {
        let a = puppet().await;
        assert_eq!(register!(names, &a, "hello", round), Ok(()));
        let (registry, target) = (names.clone(), a.pid());
        within_puppet(&watcher, move |ctx| _ = ctx.monitor(target)).await;
        process::kill(a.pid());
        let told = async {
            while !downs(&watcher).await.contains(&target) {
                tokio::task::yield_now().await;
            }
            registry.lookup("hello").len()
        };
        assert_eq!(tokio::time::timeout(PATIENCE, told).await, Ok(0), "round {round}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_dead_cannot_register() {
    let names = Names::unique();
    let (send, receive) = tokio::sync::oneshot::channel();
    let dead = spawn(move |ctx: Context<Msg>| async move { drop(send.send(ctx)) });
    let ctx = receive.await.unwrap();
    dead.wait().await;
    let refused = names.register(&ctx, "hello".to_owned(), 1).map(drop);
    assert_eq!(refused, Err(RegisterError::NoProc(dead.pid())));
    assert_eq!((names.count(), names.keys(dead.pid()).len()), (0, 0));
}

/// A value that notes, when it goes, whether the end of its process can be seen.
struct Witness(Addr<Msg>, Arc<Mutex<Vec<Option<ExitReason>>>>);

impl Drop for Witness {
    fn drop(&mut self) {
        self.1.lock().expect("no panic under it").push(self.0.exit_reason());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_end_cannot_be_seen_before_the_entries_are_gone() {
    let registry = Registry::<String, Witness, Msg>::duplicate();
    let a = puppet().await;
    let seen = Arc::<Mutex<Vec<_>>>::default();
    for key in ["one", "two", "two"] {
        let witness = Witness(a.clone(), Arc::clone(&seen));
        assert_eq!(register!(registry, &a, key, witness), Ok(()));
    }
    kill(&a).await;
    assert_eq!(*seen.lock().unwrap(), [None, None, None]);
}

/// A value whose destructor panics.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("a destructor's panic");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_in_a_values_destructor_keeps_no_news_from_anybody() {
    let bombs = Registry::<String, Bomb, Msg>::unique();
    let names = Names::unique();
    let a = puppet().await;
    for key in ["bomb", "another"] {
        assert_eq!(register!(bombs, &a, key, Bomb), Ok(()));
    }
    assert_eq!(register!(names, &a, "hello", 1), Ok(()));
    tokio::time::timeout(PATIENCE, kill(&a)).await.expect("its end is told");
    assert_eq!((bombs.count(), names.count()), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_started_via_a_registry() {
    /// Has its key in `init` already.
    struct Room;

    impl Server for Room {
        type Args = (Names, bool);
        type Msg = Msg;

        async fn init((names, fails): (Names, bool), ctx: &mut Context<Msg>) -> Init<Self> {
            assert_eq!(names.whereis("room"), Some(ctx.addr()));
            if fails { Err(ExitReason::custom("no")) } else { Ok(Room) }
        }

        async fn handle(&mut self, _: Msg, _: &mut Context<Msg>) -> Next {
            Next::Stop(ExitReason::Normal)
        }
    }

    let names = Names::unique();
    let start = async |fails| {
        let via = ServerOptions::new().via(&names, "room".to_owned(), 7);
        via.start::<Room>((names.clone(), fails)).await
    };
    let failed = start(true).await;
    assert_eq!(failed.unwrap_err(), StartError::Init(ExitReason::custom("no")));
    assert_eq!(names.count(), 0);

    let room = start(false).await.unwrap();
    assert_eq!(pids(&names.lookup("room")), [(room.pid(), 7)]);
    assert_eq!(start(false).await.unwrap_err(), StartError::AlreadyStarted(room.pid()));
    assert_eq!(pids(&names.lookup("room")), [(room.pid(), 7)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_server_tells_its_link_nothing_and_frees_its_name() {
    let names = Names::unique();
    let holder = puppet().await;
    assert_eq!(register!(names, &holder, "room", 1), Ok(()));
    let registry = names.clone();
    let starter = spawn(move |ctx: Context<()>| async move {
        let options = ServerOptions::new().name("refused room").unwrap().link(&ctx);
        let refused = options.via(&registry, "room".to_owned(), 2).start::<Puppet>(()).await;
        assert!(matches!(refused, Err(StartError::AlreadyStarted(_))), "{refused:?}");
        tokio::task::yield_now().await;
    });
    assert_eq!(starter.wait().await, ExitReason::Normal);
    assert_eq!(process::whereis_pid("refused room"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_supervised_child_has_its_key_again() {
    let names = Names::unique();
    let registry = names.clone();
    let child = ChildSpec::new("room", move |spawner| {
        let via = spawner.via(&registry, "room".to_owned(), 1);
        async move { Ok(via.start::<Puppet>(()).await?.pid()) }
    });
    let tree = Supervisor::one_for_one().intensity(100, PATIENCE).child(child).start().await.unwrap();
    for _ in 0..20 {
        let room = names.whereis("room").expect("it runs");
        kill(&room).await;
        crate::support::eventually("the restart", || names.whereis("room").is_some_and(|new| new != room))
            .await;
    }
    tree.stop().await;
    assert_eq!(names.count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn calling_and_casting_by_key() {
    let names = Names::unique();
    let room = ServerOptions::new().via(&names, "room".to_owned(), 1).start::<Puppet>(()).await.unwrap();
    let whose = |reply_to: ReplyTo<Pid>| Msg::Do(Box::new(move |ctx| reply_to.send(ctx.pid())));
    assert_eq!(names.call("room", whose, PATIENCE).await, Ok(room.pid()));
    names.cast("room", Msg::Stop(ExitReason::Normal)).unwrap();
    assert_eq!(room.wait().await, ExitReason::Normal);
    assert_eq!(names.call("room", whose, PATIENCE).await, Err(CallError::Exited(ExitReason::NoProc)));
    let refused = names.cast("room", Msg::Stop(ExitReason::Normal));
    assert!(matches!(refused, Err(heronry::SendError::NoProc(Msg::Stop(_)))));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_found_by_its_key_is_stopped() {
    let names = Names::unique();
    let room = ServerOptions::new().via(&names, "room".to_owned(), 1).start::<Puppet>(()).await.unwrap();
    let found = names.whereis("room").expect("it runs");
    assert_eq!(found.stop(ExitReason::Normal, PATIENCE).await, Ok(()));
    assert!(!room.is_alive());
    assert_eq!(names.whereis("room"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_that_start_via_one_key_one_does() {
    let names = Names::unique();
    for round in 0..50 {
        let starts: Vec<_> = (0..8)
            .map(|_| {
                let names = names.clone();
                tokio::spawn(async move {
                    ServerOptions::new().via(&names, "room".to_owned(), 1).start::<Puppet>(()).await
                })
            })
            .collect();
        let (mut started, mut refused) = (Vec::new(), Vec::new());
        for start in starts {
            match start.await.unwrap() {
                Ok(room) => started.push(room),
                Err(StartError::AlreadyStarted(pid)) => refused.push(pid),
                Err(other) => panic!("round {round}: {other}"),
            }
        }
        assert_eq!((started.len(), refused.len()), (1, 7), "round {round}");
        assert!(refused.iter().all(|pid| *pid == started[0].pid()), "round {round}");
        kill(&started[0]).await;
    }
}

/// What a listener was told, without the addresses.
fn told(event: &RegistryEvent<String, u32, Msg>) -> (Option<u32>, String, Pid) {
    match event {
        RegistryEvent::Registered { key, addr, value } => (Some(**value), key.clone(), addr.pid()),
        RegistryEvent::Unregistered { key, pid } => (None, key.clone(), *pid),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn listeners_hear_of_every_entry() {
    let (names, tags) = (Names::unique(), Registry::<String, u32, Msg>::duplicate());
    let (listener, a, b) = (puppet().await, puppet().await, puppet().await);
    let (at, of) = (names.clone(), tags.clone());
    let listens =
        within_puppet(&listener, move |ctx| (at.listen(ctx, Msg::Entry), of.listen(ctx, Msg::Entry))).await;
    assert_eq!(register!(names, &a, "hello", 1), Ok(()));
    assert!(register!(names, &b, "hello", 2).is_err());
    for value in [3, 4] {
        assert_eq!(register!(tags, &b, "tag", value), Ok(()));
    }
    let at = names.clone();
    assert_eq!(within_puppet(&a, move |ctx| at.unregister(ctx, "hello")).await, 1);
    kill(&b).await;
    let heard = listened(&listener).await;
    let (a, b) = (a.pid(), b.pid());
    let expect = [
        (Some(1), "hello", a),
        (Some(3), "tag", b),
        (Some(4), "tag", b),
        (None, "hello", a),
        (None, "tag", b),
        (None, "tag", b),
    ];
    let expect = expect.map(|(value, key, pid)| (value, key.to_owned(), pid));
    assert_eq!(heard.iter().map(told).collect::<Vec<_>>(), expect);
    drop(listens);
    let last = puppet().await;
    assert_eq!(register!(names, &last, "hello", 5), Ok(()));
    assert!(listened(&listener).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listener_ends_with_its_process() {
    let names = Names::unique();
    let (listener, a) = (puppet().await, puppet().await);
    let owned = Arc::new(());
    let (at, kept) = (names.clone(), owned.clone());
    let listen = move |ctx: &Context<Msg>| {
        at.listen(ctx, move |event| {
            let _ = &kept;
            Msg::Entry(event)
        })
    };
    let outlives = within_puppet(&listener, listen).await;
    kill(&listener).await;
    assert_eq!(register!(names, &a, "hello", 1), Ok(()));
    drop(outlives);
    assert_eq!(Arc::strong_count(&owned), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listener_that_missed_events_is_told_so() {
    let names = Registry::<usize, (), ()>::unique();
    let (ready, listens) = tokio::sync::oneshot::channel();
    let (open, opened) = tokio::sync::oneshot::channel();
    let at = names.clone();
    let listener = SpawnOptions::new().mailbox_limit(1).spawn(move |mut ctx| async move {
        let _listener = at.listen(&ctx, |event| event);
        ready.send(()).unwrap();
        opened.await.unwrap();
        let mut keys = Vec::new();
        loop {
            match ctx.receive().await {
                Received::Message(RegistryEvent::Registered { key, .. }) => keys.push(key),
                Received::Message(RegistryEvent::Missed) => return ExitReason::custom(format!("{keys:?}")),
                other => panic!("{other:?}"),
            }
        }
    });
    listens.await.unwrap();
    let at = names.clone();
    let holder = spawn(move |ctx: Context<()>| async move {
        // One in the mailbox, one refused by it, those that may wait, and one too many.
        (0..2 + EVENTS_WAITING_MAX + 1).for_each(|key| drop(at.register(&ctx, key, ()).unwrap()));
        std::future::pending::<()>().await;
    });
    crate::support::eventually("all to be registered", || names.count() == 2 + EVENTS_WAITING_MAX + 1).await;
    open.send(()).unwrap();
    assert_eq!(within("the news", listener.wait()).await, ExitReason::custom("[0, 1]"));
    process::kill(holder.pid());
}

#[tokio::test(flavor = "multi_thread")]
async fn metadata_is_of_the_registry() {
    let (names, others) = (Names::unique(), Names::unique());
    names.put_meta("owner", 1_u8);
    names.put_meta("owner".to_owned(), 2_u8);
    let clone = names.clone();
    assert_eq!((clone.meta("owner").as_deref(), others.meta::<u8>("owner")), (Some(&2_u8), None));
    assert_eq!((names.delete_meta("owner"), names.delete_meta("owner")), (true, false));
    assert_eq!(clone.meta::<u8>("owner"), None);
}

/// A key and a value whose `Clone` and `Drop` use the registry that they are in.
struct Nosy(u8, Registry<Nosy, Vec<Nosy>, ()>);

impl Nosy {
    fn look(&self) {
        let _ = (self.1.whereis(self), self.1.count());
    }
}

impl PartialEq for Nosy {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl Eq for Nosy {}

impl std::hash::Hash for Nosy {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl Clone for Nosy {
    fn clone(&self) -> Self {
        self.look();
        Self(self.0, self.1.clone())
    }
}

impl Drop for Nosy {
    fn drop(&mut self) {
        self.look();
    }
}

/// Everything that clones or drops a key or a value; a deadlock if any of it did so under a lock.
async fn nosy_keys() {
    let registry = Registry::<Nosy, Vec<Nosy>, ()>::unique();
    let at = registry.clone();
    let (ready, registered) = tokio::sync::oneshot::channel();
    let holder = spawn(move |ctx: Context<()>| async move {
        let key = |n| Nosy(n, at.clone());
        for n in 0..4 {
            drop(at.register(&ctx, key(n), vec![key(n)]).expect("the key is free"));
        }
        assert!(at.register(&ctx, key(1), vec![key(9)]).is_err());
        assert_eq!(at.keys(ctx.pid()).len(), 4);
        assert!(at.update_value(&ctx, &key(1), |old| old.clone()).is_some());
        assert_eq!(at.select(|key, _, value| Some((key.clone(), value.clone()))).len(), 4);
        assert_eq!(at.unregister(&ctx, &key(0)), 1);
        ready.send(()).expect("the test waits");
        std::future::pending::<()>().await;
    });
    registered.await.expect("all is registered");
    kill(&holder).await;
    assert_eq!(registry.count(), 0);
}

#[test]
fn keys_and_values_are_cloned_and_dropped_without_a_lock() {
    let (done, outcome) = std::sync::mpsc::channel();
    // A thread of its own: a runtime with a deadlock in it can't be shut down.
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        runtime.block_on(nosy_keys());
        done.send(()).expect("the test waits");
    });
    assert_eq!(outcome.recv_timeout(PATIENCE), Ok(()), "a deadlock, or a panic");
}

/// Many processes register, unregister, are killed, panic or end, all at once; then nothing is left of them.
async fn storm(seed: u64) {
    let unique = Registry::<u64, u64, ()>::unique();
    let duplicate = Registry::<u64, u64, ()>::duplicate();
    let mut rounds = Seeded::new(seed);
    let mut all = Vec::new();
    for at in 0..400 {
        let (names, tags) = (unique.clone(), duplicate.clone());
        let mut random = Seeded::new(seed.wrapping_mul(1_000) + at);
        let worker = spawn(move |ctx: Context<()>| async move {
            for _ in 0..random.below(20) {
                let key = random.below(16);
                match random.below(7) {
                    0 | 1 => drop(names.register(&ctx, key, at)),
                    2 => drop(tags.register(&ctx, key, at)),
                    3 => drop((names.unregister(&ctx, &key), tags.unregister(&ctx, &key))),
                    4 => drop((names.update_value(&ctx, &key, |old| old + 1), tags.lookup(&key))),
                    5 => tags.dispatch(&key, |entries| assert!(!entries.is_empty())),
                    _ => tokio::task::yield_now().await,
                }
            }
            match random.below(3) {
                0 => ExitReason::Normal,
                1 => panic!("as the seed would have it"),
                _ => std::future::pending().await,
            }
        });
        all.push(worker);
        if rounds.below(3) == 0 {
            let victim = rounds.below(all.len() as u64) as usize;
            process::kill(all[victim].pid());
        }
        if rounds.below(8) == 0 {
            tokio::task::yield_now().await;
        }
    }
    for worker in all.iter().rev() {
        process::kill(worker.pid());
        worker.wait().await;
        assert!(
            unique.keys(worker.pid()).is_empty() && duplicate.keys(worker.pid()).is_empty(),
            "seed {seed}"
        );
    }
    assert_eq!((unique.count(), duplicate.count()), (0, 0), "seed {seed}");
    for key in 0..16 {
        assert!(
            unique.lookup(&key).is_empty() && duplicate.lookup(&key).is_empty(),
            "seed {seed}, key {key}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_is_left_after_a_storm() {
    for seed in 0..30 {
        storm(seed).await;
    }
}
