//! A process of another node as this one sees it: sent to, called, monitored.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

use super::exported::{Called, RemoteMessage};
use super::served::Watched;
use super::wire::{Body, Failure, GLOBAL, Wire};
use super::{Remote, RemoteError};
use crate::codec;
use crate::exit::ExitReason;
use crate::name::Name;
use crate::node::{NodeId, NodeName};
use crate::process::{Context, OnDrop, Outbox};

/// A process by the name that it is [exported](crate::cluster::Node::export) under on a node, this one or another, or that it has there in
/// the [whole cluster](crate::cluster::Global); Erlang's `{Name, Node}`.
///
/// It need not be there, nor the node: that is seen when it is used. A restarted node is reached as before.
///
/// Each of these limits tells telemetry when it is reached, as [`RemoteLimited`](crate::cluster::RemoteLimited):
///
/// | limit | of | default | beyond it |
/// |---|---|---|---|
/// | [`SESSION_MESSAGES_MAX`](super::SESSION_MESSAGES_MAX) | messages on their way to one node | 16,384 | `Full`; if it must be said (a `Down`, a reply), the connection is given up |
/// | [`SESSION_BYTES_MAX`](super::SESSION_BYTES_MAX) | bytes of them | 64 MiB | the same |
/// | [`EXPORTS_MAX`](super::EXPORTS_MAX) | processes of a node that others can reach | 65,536 | [`ExportError::Full`](super::ExportError::Full) |
/// | [`CALLS_SERVED_MAX`](super::CALLS_SERVED_MAX) | calls that a node serves at a time | 65,536 | `Full` to the caller |
/// | [`MONITORS_SERVED_MAX`](super::MONITORS_SERVED_MAX) | monitors of one other node | 262,144 | `NoConnection` to who monitors |
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

/// A call of ours that waits.
pub(super) struct Calling {
    node: NodeId,
    reply: oneshot::Sender<Result<Body, RemoteError>>,
}

/// A monitor of ours.
#[derive(Clone)]
pub(super) struct Monitoring {
    node: NodeId,
    outbox: Arc<Outbox<RemoteDown>>,
    down: RemoteDown,
}

impl Remote {
    pub(in super::super) fn reference(remote: &Arc<Self>, node: &NodeName, name: Name) -> RemoteRef {
        RemoteRef { remote: remote.clone(), node: node.clone(), name, space: Space::Exported }
    }

    /// The process that has the name of the cluster on that node.
    pub(in super::super) fn global(remote: &Arc<Self>, node: &NodeName, name: Name) -> RemoteRef {
        RemoteRef { remote: remote.clone(), node: node.clone(), name, space: Space::Global }
    }

    /// A node has answered a call of ours.
    pub(super) fn replied(&self, from: &NodeId, id: u64, result: Result<Body, Failure>) {
        let calling = self.calls.lock().remove(&id);
        if let Some(calling) = calling.filter(|calling| calling.node == *from) {
            let result = result.map_err(|failure| RemoteError::of(failure, Duration::ZERO));
            drop(calling.reply.send(result));
        }
    }

    /// The connection with a node is lost: what was asked there and has no answer has none any more.
    pub(super) fn fail(&self, node: &NodeId) {
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
    }

    /// Monitors a process of this node for one of it.
    fn watch_here(&self, id: u64, name: &str) -> Arc<Watched> {
        let watched = Watched::new(self.me.clone(), None, id);
        match self.find(name) {
            Some(export) => export.watch(watched.clone()),
            None => self.down(None, id, ExitReason::NoProc),
        }
        watched
    }

    /// A process that we monitor has ended.
    pub(super) fn down(&self, from: Option<&NodeId>, id: u64, reason: ExitReason) {
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

    fn is_own(&self, node: &NodeName) -> bool {
        self.board.id().name() == node
    }

    fn up(&self, node: &NodeName) -> Result<NodeId, RemoteError> {
        self.board.members.find(node).ok_or_else(|| RemoteError::NoConnection(node.clone()))
    }
}

impl Monitoring {
    fn tell(self, reason: ExitReason) {
        self.outbox.push(RemoteDown { reason, ..self.down });
        self.outbox.flush();
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
                watched.end();
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
