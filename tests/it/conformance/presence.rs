//! The topics `presence:*`, as their members see each other come, change and go.

use serde_json::{Value, json};

use super::{reply, server};
use crate::support::{Client, TestServer};

const TOPIC: &str = "presence:lobby";

/// Joins, and gives the join_ref and the state that is pushed.
async fn join(server: &TestServer, params: &str, payload: Value) -> (Client, Value, Value) {
    let (client, join_ref, state, _) = join_and_hear(server, params, payload).await;
    (client, join_ref, state)
}

/// And the diffs that came before it: the own one, perhaps, and those of others.
async fn join_and_hear(
    server: &TestServer,
    params: &str,
    payload: Value,
) -> (Client, Value, Value, Vec<Value>) {
    let mut client = Client::connect(server.addr, params).await;
    let join_ref = json!(client.push(Value::Null, TOPIC, "phx_join", payload).await);
    let reference = join_ref.as_str().unwrap_or_default().to_owned();
    client.expect(reply(&join_ref, &reference, TOPIC, "ok", json!({ "joined": TOPIC }))).await;
    let mut before = Vec::new();
    let state = loop {
        let frame = client.frame().await;
        if frame[3] == "presence_state" {
            assert_eq!((&frame[0], &frame[1], &frame[2]), (&join_ref, &Value::Null, &json!(TOPIC)));
            break frame[4].clone();
        }
        assert_eq!(frame[3], "presence_diff");
        before.push(frame[4].clone());
    };
    (client, join_ref, state, before)
}

/// The next diff that has something to say of the key.
async fn diff(client: &mut Client, key: &str) -> Value {
    loop {
        let frame = client.frame().await;
        let head = (&frame[0], &frame[1], &frame[2], &frame[3]);
        assert_eq!(head, (&Value::Null, &Value::Null, &json!(TOPIC), &json!("presence_diff")), "{frame}");
        if !frame[4]["joins"][key].is_null() || !frame[4]["leaves"][key].is_null() {
            return frame[4].clone();
        }
    }
}

/// Asks, and gives the answer; diffs that come before it are not looked at.
async fn ask(client: &mut Client, join_ref: &Value, event: &str, payload: Value) -> (Value, Vec<Value>) {
    let reference = client.push(join_ref.clone(), TOPIC, event, payload).await;
    let mut before = Vec::new();
    loop {
        let frame = client.frame().await;
        if frame[1] == json!(reference) {
            return (frame[4].clone(), before);
        }
        before.push(frame[4].clone());
    }
}

fn meta_ref(presence: &Value, at: usize) -> &str {
    presence["metas"][at]["phx_ref"].as_str().expect("each meta has a reference")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_comes_gets_the_state_and_the_others_a_diff() {
    let server = server().await;
    let (mut ann, _, state, mut before) =
        join_and_hear(&server, "user_id=ann", json!({ "device": "phone" })).await;
    let meta = &state["ann"]["metas"][0];
    assert_eq!(
        (&state["ann"]["user"]["name"], &meta["device"]),
        (&json!("user ann"), &json!("phone")),
        "{state}"
    );
    assert!(meta["online_at"].as_u64().is_some_and(|at| at > 1_600_000_000), "{state}");
    assert_eq!(meta.as_object().map(|meta| meta.len()), Some(3));
    let own = match before.pop() {
        Some(own) => own,
        None => diff(&mut ann, "ann").await,
    };
    assert_eq!(own, json!({ "joins": state, "leaves": {} }), "the own diff is as any other");
    let (_bob, _, both) = join(&server, "", json!({ "user_id": "bob" })).await;
    assert_eq!(both["ann"], state["ann"]);
    assert_eq!(both["bob"]["metas"][0]["device"], Value::Null);
    let come = diff(&mut ann, "bob").await;
    assert_eq!(come, json!({ "joins": { "bob": both["bob"] }, "leaves": {} }));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_of_one_key_are_two_metas_and_leave_one_by_one() {
    let server = server().await;
    let (mut watcher, ..) = join(&server, "user_id=watcher", json!({})).await;
    let (first, _, one) = join(&server, "user_id=ann", json!({ "device": 1 })).await;
    diff(&mut watcher, "ann").await;
    let (second, _, two) = join(&server, "user_id=ann", json!({ "device": 2 })).await;
    let metas = two["ann"]["metas"].as_array().expect("a list");
    assert_eq!(metas.len(), 2);
    assert_eq!(metas[0], one["ann"]["metas"][0], "the oldest first");
    let come = diff(&mut watcher, "ann").await;
    assert_eq!(come["joins"]["ann"]["metas"], json!([metas[1]]), "a diff has what is new");
    drop(first);
    let left = diff(&mut watcher, "ann").await;
    assert_eq!((&left["leaves"]["ann"]["metas"], &left["joins"]), (&json!([metas[0]]), &json!({})));
    assert_eq!(left["leaves"]["ann"]["user"], json!({ "name": "user ann" }));
    drop(second);
    let left = diff(&mut watcher, "ann").await;
    assert_eq!(left["leaves"]["ann"]["metas"], json!([metas[1]]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_update_is_one_diff() {
    let server = server().await;
    let (mut watcher, ..) = join(&server, "user_id=watcher", json!({})).await;
    let (mut ann, join_ref, state) = join(&server, "user_id=ann", json!({ "device": "old" })).await;
    diff(&mut watcher, "ann").await;
    let mut before = meta_ref(&state["ann"], 0).to_owned();
    for device in ["new", "newer", "newest"] {
        let (answer, _) = ask(&mut ann, &join_ref, "update", json!({ "device": device })).await;
        assert_eq!(answer, json!({ "status": "ok", "response": {} }));
        let diff = diff(&mut watcher, "ann").await;
        let [joined, left] = [&diff["joins"]["ann"], &diff["leaves"]["ann"]];
        let lens = [joined, left].map(|presence| presence["metas"].as_array().map(Vec::len));
        assert_eq!(lens, [Some(1), Some(1)], "{diff}");
        assert_eq!(meta_ref(left, 0), before);
        let meta = &joined["metas"][0];
        assert_eq!((&meta["device"], &meta["phx_ref_prev"]), (&json!(device), &json!(before)));
        assert_eq!(meta["online_at"], state["ann"]["metas"][0]["online_at"]);
        before = meta_ref(joined, 0).to_owned();
    }
    let (list, _) = ask(&mut ann, &join_ref, "list", json!({})).await;
    assert_eq!(meta_ref(&list["response"]["ann"], 0), before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_update_is_told_even_if_they_come_at_once() {
    let server = server().await;
    let (mut watcher, ..) = join(&server, "user_id=watcher", json!({})).await;
    let (mut ann, join_ref, _) = join(&server, "user_id=ann", json!({})).await;
    diff(&mut watcher, "ann").await;
    for device in 0..3 {
        ann.push(join_ref.clone(), TOPIC, "update", json!({ "device": device })).await;
    }
    for device in 0..3 {
        let diff = diff(&mut watcher, "ann").await;
        assert_eq!(diff["joins"]["ann"]["metas"][0]["device"], json!(device), "{diff}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_and_one_of_it() {
    let server = server().await;
    let (mut ann, join_ref, _) = join(&server, "user_id=ann", json!({})).await;
    let (_other, _, both) = join(&server, "", json!({})).await;
    let (list, _) = ask(&mut ann, &join_ref, "list", json!({})).await;
    assert_eq!(list, json!({ "status": "ok", "response": both }));
    let (one, _) = ask(&mut ann, &join_ref, "get", json!({ "key": "anon" })).await;
    assert_eq!(one, json!({ "status": "ok", "response": both["anon"] }));
    let (none, _) = ask(&mut ann, &join_ref, "get", json!({ "key": "nobody" })).await;
    assert_eq!(none, json!({ "status": "error", "response": { "reason": "not found" } }));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_untracks_stays_in_the_channel() {
    let server = server().await;
    let (mut watcher, ..) = join(&server, "user_id=watcher", json!({})).await;
    let (mut ann, join_ref, _) = join(&server, "user_id=ann", json!({})).await;
    diff(&mut watcher, "ann").await;
    let (answer, _) = ask(&mut ann, &join_ref, "untrack", json!({})).await;
    assert_eq!(answer, json!({ "status": "ok", "response": {} }));
    let left = diff(&mut watcher, "ann").await;
    assert_eq!(left["joins"], json!({}));
    let (list, _) = ask(&mut ann, &join_ref, "list", json!({})).await;
    assert_eq!(list["response"].as_object().map(|list| list.len()), Some(1), "{list}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn presences_leave_with_their_channel_however_it_ends() {
    let server = server().await;
    let (mut watcher, ..) = join(&server, "user_id=watcher", json!({})).await;
    for end in ["boom", "phx_leave", "gone"] {
        let (mut ann, join_ref, _) = join(&server, "user_id=ann", json!({})).await;
        diff(&mut watcher, "ann").await;
        if end == "gone" {
            drop(ann);
        } else {
            ann.push(join_ref, TOPIC, end, json!({})).await;
        }
        let left = diff(&mut watcher, "ann").await;
        assert_eq!((&left["joins"], left["leaves"]["ann"].is_object()), (&json!({}), true), "{end}: {left}");
    }
    watcher.assert_alive().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_who_come_at_once_are_told_in_few_frames() {
    const MANY: usize = 200;
    let server = server().await;
    let (mut watcher, ..) = join(&server, "user_id=watcher", json!({})).await;
    let comers: Vec<_> = (0..MANY)
        .map(|n| {
            let addr = server.addr;
            tokio::spawn(async move {
                let mut client = Client::connect(addr, &format!("user_id=u{n}")).await;
                client.join(TOPIC).await;
                client
            })
        })
        .collect();
    let (mut known, mut frames) = (0, 0);
    while known < MANY {
        let frame = watcher.frame().await;
        frames += 1;
        let joins = frame[4]["joins"].as_object().expect("a diff");
        known += joins.keys().filter(|key| key.starts_with('u')).count();
    }
    assert!(frames < MANY / 2, "{frames} frames for {MANY} who came");
    for comer in comers {
        comer.await.expect("it joined");
    }
}
