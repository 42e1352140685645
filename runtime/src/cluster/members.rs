//! Who is up, and who is told of it: the pure membership behind a lock, and its changes told in order by one thread at a time.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::Arc;

use super::events::{NodeDown, NodeEvent, NodeUp};
use super::membership::Membership;
use crate::node::{NodeId, NodeName};
use crate::sync::Mutex;
use crate::telemetry;
use crate::unwind::{drop_quietly, quietly};

/// Takes the events of nodes. It must not wait.
pub(super) type Watcher = Arc<dyn Fn(NodeEvent) + Send + Sync>;

pub(super) struct Members {
    state: Mutex<State>,
}

struct State {
    core: Membership,
    /// Changes that were not told yet.
    untold: VecDeque<NodeEvent>,
    /// Whether a thread is telling.
    is_taken: bool,
    /// Who is up, as far as it was told.
    up: BTreeMap<NodeName, NodeId>,
    watchers: Vec<(u64, Watcher)>,
    next_id: u64,
}

impl Members {
    pub(super) fn new(core: Membership) -> Self {
        let state = State {
            core,
            untold: VecDeque::new(),
            is_taken: false,
            up: BTreeMap::new(),
            watchers: Vec::new(),
            next_id: 0,
        };
        Self { state: Mutex::new(state) }
    }

    /// Does something to the membership; its changes are told by the next [`tell`](Self::tell).
    pub(super) fn step<R>(&self, step: impl FnOnce(&mut Membership) -> R) -> R {
        let mut state = self.state.lock();
        let result = step(&mut state.core);
        let changes = state.core.take_changes();
        state.untold.extend(changes);
        result
    }

    /// Adds something to be told after all that has changed so far.
    pub(super) fn push(&self, event: NodeEvent) {
        self.state.lock().untold.push_back(event);
    }

    /// Tells what has changed, unless another thread is at it. `settle` is called around each event, before the watchers
    /// (false) and after them (true).
    pub(super) fn tell(&self, settle: impl Fn(&NodeEvent, bool)) {
        loop {
            let (event, watchers) = {
                let mut state = self.state.lock();
                if state.is_taken {
                    return;
                }
                let Some(event) = state.untold.pop_front() else { return };
                state.is_taken = true;
                match &event {
                    NodeEvent::Up(id) => drop(state.up.insert(id.name().clone(), id.clone())),
                    NodeEvent::Down(id) => drop(state.up.remove(id.name())),
                    NodeEvent::Suspect(_)
                    | NodeEvent::Recovered(_)
                    | NodeEvent::PermDown(_)
                    | NodeEvent::EngineUp(_)
                    | NodeEvent::EngineDown(_) => {}
                }
                (event, state.watchers.clone())
            };
            settle(&event, false);
            match &event {
                NodeEvent::Up(node) => telemetry::emit(&NodeUp { node: node.clone() }),
                NodeEvent::Down(node) => telemetry::emit(&NodeDown { node: node.clone() }),
                NodeEvent::Suspect(_)
                | NodeEvent::Recovered(_)
                | NodeEvent::PermDown(_)
                | NodeEvent::EngineUp(_)
                | NodeEvent::EngineDown(_) => {}
            }
            for (_, watcher) in &watchers {
                quietly(|| watcher(event.clone()));
            }
            drop_quietly(watchers);
            settle(&event, true);
            self.state.lock().is_taken = false;
        }
    }

    /// Adds a watcher; its number, and who is up at that moment.
    pub(super) fn watch(&self, watcher: Watcher) -> (u64, Vec<NodeId>) {
        let mut state = self.state.lock();
        let id = state.next_id;
        state.next_id += 1;
        state.watchers.push((id, watcher));
        (id, state.up.values().cloned().collect())
    }

    pub(super) fn unwatch(&self, id: u64) {
        let removed = {
            let mut state = self.state.lock();
            let at = state.watchers.iter().position(|(other, _)| *other == id);
            at.map(|at| state.watchers.remove(at))
        };
        drop(removed);
    }

    pub(super) fn up(&self) -> Vec<NodeId> {
        self.state.lock().up.values().cloned().collect()
    }

    /// As [`up`](Self::up), with something done at the same moment.
    pub(super) fn up_with(&self, then: impl FnOnce()) -> Vec<NodeId> {
        let state = self.state.lock();
        then();
        state.up.values().cloned().collect()
    }

    pub(super) fn is_up(&self, id: &NodeId) -> bool {
        self.state.lock().up.get(id.name()) == Some(id)
    }

    pub(super) fn find(&self, name: &NodeName) -> Option<NodeId> {
        self.state.lock().up.get(name).cloned()
    }
}

impl fmt::Debug for Members {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Members").finish_non_exhaustive()
    }
}
