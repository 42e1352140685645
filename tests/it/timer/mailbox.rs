//! What becomes of a timer's message when the mailbox is full.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use heronry::process::{self, MailboxFull, Overflow, SpawnOptions};
use heronry::telemetry::{self, Event};
use heronry::timer;
use heronry::{Addr, Context, Received};
use tokio::sync::mpsc;
use tokio::time::sleep;

use super::{Counted, deaf, ms};

#[tokio::test(start_paused = true)]
async fn a_full_mailbox_loses_the_tick_and_says_so() {
    let dropped = Arc::new(AtomicUsize::new(0));
    let full = deaf(1);
    let pid = full.pid();
    let said = Arc::new(AtomicUsize::new(0));
    let says = said.clone();
    let handler = telemetry::attach(move |event: &dyn Event| {
        if (event as &dyn std::any::Any).downcast_ref::<MailboxFull>().is_some_and(|event| event.pid == pid) {
            says.fetch_add(1, Ordering::SeqCst);
        }
    });
    let makes = dropped.clone();
    let ticks = timer::send_interval(&full, ms(10), move || Counted(makes.clone()));
    timer::send_after(&full, ms(15), Counted(dropped.clone()));
    sleep(ms(45)).await;
    assert_eq!(
        (full.mailbox_len(), dropped.load(Ordering::SeqCst)),
        (1, 4),
        "refused ones are dropped at once"
    );
    assert_eq!(said.load(Ordering::SeqCst), 1);
    assert_eq!(ticks.read(), Some(ms(5)), "the interval goes on");
    telemetry::detach(handler);
    process::kill(full.pid());
}

#[tokio::test(start_paused = true)]
async fn a_process_that_is_flooded_gets_what_it_sends_itself() {
    let (told, tells) = tokio::sync::oneshot::channel();
    let flooded = SpawnOptions::new().mailbox_limit(2).spawn(|mut ctx: Context<u8>| async move {
        ctx.send_after(ms(20), 7);
        sleep(ms(50)).await;
        let mut heard = Vec::new();
        for _ in 0..3 {
            if let Received::Message(message) = ctx.receive().await {
                heard.push(message);
            }
        }
        told.send(heard).expect("the test listens");
    });
    sleep(ms(1)).await;
    timer::send_after(&flooded, ms(10), 1);
    timer::send_after(&flooded, ms(10), 2);
    timer::send_after(&flooded, ms(30), 3);
    assert_eq!(tells.await.unwrap(), [1, 2, 7], "others are held to the limit");
}

/// The policy of the mailbox holds for timers, and what it drops is dropped outside of every lock: its destructor uses
/// the timers and the mailbox.
#[tokio::test(start_paused = true)]
async fn each_policy_of_a_full_mailbox() {
    struct Nosy(u8, Addr<Nosy>, mpsc::UnboundedSender<u8>);
    impl Drop for Nosy {
        fn drop(&mut self) {
            let _ = (timer::count(), self.1.mailbox_len());
            let _ = self.2.send(self.0); // the test may be over
        }
    }
    let table = [
        (Overflow::Reject, vec![3], true),
        (Overflow::Block, vec![3], true),
        (Overflow::DropNewest, vec![3], true),
        (Overflow::DropOldest, vec![1], true),
        (Overflow::Exit, vec![3, 1, 2], false),
    ];
    for (policy, dropped, alive) in table {
        let full = SpawnOptions::new()
            .mailbox_limit(2)
            .overflow(policy)
            .spawn(|_ctx: Context<Nosy>| std::future::pending::<()>());
        let (drops, mut dropping) = mpsc::unbounded_channel();
        for n in 1..=3 {
            timer::send_after(&full, ms(n.into()), Nosy(n, full.clone(), drops.clone()));
        }
        sleep(ms(10)).await;
        let seen: Vec<u8> = std::iter::from_fn(|| dropping.try_recv().ok()).collect();
        assert_eq!((seen, full.is_alive()), (dropped, alive), "{policy:?}");
        process::kill(full.pid());
        full.wait().await;
    }
}
