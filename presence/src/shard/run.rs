//! The process of a shard: carries out what the core decides.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use heronry::cluster::{Channel, Node, NodeEvent, Subscription, Watch};
use heronry::engine::Lane;
use heronry::node::NodeId;
use heronry::prelude::*;
use heronry::process::{Exit, is_alive};
use heronry::telemetry;

use super::core::{Core, Output};
use super::events::{TrackerLimited, TrackerMessageDropped};
use super::inbox::{Inbox, Load, Room};
use super::message::Message;
use super::{Shared, Slot, Tracker, hash};
use crate::diff::Looks;
use crate::limits::{Limit, TrackError};
use crate::meta::{Meta, MetaError};
use crate::state::Refused;

type Place = (Arc<str>, Arc<str>);
type Tracked = Result<String, TrackError>;

/// What arrives in a shard's mailbox.
pub(crate) enum ShardMsg<M> {
    Track { pid: Pid, place: Place, meta: Meta, reply_to: ReplyTo<Tracked> },
    Update { pid: Pid, place: Place, edit: Edit, reply_to: ReplyTo<Tracked> },
    Untrack { pid: Pid, place: Place, reply_to: ReplyTo<()> },
    UntrackAll { pid: Pid, reply_to: ReplyTo<()> },
    Payload { from: NodeId, payload: Bytes, room: Room },
    Gap(Option<NodeId>),
    Node(NodeEvent),
    Tick,
    Info(M),
}

/// What an update makes of a meta.
pub(crate) enum Edit {
    Put(Meta),
    With(Box<dyn FnOnce(Meta) -> Result<Meta, MetaError> + Send>),
}

/// What a shard is started with.
pub(crate) struct ShardArgs<T: Tracker> {
    pub(crate) shared: Arc<Shared<T::Msg>>,
    pub(crate) number: u16,
    pub(crate) args: T::Args,
}

impl<T: Tracker> Clone for ShardArgs<T> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone(), number: self.number, args: self.args.clone() }
    }
}

/// The process.
pub(crate) struct ShardServer<T: Tracker> {
    shared: Arc<Shared<T::Msg>>,
    number: u16,
    core: Core<Pid>,
    tracker: T,
    link: Option<Link>,
    /// When the next tick comes, and its timer.
    tick: Option<(Duration, TimerRef)>,
}

/// The way to the other nodes.
struct Link {
    node: Node,
    channel: Channel,
    load: Arc<Load>,
    _subscription: Subscription,
    _watch: Watch,
}

impl<T: Tracker> Server for ShardServer<T> {
    type Args = ShardArgs<T>;
    type Msg = ShardMsg<T::Msg>;

    async fn init(args: ShardArgs<T>, ctx: &mut Context<Self::Msg>) -> Init<Self> {
        let ShardArgs { shared, number, args } = args;
        ctx.trap_exit(true);
        let tracker = T::init(args).await?;
        let slot = shared.slot(number);
        let generation = slot.begin(ctx.addr())?;
        let mut core = Core::new(&shared.id, generation, number, shared.options);
        let mut output = Output { diffs: std::mem::take(&mut *slot.untold.lock()), ..Output::default() };
        core.clear(slot.table.drain(), &mut output);
        let (link, nodes) = match &shared.node {
            Some(node) => {
                let (link, nodes) = Link::new(node, &shared, number, ctx);
                (Some(link), nodes)
            }
            None => (None, Vec::new()),
        };
        for node in nodes {
            core.up(&node, shared.now(), &mut output);
        }
        let mut server = Self { shared, number, core, tracker, link, tick: None };
        server.carry_out(output, ctx).await;
        Ok(server)
    }

    async fn handle(&mut self, msg: Self::Msg, ctx: &mut Context<Self::Msg>) -> Next {
        let mut output = Output::default();
        let now = self.shared.now();
        match msg {
            ShardMsg::Track { pid, place, meta, reply_to } => {
                let tracked = self.track(pid, place, &meta, ctx, &mut output);
                self.show(&mut output);
                reply_to.send(tracked);
            }
            ShardMsg::Update { pid, place, edit, reply_to } => {
                let updated = self.update(pid, place, edit, &mut output);
                self.show(&mut output);
                reply_to.send(updated);
            }
            ShardMsg::Untrack { pid, place, reply_to } => {
                let held = self.core.own().held_by(pid);
                self.core.untrack(pid, place, now, &mut output);
                if held > 0 && self.core.own().held_by(pid) == 0 {
                    ctx.unlink(pid);
                }
                self.show(&mut output);
                reply_to.send(());
            }
            ShardMsg::UntrackAll { pid, reply_to } => {
                if self.core.own().held_by(pid) > 0 {
                    ctx.unlink(pid);
                    self.core.untrack_all(pid, now, &mut output);
                }
                self.show(&mut output);
                reply_to.send(());
            }
            ShardMsg::Payload { from, payload, room } => {
                self.receive(&from, &payload, &mut output);
                drop(room);
            }
            ShardMsg::Gap(from) => self.core.gap(from.as_ref(), now, &mut output),
            ShardMsg::Node(event) => self.node(event, &mut output),
            ShardMsg::Tick => {
                self.tick = None;
                self.core.tick(now, &mut output);
            }
            ShardMsg::Info(msg) => self.tracker.handle_info(msg).await,
        }
        self.look_again_if_missed(&mut output);
        self.carry_out(output, ctx).await;
        Next::Continue
    }

    async fn handle_info(&mut self, info: Info, ctx: &mut Context<Self::Msg>) -> Next {
        // A tracked process that lives and sends exit signals has not ended.
        if let Info::Exit(Exit { from, .. }) = info
            && !is_alive(from)
        {
            let mut output = Output::default();
            self.core.ended(from, self.shared.now(), &mut output);
            self.carry_out(output, ctx).await;
        }
        Next::Continue
    }

    fn format_state(&self) -> Option<String> {
        let (name, number, core) = (&self.shared.name, self.number, &self.core);
        let (own, remote, nodes) = (core.own().len(), core.remote_len(), core.peers_len());
        Some(format!("shard {number} of tracker {name}: {own} entries, {remote} more of {nodes} other nodes"))
    }

    async fn terminate(&mut self, reason: &ExitReason, ctx: &mut Context<Self::Msg>) {
        self.slot().end();
        let untold = self.core.untold();
        if reason.is_orderly() {
            // It is no crash of theirs.
            self.core.own().holders().for_each(|pid| ctx.unlink(pid));
            self.send(self.core.bye().into_iter().map(|bye| (None, bye)));
        } else {
            *self.slot().untold.lock() = untold;
        }
    }
}

impl<T: Tracker> ShardServer<T> {
    fn slot(&self) -> &Slot<T::Msg> {
        self.shared.slot(self.number)
    }

    fn track(
        &mut self,
        pid: Pid,
        place: Place,
        meta: &Meta,
        ctx: &Context<ShardMsg<T::Msg>>,
        output: &mut Output,
    ) -> Tracked {
        if !is_alive(pid) {
            return Err(TrackError::NoProc(pid));
        }
        let is_first = self.core.own().held_by(pid) == 0;
        let (topic, key) = place.clone();
        match self.core.track(pid, place, meta, self.shared.now(), output) {
            Ok(entry) => {
                if is_first {
                    // If it has ended meanwhile, the exit signal comes at once.
                    ctx.link(pid);
                }
                Ok(entry.reference())
            }
            Err(Refused::Already) => Err(TrackError::AlreadyTracked { pid, topic, key }),
            Err(Refused::Limit(limit, max)) => Err(self.limited(pid, limit, max)),
        }
    }

    fn update(&mut self, pid: Pid, place: Place, edit: Edit, output: &mut Output) -> Tracked {
        let (topic, key) = &place;
        let meta = match (edit, self.core.own().get(pid, topic, key)) {
            (_, None) => return Err(TrackError::NoPresence),
            (Edit::Put(meta), Some(_)) => meta,
            (Edit::With(edit), Some(entry)) => edit(entry.meta())?,
        };
        match self.core.update(pid, place, &meta, self.shared.now(), output) {
            Ok(Some(entry)) => Ok(entry.reference()),
            Ok(None) | Err(Refused::Already) => Err(TrackError::NoPresence),
            Err(Refused::Limit(limit, max)) => Err(self.limited(pid, limit, max)),
        }
    }

    fn limited(&self, pid: Pid, limit: Limit, max: usize) -> TrackError {
        telemetry::emit(&TrackerLimited { tracker: self.shared.name.clone(), pid, limit, max });
        TrackError::Limit { limit, max }
    }

    fn receive(&mut self, from: &NodeId, payload: &[u8], output: &mut Output) {
        match Message::decode(payload, from, self.shared.home(self.number)) {
            Ok(message) => self.core.receive(from, message, self.shared.now(), output),
            Err(error) => {
                let tracker = self.shared.name.clone();
                telemetry::emit(&TrackerMessageDropped::new(tracker, from.clone(), error));
            }
        }
    }

    fn node(&mut self, event: NodeEvent, output: &mut Output) {
        let now = self.shared.now();
        match event {
            NodeEvent::Up(node) => self.core.up(&node, now, output),
            NodeEvent::Down(node) => self.core.down(&node, output),
            NodeEvent::PermDown(node) => self.core.perm_down(&node, output),
            NodeEvent::EngineUp(Lane::Control) => self.core.relinked(now, output),
            // While the link is down nobody is suspected; a suspect is still there.
            _ => {}
        }
    }

    /// If something of the other nodes was dropped: who is up is asked of the cluster, and what they have of them.
    fn look_again_if_missed(&mut self, output: &mut Output) {
        let Some(link) = self.link.as_ref().filter(|link| link.load.take_missed()) else { return };
        let (now, up) = (self.shared.now(), link.node.nodes());
        for node in self.core.reachable().into_iter().filter(|node| !up.contains(node)) {
            self.core.down(&node, output);
        }
        up.iter().for_each(|node| self.core.up(node, now, output));
        self.core.gap(None, now, output);
    }

    /// Has the table show what has changed: whoever is answered now finds it there. What is to be told is decided after
    /// that: it depends on who has looked.
    fn show(&mut self, output: &mut Output) {
        let table = self.shared.slot(self.number).table();
        let seen = std::mem::take(&mut output.seen);
        let before = table.looks();
        table.apply(&seen);
        table.hand_over(&std::mem::take(&mut output.handed));
        let looks = Looks { before, after: table.looks() };
        output.diffs.extend(self.core.tell(seen, looks, self.shared.now()));
    }

    async fn carry_out(&mut self, mut output: Output, ctx: &mut Context<ShardMsg<T::Msg>>) {
        self.show(&mut output);
        let Output { diffs, messages, .. } = output;
        self.send(messages);
        self.arm(ctx);
        if !diffs.is_empty() {
            self.tracker.handle_diff(&diffs).await;
        }
    }

    /// What the engine does not take is lost, and repaired by the next heartbeat.
    fn send(&self, messages: impl IntoIterator<Item = (Option<NodeId>, Message)>) {
        let Some(link) = &self.link else { return };
        for (to, message) in messages {
            let bytes = message.encode(self.shared.home(self.number));
            match to {
                None => drop(link.node.publish(link.channel, &bytes)),
                Some(to) => drop(link.node.send(&to, Lane::Control, link.channel, bytes)),
            }
        }
    }

    /// Has the next tick come when the core wants it.
    fn arm(&mut self, ctx: &Context<ShardMsg<T::Msg>>) {
        let Some(deadline) = self.core.deadline() else { return };
        if self.tick.as_ref().is_some_and(|(armed, _)| *armed <= deadline) {
            return;
        }
        if let Some((_, timer)) = self.tick.take() {
            timer.cancel();
        }
        let delay = deadline.saturating_sub(self.shared.now());
        self.tick = Some((deadline, ctx.send_after(delay, ShardMsg::Tick)));
    }
}

impl Link {
    /// Listens; and gives the nodes that are up.
    fn new<M: Send + 'static>(
        node: &Node,
        shared: &Shared<M>,
        number: u16,
        ctx: &Context<ShardMsg<M>>,
    ) -> (Self, Vec<NodeId>) {
        let load = Arc::<Load>::default();
        let inbox = Arc::new(Inbox::new(ctx.addr(), shared.name.clone(), load.clone()));
        let channel = Channel::tracker((hash(&shared.name) >> 32) as u32, number);
        let subscription = node.subscribe(channel, inbox.clone());
        let (watch, nodes) = node.watch(Arc::new(move |event| inbox.tell(event)));
        (Self { node: node.clone(), channel, load, _subscription: subscription, _watch: watch }, nodes)
    }
}
