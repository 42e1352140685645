//! A presence for channels: diffs and lists, fetches, clients within the program.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use heronry::prelude::*;
use heronry::supervisor::SupervisorRef;
use heronry::testing::{TelemetryTest, assert_receive};
use heronry_channels::{Broadcaster, Endpoint};
use heronry_presence::{
    FetchFailed, FetchFailure, Presence, PresenceBuilder, PresenceClient, PresenceDiff, Presences,
    TrackerOptions,
};
use serde_json::{Value, json};
use tokio::time::sleep;

use super::idle;

/// Longer than a window.
pub(super) const MOMENT: Duration = Duration::from_millis(50);

/// What is broadcast on the topic `t`: events with their payloads.
type Told = Arc<Mutex<Vec<(String, Value)>>>;

pub(super) struct Lab {
    pub(super) presence: Presence,
    told: Told,
    _tree: SupervisorRef,
}

impl Lab {
    pub(super) async fn start(with: impl FnOnce(PresenceBuilder) -> PresenceBuilder) -> Self {
        let broadcaster = Endpoint::builder().broadcaster();
        let presence = with(Presence::builder("lab", broadcaster.clone(), TrackerOptions::default())).build();
        let tree = Supervisor::one_for_one().child(presence.child_spec()).start().await.expect("it starts");
        let told = listen(&broadcaster).await;
        Self { presence, told, _tree: tree }
    }

    pub(super) fn told(&self) -> Vec<(String, Value)> {
        std::mem::take(&mut *self.told.lock().expect("no panic under it"))
    }

    pub(super) async fn track(&self, key: &str) -> Addr<()> {
        let process = idle();
        self.presence.track(&(process.pid(), "t"), key, json!({ "n": 1 })).await.expect("tracked");
        process
    }
}

async fn listen(broadcaster: &Broadcaster) -> Told {
    let (told, broadcaster) = (Told::default(), broadcaster.clone());
    let into = told.clone();
    spawn(move |ctx: Context<()>| async move {
        let take = move |broadcast: heronry_channels::Broadcast| {
            let payload = broadcast.payload.parse().expect("JSON");
            into.lock().expect("no panic under it").push((broadcast.event.to_string(), payload));
        };
        let _subscription = broadcaster.subscribe(&ctx, "t", take);
        std::future::pending::<()>().await;
    });
    sleep(Duration::from_millis(1)).await;
    told
}

#[tokio::test(start_paused = true)]
async fn members_are_told_diffs_and_a_list_is_what_phoenix_gives() {
    let lab = Lab::start(|builder| builder).await;
    let ann = lab.track("ann").await;
    let list = lab.presence.list("t").await;
    let (key, presence) = list.iter().next().expect("she is there");
    let reference = presence.metas()[0].reference();
    assert_eq!((key, list.len(), lab.presence.count("t")), ("ann", 1, 1));
    let there = json!({ "ann": { "metas": [{ "n": 1, "phx_ref": reference }] } });
    assert_eq!(serde_json::to_value(&list).expect("JSON"), there);
    sleep(MOMENT).await;
    heronry::process::kill(ann.pid());
    sleep(MOMENT).await;
    let diff = |joins: &Value, leaves: &Value| {
        ("presence_diff".to_owned(), json!({ "joins": joins, "leaves": leaves }))
    };
    assert_eq!(lab.told(), [diff(&there, &json!({})), diff(&json!({}), &there)]);
    assert!(lab.presence.list("t").await.is_empty());
    assert!(lab.presence.get_by_key("t", "ann").await.is_none());
}

#[tokio::test(start_paused = true)]
async fn fetches_run_at_the_same_time_and_are_told_in_order() {
    let lab = Lab::start(|builder| {
        builder.fetch(async |_, mut presences| {
            // Whoever comes first takes longest.
            let slow = presences.keys().any(|key| key == "slow");
            sleep(Duration::from_millis(if slow { 500 } else { 1 })).await;
            presences.iter_mut().for_each(|(key, presence)| presence.insert("user", format!("user {key}")));
            presences
        })
    })
    .await;
    lab.track("slow").await;
    sleep(MOMENT).await;
    lab.track("quick").await;
    sleep(Duration::from_millis(400)).await;
    assert!(lab.told().is_empty());
    sleep(Duration::from_millis(100)).await;
    let told = lab.told();
    let users: Vec<_> = told.iter().map(|(_, diff)| diff["joins"].clone()).collect();
    assert_eq!(users.len(), 2);
    assert_eq!(
        (&users[0]["slow"]["user"], &users[1]["quick"]["user"]),
        (&json!("user slow"), &json!("user quick"))
    );
    let one = lab.presence.get_by_key("t", "quick").await.expect("there");
    assert_eq!(one.get("user"), Some(&json!("user quick")));
}

#[tokio::test(start_paused = true)]
async fn a_fetch_that_crashes_costs_what_it_would_have_said() {
    let lab = Lab::start(|builder| {
        builder.fetch(async |_, presences: Presences| {
            assert!(presences.get("bad").is_none(), "as it was told");
            presences
        })
    })
    .await;
    let mut failures = TelemetryTest::attach(|event: &FetchFailed| event.why.clone());
    lab.track("bad").await;
    sleep(MOMENT).await;
    assert_receive!(failures, FetchFailure::Crashed(ExitReason::Panic(_)));
    let good = lab.track("good").await;
    sleep(MOMENT).await;
    let keys: Vec<_> = lab.told().iter().map(|(_, diff)| diff["joins"].to_string().contains("bad")).collect();
    assert_eq!(keys, [true, false], "who they are is told all the same, in order");
    assert!(heronry::process::is_alive(good.pid()));
}

struct Watcher(Arc<Mutex<Vec<BTreeMap<String, usize>>>>);

impl PresenceClient for Watcher {
    async fn handle_metas(&mut self, topic: &str, diff: &PresenceDiff, presences: &Presences) {
        assert_eq!(topic, "t");
        assert!(!diff.joins.is_empty() || !diff.leaves.is_empty());
        let now = presences.iter().map(|(key, presence)| (key.to_owned(), presence.metas().len())).collect();
        self.0.lock().expect("no panic under it").push(now);
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_within_the_program_knows_who_is_there() {
    let seen = Arc::<Mutex<Vec<_>>>::default();
    let into = seen.clone();
    let lab = Lab::start(|builder| builder.client(move || Watcher(into.clone()))).await;
    let first = lab.track("ann").await;
    sleep(MOMENT).await;
    lab.track("ann").await;
    sleep(MOMENT).await;
    lab.presence.update(&(first.pid(), "t"), "ann", json!({})).await.expect("updated");
    sleep(MOMENT).await;
    heronry::process::kill(first.pid());
    sleep(MOMENT).await;
    let lens: Vec<_> = seen.lock().expect("no panic under it").iter().map(|now| now["ann"]).collect();
    assert_eq!(lens, [1, 2, 2, 1]);
    assert_eq!(lab.told().len(), 4);
}
