//! What a node owns, told to each other node and kept up to date there: names of the cluster, members of groups.
//!
//! A node is the only writer of its entries, and each other node is told of them through a **link** of its own. Two nodes that see each
//! other come up say hello, then all that they own, in batches, then what changes. One batch is under way at a time: the next leaves when the other side says that it has this one, and has what changed
//! meanwhile, each key once. So a link holds keys and no history, and a peer that is slow gets fewer and larger steps.
//!
//! What is lost is sent again. Each side has an **epoch**, a number that grows whenever it begins anew, since it held the other to be down or
//! had too much to tell; a packet has both, and counts only if they are those of now. So each side sees that the other has forgotten
//! everything, and forgets too.
//!
//! Pure: packets and the time come in, and what is to be done comes out.

use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::Hash;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::Instant;
use crate::node::NodeId;

/// How many entries one batch has.
pub(super) const BATCH_ENTRIES: usize = 512;

/// How many changed keys wait for one peer; beyond that it is told everything anew.
pub(super) const PENDING_MAX: usize = 262_144;

/// After which time without an answer something is sent again; twice as long each time, up to [`RETRY_MAX`].
pub(super) const RETRY: Duration = Duration::from_millis(500);

/// A peer that never answers may be one that has nothing of the kind: it says hello itself when it has.
const RETRY_MAX: Duration = Duration::from_secs(30);

/// What one node tells another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Packet<K, V> {
    /// The sender's epoch.
    from: u64,
    /// The receiver's, as far as the sender knows; 0 if it does not.
    to: u64,
    body: Body<K, V>,
}

/// A new variant goes to the end: older nodes of a cluster that is being updated read the others as before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Body<K, V> {
    /// Nothing but the epochs.
    Hello,
    /// Entries, and keys without one any more. The first batch, of number 1, begins with nothing.
    Batch { seq: u64, entries: Vec<(K, Option<V>)> },
    /// This batch, and all before it, has arrived.
    Ack { seq: u64 },
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Action<K, V> {
    /// Send this.
    Send(NodeId, Packet<K, V>),
    /// The peer owns these, or not any more.
    Entries(NodeId, Vec<(K, Option<V>)>),
    /// Forget all that the peer owns: it will be told anew.
    Anew(NodeId),
    /// More was to be told to the peer than may wait: it is told everything anew.
    Overrun(NodeId),
}

/// The links of one node with its peers.
#[derive(Debug)]
pub(super) struct Links<K> {
    /// The last epoch of any link.
    last: u64,
    peers: HashMap<NodeId, Link<K>>,
}

#[derive(Debug)]
struct Link<K> {
    own: u64,
    /// The epoch of the other side; 0 before it is known.
    peer: u64,
    /// The number of the last batch that arrived.
    received: u64,
    /// When to say hello again, until the first does.
    hello: Retry,
    /// The number of the last batch that was sent.
    sent: u64,
    /// The keys of that batch, until the peer says that it has it.
    flight: Option<(Vec<K>, Retry)>,
    /// What to tell next, each key once.
    pending: VecDeque<K>,
    listed: HashSet<K>,
}

#[derive(Clone, Copy, Debug)]
struct Retry {
    at: Instant,
    pause: Duration,
}

impl Retry {
    fn first(now: Instant) -> Self {
        Self { at: now + RETRY, pause: RETRY }
    }

    /// Whether it is time; then the next is later.
    fn is_due(&mut self, now: Instant) -> bool {
        let is_due = self.at <= now;
        if is_due {
            self.pause = (self.pause * 2).min(RETRY_MAX);
            self.at = now + self.pause;
        }
        is_due
    }
}

/// What this node owns, as its links need it.
pub(super) trait Owned<K, V> {
    fn keys(&self) -> Vec<K>;
    fn value(&self, key: &K) -> Option<V>;
}

impl<K: Clone + Eq + Hash> Links<K> {
    pub(super) fn new() -> Self {
        Self { last: 0, peers: HashMap::new() }
    }

    /// The node is up.
    pub(super) fn up<V>(&mut self, node: &NodeId, now: Instant, out: &mut Vec<Action<K, V>>) {
        self.last += 1;
        let link = Link {
            own: self.last,
            peer: 0,
            received: 0,
            hello: Retry::first(now),
            sent: 0,
            flight: None,
            pending: VecDeque::new(),
            listed: HashSet::new(),
        };
        link.say(node, Body::Hello, out);
        if self.peers.insert(node.clone(), link).is_some() {
            out.push(Action::Anew(node.clone()));
        }
    }

    /// The node is down: all that it owns is forgotten.
    pub(super) fn down<V>(&mut self, node: &NodeId, out: &mut Vec<Action<K, V>>) {
        if self.peers.remove(node).is_some() {
            out.push(Action::Anew(node.clone()));
        }
    }

    pub(super) fn is_up(&self, node: &NodeId) -> bool {
        self.peers.contains_key(node)
    }

    /// This node's entry of the key has changed, or is no more.
    pub(super) fn changed<V>(
        &mut self,
        key: &K,
        owned: &impl Owned<K, V>,
        now: Instant,
        out: &mut Vec<Action<K, V>>,
    ) {
        for (node, link) in &mut self.peers {
            if link.peer == 0 {
                continue; // It is told everything when it is heard.
            }
            if link.listed.len() >= PENDING_MAX {
                self.last += 1;
                link.own = self.last;
                out.push(Action::Overrun(node.clone()));
                link.begin(node, owned, now, out);
                continue;
            }
            if link.listed.insert(key.clone()) {
                link.pending.push_back(key.clone());
            }
            link.pump(node, owned, now, out);
        }
    }

    /// Takes a packet; one of a node that is not up is passed over.
    pub(super) fn receive<V>(
        &mut self,
        from: &NodeId,
        packet: Packet<K, V>,
        owned: &impl Owned<K, V>,
        now: Instant,
        out: &mut Vec<Action<K, V>>,
    ) {
        let Some(link) = self.peers.get_mut(from) else { return };
        if packet.from < link.peer || packet.from == 0 {
            return;
        }
        if packet.from > link.peer {
            // It has forgotten what it was told, and what it told.
            link.peer = packet.from;
            link.begin(from, owned, now, out);
        }
        if packet.to != link.own {
            return link.say(from, Body::Hello, out);
        }
        match packet.body {
            Body::Hello => {}
            Body::Batch { seq, entries } => {
                if seq == link.received + 1 {
                    link.received = seq;
                    out.push(Action::Entries(from.clone(), entries));
                }
                link.say(from, Body::Ack { seq: link.received }, out);
            }
            Body::Ack { seq } => {
                if seq == link.sent && link.flight.take().is_some() {
                    link.pump(from, owned, now, out);
                }
            }
        }
    }

    /// Does what the time asks for.
    pub(super) fn tick<V>(&mut self, owned: &impl Owned<K, V>, now: Instant, out: &mut Vec<Action<K, V>>) {
        for (node, link) in &mut self.peers {
            if link.received == 0 && link.hello.is_due(now) {
                link.say(node, Body::Hello, out);
            }
            if let Some((_, retry)) = &mut link.flight
                && retry.is_due(now)
            {
                link.send(node, owned, out);
            }
        }
    }

    /// When that is.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let of = |link: &Link<K>| {
            let hello = (link.received == 0).then_some(link.hello.at);
            [hello, link.flight.as_ref().map(|(_, retry)| retry.at)].into_iter().flatten().min()
        };
        self.peers.values().filter_map(of).min()
    }
}

impl<K: Clone + Eq + Hash> Link<K> {
    fn say<V>(&self, node: &NodeId, body: Body<K, V>, out: &mut Vec<Action<K, V>>) {
        out.push(Action::Send(node.clone(), Packet { from: self.own, to: self.peer, body }));
    }

    /// Begins in epochs that are new to one of the two sides: what was told counts for nothing, on either.
    fn begin<V>(
        &mut self,
        node: &NodeId,
        owned: &impl Owned<K, V>,
        now: Instant,
        out: &mut Vec<Action<K, V>>,
    ) {
        if std::mem::take(&mut self.received) > 0 {
            out.push(Action::Anew(node.clone()));
        }
        self.hello = Retry::first(now);
        self.sent = 0;
        self.flight = None;
        self.pending = owned.keys().into();
        self.listed = self.pending.iter().cloned().collect();
        self.pump(node, owned, now, out);
    }

    /// Sends the next batch, if there is something to tell and the last has arrived. The first leaves even if it is empty: it answers the hello.
    fn pump<V>(
        &mut self,
        node: &NodeId,
        owned: &impl Owned<K, V>,
        now: Instant,
        out: &mut Vec<Action<K, V>>,
    ) {
        if self.flight.is_some() || (self.pending.is_empty() && self.sent > 0) {
            return;
        }
        let keys: Vec<K> = self.pending.drain(..self.pending.len().min(BATCH_ENTRIES)).collect();
        for key in &keys {
            self.listed.remove(key);
        }
        self.sent += 1;
        self.flight = Some((keys, Retry::first(now)));
        self.send(node, owned, out);
    }

    /// Sends the batch that is under way, with what its keys have now. If an earlier copy has arrived, this one counts for nothing, and
    /// what changed between the two is pending.
    fn send<V>(&self, node: &NodeId, owned: &impl Owned<K, V>, out: &mut Vec<Action<K, V>>) {
        let keys = self.flight.iter().flat_map(|(keys, _)| keys);
        let entries = keys.map(|key| (key.clone(), owned.value(key))).collect();
        self.say(node, Body::Batch { seq: self.sent, entries }, out);
    }
}

#[cfg(test)]
impl<K, V> Packet<K, V> {
    pub(super) fn hello((from, to): (u64, u64)) -> Self {
        Self { from, to, body: Body::Hello }
    }

    pub(super) fn batch((from, to): (u64, u64), seq: u64, entries: Vec<(K, Option<V>)>) -> Self {
        Self { from, to, body: Body::Batch { seq, entries } }
    }
}

#[cfg(test)]
mod tests;
