//! Processes of other nodes: sent to, called and monitored by name.
//!
//! What one node says to another goes through a [session](session): in order and without a gap, or else both know that the
//! connection is lost, as with Erlang's distribution. So a `Down` comes after what its process sent before, and a monitor is
//! never forgotten.

mod error;
mod exported;
mod session;
mod wire;

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::oneshot;

pub use error::{ExportError, RemoteError};
pub(super) use exported::Export;
use exported::{Answer, Called};
pub use exported::{Exported, RemoteMessage};
use session::{Action, Session};
pub use session::{SESSION_BYTES_MAX, SESSION_MESSAGES_MAX};
use wire::{Body, Failure, Reason, Wire};

use super::Dropped;
use super::channel::Channel;
use super::events::{NodeEvent, RemoteMessageUnfit};
use super::subscriptions::Delivery;
use super::switchboard::{Switchboard, Timed};
use crate::clock::{self, Instant};
use crate::codec;
use crate::engine::Lane;
use crate::exit::ExitReason;
use crate::name::Name;
use crate::node::{NodeId, NodeName};
use crate::pid::Pid;
use crate::process::{Context, ExitWatcher, Keeper, OnDrop, Outbox};
use crate::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use crate::sync::{Mutex, RwLock};
use crate::telemetry;

/// How many processes of a node other nodes can reach.
pub const EXPORTS_MAX: usize = 65_536;

/// How many calls of other nodes a node serves at a time; a further one fails with [`RemoteError::Full`].
pub const CALLS_SERVED_MAX: usize = 65_536;

/// How many monitors of one other node a node keeps; a further one is told [`NoConnection`](ExitReason::NoConnection) at once.
pub const MONITORS_SERVED_MAX: usize = 262_144;

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

struct Calling {
    node: NodeId,
    reply: oneshot::Sender<Result<Body, RemoteError>>,
}

#[derive(Clone)]
struct Monitoring {
    node: NodeId,
    outbox: Arc<Outbox<RemoteDown>>,
    down: RemoteDown,
}

/// A process of ours, or one that we monitor on our own node, as somebody's monitor sees it.
struct Watched {
    remote: Weak<Remote>,
    /// Whose it is; `None` if ours.
    node: Option<NodeId>,
    id: u64,
    is_done: Mutex<bool>,
}

/// A process by the name that it is [exported](super::Node::export) under on a node, this one or another, or that it has there in
/// the [whole cluster](super::Global); Erlang's `{Name, Node}`.
///
/// It need not be there, nor the node: that is seen when it is used. A restarted node is reached as before.
#[derive(Clone)]
pub struct RemoteRef {
    remote: Arc<Remote>,
    node: NodeName,
    name: Name,
    space: Space,
}

/// What a name is one of.
#[derive(Clone, Copy, Debug)]
enum Space {
    /// Those that a node exports.
    Exported,
    /// Those of the cluster.
    Global,
}

/// What stands in front of a name of the cluster on its way to another node.
const GLOBAL: char = '\0';

/// The end of a process that was monitored by name and node. Erlang's `{'DOWN', Ref, process, {Name, Node}, Reason}`.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct RemoteDown {
    /// The node.
    pub node: NodeName,
    /// The name.
    pub name: Name,
    /// Why the process ended; [`NoProc`](ExitReason::NoProc) if there was none of the name, and
    /// [`NoConnection`](ExitReason::NoConnection) if the node was not up, or was lost.
    pub reason: ExitReason,
}

/// A monitor of a process by name and node; it ends when this is dropped. What is in the mailbox by then stays there.
#[must_use = "dropping a monitor ends it"]
pub struct RemoteMonitor {
    _end: OnDrop,
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

    /// Says something to a node.
    fn say(&self, node: &NodeId, wire: &Wire) -> Result<(), RemoteError> {
        let bytes = codec::encode(wire).map_err(|error| RemoteError::Unwritable(error.to_string()))?;
        match self.step(node, |session, now, out| session.push(bytes.into(), now, out)) {
            Some((Ok(()), _)) => Ok(()),
            Some((Err(session::Full), _)) => Err(RemoteError::Full),
            None => Err(RemoteError::NoConnection(node.name().clone())),
        }
    }

    /// Says something that must not be left out: if there is no room for it, the connection is lost, as both sides will see.
    fn say_or_lose(&self, node: &NodeId, wire: &Wire) {
        if self.say(node, wire) != Err(RemoteError::Full) {
            return;
        }
        self.step(node, |session, now, out| *session = Session::begin(self.next(), now, out));
        self.lost(node);
    }

    /// The connection with a node is lost, and with it all that rests on it.
    fn lost(&self, node: &NodeId) {
        let calls: Vec<Calling> = {
            let mut calls = self.calls.lock();
            calls.extract_if(|_, calling| calling.node == *node).map(|(_, calling)| calling).collect()
        };
        for calling in calls {
            // Who does not wait any more does not care.
            drop(calling.reply.send(Err(RemoteError::NoConnection(node.name().clone()))));
        }
        let monitors: Vec<Monitoring> = {
            let mut monitors = self.monitors.lock();
            monitors.extract_if(|_, monitor| monitor.node == *node).map(|(_, monitor)| monitor).collect()
        };
        for monitor in monitors {
            monitor.tell(ExitReason::NoConnection);
        }
        let watched = self.watched.lock().remove(node);
        for watched in watched.into_iter().flat_map(HashMap::into_values) {
            *watched.is_done.lock() = true;
        }
    }

    // What other nodes say.

    fn said(&self, from: &NodeId, wire: Wire) {
        match wire {
            Wire::Send { name, body } => {
                if let Some(export) = self.find(&name)
                    && let Err(why) = export.send(&body.0)
                {
                    telemetry::emit(&RemoteMessageUnfit { from: from.clone(), pid: export.pid(), why });
                }
            }
            Wire::Call { id, name, timeout_ms, body } => {
                self.serve(from, id, &name, Duration::from_millis(timeout_ms), &body);
            }
            Wire::Reply { id, result } => {
                let calling = self.calls.lock().remove(&id);
                if let Some(calling) = calling.filter(|calling| calling.node == *from) {
                    let result = result.map_err(|failure| RemoteError::of(failure, Duration::ZERO));
                    drop(calling.reply.send(result));
                }
            }
            Wire::Monitor { id, name } => self.watch(from, id, &name),
            Wire::Demonitor { id } => {
                let watched = self.watched.lock().get_mut(from).and_then(|ids| ids.remove(&id));
                if let Some(watched) = watched {
                    *watched.is_done.lock() = true;
                }
            }
            Wire::Down { id, reason } => self.down(Some(from), id, reason.into()),
        }
    }

    /// The process of a name, as it travels.
    fn find(&self, name: &str) -> Option<Arc<dyn Export>> {
        match name.strip_prefix(GLOBAL) {
            Some(name) => self.globals.read().get(name).cloned(),
            None => self.exports.read().get(name).cloned(),
        }
    }

    fn serve(&self, from: &NodeId, id: u64, name: &str, time: Duration, body: &Body) {
        let reply = |result| self.say_or_lose(from, &Wire::Reply { id, result });
        let Some(export) = self.find(name) else { return reply(Err(Failure::NoProc)) };
        if self.served.fetch_add(1, Ordering::Relaxed) >= CALLS_SERVED_MAX {
            self.served.fetch_sub(1, Ordering::Relaxed);
            return reply(Err(Failure::Full));
        }
        let answer = match export.call(&body.0, time) {
            Called::Done(result) => {
                self.served.fetch_sub(1, Ordering::Relaxed);
                return reply(result);
            }
            Called::Waits(answer) => answer,
        };
        tokio::spawn(answered(self.me.clone(), answer, from.clone(), id));
    }

    fn watch(&self, from: &NodeId, id: u64, name: &str) {
        let watched = Arc::new(Watched {
            remote: self.me.clone(),
            node: Some(from.clone()),
            id,
            is_done: Mutex::new(false),
        });
        let export = self.find(name);
        let is_kept = export.is_some() && {
            let mut all = self.watched.lock();
            let ids = all.entry(from.clone()).or_default();
            let has_room = ids.len() < MONITORS_SERVED_MAX;
            if has_room {
                ids.insert(id, watched.clone());
            }
            has_room
        };
        match export {
            Some(export) if is_kept => export.watch(watched),
            Some(_) => self.say_or_lose(from, &Wire::Down { id, reason: Reason::NoConnection }),
            None => self.say_or_lose(from, &Wire::Down { id, reason: Reason::NoProc }),
        }
    }

    /// A process that we monitor has ended.
    fn down(&self, from: Option<&NodeId>, id: u64, reason: ExitReason) {
        let monitor = {
            let mut monitors = self.monitors.lock();
            match monitors.get(&id) {
                // Nobody else can tell.
                Some(monitor) if from.is_none_or(|from| *from == monitor.node) => monitors.remove(&id),
                Some(_) | None => None,
            }
        };
        if let Some(monitor) = monitor {
            monitor.tell(reason);
        }
    }

    // What is asked of this node.

    pub(super) fn export<M: Send + 'static>(
        &self,
        name: &str,
        exported: Exported<M>,
    ) -> Result<(), ExportError> {
        let name = Name::parse(name)?;
        let export: Arc<dyn Export> = Arc::new(exported);
        let keeper: Weak<dyn Keeper> = self.me.clone();
        let mut exports = self.exports.write();
        if let Some(holder) = exports.get(&name) {
            return Err(ExportError::Taken(holder.pid()));
        }
        if exports.len() >= EXPORTS_MAX {
            return Err(ExportError::Full);
        }
        // Its end forgets keepers first and then takes this lock: what is entered now it finds.
        if !export.at_exit(keeper) {
            return Err(ExportError::NoProc(export.pid()));
        }
        exports.insert(name, export);
        Ok(())
    }

    pub(super) fn unexport(&self, name: &str) -> bool {
        let removed = self.exports.write().remove(name);
        removed.is_some()
    }

    /// The process that this node exports under the name.
    pub(super) fn exported(&self, name: &Name) -> Option<Arc<dyn Export>> {
        self.exports.read().get(name).cloned()
    }

    pub(super) fn reference(remote: &Arc<Self>, node: &NodeName, name: Name) -> RemoteRef {
        RemoteRef { remote: remote.clone(), node: node.clone(), name, space: Space::Exported }
    }

    /// The process that has the name of the cluster on that node.
    pub(super) fn global(remote: &Arc<Self>, node: &NodeName, name: Name) -> RemoteRef {
        RemoteRef { remote: remote.clone(), node: node.clone(), name, space: Space::Global }
    }

    /// Has other nodes reach a process by a name of the cluster.
    pub(super) fn enter(&self, name: Name, export: Arc<dyn Export>) {
        let former = self.globals.write().insert(name, export);
        drop(former);
    }

    /// What had the name of the cluster here, for the caller to drop without a lock.
    pub(super) fn strike(&self, name: &Name) -> Option<Arc<dyn Export>> {
        self.globals.write().remove(name)
    }

    /// Monitors a process of this node for one of it.
    fn watch_here(&self, id: u64, name: &str) -> Arc<Watched> {
        let (remote, is_done) = (self.me.clone(), Mutex::new(false));
        let watched = Arc::new(Watched { remote, node: None, id, is_done });
        match self.find(name) {
            Some(export) => export.watch(watched.clone()),
            None => self.down(None, id, ExitReason::NoProc),
        }
        watched
    }

    fn is_own(&self, node: &NodeName) -> bool {
        self.board.id().name() == node
    }

    fn up(&self, node: &NodeName) -> Result<NodeId, RemoteError> {
        self.board.members.find(node).ok_or_else(|| RemoteError::NoConnection(node.clone()))
    }
}

/// Waits for the answer to a call of another node, and says it.
async fn answered(remote: Weak<Remote>, answer: Answer, node: NodeId, id: u64) {
    let served = Served(remote.clone());
    let result = answer.await;
    drop(served);
    if let Some(remote) = remote.upgrade() {
        remote.say_or_lose(&node, &Wire::Reply { id, result });
    }
}

/// One call that is being served.
struct Served(Weak<Remote>);

impl Drop for Served {
    fn drop(&mut self) {
        if let Some(remote) = self.0.upgrade() {
            remote.served.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl Monitoring {
    fn tell(self, reason: ExitReason) {
        self.outbox.push(RemoteDown { reason, ..self.down });
        self.outbox.flush();
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

impl Keeper for Remote {
    fn let_go(&self, pid: Pid) {
        let gone: Vec<_> = self.exports.write().extract_if(|_, export| export.pid() == pid).collect();
        drop(gone);
    }
}

impl ExitWatcher for Watched {
    fn exited(&self, reason: &ExitReason) {
        if std::mem::replace(&mut *self.is_done.lock(), true) {
            return;
        }
        let Some(remote) = self.remote.upgrade() else { return };
        match &self.node {
            None => remote.down(None, self.id, reason.clone()),
            Some(node) => {
                if let Some(ids) = remote.watched.lock().get_mut(node) {
                    ids.remove(&self.id);
                }
                remote.say_or_lose(node, &Wire::Down { id: self.id, reason: reason.into() });
            }
        }
    }

    fn forgiven(&self) {}

    fn is_done(&self) -> bool {
        *self.is_done.lock()
    }
}

impl RemoteRef {
    /// The name of its node.
    pub fn node(&self) -> &NodeName {
        &self.node
    }

    /// Its name there.
    pub fn name(&self) -> &Name {
        &self.name
    }

    /// Its name as it travels.
    fn wire_name(&self) -> Cow<'_, str> {
        match self.space {
            Space::Exported => self.name.as_str().into(),
            Space::Global => format!("{GLOBAL}{}", self.name).into(),
        }
    }

    /// Sends it a message; it never waits. Messages from one process to another arrive in order. If no process of the name is there, or it takes no
    /// such message, it is dropped, as in Erlang.
    ///
    /// # Errors
    /// [`RemoteError::NoConnection`] if the node is not up, `Full` if more is on its way to the node than may be, and `Unwritable`.
    pub fn send<W: RemoteMessage>(&self, message: &W) -> Result<(), RemoteError> {
        let body = write(message)?;
        if self.remote.is_own(&self.node) {
            return match self.remote.find(&self.wire_name()) {
                Some(export) => export.send(&body.0).map_err(RemoteError::Unfit),
                None => Ok(()),
            };
        }
        let name = self.wire_name().into_owned();
        self.remote.say(&self.remote.up(&self.node)?, &Wire::Send { name, body })
    }

    /// Calls it and waits for the reply; OTP's `gen_server:call({Name, Node}, ..)`. If the callee ends or its node is lost meanwhile, the
    /// call fails at once.
    ///
    /// # Errors
    /// [`RemoteError`] says why there is no reply.
    ///
    /// # Cancel safety
    /// Dropping the future drops the reply; the callee still handles the message.
    pub async fn call<Q: RemoteMessage, R: RemoteMessage>(
        &self,
        request: &Q,
        time: Duration,
    ) -> Result<R, RemoteError> {
        let body = write(request)?;
        let body = if self.remote.is_own(&self.node) {
            self.call_here(&body, time).await
        } else {
            self.call_there(body, time).await
        };
        codec::decode(&body?.0).map_err(|error| RemoteError::Unfit(error.to_string()))
    }

    async fn call_here(&self, body: &Body, time: Duration) -> Result<Body, RemoteError> {
        let export = self.remote.find(&self.wire_name()).ok_or(RemoteError::NoProc)?;
        let result = match export.call(&body.0, time) {
            Called::Done(result) => result,
            Called::Waits(answer) => answer.await,
        };
        result.map_err(|failure| RemoteError::of(failure, time))
    }

    async fn call_there(&self, body: Body, time: Duration) -> Result<Body, RemoteError> {
        let (remote, node) = (&self.remote, self.remote.up(&self.node)?);
        let (id, (reply, replied)) = (remote.next(), oneshot::channel());
        remote.calls.lock().insert(id, Calling { node: node.clone(), reply });
        let over = remote.clone();
        let _over = OnDrop::new(move || drop(over.calls.lock().remove(&id)));
        let timeout_ms = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let name = self.wire_name().into_owned();
        remote.say(&node, &Wire::Call { id, name, timeout_ms, body })?;
        match tokio::time::timeout(time, replied).await {
            Ok(Ok(Err(RemoteError::Timeout(_)))) | Err(_) => Err(RemoteError::Timeout(time)),
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(RemoteError::NoConnection(self.node.clone())),
        }
    }

    /// Tells this process when the process of the name has ended, once, with `wrap` to make a message of it; at once if there is none, or
    /// the node is not up. Erlang's `monitor(process, {Name, Node})`.
    ///
    /// The process that has the name when the monitor arrives is monitored, and none that takes the name later. All that it sent to this
    /// node before arrives before.
    pub fn monitor<M: Send + 'static>(
        &self,
        ctx: &Context<M>,
        wrap: impl Fn(RemoteDown) -> M + Send + Sync + 'static,
    ) -> RemoteMonitor {
        let remote = &self.remote;
        let id = remote.next();
        let outbox = Arc::new(Outbox::new(ctx.addr(), wrap, |outbox| {
            outbox.renewed();
            None
        }));
        let down =
            RemoteDown { node: self.node.clone(), name: self.name.clone(), reason: ExitReason::NoProc };
        let is_own = remote.is_own(&self.node);
        let node = if is_own { Ok(remote.board.id().clone()) } else { remote.up(&self.node) };
        let Ok(node) = node else {
            Monitoring { node: remote.board.id().clone(), outbox, down }.tell(ExitReason::NoConnection);
            return RemoteMonitor { _end: OnDrop::new(|| {}) };
        };
        let monitor = Monitoring { node: node.clone(), outbox: outbox.clone(), down };
        remote.monitors.lock().insert(id, monitor);
        let watched = is_own.then(|| remote.watch_here(id, &self.wire_name()));
        if !is_own {
            let name = self.wire_name().into_owned();
            if remote.say(&node, &Wire::Monitor { id, name }).is_err() {
                remote.down(None, id, ExitReason::NoConnection);
            }
        }
        let weak = Arc::downgrade(remote);
        let end = move || {
            outbox.end();
            if let Some(watched) = watched {
                *watched.is_done.lock() = true;
            }
            let Some(remote) = weak.upgrade() else { return };
            let was_on = remote.monitors.lock().remove(&id).is_some();
            if was_on && !is_own {
                remote.say_or_lose(&node, &Wire::Demonitor { id });
            }
        };
        RemoteMonitor { _end: OnDrop::new(end) }
    }
}

fn write<T: RemoteMessage>(value: &T) -> Result<Body, RemoteError> {
    codec::encode(value).map(Body).map_err(|error| RemoteError::Unwritable(error.to_string()))
}

impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Remote").finish_non_exhaustive()
    }
}

impl fmt::Debug for RemoteRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RemoteRef({} on {})", self.name, self.node)
    }
}

impl fmt::Debug for RemoteMonitor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteMonitor").finish_non_exhaustive()
    }
}
