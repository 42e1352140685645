//! The topics `realtime:*`, as Supabase's clients use them.

use serde_json::{Value, json};

use super::{reply, server};
use crate::support::{Client, TestServer};

const TOPIC: &str = "realtime:room";

async fn join(server: &TestServer, params: &str, config: Value) -> (Client, Value) {
    let mut client = Client::connect(server.addr, params).await;
    let payload = json!({ "config": config, "access_token": null });
    let join_ref = json!(client.push(Value::Null, TOPIC, "phx_join", payload).await);
    let reference = join_ref.as_str().unwrap_or_default().to_owned();
    client.expect(reply(&join_ref, &reference, TOPIC, "ok", json!({ "postgres_changes": [] }))).await;
    let state = client.frame().await;
    assert_eq!((&state[0], &state[3]), (&join_ref, &json!("presence_state")), "{state}");
    (client, join_ref)
}

fn broadcast(payload: &Value) -> Value {
    json!([null, null, TOPIC, "broadcast", payload])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn broadcasts_go_to_the_others_and_to_oneself_and_are_answered_as_configured() {
    let server = server().await;
    let (mut other, _) = join(&server, "", json!({ "broadcast": null, "presence": { "key": "" } })).await;
    let payload = json!({ "type": "broadcast", "event": "cursor", "payload": { "x": 1 } });
    for (config, to_self, ack) in [
        (json!({}), false, false),
        (Value::Null, false, false),
        (json!({ "broadcast": { "self": true, "ack": false } }), true, false),
        (json!({ "broadcast": { "self": false, "ack": true } }), false, true),
        (json!({ "broadcast": { "self": true, "ack": true }, "presence": null }), true, true),
    ] {
        let (mut sender, join_ref) = join(&server, "", config).await;
        let reference = sender.push(join_ref.clone(), TOPIC, "broadcast", payload.clone()).await;
        if to_self {
            sender.expect(broadcast(&payload)).await;
        }
        if ack {
            sender.expect(reply(&join_ref, &reference, TOPIC, "ok", json!({}))).await;
        }
        sender.push(join_ref, TOPIC, "access_token", json!({ "access_token": "t" })).await;
        sender.assert_alive().await;
        other.expect(broadcast(&payload)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn presence_is_tracked_updated_and_untracked() {
    let server = server().await;
    let (mut other, _) = join(&server, "", json!({})).await;
    let (mut ann, join_ref) = join(&server, "user_id=x", json!({ "presence": { "key": "ann" } })).await;
    let steps = [
        ("track", json!({ "n": 1 }), json!([{ "n": 1 }]), json!([])),
        ("TRACK", json!({ "n": 2, "phx_ref": "mine" }), json!([{ "n": 2 }]), json!([{ "n": 1 }])),
        ("Untrack", Value::Null, json!([]), json!([{ "n": 2 }])),
    ];
    for (event, payload, joins, leaves) in steps {
        let payload = json!({ "type": "presence", "event": event, "payload": payload });
        let reference = ann.push(join_ref.clone(), TOPIC, "presence", payload).await;
        let (mut is_answered, mut is_told) = (false, false);
        while !is_answered || !is_told {
            let frame = ann.frame().await;
            is_told |= frame[3] == "presence_diff";
            is_answered |= frame == reply(&join_ref, &reference, TOPIC, "ok", json!({}));
        }
        let diff = other.frame().await;
        let metas = |list: &Value| -> Vec<Value> {
            let metas = list["ann"]["metas"].as_array().cloned().unwrap_or_default();
            metas.iter().map(|meta| json!({ "n": meta["n"] })).collect()
        };
        assert_eq!(
            json!([metas(&diff[4]["joins"]), metas(&diff[4]["leaves"])]),
            json!([joins, leaves]),
            "{event}"
        );
    }
}
