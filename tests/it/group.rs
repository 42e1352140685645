//! Process groups, from the outside.

use std::any::Any;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use heronry::group::{GroupEvent, Groups, JoinError};
use heronry::prelude::*;
use heronry::process::{self, EVENTS_WAITING_MAX, EventsMissed};
use heronry::telemetry::{self, Event};
use tokio::sync::{mpsc, oneshot};

use crate::puppet::{Msg, Seeded, downs, heard, kill, puppet, within_puppet};
use crate::support::{PATIENCE, within};

type Scope = Groups<String, Msg>;
type News = GroupEvent<String, Msg>;

fn join(groups: &Scope, member: &Addr<Msg>, group: &str) {
    assert_eq!(groups.join(member, group.to_owned()), Ok(()));
}

fn joined(group: &str, member: &Addr<Msg>) -> News {
    GroupEvent::Joined { group: group.to_owned(), member: member.clone() }
}

fn left(group: &str, member: &Addr<Msg>) -> News {
    GroupEvent::Left { group: group.to_owned(), member: member.clone() }
}

/// Has a puppet monitor a group until it ends; the members that it began with.
async fn monitor(groups: &Scope, puppet: &Addr<Msg>, group: &'static str) -> Vec<Addr<Msg>> {
    let groups = groups.clone();
    let begin = move |ctx: &Context<Msg>| {
        let (monitor, members) = groups.monitor(ctx, group.to_owned(), Msg::Event);
        Box::leak(Box::new(monitor)); // it ends with the puppet all the same
        members
    };
    within_puppet(puppet, begin).await
}

#[tokio::test(flavor = "multi_thread")]
async fn joining_and_leaving() {
    let (groups, other) = (Scope::new(), Scope::new());
    let a = puppet().await;
    join(&groups, &a, "pg");
    assert_eq!(groups.members("pg"), std::slice::from_ref(&a));
    assert_eq!(groups.local_members("pg"), std::slice::from_ref(&a));
    assert_eq!(groups.which_groups(), ["pg"]);
    assert_eq!(other.members("pg"), []);
    assert!(groups.leave(&a, "pg"));
    assert_eq!((groups.members("pg").len(), groups.which_groups().len()), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn joining_twice_counts_twice() {
    let groups = Scope::new();
    let (a, b) = (puppet().await, puppet().await);
    for who in [&a, &b, &a, &a] {
        join(&groups, who, "pg");
    }
    assert_eq!(groups.members("pg"), [&a, &b, &a, &a].map(Clone::clone));
    assert!(!groups.leave(&a, "missing"));
    for left in [vec![&a, &b, &a], vec![&a, &b], vec![&b]] {
        assert!(groups.leave(&a, "pg"));
        assert_eq!(groups.members("pg").iter().collect::<Vec<_>>(), left);
    }
    assert!(!groups.leave(&a, "pg"));
}

#[tokio::test(flavor = "multi_thread")]
async fn members_are_gone_with_their_process() {
    let groups = Scope::new();
    let (a, b) = (puppet().await, puppet().await);
    for (who, group) in [(&a, "one"), (&a, "one"), (&a, "two"), (&b, "one")] {
        join(&groups, who, group);
    }
    kill(&a).await;
    assert_eq!(groups.members("one"), [b]);
    assert_eq!(groups.which_groups(), ["one"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_gets_the_down_finds_no_member() {
    let groups = Scope::new();
    let watcher = puppet().await;
    for round in 0..100 {
        let a = puppet().await;
        join(&groups, &a, "pg");
        let target = a.pid();
        within_puppet(&watcher, move |ctx| _ = ctx.monitor(target)).await;
        process::kill(target);
        let told = async {
            while !downs(&watcher).await.contains(&target) {
                tokio::task::yield_now().await;
            }
            groups.members("pg").len()
        };
        assert_eq!(within("the down", told).await, 0, "round {round}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_dead_cannot_join() {
    let groups = Scope::new();
    let a = puppet().await;
    kill(&a).await;
    assert_eq!(groups.join(&a, "pg".to_owned()), Err(JoinError::NoProc(a.pid())));
    assert!(!groups.leave(&a, "pg"));
    assert!(groups.which_groups().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn leaving_and_ending_race() {
    let groups = Scope::new();
    for _ in 0..100 {
        let brief = spawn(|_: Context<Msg>| async {});
        // It may have ended before, in between or after.
        let joined = groups.join(&brief, "pg".to_owned()).is_ok();
        let left = groups.leave(&brief, "pg");
        assert!(joined || !left);
        brief.wait().await;
        assert!(groups.members("pg").is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_in_very_many_groups() {
    let groups = Groups::<u32, Msg>::new();
    let a = puppet().await;
    (0..10_000).for_each(|group| groups.join(&a, group).unwrap());
    assert_eq!(groups.which_groups().len(), 10_000);
    kill(&a).await;
    assert!(groups.which_groups().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_monitor_tells_of_every_change_in_order() {
    let groups = Scope::new();
    let (watcher, a, b) = (puppet().await, puppet().await, puppet().await);
    join(&groups, &a, "pg");
    assert_eq!(monitor(&groups, &watcher, "pg").await, std::slice::from_ref(&a));
    join(&groups, &b, "pg");
    join(&groups, &watcher, "pg");
    join(&groups, &b, "other");
    assert!(groups.leave(&a, "pg"));
    join(&groups, &b, "pg");
    kill(&b).await;
    let expect = [
        joined("pg", &b),
        joined("pg", &watcher),
        left("pg", &a),
        joined("pg", &b),
        left("pg", &b),
        left("pg", &b),
    ];
    assert_eq!(heard(&watcher).await, expect);
    assert_eq!(groups.members("pg"), [watcher]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_monitor_of_the_scope_tells_of_every_group() {
    let groups = Scope::new();
    let (watcher, a) = (puppet().await, puppet().await);
    for group in ["one", "one", "two"] {
        join(&groups, &a, group);
    }
    let at = groups.clone();
    let begun = within_puppet(&watcher, move |ctx| at.monitor_scope(ctx, Msg::Event));
    let (monitor, there) = begun.await;
    let expect = [("one".to_owned(), vec![a.clone(), a.clone()]), ("two".to_owned(), vec![a.clone()])];
    assert_eq!(there, HashMap::from(expect));
    join(&groups, &watcher, "three");
    assert!(groups.leave(&a, "two"));
    kill(&a).await;
    let expect = [joined("three", &watcher), left("two", &a), left("one", &a), left("one", &a)];
    assert_eq!(heard(&watcher).await, expect);
    drop(monitor);
    assert!(groups.leave(&watcher, "three"));
    assert_eq!(heard(&watcher).await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_monitors_its_group_hears_of_itself() {
    let groups = Scope::new();
    let (a, b) = (puppet().await, puppet().await);
    join(&groups, &a, "pg");
    assert_eq!(monitor(&groups, &a, "pg").await, std::slice::from_ref(&a));
    join(&groups, &a, "pg");
    join(&groups, &b, "pg");
    assert!(groups.leave(&a, "pg"));
    assert_eq!(heard(&a).await, [joined("pg", &a), joined("pg", &b), left("pg", &a)]);
    // Its own end, as a member and as a monitor at once, harms nobody.
    kill(&a).await;
    assert_eq!(groups.members("pg"), [b]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_may_have_several_monitors() {
    let groups = Scope::new();
    let (watcher, a) = (puppet().await, puppet().await);
    let at = groups.clone();
    let begin = move |ctx: &Context<Msg>| {
        let of_group = || at.monitor(ctx, "pg".to_owned(), Msg::Event).0;
        (of_group(), of_group(), at.monitor_scope(ctx, Msg::Event).0)
    };
    let (one, another, of_scope) = within_puppet(&watcher, begin).await;
    join(&groups, &a, "pg");
    assert_eq!(heard(&watcher).await, [&a; 3].map(|member| joined("pg", member)));
    join(&groups, &a, "other");
    assert_eq!(heard(&watcher).await, [joined("other", &a)]);
    drop(one);
    assert!(groups.leave(&a, "pg"));
    assert_eq!(heard(&watcher).await, [&a; 2].map(|member| left("pg", member)));
    drop(of_scope);
    join(&groups, &a, "pg");
    assert!(groups.leave(&a, "other"));
    assert_eq!(heard(&watcher).await, [joined("pg", &a)]);
    drop(another);
    kill(&a).await;
    assert_eq!(heard(&watcher).await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_monitor_that_ended_tells_nothing() {
    let groups = Scope::new();
    let (watcher, a) = (puppet().await, puppet().await);
    let at = groups.clone();
    let own = within_puppet(&watcher, move |ctx| at.monitor(ctx, "pg".to_owned(), Msg::Event).0).await;
    join(&groups, &a, "pg");
    drop(own);
    assert!(groups.leave(&a, "pg"));
    assert_eq!(heard(&watcher).await, [joined("pg", &a)]);
    // Nor does one whose process died hinder anybody, or keep what `wrap` owns.
    let owned = Arc::new(());
    let (at, kept) = (groups.clone(), owned.clone());
    let begin = move |ctx: &Context<Msg>| {
        let wrap = move |event| {
            let _ = &kept;
            Msg::Event(event)
        };
        at.monitor(ctx, "pg".to_owned(), wrap).0
    };
    let _kept = within_puppet(&watcher, begin).await;
    kill(&watcher).await;
    assert_eq!(Arc::strong_count(&owned), 1);
    join(&groups, &a, "pg");
    assert_eq!(groups.members("pg"), [a]);
}

/// A process with room for two messages that monitors `pg`, reads nothing until it is told to, and then as many events
/// as it is told.
struct Slow {
    addr: Addr<News>,
    read: mpsc::UnboundedSender<usize>,
    heard: mpsc::UnboundedReceiver<News>,
}

impl Slow {
    async fn begin(groups: &Scope) -> Self {
        let at = groups.clone();
        let (ready, begun) = oneshot::channel();
        let (read, mut may_read) = mpsc::unbounded_channel();
        let (tell, heard) = mpsc::unbounded_channel();
        let addr = SpawnOptions::new().mailbox_limit(2).spawn(move |mut ctx: Context<News>| async move {
            let (_monitor, members) = at.monitor(&ctx, "pg".to_owned(), |event| event);
            ready.send(members.len()).expect("the test waits");
            while let Some(events) = may_read.recv().await {
                for _ in 0..events {
                    let Received::Message(event) = ctx.receive().await else { panic!("nothing else comes") };
                    tell.send(event).expect("the test listens");
                }
            }
        });
        assert_eq!(begun.await, Ok(0));
        Self { addr, read, heard }
    }

    async fn read(&mut self, events: usize) -> Vec<News> {
        self.read.send(events).expect("it lives");
        let mut heard = Vec::new();
        while heard.len() < events {
            heard.push(within("an event", self.heard.recv()).await.expect("it lives"));
        }
        heard
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn events_wait_for_room_in_a_full_mailbox() {
    let groups = Scope::new();
    let a = puppet().await;
    let mut slow = Slow::begin(&groups).await;
    // Two in the mailbox, one refused by it, the others behind.
    let events = 3 + EVENTS_WAITING_MAX;
    (0..events - 1).for_each(|_| join(&groups, &a, "pg"));
    assert!(groups.leave(&a, "pg"));
    let heard = slow.read(events).await;
    assert!(heard[..events - 1].iter().all(|event| *event == joined("pg", &a)));
    assert_eq!(heard[events - 1], left("pg", &a));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_missed_is_made_up_for() {
    let groups = Scope::new();
    let (a, b) = (puppet().await, puppet().await);
    let mut slow = Slow::begin(&groups).await;
    let (pid, missed) = (slow.addr.pid(), Arc::new(AtomicUsize::new(0)));
    let count = missed.clone();
    let handler = telemetry::attach(move |event: &dyn Event| {
        if let Some(event) = (event as &dyn Any).downcast_ref::<EventsMissed>()
            && event.pid == pid
        {
            count.fetch_add(event.missed, Ordering::Relaxed);
        }
    });
    let all = 3 + EVENTS_WAITING_MAX + 5;
    (0..all - 1).for_each(|_| join(&groups, &a, "pg"));
    join(&groups, &b, "pg");
    // Nothing happens after this that could remind anybody of the events.
    let heard = slow.read(4).await;
    assert_eq!(heard[..3], [&a, &a, &a].map(|member| joined("pg", member)));
    let GroupEvent::Members(members) = &heard[3] else { panic!("{:?}", heard[3]) };
    assert_eq!((members.len(), members["pg"].len(), members["pg"].last()), (1, all, Some(&b)));
    assert_eq!(missed.load(Ordering::Relaxed), EVENTS_WAITING_MAX + 5);
    assert!(telemetry::detach(handler));
}

#[tokio::test(flavor = "multi_thread")]
async fn after_what_was_missed_it_goes_on() {
    let groups = Scope::new();
    let a = puppet().await;
    let mut slow = Slow::begin(&groups).await;
    (0..3 + EVENTS_WAITING_MAX + 1).for_each(|_| join(&groups, &a, "pg"));
    let heard = slow.read(4).await;
    assert!(matches!(heard[3], GroupEvent::Members(_)), "{heard:?}");
    assert!(groups.leave(&a, "pg"));
    join(&groups, &a, "pg");
    assert_eq!(slow.read(2).await, [left("pg", &a), joined("pg", &a)]);
    // A monitor whose process ends while events wait for room.
    (0..4).for_each(|_| join(&groups, &a, "pg"));
    kill(&slow.addr).await;
    join(&groups, &a, "pg");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_monitors_wrap_may_panic_and_may_use_the_groups() {
    let groups = Scope::new();
    let (watcher, a) = (puppet().await, puppet().await);
    let at = groups.clone();
    let own = within_puppet(&watcher, move |ctx| {
        at.monitor(ctx, "pg".to_owned(), |_| panic!("a monitor's panic")).0
    });
    let _own = own.await;
    let at = groups.clone();
    let asked = Arc::new(AtomicBool::new(false));
    let seen = asked.clone();
    let own = within_puppet(&watcher, move |ctx| {
        let asks = at.clone();
        at.monitor(ctx, "pg".to_owned(), move |event| {
            seen.store(!asks.members("pg").is_empty(), Ordering::Relaxed);
            Msg::Event(event)
        })
        .0
    });
    let _other = own.await;
    let (at, member) = (groups.clone(), a.clone());
    within_puppet(&a, move |_| join(&at, &member, "pg")).await;
    assert!(a.is_alive() && asked.load(Ordering::Relaxed));
    assert_eq!(heard(&watcher).await, [joined("pg", &a)]);
}

/// A watcher and what it knows: the members that it began with, changed by what it hears.
struct View {
    watcher: Addr<Msg>,
    members: HashMap<Pid, usize>,
}

impl View {
    async fn begin(groups: &Scope) -> Self {
        let watcher = puppet().await;
        let mut members = HashMap::new();
        for member in monitor(groups, &watcher, "0").await {
            *members.entry(member.pid()).or_default() += 1;
        }
        Self { watcher, members }
    }

    /// A thread that another delivers for may be ahead of it, so that the last events are still on their way.
    async fn assert_empty_at_the_end(mut self, seed: u64) {
        let emptied = async {
            loop {
                self.apply(heard(&self.watcher).await, seed);
                if self.members.values().all(|times| *times == 0) {
                    break;
                }
                tokio::task::yield_now().await;
            }
        };
        if tokio::time::timeout(PATIENCE, emptied).await.is_err() {
            panic!("seed {seed}: {:?}", self.members);
        }
    }

    fn apply(&mut self, events: Vec<News>, seed: u64) {
        for event in events {
            match event {
                GroupEvent::Joined { member, .. } => *self.members.entry(member.pid()).or_default() += 1,
                GroupEvent::Left { member, .. } => {
                    let times = self.members.get_mut(&member.pid()).expect("who leaves has joined");
                    *times = times.checked_sub(1).expect("nobody leaves more often than it joined");
                }
                other => panic!("seed {seed}: {other:?}"),
            }
        }
    }
}

/// Joins and leaves as the seed says, then ends, panics or waits to be killed.
fn member(scope: Scope, mut random: Seeded) -> Addr<Msg> {
    spawn(move |ctx: Context<Msg>| async move {
        for _ in 0..random.below(20) {
            let group = random.below(3).to_string();
            match random.below(4) {
                // It may have been killed while it ran.
                0 | 1 => drop(scope.join(&ctx.addr(), group)),
                2 => _ = scope.leave(&ctx.addr(), &group),
                _ => tokio::task::yield_now().await,
            }
        }
        match random.below(3) {
            0 => ExitReason::Normal,
            1 => panic!("as the seed would have it"),
            _ => std::future::pending().await,
        }
    })
}

/// Many processes join, leave, end and are killed, and watchers begin meanwhile: what each began with and then heard is
/// one history, and then nothing is left.
async fn storm(seed: u64) {
    let groups = Scope::new();
    let mut rounds = Seeded::new(seed);
    let (mut all, mut views) = (Vec::new(), Vec::new());
    for at in 0..200 {
        all.push(member(groups.clone(), Seeded::new(seed.wrapping_mul(1_000) + at)));
        if at % 40 == 0 {
            views.push(View::begin(&groups).await);
        }
        if rounds.below(3) == 0 {
            let victim = rounds.below(all.len() as u64) as usize;
            process::kill(all[victim].pid());
        }
    }
    for worker in &all {
        process::kill(worker.pid());
        worker.wait().await;
        let left = groups.members("0").iter().chain(&groups.members("1")).all(|member| member != worker);
        assert!(left, "seed {seed}");
    }
    assert!(groups.which_groups().is_empty(), "seed {seed}");
    for view in views {
        view.assert_empty_at_the_end(seed).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_is_left_after_a_storm() {
    for seed in 0..30 {
        storm(seed).await;
    }
}
