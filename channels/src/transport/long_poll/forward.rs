//! Requests that land on another node than their session's: they are forwarded to it, and answered for it. Phoenix does
//! the same over PubSub.
//!
//! Nobody is asked where a session is: its token says so. What is said between the nodes is in [`wire`](super::wire).

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use bytestring::ByteString;
use heronry::node::NodeName;
use heronry::pubsub::Subscription;
use heronry::telemetry::{self, Event, Level};
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::{Instant, timeout_at};

use super::wire::{Answered, Call, Said};
use crate::message::{Broadcast, Payload};
use crate::socket::{ChannelPubSub, Lane};

/// How many requests of other nodes a mount serves at a time, and how many of its own wait for other nodes; with more, they
/// are answered as if the session's node were gone.
pub(super) const FORWARDED_MAX: usize = 10_000;

/// How many bodies for sessions of other nodes are read at a time.
pub(super) const FORWARDED_BODIES_MAX: usize = 64;

const EVENT: &str = "heronry_long_poll";

/// The requests of one mount that go to other nodes, and those that come from there.
pub(super) struct Forwarder {
    pubsub: ChannelPubSub,
    /// One for each mount, the same on all nodes.
    topic: ByteString,
    next: AtomicU64,
    waiting: Mutex<HashMap<u64, Waiting>>,
    /// What keeps this mount reachable, once it was needed.
    reachable: Mutex<Option<Subscription>>,
    serving: Arc<Semaphore>,
    pub(super) bodies: Arc<Semaphore>,
}

/// A request that waits for its session's node.
struct Waiting {
    taken: Option<oneshot::Sender<()>>,
    answered: oneshot::Sender<Option<Answered>>,
}

impl Forwarder {
    /// For the mount at that path.
    pub(super) fn new(pubsub: ChannelPubSub, path: &str) -> Self {
        Self {
            pubsub,
            topic: format!("heronry:longpoll:{path}").into(),
            next: AtomicU64::new(1),
            waiting: Mutex::default(),
            reachable: Mutex::default(),
            serving: Arc::new(Semaphore::new(FORWARDED_MAX)),
            bodies: Arc::new(Semaphore::new(FORWARDED_BODIES_MAX)),
        }
    }

    /// This node, if there are others.
    pub(super) fn node(&self) -> Option<&NodeName> {
        self.pubsub.node().map(|node| node.id().name())
    }

    /// From now on other nodes reach this mount: what they ask goes to `serve`.
    pub(super) fn be_reachable(&self, owner: heronry::Pid, hear: impl Fn(Bytes) + Send + Sync + 'static) {
        if self.node().is_none() {
            return;
        }
        let mut reachable = self.reachable.lock();
        if reachable.is_none() {
            let hear = move |broadcast: Broadcast| {
                if let Some(bytes) = broadcast.payload.as_binary() {
                    hear(bytes.clone());
                }
            };
            *reachable = Some(self.pubsub.subscribe(owner, &self.topic, Lane::Process(Arc::new(hear))));
        }
    }

    /// The right to serve one more request of another node.
    pub(super) fn serving(&self) -> Option<OwnedSemaphorePermit> {
        let permit = self.serving.clone().try_acquire_owned();
        permit.inspect_err(|_| telemetry::emit(&LongPollForwardsFull { own: false })).ok()
    }

    /// Sends something to the same mount on another node. At most once, as all between nodes.
    pub(super) fn say(&self, to: &NodeName, said: &Said<'_>) -> bool {
        let payload = Payload::binary(said.encode());
        let broadcast = Broadcast { topic: self.topic.clone(), event: EVENT.into(), payload };
        self.pubsub.direct_broadcast(to, &self.topic, broadcast).is_ok()
    }

    /// Has a session's node answer a request. `None` if there is no such node, or no such session there; it has until
    /// `taken_by` to say so, and until `answered_by` to answer.
    pub(super) async fn ask(
        &self,
        node: &NodeName,
        call: Call<'_>,
        taken_by: Instant,
        answered_by: Instant,
    ) -> Result<Option<Answered>, Late> {
        let Some(own) = self.node() else { return Ok(None) };
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let (taken, is_taken) = oneshot::channel();
        let (answered, answer) = oneshot::channel();
        {
            let mut waiting = self.waiting.lock();
            if waiting.len() >= FORWARDED_MAX {
                drop(waiting);
                telemetry::emit(&LongPollForwardsFull { own: true });
                return Ok(None);
            }
            waiting.insert(number, Waiting { taken: Some(taken), answered });
        }
        // Also if the client goes away meanwhile and this is dropped.
        let _forget = Forget { forwarder: self, number };
        if !self.say(node, &Said::Call { from: own.as_str(), number, call }) {
            return Ok(None);
        }
        // Its session is not there: that is the answer, and nothing was taken.
        if !matches!(timeout_at(taken_by, is_taken).await, Ok(Ok(()))) {
            return Ok(None);
        }
        match timeout_at(answered_by, answer).await {
            Ok(answer) => Ok(answer.ok().flatten()),
            Err(_) => Err(Late),
        }
    }

    /// The session's node has it.
    pub(super) fn taken(&self, number: u64) {
        let taken = self.waiting.lock().get_mut(&number).and_then(|waiting| waiting.taken.take());
        if let Some(taken) = taken {
            let _ = taken.send(());
        }
    }

    /// The session's node has answered; with `None` there is no such session.
    pub(super) fn answered(&self, number: u64, answer: Option<Answered>) {
        let waiting = self.waiting.lock().remove(&number);
        if let Some(waiting) = waiting {
            drop(waiting.answered.send(answer));
        }
    }
}

/// A request that landed on another node than its session's was answered as if the session were gone, since so many are
/// under way already (10,000 of a mount, each way): `heronry.long_poll.forwards_full`. Its client starts a new session.
#[derive(Debug)]
#[non_exhaustive]
pub struct LongPollForwardsFull {
    /// Whether it landed here, and not on the node that sent it here.
    pub own: bool,
}

impl fmt::Display for LongPollForwardsFull {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whose =
            if self.own { "for a session of another node" } else { "of another node for a session here" };
        write!(f, "a long-poll request {whose} is refused: {FORWARDED_MAX} are under way already")
    }
}

impl Event for LongPollForwardsFull {
    fn name(&self) -> &'static str {
        "heronry.long_poll.forwards_full"
    }

    fn level(&self) -> Level {
        Level::Warn
    }
}

/// A node took a request and did not answer.
#[derive(Debug)]
pub(super) struct Late;

struct Forget<'a> {
    forwarder: &'a Forwarder,
    number: u64,
}

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        let waiting = self.forwarder.waiting.lock().remove(&self.number);
        drop(waiting);
    }
}

#[cfg(test)]
mod tests;
