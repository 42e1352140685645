//! Mailboxes: order, limits, and what becomes of messages nobody reads.

use std::any::Any;
use std::future::pending;
use std::sync::mpsc;
use std::time::Duration;

use heronry::process::{self, Info, MailboxFull, Overflow, SendError, SpawnOptions};
use heronry::telemetry::{self, Event};
use heronry::{Context, ExitReason, Received, spawn};
use tokio::sync::mpsc::unbounded_channel;
use tokio::time::Instant;

use super::{Job, Puppet, dead};
use crate::support::within;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_of_each_sender_arrive_in_the_order_of_sending() {
    const SENDERS: usize = 8;
    const EACH: u32 = 2_000;
    let (heard, mut arrived) = unbounded_channel();
    let receiver = spawn(move |mut ctx: Context<(usize, u32)>| async move {
        while let Received::Message(message) = ctx.receive().await {
            heard.send(message).unwrap();
        }
    });
    for sender in 0..SENDERS {
        let to = receiver.clone();
        spawn(move |_ctx: Context<()>| async move {
            for n in 0..EACH {
                to.send((sender, n)).unwrap();
                if n % 50 == 0 {
                    tokio::task::yield_now().await;
                }
            }
        });
    }
    let mut next = [0; SENDERS];
    for _ in 0..SENDERS as u32 * EACH {
        let (sender, n) = within("a message", arrived.recv()).await.unwrap();
        assert_eq!(n, next[sender], "of sender {sender}");
        next[sender] += 1;
    }
    process::kill(receiver.pid());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_words_of_a_process_arrive_before_the_news_of_its_end() {
    for _ in 0..200 {
        let (tell, told) = tokio::sync::oneshot::channel();
        let listener = spawn(|mut ctx: Context<&'static str>| async move {
            let to = ctx.addr();
            let speaker = spawn(move |mut ctx: Context<()>| async move {
                ctx.receive().await;
                to.send("last words").unwrap();
            });
            ctx.monitor(speaker.pid());
            speaker.send(()).unwrap();
            let heard = (ctx.receive().await, ctx.receive().await);
            tell.send(matches!(heard, (Received::Message("last words"), Received::Info(Info::Down(_)))))
                .unwrap();
        });
        assert!(within("both", told).await.unwrap());
        within("its end", listener.wait()).await;
    }
}

#[tokio::test]
async fn a_trapped_exit_keeps_its_place_among_the_messages() {
    let (heard, mut arrived) = unbounded_channel();
    let listener = SpawnOptions::new()
        .trap_exit(true)
        .spawn(move |mut ctx: Context<u8>| async move { while heard.send(ctx.receive().await).is_ok() {} });
    listener.send(1).unwrap();
    process::exit(listener.pid(), ExitReason::Shutdown);
    listener.send(2).unwrap();
    let first = within("a message", arrived.recv()).await.unwrap();
    assert_eq!(first, Received::Message(1));
    assert!(matches!(arrived.recv().await.unwrap(), Received::Info(Info::Exit(_))));
    assert_eq!(arrived.recv().await.unwrap(), Received::Message(2));
    process::kill(listener.pid());
}

#[tokio::test]
async fn nothing_sent_after_a_kill_by_the_same_sender_is_received() {
    let (in_body, is_in_body) = mpsc::channel();
    let (go_on, may_go_on) = mpsc::channel();
    let (heard, mut arrived) = unbounded_channel();
    let victim = spawn(move |mut ctx: Context<&'static str>| async move {
        in_body.send(()).unwrap();
        may_go_on.recv().unwrap(); // the test's other thread sends, kills, sends meanwhile
        while heard.send(ctx.receive().await).is_ok() {}
    });
    let target = victim.clone();
    let sender = std::thread::spawn(move || {
        is_in_body.recv().unwrap();
        target.send("before").unwrap();
        process::kill(target.pid());
        drop(target.send("after"));
        go_on.send(()).unwrap();
    });
    assert_eq!(within("its end", victim.wait()).await, ExitReason::Killed);
    sender.join().unwrap();
    while let Ok(received) = arrived.try_recv() {
        assert_ne!(received, Received::Message("after"), "signals of one sender keep their order");
    }
}

#[tokio::test]
async fn a_process_that_ended_itself_receives_no_more() {
    let (heard, mut arrived) = unbounded_channel();
    let puppet = spawn(move |mut ctx: Context<u8>| async move {
        ctx.addr().send(1).unwrap();
        process::exit(ctx.pid(), ExitReason::Shutdown);
        heard.send(ctx.receive().await).unwrap();
    });
    assert_eq!(within("its end", puppet.wait()).await, ExitReason::Shutdown);
    assert_eq!(arrived.try_recv().ok(), None);
}

#[tokio::test]
async fn a_message_to_a_dead_process_comes_back() {
    let gone = dead().await;
    assert_eq!(gone.send(7), Err(SendError::NoProc(7)));
    assert_eq!(gone.send(7).unwrap_err().into_message(), 7);
    assert!(!gone.is_alive());
}

#[tokio::test]
async fn a_full_mailbox_gives_the_message_back_and_tells_once_for_each_fill() {
    let (on, mut events) = unbounded_channel();
    let (admit, mut admitted) = unbounded_channel::<()>();
    let (took, mut taken) = unbounded_channel();
    let slow =
        SpawnOptions::new().label("slow").mailbox_limit(2).spawn(move |mut ctx: Context<u32>| async move {
            while admitted.recv().await.is_some() {
                took.send(ctx.receive().await).unwrap();
            }
        });
    let pid = slow.pid();
    let handler = telemetry::attach(move |event: &dyn Event| {
        if let Some(full) = (event as &dyn Any).downcast_ref::<MailboxFull>()
            && full.pid == pid
        {
            on.send((full.label.as_str().to_owned(), full.limit)).unwrap();
        }
    });
    for fill in 0..3 {
        while slow.send(0).is_ok() {}
        assert_eq!(slow.mailbox_len(), 2);
        for n in 0..5 {
            assert_eq!(slow.send(n), Err(SendError::Full(n)), "fill {fill}");
        }
        assert_eq!(events.try_recv().ok(), Some(("slow".to_owned(), 2)), "fill {fill}");
        assert_eq!(events.try_recv().ok(), None, "fill {fill}");
        admit.send(()).unwrap();
        within("a message to be taken", taken.recv()).await.unwrap();
    }
    assert!(telemetry::detach(handler));
    process::kill(pid);
}

#[tokio::test]
async fn signals_find_room_in_a_full_mailbox() {
    let (ready, is_ready) = tokio::sync::oneshot::channel();
    let (go_on, may_go_on) = tokio::sync::oneshot::channel::<()>();
    let (heard, mut arrived) = unbounded_channel();
    let full =
        SpawnOptions::new().mailbox_limit(1).trap_exit(true).spawn(move |mut ctx: Context<u32>| async move {
            ready.send(()).unwrap();
            may_go_on.await.unwrap();
            while heard.send(ctx.receive().await).is_ok() {}
        });
    is_ready.await.unwrap();
    full.send(1).unwrap();
    assert_eq!(full.send(2), Err(SendError::Full(2)));
    process::exit(full.pid(), ExitReason::Shutdown);
    go_on.send(()).unwrap();
    assert_eq!(within("the message", arrived.recv()).await, Some(Received::Message(1)));
    assert!(matches!(within("the signal", arrived.recv()).await, Some(Received::Info(Info::Exit(_)))));
    process::kill(full.pid());
}

#[tokio::test]
async fn a_dropped_receive_loses_nothing() {
    let puppet = spawn(|mut ctx: Context<u32>| async move {
        for _ in 0..10 {
            let waited = tokio::select! {
                biased;
                _ = ctx.receive() => true,
                () = std::future::ready(()) => false,
            };
            assert!(!waited);
        }
        ctx.addr().send(1).unwrap();
        assert_eq!(ctx.receive().await, Received::Message(1));
    });
    assert_eq!(within("its end", puppet.wait()).await, ExitReason::Normal);
}

#[tokio::test]
async fn unread_messages_are_dropped_with_their_process() {
    let (token, mut gone) = tokio::sync::mpsc::channel::<()>(1);
    let stuck = spawn(|_ctx: Context<tokio::sync::mpsc::Sender<()>>| pending::<()>());
    stuck.send(token).unwrap();
    process::kill(stuck.pid());
    within("its end", stuck.wait()).await;
    assert_eq!(within("the message's end", gone.recv()).await, None);
    assert_eq!(stuck.mailbox_len(), 0);
}

#[tokio::test]
async fn a_message_from_a_process_to_itself_arrives() {
    let puppet = Puppet::new(false);
    let (done, result) = tokio::sync::oneshot::channel();
    puppet
        .act(move |ctx| {
            let again = Job(Box::new(move |_| (done.send(()).unwrap(), None).1));
            assert!(ctx.addr().send(again).is_ok());
        })
        .await;
    within("the message to itself", result).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_room_gets_that_of_a_message_that_was_passed_over() {
    let picky = SpawnOptions::new().mailbox_limit(1).overflow(Overflow::Block).spawn(
        |mut ctx: Context<u8>| async move {
            let nothing = ctx.receive_match(|_| false, Duration::from_secs(1)).await;
            assert_eq!(nothing, None);
            assert_eq!(ctx.receive().await, Received::Message(1));
            assert_eq!(ctx.receive().await, Received::Message(2));
        },
    );
    picky.send_wait(1).await.unwrap();
    tokio::task::yield_now().await; // and now it is passed over
    let begun = Instant::now();
    tokio::time::timeout(Duration::from_secs(5), picky.send_wait(2)).await.unwrap().unwrap();
    assert_eq!(begun.elapsed(), Duration::from_secs(1));
    assert_eq!(picky.wait().await, ExitReason::Normal);
}
