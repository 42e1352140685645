//! A simulated broker and the links of nodes to it: steps in virtual time, decides by its seed, does no IO.
//!
//! Pure: time comes in as the time since the beginning; what is due comes out.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::time::Duration;

use bytes::Bytes;

use super::super::backlog::{Backlog, INBOUND_FRAMES_MAX, Taken};
use super::super::{Event, Lane, PublishError, Subject};
use super::faults::{Dice, Faults};
use crate::node::NodeId;

/// The largest frame of the simulation, in bytes: NATS's default.
pub const SIM_PAYLOAD_BYTES_MAX: usize = 1024 * 1024;

/// How many frames may be under way, over all nodes; more are refused as `Full`. Enough for minutes of a busy test.
pub const SIM_FRAMES_MAX: usize = 1_000_000;

/// After how long a link over which nothing comes is taken for dead, as an engine with pings every second does.
pub const SIM_DETECTION: Duration = Duration::from_secs(3);

const LANES: [Lane; 2] = [Lane::Control, Lane::Data];

/// A network of nodes around one broker, in virtual time.
///
/// It is a value: [`Sim`](super::Sim) runs it on tokio's clock, and a test of pure cores steps it by itself. The same calls
/// with the same seed have the same outcome.
///
/// ```
/// use std::time::Duration;
/// use heronry::engine::sim::{Faults, Network};
/// use heronry::engine::{Event, Subject};
/// use heronry::node::{Incarnation, NodeId, NodeName};
///
/// let node = |name| NodeId::new(NodeName::parse(name).unwrap(), Incarnation::new(1));
/// let mut network = Network::new(7, Faults::default());
/// network.join(&node("a"));
/// network.join(&node("b"));
/// network.step(Duration::ZERO); // both are told that their links are up
///
/// network.publish(Duration::ZERO, &node("a"), &Subject::Heartbeats, "alive".into()).unwrap();
/// assert!(network.step(Duration::ZERO).is_empty());
/// let due = network.next_due().unwrap();
/// let frame = Event::Frame { subject: Subject::Heartbeats, frame: "alive".into() };
/// assert_eq!(network.step(due), [(node("b"), frame)]);
/// ```
#[derive(Debug)]
pub struct Network {
    dice: Dice,
    faults: Faults,
    nodes: BTreeMap<NodeId, Node>,
    /// What is under way, by when it arrives and in which order it left.
    under_way: BTreeMap<(Duration, u64), UnderWay>,
    /// When the last frame from one node to another arrives on a lane, unless it was reordered.
    last: HashMap<(NodeId, NodeId, Lane), Duration>,
    /// What is told at the next step, whatever the time.
    ready: VecDeque<(NodeId, Event)>,
    serial: u64,
    broker: Broker,
}

#[derive(Debug)]
struct UnderWay {
    from: NodeId,
    to: NodeId,
    event: Event,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Broker {
    Running,
    Killed,
    /// It neither takes nor gives, and its links look alive; until they are found dead at this time.
    Stopped {
        found_at: Option<Duration>,
    },
}

#[derive(Debug)]
struct Node {
    wants: HashSet<Subject>,
    /// Nodes hear each other only within one side.
    side: u32,
    /// Whether its own link to the broker is cut.
    cut: bool,
    /// Whether it was told that its links are up; not at first.
    up: bool,
    /// Whether its links were up before.
    was_up: bool,
    paused: Option<Paused>,
}

/// What waits for a node that stands still.
#[derive(Debug)]
struct Paused {
    incoming: [Backlog<Event>; 2],
    outgoing: VecDeque<(Subject, Bytes)>,
}

impl Network {
    /// A network without nodes.
    pub fn new(seed: u64, faults: Faults) -> Self {
        Self {
            dice: Dice::new(seed),
            faults,
            nodes: BTreeMap::new(),
            under_way: BTreeMap::new(),
            last: HashMap::new(),
            ready: VecDeque::new(),
            serial: 0,
            broker: Broker::Running,
        }
    }

    /// Changes what goes wrong from now on.
    pub fn set_faults(&mut self, faults: Faults) {
        self.faults = faults;
    }

    /// Adds a node; one that is there already begins anew, with no interests.
    pub fn join(&mut self, node: &NodeId) {
        let fresh =
            Node { wants: HashSet::new(), side: 0, cut: false, up: false, was_up: false, paused: None };
        self.nodes.insert(node.clone(), fresh);
        self.tell_links();
    }

    /// Removes a node without a word, as when its machine dies: what is under way to it is lost, what it sent is not.
    pub fn leave(&mut self, node: &NodeId) {
        self.nodes.remove(node);
        self.under_way.retain(|_, frame| frame.to != *node);
        self.ready.retain(|(to, _)| to != node);
        self.last.retain(|(from, to, _), _| from != node && to != node);
    }

    /// Whether the node has joined and not left.
    pub fn has(&self, node: &NodeId) -> bool {
        self.nodes.contains_key(node)
    }

    /// What [`Engine::set_interest`](super::super::Engine::set_interest) does, at once.
    pub fn set_interest(&mut self, node: &NodeId, subject: &Subject, wanted: bool) {
        if let Some(node) = self.nodes.get_mut(node) {
            if wanted {
                node.wants.insert(subject.clone());
            } else {
                node.wants.remove(subject);
            }
        }
    }

    /// What [`Engine::publish`](super::super::Engine::publish) does.
    ///
    /// # Errors
    /// `TooLarge` and `Full` by the limits of this module, `Disconnected` while the node's links are down, `Stopped` if the node
    /// has not joined.
    pub fn publish(
        &mut self,
        now: Duration,
        from: &NodeId,
        subject: &Subject,
        frame: Bytes,
    ) -> Result<(), PublishError> {
        if frame.len() > SIM_PAYLOAD_BYTES_MAX {
            return Err(PublishError::TooLarge { bytes: frame.len(), limit: SIM_PAYLOAD_BYTES_MAX });
        }
        let node = self.nodes.get_mut(from).ok_or(PublishError::Stopped)?;
        if !node.up {
            return Err(PublishError::Disconnected);
        }
        if self.under_way.len() >= SIM_FRAMES_MAX {
            return Err(PublishError::Full);
        }
        match &mut node.paused {
            Some(paused) if paused.outgoing.len() >= INBOUND_FRAMES_MAX => return Err(PublishError::Full),
            Some(paused) => paused.outgoing.push_back((subject.clone(), frame)),
            None => self.route(now, from, subject, &frame),
        }
        Ok(())
    }

    /// When something is due next; `None` if only a call can change anything.
    pub fn next_due(&self) -> Option<Duration> {
        if !self.ready.is_empty() {
            return Some(Duration::ZERO);
        }
        match self.broker {
            Broker::Running => self.under_way.keys().next().map(|(due, _)| *due),
            Broker::Killed => None,
            Broker::Stopped { found_at } => found_at,
        }
    }

    /// Takes out all that is due by `now`, in order.
    pub fn step(&mut self, now: Duration) -> Vec<(NodeId, Event)> {
        if let Broker::Stopped { found_at: Some(at) } = self.broker
            && at <= now
        {
            self.broker = Broker::Stopped { found_at: None };
            self.lose_links();
        }
        while self.broker == Broker::Running
            && let Some(entry) = self.under_way.first_entry()
            && entry.key().0 <= now
        {
            let UnderWay { to, event, .. } = entry.remove();
            self.arrive(to, event);
        }
        self.ready.drain(..).collect()
    }

    /// Parts the nodes: those of one set hear each other, those in none are a set of their own. The links stay up, as when the
    /// servers of a broker lose each other. What is under way between the sides is lost.
    pub fn partition(&mut self, sets: &[&[NodeId]]) {
        for (id, node) in &mut self.nodes {
            let side = sets.iter().position(|set| set.contains(id)).map_or(0, |side| side + 1);
            node.side = u32::try_from(side).unwrap_or(u32::MAX);
        }
        let side = |id: &NodeId| self.nodes.get(id).map(|node| node.side);
        self.under_way.retain(|_, frame| side(&frame.from) == side(&frame.to));
    }

    /// Ends a partition. No gap is told: the engine of a node does not see that others were away.
    pub fn heal(&mut self) {
        self.nodes.values_mut().for_each(|node| node.side = 0);
    }

    /// Lets a node stand still, as SIGSTOP does: what it sends and what comes for it waits, up to the limits of an engine.
    pub fn pause(&mut self, node: &NodeId) {
        if let Some(node) = self.nodes.get_mut(node)
            && node.paused.is_none()
        {
            let incoming = [Backlog::new(), Backlog::new()];
            node.paused = Some(Paused { incoming, outgoing: VecDeque::new() });
        }
    }

    /// Lets a paused node go on: what waited comes and goes at once, a gap where it was too much.
    pub fn resume(&mut self, now: Duration, node: &NodeId) {
        let Some(paused) = self.nodes.get_mut(node).and_then(|node| node.paused.take()) else { return };
        for (mut waiting, lane) in paused.incoming.into_iter().zip(LANES) {
            while let Some(next) = waiting.pop() {
                let event = match next {
                    Taken::Item(event) => event,
                    Taken::Missed(_) => Event::Gap(lane),
                };
                self.ready.push_back((node.clone(), event));
            }
        }
        for (subject, frame) in paused.outgoing {
            self.route(now, node, &subject, &frame);
        }
    }

    /// Ends the broker: what is under way is lost, and all links are down at once.
    pub fn kill_broker(&mut self) {
        self.broker = Broker::Killed;
        self.lose_links();
    }

    /// Lets the broker stand still: its links look alive until [`SIM_DETECTION`] has passed, then all of them are down.
    pub fn stop_broker(&mut self, now: Duration) {
        if self.broker == Broker::Running {
            self.broker = Broker::Stopped { found_at: Some(now + SIM_DETECTION) };
        }
    }

    /// Brings the broker back, killed or stopped. What waited in a stopped one arrives, if nobody has found it dead yet.
    pub fn start_broker(&mut self) {
        self.broker = Broker::Running;
        self.tell_links();
    }

    /// Cuts the links of one node: they are down at once.
    pub fn cut(&mut self, node: &NodeId) {
        if let Some(state) = self.nodes.get_mut(node) {
            state.cut = true;
            self.under_way.retain(|_, frame| frame.to != *node);
            self.tell_links();
        }
    }

    /// Mends the links of one node.
    pub fn mend(&mut self, node: &NodeId) {
        if let Some(state) = self.nodes.get_mut(node) {
            state.cut = false;
            self.tell_links();
        }
    }

    fn lose_links(&mut self) {
        self.under_way.clear();
        self.last.clear();
        self.tell_links();
    }

    /// Tells each node what has changed of its links.
    fn tell_links(&mut self) {
        let mut told = Vec::new();
        for (id, node) in &mut self.nodes {
            let up = match self.broker {
                Broker::Running => !node.cut,
                // Nobody has noticed yet, and nobody can connect.
                Broker::Stopped { found_at: Some(_) } => node.up && !node.cut,
                Broker::Stopped { found_at: None } | Broker::Killed => false,
            };
            if up == node.up {
                continue;
            }
            node.up = up;
            for lane in LANES {
                told.push((id.clone(), if up { Event::Up(lane) } else { Event::Down(lane) }));
                if up && node.was_up {
                    told.push((id.clone(), Event::Gap(lane)));
                }
            }
            node.was_up |= up;
        }
        for (id, event) in told {
            self.arrive(id, event);
        }
    }

    fn route(&mut self, now: Duration, from: &NodeId, subject: &Subject, frame: &Bytes) {
        let Some(sender) = self.nodes.get(from) else { return };
        if !sender.up {
            return;
        }
        let side = sender.side;
        let gets = |(id, node): (&NodeId, &Node)| {
            let wanted = match subject {
                Subject::Inbox(to, _) => id == to,
                Subject::Heartbeats => id != from,
                Subject::PubSub(_) | Subject::Tracker(..) => id != from && node.wants.contains(subject),
            };
            (wanted && node.up && node.side == side).then(|| id.clone())
        };
        let receivers: BTreeSet<NodeId> = self.nodes.iter().filter_map(gets).collect();
        for to in receivers {
            if self.dice.happens(self.faults.drop) {
                continue;
            }
            let copies = if self.dice.happens(self.faults.duplicate) { 2 } else { 1 };
            for _ in 0..copies {
                let due = self.arrival(now, from, &to, subject.lane());
                let event = Event::Frame { subject: subject.clone(), frame: frame.clone() };
                self.serial += 1;
                let frame = UnderWay { from: from.clone(), to: to.clone(), event };
                self.under_way.insert((due, self.serial), frame);
            }
        }
    }

    fn arrival(&mut self, now: Duration, from: &NodeId, to: &NodeId, lane: Lane) -> Duration {
        let delay = self.dice.between(self.faults.delay_min, self.faults.delay_max);
        if self.dice.happens(self.faults.reorder) {
            return now + delay + self.dice.between(Duration::ZERO, self.faults.reorder_delay_max);
        }
        let last = self.last.entry((from.clone(), to.clone(), lane)).or_default();
        *last = (now + delay).max(*last);
        *last
    }

    fn arrive(&mut self, to: NodeId, event: Event) {
        let Some(node) = self.nodes.get_mut(&to) else { return };
        match &mut node.paused {
            Some(paused) => {
                let [control, data] = &mut paused.incoming;
                let backlog = match event.lane() {
                    Lane::Control => control,
                    Lane::Data => data,
                };
                backlog.put(event);
            }
            None => self.ready.push_back((to, event)),
        }
    }
}
