//! Calls as values: several under way at once, and from a process with much to read.

use super::*;

/// OTP's `send_request` with collections of request ids: here a call is a future.
#[tokio::test]
async fn calls_under_way_at_once_get_each_its_own_reply() {
    let addr = subject(Plan::default()).await;
    let late = addr.call(Ask::Keep, LONG);
    let first = addr.call(|reply_to| Ask::Echo(10, reply_to), LONG);
    let second = addr.call(|reply_to| Ask::Echo(20, reply_to), LONG);
    let (late, (first, second)) = within("the replies", async {
        tokio::join!(late, async {
            let replies = tokio::join!(second, first);
            addr.cast(Ask::ReplyToKept).expect("it lives");
            (replies.1, replies.0)
        })
    })
    .await;
    assert_eq!((late, first, second), (Ok(1), Ok(10), Ok(20)));
    process::kill(addr.pid());
}

/// The reply does not come through the caller's mailbox: however much waits there, a call takes no longer.
#[tokio::test]
async fn a_caller_with_a_full_mailbox_is_answered_and_loses_no_message() {
    const UNREAD: u32 = 50_000;
    let addr = subject(Plan::default()).await;
    let callee = addr.clone();
    let caller = spawn(move |mut ctx: Context<u32>| async move {
        for n in 0..UNREAD {
            ctx.addr().send(n).expect("there is room");
        }
        for n in 0..1_000 {
            assert_eq!(callee.call(|reply_to| Ask::Echo(n, reply_to), LONG).await, Ok(n));
        }
        for n in 0..UNREAD {
            assert_eq!(ctx.receive().await, Received::Message(n));
        }
    });
    assert_eq!(within("the caller", caller.wait()).await, ExitReason::Normal);
    process::kill(addr.pid());
}

/// OTP's `cast` says `ok` whatever happens; ours gives the message back.
#[tokio::test]
async fn a_cast_to_nobody_harms_nobody() {
    let addr = subject(Plan::default()).await;
    process::kill(addr.pid());
    assert_eq!(within("its end", addr.wait()).await, ExitReason::Killed);
    assert!(matches!(addr.cast(Ask::ReplyToKept), Err(SendError::NoProc(Ask::ReplyToKept))));
    assert!(process::whereis::<Ask>("server.nobody").is_err());
}

/// "nil name": a server that was given none has none.
#[tokio::test]
async fn a_server_without_a_name_has_none() {
    let addr = subject(Plan::default()).await;
    let nodes = heronry::inspect::tree().nodes;
    let node = nodes.iter().find(|node| node.pid == addr.pid()).expect("it runs");
    assert_eq!(node.name, None);
    process::kill(addr.pid());
}

/// Gives memory back after each message.
struct Sleepy;

impl Server for Sleepy {
    type Args = ();
    type Msg = (u32, ReplyTo<u32>);

    async fn init((): (), ctx: &mut Context<Self::Msg>) -> Init<Self> {
        ctx.hibernate();
        Ok(Self)
    }

    async fn handle(&mut self, (n, reply_to): Self::Msg, ctx: &mut Context<Self::Msg>) -> Next {
        reply_to.send(n);
        ctx.hibernate();
        Next::Continue
    }
}

/// OTP hibernates with what waits in the mailbox, and wakes at once for it.
#[tokio::test]
async fn a_server_that_hibernates_loses_nothing() {
    let addr = within("the start", Sleepy::start(())).await.expect("it starts");
    for round in 0..3 {
        let calls: Vec<_> = (0..100)
            .map(|n| {
                let addr = addr.clone();
                tokio::spawn(async move { addr.call(|reply_to| (n, reply_to), LONG).await })
            })
            .collect();
        for (n, call) in calls.into_iter().enumerate() {
            let reply = within("a reply", call).await.expect("no panic");
            assert_eq!(reply, Ok(n as u32), "round {round}");
        }
    }
    process::kill(addr.pid());
}
