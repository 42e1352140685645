//! The engine of nodes that live in one program: no socket, no broker, no other crate.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::runtime::Handle;

use super::courier::Courier;
use super::{Caps, Engine, Event, Lane, PublishError, Receiver, Stopping, Subject};
use crate::node::NodeId;
use crate::sync::RwLock;
use crate::sync::atomic::{AtomicBool, Ordering};

/// The largest frame that [`Local`] takes, in bytes: what NATS takes by default, so that what is too large there is too large
/// in tests.
pub const LOCAL_PAYLOAD_BYTES_MAX: usize = 1024 * 1024;

/// Where the nodes of one program meet; the broker of [`Local`]. Cheap to clone.
///
/// It lives as long as one of its nodes. A node that nobody else shares a hub with is a cluster of one.
#[derive(Clone, Debug, Default)]
pub struct LocalHub {
    nodes: Arc<RwLock<HashMap<NodeId, Arc<Member>>>>,
}

#[derive(Debug)]
struct Member {
    courier: Courier,
    wants: RwLock<HashSet<Subject>>,
}

/// The engine of a node in this program.
///
/// It never is down and its frames are neither reordered nor repeated. Those that wait for a receiver are limited, per lane
/// (65,536, of 64 MiB); beyond that they are lost and the receiver hears of a [`Gap`](Event::Gap). A frame does not come back to
/// its own node.
///
/// ```
/// use std::sync::Arc;
/// use std::sync::mpsc::{Sender, channel};
/// use std::time::Duration;
/// use heronry::engine::{Engine, Event, Local, LocalHub, Receiver, Subject};
/// use heronry::node::{Incarnation, NodeId, NodeName};
///
/// struct Tell(Sender<Event>);
/// impl Receiver for Tell {
///     fn receive(&self, event: Event) { let _ = self.0.send(event); }
/// }
///
/// # #[tokio::main] async fn main() {
/// let hub = LocalHub::new();
/// let node = |name| NodeId::new(NodeName::parse(name).unwrap(), Incarnation::new(1));
/// let (a, b) = (Local::new(node("a"), &hub), Local::new(node("b"), &hub));
///
/// let (tell, told) = channel();
/// b.start(Arc::new(Tell(tell)));
/// a.publish(&Subject::Heartbeats, "alive".into()).unwrap();
///
/// let frame = Event::Frame { subject: Subject::Heartbeats, frame: "alive".into() };
/// # tokio::task::spawn_blocking(move || {
/// assert!(told.iter().any(|event| event == frame));
/// # }).await.unwrap();
/// # }
/// ```
#[derive(Debug)]
pub struct Local {
    node: NodeId,
    hub: LocalHub,
    member: Arc<Member>,
    stopped: AtomicBool,
}

impl LocalHub {
    /// A hub without nodes.
    pub fn new() -> Self {
        Self::default()
    }
}

impl Local {
    /// The engine of `node` on `hub`. It hears of the others once it is [started](Engine::start); in one life a node has one.
    ///
    /// # Panics
    /// Outside of a tokio runtime: it is where what comes is handed to the receiver.
    pub fn new(node: NodeId, hub: &LocalHub) -> Self {
        let courier = Courier::new(node.clone(), Handle::current());
        let member = Arc::new(Member { courier, wants: RwLock::default() });
        Self { node, hub: hub.clone(), member, stopped: AtomicBool::new(false) }
    }

    fn leave(&self) {
        let mut nodes = self.hub.nodes.write();
        if nodes.get(&self.node).is_some_and(|member| Arc::ptr_eq(member, &self.member)) {
            nodes.remove(&self.node);
        }
    }
}

impl Engine for Local {
    fn node(&self) -> &NodeId {
        &self.node
    }

    fn caps(&self) -> Caps {
        Caps::new(LOCAL_PAYLOAD_BYTES_MAX)
    }

    fn start(&self, receiver: Arc<dyn Receiver>) {
        if !self.member.courier.open(receiver) {
            return;
        }
        for lane in [Lane::Control, Lane::Data] {
            self.member.courier.deliver(lane, Event::Up(lane));
        }
        self.hub.nodes.write().insert(self.node.clone(), self.member.clone());
        if self.stopped.load(Ordering::SeqCst) {
            // It was stopped meanwhile, and may have left before it came.
            self.leave();
        }
    }

    fn publish(&self, subject: &Subject, frame: Bytes) -> Result<(), PublishError> {
        if frame.len() > LOCAL_PAYLOAD_BYTES_MAX {
            return Err(PublishError::TooLarge { bytes: frame.len(), limit: LOCAL_PAYLOAD_BYTES_MAX });
        }
        if self.stopped.load(Ordering::SeqCst) {
            return Err(PublishError::Stopped);
        }
        let deliver = |member: &Member| {
            let event = Event::Frame { subject: subject.clone(), frame: frame.clone() };
            member.courier.deliver(subject.lane(), event);
        };
        match subject {
            Subject::Inbox(node, _) => self.hub.member(node).iter().for_each(|member| deliver(member)),
            Subject::PubSub(_) | Subject::Tracker(..) | Subject::Heartbeats => {
                self.hub.others(&self.node, subject).iter().for_each(|member| deliver(member));
            }
        }
        Ok(())
    }

    fn set_interest(&self, subject: &Subject, wanted: bool) {
        let mut wants = self.member.wants.write();
        if wanted {
            wants.insert(subject.clone());
        } else {
            wants.remove(subject);
        }
    }

    fn stop(&self, _: Duration) -> Stopping {
        self.stopped.store(true, Ordering::SeqCst);
        self.leave();
        self.member.courier.close();
        Box::pin(std::future::ready(()))
    }
}

impl Drop for Local {
    fn drop(&mut self) {
        self.leave();
    }
}

impl LocalHub {
    fn member(&self, node: &NodeId) -> Option<Arc<Member>> {
        self.nodes.read().get(node).cloned()
    }

    /// The other nodes that want the subject; out of the lock, since telemetry runs where a frame finds no room.
    fn others(&self, sender: &NodeId, subject: &Subject) -> Vec<Arc<Member>> {
        let nodes = self.nodes.read();
        let others = nodes.iter().filter(|(node, _)| *node != sender).map(|(_, member)| member);
        others.filter(|member| member.wants(subject)).cloned().collect()
    }
}

impl Member {
    fn wants(&self, subject: &Subject) -> bool {
        match subject {
            Subject::Heartbeats => true,
            Subject::PubSub(_) | Subject::Tracker(..) | Subject::Inbox(..) => {
                self.wants.read().contains(subject)
            }
        }
    }
}

#[cfg(all(test, not(heronry_loom)))]
mod tests;
