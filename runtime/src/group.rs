//! Process groups: any number of processes under a common name. OTP's `pg`, on one node.
//!
//! - Who joins twice is in twice, and must leave twice.
//! - Memberships are gone when their process is: whoever gets its `Down`, its exit signal or its [`wait`](Addr::wait)
//!   does not find it among the members any more.
//! - A group is there while it has a member; one without is the same as one that never was.
//! - There is no function that sends to a group: take its [`members`](Groups::members) and send to those you mean.
//!
//! A scope is a value, [`Groups`], and no process: it needs no supervisor and can't crash. A group's `Eq` and `Hash` run
//! under its lock, and must not use it; no other code of the user's does.

mod state;

use std::borrow::Borrow;
use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;
use std::sync::{Arc, Weak};

use state::{Change, Ended, Monitored, State};

use crate::pid::Pid;
use crate::process::{Addr, Context, Keeper, OnDrop, Outbox};
use crate::sync::RwLock;

/// Groups of processes that take messages of type `M`, by names of type `G`; one of `pg`'s scopes.
///
/// Cheap to clone; all clones are the same groups. Two values made by [`new`](Self::new) have nothing in common.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// use heronry::group::Groups;
/// use heronry::prelude::*;
///
/// let workers = Groups::<&'static str, u32>::new();
/// let worker = spawn(|mut ctx: Context<u32>| async move {
///     assert_eq!(ctx.receive().await, Received::Message(7));
/// });
/// workers.join(&worker, "idle").unwrap();
/// assert_eq!(workers.which_groups(), ["idle"]);
/// for member in workers.members("idle") {
///     member.send(7).unwrap();
/// }
/// assert_eq!(worker.wait().await, ExitReason::Normal);
/// assert!(workers.members("idle").is_empty());
/// # }
/// ```
pub struct Groups<G, M> {
    scope: Arc<Scope<G, M>>,
}

type Events<G, M> = Arc<Outbox<Told<G, M>>>;
type Joined<G, M> = State<G, Addr<M>, Events<G, M>>;
type Changed<G, M> = Change<G, Addr<M>, Events<G, M>>;

struct Scope<G, M> {
    /// One lock for all groups: a process may be in several, and ends in all of them at once.
    state: RwLock<Joined<G, M>>,
}

/// An event before it is the user's: made and dropped without running code of the user's.
enum Told<G, M> {
    Joined(Arc<G>, Addr<M>),
    Left(Arc<G>, Addr<M>),
    Members(Vec<(Arc<G>, Vec<Addr<M>>)>),
}

/// A process could not join a group. Nothing changed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum JoinError {
    /// The process has ended, or is about to by an exit signal. (`pg` says `ok` and takes it out again.)
    NoProc(Pid),
}

/// What a monitor of a group, or of all groups, tells.
#[non_exhaustive]
pub enum GroupEvent<G, M> {
    /// A process joined; once for each time that it did.
    Joined {
        /// The group.
        group: G,
        /// Who joined it.
        member: Addr<M>,
    },
    /// A process left or ended; once for each time that it had joined.
    Left {
        /// The group.
        group: G,
        /// Who left it.
        member: Addr<M>,
    },
    /// More events than [`EVENTS_WAITING_MAX`](crate::process::EVENTS_WAITING_MAX) waited for the process, and were dropped: these are the members now, of
    /// the group that is monitored (nothing, if it has none) or of all groups. What follows builds on them.
    Members(HashMap<G, Vec<Addr<M>>>),
}

/// A monitor of a group, or of all groups; it ends when this is dropped, or when the process ends that it tells.
/// `pg:demonitor/2`.
///
/// What is in the mailbox when it ends stays there (`pg` flushes it).
#[must_use = "dropping a monitor ends it"]
pub struct Monitor {
    _end: OnDrop,
}

impl<G, M> Groups<G, M>
where
    G: Eq + Hash + Clone + Send + Sync + 'static,
    M: Send + 'static,
{
    /// A scope without groups. `pg:start/1`.
    pub fn new() -> Self {
        Self { scope: Arc::new(Scope { state: RwLock::new(State::new()) }) }
    }

    /// Adds a process to a group, once more if it is in it. `pg:join/3`.
    ///
    /// # Errors
    /// [`JoinError`] if the process has ended, or is about to by an exit signal.
    pub fn join(&self, member: &Addr<M>, group: G) -> Result<(), JoinError> {
        let scope: Weak<Scope<G, M>> = Arc::downgrade(&self.scope);
        let name = Arc::new(group.clone());
        let mut key = Some(group);
        let change = {
            // A process's end refuses keepers and then takes this lock: what is entered now it finds, and after it
            // nothing is entered.
            let mut state = self.scope.state.write();
            if !member.at_exit(scope) {
                return Err(JoinError::NoProc(member.pid()));
            }
            let change = state.join(member.pid(), member.clone(), &mut key, &name);
            tell(&change, Told::Joined);
            change
        };
        flush(&change);
        Ok(())
    }

    /// Takes a process out of a group, once; false if it is not in it (`not_joined`). `pg:leave/3`.
    pub fn leave<Q>(&self, member: &Addr<M>, group: &Q) -> bool
    where
        G: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        let change = {
            let mut state = self.scope.state.write();
            let Some(change) = state.leave(member.pid(), group) else { return false };
            tell(&change, Told::Left);
            change
        };
        flush(&change);
        true
    }

    /// The members of a group, in the order in which they joined, each as often as it did. `pg:get_members/2`.
    pub fn members<Q>(&self, group: &Q) -> Vec<Addr<M>>
    where
        G: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        self.scope.state.read().members(group)
    }

    /// The members of a group on this node, which are all: groups do not span nodes. `pg:get_local_members/2`.
    pub fn local_members<Q>(&self, group: &Q) -> Vec<Addr<M>>
    where
        G: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        self.members(group)
    }

    /// The groups that have members, in no particular order. `pg:which_groups/1`.
    pub fn which_groups(&self) -> Vec<G> {
        let names = self.scope.state.read().which_groups();
        names.iter().map(|name| (**name).clone()).collect()
    }

    /// Tells this process of every change to a group from now on, with `wrap` to make a message of it; and gives the
    /// members that it has now. No change is missed between the two, or is in both. `pg:monitor/2`.
    ///
    /// Events arrive in the order in which they happened. `wrap` runs, without a lock, in the process that changes the
    /// group, or in another at the same time (which is why a `Down` may overtake the `Left` of the same process); should
    /// it panic, the monitor ends and nobody else is harmed. If the mailbox is full, events wait for room in it, up to
    /// [`EVENTS_WAITING_MAX`](crate::process::EVENTS_WAITING_MAX); beyond that they are dropped, one [`GroupEvent::Members`] stands for them, and telemetry
    /// says so ([`EventsMissed`](crate::process::EventsMissed)). A mailbox with a policy that drops messages drops
    /// events too.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// # use heronry::group::{GroupEvent, Groups};
    /// # use heronry::prelude::*;
    /// let workers = Groups::<&'static str, ()>::new();
    /// let worker = spawn(|mut ctx| async move { drop(ctx.receive().await) });
    /// let at = workers.clone();
    /// let boss = spawn(move |mut ctx| async move {
    ///     let (_monitor, idle) = at.monitor(&ctx, "idle", |event| event);
    ///     assert!(idle.is_empty());
    ///     let Received::Message(GroupEvent::Joined { group: "idle", member }) = ctx.receive().await else {
    ///         panic!("the worker joins");
    ///     };
    ///     member.send(()).unwrap();
    ///     let left = GroupEvent::Left { group: "idle", member };
    ///     assert_eq!(ctx.receive().await, Received::Message(left));
    /// });
    /// # tokio::task::yield_now().await;
    /// workers.join(&worker, "idle").unwrap();
    /// assert_eq!(boss.wait().await, ExitReason::Normal);
    /// # }
    /// ```
    pub fn monitor<N: Send + 'static>(
        &self,
        ctx: &Context<N>,
        group: G,
        wrap: impl Fn(GroupEvent<G, M>) -> N + Send + Sync + 'static,
    ) -> (Monitor, Vec<Addr<M>>) {
        let name = Arc::new(group.clone());
        let mut key = Some(group);
        let (scope, only) = (Arc::downgrade(&self.scope), name.clone());
        let outbox = events(ctx, wrap, move |outbox| {
            let scope = scope.upgrade()?;
            let state = scope.state.read();
            outbox.renewed();
            let members = state.members(&*only);
            Some(if members.is_empty() { Vec::new() } else { vec![(only.clone(), members)] })
        });
        self.begin(ctx, |state| {
            let monitored = state.monitor(ctx.pid(), outbox.clone(), &mut key, &name);
            (monitored, state.members(&*name))
        })
        .unwrap_or_else(|| (Monitor::ended(), self.members(&*name)))
    }

    /// Tells this process of every change to any group from now on, as [`monitor`](Self::monitor) does for one; and
    /// gives all groups that have members now, with them. `pg:monitor_scope/1`.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// # use heronry::group::{GroupEvent, Groups};
    /// # use heronry::prelude::*;
    /// let rooms = Groups::<u8, ()>::new();
    /// let ann = spawn(|_: Context<()>| std::future::pending::<()>());
    /// rooms.join(&ann, 1).unwrap();
    /// let at = rooms.clone();
    /// let porter = spawn(move |mut ctx| async move {
    ///     let (_monitor, there) = at.monitor_scope(&ctx, |event| event);
    ///     assert_eq!((there.len(), there[&1].len()), (1, 1));
    ///     let event = ctx.receive().await;
    ///     assert!(matches!(event, Received::Message(GroupEvent::Joined { group: 2, .. })));
    /// });
    /// # tokio::task::yield_now().await;
    /// rooms.join(&ann, 2).unwrap();
    /// assert_eq!(porter.wait().await, ExitReason::Normal);
    /// # heronry::process::kill(ann.pid());
    /// # }
    /// ```
    pub fn monitor_scope<N: Send + 'static>(
        &self,
        ctx: &Context<N>,
        wrap: impl Fn(GroupEvent<G, M>) -> N + Send + Sync + 'static,
    ) -> (Monitor, HashMap<G, Vec<Addr<M>>>) {
        let scope = Arc::downgrade(&self.scope);
        let outbox = events(ctx, wrap, move |outbox| {
            let scope = scope.upgrade()?;
            let state = scope.state.read();
            outbox.renewed();
            Some(state.all())
        });
        let begun = self.begin(ctx, |state| {
            let monitored = state.monitor_scope(ctx.pid(), outbox.clone());
            (monitored, state.all())
        });
        let (monitor, all) = begun.unwrap_or_else(|| (Monitor::ended(), self.scope.state.read().all()));
        (monitor, named(&all))
    }

    /// Begins a monitor; `None` if the process has ended and only its context is left.
    fn begin<N: Send + 'static, T>(
        &self,
        ctx: &Context<N>,
        enter: impl FnOnce(&mut Joined<G, M>) -> (Monitored<G>, T),
    ) -> Option<(Monitor, T)> {
        let keeper: Weak<Scope<G, M>> = Arc::downgrade(&self.scope);
        let scope = Arc::downgrade(&self.scope);
        let (monitored, members) = {
            let mut state = self.scope.state.write();
            if !ctx.addr().at_exit(keeper) {
                return None;
            }
            enter(&mut state)
        };
        let end = move || {
            let Some(scope) = scope.upgrade() else { return };
            let ended = scope.state.write().demonitor(&monitored);
            over(ended.as_slice());
        };
        Some((Monitor { _end: OnDrop::new(end) }, members))
    }
}

/// The outbox of a monitor; `anew` gives all members and has said, under the lock of the groups, that it does.
fn events<G, M, N>(
    ctx: &Context<N>,
    wrap: impl Fn(GroupEvent<G, M>) -> N + Send + Sync + 'static,
    anew: impl Fn(&Outbox<Told<G, M>>) -> Option<Vec<(Arc<G>, Vec<Addr<M>>)>> + Send + Sync + 'static,
) -> Events<G, M>
where
    G: Eq + Hash + Clone + Send + Sync + 'static,
    M: Send + 'static,
    N: Send + 'static,
{
    let wrap = move |told: Told<G, M>| {
        wrap(match told {
            Told::Joined(group, member) => GroupEvent::Joined { group: (*group).clone(), member },
            Told::Left(group, member) => GroupEvent::Left { group: (*group).clone(), member },
            Told::Members(all) => GroupEvent::Members(named(&all)),
        })
    };
    Arc::new(Outbox::new(ctx.addr(), wrap, move |outbox| anew(outbox).map(Told::Members)))
}

fn named<G: Eq + Hash + Clone, M>(all: &[(Arc<G>, Vec<Addr<M>>)]) -> HashMap<G, Vec<Addr<M>>> {
    all.iter().map(|(group, members)| ((**group).clone(), members.clone())).collect()
}

/// Puts an event into the outboxes of those who must hear of it; the caller holds the lock of the groups.
fn tell<G, M>(change: &Changed<G, M>, told: impl Fn(Arc<G>, Addr<M>) -> Told<G, M>)
where
    G: Send + Sync + 'static,
    M: Send + 'static,
{
    for outbox in &change.monitors {
        outbox.push(told(change.group.clone(), change.member.clone()));
    }
}

/// Delivers what waits in the outboxes of those who must hear of a change; no lock is held.
fn flush<G, M>(change: &Changed<G, M>)
where
    G: Send + Sync + 'static,
    M: Send + 'static,
{
    for outbox in &change.monitors {
        outbox.flush();
    }
}

fn over<G, M>(ended: &[Ended<G, Events<G, M>>])
where
    G: Send + Sync + 'static,
    M: Send + 'static,
{
    for ended in ended {
        ended.monitor.end();
    }
}

impl<G, M> Keeper for Scope<G, M>
where
    G: Eq + Hash + Clone + Send + Sync + 'static,
    M: Send + 'static,
{
    fn let_go(&self, pid: Pid) {
        let left = {
            let mut state = self.state.write();
            let left = state.ended(pid);
            for change in &left.changes {
                tell(change, Told::Left);
            }
            left
        };
        over(&left.ended);
        left.changes.iter().for_each(flush);
    }
}

impl<G, M> Clone for Groups<G, M> {
    fn clone(&self) -> Self {
        Self { scope: self.scope.clone() }
    }
}

impl<G, M> Default for Groups<G, M>
where
    G: Eq + Hash + Clone + Send + Sync + 'static,
    M: Send + 'static,
{
    fn default() -> Self {
        Self::new()
    }
}

impl<G, M> fmt::Debug for Groups<G, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Groups").finish_non_exhaustive()
    }
}

impl<G: Clone, M> Clone for GroupEvent<G, M> {
    fn clone(&self) -> Self {
        match self {
            Self::Joined { group, member } => Self::Joined { group: group.clone(), member: member.clone() },
            Self::Left { group, member } => Self::Left { group: group.clone(), member: member.clone() },
            Self::Members(members) => Self::Members(members.clone()),
        }
    }
}

impl<G: fmt::Debug, M: Send + 'static> fmt::Debug for GroupEvent<G, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Joined { group, member } => {
                f.debug_struct("Joined").field("group", group).field("member", member).finish()
            }
            Self::Left { group, member } => {
                f.debug_struct("Left").field("group", group).field("member", member).finish()
            }
            Self::Members(members) => f.debug_tuple("Members").field(members).finish(),
        }
    }
}

impl<G: Eq + Hash, M: Send + 'static> PartialEq for GroupEvent<G, M> {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Joined { group, member }, Self::Joined { group: g, member: m })
            | (Self::Left { group, member }, Self::Left { group: g, member: m }) => group == g && member == m,
            (Self::Members(a), Self::Members(b)) => a == b,
            (Self::Joined { .. } | Self::Left { .. } | Self::Members(_), _) => false,
        }
    }
}

impl fmt::Display for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoProc(pid) => write!(f, "{pid} has ended and can't join a group"),
        }
    }
}

impl std::error::Error for JoinError {}

impl Monitor {
    /// Of a process that has ended.
    fn ended() -> Self {
        Self { _end: OnDrop::new(|| ()) }
    }
}

impl fmt::Debug for Monitor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Monitor").finish_non_exhaustive()
    }
}
