//! Processes of other nodes: sent to, called and monitored by name.
//!
//! What one node says to another goes through a [session](session): in order and without a gap, or else both know that the
//! connection is lost, as with Erlang's distribution. So a `Down` comes after what its process sent before, and a monitor is
//! never forgotten.

mod error;
mod exported;
mod reference;
mod served;
mod session;
mod wire;

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Weak};

use bytes::Bytes;

pub use error::{ExportError, RemoteError};
pub(super) use exported::Export;
pub use exported::{Exported, RemoteMessage};
use reference::{Calling, Monitoring};
pub use reference::{RemoteDown, RemoteMonitor, RemoteRef};
use served::Watched;
pub use served::{CALLS_SERVED_MAX, EXPORTS_MAX, MONITORS_SERVED_MAX};
use session::{Action, Session};
pub use session::{SESSION_BYTES_MAX, SESSION_MESSAGES_MAX};
use wire::Wire;

use super::Dropped;
use super::channel::Channel;
use super::events::{NodeEvent, RemoteLimit};
use super::subscriptions::Delivery;
use super::switchboard::{Switchboard, Timed};
use crate::clock::{self, Instant};
use crate::codec;
use crate::engine::Lane;
use crate::name::Name;
use crate::node::NodeId;
use crate::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use crate::sync::{Mutex, RwLock};

/// The remote half of a node.
pub(super) struct Remote {
    board: Arc<Switchboard>,
    me: Weak<Self>,
    /// The number of the last session, call or monitor.
    last: AtomicU64,
    sessions: RwLock<HashMap<NodeId, Arc<Mutex<Session>>>>,
    exports: RwLock<HashMap<Name, Arc<dyn Export>>>,
    /// The processes of this node that have names of the cluster.
    globals: RwLock<HashMap<Name, Arc<dyn Export>>>,
    /// Our calls that wait.
    calls: Mutex<HashMap<u64, Calling>>,
    /// Our monitors.
    monitors: Mutex<HashMap<u64, Monitoring>>,
    /// Their monitors of our processes.
    watched: Mutex<HashMap<NodeId, HashMap<u64, Arc<Watched>>>>,
    served: AtomicUsize,
}

impl Remote {
    pub(super) fn new(board: Arc<Switchboard>) -> Arc<Self> {
        let remote = Arc::new_cyclic(|me: &Weak<Self>| Self {
            board,
            me: me.clone(),
            last: AtomicU64::new(0),
            sessions: RwLock::default(),
            exports: RwLock::default(),
            globals: RwLock::default(),
            calls: Mutex::default(),
            monitors: Mutex::default(),
            watched: Mutex::default(),
            served: AtomicUsize::new(0),
        });
        let weak = Arc::downgrade(&remote);
        remote.board.members.watch(Arc::new(move |event| {
            if let Some(remote) = weak.upgrade() {
                remote.node_event(event);
            }
        }));
        let weak = Arc::downgrade(&remote);
        let receive = move |delivery| {
            if let (Some(remote), Delivery::Payload { from, payload }) = (weak.upgrade(), delivery) {
                remote.packet(&from, &payload);
            }
        };
        remote.board.subscribe(Channel::remote(), Arc::new(receive));
        let timed: Weak<dyn Timed> = remote.me.clone();
        remote.board.add_timed(timed);
        remote
    }

    fn next(&self) -> u64 {
        self.last.fetch_add(1, Ordering::Relaxed) + 1
    }

    // The session with each node.

    fn node_event(&self, event: NodeEvent) {
        match event {
            NodeEvent::Up(node) => {
                let mut actions = Vec::new();
                let session = Session::begin(self.next(), clock::now(), &mut actions);
                self.sessions.write().insert(node.clone(), Arc::new(Mutex::new(session)));
                self.send_packets(&node, &mut actions);
                self.board.wake();
            }
            NodeEvent::Down(node) => {
                self.sessions.write().remove(&node);
                self.lost(&node);
            }
            NodeEvent::Suspect(_)
            | NodeEvent::Recovered(_)
            | NodeEvent::PermDown(_)
            | NodeEvent::EngineUp(_)
            | NodeEvent::EngineDown(_) => {}
        }
    }

    fn session(&self, node: &NodeId) -> Option<Arc<Mutex<Session>>> {
        self.sessions.read().get(node).cloned()
    }

    /// Does something to a session. Packets leave under its lock, in the order of their numbers; what arrived and what was lost
    /// is returned.
    fn step<R>(
        &self,
        node: &NodeId,
        step: impl FnOnce(&mut Session, Instant, &mut Vec<Action>) -> R,
    ) -> Option<(R, Vec<Action>)> {
        let session = self.session(node)?;
        let mut actions = Vec::new();
        let (result, is_sooner) = {
            let mut session = session.lock();
            let before = session.deadline();
            let result = step(&mut session, clock::now(), &mut actions);
            self.send_packets(node, &mut actions);
            let after = session.deadline();
            (result, after.is_some_and(|after| before.is_none_or(|before| after < before)))
        };
        if is_sooner {
            self.board.wake();
        }
        Some((result, actions))
    }

    fn send_packets(&self, node: &NodeId, actions: &mut Vec<Action>) {
        actions.retain(|action| match action {
            Action::Send(packet) => {
                // What the engine does not take is sent again.
                drop(self.board.send(node, Lane::Data, Channel::remote(), packet.clone()));
                false
            }
            Action::Deliver(_) | Action::Lost => true,
        });
    }

    fn packet(&self, from: &NodeId, packet: &Bytes) {
        let stepped = self.step(from, |session, now, out| session.receive(packet, now, out));
        for action in stepped.map(|(_, actions)| actions).into_iter().flatten() {
            match action {
                Action::Deliver(body) => match codec::decode(&body) {
                    Ok(wire) => self.said(from, wire),
                    Err(_) => self.board.dropped(Dropped::Malformed),
                },
                Action::Lost => self.lost(from),
                Action::Send(_) => unreachable!("invariant: packets were sent"),
            }
        }
    }

    /// Says something to a node; it never waits.
    fn say(&self, node: &NodeId, wire: &Wire) -> Result<(), RemoteError> {
        let said = self.try_say(node, wire);
        if said == Err(RemoteError::Full) {
            self.board.limited(RemoteLimit::Session);
        }
        said
    }

    fn try_say(&self, node: &NodeId, wire: &Wire) -> Result<(), RemoteError> {
        let bytes = codec::encode(wire).map_err(|error| RemoteError::Unwritable(error.to_string()))?;
        match self.step(node, |session, now, out| session.push(bytes.into(), now, out)) {
            Some((Ok(()), _)) => Ok(()),
            Some((Err(session::Full), _)) => Err(RemoteError::Full),
            None => Err(RemoteError::NoConnection(node.name().clone())),
        }
    }

    /// Says something that must not be left out: if there is no room for it, the connection is lost, as both sides will see.
    fn say_or_lose(&self, node: &NodeId, wire: &Wire) {
        if self.try_say(node, wire) != Err(RemoteError::Full) {
            return;
        }
        self.board.limited(RemoteLimit::Connection);
        self.step(node, |session, now, out| *session = Session::begin(self.next(), now, out));
        self.lost(node);
    }

    /// The connection with a node is lost, and with it all that rests on it.
    fn lost(&self, node: &NodeId) {
        self.fail(node);
        self.unwatch(node);
    }
}

impl Timed for Remote {
    fn tick(&self, now: Instant) {
        let due: Vec<NodeId> = {
            let sessions = self.sessions.read();
            let is_due = |session: &Mutex<Session>| session.lock().deadline().is_some_and(|at| at <= now);
            sessions.iter().filter(|(_, session)| is_due(session)).map(|(node, _)| node.clone()).collect()
        };
        for node in due {
            self.step(&node, |session, now, out| session.tick(now, out));
        }
    }

    fn deadline(&self) -> Option<Instant> {
        self.sessions.read().values().filter_map(|session| session.lock().deadline()).min()
    }
}

impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Remote").finish_non_exhaustive()
    }
}
