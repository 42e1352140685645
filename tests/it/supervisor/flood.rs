//! A supervisor whose mailbox is full.

use std::sync::Arc;

use heronry::prelude::*;
use heronry::process::MAILBOX_LIMIT_DEFAULT;
use tokio::sync::Semaphore;

use crate::support::{eventually, within};

#[tokio::test]
async fn it_can_be_stopped_and_answers_all_who_waited() {
    let open = Arc::new(Semaphore::new(0));
    let gate = open.clone();
    let slow = ChildSpec::new("slow", move |spawner| {
        let gate = gate.clone();
        async move {
            drop(gate.acquire().await);
            spawner.spawn(|_: Context<()>| std::future::pending::<()>()).map(|addr| addr.pid())
        }
    });
    let tree = Supervisor::one_for_one().label("flooded").start().await.expect("it starts");
    let busy = tokio::spawn({
        let tree = tree.clone();
        async move { tree.start_child(slow).await }
    });
    let node = || {
        let nodes = heronry::inspect::tree().nodes;
        nodes.into_iter().find(|node| node.pid == tree.pid()).expect("the supervisor lives")
    };
    eventually("the supervisor is busy", || node().handled == 1).await;
    let asking: Vec<_> = (0..MAILBOX_LIMIT_DEFAULT + 500)
        .map(|_| {
            let tree = tree.clone();
            tokio::spawn(async move { tree.count_children().await })
        })
        .collect();
    eventually("its mailbox is full", || node().mailbox_len >= MAILBOX_LIMIT_DEFAULT).await;
    let stopping = tokio::spawn({
        let tree = tree.clone();
        async move { tree.stop().await }
    });
    open.add_permits(1);
    within("the child", busy).await.expect("no panic").expect("the child starts");
    for asked in asking {
        // Those before the stop are answered, those after it hear of the end; nobody is refused.
        let answer = within("an answer", asked).await.expect("no panic");
        assert!(matches!(answer, Ok(_) | Err(CallError::Exited(ExitReason::Shutdown))), "{answer:?}");
    }
    within("the stop", stopping).await.expect("no panic");
}
