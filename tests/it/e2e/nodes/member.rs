//! A client that is in a topic with presence, and keeps account of what it is told.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};
use tests::ServerProcess;
use tokio::time::Instant;

use super::super::{Failure, Outcome};
use super::addr;
use crate::support::Client;

pub(super) const TOPIC: &str = "presence:lobby";

/// A member of the topic, and what it was told of the others.
pub(super) struct Member {
    pub(super) client: Client,
    /// The keys that are there, by the state and all diffs so far.
    pub(super) told: BTreeSet<String>,
    /// Every key that joined or left since the state, in order: `+key`, `-key`.
    changes: Vec<String>,
}

impl Member {
    pub(super) async fn join(node: &ServerProcess, user: &str) -> Outcome<Self> {
        let mut client = Client::connect(addr(node), &format!("user_id={user}")).await;
        client.join(TOPIC).await;
        let mut member = Self { client, told: BTreeSet::new(), changes: Vec::new() };
        while !member.told.contains(user) {
            let frame = member.client.frame().await;
            member.take(&frame);
        }
        Ok(member)
    }

    fn take(&mut self, frame: &Value) {
        let keys = |value: &Value| value.as_object().map_or(Vec::new(), |map| map.keys().cloned().collect());
        match frame[3].as_str() {
            Some("presence_state") => self.told.extend(keys(&frame[4])),
            Some("presence_diff") => {
                for key in keys(&frame[4]["leaves"]) {
                    self.told.remove(&key);
                    self.changes.push(format!("-{key}"));
                }
                for key in keys(&frame[4]["joins"]) {
                    self.changes.push(format!("+{key}"));
                    self.told.insert(key);
                }
            }
            _ => {}
        }
    }

    /// Waits until it has been told of these members and no others; how long that took.
    pub(super) async fn sees(&mut self, keys: &[&str], within: Duration) -> Outcome<Duration> {
        let (start, wanted) =
            (Instant::now(), keys.iter().map(|&key| key.to_owned()).collect::<BTreeSet<_>>());
        while self.told != wanted {
            let left = within.saturating_sub(start.elapsed());
            let Ok(frame) = tokio::time::timeout(left, self.client.frame()).await else {
                let told = &self.told;
                return Err(Failure(format!("after {within:?} told of {told:?}, wanted {wanted:?}")));
            };
            self.take(&frame);
        }
        Ok(start.elapsed())
    }

    /// Takes what is told during this time.
    pub(super) async fn listen(&mut self, time: Duration) {
        let until = Instant::now() + time;
        while let Ok(frame) = tokio::time::timeout_at(until, self.client.frame()).await {
            self.take(&frame);
        }
    }

    /// What its server lists.
    pub(super) async fn lists(&mut self) -> BTreeSet<String> {
        let reference = self.client.push("1".into(), TOPIC, "list", json!({})).await;
        loop {
            let frame = self.client.frame().await;
            self.take(&frame);
            if frame[3] == "phx_reply" && frame[1] == reference.as_str() {
                let list = frame[4]["response"].as_object().expect("a list is an object");
                return list.keys().cloned().collect();
            }
        }
    }

    pub(super) fn changes(&mut self) -> Vec<String> {
        std::mem::take(&mut self.changes)
    }
}
