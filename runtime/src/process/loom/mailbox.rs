//! Sending, receiving, and the end of the receiver.

use std::sync::Arc;
use std::task::Poll;

use super::*;
use crate::process::addr::SendError;
use crate::process::mailbox::Overflow;

/// What two senders number in their order.
type Numbered = (usize, u32);

/// Receives so many messages, which come in each sender's order.
async fn receive_in_order(ctx: &mut Context<Numbered>, count: usize) {
    let mut next = [0; 2];
    for _ in 0..count {
        let Received::Message((sender, number)) = ctx.receive().await else { panic!("no signals here") };
        assert_eq!(number, next[sender], "of sender {sender}");
        next[sender] += 1;
    }
}

#[test]
fn no_wake_up_is_lost_and_each_senders_order_holds() {
    check(|| {
        let process = prepare(&SpawnOptions::new());
        let task = run(&process, |mut ctx| async move { receive_in_order(&mut ctx, 4).await });
        let other = process.clone();
        let sender = meanwhile(move || (0..2).for_each(|number| other.send((1, number)).unwrap()));
        (0..2).for_each(|number| process.send((0, number)).unwrap());
        sender.join().unwrap();
        assert_eq!(task.join().unwrap(), ExitReason::Normal);
    });
}

#[test]
fn a_message_is_taken_in_or_refused_by_a_process_that_has_ended() {
    check(|| {
        let message = Arc::new(());
        let process = prepare(&SpawnOptions::new());
        let task = run(&process, |mut ctx| async move { drop(ctx.receive().await) });
        let send = |addr: &Addr<Arc<()>>, message: &Arc<()>| {
            if addr.send(message.clone()).is_err() {
                assert_eq!(addr.exit_reason(), Some(ExitReason::Normal));
                assert!(!crate::process::is_alive(addr.pid()));
            }
        };
        let (other, another) = (process.clone(), message.clone());
        let sender = meanwhile(move || (0..2).for_each(|_| send(&other, &another)));
        send(&process, &message);
        sender.join().unwrap();
        task.join().unwrap();
        assert_eq!(Arc::strong_count(&message), 1, "what is taken in and not received is dropped");
    });
}

/// Is polled once more before it goes on.
async fn yield_once() {
    let mut yielded = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// A process that took one message and then waited foresees its next wait. Here others come before that.
#[test]
fn no_wake_up_is_lost_to_a_wait_that_was_foreseen() {
    check(|| {
        let process = prepare(&SpawnOptions::new());
        let asking = prepare(&SpawnOptions::new());
        let next = asking.clone();
        let task = run(&process, move |mut ctx: Context<Numbered>| async move {
            assert_eq!(ctx.receive().await, Received::Message((0, 0)));
            poll_fn(|cx| {
                assert!(ctx.poll_receive(cx).is_pending());
                Poll::Ready(())
            })
            .await;
            next.send(()).unwrap();
            for number in 1..4 {
                assert_eq!(ctx.receive().await, Received::Message((0, number)));
            }
        });
        process.send((0, 0)).unwrap();
        block_on(Context::new(asking.process().clone()).receive());
        (1..4).for_each(|number| process.send((0, number)).unwrap());
        task.join().unwrap();
    });
}

/// As above, but the process waits for something else first.
#[test]
fn no_wake_up_is_lost_to_a_wait_that_was_foreseen_and_comes_late() {
    check(|| {
        let process = prepare(&SpawnOptions::new());
        let task = run(&process, |mut ctx: Context<Numbered>| async move {
            for number in 0..3 {
                assert_eq!(ctx.receive().await, Received::Message((0, number)));
                if number > 0 {
                    yield_once().await;
                }
            }
        });
        (0..3).for_each(|number| process.send((0, number)).unwrap());
        task.join().unwrap();
    });
}

/// Two wait for room in a mailbox that is full.
fn two_wait_for_room(limit: usize) {
    check_within(2, move || {
        let options = SpawnOptions::new().mailbox_limit(limit).overflow(Overflow::Block);
        let process = prepare(&options);
        (0..limit).for_each(|number| process.send((0, number as u32)).unwrap());
        let task = run(&process, move |mut ctx| async move { receive_in_order(&mut ctx, limit + 2).await });
        let other = process.clone();
        let sender = meanwhile(move || block_on(other.send_wait((1, 0))).unwrap());
        block_on(process.send_wait((0, limit as u32))).unwrap();
        sender.join().unwrap();
        task.join().unwrap();
    });
}

#[test]
fn who_waits_for_room_gets_it() {
    two_wait_for_room(1);
}

#[test]
fn who_waits_for_the_room_of_a_batch_gets_it() {
    two_wait_for_room(2);
}

/// What was aside comes from no lock: the room that it leaves is given away before the process waits.
#[test]
fn who_waits_for_the_room_of_what_was_aside_gets_it() {
    check(|| {
        let process = prepare(&SpawnOptions::new().mailbox_limit(1).overflow(Overflow::Block));
        let task = run(&process, |mut ctx| async move {
            ctx.continue_with((0, 0));
            receive_in_order(&mut ctx, 2).await;
        });
        block_on(process.send_wait((1, 0))).unwrap();
        task.join().unwrap();
    });
}

#[test]
fn who_waits_for_room_hears_of_the_end() {
    check_within(2, || {
        let options = SpawnOptions::new().mailbox_limit(1).overflow(Overflow::Block);
        let process = prepare(&options);
        process.send(0).unwrap();
        let task = run(&process, |mut ctx| async move { drop(ctx.receive().await) });
        let other = process.clone();
        let sender = meanwhile(move || block_on(other.send_wait(1)));
        let mine = block_on(process.send_wait(2));
        for sent in [mine, sender.join().unwrap()] {
            if let Err(error) = sent {
                assert!(matches!(error, SendError::NoProc(_)));
                assert_eq!(process.exit_reason(), Some(ExitReason::Normal));
            }
        }
        task.join().unwrap();
    });
}

#[test]
fn what_was_taken_out_and_not_handled_waits_again_before_what_comes() {
    check(|| {
        let process = prepare(&SpawnOptions::new());
        (0..3).for_each(|number| process.send((0, number)).unwrap());
        let again = process.clone();
        let task = run(&process, |mut ctx: Context<Numbered>| async move {
            assert_eq!(ctx.receive().await, Received::Message((0, 0)));
            drop(ctx);
            let mut ctx = Context::new(again.process().clone());
            for number in 1..4 {
                assert_eq!(ctx.receive().await, Received::Message((0, number)));
            }
            assert_eq!(again.mailbox_len(), 0);
        });
        process.send((0, 3)).unwrap();
        task.join().unwrap();
    });
}

/// The end of a process drops its context, which gives back what it has not handled.
#[test]
fn what_was_taken_out_and_not_handled_is_dropped_with_its_process() {
    check(|| {
        let message = Arc::new(());
        let process = prepare(&SpawnOptions::new());
        (0..3).for_each(|_| process.send(message.clone()).unwrap());
        let task = run(&process, |mut ctx| async move { drop(ctx.receive().await) });
        let other = process.clone();
        let killer = meanwhile(move || crate::process::kill(other.pid()));
        drop(process.send(message.clone()));
        killer.join().unwrap();
        task.join().unwrap();
        assert_eq!((Arc::strong_count(&message), process.mailbox_len()), (1, 0));
    });
}
