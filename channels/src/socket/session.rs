//! A socket process at work, whatever its transport: what arrives goes through `state.rs`, and what that decides is
//! done here.

use std::sync::Arc;
use std::time::Duration;

use bytestring::ByteString;
use heronry::process::{Exit, Info};
use heronry::pubsub::Subscription;
use heronry::supervisor::Intensity;
use heronry::{Context, ExitReason, Pid, Received, process, telemetry};
use tokio::time::Instant;

use super::Socket;
use super::connection::Connection;
use super::events::{ChannelMailboxFull, ChannelRestarted, JoinLimited, SocketShed, TopicUnmatched};
use super::fastlane::{ChannelPubSub, Lane};
use super::inflight::Inflight;
use super::limits::Limits;
use super::outbound::{Outbound, Shed, SocketMsg};
use super::overload::Overload;
use super::router::{ChannelRestart, Delivery, Inbox, JoinRequest, Routes};
use super::state::{Action, Again, Refs, Refused, State};
use super::waiting::Waiting;
use crate::close::CloseCode;
use crate::message::{Message, MessageRef, Payload, Reply};
use crate::serializer::{Frame, Serializer};

/// How often a socket reports what was shed.
const SHED_REPORT_EVERY: Duration = Duration::from_secs(1);

/// The socket has to end; this is what its client and its log are told.
#[derive(Debug)]
pub(crate) struct End {
    pub(crate) code: CloseCode,
    /// What the client reads beside the code: no detail of the server's.
    pub(crate) reason: &'static str,
    pub(crate) why: String,
}

impl End {
    pub(crate) fn new(code: CloseCode, why: impl Into<String>) -> Self {
        Self { code, reason: code.reason(), why: why.into() }
    }

    /// The client broke a rule of ours, which it is told.
    pub(crate) fn policy(reason: &'static str) -> Self {
        Self { code: CloseCode::PolicyViolation, reason, why: reason.to_owned() }
    }
}

/// The exit signal by which a socket is told to go, and the reason with which its channels end then. Phoenix's
/// `{:shutdown, :draining}`.
pub(crate) fn draining() -> ExitReason {
    ExitReason::shutdown_with(DRAINING)
}

fn is_draining(reason: &ExitReason) -> bool {
    matches!(reason, ExitReason::ShutdownWith(why) if **why == *DRAINING)
}

const DRAINING: &str = "draining";

pub(crate) struct Session<S: Socket> {
    routes: Arc<Routes<S>>,
    connection: Arc<Connection<S>>,
    inflight: Arc<Inflight>,
    state: State<Pid, Arc<dyn Inbox>>,
    limits: Limits,
    out: Waiting,
    /// When the next report of what was shed is due.
    report_deadline: Option<Instant>,
    /// When the channel that a join waits for is killed.
    replace_deadline: Option<Instant>,
    _id: Option<Subscription>,
    received: u64,
    sent: u64,
}

/// With what a session begins.
pub(crate) struct Begin<S: Socket> {
    pub(crate) handler: Arc<S>,
    pub(crate) assigns: S::Assigns,
    pub(crate) id: Option<String>,
    pub(crate) routes: Arc<Routes<S>>,
    pub(crate) pubsub: ChannelPubSub,
    pub(crate) serializer: Arc<dyn Serializer>,
    pub(crate) transport: &'static str,
    pub(crate) limits: Limits,
    pub(crate) overload: Overload,
}

impl<S: Socket> Session<S> {
    /// Begins in the process of `ctx`, which from now on traps exits: it supervises its channels.
    pub(crate) fn new(ctx: &Context<SocketMsg>, begin: Begin<S>) -> Self {
        ctx.trap_exit(true);
        let id = begin.id.as_deref().map(|id| {
            let addr = ctx.addr();
            // A refused message means that the socket is so full that it is being disconnected anyway.
            let take = move |broadcast| drop(addr.send(SocketMsg::Broadcast(broadcast)));
            begin.pubsub.subscribe(ctx.pid(), id, Lane::Process(Arc::new(take)))
        });
        let connection = Connection {
            handler: begin.handler,
            assigns: begin.assigns,
            id: begin.id,
            pubsub: begin.pubsub,
            serializer: begin.serializer,
            outbound: Outbound::new(ctx.addr(), &begin.limits, begin.overload),
            transport: begin.transport,
        };
        Self {
            routes: begin.routes,
            connection: Arc::new(connection),
            inflight: Inflight::new(&begin.limits, ctx.addr()),
            state: State::new(begin.limits.channels_max, begin.limits.joins),
            limits: begin.limits,
            out: Waiting::default(),
            report_deadline: None,
            replace_deadline: None,
            _id: id,
            received: 0,
            sent: 0,
        }
    }

    #[cfg(feature = "testing")]
    pub(crate) fn connection(&self) -> &Arc<Connection<S>> {
        &self.connection
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// (messages received, messages sent).
    pub(crate) fn counts(&self) -> (u64, u64) {
        (self.received, self.sent)
    }

    /// Whether the next frame of the client may be read: not while a join is under way, nor while its channels have
    /// as many events to handle as they may.
    pub(crate) fn may_read(&self) -> bool {
        self.state.may_read() && self.inflight.has_room()
    }

    /// Whether a join is under way: the message before is not handled yet.
    #[cfg(feature = "longpoll")]
    pub(crate) fn is_joining(&self) -> bool {
        !self.state.may_read()
    }

    /// Whether something waits to be written.
    pub(crate) fn has_output(&mut self) -> bool {
        if self.out.has_places() {
            self.connection.outbound.with_slots(|slots| self.out.skim(slots));
        }
        !self.out.is_empty()
    }

    /// The next frame to write.
    pub(crate) fn pop_output(&mut self) -> Option<Frame> {
        let outbound = &self.connection.outbound;
        let frame = self.out.pop(|place| outbound.with_slots(|slots| slots.take(place)))?;
        outbound.written(&frame);
        self.sent += 1;
        Some(frame)
    }

    /// How many frames wait to be written.
    #[cfg(feature = "longpoll")]
    pub(crate) fn output_len(&self) -> usize {
        let frames = self.out.frames_len();
        if self.out.has_places() {
            frames + self.connection.outbound.with_slots(|slots| slots.len())
        } else {
            frames
        }
    }

    /// Takes back frames that were taken to be written and were not.
    #[cfg(feature = "longpoll")]
    pub(crate) fn return_output(&mut self, frames: Vec<Frame>) {
        for frame in frames.into_iter().rev() {
            self.connection.outbound.count(&frame);
            self.sent -= 1;
            self.out.push_front(frame);
        }
    }

    /// All that was popped is written, and nothing else waits.
    pub(crate) fn output_written(&mut self) {
        self.out.written();
        self.connection.outbound.caught_up();
    }

    /// Forgets what waits to be written.
    pub(crate) fn drop_output(&mut self) {
        let outbound = &self.connection.outbound;
        while let Some(frame) = self.out.pop(|place| outbound.with_slots(|slots| slots.take(place))) {
            outbound.written(&frame);
        }
        self.out.written();
    }

    /// What waits to be written has to stay for now. An error if it has been waiting for too long, by the policy for
    /// that.
    pub(crate) fn output_stays(&mut self, now: Instant) -> Result<(), End> {
        self.out.stamp(now.into_std());
        let age = self.out.oldest().map(|oldest| now.into_std().saturating_duration_since(oldest));
        match age {
            Some(age) if age >= self.limits.outbound_age_max => {
                if self.connection.outbound.stalled(age) {
                    return Err(Self::too_slow());
                }
            }
            Some(_) | None => self.connection.outbound.caught_up(),
        }
        Ok(())
    }

    /// When what waits to be written will have been waiting for too long.
    pub(crate) fn output_deadline(&self) -> Option<Instant> {
        self.out.oldest().map(|oldest| Instant::from_std(oldest) + self.limits.outbound_age_max)
    }

    /// When the next report of what was shed is due.
    pub(crate) fn report_deadline(&self) -> Option<Instant> {
        self.report_deadline
    }

    /// Reports what was shed since the last time, if anything was.
    pub(crate) fn report_shed(&mut self, ctx: &Context<SocketMsg>) {
        let shed = self.connection.outbound.take_shed();
        self.report_deadline = None;
        if shed != Shed::default() {
            let Shed { dropped, conflated } = shed;
            telemetry::emit(&SocketShed { pid: ctx.pid(), dropped, conflated });
            self.report_deadline = Some(Instant::now() + SHED_REPORT_EVERY);
        }
    }

    fn too_slow() -> End {
        End::new(CloseCode::PolicyViolation, "overloaded: the client reads too slowly")
    }

    pub(crate) fn replace_deadline(&self) -> Option<Instant> {
        self.replace_deadline
    }

    /// The channel that a join waits for has had its time.
    pub(crate) fn kill_replaced(&mut self) {
        self.replace_deadline = None;
        if let Some(pid) = self.state.replacing() {
            process::kill(pid);
        }
    }

    /// A frame of the client.
    pub(crate) fn frame(&mut self, ctx: &Context<SocketMsg>, frame: Frame) -> Result<(), End> {
        self.received += 1;
        let bytes = frame.len();
        let decoded = self.connection.serializer.decode(frame);
        let message = decoded.map_err(|error| End::new(CloseCode::InternalError, error.to_string()))?;
        let routes = self.routes.clone();
        let (topic, event) = (message.topic.clone(), message.event.clone());
        let now = Instant::now().into_std();
        let action = self.state.message(message, now, |topic| routes.find(topic).is_some());
        if let Action::ReplyError { why, .. } = &action {
            let pid = ctx.pid();
            match why {
                Refused::Unmatched => telemetry::emit(&TopicUnmatched { pid, topic, event }),
                Refused::TooManyChannels | Refused::TooManyJoins => {
                    telemetry::emit(&JoinLimited { pid, topic, reason: why.reason() });
                }
                Refused::JoinCrashed => {}
            }
        }
        self.act(ctx, action, bytes);
        Ok(())
    }

    /// Something out of the mailbox.
    pub(crate) fn receive(
        &mut self,
        ctx: &Context<SocketMsg>,
        received: Received<SocketMsg>,
    ) -> Result<(), End> {
        match received {
            Received::Message(SocketMsg::Frame(frame)) => self.out.push(frame),
            Received::Message(SocketMsg::Turn(place)) => {
                self.connection.outbound.with_slots(|slots| self.out.push_place(place, slots));
            }
            Received::Message(SocketMsg::Shed) => {
                if self.report_deadline.is_none() {
                    self.report_shed(ctx);
                }
            }
            Received::Message(SocketMsg::Joined(pid, frame)) => {
                self.state.accepted(pid);
                self.out.push(frame);
            }
            Received::Message(SocketMsg::Refused(pid, frame)) => {
                self.state.refused(pid);
                self.out.push(frame);
            }
            Received::Message(SocketMsg::Rejoined(pid)) => self.state.accepted(pid),
            Received::Message(SocketMsg::RejoinRefused(pid)) => self.state.given_up(pid),
            Received::Message(SocketMsg::Closing(pid)) => self.state.closing(pid),
            Received::Message(SocketMsg::Resume) => {}
            Received::Message(SocketMsg::Broadcast(broadcast)) => {
                if &*broadcast.event == "disconnect" {
                    return Err(End::new(CloseCode::GoingAway, "disconnect"));
                }
            }
            Received::Message(SocketMsg::Overloaded) => {
                return Err(Self::too_slow());
            }
            Received::Info(Info::Exit(Exit { from, reason })) if Some(from) == ctx.parent() => {
                return Err(End::new(CloseCode::Restart, format!("the server stops: {reason}")));
            }
            Received::Info(Info::Exit(Exit { from, reason }))
                if is_draining(&reason) && !self.state.has(from) =>
            {
                return Err(End::new(CloseCode::Restart, "draining"));
            }
            Received::Info(Info::Exit(Exit { from, .. })) => {
                let action = self.state.ended(from, Instant::now().into_std());
                self.act(ctx, action, 0);
            }
            Received::Info(_) => {}
        }
        Ok(())
    }

    /// Asks all channels to end, since the socket does, closed with this code if by the server.
    pub(crate) fn close_channels(&mut self, code: Option<CloseCode>) {
        self.state.give_up_all();
        for channel in self.state.channels() {
            let restarts = code == Some(CloseCode::Restart);
            let reason = if restarts { draining() } else { ExitReason::shutdown_with("closed") };
            if !channel.deliver(Delivery::Close(reason)) {
                process::kill(channel.pid());
            }
        }
    }

    pub(crate) fn kill_channels(&self) {
        for channel in self.state.channels() {
            process::kill(channel.pid());
        }
    }

    pub(crate) fn channels_len(&self) -> usize {
        self.state.channels_len()
    }

    /// `bytes` is the length of the frame that led to it.
    fn act(&mut self, ctx: &Context<SocketMsg>, action: Action<Arc<dyn Inbox>>, bytes: usize) {
        match action {
            Action::Nothing => {}
            Action::ReplyOk { topic, refs } => self.reply(&topic, &refs, &Reply::ok(Payload::empty())),
            Action::ReplyError { topic, refs, why } => {
                let reason = Payload::from(serde_json::json!({ "reason": why.reason() }));
                self.reply(&topic, &refs, &Reply::error(reason));
            }
            Action::Start { join, restarts } => self.start(ctx, join, restarts),
            Action::Replace { old } => {
                self.replace_deadline = Some(Instant::now() + self.limits.channel_shutdown);
                if !old.deliver(Delivery::Interrupt(ExitReason::shutdown_with("duplicate join"))) {
                    process::kill(old.pid());
                }
            }
            Action::Deliver { to, message } => self.deliver(&to, message, bytes),
            Action::Restart { old, join, restarts } => self.restart(ctx, old.pid(), join, restarts),
            Action::Ended { topic, join_ref, crashed, then } => {
                self.tell_end(topic, join_ref, crashed);
                if let Some((join, restarts)) = then {
                    self.replace_deadline = None;
                    self.start(ctx, join, restarts);
                }
            }
        }
    }

    fn tell_end(&mut self, topic: ByteString, join_ref: Option<MessageRef>, crashed: bool) {
        let (event, payload) = if crashed {
            ("phx_error", Payload::from(serde_json::json!({ "reason": "channel_crash" })))
        } else {
            ("phx_close", Payload::empty())
        };
        let reference = join_ref.clone();
        let message = Message { join_ref, reference, topic, event: event.into(), payload };
        self.write(self.connection.serializer.encode_message(&message));
    }

    fn start(&mut self, ctx: &Context<SocketMsg>, join: Message, restarts: u32) {
        // Strings of their own: slices would keep the whole frame of the join for as long as the channel lives.
        let own = |reference: MessageRef| reference.to_owned_copy();
        let topic = ByteString::from(&*join.topic);
        let refs = Refs { join_ref: join.join_ref.map(own), reference: join.reference.map(own) };
        let starter = self.routes.find(&topic).expect("invariant: only routed topics are joined").clone();
        let again = match starter.restart() {
            ChannelRestart::Temporary => None,
            ChannelRestart::Transient { intensity, period } => Some(Again {
                join: Message {
                    join_ref: refs.join_ref.clone(),
                    reference: refs.reference.clone(),
                    topic: topic.clone(),
                    event: ByteString::from_static("phx_join"),
                    payload: join.payload.to_owned_copy(),
                },
                intensity: Intensity::new(intensity, period),
            }),
        };
        let request = JoinRequest {
            topic: topic.clone(),
            join_ref: refs.join_ref.clone(),
            reference: refs.reference.clone(),
            payload: join.payload,
            connection: self.connection.clone(),
            rejoin: false,
        };
        let started = starter.start(ctx, request, restarts);
        self.state.started(topic, refs, started.pid(), started, again);
    }

    /// Starts a channel again after a crash, of which its client hears nothing.
    fn restart(&mut self, ctx: &Context<SocketMsg>, old: Pid, join: Message, restarts: u32) {
        let Message { join_ref, reference, topic, payload, .. } = join;
        let starter = self.routes.find(&topic).expect("invariant: only routed topics are joined").clone();
        let connection = self.connection.clone();
        let request =
            JoinRequest { topic: topic.clone(), join_ref, reference, payload, connection, rejoin: true };
        let started = starter.start(ctx, request, restarts);
        telemetry::emit(&ChannelRestarted { pid: started.pid(), old, topic, restarts });
        self.state.restarted(old, started.pid(), started);
    }

    fn deliver(&mut self, to: &Arc<dyn Inbox>, message: Message, bytes: usize) {
        let topic = message.topic.clone();
        let permit = self.inflight.take(bytes);
        if !to.deliver(Delivery::Event(Box::new(message), permit)) && process::is_alive(to.pid()) {
            telemetry::emit(&ChannelMailboxFull { pid: to.pid(), topic });
            self.state.given_up(to.pid());
            process::kill(to.pid());
        }
    }

    fn reply(&mut self, topic: &ByteString, refs: &Refs, reply: &Reply) {
        let frame = self.connection.serializer.encode_reply(
            refs.join_ref.as_ref(),
            refs.reference.as_ref(),
            topic,
            reply,
        );
        self.write(frame);
    }

    fn write(&mut self, frame: Result<Frame, crate::serializer::EncodeError>) {
        // The socket's own messages are JSON, which the serializers can always carry.
        if let Ok(frame) = frame {
            self.connection.outbound.count(&frame);
            self.out.push(frame);
        }
    }
}
