//! What a socket does about each message of its client and each end of a channel.
//!
//! Pure: messages in, actions out. It knows channels by a key and a handle of its owner's and touches neither
//! processes nor the wire.

use std::hash::Hash;
use std::time::Instant;

use bytestring::ByteString;
use heronry::supervisor::Intensity;

use super::small_map::SmallMap;
use crate::message::{Message, MessageRef};
use crate::rate::{Bucket, Rate};

/// The topic and event of heartbeats.
const HEARTBEAT: (&str, &str) = ("phoenix", "heartbeat");

/// The state of one socket; `K` identifies a channel's process, `H` is how it is reached.
#[derive(Debug)]
pub(super) struct State<K, H> {
    channels_max: usize,
    joins: Bucket,
    joined: SmallMap<ByteString, Channel<K, H>>,
    topics: SmallMap<K, ByteString>,
    /// The join that waits: for its own channel to answer, or for the channel that it replaces to end. Meanwhile no
    /// further message is read: joins are in order.
    pending: Option<Box<Pending<K>>>,
    /// How often a channel of this topic crashed on this socket.
    crashes: SmallMap<ByteString, u32>,
}

#[derive(Debug)]
struct Channel<K, H> {
    key: K,
    handle: H,
    join_ref: Option<MessageRef>,
    phase: Phase,
    /// With what it is started again if it crashes, and how often that is still normal.
    again: Option<Box<Again>>,
}

/// What a channel that is to be restarted began with.
#[derive(Debug)]
pub(super) struct Again {
    pub(super) join: Message,
    pub(super) intensity: Intensity,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Its join has not answered yet.
    Joining,
    Joined,
    /// It was restarted and joins again, of which its client is not to notice anything.
    Rejoining,
    /// It said that it ends in order.
    Closing,
    /// Its end must be told to the client, whatever it is.
    GivenUp,
}

#[derive(Debug)]
enum Pending<K> {
    Joining { key: K, refs: Refs },
    Replacing { old: K, join: Message },
}

/// The references of a join, which its reply carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refs {
    pub(super) join_ref: Option<MessageRef>,
    pub(super) reference: Option<MessageRef>,
}

/// Why a join or an event is answered with an error by the socket itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// Of this event, no channel serves the topic, or none has joined it.
    Unmatched {
        event: ByteString,
    },
    TooManyChannels,
    TooManyJoins,
    JoinCrashed,
}

impl Refused {
    /// The reason that the client reads.
    pub(super) fn reason(&self) -> &'static str {
        match self {
            Self::Unmatched { .. } => "unmatched topic",
            Self::TooManyChannels => "too many channels joined",
            Self::TooManyJoins => "too many joins",
            Self::JoinCrashed => "join crashed",
        }
    }
}

/// What is to be done.
#[derive(Debug, PartialEq)]
pub(super) enum Action<H> {
    Nothing,
    /// Reply ok with `{}`.
    ReplyOk {
        topic: ByteString,
        refs: Refs,
    },
    /// Reply error with the reason.
    ReplyError {
        topic: ByteString,
        refs: Refs,
        why: Refused,
    },
    /// Start a channel for this join; then call `started`.
    Start {
        join: Message,
        restarts: u32,
    },
    /// End this channel, since a new join of its topic waits for it.
    Replace {
        old: H,
    },
    /// Hand the channel this message.
    Deliver {
        to: H,
        message: Message,
    },
    /// Start the channel again, in the place of `old` and silently; then call `restarted`.
    Restart {
        old: H,
        join: Message,
        restarts: u32,
    },
    /// Tell the client that the channel has closed in order, or crashed; then, if a join waited for that, start it.
    Ended {
        topic: ByteString,
        join_ref: Option<MessageRef>,
        crashed: bool,
        then: Option<(Message, u32)>,
    },
}

impl<K: Copy + Eq + Hash, H: Clone> State<K, H> {
    pub(super) fn new(channels_max: usize, joins: Rate) -> Self {
        Self {
            channels_max,
            joins: Bucket::new(joins),
            joined: SmallMap::default(),
            topics: SmallMap::default(),
            pending: None,
            crashes: SmallMap::default(),
        }
    }

    /// Whether the next message of the client may be read.
    pub(super) fn may_read(&self) -> bool {
        self.pending.is_none()
    }

    pub(super) fn channels(&self) -> impl Iterator<Item = &H> {
        self.joined.values().map(|channel| &channel.handle)
    }

    pub(super) fn channels_len(&self) -> usize {
        self.joined.len()
    }

    /// Whether a channel has this key.
    pub(super) fn has(&self, key: K) -> bool {
        self.topics.contains_key(&key)
    }

    /// The channel that a waiting join replaces.
    pub(super) fn replacing(&self) -> Option<K> {
        match self.pending.as_deref() {
            Some(Pending::Replacing { old, .. }) => Some(*old),
            Some(Pending::Joining { .. }) | None => None,
        }
    }

    /// A message of the client. `routed` says whether a channel serves its topic.
    pub(super) fn message(
        &mut self,
        message: Message,
        now: Instant,
        routed: impl FnOnce(&str) -> bool,
    ) -> Action<H> {
        if (&*message.topic, &*message.event) == HEARTBEAT {
            let refs = Refs { join_ref: None, reference: message.reference };
            return Action::ReplyOk { topic: message.topic, refs };
        }
        match &*message.event {
            "phx_join" => self.join(message, now, routed),
            event => match self.joined.get(&message.topic) {
                Some(channel) if is_stale(&message, channel) => Action::Nothing,
                Some(channel) => Action::Deliver { to: channel.handle.clone(), message },
                None if event == "phx_leave" => {
                    let refs = Refs { join_ref: message.join_ref, reference: message.reference };
                    Action::ReplyOk { topic: message.topic, refs }
                }
                None => unmatched(message),
            },
        }
    }

    fn join(&mut self, join: Message, now: Instant, routed: impl FnOnce(&str) -> bool) -> Action<H> {
        if !routed(&join.topic) {
            return unmatched(join);
        }
        let old = self.joined.get(&join.topic).map(|old| (old.key, old.handle.clone()));
        if old.is_none() && self.joined.len() >= self.channels_max {
            return refused(join, Refused::TooManyChannels);
        }
        if self.joins.take(now).is_err() {
            return refused(join, Refused::TooManyJoins);
        }
        match old {
            Some((old, handle)) => {
                self.pending = Some(Box::new(Pending::Replacing { old, join }));
                Action::Replace { old: handle }
            }
            None => {
                let restarts = self.crashes_of(&join.topic);
                Action::Start { join, restarts }
            }
        }
    }

    /// The channel of a join was started; it has not answered yet.
    pub(super) fn started(&mut self, topic: ByteString, refs: Refs, key: K, handle: H, again: Option<Again>) {
        let join_ref = refs.join_ref.clone();
        let again = again.map(Box::new);
        self.topics.insert(key, topic.clone());
        self.joined.insert(topic, Channel { key, handle, join_ref, phase: Phase::Joining, again });
        self.pending = Some(Box::new(Pending::Joining { key, refs }));
    }

    /// The channel of a topic was started again, in the place of `old`.
    pub(super) fn restarted(&mut self, old: K, key: K, handle: H) {
        let Some(topic) = self.topics.remove(&old) else { return };
        if let Some(channel) = self.joined.get_mut(&topic) {
            (channel.key, channel.handle, channel.phase) = (key, handle, Phase::Rejoining);
            self.topics.insert(key, topic);
        }
    }

    /// A channel accepted its join.
    pub(super) fn accepted(&mut self, key: K) {
        self.answered(key);
        if let Some(channel) = self.by_key(key) {
            channel.phase = Phase::Joined;
        }
    }

    /// The channel must not be restarted: what it missed or refuses, its client has to hear of. Its topic, if there is
    /// such a channel.
    pub(super) fn given_up(&mut self, key: K) -> Option<ByteString> {
        self.by_key(key)?.phase = Phase::GivenUp;
        self.topics.get(&key).cloned()
    }

    /// A channel refused its join: it is none.
    pub(super) fn refused(&mut self, key: K) {
        self.answered(key);
        if let Some(topic) = self.topics.remove(&key) {
            self.joined.remove(&topic);
        }
    }

    /// A channel will end in order.
    pub(super) fn closing(&mut self, key: K) {
        if let Some(channel) = self.by_key(key) {
            channel.phase = Phase::Closing;
        }
    }

    /// A channel's process has ended.
    pub(super) fn ended(&mut self, key: K, now: Instant) -> Action<H> {
        if let Some(restart) = self.restart(key, now) {
            return restart;
        }
        let Some(topic) = self.topics.remove(&key) else { return Action::Nothing };
        let Some(channel) = self.joined.remove(&topic) else { return Action::Nothing };
        match (channel.phase, self.pending.take().map(|pending| *pending)) {
            (Phase::Joining, Some(Pending::Joining { refs, .. })) => {
                self.count_crash(&topic);
                Action::ReplyError { topic, refs, why: Refused::JoinCrashed }
            }
            (_, Some(Pending::Replacing { old, join })) if old == key => {
                let restarts = self.crashes_of(&topic);
                let then = Some((join, restarts));
                Action::Ended { topic, join_ref: channel.join_ref, crashed: false, then }
            }
            (phase, pending) => {
                self.pending = pending.map(Box::new);
                let crashed = phase != Phase::Closing;
                if crashed {
                    self.count_crash(&topic);
                }
                Action::Ended { topic, join_ref: channel.join_ref, crashed, then: None }
            }
        }
    }

    /// A crash after which the channel is started again. It keeps its place until `restarted` is called.
    fn restart(&mut self, key: K, now: Instant) -> Option<Action<H>> {
        if self.replacing() == Some(key) {
            return None;
        }
        let channel = self.by_key(key)?;
        match channel.phase {
            Phase::Joined | Phase::Rejoining => {}
            Phase::Joining | Phase::Closing | Phase::GivenUp => return None,
        }
        let again = channel.again.as_mut()?;
        if !again.intensity.allow(now) {
            return None;
        }
        let (old, join) = (channel.handle.clone(), again.join.clone());
        self.count_crash(&join.topic);
        let restarts = self.crashes_of(&join.topic);
        Some(Action::Restart { old, join, restarts })
    }

    /// None of the channels must be restarted any more: their socket ends.
    pub(super) fn give_up_all(&mut self) {
        for channel in self.joined.values_mut() {
            channel.again = None;
        }
    }

    fn by_key(&mut self, key: K) -> Option<&mut Channel<K, H>> {
        self.joined.get_mut(self.topics.get(&key)?)
    }

    fn answered(&mut self, key: K) {
        if matches!(self.pending.as_deref(), Some(Pending::Joining { key: waiting, .. }) if *waiting == key) {
            self.pending = None;
        }
    }

    fn crashes_of(&self, topic: &ByteString) -> u32 {
        self.crashes.get(topic).copied().unwrap_or(0)
    }

    /// Counts are kept for as many topics as may be joined: a client cannot fill memory with crashes.
    fn count_crash(&mut self, topic: &ByteString) {
        if self.crashes.len() < self.channels_max || self.crashes.contains_key(topic) {
            self.crashes.insert(topic.clone(), self.crashes_of(topic).saturating_add(1));
        }
    }
}

fn is_stale<K, H>(message: &Message, channel: &Channel<K, H>) -> bool {
    message.join_ref.is_some() && message.join_ref != channel.join_ref
}

fn refused<H>(join: Message, why: Refused) -> Action<H> {
    let refs = Refs { join_ref: join.join_ref, reference: join.reference };
    Action::ReplyError { topic: join.topic, refs, why }
}

fn unmatched<H>(message: Message) -> Action<H> {
    let refs = Refs { join_ref: None, reference: message.reference };
    Action::ReplyError { topic: message.topic, refs, why: Refused::Unmatched { event: message.event } }
}

#[cfg(test)]
mod tests;
