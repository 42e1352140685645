//! What a shard does about each thing that happens: `(event, now)` to what changed, what is to be told to whom, and when
//! it wants to be asked again.
//!
//! Pure: a state machine. It sends nothing and knows no process.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use heronry::node::{NodeId, NodeName};

use super::message::{Message, Part, Resume};
use super::peer::Peer;
use crate::delta::Log;
use crate::diff::{Batch, Looks, TopicDiff};
use crate::entry::{Entry, Holder, Origin};
use crate::limits::TrackerLimits;
use crate::meta::Meta;
use crate::state::{Own, Refused, Seen, Tracked};

/// How many changes wait for the end of a window; then they are published at once.
const CHANGES_WAITING_MAX: u64 = 5_000;

/// How a shard works.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CoreOptions {
    /// Whether there are other nodes at all.
    pub(crate) replicated: bool,
    /// How long changes are gathered before they are published, and before they are told.
    pub(crate) window: Duration,
    /// How often it says that it lives while it has nothing else to say.
    pub(crate) heartbeat: Duration,
    /// How long after its process the entry leaves.
    pub(crate) leave_grace: Duration,
    /// How much is told in one message, in bytes, about.
    pub(crate) message_bytes: usize,
    /// How many changes are kept at least, so that who missed some can be told those alone.
    pub(crate) log_changes_min: usize,
    pub(crate) limits: TrackerLimits,
}

/// What is to be done, in this order.
#[derive(Debug, Default)]
pub(crate) struct Output {
    /// Changes of what there is to be seen; once it can be seen it is to be [told](Core::tell).
    pub(crate) seen: Vec<Seen>,
    /// Entries that look as before, and are held by another process.
    pub(crate) handed: Vec<Arc<Entry>>,
    /// What is to be told of it.
    pub(crate) diffs: Vec<TopicDiff>,
    /// Messages for all nodes, or for one.
    pub(crate) messages: Vec<(Option<NodeId>, Message)>,
}

/// A shard.
#[derive(Debug)]
pub(crate) struct Core<P> {
    me: NodeName,
    generation: u64,
    options: CoreOptions,
    own: Own<P>,
    peers: BTreeMap<NodeName, Peer>,
    batch: Batch,
    /// So far has been published.
    flushed: u64,
    /// The end of the window in which what changes is not published at once.
    flush_at: Option<Duration>,
    beat_at: Duration,
}

impl<P: Holder> Core<P> {
    /// Without entries. The generation is greater than that of this node's shard before it, and the first is 1.
    pub(crate) fn new(me: &NodeId, generation: u64, shard: u16, options: CoreOptions) -> Self {
        let log = options.replicated.then(|| Log::new(options.log_changes_min));
        Self {
            me: me.name().clone(),
            generation,
            options,
            own: Own::new(Origin::new(me, generation, shard), log),
            peers: BTreeMap::new(),
            batch: Batch::new(options.window),
            flushed: 0,
            flush_at: None,
            beat_at: Duration::ZERO,
        }
    }

    /// Adds an entry of a process.
    pub(crate) fn track(
        &mut self,
        holder: P,
        place: (Arc<str>, Arc<str>),
        meta: &Meta,
        now: Duration,
        output: &mut Output,
    ) -> Result<Arc<Entry>, Refused> {
        let Tracked { entry, seen } = self.own.track(holder, place, meta, &self.options.limits)?;
        if seen.is_none() {
            output.handed.push(entry.clone());
        }
        self.changed(seen, now, output);
        Ok(entry)
    }

    /// Replaces an entry of a process; `None` if it has none there.
    pub(crate) fn update(
        &mut self,
        holder: P,
        place: (Arc<str>, Arc<str>),
        meta: &Meta,
        now: Duration,
        output: &mut Output,
    ) -> Result<Option<Arc<Entry>>, Refused> {
        let Some(tracked) = self.own.update(holder, place, meta, &self.options.limits)? else {
            return Ok(None);
        };
        self.changed(tracked.seen, now, output);
        Ok(Some(tracked.entry))
    }

    /// Removes an entry of a process, if there is one.
    pub(crate) fn untrack(
        &mut self,
        holder: P,
        place: (Arc<str>, Arc<str>),
        now: Duration,
        output: &mut Output,
    ) {
        let seen = self.own.untrack(holder, place);
        self.changed(seen, now, output);
    }

    /// Removes all entries of a process.
    pub(crate) fn untrack_all(&mut self, holder: P, now: Duration, output: &mut Output) {
        let seen = self.own.untrack_all(holder);
        self.changed(seen, now, output);
    }

    /// A process has ended.
    pub(crate) fn ended(&mut self, holder: P, now: Duration, output: &mut Output) {
        if self.options.leave_grace.is_zero() {
            self.untrack_all(holder, now, output);
        } else {
            self.own.orphan_all(holder, now + self.options.leave_grace);
        }
    }

    /// A node is up. If it is another life of its name, the old one's entries go at once.
    pub(crate) fn up(&mut self, node: &NodeId, now: Duration, output: &mut Output) {
        if *node.name() == self.me {
            return;
        }
        if self.peers.get(node.name()).is_some_and(|peer| peer.node() != node) {
            self.forget(node.name(), &mut output.seen);
        }
        let peer = self.peers.entry(node.name().clone()).or_insert_with(|| Peer::new(node.clone()));
        peer.up();
        let ask = peer.ask(now);
        output.messages.extend(ask.map(|ask| (Some(node.clone()), ask)));
    }

    /// A node is down for now: its entries leave, and are kept.
    pub(crate) fn down(&mut self, node: &NodeId, output: &mut Output) {
        if let Some(peer) = self.peer(node) {
            peer.down(&mut output.seen);
        }
    }

    /// A node is gone for good: its entries leave, and are forgotten.
    pub(crate) fn perm_down(&mut self, node: &NodeId, output: &mut Output) {
        if self.peer(node).is_some() {
            self.forget(node.name(), &mut output.seen);
        }
    }

    /// Something that this node, or any node, published may not have come here.
    pub(crate) fn gap(&mut self, from: Option<&NodeId>, now: Duration, output: &mut Output) {
        for peer in self.peers.values_mut().filter(|peer| from.is_none_or(|from| peer.node() == from)) {
            peer.gap();
            output.messages.extend(peer.ask(now).map(|ask| (Some(peer.node().clone()), ask)));
        }
    }

    /// The link to the other nodes is there again.
    pub(crate) fn relinked(&mut self, now: Duration, output: &mut Output) {
        for peer in self.peers.values_mut() {
            peer.relinked();
            output.messages.extend(peer.ask(now).map(|ask| (Some(peer.node().clone()), ask)));
        }
    }

    /// A message of another node's shard. Of one that is not up nothing is heard but its questions.
    pub(crate) fn receive(&mut self, from: &NodeId, message: Message, now: Duration, output: &mut Output) {
        if let Message::Ask { generation, have, resume } = message {
            let have = if generation == self.generation { have } else { 0 };
            let resume = resume.filter(|_| generation == self.generation);
            return self.answer(from, have, resume, now, output);
        }
        if let Some(peer) = self.peer(from) {
            let ask = peer.receive(message, now, &mut output.seen);
            output.messages.extend(ask.map(|ask| (Some(from.clone()), ask)));
        }
    }

    /// Does what is due.
    pub(crate) fn tick(&mut self, now: Duration, output: &mut Output) {
        let left = self.own.leave(now);
        self.changed(left, now, output);
        output.diffs.extend(self.batch.due(now));
        if self.flush_at.is_some_and(|at| at <= now) {
            self.flush_at = None;
            if self.flush(now, output) {
                self.flush_at = Some(now + self.options.window);
            }
        }
        if !self.options.replicated {
            return;
        }
        for peer in self.peers.values_mut().filter(|peer| peer.deadline().is_some_and(|at| at <= now)) {
            output.messages.extend(peer.ask(now).map(|ask| (Some(peer.node().clone()), ask)));
        }
        if self.beat_at <= now {
            self.publish(self.beat(), now, output);
        }
    }

    /// When it is to be [ticked](Self::tick) next; `None` if nothing will be due by itself.
    pub(crate) fn deadline(&self) -> Option<Duration> {
        let beat = self.options.replicated.then_some(self.beat_at);
        let asks = self.peers.values().filter_map(Peer::deadline);
        [self.own.leaving_at(), self.batch.deadline(), self.flush_at, beat]
            .into_iter()
            .flatten()
            .chain(asks)
            .min()
    }

    /// What a shard before this one left to be seen: all of it leaves, and what is still true joins again.
    pub(crate) fn clear(&mut self, left: Vec<Arc<Entry>>, output: &mut Output) {
        output.seen.extend(left.into_iter().map(Seen::Leave));
    }

    /// What is to be told now of changes that can be seen by now.
    pub(crate) fn tell(&mut self, seen: Vec<Seen>, looks: Looks, now: Duration) -> Vec<TopicDiff> {
        if seen.is_empty() { Vec::new() } else { self.batch.add(seen, looks, now) }
    }

    /// What was not told yet, for the shard after this one to tell.
    pub(crate) fn untold(&mut self) -> Vec<TopicDiff> {
        self.batch.drain()
    }

    /// This shard ends in order: what is its own leaves everywhere.
    pub(crate) fn bye(&self) -> Option<Message> {
        self.options.replicated.then_some(Message::Bye { generation: self.generation })
    }

    /// This shard's own entries.
    pub(crate) fn own(&self) -> &Own<P> {
        &self.own
    }

    /// The nodes that count as up.
    pub(crate) fn reachable(&self) -> Vec<NodeId> {
        let up = self.peers.values().filter(|peer| peer.is_reachable());
        up.map(|peer| peer.node().clone()).collect()
    }

    /// How many entries of other nodes are kept.
    pub(crate) fn remote_len(&self) -> usize {
        self.peers.values().map(Peer::len).sum()
    }

    /// How many other nodes are known.
    pub(crate) fn peers_len(&self) -> usize {
        self.peers.len()
    }

    fn peer(&mut self, node: &NodeId) -> Option<&mut Peer> {
        self.peers.get_mut(node.name()).filter(|peer| peer.node() == node)
    }

    fn forget(&mut self, name: &NodeName, seen: &mut Vec<Seen>) {
        if let Some(peer) = self.peers.remove(name) {
            peer.forget(seen);
        }
    }

    /// Own entries changed.
    fn changed(&mut self, seen: impl IntoIterator<Item = Seen>, now: Duration, output: &mut Output) {
        output.seen.extend(seen);
        match self.flush_at {
            Some(_) if self.own.clock() - self.flushed < CHANGES_WAITING_MAX => {}
            Some(_) | None => {
                if self.flush(now, output) {
                    self.flush_at = Some(now + self.options.window);
                }
            }
        }
    }

    /// Publishes what was not yet; whether there was something.
    fn flush(&mut self, now: Duration, output: &mut Output) -> bool {
        if !self.options.replicated || self.flushed == self.own.clock() {
            return false;
        }
        while self.flushed < self.own.clock() {
            let latest = self.own.clock();
            let Some(delta) = self.own.since(self.flushed, self.options.message_bytes) else {
                // More happened at once than the log holds: others will ask.
                self.flushed = latest;
                self.publish(self.beat(), now, output);
                break;
            };
            self.flushed = delta.interval.to;
            let delta = Message::Delta { generation: self.generation, latest, reply: false, delta };
            self.publish(delta, now, output);
        }
        true
    }

    fn beat(&self) -> Message {
        Message::Beat { generation: self.generation, latest: self.flushed }
    }

    fn publish(&mut self, message: Message, now: Duration, output: &mut Output) {
        self.beat_at = now + self.options.heartbeat;
        output.messages.push((None, message));
    }

    /// Tells who asks what it does not know, or a part of it.
    fn answer(&mut self, to: &NodeId, have: u64, resume: Option<Resume>, now: Duration, output: &mut Output) {
        // Stretches of history begin and end where all others have heard of it.
        self.flush(now, output);
        let (generation, latest) = (self.generation, self.own.clock());
        let resume = resume.filter(|resume| resume.stamp <= latest);
        let delta = if resume.is_some() { None } else { self.own.since(have, self.options.message_bytes) };
        let answer = match delta {
            Some(delta) => Message::Delta { generation, latest, reply: true, delta },
            None => {
                let Resume { stamp, after } = resume.unwrap_or(Resume { stamp: latest, after: 0 });
                let (entries, last) = self.own.part(after, stamp, self.options.message_bytes);
                Message::Part { generation, latest, part: Part { stamp, after, last, entries } }
            }
        };
        output.messages.push((Some(to.clone()), answer));
    }
}
