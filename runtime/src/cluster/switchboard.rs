//! The switchboard: where an engine's events come in, and what is published goes out.

use std::fmt;
use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;

use super::beat::Beat;
use super::channel::Channel;
use super::counters::Counters;
use super::events::{ClusterFull, Dropped, EngineLink, NameTaken, NodeEvent, RemoteLimit};
use super::frame::{self, Decoded, FrameError};
use super::inbound::{Inbound, Taken};
use super::mac::Mac;
use super::members::Members;
use super::membership::{Heard, Membership};
use super::options::{NodeError, NodeOptions};
use super::outbound::Outbound;
use super::service::Wake;
use super::subscriptions::{Subscriber, Subscriptions};
use super::{MAX_PAYLOAD_MIN, SendError};
use crate::clock::{self, Instant};
use crate::engine::{Engine, Event, Lane, PublishError, Receiver, Subject};
use crate::node::{NodeId, NodeName};
use crate::process::Addr;
use crate::supervisor::SupervisorRef;
use crate::sync::atomic::{AtomicBool, Ordering};
use crate::sync::{Mutex, RwLock};
use crate::telemetry;

/// How soon after a heartbeat the next may be: a node that is new is answered at once, many that are new together by one.
const BEAT_PAUSE: Duration = Duration::from_millis(50);

/// How long the engine may take to write what was taken, at the end.
pub(super) const STOP_TIME: Duration = Duration::from_secs(2);

pub(super) struct Switchboard {
    own: NodeId,
    engine: Arc<dyn Engine>,
    mac: Option<Mac>,
    nodes_max: usize,
    pub(super) heartbeat: Duration,
    started: Instant,
    pub(super) members: Members,
    subscriptions: Arc<Subscriptions>,
    counters: Arc<Counters>,
    control: Inbound,
    data: Inbound,
    outbound: Outbound,
    /// Held while interest changes, so that the engine is told in the order in which it does. What arrives never takes it.
    interest: Mutex<()>,
    beats: Mutex<Beats>,
    pub(super) service: Mutex<Option<Addr<Wake>>>,
    /// The supervisor that the node was started under, if it has one of its own.
    pub(super) tree: Mutex<Option<SupervisorRef>>,
    has_left: AtomicBool,
    /// What else of the node looks at the time.
    timed: RwLock<Vec<Weak<dyn Timed>>>,
}

/// A part of the node above the switchboard that has deadlines of its own.
pub(super) trait Timed: Send + Sync {
    fn tick(&self, now: Instant);
    fn deadline(&self) -> Option<Instant>;
}

#[derive(Default)]
struct Beats {
    last: Option<Instant>,
    /// Whether somebody waits for the next.
    is_due: bool,
}

/// What an engine holds of a switchboard: it does not keep it alive.
pub(super) struct Ear(pub(super) Weak<Switchboard>);

impl Receiver for Ear {
    fn receive(&self, event: Event) {
        if let Some(board) = self.0.upgrade() {
            board.take(event);
        }
    }
}

impl Switchboard {
    pub(super) fn new(engine: Arc<dyn Engine>, options: &NodeOptions) -> Result<Self, NodeError> {
        let max_payload = engine.caps().max_payload;
        if max_payload < MAX_PAYLOAD_MIN {
            return Err(NodeError::MaxPayload(max_payload));
        }
        let (own, now, mac) = (engine.node().clone(), clock::now(), options.mac());
        let times = (options.heartbeat, options.patience()?);
        let membership = Membership::new(own.clone(), times, options.nodes_max, now);
        let (subscriptions, counters) = (Arc::new(Subscriptions::default()), Arc::new(Counters::new()));
        let inbound = |lane| Inbound::new(own.clone(), lane, subscriptions.clone(), counters.clone());
        Ok(Self {
            control: inbound(Lane::Control),
            data: inbound(Lane::Data),
            members: Members::new(membership),
            outbound: Outbound::new(own.clone(), mac.clone(), max_payload, now),
            subscriptions,
            counters,
            own,
            engine,
            mac,
            nodes_max: options.nodes_max,
            heartbeat: options.heartbeat,
            started: now,
            interest: Mutex::new(()),
            beats: Mutex::default(),
            service: Mutex::new(None),
            tree: Mutex::new(None),
            has_left: AtomicBool::new(false),
            timed: RwLock::default(),
        })
    }

    pub(super) fn id(&self) -> &NodeId {
        &self.own
    }

    fn inbound(&self, lane: Lane) -> &Inbound {
        match lane {
            Lane::Control => &self.control,
            Lane::Data => &self.data,
        }
    }

    fn lanes(&self) -> impl Iterator<Item = &Inbound> {
        [&self.control, &self.data].into_iter()
    }

    /// Begins to listen, and says so to the others.
    pub(super) fn begin(self: &Arc<Self>) {
        self.engine.start(Arc::new(Ear(Arc::downgrade(self))));
        self.beat();
    }

    /// Says goodbye and stops: at once for this node, and over once the goodbye is written or [`STOP_TIME`] has passed.
    pub(super) async fn leave(&self) {
        if self.has_left.swap(true, Ordering::AcqRel) {
            return;
        }
        // If the link is down, the others will see it by the silence.
        drop(self.publish_subject(&Subject::Heartbeats, &[], &Beat::Leave.encode()));
        let stopping = self.engine.stop(STOP_TIME);
        self.members.step(Membership::leave);
        self.tell();
        self.counters.report();
        stopping.await;
    }

    pub(super) fn has_left(&self) -> bool {
        self.has_left.load(Ordering::Acquire)
    }

    // What comes in.

    fn take(&self, event: Event) {
        match event {
            Event::Frame { subject, frame } => self.frame(&subject, &frame),
            Event::Up(lane) => self.link(lane, true),
            Event::Down(lane) => self.link(lane, false),
            Event::Gap(lane) => self.inbound(lane).engine_gap(),
        }
    }

    fn link(&self, lane: Lane, is_up: bool) {
        telemetry::emit(&EngineLink { lane, is_up });
        if lane == Lane::Control {
            self.members.step(|members| members.link(is_up, clock::now()));
        }
        self.members.push(if is_up { NodeEvent::EngineUp(lane) } else { NodeEvent::EngineDown(lane) });
        self.tell();
        if is_up && lane == Lane::Control {
            self.beat_soon();
        }
    }

    fn frame(&self, subject: &Subject, frame: &Bytes) {
        let Decoded { head, body } = match frame::decode(subject, frame, self.mac.as_ref()) {
            Ok(decoded) => decoded,
            Err(FrameError::Malformed) => return self.counters.dropped(Dropped::Malformed),
            Err(FrameError::Forged) => return self.counters.dropped(Dropped::Forged),
        };
        if head.incarnation == self.own.incarnation() && head.name == self.own.name().as_str() {
            return;
        }
        let now = clock::now();
        if *subject == Subject::Heartbeats {
            let Some((id, beat)) = known(&head).zip(Beat::decode(&frame[body])) else {
                return self.counters.dropped(Dropped::Malformed);
            };
            let heard = self.members.step(|members| members.beat(id.clone(), head.seq, beat, now));
            return self.heard(&id, heard);
        }
        let inbound = self.inbound(subject.lane());
        let receive = || {
            let place = (head.seq, head.quiet, head.part);
            inbound.receive(subject, (head.name, head.incarnation), place, frame.slice(body.clone()), now)
        };
        let mut taken = receive();
        if taken == Taken::Stranger {
            let Some(id) = known(&head) else { return self.counters.dropped(Dropped::Malformed) };
            let heard = self.members.step(|members| members.frame(id.clone(), now));
            if heard == Heard::New {
                self.heard(&id, heard);
                taken = receive();
            }
        }
        match taken {
            Taken::Done => {}
            Taken::Waits => self.wake(),
            Taken::Stranger => self.counters.dropped(Dropped::Stranger),
        }
    }

    /// Counts something of another node that went nowhere.
    pub(super) fn dropped(&self, why: Dropped) {
        self.counters.dropped(why);
    }

    /// Counts something of remote processes that a limit did not let be.
    pub(super) fn limited(&self, by: RemoteLimit) {
        self.counters.limited(by);
    }

    fn heard(&self, id: &NodeId, heard: Heard) {
        self.tell();
        match heard {
            Heard::Known => {}
            Heard::New => self.beat_soon(),
            Heard::Late => self.counters.dropped(Dropped::Stranger),
            Heard::NameTaken => telemetry::emit(&NameTaken { by: id.clone() }),
            Heard::Full => {
                telemetry::emit(&ClusterFull { limit: self.nodes_max, refused: id.clone() });
            }
        }
    }

    /// Tells who watches what has changed. Whoever hears that a node is up hears nothing from it before, and whoever hears that it
    /// is down nothing after.
    pub(super) fn tell(&self) {
        self.members.tell(|event, is_told| match (event, is_told) {
            (NodeEvent::Up(id), true) => self.lanes().for_each(|lane| lane.admit(id)),
            (NodeEvent::Down(id), false) => self.lanes().for_each(|lane| lane.expel(id)),
            (NodeEvent::PermDown(id), false) => {
                self.lanes().for_each(|lane| lane.forget(id));
                self.outbound.forget(id);
            }
            (
                NodeEvent::Up(_)
                | NodeEvent::Down(_)
                | NodeEvent::PermDown(_)
                | NodeEvent::Suspect(_)
                | NodeEvent::Recovered(_)
                | NodeEvent::EngineUp(_)
                | NodeEvent::EngineDown(_),
                _,
            ) => {}
        });
    }

    // Time.

    /// Looks at the time: who is silent for too long, what has waited for long enough.
    pub(super) fn tick(&self, now: Instant) {
        self.members.step(|members| members.tick(now));
        self.tell();
        self.lanes().for_each(|lane| lane.tick(now));
        for timed in self.timed() {
            timed.tick(now);
        }
    }

    pub(super) fn add_timed(&self, timed: Weak<dyn Timed>) {
        let mut all = self.timed.write();
        all.retain(|other| other.strong_count() > 0);
        all.push(timed);
    }

    fn timed(&self) -> Vec<Arc<dyn Timed>> {
        self.timed.read().iter().filter_map(Weak::upgrade).collect()
    }

    /// When it is worth a look again.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let members = self.members.step(|members| members.deadline());
        let beat = {
            let beats = self.beats.lock();
            beats.last.filter(|_| beats.is_due).map(|last| last + BEAT_PAUSE)
        };
        let timed = self.timed().into_iter().filter_map(|timed| timed.deadline()).min();
        self.lanes().map(Inbound::deadline).chain([members, beat, timed]).flatten().min()
    }

    /// Has the service look at the time anew.
    pub(super) fn wake(&self) {
        let service = self.service.lock().clone();
        if let Some(service) = service {
            // It is full only of the same.
            drop(service.send(Wake::Look));
        }
    }

    /// Says that this node lives, if the time has come.
    pub(super) fn beat_if_due(&self, now: Instant) {
        let is_due = {
            let beats = self.beats.lock();
            beats.last.is_none_or(|last| {
                let pause = if beats.is_due { BEAT_PAUSE.min(self.heartbeat) } else { self.heartbeat };
                now.saturating_duration_since(last) >= pause
            })
        };
        if is_due {
            self.beat();
            self.counters.report();
        }
    }

    /// Says that this node lives.
    fn beat(&self) {
        let now = clock::now();
        *self.beats.lock() = Beats { last: Some(now), is_due: false };
        let beat = Beat::Alive { age: now.saturating_duration_since(self.started) };
        // If the link is down, the others will see it by the silence.
        drop(self.publish_subject(&Subject::Heartbeats, &[], &beat.encode()));
    }

    /// Says it without waiting for the next heartbeat, or a moment later if one was just sent.
    fn beat_soon(&self) {
        let is_free = {
            let mut beats = self.beats.lock();
            let is_free = beats.last.is_none_or(|last| {
                clock::now().saturating_duration_since(last) >= BEAT_PAUSE.min(self.heartbeat)
            });
            beats.is_due = !is_free;
            is_free
        };
        if is_free {
            self.beat();
        } else {
            self.wake();
        }
    }

    /// When the next heartbeat is.
    pub(super) fn next_beat(&self, now: Instant) -> Instant {
        self.beats.lock().last.unwrap_or(now) + self.heartbeat
    }

    // What goes out, and who wants what.

    pub(super) fn publish(&self, channel: Channel, payload: &[u8]) -> Result<(), PublishError> {
        let subject = channel.subject().expect("invariant: who can name a channel can publish on it");
        self.publish_subject(&subject, &[], payload)
    }

    fn publish_subject(&self, subject: &Subject, prefix: &[u8], payload: &[u8]) -> Result<(), PublishError> {
        self.outbound.publish(&*self.engine, subject, prefix, payload)
    }

    pub(super) fn send(
        &self,
        to: &NodeId,
        lane: Lane,
        channel: Channel,
        payload: Bytes,
    ) -> Result<(), SendError> {
        if *to == self.own {
            let inbound = self.inbound(lane);
            let is_taken = inbound.loop_back(channel, payload);
            return if is_taken { Ok(()) } else { Err(SendError::Publish(PublishError::Full)) };
        }
        if !self.members.is_up(to) {
            return Err(SendError::NoConnection(to.clone()));
        }
        let subject = Subject::Inbox(to.clone(), lane);
        self.publish_subject(&subject, &channel.encode(), &payload).map_err(SendError::Publish)
    }

    pub(super) fn subscribe(&self, channel: Channel, subscriber: Arc<dyn Subscriber>) -> u64 {
        let _order = self.interest.lock();
        let (id, is_first) = self.subscriptions.insert(channel, subscriber);
        if let Some(subject) = channel.subject().filter(|_| is_first) {
            self.inbound(subject.lane()).want(subject.clone(), true);
            self.engine.set_interest(&subject, true);
        }
        id
    }

    pub(super) fn unsubscribe(&self, channel: Channel, id: u64) {
        let removed = {
            let _order = self.interest.lock();
            let (removed, was_last) = self.subscriptions.remove(channel, id);
            if let Some(subject) = channel.subject().filter(|_| was_last) {
                self.engine.set_interest(&subject, false);
                self.inbound(subject.lane()).want(subject, false);
            }
            removed
        };
        drop(removed); // the subscriber's destructor is the user's: not under the lock
    }
}

/// The node of a frame, if its name can be one.
fn known(head: &frame::Head<'_>) -> Option<NodeId> {
    NodeName::parse(head.name).ok().map(|name| NodeId::new(name, head.incarnation))
}

impl fmt::Debug for Switchboard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Switchboard").field("own", &self.own).finish_non_exhaustive()
    }
}
