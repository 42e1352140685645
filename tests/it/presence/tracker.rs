//! A tracker on one node.

use std::time::Duration;

use heronry::prelude::*;
use heronry::process;
use heronry::testing::{TelemetryTest, assert_receive};
use heronry_presence::{Limit, Meta, TrackError, TrackerLimited, TrackerLimits, TrackerOptions};
use serde_json::{Map, Value, json};
use tokio::time::sleep;

use super::{Order, Running, idle};

/// Longer than a window.
const MOMENT: Duration = Duration::from_millis(50);

async fn running() -> Running {
    Running::start(TrackerOptions::default()).await
}

#[tokio::test(start_paused = true)]
async fn who_is_tracked_is_there_at_once_until_untracked() {
    let running = running().await;
    let (tracker, ann) = (&running.tracker, idle());
    assert!(tracker.list("t").is_empty());
    let reference = tracker.track(ann.pid(), "t", "ann", json!({ "n": 1 })).await.expect("tracked");
    let entries = tracker.list("t");
    let [entry] = &entries[..] else { panic!("{entries:?}") };
    assert_eq!((entry.key(), entry.topic(), entry.pid()), ("ann", "t", Some(ann.pid())));
    assert_eq!(entry.json(), format!(r#"{{"n":1,"phx_ref":"{reference}"}}"#));
    assert_eq!((tracker.count("t"), tracker.count("u")), (1, 0));
    assert_eq!(tracker.get_by_key("t", "ann").len(), 1);
    assert!(tracker.get_by_key("t", "bob").is_empty());
    assert!(tracker.get_by_key("u", "ann").is_empty());
    for _ in 0..2 {
        // The second time there is nothing to untrack, which is no mistake.
        tracker.untrack(ann.pid(), "t", "ann").await.expect("it runs");
    }
    assert_eq!(tracker.count("t"), 0);
    sleep(MOMENT).await;
    assert_eq!(running.told(), ["+ann", "-ann"]);
    assert!(process::is_alive(ann.pid()));
}

#[tokio::test(start_paused = true)]
async fn the_same_process_topic_and_key_are_tracked_once() {
    let running = running().await;
    let (tracker, ann, bob) = (&running.tracker, idle(), idle());
    tracker.track(ann.pid(), "t", "k", json!({})).await.expect("tracked");
    let again = tracker.track(ann.pid(), "t", "k", json!({})).await;
    assert!(
        matches!(&again, Err(TrackError::AlreadyTracked { pid, topic, key })
            if *pid == ann.pid() && &**topic == "t" && &**key == "k"),
        "{again:?}"
    );
    for (pid, topic, key) in [(ann.pid(), "u", "k"), (ann.pid(), "t", "l"), (bob.pid(), "t", "k")] {
        tracker.track(pid, topic, key, json!({})).await.expect("another one");
    }
    assert_eq!((tracker.count("t"), tracker.count_keys("t")), (3, 2));
    assert_eq!(tracker.get_by_key("t", "k").len(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_update_is_a_leave_and_a_join_in_one_diff() {
    let running = running().await;
    let (tracker, ann) = (&running.tracker, idle());
    let nothing = tracker.update(ann.pid(), "t", "ann", json!({})).await;
    assert!(matches!(nothing, Err(TrackError::NoPresence)), "{nothing:?}");
    let first = tracker.track(ann.pid(), "t", "ann", json!({ "n": 1 })).await.expect("tracked");
    let second = tracker.update(ann.pid(), "t", "ann", json!({ "n": 2 })).await.expect("updated");
    let third = tracker
        .update_with(ann.pid(), "t", "ann", |meta| {
            let mut meta: Map<String, Value> = meta.parse()?;
            meta.insert("m".to_owned(), json!(3));
            Ok(Meta::from(meta))
        })
        .await
        .expect("updated");
    assert!(first != second && second != third);
    let entry = &tracker.list("t")[0];
    assert_eq!(entry.json(), format!(r#"{{"m":3,"n":2,"phx_ref":"{third}","phx_ref_prev":"{second}"}}"#));
    sleep(MOMENT).await;
    assert_eq!(running.told(), ["+ann", "+ann -ann", "+ann -ann"]);
    let refused = tracker.update_with(ann.pid(), "t", "ann", |meta| meta.parse::<()>().map(|()| meta)).await;
    assert!(matches!(refused, Err(TrackError::Meta(_))), "{refused:?}");
}

#[tokio::test(start_paused = true)]
async fn all_of_a_process_goes_when_it_ends_or_is_untracked() {
    let running = Running::start(TrackerOptions { pool_size: 8, ..TrackerOptions::default() }).await;
    let (tracker, ann, bob) = (&running.tracker, idle(), idle());
    let topics: Vec<_> = (0..20).map(|n| format!("t{n}")).collect();
    for topic in &topics {
        for (process, key) in [(&ann, "ann"), (&bob, "bob")] {
            tracker.track(process.pid(), topic, key, json!({})).await.expect("tracked");
        }
    }
    assert!(topics.iter().all(|topic| tracker.count(topic) == 2));
    tracker.untrack_all(bob.pid()).await.expect("it runs");
    assert!(topics.iter().all(|topic| running.keys(topic) == ["ann"]));
    assert!(process::info(bob.pid()).is_some_and(|info| info.links.is_empty()), "nothing is left of it");
    process::kill(ann.pid());
    ann.wait().await;
    sleep(MOMENT).await;
    assert!(topics.iter().all(|topic| tracker.count(topic) == 0));
    let gone = tracker.track(ann.pid(), "t", "ann", json!({})).await;
    assert!(matches!(gone, Err(TrackError::NoProc(pid)) if pid == ann.pid()), "{gone:?}");
}

#[tokio::test(start_paused = true)]
async fn a_normal_end_is_an_end_and_the_tracker_goes_on() {
    let running = running().await;
    let (tracker, ann) = (&running.tracker, idle());
    tracker.track(ann.pid(), "t", "ann", json!({})).await.expect("tracked");
    ann.send(()).expect("it lives");
    assert_eq!(ann.wait().await, ExitReason::Normal);
    sleep(MOMENT).await;
    assert_eq!(tracker.count("t"), 0);
    assert_eq!(running.told(), ["+ann", "-ann"]);
}

#[tokio::test(start_paused = true)]
async fn those_who_come_at_once_are_told_together() {
    let running = running().await;
    let many: Vec<_> = (0..100).map(|_| idle()).collect();
    for (n, process) in many.iter().enumerate() {
        running.tracker.track(process.pid(), "t", &format!("{n:03}"), json!({})).await.expect("tracked");
    }
    assert_eq!(running.told(), ["+000"], "the first is told at once");
    sleep(MOMENT).await;
    let told = running.told();
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].split(' ').count(), 99);
}

#[tokio::test(start_paused = true)]
async fn with_a_grace_a_return_is_no_leave() {
    let grace = Duration::from_secs(5);
    let running = Running::start(TrackerOptions { leave_grace: grace, ..TrackerOptions::default() }).await;
    let (tracker, first, second) = (&running.tracker, idle(), idle());
    let before = tracker.track(first.pid(), "t", "ann", json!({})).await.expect("tracked");
    process::kill(first.pid());
    sleep(grace - MOMENT).await;
    assert_eq!(running.keys("t"), ["ann"]);
    let after = tracker.track(second.pid(), "t", "ann", json!({})).await.expect("tracked");
    assert_eq!(before, after, "it is the same presence");
    assert_eq!(tracker.get_by_key("t", "ann")[0].pid(), Some(second.pid()));
    sleep(2 * grace).await;
    assert_eq!(running.told(), ["+ann"]);
    process::kill(second.pid());
    sleep(grace + MOMENT).await;
    assert_eq!(running.told(), ["-ann"]);
    assert_eq!(tracker.count("t"), 0);
}

#[tokio::test(start_paused = true)]
async fn a_limit_refuses_and_is_told() {
    let limits = TrackerLimits { entries_per_process: 2, meta_bytes: 10, ..TrackerLimits::default() };
    let running = Running::start(TrackerOptions { limits, ..TrackerOptions::default() }).await;
    let (tracker, ann) = (&running.tracker, idle());
    for key in ["a", "b"] {
        tracker.track(ann.pid(), "t", key, json!({})).await.expect("tracked");
    }
    let mut events = TelemetryTest::attach(|event: &TrackerLimited| (event.pid, event.limit));
    for (key, meta, limit) in
        [("c", json!({}), Limit::EntriesPerProcess), ("c", json!({ "n": 123_456 }), Limit::MetaBytes)]
    {
        let refused = tracker.track(ann.pid(), "t", key, meta).await;
        assert!(
            matches!(refused, Err(TrackError::Limit { limit: found, .. }) if found == limit),
            "{refused:?}"
        );
        assert_receive!(events, (pid, found) if pid == ann.pid() && found == limit);
    }
    let long = tracker.update(ann.pid(), "t", "a", json!({ "n": 123_456 })).await;
    assert!(matches!(long, Err(TrackError::Limit { limit: Limit::MetaBytes, max: 10 })), "{long:?}");
    assert_eq!(tracker.count("t"), 2);
}

#[tokio::test(start_paused = true)]
async fn a_crash_takes_those_along_who_are_tracked_and_leaves_nothing_of_them() {
    let running = running().await;
    let (tracker, ann, bystander) = (&running.tracker, idle(), idle());
    tracker.track(ann.pid(), "t", "ann", json!({})).await.expect("tracked");
    tracker.track(bystander.pid(), "u", "by", json!({})).await.expect("tracked");
    tracker.untrack(bystander.pid(), "u", "by").await.expect("it runs");
    tracker.tell("t", Order::Note("hello")).expect("it runs");
    tracker.tell("t", Order::Crash).expect("it runs");
    assert!(matches!(ann.wait().await, ExitReason::Panic(_)));
    sleep(MOMENT).await;
    assert_eq!(tracker.count("t"), 0);
    let told = running.told();
    assert_eq!(told, ["+ann", "+by", "hello", "-by", "-ann"].map(String::from), "{told:?}");
    assert!(process::is_alive(bystander.pid()), "nobody else is harmed");
    let again = idle();
    tracker.track(again.pid(), "t", "again", json!({})).await.expect("it runs again");
}

#[tokio::test(start_paused = true)]
async fn an_orderly_end_leaves_processes_alone() {
    let running = running().await;
    let ann = idle();
    running.tracker.track(ann.pid(), "t", "ann", json!({})).await.expect("tracked");
    running.tree.stop().await;
    assert!(process::is_alive(ann.pid()));
    let over = running.tracker.track(ann.pid(), "t", "b", json!({})).await;
    assert!(matches!(over, Err(TrackError::NotRunning)), "{over:?}");
}

#[tokio::test(start_paused = true)]
async fn an_exit_signal_of_one_who_lives_is_no_end() {
    let running = running().await;
    let tracker = running.tracker.clone();
    let ann = spawn(move |ctx: Context<()>| async move {
        tracker.track(ctx.pid(), "t", "ann", json!({})).await.expect("tracked");
        let links = process::info(ctx.pid()).expect("it runs").links;
        process::exit(links[0], ExitReason::custom("go away"));
        std::future::pending::<()>().await;
    });
    sleep(MOMENT).await;
    assert_eq!(running.keys("t"), ["ann"]);
    process::kill(ann.pid());
}
