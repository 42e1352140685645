//! Large topics: what members of topics are told that are counted or sampled, and how seldom.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use heronry::process;
use heronry_channels::prelude::*;
use heronry_channels::{CheckOrigin, EndpointBuilder, SocketOptions};
use heronry_presence::{
    Mode, Presence, PresenceClient, PresenceDiff, Presences, SAMPLE_KEYS_MAX, SUMMARY_WINDOW_DEFAULT,
    TrackerOptions,
};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::sleep;

use super::channels::{Lab, MOMENT};
use crate::support::{Client, TestServer, eventually};

/// A window, and a moment.
const WINDOW: Duration = SUMMARY_WINDOW_DEFAULT.saturating_add(MOMENT);

/// What a client knows who is told of a sample: as phoenix.js keeps it, key by key the references of its metas.
#[derive(Default)]
struct Known {
    state: BTreeMap<String, BTreeSet<String>>,
    count: Option<u64>,
    /// How often it was told something.
    frames: usize,
}

impl Known {
    fn hear(&mut self, event: &str, payload: &Value) {
        self.frames += 1;
        match event {
            "presence_state" => self.state = references(payload),
            "presence_diff" => {
                for (key, joined) in references(&payload["joins"]) {
                    self.state.entry(key).or_default().extend(joined);
                }
                for (key, left) in references(&payload["leaves"]) {
                    let Some(known) = self.state.get_mut(&key) else { continue };
                    known.retain(|reference| !left.contains(reference));
                    if known.is_empty() {
                        self.state.remove(&key);
                    }
                }
            }
            "presence_count" => self.count = payload["count"].as_u64(),
            other => panic!("an event {other:?}"),
        }
    }

    fn keys(&self) -> Vec<&str> {
        self.state.keys().map(String::as_str).collect()
    }
}

fn references(presences: &Value) -> BTreeMap<String, BTreeSet<String>> {
    let reference = |meta: &Value| meta["phx_ref"].as_str().expect("each meta has one").to_owned();
    let presences = presences.as_object().expect("presences are an object");
    let metas =
        |presence: &Value| presence["metas"].as_array().map(|metas| metas.iter().map(reference).collect());
    presences.iter().map(|(key, presence)| (key.clone(), metas(presence).expect("a list"))).collect()
}

async fn lab(mode: Mode) -> Lab {
    Lab::start(|builder| builder.mode(move |topic| if topic == "t" { mode } else { Mode::Full })).await
}

fn hear(lab: &Lab, known: &mut Known) {
    lab.told().iter().for_each(|(event, payload)| known.hear(event, payload));
}

#[tokio::test(start_paused = true)]
async fn a_topic_that_is_only_counted_tells_how_many_there_are_once_a_window() {
    let lab = lab(Mode::Count).await;
    let mut all = Vec::new();
    for n in 0..10 {
        all.push(lab.track(&n.to_string()).await);
    }
    lab.track("0").await;
    let count = |n: usize| ("presence_count".to_owned(), json!({ "count": n }));
    sleep(MOMENT).await;
    assert_eq!(lab.told(), [count(1)], "the first is told at once");
    sleep(WINDOW).await;
    assert_eq!(lab.told(), [count(10)]);
    process::kill(all[9].pid());
    lab.presence.update(&(all[8].pid(), "t"), "8", json!({ "n": 2 })).await.expect("updated");
    sleep(WINDOW).await;
    assert_eq!(lab.told(), [count(9)]);
    lab.presence.update(&(all[8].pid(), "t"), "8", json!({ "n": 3 })).await.expect("updated");
    sleep(2 * WINDOW).await;
    assert_eq!(lab.told(), [], "there are as many as before");
    process::kill(all[8].pid());
    sleep(MOMENT).await;
    assert_eq!(lab.told(), [count(8)], "it was quiet for a window");
}

#[tokio::test(start_paused = true)]
async fn a_sample_is_all_of_a_small_topic_and_some_of_a_large_one() {
    let lab = lab(Mode::Sample(5)).await;
    let mut known = Known::default();
    let mut processes = BTreeMap::new();
    for key in ["a", "b", "c"] {
        processes.insert(key.to_owned(), lab.track(key).await);
    }
    sleep(WINDOW).await;
    hear(&lab, &mut known);
    assert_eq!((known.keys(), known.count), (vec!["a", "b", "c"], Some(3)));
    for n in 0..200 {
        processes.insert(format!("user-{n}"), lab.track(&format!("user-{n}")).await);
    }
    sleep(WINDOW).await;
    hear(&lab, &mut known);
    assert_eq!((known.state.len(), known.count), (5, Some(203)));

    // Whoever is beside the sample comes and goes: only the number changes.
    let before = known.state.clone();
    for key in processes.keys().filter(|key| !before.contains_key(*key)).take(50).cloned().collect::<Vec<_>>()
    {
        process::kill(processes.remove(&key).expect("there").pid());
    }
    sleep(WINDOW).await;
    let told = lab.told();
    assert_eq!(told, [("presence_count".to_owned(), json!({ "count": 153 }))]);

    // Whoever is in it leaves: the next ones come in the same diff.
    for key in before.keys().take(2).map(String::as_str) {
        process::kill(processes.remove(key).expect("there").pid());
    }
    sleep(WINDOW).await;
    let told = lab.told();
    let events: Vec<_> = told.iter().map(|(event, _)| event.as_str()).collect();
    assert_eq!(events, ["presence_diff", "presence_count"]);
    told.iter().for_each(|(event, payload)| known.hear(event, payload));
    assert_eq!((known.state.len(), known.count), (5, Some(151)));
    let kept = before.iter().skip(2).all(|(key, metas)| known.state.get(key) == Some(metas));
    assert!(kept, "{before:?} became {:?}", known.state);
    for (key, metas) in &known.state {
        let listed = lab.presence.get_by_key("t", key).await.expect("who is in the sample is there");
        assert_eq!(listed.metas().iter().map(|meta| meta.reference()).collect::<BTreeSet<_>>(), *metas);
    }

    for process in processes.values() {
        process::kill(process.pid());
    }
    sleep(2 * WINDOW).await;
    hear(&lab, &mut known);
    assert_eq!((known.keys(), known.count), (vec![], Some(0)));
}

#[tokio::test(start_paused = true)]
async fn a_member_is_told_no_more_however_many_come_and_go() {
    let told_in_a_second = async |changes: usize| {
        let lab = lab(Mode::Sample(5)).await;
        for n in 0..50 {
            lab.track(&format!("stays-{n}")).await;
        }
        sleep(2 * WINDOW).await;
        lab.told();
        for n in 0..changes {
            process::kill(lab.track(&format!("passes-{n}")).await.pid());
        }
        sleep(3 * WINDOW).await;
        lab.told()
    };
    for changes in [1, 100, 2_000] {
        let told = told_in_a_second(changes).await;
        // At once, and at the end of that window.
        assert!(told.len() <= 4, "{changes} came and went: {told:?}");
        let bytes: usize = told.iter().map(|(event, payload)| event.len() + payload.to_string().len()).sum();
        assert!(bytes < 2_000, "{changes} came and went: {bytes} bytes");
    }
}

#[tokio::test(start_paused = true)]
async fn more_is_said_of_those_in_the_sample_and_a_client_within_the_program_knows_all() {
    struct Counter(Arc<Mutex<usize>>);

    impl PresenceClient for Counter {
        async fn handle_metas(&mut self, _: &str, _: &PresenceDiff, presences: &Presences) {
            *self.0.lock().expect("no panic under it") = presences.len();
        }
    }

    let fetched = Arc::<Mutex<BTreeSet<String>>>::default();
    let (into, within) = (fetched.clone(), Arc::<Mutex<usize>>::default());
    let with_client = within.clone();
    let fetch = move |_: Arc<str>, mut presences: Presences| {
        let into = into.clone();
        async move {
            into.lock().expect("no panic under it").extend(presences.keys().map(str::to_owned));
            presences.iter_mut().for_each(|(key, presence)| presence.insert("user", format!("user {key}")));
            presences
        }
    };
    let plain = {
        let fetch = fetch.clone();
        Lab::start(|builder| builder.mode(|_| Mode::Sample(3)).fetch(fetch)).await
    };
    for n in 0..100 {
        plain.track(&n.to_string()).await;
    }
    sleep(2 * WINDOW).await;
    let told = plain.told();
    let mut known = Known::default();
    told.iter().for_each(|(event, payload)| known.hear(event, payload));
    assert_eq!((known.state.len(), known.count), (3, Some(100)));
    let said = |(_, payload): &(String, Value)| {
        let joins = payload["joins"].as_object().cloned().unwrap_or_default();
        joins.iter().all(|(key, presence)| presence["user"] == format!("user {key}"))
    };
    assert!(told.iter().all(said), "{told:?}");
    assert!(fetched.lock().expect("no panic under it").len() <= 4, "nothing is fetched of those beside it");

    let lab = Lab::start(|builder| {
        builder.mode(|_| Mode::Sample(3)).fetch(fetch).client(move || Counter(with_client.clone()))
    })
    .await;
    for n in 0..100 {
        lab.track(&n.to_string()).await;
    }
    sleep(MOMENT).await;
    assert_eq!(*within.lock().expect("no panic under it"), 100, "it hears of all, and as soon as ever");
}

#[tokio::test(start_paused = true)]
async fn a_sample_has_no_more_keys_than_any_may_have() {
    let lab = lab(Mode::Sample(usize::MAX)).await;
    for n in 0..SAMPLE_KEYS_MAX + 100 {
        lab.track(&n.to_string()).await;
    }
    sleep(2 * WINDOW).await;
    let mut known = Known::default();
    hear(&lab, &mut known);
    assert_eq!((known.state.len(), known.count), (SAMPLE_KEYS_MAX, Some(SAMPLE_KEYS_MAX as u64 + 100)));
}

/// A socket whose channels are present under the `user_id` that they join with.
pub(crate) struct Hall {
    presence: Presence,
}

struct Seat {
    user_id: String,
}

struct AfterJoin;

#[derive(Deserialize)]
struct Joining {
    user_id: String,
}

impl Socket for Hall {
    type Assigns = ();

    async fn connect(&self, _: &Connect) -> Result<(), Refusal> {
        Ok(())
    }

    fn channels(routes: Routes<Self>) -> Routes<Self> {
        routes.channel::<Seat>("hall:*")
    }
}

impl Channel for Seat {
    type Socket = Hall;
    type Msg = AfterJoin;

    async fn join(_: &str, payload: Payload, socket: &mut ChannelSocket<Self>) -> Join<Self> {
        let Joining { user_id } = payload.parse()?;
        socket.addr().send(AfterJoin)?;
        Ok((Self { user_id }, Payload::empty()))
    }

    async fn handle_info(&mut self, AfterJoin: AfterJoin, socket: &mut ChannelSocket<Self>) -> Outcome {
        let presence = &socket.handler().presence;
        presence.track(socket, &self.user_id, json!({})).await?;
        presence.push_state(socket).await?;
        Ok(Handled::NoReply)
    }
}

/// An endpoint with halls, which are sampled.
pub(crate) fn hall(keys_max: usize) -> (Presence, EndpointBuilder) {
    let builder = Endpoint::builder();
    let presence = Presence::builder("halls", builder.broadcaster(), TrackerOptions::default())
        .mode(move |_| Mode::Sample(keys_max))
        .summary_window(Duration::from_millis(100))
        .build();
    let options = SocketOptions { check_origin: CheckOrigin::Off, ..SocketOptions::default() };
    let builder = builder.socket_with("/socket", Hall { presence: presence.clone() }, options);
    (presence, builder)
}

const HALL: &str = "hall:1";

async fn sit(server: &TestServer, user: &str) -> (Client, Known) {
    let mut client = Client::connect(server.addr, "").await;
    client.push(Value::Null, HALL, "phx_join", json!({ "user_id": user })).await;
    let mut known = Known::default();
    let mut is_told = false;
    while !is_told || known.count.is_none() {
        let frame = client.frame().await;
        let event = frame[3].as_str().expect("an event");
        // What comes before the state is of no use to a client that has none.
        is_told |= event == "presence_state";
        if is_told {
            known.hear(event, &frame[4]);
        }
    }
    (client, known)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_comes_at_any_time_knows_the_sample_in_the_end() {
    const STAY: usize = 30;
    let (presence, builder) = hall(6);
    let server = TestServer::start_after(presence.child_spec(), builder).await;
    let mut members = Vec::new();
    for n in 0..STAY {
        // Others come and go meanwhile.
        let (passes, _) = sit(&server, &format!("passes-{n}")).await;
        members.push(sit(&server, &format!("stays-{n}")).await);
        drop(passes);
    }
    eventually("those who passed to be gone", || presence.count(HALL) == STAY).await;
    // So many there never were before. The number is told after what has changed in the sample.
    let last = [sit(&server, "last-0").await, sit(&server, "last-1").await];
    let mut all: Option<BTreeMap<String, BTreeSet<String>>> = None;
    for (client, known) in &mut members {
        while known.count != Some(STAY as u64 + 2) {
            let frame = client.frame().await;
            known.hear(frame[3].as_str().expect("an event"), &frame[4]);
        }
        assert_eq!(known.state.len(), 6);
        assert!(!known.keys().iter().any(|key| key.starts_with("passes")), "{:?}", known.state);
        assert_eq!(*all.get_or_insert_with(|| known.state.clone()), known.state, "all are told the same");
    }
    drop(last);
    server.tree.stop().await;
}
