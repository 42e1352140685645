//! Names that are unique in the whole cluster. Erlang's `global`.
//!
//! A name is its owner's, the node that registered a process of its own under it, and all other nodes are told. It is gone when the process
//! has ended or its node is down. Nobody is asked before a name is registered, so nothing waits: if two nodes register one before they have
//! heard of each other, or on two sides of a partition, the earlier claim wins on all nodes, and the loser's process is told.
//! What "earlier" is without a wall clock, [`names`] says.

mod names;

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::{Arc, Weak};

pub use names::GLOBAL_NAMES_MAX;
use names::{Action, Names, Refused, Said};

use super::channel::Channel;
use super::events::{ClusterOverrun, Dropped, NameConflict, NodeEvent};
use super::remote::{Export, Exported, Remote, RemoteRef};
use super::subscriptions::Delivery;
use super::switchboard::{Switchboard, Timed};
use crate::clock::{self, Instant};
use crate::codec;
use crate::engine::Lane;
use crate::exit::ExitReason;
use crate::name::{Name, NameError};
use crate::node::NodeId;
use crate::pid::Pid;
use crate::process::{self, Addr, Keeper, Outbox};
use crate::sync::Mutex;
use crate::telemetry;

/// The names of a cluster, as one node sees them; cheap to clone. Of [`Node::global`](super::Node::global).
///
/// A node sees what it registers at once, and others a moment later. Names are unique but for that moment and for partitions:
///
/// - The claim that was made first wins; of two that were made at the very same time that of the node whose name is smaller. All nodes decide
///   alike, since all compare the same stamps, of a time that no wall clock has to do with. Between nodes that have not met
///   yet, claims that are further apart than the way of a packet are told apart.
/// - The node that loses takes the name back at once, and its process gets an exit signal, or a message if it was registered
///   [with one](Self::register_notify).
///
/// ```
/// # use std::sync::Arc;
/// # use heronry::engine::{Local, LocalHub};
/// # use heronry::node::{Incarnation, NodeId, NodeName};
/// use heronry::cluster::{Exported, GlobalError, Node, NodeOptions};
/// use heronry::prelude::*;
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let hub = LocalHub::new();
/// # let engine = |name| Arc::new(Local::new(NodeId::new(NodeName::parse(name).unwrap(), Incarnation::new(1)), &hub));
/// # let (a, b) = (Node::start(engine("a"), &NodeOptions::new()).await?, Node::start(engine("b"), &NodeOptions::new()).await?);
/// let leader = spawn(|mut ctx: Context<String>| async move { drop(ctx.receive().await) });
/// a.global().register("leader", Exported::new(&leader).casts(|order: String| order))?;
///
/// // On any other node, a moment later:
/// # let mut found = None;
/// # while found.is_none() { tokio::task::yield_now().await; found = b.global().whereis("leader"); }
/// let found = b.global().whereis("leader").expect("it is registered");
/// assert_eq!(found.node(), a.id().name());
/// let other = spawn(|_: Context<()>| std::future::pending::<()>());
/// let taken = b.global().register("leader", Exported::new(&other));
/// assert_eq!(taken, Err(GlobalError::Taken(a.id().clone())));
///
/// found.send(&"stand down".to_owned())?;
/// assert_eq!(leader.wait().await, ExitReason::Normal);
/// assert!(a.global().whereis("leader").is_none());
/// # heronry::process::kill(other.pid());
/// # a.stop().await; b.stop().await;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Global {
    registrar: Arc<Registrar>,
}

/// A name of the cluster that a process has lost: another node had claimed it earlier, unknown to this one. What
/// [`Global::register_notify`] tells; Erlang's `{global_name_conflict, Name}`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct NameLost {
    /// The name.
    pub name: Name,
    /// Whose it is.
    pub winner: NodeId,
}

/// A name that was not registered. Nothing changed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum GlobalError {
    /// The text can't be a name.
    Name(NameError),
    /// A process of this node, perhaps of our own, has the name.
    Taken(NodeId),
    /// The process has ended, or is about to by an exit signal.
    NoProc(Pid),
    /// This node owns as many names as it may: [`GLOBAL_NAMES_MAX`].
    Full,
}

struct Registrar {
    board: Arc<Switchboard>,
    remote: Arc<Remote>,
    me: Weak<Self>,
    state: Mutex<State>,
}

struct State {
    names: Names,
    /// Our processes that have names.
    holders: HashMap<Name, Holder>,
    of_process: HashMap<Pid, HashSet<Name>>,
}

struct Holder {
    pid: Pid,
    /// Tells the process that it has lost its name.
    lost: Arc<dyn Fn(NameLost) + Send + Sync>,
}

/// What comes of a step, to be done and dropped without a lock.
#[derive(Default)]
struct Outcome {
    actions: Vec<Action>,
    lost: Vec<(Holder, NameLost)>,
    gone: Vec<Option<Arc<dyn Export>>>,
}

impl Global {
    pub(super) fn new(board: Arc<Switchboard>, remote: Arc<Remote>) -> Self {
        let registrar = Arc::new_cyclic(|me: &Weak<Registrar>| {
            let names = Names::new(board.id().clone(), clock::now());
            let state = State { names, holders: HashMap::new(), of_process: HashMap::new() };
            Registrar { board, remote, me: me.clone(), state: Mutex::new(state) }
        });
        let board = &registrar.board;
        let weak = registrar.me.clone();
        board.members.watch(Arc::new(move |event| {
            if let Some(registrar) = weak.upgrade() {
                registrar.node_event(&event);
            }
        }));
        let weak = registrar.me.clone();
        let receive = move |delivery| {
            if let (Some(registrar), Delivery::Payload { from, payload }) = (weak.upgrade(), delivery) {
                registrar.said(&from, &payload);
            }
        };
        board.subscribe(Channel::global(), Arc::new(receive));
        let timed: Weak<dyn Timed> = registrar.me.clone();
        board.add_timed(timed);
        Self { registrar }
    }

    /// Registers a process of this node under a name in the whole cluster, until it ends. Should another node have claimed the name earlier, the
    /// process gets an exit signal, which it can [trap](process::Context::trap_exit): its work is the other's. Erlang's
    /// `global:register_name/2`, whose default ends one of the two, too.
    ///
    /// # Errors
    /// [`GlobalError`] if the name is known to be taken or can't be one, or the process has ended.
    pub fn register<M: Send + 'static>(&self, name: &str, exported: Exported<M>) -> Result<(), GlobalError> {
        let pid = exported.pid();
        let lost = move |lost: NameLost| {
            process::exit(pid, ExitReason::custom(lost.to_string()));
        };
        self.registrar.register(name, exported, Arc::new(lost))
    }

    /// As [`register`](Self::register); but who loses the name is told by a message, which `wrap` makes, and goes on without it. Erlang's
    /// `global:random_notify_name/3`.
    ///
    /// `wrap` runs on the engine's task and must not wait. If the mailbox is full, the message waits for room in it.
    ///
    /// # Errors
    /// As of [`register`](Self::register).
    pub fn register_notify<M: Send + 'static>(
        &self,
        name: &str,
        exported: Exported<M>,
        wrap: impl Fn(NameLost) -> M + Send + Sync + 'static,
    ) -> Result<(), GlobalError> {
        let addr: Addr<M> = exported.addr().clone();
        let outbox = Arc::new(Outbox::new(addr, wrap, |outbox| {
            outbox.renewed();
            None
        }));
        let lost = move |lost| {
            outbox.push(lost);
            outbox.flush();
        };
        self.registrar.register(name, exported, Arc::new(lost))
    }

    /// Takes a name from its process; whether a process of this node had it. Erlang's `global:unregister_name/1`, of the owner alone.
    pub fn unregister(&self, name: &str) -> bool {
        let Ok(name) = Name::parse(name) else { return false };
        let holder = self.registrar.step(|state, remote, now, outcome| {
            state.names.withdraw(&name, now, &mut outcome.actions);
            state.strike(&name, remote, outcome)
        });
        holder.is_some()
    }

    /// The process of the name, on whichever node. Erlang's `global:whereis_name/1`.
    ///
    /// What is returned goes on to mean that node: who keeps it sees [`NoProc`](super::RemoteError::NoProc) when the name is another
    /// node's by then.
    pub fn whereis(&self, name: &str) -> Option<RemoteRef> {
        let name = Name::parse(name).ok()?;
        let node = self.registrar.state.lock().names.whereis(&name)?.name().clone();
        Some(Remote::global(&self.registrar.remote, &node, name))
    }

    /// All names that are registered, in no particular order. Erlang's `global:registered_names/0`.
    pub fn registered(&self) -> Vec<Name> {
        self.registrar.state.lock().names.all()
    }
}

impl Registrar {
    /// Does something to the names, and then what comes of it.
    fn step<R>(&self, step: impl FnOnce(&mut State, &Remote, Instant, &mut Outcome) -> R) -> R {
        let mut outcome = Outcome::default();
        let (result, is_sooner) = {
            let mut state = self.state.lock();
            let before = state.names.deadline();
            let result = step(&mut state, &self.remote, clock::now(), &mut outcome);
            state.settle(&self.remote, &mut outcome);
            let after = state.names.deadline();
            (result, after.is_some_and(|after| before.is_none_or(|before| after < before)))
        };
        for action in outcome.actions {
            match action {
                Action::Send(to, said) => {
                    let bytes = codec::encode(&said).expect("invariant: a batch of names is small");
                    // What the engine does not take is sent again.
                    drop(self.board.send(&to, Lane::Data, Channel::global(), bytes.into()));
                }
                Action::Overrun(node) => telemetry::emit(&ClusterOverrun { node }),
                Action::Lost(..) => unreachable!("invariant: what is lost was settled"),
            }
        }
        for (holder, lost) in outcome.lost {
            let (name, winner) = (lost.name.clone(), lost.winner.clone());
            telemetry::emit(&NameConflict { name, loser: holder.pid, winner });
            (holder.lost)(lost);
        }
        if is_sooner {
            self.board.wake();
        }
        result
    }

    fn node_event(&self, event: &NodeEvent) {
        match event {
            NodeEvent::Up(node) => {
                self.step(|state, _, now, outcome| state.names.up(node, now, &mut outcome.actions));
            }
            NodeEvent::Down(node) => {
                self.step(|state, _, now, outcome| state.names.down(node, now, &mut outcome.actions));
            }
            NodeEvent::Suspect(_)
            | NodeEvent::Recovered(_)
            | NodeEvent::PermDown(_)
            | NodeEvent::EngineUp(_)
            | NodeEvent::EngineDown(_) => {}
        }
    }

    fn said(&self, from: &NodeId, payload: &[u8]) {
        let is_taken = codec::decode::<Said>(payload).is_ok_and(|said| {
            self.step(|state, _, now, outcome| state.names.receive(from, said, now, &mut outcome.actions))
        });
        if !is_taken {
            self.board.dropped(Dropped::Malformed);
        }
    }

    fn register<M: Send + 'static>(
        &self,
        name: &str,
        exported: Exported<M>,
        lost: Arc<dyn Fn(NameLost) + Send + Sync>,
    ) -> Result<(), GlobalError> {
        let name = Name::parse(name)?;
        let export: Arc<dyn Export> = Arc::new(exported);
        let pid = export.pid();
        let keeper: Weak<dyn Keeper> = self.me.clone();
        self.step(|state, remote, now, outcome| {
            // Its end forgets keepers first and then takes the lock that is held: what is entered now it finds.
            if !export.at_exit(keeper) {
                return Err(GlobalError::NoProc(pid));
            }
            state.names.claim(&name, now, &mut outcome.actions)?;
            state.holders.insert(name.clone(), Holder { pid, lost: lost.clone() });
            state.of_process.entry(pid).or_default().insert(name.clone());
            remote.enter(name, export.clone());
            Ok(())
        })
    }
}

impl State {
    /// Takes back the names that were lost.
    fn settle(&mut self, remote: &Remote, outcome: &mut Outcome) {
        for action in std::mem::take(&mut outcome.actions) {
            match action {
                Action::Lost(name, winner) => {
                    if let Some(holder) = self.strike(&name, remote, outcome) {
                        outcome.lost.push((holder, NameLost { name, winner }));
                    }
                }
                Action::Send(..) | Action::Overrun(_) => outcome.actions.push(action),
            }
        }
    }

    /// Takes a name from its process.
    fn strike(&mut self, name: &Name, remote: &Remote, outcome: &mut Outcome) -> Option<Holder> {
        let holder = self.holders.remove(name)?;
        if let Some(names) = self.of_process.get_mut(&holder.pid) {
            names.remove(name);
            if names.is_empty() {
                self.of_process.remove(&holder.pid);
            }
        }
        outcome.gone.push(remote.strike(name));
        Some(holder)
    }
}

impl Keeper for Registrar {
    fn let_go(&self, pid: Pid) {
        // What the process was is dropped with no lock held.
        let _holders: Vec<Holder> = self.step(|state, remote, now, outcome| {
            let names = state.of_process.get(&pid).cloned().unwrap_or_default();
            let strike = |name: &Name| {
                state.names.withdraw(name, now, &mut outcome.actions);
                state.strike(name, remote, outcome)
            };
            names.iter().filter_map(strike).collect()
        });
    }
}

impl Timed for Registrar {
    fn tick(&self, now: Instant) {
        if self.deadline().is_some_and(|at| at <= now) {
            self.step(|state, _, now, outcome| state.names.tick(now, &mut outcome.actions));
        }
    }

    fn deadline(&self) -> Option<Instant> {
        self.state.lock().names.deadline()
    }
}

impl From<Refused> for GlobalError {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Taken(node) => Self::Taken(node),
            Refused::Full => Self::Full,
        }
    }
}

impl From<NameError> for GlobalError {
    fn from(error: NameError) -> Self {
        Self::Name(error)
    }
}

impl fmt::Display for GlobalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(error) => error.fmt(f),
            Self::Taken(node) => write!(f, "a process of node {node} has that name in the cluster"),
            Self::NoProc(pid) => write!(f, "{pid} has ended"),
            Self::Full => {
                write!(f, "this node owns {GLOBAL_NAMES_MAX} names of the cluster, the most there may be")
            }
        }
    }
}

impl std::error::Error for GlobalError {}

impl fmt::Display for NameLost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "node {} had claimed the name {} of the cluster earlier", self.winner, self.name)
    }
}

impl fmt::Debug for Global {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Global").field("node", self.registrar.board.id()).finish_non_exhaustive()
    }
}
