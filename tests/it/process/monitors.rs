//! Monitors: one way, once, each on its own.

use heronry::ExitReason;
use heronry::process::{self, Down, Info};

use super::{Puppet, dead, idle};

#[tokio::test]
async fn a_monitor_tells_the_reason_once_and_harms_nobody() {
    let reasons = [ExitReason::Normal, ExitReason::Shutdown, ExitReason::Killed, ExitReason::custom("boom")];
    for trap_exit in [true, false] {
        for reason in reasons.clone() {
            let (mut watcher, ender) = (Puppet::new(trap_exit), Puppet::new(false));
            let pid = ender.pid();
            let reference = watcher.act(move |ctx| ctx.monitor(pid)).await;
            ender.end(reason.clone()).await;
            assert_eq!(watcher.hears().await, Info::Down(Down { reference, pid, reason }));
            watcher.hears_nothing().await;
        }
    }
}

#[tokio::test]
async fn each_monitor_fires_on_its_own() {
    let (mut watcher, ender) = (Puppet::new(false), Puppet::new(false));
    let pid = ender.pid();
    let mut references = watcher.act(move |ctx| [ctx.monitor(pid), ctx.monitor(pid), ctx.monitor(pid)]).await;
    ender.end(ExitReason::Shutdown).await;
    let mut heard = Vec::new();
    for _ in references {
        let Info::Down(down) = watcher.hears().await else { panic!("not a Down") };
        assert_eq!((down.pid, down.reason), (pid, ExitReason::Shutdown));
        heard.push(down.reference);
    }
    heard.sort();
    references.sort();
    assert_eq!(heard, references);
    watcher.hears_nothing().await;
}

#[tokio::test]
async fn a_monitor_of_a_dead_process_fires_at_once_with_noproc() {
    let pid = dead().await.pid();
    let mut watcher = Puppet::new(false);
    let reference = watcher.act(move |ctx| ctx.monitor(pid)).await;
    assert_eq!(watcher.hears().await, Info::Down(Down { reference, pid, reason: ExitReason::NoProc }));
    watcher.hears_nothing().await;
}

#[tokio::test]
async fn the_watchers_end_means_nothing_to_the_watched() {
    let (watcher, mut watched) = (Puppet::new(false), Puppet::new(true));
    let pid = watched.pid();
    watcher.act(move |ctx| ctx.monitor(pid)).await;
    watcher.end(ExitReason::custom("boom")).await;
    watched.hears_nothing().await;
}

#[tokio::test]
async fn a_demonitor_before_the_end_stops_its_down_and_no_other() {
    let (mut watcher, ender) = (Puppet::new(false), Puppet::new(false));
    let pid = ender.pid();
    let kept = watcher
        .act(move |ctx| {
            let (dropped, kept) = (ctx.monitor(pid), ctx.monitor(pid));
            ctx.demonitor(dropped);
            ctx.demonitor(dropped);
            kept
        })
        .await;
    ender.end(ExitReason::Shutdown).await;
    let down = Down { reference: kept, pid, reason: ExitReason::Shutdown };
    assert_eq!(watcher.hears().await, Info::Down(down));
    watcher.hears_nothing().await;
}

#[tokio::test]
async fn a_demonitor_flushes_a_down_that_waits_in_the_mailbox() {
    let gone = dead().await.pid();
    let mut watcher = Puppet::new(false);
    let kept = watcher
        .act(move |ctx| {
            // With a dead process the Down waits before `monitor` returns.
            let (dropped, kept) = (ctx.monitor(gone), ctx.monitor(gone));
            ctx.demonitor(dropped);
            kept
        })
        .await;
    let down = Down { reference: kept, pid: gone, reason: ExitReason::NoProc };
    assert_eq!(watcher.hears().await, Info::Down(down));
    watcher.hears_nothing().await;
}

#[tokio::test]
async fn nobody_can_end_the_monitor_of_another() {
    let (mut watcher, stranger, ender) = (Puppet::new(false), Puppet::new(false), Puppet::new(false));
    let pid = ender.pid();
    let reference = watcher.act(move |ctx| ctx.monitor(pid)).await;
    stranger.act(move |ctx| ctx.demonitor(reference)).await;
    ender.end(ExitReason::Normal).await;
    assert!(matches!(watcher.hears().await, Info::Down(down) if down.reference == reference));
}

#[tokio::test]
async fn a_monitor_of_oneself_is_allowed_and_silent() {
    let mut puppet = Puppet::new(true);
    puppet.act(|ctx| ctx.monitor(ctx.pid())).await;
    puppet.hears_nothing().await;
    puppet.end(ExitReason::Normal).await;
}

#[tokio::test]
async fn a_killed_process_is_down_with_killed() {
    let (mut watcher, there) = (Puppet::new(false), idle());
    let pid = there.pid();
    let reference = watcher.act(move |ctx| ctx.monitor(pid)).await;
    process::kill(pid);
    assert_eq!(watcher.hears().await, Info::Down(Down { reference, pid, reason: ExitReason::Killed }));
}
