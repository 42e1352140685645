//! What the engines with a broker have in common: two links, one for each lane, that come back by themselves, queues with
//! limits, interests that linger.
//!
//! A broker's client brings a [`Broker`]: how to connect, subscribe, write and read. Reconnecting is ours, with a new
//! connection each time, so that nothing a client has buffered outlives the link: what was written to a dead link is lost, is
//! told as a gap, and is never replayed.

mod interest;
mod link;
mod names;
mod outbound;
mod refusals;
mod safeguard;
mod session;

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use link::Link;
use names::Names;
pub use outbound::{FRAME_AGE_MAX, OUTBOUND_BYTES_MAX, OUTBOUND_FRAMES_MAX};
pub use safeguard::Safeguard;
pub(super) use safeguard::missing;
use session::{Session, Slot};
use tokio::sync::watch;
use tokio::time::timeout_at;

use super::{Lane, PublishError, Receiver, Stopping, Subject};
use crate::node::{ClusterName, NodeId};

/// A broker that links can be made to.
pub(super) trait Broker: Send + Sync + 'static {
    type Wire: Wire;
    type Error: Error + Send;

    /// One connection, with a time limit of its own.
    fn connect(&self, lane: Lane) -> impl Future<Output = Result<Self::Wire, Self::Error>> + Send;
}

/// One connection. Whatever goes wrong with it ends it; the text says why, to people.
pub(super) trait Wire: Send + 'static {
    type Writer: Writer;

    fn writer(&self) -> Self::Writer;

    /// The largest payload that the broker takes.
    fn payload_max(&self) -> usize;

    fn subscribe(&mut self, subjects: Vec<String>) -> impl Future<Output = Result<(), String>> + Send;

    /// Of subjects that it is not subscribed to nothing comes of it.
    fn unsubscribe(&mut self, subjects: Vec<String>) -> impl Future<Output = Result<(), String>> + Send;

    /// What comes next; nothing is lost if this is dropped before.
    fn next(&mut self) -> impl Future<Output = Incoming> + Send;
}

/// The end of a connection that frames go into.
pub(super) trait Writer: Send + Sync + 'static {
    /// Writes the frames in order, and is done once the client of the broker does not hold them any more. How many were too
    /// large for the broker.
    fn write(&self, frames: Vec<(String, Bytes)>) -> impl Future<Output = Result<u64, String>> + Send;
}

/// What comes over a connection.
pub(super) enum Incoming {
    Frame {
        subject: String,
        frame: Bytes,
    },
    /// So many frames were lost, since this node is too slow.
    Missed(u64),
    /// It is over.
    Down(String),
}

/// An engine's two links.
pub(super) struct Linked {
    node: NodeId,
    payload_max: usize,
    control: Arc<Link>,
    data: Arc<Link>,
    slot: Slot,
    /// Never changes; it is closed once both sessions are over.
    sessions: watch::Receiver<()>,
}

impl Linked {
    /// Connects both lanes.
    pub(super) async fn connect<B: Broker>(
        broker: B,
        cluster: &ClusterName,
        node: NodeId,
    ) -> Result<Self, B::Error> {
        let (control, data) = (broker.connect(Lane::Control).await?, broker.connect(Lane::Data).await?);
        let payload_max = control.payload_max().min(data.payload_max());
        let (broker, slot) = (Arc::new(broker), Slot::default());
        let (running, sessions) = watch::channel(());
        let link = |lane, wire| {
            let link = Arc::new(Link::new(node.clone(), lane, payload_max));
            let session = Session {
                node: node.clone(),
                names: Names::new(cluster),
                broker: broker.clone(),
                link: link.clone(),
                slot: slot.clone(),
                payload_max,
                _running: running.clone(),
            };
            // It is there already: whoever has connected can publish.
            link.up(payload_max);
            tokio::spawn(session.run(wire));
            link
        };
        let (control, data) = (link(Lane::Control, control), link(Lane::Data, data));
        Ok(Self { node, payload_max, control, data, slot, sessions })
    }

    pub(super) fn node(&self) -> &NodeId {
        &self.node
    }

    pub(super) fn payload_max(&self) -> usize {
        self.payload_max
    }

    pub(super) fn start(&self, receiver: Arc<dyn Receiver>) {
        if self.control.stopping().is_some() {
            return;
        }
        let replaced = self.slot.lock().replace(receiver);
        drop(replaced);
        self.control.announce();
        self.data.announce();
    }

    pub(super) fn publish(&self, subject: &Subject, frame: Bytes) -> Result<(), PublishError> {
        self.link(subject).publish(subject, frame)
    }

    pub(super) fn set_interest(&self, subject: &Subject, wanted: bool) {
        match subject {
            Subject::PubSub(_) | Subject::Tracker(..) => self.link(subject).set_interest(subject, wanted),
            // Always wanted, or never: another node's.
            Subject::Heartbeats | Subject::Inbox(..) => {}
        }
    }

    pub(super) fn stop(&self, deadline: Duration) -> Stopping {
        let end = self.control.stop(deadline).max(self.data.stop(deadline));
        let receiver = self.slot.lock().take();
        drop(receiver);
        let mut sessions = self.sessions.clone();
        Box::pin(async move {
            // A session that asks its broker something can be late.
            let _ = timeout_at(end, sessions.changed()).await;
        })
    }

    fn link(&self, subject: &Subject) -> &Link {
        match subject.lane() {
            Lane::Control => &self.control,
            Lane::Data => &self.data,
        }
    }
}

impl Drop for Linked {
    fn drop(&mut self) {
        drop(self.stop(Duration::ZERO));
    }
}

impl fmt::Debug for Linked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Linked").field("node", &self.node).finish_non_exhaustive()
    }
}
