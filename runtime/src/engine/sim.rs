//! A simulated broker, for tests: delay, loss, repetition, disorder, partitions, nodes that stand still and a broker that
//! dies, all by a seed.
//!
//! [`Network`] decides, in virtual time and without IO. [`Sim`] runs one on tokio's clock, which a test pauses, and gives it
//! engines.

mod faults;
mod network;

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
pub use faults::Faults;
pub use network::{Network, SIM_DETECTION, SIM_FRAMES_MAX, SIM_PAYLOAD_BYTES_MAX};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use super::courier::hand_over;
use super::{Caps, Engine, Event, Lane, PublishError, Receiver, Stopping, Subject};
use crate::clock;
use crate::node::NodeId;
use crate::sync::Mutex;

/// A simulated network on tokio's clock. Cheap to clone; it runs as long as a clone or an engine of it is held.
///
/// Use it on a runtime of one thread with a paused clock (`#[tokio::test(start_paused = true)]`): then a seed decides everything.
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
/// use std::time::Duration;
/// use heronry::engine::sim::{Faults, Sim};
/// use heronry::engine::{Engine, Subject};
/// use heronry::node::{Incarnation, NodeId, NodeName};
///
/// let sim = Sim::new(42, Faults { drop: 0.1, ..Faults::default() });
/// let engine = sim.engine(NodeId::new(NodeName::parse("a").unwrap(), Incarnation::new(1)));
/// engine.publish(&Subject::Heartbeats, "alive".into()).unwrap();
/// sim.control(|network, _| network.kill_broker());
/// assert!(engine.publish(&Subject::Heartbeats, "alive".into()).is_err());
/// # }
/// ```
#[derive(Clone)]
pub struct Sim(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    changed: Arc<Notify>,
    begin: Instant,
}

struct State {
    network: Network,
    receivers: HashMap<NodeId, Arc<dyn Receiver>>,
    /// What a receiver that came late has to be told: the newest word on each lane of its node.
    links: HashMap<(NodeId, Lane), Event>,
    late: Vec<NodeId>,
}

/// An event, and who is told of it.
type Told = (NodeId, Arc<dyn Receiver>, Event);

/// The engine of one node on a simulated network. It leaves the network when it is stopped or dropped.
pub struct SimEngine {
    node: NodeId,
    sim: Sim,
}

impl Sim {
    /// A network that decides by `seed`.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn new(seed: u64, faults: Faults) -> Self {
        let state = State {
            network: Network::new(seed, faults),
            receivers: HashMap::new(),
            links: HashMap::new(),
            late: Vec::new(),
        };
        let changed = Arc::new(Notify::new());
        let shared =
            Arc::new(Shared { state: Mutex::new(state), changed: changed.clone(), begin: clock::now() });
        tokio::spawn(run(Arc::downgrade(&shared), changed));
        Self(shared)
    }

    /// Adds a node, whose links are up at once, and gives its engine.
    pub fn engine(&self, node: NodeId) -> SimEngine {
        self.control(|network, _| network.join(&node));
        SimEngine { node, sim: self.clone() }
    }

    /// Changes the network: `change` gets it and the time on its clock. It must not wait nor call this network's engines.
    pub fn control<R>(&self, change: impl FnOnce(&mut Network, Duration) -> R) -> R {
        self.0.with(|state, now| change(&mut state.network, now))
    }
}

impl Shared {
    fn with<R>(&self, change: impl FnOnce(&mut State, Duration) -> R) -> R {
        let now = clock::now() - self.begin;
        let result = change(&mut self.state.lock(), now);
        self.changed.notify_one();
        result
    }

    /// What is to be told now, and when to look again.
    fn step(&self) -> (Vec<Told>, Option<Instant>) {
        let now = clock::now() - self.begin;
        let mut state = self.state.lock();
        let State { network, receivers, links, late } = &mut *state;
        let mut told = Vec::new();
        for node in late.drain(..) {
            for lane in [Lane::Control, Lane::Data] {
                if let Some(up @ Event::Up(_)) = links.get(&(node.clone(), lane)) {
                    told.push((node.clone(), up.clone()));
                }
            }
        }
        for (node, event) in network.step(now) {
            match &event {
                Event::Up(lane) | Event::Down(lane) => {
                    drop(links.insert((node.clone(), *lane), event.clone()))
                }
                Event::Frame { .. } | Event::Gap(_) => {}
            }
            told.push((node, event));
        }
        let with_receiver = |(node, event)| {
            let receiver = receivers.get(&node)?.clone();
            Some((node, receiver, event))
        };
        (told.into_iter().filter_map(with_receiver).collect(), network.next_due().map(|due| self.begin + due))
    }
}

async fn run(shared: Weak<Shared>, changed: Arc<Notify>) {
    loop {
        let Some((told, next)) = shared.upgrade().map(|shared| shared.step()) else { return };
        for (node, receiver, event) in told {
            hand_over(&node, &*receiver, event);
        }
        match next {
            Some(due) => tokio::select! {
                () = sleep_until(due) => {}
                () = changed.notified() => {}
            },
            None => changed.notified().await,
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.changed.notify_one();
    }
}

impl Engine for SimEngine {
    fn node(&self) -> &NodeId {
        &self.node
    }

    fn caps(&self) -> Caps {
        Caps::new(SIM_PAYLOAD_BYTES_MAX)
    }

    fn start(&self, receiver: Arc<dyn Receiver>) {
        let replaced = self.sim.0.with(|state, _| {
            if !state.network.has(&self.node) {
                return Some(receiver);
            }
            // A second receiver has to be told what the first knows; of the first all is still ahead, or in `links`.
            state.late.push(self.node.clone());
            state.receivers.insert(self.node.clone(), receiver)
        });
        drop(replaced);
    }

    fn publish(&self, subject: &Subject, frame: Bytes) -> Result<(), PublishError> {
        self.sim.0.with(|state, now| state.network.publish(now, &self.node, subject, frame))
    }

    fn set_interest(&self, subject: &Subject, wanted: bool) {
        self.sim.control(|network, _| network.set_interest(&self.node, subject, wanted));
    }

    fn stop(&self, _: Duration) -> Stopping {
        self.leave();
        Box::pin(std::future::ready(()))
    }
}

impl SimEngine {
    fn leave(&self) {
        let receiver = self.sim.0.with(|state, _| {
            state.network.leave(&self.node);
            state.links.retain(|(node, _), _| *node != self.node);
            state.receivers.remove(&self.node)
        });
        drop(receiver);
    }
}

impl Drop for SimEngine {
    fn drop(&mut self) {
        self.leave();
    }
}

impl fmt::Debug for Sim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sim").finish_non_exhaustive()
    }
}

impl fmt::Debug for SimEngine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimEngine").field("node", &self.node).finish_non_exhaustive()
    }
}

#[cfg(all(test, not(heronry_loom)))]
mod tests;
