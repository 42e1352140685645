//! What a process shows of itself.

use heronry::prelude::*;
use heronry::process::{self, Callback, SpawnOptions};
use tokio::sync::oneshot;

use super::Puppet;
use crate::support::{eventually, within};

#[tokio::test]
async fn links_and_monitors_show_on_both_ends() {
    let near = Puppet::new(true);
    let (linked, watched) = (Puppet::new(true), Puppet::new(true));
    let (link, watch) = (linked.addr.pid(), watched.addr.pid());
    near.act(move |ctx| {
        ctx.link(link);
        ctx.monitor(watch);
        ctx.monitor(watch);
    })
    .await;
    let pid = near.addr.pid();
    let info = process::info(pid).unwrap();
    assert!(info.trap_exit);
    assert_eq!((info.links, info.monitors, info.monitored_by), (vec![link], vec![watch, watch], vec![]));
    assert_eq!(process::info(link).unwrap().links, [pid]);
    let info = process::info(watch).unwrap();
    assert_eq!((info.links, info.monitors, info.monitored_by), (vec![], vec![], vec![pid, pid]));
    for puppet in [&near, &linked, &watched] {
        process::kill(puppet.addr.pid());
    }
    near.addr.wait().await;
    assert!(process::info(pid).is_none());
}

#[tokio::test]
async fn what_a_process_has_handled_and_what_waits() {
    let (go, wait) = oneshot::channel::<()>();
    let slow =
        SpawnOptions::new().label("slow").mailbox_limit(100).spawn(|mut ctx: Context<u32>| async move {
            for _ in 0..3 {
                ctx.receive().await;
            }
            wait.await.unwrap();
            for _ in 3..40 {
                ctx.receive().await;
            }
            std::future::pending::<()>().await;
        });
    for n in 0..40 {
        slow.send(n).unwrap();
    }
    eventually("three", || process::info(slow.pid()).unwrap().handled == 3).await;
    // All forty were taken out in one go: what the process has not received still waits, and still counts.
    let info = process::info(slow.pid()).unwrap();
    assert_eq!((info.label.as_str(), info.mailbox_len, info.mailbox_len_max), ("slow", 37, 40));
    for n in 40..103 {
        slow.send(n).unwrap();
    }
    assert!(slow.send(0).is_err(), "37 that were taken out and 63 that were not are a hundred");
    go.send(()).unwrap();
    eventually("the others", || process::info(slow.pid()).unwrap().handled == 40).await;
    assert_eq!(process::info(slow.pid()).unwrap().mailbox_len, 63);
    process::kill(slow.pid());
}

/// Waits within the callback that it is told to.
struct Waiter {
    stay: Option<oneshot::Receiver<()>>,
}

enum Wait {
    Here(oneshot::Receiver<()>),
    Next(oneshot::Receiver<()>),
}

impl Server for Waiter {
    type Args = Option<oneshot::Receiver<()>>;
    type Msg = Wait;

    async fn init(stay: Self::Args, _: &mut Context<Wait>) -> Init<Self> {
        match stay {
            Some(stay) => Err(ExitReason::custom(format!("{:?}", stay.await))),
            None => Ok(Self { stay: None }),
        }
    }

    async fn handle(&mut self, wait: Wait, ctx: &mut Context<Wait>) -> Next {
        match wait {
            Wait::Here(stay) => drop(stay.await),
            Wait::Next(stay) => ctx.continue_with(Wait::Here(stay)),
        }
        Next::Continue
    }

    async fn handle_info(&mut self, _: Info, _: &mut Context<Wait>) -> Next {
        Next::Continue
    }

    async fn terminate(&mut self, _: &ExitReason, _: &mut Context<Wait>) {
        if let Some(stay) = self.stay.take() {
            drop(stay.await);
        }
    }
}

#[tokio::test]
async fn the_callback_that_a_server_is_in() {
    let waiter = Waiter::start(None).await.unwrap();
    let callback = || process::info(waiter.pid()).unwrap().callback;
    assert_eq!(callback(), None);
    let (go, stay) = oneshot::channel();
    waiter.cast(Wait::Here(stay)).unwrap();
    eventually("handle", || callback() == Some(Callback::Handle)).await;
    go.send(()).unwrap();
    eventually("the mailbox", || callback().is_none()).await;
    let (go, stay) = oneshot::channel();
    waiter.cast(Wait::Next(stay)).unwrap();
    eventually("handle_continue", || callback() == Some(Callback::HandleContinue)).await;
    go.send(()).unwrap();
    eventually("the mailbox", || callback().is_none()).await;
    within("the stop", waiter.stop(ExitReason::Normal, crate::support::PATIENCE)).await.unwrap();
}
