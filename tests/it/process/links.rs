//! Links and exit signals, after the chapter "Processes" of Erlang's reference manual.

use std::fmt;
use std::sync::Arc;

use heronry::process::{self, Exit, Info};
use heronry::{Context, ExitReason, spawn};

use super::{Job, Puppet, dead, idle};
use crate::support::within;

fn reasons() -> Vec<ExitReason> {
    vec![
        ExitReason::Normal,
        ExitReason::Shutdown,
        ExitReason::shutdown_with("enough"),
        ExitReason::Killed,
        ExitReason::NoProc,
        ExitReason::NoConnection,
        ExitReason::Error(Arc::new(fmt::Error)),
        ExitReason::custom("boom"),
    ]
}

async fn linked(trap_exit: bool, survivor_links: bool) -> (Puppet, Puppet) {
    let (survivor, ender) = (Puppet::new(trap_exit), Puppet::new(false));
    let (from, to) = if survivor_links { (&survivor, ender.pid()) } else { (&ender, survivor.pid()) };
    from.act(move |ctx| ctx.link(to)).await;
    (survivor, ender)
}

#[tokio::test]
async fn a_link_passes_every_reason_but_normal_both_ways() {
    for reason in reasons() {
        for survivor_links in [true, false] {
            let (mut survivor, ender) = linked(false, survivor_links).await;
            ender.end(reason.clone()).await;
            if reason.is_normal() {
                survivor.hears_nothing().await;
            } else {
                assert_eq!(survivor.wait().await, reason, "survivor links: {survivor_links}");
            }
        }
    }
}

#[tokio::test]
async fn a_process_that_traps_exits_hears_every_reason_once() {
    for reason in reasons() {
        for survivor_links in [true, false] {
            let (mut survivor, ender) = linked(true, survivor_links).await;
            ender.end(reason.clone()).await;
            let exit = Exit { from: ender.pid(), reason: reason.clone() };
            assert_eq!(survivor.hears().await, Info::Exit(exit), "survivor links: {survivor_links}");
            survivor.hears_nothing().await;
        }
    }
}

#[tokio::test]
async fn linking_twice_is_linking_once() {
    let (mut survivor, ender) = linked(true, true).await;
    let (one, other) = (ender.pid(), survivor.pid());
    survivor.act(move |ctx| ctx.link(one)).await;
    ender.act(move |ctx| ctx.link(other)).await;
    ender.end(ExitReason::Shutdown).await;
    assert!(matches!(survivor.hears().await, Info::Exit(_)));
    survivor.hears_nothing().await;
}

#[tokio::test]
async fn an_unlink_by_either_side_stops_the_signal_both_ways() {
    for survivor_unlinks in [true, false] {
        for survivor_ends in [true, false] {
            let (one, other) = linked(true, true).await;
            let (from, to) = if survivor_unlinks { (&one, other.pid()) } else { (&other, one.pid()) };
            from.act(move |ctx| ctx.unlink(to)).await;
            let (ender, mut left) = if survivor_ends { (one, other) } else { (other, one) };
            ender.end(ExitReason::custom("boom")).await;
            left.hears_nothing().await;
        }
    }
}

#[tokio::test]
async fn a_link_made_again_after_an_unlink_works() {
    let (mut survivor, ender) = linked(true, true).await;
    let pid = ender.pid();
    survivor.act(move |ctx| (ctx.unlink(pid), ctx.link(pid))).await;
    ender.end(ExitReason::Shutdown).await;
    assert_eq!(survivor.hears().await, Info::Exit(Exit { from: pid, reason: ExitReason::Shutdown }));
}

#[tokio::test]
async fn a_link_with_a_dead_process_is_a_noproc_signal() {
    let gone = dead().await.pid();
    let mut trapping = Puppet::new(true);
    trapping.act(move |ctx| ctx.link(gone)).await;
    assert_eq!(trapping.hears().await, Info::Exit(Exit { from: gone, reason: ExitReason::NoProc }));
    trapping.hears_nothing().await;

    let plain = Puppet::new(false);
    plain.addr.send(Job(Box::new(move |ctx| (ctx.link(gone), None).1))).unwrap();
    assert_eq!(plain.wait().await, ExitReason::NoProc);
}

#[tokio::test]
async fn a_link_with_oneself_means_nothing() {
    let mut puppet = Puppet::new(true);
    puppet.act(|ctx| ctx.link(ctx.pid())).await;
    puppet.hears_nothing().await;
}

#[tokio::test]
async fn a_chain_of_links_ends_as_a_whole() {
    let chain: Vec<Puppet> = (0..10).map(|_| Puppet::new(false)).collect();
    for pair in chain.windows(2) {
        let next = pair[1].pid();
        pair[0].act(move |ctx| ctx.link(next)).await;
    }
    process::exit(chain[5].pid(), ExitReason::custom("boom"));
    for puppet in &chain {
        assert_eq!(puppet.wait().await, ExitReason::custom("boom"));
    }
}

#[tokio::test]
async fn a_kill_is_not_trapped_and_arrives_at_links_as_killed() {
    let (mut survivor, ender) = linked(true, true).await;
    ender.act(|ctx| ctx.trap_exit(true)).await;
    assert!(process::kill(ender.pid()));
    assert_eq!(ender.wait().await, ExitReason::Killed);
    let exit = Exit { from: ender.pid(), reason: ExitReason::Killed };
    assert_eq!(survivor.hears().await, Info::Exit(exit));
    assert!(!process::kill(ender.pid()), "it was dead already");
}

#[tokio::test]
async fn the_reason_killed_without_a_kill_is_trapped() {
    let mut puppet = Puppet::new(true);
    process::exit(puppet.pid(), ExitReason::Killed);
    assert!(matches!(puppet.hears().await, Info::Exit(Exit { reason: ExitReason::Killed, .. })));
}

#[tokio::test]
async fn an_exit_signal_ends_a_process_that_does_not_trap_it() {
    for reason in reasons() {
        let (sender, mut plain) = (Puppet::new(false), Puppet::new(false));
        let (target, sent) = (plain.pid(), reason.clone());
        assert!(sender.act(move |_| process::exit(target, sent)).await);
        if reason.is_normal() {
            plain.hears_nothing().await;
        } else {
            assert_eq!(plain.wait().await, reason);
        }
    }
}

#[tokio::test]
async fn an_exit_signal_is_a_message_from_its_sender_to_a_process_that_traps_exits() {
    for reason in reasons() {
        let (sender, mut trapping) = (Puppet::new(false), Puppet::new(true));
        let (target, sent) = (trapping.pid(), reason.clone());
        sender.act(move |_| process::exit(target, sent)).await;
        assert_eq!(trapping.hears().await, Info::Exit(Exit { from: sender.pid(), reason }));
        trapping.hears_nothing().await;
    }
}

#[tokio::test]
async fn an_exit_with_normal_from_outside_of_any_process_is_ignored() {
    let mut plain = Puppet::new(false);
    assert!(process::exit(plain.pid(), ExitReason::Normal));
    plain.hears_nothing().await;
}

#[tokio::test]
async fn an_exit_of_oneself_ends_even_with_normal() {
    for reason in reasons() {
        let sent = reason.clone();
        let puppet = spawn(move |ctx: Context<()>| async move {
            process::exit(ctx.pid(), sent);
            std::future::pending::<()>().await;
        });
        assert_eq!(within("its end", puppet.wait()).await, reason);
    }
}

#[tokio::test]
async fn an_exit_of_oneself_gives_the_reason_even_if_the_body_returns_at_once() {
    let puppet = spawn(|ctx: Context<()>| async move {
        process::exit(ctx.pid(), ExitReason::custom("mine"));
    });
    assert_eq!(within("its end", puppet.wait()).await, ExitReason::custom("mine"));
}

#[tokio::test]
async fn trap_exit_says_what_it_was_and_can_be_taken_back() {
    let puppet = Puppet::new(false);
    assert!(!puppet.act(|ctx| ctx.trap_exit(true)).await);
    assert!(puppet.act(|ctx| ctx.trap_exit(false)).await);
    process::exit(puppet.pid(), ExitReason::Shutdown);
    assert_eq!(puppet.wait().await, ExitReason::Shutdown);
}

#[tokio::test]
async fn a_process_spawned_with_a_link_ends_with_its_parent_and_the_other_way_round() {
    for child_ends in [true, false] {
        let parent = Puppet::new(false);
        let child = parent
            .act(|ctx| {
                let body = |ctx: Context<()>| async move {
                    std::mem::drop((std::future::pending::<()>().await, ctx))
                };
                ctx.spawn_link(process::SpawnOptions::new(), body)
            })
            .await;
        process::exit(if child_ends { child.pid() } else { parent.pid() }, ExitReason::custom("boom"));
        assert_eq!(parent.wait().await, ExitReason::custom("boom"));
        assert_eq!(within("the child's end", child.wait()).await, ExitReason::custom("boom"));
    }
}

#[tokio::test]
async fn an_exit_signal_to_nobody_says_so() {
    let gone = dead().await.pid();
    assert!(!process::exit(gone, ExitReason::Shutdown));
    assert!(!process::kill(gone));
    assert!(!process::is_alive(gone));
    let there = idle();
    assert!(process::is_alive(there.pid()));
    assert!(process::kill(there.pid()));
    within("its end", there.wait()).await;
    assert!(!process::is_alive(there.pid()));
}

#[tokio::test]
async fn a_process_spawned_with_a_link_to_one_that_has_ended_ends_too() {
    let (tell, told) = tokio::sync::oneshot::channel();
    let gone = spawn(|ctx: Context<()>| async move { drop(tell.send(ctx)) });
    let ctx = within("its context", told).await.unwrap();
    within("its end", gone.wait()).await;
    let orphan = ctx.spawn_link(process::SpawnOptions::new(), |_: Context<()>| std::future::pending::<()>());
    assert_eq!(within("the end", orphan.wait()).await, ExitReason::NoProc);
}
