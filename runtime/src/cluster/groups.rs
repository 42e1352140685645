//! Process groups across nodes: OTP's `pg`, over a cluster.
//!
//! A member is a process that its node [exports](super::Node::export). Its node alone enters it and takes it out; the other nodes are
//! told, and forget a node's members at once when it is down. When it is back they are told anew, each member once.

mod members;

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::{Arc, Weak};

use members::{Action, Key, Members};
pub use members::{GROUP_JOINS_MAX, GROUP_MEMBERS_MAX};

use super::channel::Channel;
use super::events::{ClusterOverrun, Dropped, NodeEvent};
use super::remote::{Remote, RemoteRef};
use super::subscriptions::Delivery;
use super::switchboard::{Switchboard, Timed};
use crate::clock::{self, Instant};
use crate::codec;
use crate::engine::Lane;
use crate::name::{Name, NameError};
use crate::node::NodeId;
use crate::pid::Pid;
use crate::process::{Context, Keeper, OnDrop, Outbox};
use crate::sync::Mutex;
use crate::telemetry;

/// The process groups of a cluster, as one node sees them; cheap to clone. Of [`Node::groups`](super::Node::groups).
///
/// As with `pg`, who joins twice is in twice and must leave twice; a group is there while it has a member; members are gone when their process or
/// their node is; and there is no function that sends to a group: take its [`members`](Self::members) and send to those you mean. A node sees its
/// own changes at once, and those of others a moment later.
///
/// A member is reached by a [`RemoteRef`] wherever it is; for processes of one node and without serde there is
/// [`group::Groups`](crate::group::Groups).
///
/// ```
/// # use std::sync::Arc;
/// # use heronry::engine::{Local, LocalHub};
/// # use heronry::node::{Incarnation, NodeId, NodeName};
/// use heronry::cluster::{Exported, Node, NodeOptions};
/// use heronry::prelude::*;
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let hub = LocalHub::new();
/// # let engine = |name| Arc::new(Local::new(NodeId::new(NodeName::parse(name).unwrap(), Incarnation::new(1)), &hub));
/// # let (a, b) = (Node::start(engine("a"), &NodeOptions::new()).await?, Node::start(engine("b"), &NodeOptions::new()).await?);
/// let worker = spawn(|mut ctx: Context<u32>| async move {
///     assert_eq!(ctx.receive().await, Received::Message(7));
/// });
/// a.export("worker 1", Exported::new(&worker).casts(|n: u32| n))?;
/// a.groups().join("idle", "worker 1")?;
///
/// // On any other node, a moment later:
/// # while b.groups().members("idle").is_empty() { tokio::task::yield_now().await; }
/// for member in b.groups().members("idle") {
///     member.send(&7_u32)?;
/// }
/// assert_eq!(worker.wait().await, ExitReason::Normal);
/// assert!(a.groups().members("idle").is_empty());
/// # a.stop().await; b.stop().await;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Groups {
    scope: Arc<Scope>,
}

/// A process could not join a group. Nothing changed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum GroupError {
    /// The text can't be a name.
    Name(NameError),
    /// This node exports no process under the name of the member, or it has ended.
    NoProc(Name),
    /// This node has as many memberships as it may ([`GROUP_MEMBERS_MAX`]), or the process is in the group as often as it may be
    /// ([`GROUP_JOINS_MAX`]).
    Full,
}

/// What a monitor of a group, or of all groups, tells.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum GroupEvent {
    /// A process joined; once for each time that it did.
    Joined {
        /// The group.
        group: Name,
        /// Who joined it.
        member: RemoteRef,
    },
    /// A process left or ended, or its node is down; once for each time that it had joined.
    Left {
        /// The group.
        group: Name,
        /// Who left it.
        member: RemoteRef,
    },
    /// More events than [`EVENTS_WAITING_MAX`](crate::process::EVENTS_WAITING_MAX) waited for the process, and were dropped: these are the
    /// members now, of the group that is monitored or of all groups. What follows builds on them.
    Members(HashMap<Name, Vec<RemoteRef>>),
}

/// A monitor of a group of the cluster, or of all; it ends when this is dropped. What is in the mailbox by then stays there.
#[must_use = "dropping a monitor ends it"]
pub struct GroupMonitor {
    _end: OnDrop,
}

struct Scope {
    board: Arc<Switchboard>,
    remote: Arc<Remote>,
    me: Weak<Self>,
    state: Mutex<State>,
}

struct State {
    members: Members,
    /// Whose our memberships are: a name may have been another process's before.
    owners: HashMap<Key, Pid>,
    of_process: HashMap<Pid, HashSet<Key>>,
    monitors: Vec<Monitoring>,
    next_monitor: u64,
}

#[derive(Clone)]
struct Monitoring {
    id: u64,
    /// The one group of interest; `None` for all.
    group: Option<Name>,
    outbox: Arc<Outbox<GroupEvent>>,
}

impl Groups {
    pub(super) fn new(board: Arc<Switchboard>, remote: Arc<Remote>) -> Self {
        let scope = Arc::new_cyclic(|me: &Weak<Scope>| {
            let members = Members::new(board.id().clone());
            let state = State {
                members,
                owners: HashMap::new(),
                of_process: HashMap::new(),
                monitors: Vec::new(),
                next_monitor: 0,
            };
            Scope { board, remote, me: me.clone(), state: Mutex::new(state) }
        });
        let board = &scope.board;
        let weak = scope.me.clone();
        board.members.watch(Arc::new(move |event| {
            if let Some(scope) = weak.upgrade() {
                scope.node_event(&event);
            }
        }));
        let weak = scope.me.clone();
        let receive = move |delivery| {
            if let (Some(scope), Delivery::Payload { from, payload }) = (weak.upgrade(), delivery) {
                scope.told(&from, &payload);
            }
        };
        board.subscribe(Channel::groups(), Arc::new(receive));
        let timed: Weak<dyn Timed> = scope.me.clone();
        board.add_timed(timed);
        Self { scope }
    }

    /// Adds the process that this node exports under the name `member` to a group, once more if it is in it. `pg:join/3`.
    ///
    /// It is in the group until it leaves, ends or is [no longer exported](super::Node::unexport).
    ///
    /// # Errors
    /// [`GroupError`] if there is no such process, a text can't be a name, or there are too many.
    pub fn join(&self, group: &str, member: &str) -> Result<(), GroupError> {
        let key = Key { group: Name::parse(group)?, member: Name::parse(member)? };
        let keeper: Weak<dyn Keeper> = self.scope.me.clone();
        let mut found = None;
        self.scope.step(|state, remote, now, actions| {
            found = remote.exported(&key.member);
            let Some(export) = &found else { return Err(GroupError::NoProc(key.member)) };
            // Its end forgets keepers first and then takes the lock that is held: what is entered now it finds.
            if !export.at_exit(keeper) {
                return Err(GroupError::NoProc(key.member));
            }
            let pid = export.pid();
            if state.owners.get(&key).is_some_and(|owner| *owner != pid) {
                // It is about to be taken out: it has ended.
                state.leave(&key, true, now, actions);
            }
            if !state.members.join(&key, now, actions) {
                return Err(GroupError::Full);
            }
            state.owners.insert(key.clone(), pid);
            state.of_process.entry(pid).or_default().insert(key);
            Ok(())
        })
    }

    /// Takes a process of this node out of a group, once; false if it is not in it. `pg:leave/3`.
    pub fn leave(&self, group: &str, member: &str) -> bool {
        let (Ok(group), Ok(member)) = (Name::parse(group), Name::parse(member)) else { return false };
        let key = Key { group, member };
        self.scope.step(|state, _, now, actions| state.leave(&key, false, now, actions))
    }

    /// The members of a group on all nodes, each as often as it joined, those of this node first. `pg:get_members/2`.
    pub fn members(&self, group: &str) -> Vec<RemoteRef> {
        let Ok(group) = Name::parse(group) else { return Vec::new() };
        self.scope.refs(self.scope.state.lock().members.of(&group))
    }

    /// The members of a group on this node. `pg:get_local_members/2`.
    pub fn local_members(&self, group: &str) -> Vec<RemoteRef> {
        let mut members = self.members(group);
        members.retain(|member| member.node() == self.scope.board.id().name());
        members
    }

    /// The groups that have members, by name. `pg:which_groups/1`.
    pub fn which_groups(&self) -> Vec<Name> {
        self.scope.state.lock().members.groups()
    }

    /// Tells this process of every change to a group from now on, with `wrap` to make a message of it; and gives the
    /// members that it has now. No change is missed between the two, or is in both. `pg:monitor/2`.
    ///
    /// `wrap` runs without a lock and must not wait; should it panic, the monitor ends. If the mailbox is full, events wait for room in it, up to
    /// [`EVENTS_WAITING_MAX`](crate::process::EVENTS_WAITING_MAX); beyond that one [`GroupEvent::Members`] stands for all.
    ///
    /// # Errors
    /// [`NameError`] if the text can't be a name.
    pub fn monitor<M: Send + 'static>(
        &self,
        ctx: &Context<M>,
        group: &str,
        wrap: impl Fn(GroupEvent) -> M + Send + Sync + 'static,
    ) -> Result<(GroupMonitor, Vec<RemoteRef>), NameError> {
        let group = Name::parse(group)?;
        let (monitor, mut now) = self.begin(ctx, Some(group.clone()), wrap);
        Ok((monitor, now.remove(&group).unwrap_or_default()))
    }

    /// As [`monitor`](Self::monitor), of all groups. `pg:monitor_scope/1`.
    pub fn monitor_scope<M: Send + 'static>(
        &self,
        ctx: &Context<M>,
        wrap: impl Fn(GroupEvent) -> M + Send + Sync + 'static,
    ) -> (GroupMonitor, HashMap<Name, Vec<RemoteRef>>) {
        self.begin(ctx, None, wrap)
    }

    fn begin<M: Send + 'static>(
        &self,
        ctx: &Context<M>,
        group: Option<Name>,
        wrap: impl Fn(GroupEvent) -> M + Send + Sync + 'static,
    ) -> (GroupMonitor, HashMap<Name, Vec<RemoteRef>>) {
        let (weak, only) = (self.scope.me.clone(), group.clone());
        let outbox = Arc::new(Outbox::new(ctx.addr(), wrap, move |outbox| {
            let scope = weak.upgrade()?;
            let state = scope.state.lock();
            outbox.renewed();
            Some(GroupEvent::Members(scope.all(&state, only.as_ref())))
        }));
        let (id, all) = {
            let mut state = self.scope.state.lock();
            let id = state.next_monitor;
            state.next_monitor += 1;
            let all = self.scope.all(&state, group.as_ref());
            state.monitors.push(Monitoring { id, group, outbox: outbox.clone() });
            (id, all)
        };
        let weak = self.scope.me.clone();
        let end = move || {
            outbox.end();
            let Some(scope) = weak.upgrade() else { return };
            let ended = {
                let mut state = scope.state.lock();
                let at = state.monitors.iter().position(|monitor| monitor.id == id);
                at.map(|at| state.monitors.remove(at))
            };
            drop(ended); // what makes its messages is the user's: not under the lock
        };
        (GroupMonitor { _end: OnDrop::new(end) }, all)
    }

    /// A name is exported no more.
    pub(super) fn unexported(&self, member: &str) {
        let Ok(member) = Name::parse(member) else { return };
        self.scope.step(|state, _, now, actions| {
            for key in state.members.under(&member) {
                state.leave(&key, true, now, actions);
            }
        });
    }
}

impl State {
    /// A process of this node leaves, once or for good; whether it was in the group.
    fn leave(&mut self, key: &Key, for_good: bool, now: Instant, actions: &mut Vec<Action>) -> bool {
        let was_in = self.members.leave(key, for_good, now, actions);
        if !self.members.has(key)
            && let Some(pid) = self.owners.remove(key)
            && let Some(keys) = self.of_process.get_mut(&pid)
        {
            keys.remove(key);
            if keys.is_empty() {
                self.of_process.remove(&pid);
            }
        }
        was_in
    }
}

impl Scope {
    fn refs(&self, members: Vec<(NodeId, Name)>) -> Vec<RemoteRef> {
        members.into_iter().map(|(node, name)| Remote::reference(&self.remote, node.name(), name)).collect()
    }

    fn all(&self, state: &State, only: Option<&Name>) -> HashMap<Name, Vec<RemoteRef>> {
        let groups = only.map_or_else(|| state.members.groups(), |only| vec![only.clone()]);
        groups.into_iter().map(|group| (group.clone(), self.refs(state.members.of(&group)))).collect()
    }

    /// Does something to the members, and then what comes of it.
    fn step<R>(&self, step: impl FnOnce(&mut State, &Remote, Instant, &mut Vec<Action>) -> R) -> R {
        let mut actions = Vec::new();
        let mut told = Vec::new();
        let (result, is_sooner) = {
            let mut state = self.state.lock();
            let before = state.members.deadline();
            let result = step(&mut state, &self.remote, clock::now(), &mut actions);
            for action in &actions {
                if let Action::Changed { node, key, joined, times } = action {
                    self.tell(&state, (node, key), (*joined, *times), &mut told);
                }
            }
            let after = state.members.deadline();
            (result, after.is_some_and(|after| before.is_none_or(|before| after < before)))
        };
        for action in actions {
            match action {
                Action::Send(to, packet) => {
                    let bytes = codec::encode(&packet).expect("invariant: a batch of members is small");
                    // What the engine does not take is sent again.
                    drop(self.board.send(&to, Lane::Data, Channel::groups(), bytes.into()));
                }
                Action::Overrun(node) => telemetry::emit(&ClusterOverrun { node }),
                Action::Changed { .. } => {}
            }
        }
        for outbox in told {
            outbox.flush();
        }
        if is_sooner {
            self.board.wake();
        }
        result
    }

    /// Puts a change into the outboxes of those who must hear of it; the lock is held.
    fn tell(
        &self,
        state: &State,
        (node, key): (&NodeId, &Key),
        (joined, times): (bool, u32),
        told: &mut Vec<Arc<Outbox<GroupEvent>>>,
    ) {
        let wants = |monitor: &&Monitoring| monitor.group.as_ref().is_none_or(|group| *group == key.group);
        for monitor in state.monitors.iter().filter(wants) {
            for _ in 0..times {
                let group = key.group.clone();
                let member = Remote::reference(&self.remote, node.name(), key.member.clone());
                monitor.outbox.push(if joined {
                    GroupEvent::Joined { group, member }
                } else {
                    GroupEvent::Left { group, member }
                });
            }
            told.push(monitor.outbox.clone());
        }
    }

    fn node_event(&self, event: &NodeEvent) {
        match event {
            NodeEvent::Up(node) => self.step(|state, _, now, actions| state.members.up(node, now, actions)),
            NodeEvent::Down(node) => self.step(|state, _, _, actions| state.members.down(node, actions)),
            NodeEvent::Suspect(_)
            | NodeEvent::Recovered(_)
            | NodeEvent::PermDown(_)
            | NodeEvent::EngineUp(_)
            | NodeEvent::EngineDown(_) => {}
        }
    }

    fn told(&self, from: &NodeId, payload: &[u8]) {
        match codec::decode(payload) {
            Ok(packet) => {
                self.step(|state, _, now, actions| state.members.receive(from, packet, now, actions));
            }
            Err(_) => self.board.dropped(Dropped::Malformed),
        }
    }
}

impl Keeper for Scope {
    fn let_go(&self, pid: Pid) {
        self.step(|state, _, now, actions| {
            for key in state.of_process.get(&pid).cloned().unwrap_or_default() {
                state.leave(&key, true, now, actions);
            }
        });
    }
}

impl Timed for Scope {
    fn tick(&self, now: Instant) {
        if self.deadline().is_some_and(|at| at <= now) {
            self.step(|state, _, now, actions| state.members.tick(now, actions));
        }
    }

    fn deadline(&self) -> Option<Instant> {
        self.state.lock().members.deadline()
    }
}

impl From<NameError> for GroupError {
    fn from(error: NameError) -> Self {
        Self::Name(error)
    }
}

impl fmt::Display for GroupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(error) => error.fmt(f),
            Self::NoProc(member) => write!(f, "this node exports no process that lives as {member}"),
            Self::Full => write!(
                f,
                "this node has {GROUP_MEMBERS_MAX} members in groups, or the process is in the group {GROUP_JOINS_MAX} times: no more may be"
            ),
        }
    }
}

impl std::error::Error for GroupError {}

impl fmt::Debug for Groups {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Groups").field("node", self.scope.board.id()).finish_non_exhaustive()
    }
}

impl fmt::Debug for GroupMonitor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GroupMonitor").finish_non_exhaustive()
    }
}
