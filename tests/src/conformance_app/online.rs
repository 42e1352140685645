//! Who is in the topics: one presence for all of them, which says of each key what its user is called.

use heronry::cluster::Node;
use heronry_channels::Broadcaster;
use heronry_presence::{Presence, TrackerOptions};
use serde_json::json;

pub(super) fn presence(broadcaster: Broadcaster, node: Option<Node>) -> Presence {
    Presence::builder("conformance", broadcaster, TrackerOptions { node, ..TrackerOptions::default() })
        .fetch(async |_topic, mut presences| {
            for (key, presence) in presences.iter_mut() {
                let name = format!("user {key}");
                presence.insert("user", json!({ "name": name }));
            }
            presences
        })
        .build()
}
