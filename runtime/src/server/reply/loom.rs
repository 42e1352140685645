//! Models for loom: what becomes of a call, in every order in which its ends can act.

use ::loom::future::block_on;

use super::*;
use crate::process::loom::{check, meanwhile, prepare, reason, run};
use crate::process::{Addr, Received, SendError, SpawnOptions};

/// A message with a reply slot.
type Call<T> = ReplyTo<T>;

/// As `Addr::call`, without a deadline.
async fn call<T: Send + 'static>(addr: &Addr<Call<T>>) -> Result<T, CallError> {
    let (reply_to, mut pending) = slot(Some(addr.pid()));
    let watcher = pending.watcher();
    let mut message = Some(reply_to);
    std::future::poll_fn(|cx| {
        if message.is_some()
            && let Poll::Ready(Err(error)) = addr.process().poll_push(cx, &mut message, Some(&watcher))
        {
            assert!(matches!(error, SendError::NoProc(_)));
            return Poll::Ready(Err(CallError::Exited(
                addr.exit_reason().expect("refused by the dead alone"),
            )));
        }
        Pin::new(&mut pending).poll(cx)
    })
    .await
}

#[test]
fn the_first_outcome_counts_and_wakes_the_caller() {
    check(|| {
        let reply = Arc::new(());
        let (reply_to, pending) = slot(None);
        let (watcher, expiring, sent) = (pending.watcher(), pending.slot.clone(), reply.clone());
        let callee = meanwhile(move || reply_to.send(sent));
        let end = meanwhile(move || watcher.exited(&reason("over")));
        expiring.expired();
        let outcome = block_on(pending).map(drop);
        callee.join().unwrap();
        end.join().unwrap();
        let (over, late) = (CallError::Exited(reason("over")), CallError::Timeout(Duration::ZERO));
        assert!([Ok(()), Err(over), Err(late)].contains(&outcome), "{outcome:?}");
        assert!(matches!(*expiring.state.lock(), State::Done));
        assert_eq!(Arc::strong_count(&reply), 1, "a reply is taken or dropped");
    });
}

#[test]
fn a_reply_that_nobody_takes_is_dropped_at_once() {
    check(|| {
        let reply = Arc::new(());
        let (reply_to, pending) = slot(None);
        let (kept, sent) = (pending.slot.clone(), reply.clone());
        let callee = meanwhile(move || reply_to.send(sent));
        drop(pending);
        callee.join().unwrap();
        assert_eq!(Arc::strong_count(&reply), 1);
        assert!(kept.is_done());
    });
}

#[test]
fn a_call_is_answered_or_hears_of_the_end() {
    check(|| {
        let callee = prepare::<Call<u8>>(&SpawnOptions::new());
        let task = run(&callee, |mut ctx| async move {
            if let Received::Message(reply_to) = ctx.receive().await {
                reply_to.send(1);
            }
            reason("over")
        });
        let other = callee.clone();
        let caller = meanwhile(move || block_on(call(&other)));
        let outcomes = [block_on(call(&callee)), caller.join().unwrap()];
        task.join().unwrap();
        let answered = outcomes.iter().filter(|outcome| **outcome == Ok(1)).count();
        let refused =
            outcomes.iter().filter(|outcome| **outcome == Err(CallError::Exited(reason("over")))).count();
        assert_eq!((answered, refused), (1, 1), "{outcomes:?}");
    });
}

#[test]
fn a_call_that_its_callee_took_along_hears_of_the_end() {
    check(|| {
        let callee = prepare::<Call<u8>>(&SpawnOptions::new());
        let task = run(&callee, |mut ctx| async move {
            drop(ctx.receive().await);
            reason("over")
        });
        assert_eq!(block_on(call(&callee)), Err(CallError::Exited(reason("over"))));
        task.join().unwrap();
    });
}

#[test]
fn a_reply_slot_that_is_carried_away_and_dropped_ends_the_call() {
    check(|| {
        let callee = prepare::<Call<u8>>(&SpawnOptions::new());
        let away = Arc::new(Mutex::new(None));
        let elsewhere = away.clone();
        let task = run(&callee, move |mut ctx| async move {
            if let Received::Message(reply_to) = ctx.receive().await {
                *away.lock() = Some(reply_to);
            }
            reason("over")
        });
        let dropper = meanwhile(move || {
            let taken = elsewhere.lock().take();
            drop(taken);
        });
        let outcome = block_on(call(&callee));
        let possible = [Err(CallError::NoReply), Err(CallError::Exited(reason("over")))];
        assert!(possible.contains(&outcome), "{outcome:?}");
        dropper.join().unwrap();
        task.join().unwrap();
    });
}
