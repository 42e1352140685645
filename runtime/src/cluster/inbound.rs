//! What arrives on one lane: put in order, put together, and handed to who wants it.
//!
//! The lock is held while a frame is looked at, and not while anything is handed over. What is to be handed over waits in a
//! queue, and one thread at a time works it off: so it goes in order, although two threads may have something, the engine's
//! and the one that looks for what has waited long enough.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes};

use super::channel::{CHANNEL_BYTES, Channel};
use super::continuity::{Arrival, Stream};
use super::counters::Counters;
use super::events::Dropped;
use super::frame::Part;
use super::parts::{self, Joined, MESSAGE_BYTES_MAX, Partial};
use super::subscriptions::{Delivery, Subscribers, Subscriptions};
use crate::clock::Instant;
use crate::engine::{Lane, Subject};
use crate::node::{Incarnation, NodeId};
use crate::sync::Mutex;
use crate::unwind::quietly;

/// How many bytes of unfinished messages of all nodes a lane keeps; one node may have as many as one message.
const PARTIALS_BYTES_MAX: usize = 4 * MESSAGE_BYTES_MAX;

/// For how long an unfinished message waits for all its parts, from the first on.
const PARTIAL_TIME: Duration = Duration::from_secs(30);

/// How many bytes of frames that wait for earlier ones a lane keeps.
const HELD_BYTES_MAX: usize = 64 * 1024 * 1024;

/// How many deliveries wait while another thread is at it.
const READY_MAX: usize = 16_384;

/// One lane's half of the switchboard.
pub(super) struct Inbound {
    own: NodeId,
    subscriptions: Arc<Subscriptions>,
    counters: Arc<Counters>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Who is up.
    senders: HashMap<Incarnation, Sender>,
    /// What is wanted: the streams of those who sent something.
    subjects: HashMap<Subject, HashMap<Incarnation, Incoming>>,
    /// Streams in which something waits for time to pass.
    waiting: HashSet<(Subject, Incarnation)>,
    partial_bytes: usize,
    held_bytes: usize,
    ready: VecDeque<(Subscribers, Delivery)>,
    /// Whether a thread hands over what is ready.
    is_taken: bool,
    /// Whether something found no room there.
    is_missed: bool,
}

struct Sender {
    id: NodeId,
    partial_bytes: usize,
}

/// What comes from one sender on one subject.
struct Incoming {
    order: Stream<(Part, Bytes)>,
    partial: Option<Partial>,
}

/// What became of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Taken {
    Done,
    /// It waits, and nothing did before: somebody must look at the time.
    Waits,
    /// Its sender is not known to be up.
    Stranger,
}

impl Inbound {
    pub(super) fn new(
        own: NodeId,
        lane: Lane,
        subscriptions: Arc<Subscriptions>,
        counters: Arc<Counters>,
    ) -> Self {
        let inbox = (Subject::Inbox(own.clone(), lane), HashMap::new());
        let state = State { subjects: HashMap::from([inbox]), ..State::default() };
        Self { own, subscriptions, counters, state: Mutex::new(state) }
    }

    /// Takes what is published on the subject from now on, or no more.
    pub(super) fn want(&self, subject: Subject, wanted: bool) {
        let mut state = self.state.lock();
        if wanted {
            state.subjects.entry(subject).or_default();
        } else if let Some(streams) = state.subjects.remove(&subject) {
            for (incarnation, mut incoming) in streams {
                state.clear(incarnation, &mut incoming);
            }
            state.waiting.retain(|(other, _)| *other != subject);
        }
    }

    /// Takes frames of the node from now on. An incarnation is drawn by one node: who says to be of another's is not listened to.
    pub(super) fn admit(&self, id: &NodeId) {
        let mut state = self.state.lock();
        state.senders.entry(id.incarnation()).or_insert_with(|| Sender { id: id.clone(), partial_bytes: 0 });
    }

    /// Takes no more frames of the node. What was incomplete is dropped; should it come back, there is a gap.
    pub(super) fn expel(&self, id: &NodeId) {
        let mut guard = self.state.lock();
        let state = &mut *guard;
        let life = id.incarnation();
        if state.is_anothers(id) {
            return;
        }
        let mut subjects = std::mem::take(&mut state.subjects);
        for incoming in subjects.values_mut().filter_map(|streams| streams.get_mut(&life)) {
            state.clear(life, incoming);
        }
        state.subjects = subjects;
        state.waiting.retain(|(_, other)| *other != life);
        state.senders.remove(&life);
    }

    /// Forgets a life that is over.
    pub(super) fn forget(&self, id: &NodeId) {
        let mut state = self.state.lock();
        if state.is_anothers(id) {
            return;
        }
        for streams in state.subjects.values_mut() {
            streams.remove(&id.incarnation());
        }
    }

    /// Takes a frame in.
    pub(super) fn receive(
        &self,
        subject: &Subject,
        (name, life): (&str, Incarnation),
        (seq, quiet, part): (u64, Duration, Part),
        body: Bytes,
        now: Instant,
    ) -> Taken {
        let began = {
            let mut guard = self.state.lock();
            let state = &mut *guard;
            // Interest that was taken back lingers in the engine.
            let Some(streams) = state.subjects.get_mut(subject) else { return Taken::Done };
            let Some(sender) =
                state.senders.get_mut(&life).filter(|sender| sender.id.name().as_str() == name)
            else {
                return Taken::Stranger;
            };
            let from = sender.id.clone();
            let incoming = streams.entry(life).or_insert_with(Incoming::new);
            let (bytes, held) = (body.len(), incoming.order.bytes());
            let waited = incoming.order.deadline().is_some() || incoming.partial.is_some();
            // Almost always it is this frame alone.
            let (mut first, mut rest) = (None, Vec::new());
            let mut out = |arrival| match first {
                None => first = Some(arrival),
                Some(_) => rest.push(arrival),
            };
            let is_whole = part == Part::Whole;
            if !incoming.order.accept((seq, quiet), ((part, body), bytes), now, &mut out) {
                self.counters.dropped(Dropped::Duplicate);
            }
            if state.held_bytes - held + incoming.order.bytes() > HELD_BYTES_MAX {
                incoming.order.give_up(&mut out);
            }
            state.held_bytes = state.held_bytes - held + incoming.order.bytes();
            let is_plain = is_whole && !waited && first.is_some();
            for arrival in first.into_iter().chain(rest) {
                self.arrived(state, subject, &from, arrival, now);
            }
            !is_plain && state.note_waiting(subject, life)
        };
        self.hand_over();
        if began { Taken::Waits } else { Taken::Done }
    }

    /// Something has come out of a stream.
    fn arrived(
        &self,
        state: &mut State,
        subject: &Subject,
        from: &NodeId,
        arrival: Arrival<(Part, Bytes)>,
        now: Instant,
    ) {
        let life = from.incarnation();
        let (part, body) = match arrival {
            Arrival::Frame(frame) => frame,
            Arrival::Gap => {
                state.drop_partial(subject, life);
                return self.gap(state, subject, Some(from));
            }
        };
        let joined = state.join(subject, life, part, body, now);
        match joined {
            Joined::Message(message) => self.message(state, subject, from, message),
            Joined::More => {}
            Joined::Stray => self.counters.dropped(Dropped::Stray),
            Joined::NoRoom => {
                self.counters.dropped(Dropped::NoRoom);
                self.gap(state, subject, Some(from));
            }
        }
    }

    fn message(&self, state: &mut State, subject: &Subject, from: &NodeId, mut message: Bytes) {
        let channel = match Channel::of(subject) {
            Some(channel) => Some(channel),
            // To this node alone: the channel is in front.
            None => message.first_chunk().copied().and_then(|bytes: [u8; CHANNEL_BYTES]| {
                message.advance(CHANNEL_BYTES);
                Channel::decode(bytes)
            }),
        };
        let Some(channel) = channel else { return self.counters.dropped(Dropped::Malformed) };
        if let Some(subscribers) = self.subscriptions.of(channel) {
            self.ready(state, subscribers, Delivery::Payload { from: from.clone(), payload: message });
        }
    }

    fn gap(&self, state: &mut State, subject: &Subject, from: Option<&NodeId>) {
        self.counters.gap();
        let subscribers = match Channel::of(subject) {
            Some(channel) => self.subscriptions.of(channel).into_iter().collect(),
            // Whom it was for is not known.
            None => self.subscriptions.all(),
        };
        for subscribers in subscribers {
            self.ready(state, subscribers, Delivery::Gap { from: from.cloned() });
        }
    }

    fn ready(&self, state: &mut State, subscribers: Subscribers, delivery: Delivery) {
        if state.ready.len() < READY_MAX {
            state.ready.push_back((subscribers, delivery));
        } else {
            self.counters.dropped(Dropped::NoRoom);
            state.is_missed = true;
        }
    }

    /// Hands over what is ready, unless another thread is at it.
    fn hand_over(&self) {
        loop {
            let (subscribers, delivery) = {
                let mut state = self.state.lock();
                if state.is_taken {
                    return;
                }
                match self.next(&mut state) {
                    Some(next) => {
                        state.is_taken = true;
                        next
                    }
                    None => return,
                }
            };
            if let Some((last, others)) = subscribers.split_last() {
                for entry in others {
                    quietly(|| entry.subscriber.receive(delivery.clone()));
                }
                quietly(|| last.subscriber.receive(delivery));
            }
            // It may be the last that knows the subscriber, whose destructor is the user's.
            quietly(|| drop(subscribers));
            self.state.lock().is_taken = false;
        }
    }

    fn next(&self, state: &mut State) -> Option<(Subscribers, Delivery)> {
        if let Some(next) = state.ready.pop_front() {
            return Some(next);
        }
        if std::mem::take(&mut state.is_missed) {
            self.all_gaps(state);
        }
        state.ready.pop_front()
    }

    fn all_gaps(&self, state: &mut State) {
        self.counters.gap();
        let gaps = self.subscriptions.all().into_iter();
        state.ready.extend(gaps.map(|subscribers| (subscribers, Delivery::Gap { from: None })));
    }

    /// The engine says that something may be lost, of anybody.
    pub(super) fn engine_gap(&self) {
        {
            let mut guard = self.state.lock();
            let wanted =
                guard.subjects.keys().filter_map(Channel::of).filter_map(|it| self.subscriptions.of(it));
            let mut gaps: Vec<_> = wanted.collect();
            if gaps.is_empty() {
                gaps = self.subscriptions.all();
            }
            self.counters.gap();
            for subscribers in gaps {
                self.ready(&mut guard, subscribers, Delivery::Gap { from: None });
            }
        }
        self.hand_over();
    }

    /// Hands a payload of this node to itself; false if there is no room.
    pub(super) fn loop_back(&self, channel: Channel, payload: Bytes) -> bool {
        if let Some(subscribers) = self.subscriptions.of(channel) {
            let mut state = self.state.lock();
            if state.ready.len() >= READY_MAX {
                return false;
            }
            state.ready.push_back((subscribers, Delivery::Payload { from: self.own.clone(), payload }));
        }
        self.hand_over();
        true
    }

    /// Gives up what has waited for long enough.
    pub(super) fn tick(&self, now: Instant) {
        {
            let mut guard = self.state.lock();
            let state = &mut *guard;
            let due = state.waiting.iter().filter(|key| state.due(key).is_some_and(|at| at <= now));
            let due: Vec<_> = due.cloned().collect();
            for (subject, life) in due {
                self.expire(state, &subject, life, now);
                state.note_waiting(&subject, life);
            }
        }
        self.hand_over();
    }

    fn expire(&self, state: &mut State, subject: &Subject, life: Incarnation, now: Instant) {
        let Some(from) = state.senders.get(&life).map(|sender| sender.id.clone()) else { return };
        let incoming = state.subjects.get_mut(subject).and_then(|streams| streams.get_mut(&life));
        let Some(incoming) = incoming else { return };
        let is_stale = incoming.partial.as_ref().is_some_and(|partial| partial.since() + PARTIAL_TIME <= now);
        let mut arrived = Vec::new();
        let held = incoming.order.bytes();
        incoming.order.expire(now, &mut |one| arrived.push(one));
        state.held_bytes = state.held_bytes - held + incoming.order.bytes();
        if is_stale {
            state.drop_partial(subject, life);
            self.gap(state, subject, Some(&from));
        }
        for one in arrived {
            self.arrived(state, subject, &from, one, now);
        }
    }

    /// When something will have waited for long enough.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let state = self.state.lock();
        state.waiting.iter().filter_map(|key| state.due(key)).min()
    }
}

impl State {
    /// Whether a node of another name was admitted with the same incarnation.
    fn is_anothers(&self, id: &NodeId) -> bool {
        self.senders.get(&id.incarnation()).is_some_and(|sender| sender.id != *id)
    }

    /// Notes whether something of the stream waits; whether it is the first of the lane.
    fn note_waiting(&mut self, subject: &Subject, life: Incarnation) -> bool {
        let key = (subject.clone(), life);
        if self.due(&key).is_some() {
            let was_empty = self.waiting.is_empty();
            self.waiting.insert(key);
            was_empty
        } else {
            self.waiting.remove(&key);
            false
        }
    }

    fn due(&self, (subject, life): &(Subject, Incarnation)) -> Option<Instant> {
        let incoming = self.subjects.get(subject)?.get(life)?;
        let partial = incoming.partial.as_ref().map(|partial| partial.since() + PARTIAL_TIME);
        [incoming.order.deadline(), partial].into_iter().flatten().min()
    }

    fn join(
        &mut self,
        subject: &Subject,
        life: Incarnation,
        part: Part,
        body: Bytes,
        now: Instant,
    ) -> Joined {
        let incoming = self.subjects.get_mut(subject).and_then(|streams| streams.get_mut(&life));
        let (Some(incoming), Some(sender)) = (incoming, self.senders.get_mut(&life)) else {
            return Joined::Stray;
        };
        let before = incoming.len();
        let room = (MESSAGE_BYTES_MAX - (sender.partial_bytes - before))
            .min(PARTIALS_BYTES_MAX - (self.partial_bytes - before));
        let joined = parts::join(&mut incoming.partial, part, body, room, now);
        sender.partial_bytes = sender.partial_bytes - before + incoming.len();
        self.partial_bytes = self.partial_bytes - before + incoming.len();
        joined
    }

    fn drop_partial(&mut self, subject: &Subject, life: Incarnation) {
        let incoming = self.subjects.get_mut(subject).and_then(|streams| streams.get_mut(&life));
        if let Some(partial) = incoming.and_then(|incoming| incoming.partial.take()) {
            self.forget_partial(life, partial.len());
        }
    }

    fn forget_partial(&mut self, life: Incarnation, bytes: usize) {
        self.partial_bytes -= bytes;
        if let Some(sender) = self.senders.get_mut(&life) {
            sender.partial_bytes -= bytes;
        }
    }

    /// Drops what waits in a stream.
    fn clear(&mut self, life: Incarnation, incoming: &mut Incoming) {
        self.held_bytes -= incoming.order.bytes();
        incoming.order.clear();
        if let Some(partial) = incoming.partial.take() {
            self.forget_partial(life, partial.len());
        }
    }
}

impl Incoming {
    fn new() -> Self {
        Self { order: Stream::new(), partial: None }
    }

    /// How many bytes of an unfinished message there are.
    fn len(&self) -> usize {
        self.partial.as_ref().map_or(0, Partial::len)
    }
}
