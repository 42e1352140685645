//! Partition supervisors. The cases are those of Elixir's partition_supervisor_test.

use std::collections::HashSet;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use heronry::prelude::*;
use heronry::process;
use heronry::supervisor::{
    ChildError, Hashed, PARTITIONS_MAX, PartitionError, PartitionKey, PartitionRef, PartitionSupervisor,
    Strategy,
};

use super::lab::{OFTEN, PERIOD, idle, wait};
use crate::support::within;

/// A partition that tells its number.
fn numbered(partition: usize) -> ChildSpec {
    ChildSpec::process("numbered", move |mut ctx: Context<ReplyTo<usize>>| async move {
        while let Received::Message(reply_to) = ctx.receive().await {
            reply_to.send(partition);
        }
    })
}

async fn start(supervisor: PartitionSupervisor) -> PartitionRef {
    within("the start", supervisor.intensity(OFTEN, PERIOD).start()).await.expect("it starts")
}

/// The number that the partition of a key tells.
async fn number(partitions: &PartitionRef, key: impl PartitionKey) -> usize {
    let addr: Addr<ReplyTo<usize>> = partitions.whereis(key).expect("it runs");
    within("an answer", addr.call(|reply_to| reply_to, super::lab::PERIOD)).await.expect("it answers")
}

/// Waits until all that are used run again.
async fn all_up(partitions: &PartitionRef) {
    crate::support::eventually("the partitions", || {
        (0..partitions.partitions()).all(|partition| partitions.whereis_pid(partition).is_ok())
    })
    .await;
}

#[tokio::test]
async fn keys_lead_to_their_partitions_and_each_knows_its_number() {
    let partitions = start(PartitionSupervisor::new(numbered).partitions(3)).await;
    assert_eq!(partitions.partitions(), 3);
    for (key, expect) in [(0, 0), (1, 1), (2, 2), (3, 0), (-1, 1), (i64::MIN, 2)] {
        assert_eq!(number(&partitions, key).await, expect, "{key}");
    }
    let three = NonZeroUsize::new(3).expect("three");
    for key in ["a", "b", "room:lobby"] {
        assert_eq!(number(&partitions, key).await, key.partition(three), "{key}");
        assert_eq!(number(&partitions, Hashed(key)).await, key.partition(three), "{key}");
    }
    let children = within("the children", partitions.which_children()).await.expect("it lives");
    for (partition, child) in children.iter().enumerate() {
        assert_eq!(
            (child.id.as_str(), child.pid),
            (&*partition.to_string(), partitions.whereis_pid(partition).ok())
        );
    }
    let shown = heronry::inspect::tree();
    let node = shown.nodes.iter().find(|node| Some(node.pid) == children[2].pid).expect("it is in the tree");
    assert_eq!(node.label.as_str(), "numbered 2");
    within("the stop", partitions.stop()).await;
    assert_eq!(partitions.whereis_pid(0), Err(PartitionError::NoPartitions));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn unless_told_otherwise_there_is_one_for_each_scheduler_thread() {
    let partitions = start(PartitionSupervisor::new(numbered)).await;
    let count = within("the count", partitions.count_children()).await.expect("it lives");
    assert_eq!((partitions.partitions(), count.specs, count.active, count.workers), (3, 3, 3, 3));
    within("the stop", partitions.stop()).await;
}

#[tokio::test]
async fn a_number_of_partitions_that_can_not_be_is_refused() {
    for number in [0, PARTITIONS_MAX + 1, usize::MAX] {
        let supervisor = PartitionSupervisor::new(numbered).partitions(number);
        let error = within("the start", supervisor.start()).await.expect_err("it is refused");
        assert!(error.to_string().contains(&format!("not {number}")), "{error}");
    }
}

#[tokio::test]
async fn a_name_leads_to_it_while_it_runs_and_to_nothing_else() {
    let not_there = |name: &str| {
        let found = PartitionRef::named(name);
        assert!(matches!(found, Err(PartitionError::Supervisor(_))), "{name}: {found:?}");
    };
    not_there("partition.named");
    let spec = ChildSpec::partitioned("numbers", || PartitionSupervisor::new(numbered).partitions(2));
    let plain = ChildSpec::supervisor("plain", Supervisor::one_for_one).named("partition.plain");
    let supervisor = Supervisor::one_for_one().intensity(OFTEN, PERIOD);
    let tree = super::lab::start(supervisor.child(spec.named("partition.named")).child(plain)).await;
    let found = PartitionRef::named("partition.named").expect("it runs");
    assert_eq!(number(&found, 5).await, 1);
    // Also a supervisor, of the same type of messages, but without partitions.
    not_there("partition.plain");

    process::kill(found.pid());
    within("its end", found.wait()).await;
    crate::support::eventually("a restart", || PartitionRef::named("partition.named").is_ok()).await;
    let again = PartitionRef::named("partition.named").expect("it runs");
    all_up(&again).await;
    assert_ne!(again.pid(), found.pid());
    assert_eq!(number(&again, 5).await, 1);
    within("the stop", tree.stop()).await;
    not_there("partition.named");
}

#[tokio::test]
async fn dynamic_supervisors_as_partitions_share_the_children() {
    let dynamic = |_| ChildSpec::dynamic("carts", Supervisor::dynamic);
    let partitions = start(PartitionSupervisor::new(dynamic).partitions(4)).await;
    let mut started = HashSet::new();
    for n in 0..100 {
        let carts = partitions.dynamic(Hashed(n)).expect("it runs");
        started.insert(within("the child", carts.start_child(idle("cart"))).await.expect("it starts"));
    }
    let mut found = HashSet::new();
    for partition in 0..4 {
        let carts = partitions.dynamic(partition).expect("it runs");
        let children = within("the children", carts.which_children()).await.expect("it lives");
        assert!(!children.is_empty(), "partition {partition} got none of a hundred");
        found.extend(children.iter().filter_map(|child| child.pid));
    }
    assert_eq!(found, started);
    let count = within("the count", partitions.count_children()).await.expect("it lives");
    assert_eq!((count.supervisors, count.workers), (4, 0));
    assert_eq!(
        partitions.whereis::<ReplyTo<usize>>(1_u8).map(drop),
        Err(PartitionError::OtherType(1)),
        "a partition of another type"
    );
    within("the stop", partitions.stop()).await;
}

#[tokio::test]
async fn a_partition_that_ended_comes_back_to_its_keys() {
    for (strategy, come_back) in [(Strategy::OneForOne, 1), (Strategy::OneForAll, 3)] {
        let partitions = start(PartitionSupervisor::new(numbered).partitions(3).strategy(strategy)).await;
        let before: Vec<_> = (0..3).map(|key| partitions.whereis_pid(key).expect("it runs")).collect();
        process::kill(before[1]);
        within("its end", wait(before[1])).await;
        all_up(&partitions).await;
        let changed = (0..3).filter(|key| partitions.whereis_pid(*key) != Ok(before[*key])).count();
        assert_eq!(changed, come_back, "{strategy:?}");
        assert_eq!(number(&partitions, 1).await, 1);
        within("the stop", partitions.stop()).await;
    }
}

#[tokio::test]
async fn resizing_up_and_down_keeps_every_key_on_a_partition_that_runs() {
    let partitions = start(PartitionSupervisor::new(numbered).partitions(8)).await;
    let mut before = 8;
    for size in [8, 7, 6, 5, 4, 3, 2, 1, 0, 1, 2, 3, 8, 3, 5, 0, 8] {
        assert_eq!(within("the resize", partitions.resize(size)).await, Ok(before));
        before = size;
        assert_eq!(partitions.partitions(), size);
        let count = within("the count", partitions.count_children()).await.expect("it lives");
        assert_eq!((count.specs, count.active, count.workers), (8, size, 8));
        let routed: HashSet<_> = (0..8_u8).filter_map(|key| partitions.whereis_pid(key).ok()).collect();
        assert_eq!(routed.len(), size);
        if size == 0 {
            assert_eq!(partitions.whereis_pid("any"), Err(PartitionError::NoPartitions));
        }
    }
    assert_eq!(within("an answer", partitions.resize(9)).await, Err(PartitionError::TooMany(8)));
    assert_eq!(partitions.partitions(), 8);
    within("the stop", partitions.stop()).await;
    let ended = within("an answer", partitions.resize(3)).await;
    assert!(matches!(ended, Err(PartitionError::Child(ChildError::Supervisor(_)))), "{ended:?}");
}

/// Two at once are carried out one after the other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn resizes_at_the_same_time_do_not_mix() {
    let partitions = start(PartitionSupervisor::new(numbered).partitions(8)).await;
    for _ in 0..50 {
        let (one, other) = (partitions.clone(), partitions.clone());
        let resized = within("the resizes", async {
            tokio::join!(
                tokio::spawn(async move { one.resize(2).await }),
                tokio::spawn(async move { other.resize(6).await })
            )
        });
        let (one, other) = resized.await;
        assert!(one.is_ok_and(|one| one.is_ok()) && other.is_ok_and(|other| other.is_ok()));
        let count = within("the count", partitions.count_children()).await.expect("it lives");
        assert_eq!(count.active, partitions.partitions());
        assert!([2, 6].contains(&count.active));
    }
    within("the stop", partitions.stop()).await;
}

#[tokio::test]
async fn a_partition_that_does_not_come_up_fails_the_resize_and_no_key_leads_there() {
    let broken = Arc::new(AtomicBool::new(false));
    let breaks = broken.clone();
    let partition = move |partition| {
        let breaks = breaks.clone();
        ChildSpec::new("breakable", move |spawner| {
            let broken = partition == 2 && breaks.load(Ordering::SeqCst);
            async move {
                if broken {
                    return Err(StartError::Init(ExitReason::custom("no luck")));
                }
                Ok(spawner.spawn(|_: Context<()>| std::future::pending::<()>())?.pid())
            }
        })
    };
    let partitions = start(PartitionSupervisor::new(partition).partitions(3)).await;
    within("the resize", partitions.resize(1)).await.expect("it shrinks");
    broken.store(true, Ordering::SeqCst);
    let failed = within("the resize", partitions.resize(3)).await;
    assert!(matches!(&failed, Err(PartitionError::Child(ChildError::Start(id, _))) if id.as_str() == "2"));
    assert_eq!(partitions.partitions(), 1);
    broken.store(false, Ordering::SeqCst);
    assert_eq!(within("the resize", partitions.resize(3)).await, Ok(1));
    within("the stop", partitions.stop()).await;
}
