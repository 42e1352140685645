//! Many processes that link, monitor and kill each other at once, by seed.

use std::sync::{Arc, Barrier};

use heronry::process::{self, Info, SendError, SpawnOptions};
use heronry::{Addr, Context, ExitReason, Pid, Received, Ref, spawn};
use tokio::sync::mpsc;

use super::Puppet;
use crate::support::within;

const PROCESSES: usize = 100;
const STEPS: usize = 300;

/// A small generator of its own: the same seed gives the same steps.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % sides
    }
}

enum Msg {
    Start(Arc<[Pid]>),
    Noise,
}

fn step(ctx: &mut Context<Msg>, dice: &mut Dice, peers: &[Pid], monitors: &mut Vec<Ref>) {
    let peer = peers[dice.roll(peers.len())];
    match dice.roll(100) {
        0..40 => ctx.link(peer),
        40..70 => ctx.unlink(peer),
        70..85 => monitors.push(ctx.monitor(peer)),
        85..95 => {
            if let Some(reference) = monitors.pop() {
                ctx.demonitor(reference);
            }
        }
        95..97 => drop(ctx.trap_exit(dice.roll(2) == 0)),
        // To itself it would be the end.
        97 if peer != ctx.pid() => drop(process::exit(peer, ExitReason::Normal)),
        98 if dice.roll(10) == 0 => drop(process::exit(peer, ExitReason::custom("stress"))),
        99 if dice.roll(10) == 0 => drop(process::kill(peer)),
        _ => {}
    }
}

async fn member(mut ctx: Context<Msg>, mut dice: Dice) {
    let peers = loop {
        if let Received::Message(Msg::Start(peers)) = ctx.receive().await {
            break peers;
        }
    };
    let mut monitors = Vec::new();
    for _ in 0..STEPS {
        step(&mut ctx, &mut dice, &peers, &mut monitors);
        tokio::task::yield_now().await;
    }
    loop {
        match ctx.receive().await {
            Received::Info(Info::Down(down)) => assert!(peers.contains(&down.pid), "of a stranger: {down:?}"),
            Received::Message(Msg::Start(_)) => return,
            Received::Message(Msg::Noise) | Received::Info(_) => {}
        }
    }
}

async fn storm(seed: u64) {
    let members: Vec<Addr<Msg>> = (0..PROCESSES)
        .map(|n| {
            let dice = Dice(seed.wrapping_mul(1_000).wrapping_add(n as u64));
            SpawnOptions::new().trap_exit(n % 2 == 0).spawn(move |ctx| member(ctx, dice))
        })
        .collect();
    let pids: Arc<[Pid]> = members.iter().map(Addr::pid).collect();
    let mut watcher = Puppet::new(false);
    let watched = pids.clone();
    let monitors = watcher.act(move |ctx| watched.iter().map(|pid| ctx.monitor(*pid)).collect::<Vec<_>>());
    assert_eq!(monitors.await.len(), PROCESSES);
    for addr in &members {
        drop(addr.send(Msg::Start(pids.clone())));
    }
    for n in 0..STEPS {
        drop(members[n % PROCESSES].send(Msg::Noise));
        tokio::task::yield_now().await;
    }
    for addr in &members {
        process::kill(addr.pid());
    }
    let mut downs = Vec::new();
    for _ in 0..PROCESSES {
        let Info::Down(down) = watcher.hears().await else { panic!("seed {seed}: not a Down") };
        assert_ne!(down.reason, ExitReason::Normal, "seed {seed}");
        downs.push(down.pid);
    }
    downs.sort();
    assert_eq!(downs, *pids, "seed {seed}: each is down once");
    watcher.hears_nothing().await;
    for addr in &members {
        within("every end", addr.wait()).await;
        assert!(!process::is_alive(addr.pid()), "seed {seed}");
        assert!(matches!(addr.send(Msg::Noise), Err(SendError::NoProc(_))), "seed {seed}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_hundred_processes_that_link_monitor_and_kill_each_other_all_end() {
    for seed in 1..=20 {
        storm(seed).await;
    }
}

/// A process that keeps its links to `peers`, tells when it has them, and waits.
fn knot(peers: Vec<Pid>, ready: mpsc::UnboundedSender<()>) -> Addr<()> {
    spawn(move |mut ctx: Context<()>| async move {
        peers.into_iter().for_each(|peer| ctx.link(peer));
        ready.send(()).expect("the test waits");
        while let Received::Message(()) = ctx.receive().await {}
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_web_of_links_made_on_many_threads_ends_as_a_whole() {
    for seed in 1..=20 {
        let mut dice = Dice(seed);
        let (ready, mut is_ready) = mpsc::unbounded_channel();
        let mut web: Vec<Addr<()>> = Vec::new();
        for n in 0..PROCESSES {
            let peers = if n == 0 { vec![] } else { vec![web[dice.roll(n)].pid(), web[dice.roll(n)].pid()] };
            web.push(knot(peers, ready.clone()));
        }
        for _ in 0..PROCESSES {
            within("the links", is_ready.recv()).await.unwrap();
        }
        process::kill(web[dice.roll(PROCESSES)].pid());
        for addr in &web {
            assert_eq!(within("the web's end", addr.wait()).await, ExitReason::Killed, "seed {seed}");
        }
    }
}

/// Both ends change their link at once; then one links for good, and must hear of the other's end.
async fn race_of_unlink_and_link(round: usize) {
    const TURNS: usize = 8;
    let (mut one, other) = (Puppet::new(true), Puppet::new(true));
    let (a, b) = (one.pid(), other.pid());
    one.act(move |ctx| ctx.link(b)).await;
    let gate = Arc::new(Barrier::new(2));
    let same = gate.clone();
    let unlinks = one.act(move |ctx| {
        gate.wait();
        for _ in 0..TURNS {
            ctx.link(b);
            ctx.unlink(b);
        }
    });
    let relinks = other.act(move |ctx| {
        same.wait();
        for _ in 0..TURNS {
            ctx.unlink(a);
            ctx.link(a);
        }
    });
    tokio::join!(unlinks, relinks);
    one.act(move |ctx| ctx.link(b)).await;
    other.end(ExitReason::custom("boom")).await;
    let heard = tokio::time::timeout(std::time::Duration::from_secs(2), one.infos.recv()).await;
    assert!(matches!(heard, Ok(Some(Info::Exit(_)))), "round {round}: a link that was made is not there");
    process::kill(a);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_link_made_after_a_race_of_unlink_and_link_holds() {
    for round in 0..15_000 {
        race_of_unlink_and_link(round).await;
    }
}
