//! One lane's life on a broker: connect, say what is wanted, write and read until the link is down, and again.

use std::hash::{BuildHasher, RandomState};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::watch;
use tokio::task::coop::consume_budget;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout, timeout_at};

use super::super::courier::{hand_over, tell_missed};
use super::super::{DropCause, Event, Lane, Receiver, Subject};
use super::link::Link;
use super::names::Names;
use super::{Broker, Incoming, Wire, Writer};
use crate::node::NodeId;
use crate::sync::Mutex;

/// The first wait before connecting again; each is twice the one before.
const RECONNECT_FIRST: Duration = Duration::from_millis(50);

/// The longest wait: of the 3 s in which a node is whole again once its broker is back, most are for what comes after.
const RECONNECT_MAX: Duration = Duration::from_secs(1);

/// How long the broker may take to hear what is wanted: as long as it may be silent.
const SUBSCRIBE_MAX: Duration = Duration::from_millis(2_500);

/// How often is looked for subjects that have lingered.
const LINGER_CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// Who is told of events; nobody until the engine is started.
pub(super) type Slot = Arc<Mutex<Option<Arc<dyn Receiver>>>>;

/// Why a connection is over.
enum End {
    Down(String),
    Stopped,
}

pub(super) struct Session<B: Broker> {
    pub(super) node: NodeId,
    pub(super) names: Names,
    pub(super) broker: Arc<B>,
    pub(super) link: Arc<Link>,
    pub(super) slot: Slot,
    /// No frame may be larger, whatever the broker of the day allows.
    pub(super) payload_max: usize,
    /// Whoever stops the engine waits until this is dropped.
    pub(super) _running: watch::Sender<()>,
}

impl<B: Broker> Session<B> {
    /// Runs until the link is stopped, from a connection that is there.
    pub(super) async fn run(self, first: B::Wire) {
        let (mut next, mut was_up) = (Some(first), false);
        loop {
            let wire = match next.take() {
                Some(wire) => wire,
                None => match self.reconnect().await {
                    Some(wire) => wire,
                    None => return,
                },
            };
            match self.connected(wire, &mut was_up).await {
                End::Down(reason) => {
                    self.link.down(reason);
                    self.tell(Event::Down(self.lane()));
                }
                End::Stopped => return,
            }
        }
    }

    fn lane(&self) -> Lane {
        self.link.lane()
    }

    fn tell(&self, event: Event) {
        let receiver = self.slot.lock().clone();
        if let Some(receiver) = receiver {
            hand_over(&self.node, &*receiver, event);
        }
    }

    /// A new connection, however long that takes; `None` if the link was stopped meanwhile.
    async fn reconnect(&self) -> Option<B::Wire> {
        let mut delay = RECONNECT_FIRST;
        loop {
            let jitter = RandomState::new().hash_one(delay) as f64 / u64::MAX as f64;
            let attempt = async {
                // Nodes that lost their broker together come back one after the other.
                sleep(delay.mul_f64(0.5 + jitter / 2.0)).await;
                self.broker.connect(self.lane()).await
            };
            match self.unless_stopped(attempt).await? {
                Ok(wire) => return Some(wire),
                Err(error) => self.link.down(error.to_string()),
            }
            delay = (delay * 2).min(RECONNECT_MAX);
        }
    }

    async fn unless_stopped<T>(&self, future: impl Future<Output = T>) -> Option<T> {
        let mut future = pin!(future);
        loop {
            tokio::select! {
                output = &mut future => return Some(output),
                () = self.link.changed() => if self.link.stopping().is_some() { return None },
            }
        }
    }

    async fn connected(&self, mut wire: B::Wire, was_up: &mut bool) -> End {
        let lane = self.lane();
        let mut wanted = self.link.renew();
        wanted.push(Subject::Inbox(self.node.clone(), lane));
        if lane == Lane::Control {
            wanted.push(Subject::Heartbeats);
        }
        if let Err(reason) = within(wire.subscribe(self.spell(&wanted))).await {
            return End::Down(reason);
        }
        self.link.up(wire.payload_max().min(self.payload_max));
        self.tell(Event::Up(lane));
        if std::mem::replace(was_up, true) {
            self.tell(Event::Gap(lane));
        }
        let mut writing = pin!(self.write(wire.writer()));
        let mut linger = interval(LINGER_CHECK_INTERVAL);
        linger.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                end = &mut writing => return end,
                incoming = wire.next() => match incoming {
                    Incoming::Frame { subject, frame } => self.take(&subject, frame),
                    Incoming::Missed(count) => self.missed(count),
                    Incoming::Down(reason) => return End::Down(reason),
                },
                () = self.link.changed() => {
                    if let Some(end) = self.link.stopping() {
                        // What is late then is lost.
                        let _ = timeout_at(end, writing).await;
                        return End::Stopped;
                    }
                    if self.link.take_announcement() {
                        self.tell(Event::Up(lane));
                    }
                    if let Err(reason) = self.changed(&mut wire).await {
                        return End::Down(reason);
                    }
                }
                _ = linger.tick() => if let Err(reason) = self.changed(&mut wire).await {
                    return End::Down(reason);
                },
            }
            consume_budget().await;
        }
    }

    /// Tells the broker what has changed of what is wanted.
    async fn changed(&self, wire: &mut B::Wire) -> Result<(), String> {
        let changes = self.link.changes();
        if !changes.unsubscribe.is_empty() {
            within(wire.unsubscribe(self.spell(&changes.unsubscribe))).await?;
        }
        if !changes.subscribe.is_empty() {
            within(wire.subscribe(self.spell(&changes.subscribe))).await?;
        }
        Ok(())
    }

    async fn write<W: Writer>(&self, writer: W) -> End {
        while let Some(frames) = self.link.batch().await {
            let frames = frames.into_iter().map(|(subject, frame)| (self.names.spell(&subject), frame));
            match writer.write(frames.collect()).await {
                Ok(too_large) => self.link.tell_dropped(DropCause::TooLarge, too_large),
                Err(reason) => return End::Down(reason),
            }
        }
        End::Stopped
    }

    fn spell(&self, subjects: &[Subject]) -> Vec<String> {
        subjects.iter().map(|subject| self.names.spell(subject)).collect()
    }

    fn take(&self, subject: &str, frame: Bytes) {
        let ours = |subject: &Subject| match subject {
            Subject::Inbox(node, _) => *node == self.node,
            Subject::PubSub(_) | Subject::Heartbeats | Subject::Tracker(..) => true,
        };
        match self.names.read(subject).filter(ours) {
            Some(subject) => self.tell(Event::Frame { subject, frame }),
            None => self.link.tell_dropped(DropCause::Foreign, 1),
        }
    }

    fn missed(&self, count: u64) {
        tell_missed(&self.node, self.lane(), count);
        self.tell(Event::Gap(self.lane()));
    }
}

async fn within(told: impl Future<Output = Result<(), String>>) -> Result<(), String> {
    match timeout(SUBSCRIBE_MAX, told).await {
        Ok(told) => told,
        Err(_) => Err(format!("no answer within {SUBSCRIBE_MAX:?}")),
    }
}
