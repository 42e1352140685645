//! What this node is to others: processes that they reach by name, call and monitor.

use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use super::exported::{Answer, Called, Export, Exported};
use super::wire::{Body, Failure, GLOBAL, Reason, Wire};
use super::{ExportError, Remote};
use crate::cluster::events::{RemoteLimit, RemoteMessageUnfit};
use crate::exit::ExitReason;
use crate::name::Name;
use crate::node::NodeId;
use crate::pid::Pid;
use crate::process::{ExitWatcher, Keeper};
use crate::sync::Mutex;
use crate::sync::atomic::Ordering;
use crate::telemetry;

/// How many processes of a node other nodes can reach.
pub const EXPORTS_MAX: usize = 65_536;

/// How many calls of other nodes a node serves at a time; a further one fails with [`RemoteError::Full`](super::RemoteError::Full).
pub const CALLS_SERVED_MAX: usize = 65_536;

/// How many monitors of one other node a node keeps; a further one is told [`NoConnection`](ExitReason::NoConnection) at once.
pub const MONITORS_SERVED_MAX: usize = 262_144;

/// A process of ours, or one that we monitor on our own node, as somebody's monitor sees it.
pub(super) struct Watched {
    remote: Weak<Remote>,
    /// Whose it is; `None` if ours.
    node: Option<NodeId>,
    id: u64,
    is_done: Mutex<bool>,
}

impl Watched {
    pub(super) fn new(remote: Weak<Remote>, node: Option<NodeId>, id: u64) -> Arc<Self> {
        Arc::new(Self { remote, node, id, is_done: Mutex::new(false) })
    }

    /// Nobody is to be told any more.
    pub(super) fn end(&self) {
        *self.is_done.lock() = true;
    }
}

impl Remote {
    // What is asked of this node.

    pub(in super::super) fn export<M: Send + 'static>(
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
            self.board.limited(RemoteLimit::Exports);
            return Err(ExportError::Full);
        }
        // Its end forgets keepers first and then takes this lock: what is entered now it finds.
        if !export.at_exit(keeper) {
            return Err(ExportError::NoProc(export.pid()));
        }
        exports.insert(name, export);
        Ok(())
    }

    pub(in super::super) fn unexport(&self, name: &str) -> bool {
        let removed = self.exports.write().remove(name);
        removed.is_some()
    }

    /// The process that this node exports under the name.
    pub(in super::super) fn exported(&self, name: &Name) -> Option<Arc<dyn Export>> {
        self.exports.read().get(name).cloned()
    }

    /// Has other nodes reach a process by a name of the cluster.
    pub(in super::super) fn enter(&self, name: Name, export: Arc<dyn Export>) {
        let former = self.globals.write().insert(name, export);
        drop(former);
    }

    /// What had the name of the cluster here, for the caller to drop without a lock.
    pub(in super::super) fn strike(&self, name: &Name) -> Option<Arc<dyn Export>> {
        self.globals.write().remove(name)
    }

    /// The connection with a node is lost, and with it its monitors.
    pub(super) fn unwatch(&self, node: &NodeId) {
        let watched = self.watched.lock().remove(node);
        for watched in watched.into_iter().flat_map(HashMap::into_values) {
            watched.end();
        }
    }

    // What other nodes say.

    pub(super) fn said(&self, from: &NodeId, wire: Wire) {
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
            Wire::Reply { id, result } => self.replied(from, id, result),
            Wire::Monitor { id, name } => self.watch(from, id, &name),
            Wire::Demonitor { id } => {
                let watched = self.watched.lock().get_mut(from).and_then(|ids| ids.remove(&id));
                if let Some(watched) = watched {
                    watched.end();
                }
            }
            Wire::Down { id, reason } => self.down(Some(from), id, reason.into()),
        }
    }

    /// The process of a name, as it travels.
    pub(super) fn find(&self, name: &str) -> Option<Arc<dyn Export>> {
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
            self.board.limited(RemoteLimit::Calls);
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
        let watched = Watched::new(self.me.clone(), Some(from.clone()), id);
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
            Some(_) => {
                self.board.limited(RemoteLimit::Monitors);
                self.say_or_lose(from, &Wire::Down { id, reason: Reason::NoConnection });
            }
            None => self.say_or_lose(from, &Wire::Down { id, reason: Reason::NoProc }),
        }
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
