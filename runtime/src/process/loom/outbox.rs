//! Events that wait for room in a mailbox.

use std::sync::Arc;

use super::*;
use crate::process::outbox::Outbox;

#[test]
fn events_arrive_in_their_order_though_the_mailbox_is_full() {
    check(|| {
        let process = prepare::<u8>(&SpawnOptions::new().mailbox_limit(1));
        let task = run(&process, |mut ctx| async move {
            for number in 0..3 {
                assert_eq!(ctx.receive().await, Received::Message(number));
            }
        });
        let outbox =
            Arc::new(Outbox::new(process.clone(), |number: u8| number, |_| panic!("none is missed")));
        (0..2).for_each(|number| outbox.push(number));
        let other = outbox.clone();
        let flusher = meanwhile(move || other.flush());
        outbox.push(2);
        outbox.flush();
        flusher.join().unwrap();
        task.join().unwrap();
    });
}
