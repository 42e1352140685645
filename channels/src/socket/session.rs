//! A socket process at work, whatever its transport: what arrives goes through `state.rs`, and what that decides is
//! done here.

use std::sync::Arc;

use bytestring::ByteString;
use heronry::process::{Exit, Info};
use heronry::pubsub::Subscription;
use heronry::supervisor::Intensity;
use heronry::{Context, ExitReason, Pid, Received, process, telemetry};
use tokio::time::Instant;

use super::Socket;
use super::connection::Connection;
use super::driven::{Begin, Driven};
use super::events::{ChannelMailboxFull, ChannelRestarted, JoinLimited, TopicUnmatched};
use super::fastlane::{ChannelPubSub, Lane};
use super::inflight::Inflight;
use super::limits::Limits;
use super::outbound::{Outbound, SocketMsg};
use super::output::Output;
use super::overload::Overload;
use super::router::{ChannelRestart, Delivery, Inbox, JoinRequest, Routes};
use super::state::{Action, Again, Refs, Refused, State};
use crate::close::CloseCode;
use crate::message::{Message, MessageRef, Payload, Reply};
use crate::serializer::{Frame, Serializer};

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

/// The end that the exit of a process means which is not below the socket: of its supervisor, or by a drain.
pub(crate) fn told_to_go(ctx: &Context<SocketMsg>, exit: &Exit) -> Option<End> {
    if Some(exit.from) == ctx.parent() {
        return Some(End::new(CloseCode::Restart, format!("the server stops: {}", exit.reason)));
    }
    is_draining(&exit.reason).then(|| End::new(CloseCode::Restart, DRAINING))
}

/// The reason with which the processes of a connection end that is closed with this code: Phoenix's `{:shutdown, :closed}`,
/// or `{:shutdown, :draining}`.
pub(crate) fn closed(code: Option<CloseCode>) -> ExitReason {
    if code == Some(CloseCode::Restart) { draining() } else { ExitReason::shutdown_with("closed") }
}

pub(crate) struct Session<S: Socket> {
    routes: Arc<Routes<S>>,
    connection: Arc<Connection<S>>,
    inflight: Arc<Inflight>,
    state: State<Pid, Arc<dyn Inbox>>,
    limits: Arc<Limits>,
    output: Output,
    /// When the channel that a join waits for is killed.
    replace_deadline: Option<Instant>,
    _id: Option<Subscription>,
    received: u64,
}

/// With what a session begins.
pub(crate) struct SessionBegin<S: Socket> {
    pub(crate) handler: Arc<S>,
    pub(crate) assigns: S::Assigns,
    pub(crate) id: Option<String>,
    pub(crate) routes: Arc<Routes<S>>,
    pub(crate) pubsub: ChannelPubSub,
    pub(crate) serializer: Arc<dyn Serializer>,
    pub(crate) transport: &'static str,
    pub(crate) limits: Arc<Limits>,
    pub(crate) overload: Overload,
}

impl<S: Socket> Begin for SessionBegin<S> {
    type Driven = Session<S>;

    fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    fn begin(self, ctx: &Context<SocketMsg>) -> Session<S> {
        let begin = self;
        ctx.trap_exit(true);
        let id = begin.id.as_deref().map(|id| {
            let addr = ctx.addr();
            // A refused message means that the socket is so full that it is being disconnected anyway.
            let take = move |broadcast| drop(addr.send(SocketMsg::Broadcast(Box::new(broadcast))));
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
        let output = Output::new(connection.outbound.clone(), begin.limits.outbound_age_max);
        Session {
            routes: begin.routes,
            connection: Arc::new(connection),
            inflight: Inflight::new(&begin.limits, ctx.addr()),
            state: State::new(begin.limits.channels_max, begin.limits.joins),
            limits: begin.limits,
            output,
            replace_deadline: None,
            _id: id,
            received: 0,
        }
    }
}

#[cfg(feature = "testing")]
impl<S: Socket> Session<S> {
    pub(crate) fn connection(&self) -> &Arc<Connection<S>> {
        &self.connection
    }
}

impl<S: Socket> Driven for Session<S> {
    fn limits(&self) -> &Limits {
        &self.limits
    }

    fn output(&mut self) -> &mut Output {
        &mut self.output
    }

    fn received(&self) -> u64 {
        self.received
    }

    /// Not while a join is under way, nor while its channels have as many events to handle as they may.
    fn may_read(&self) -> bool {
        self.state.may_read() && self.inflight.has_room()
    }

    /// Only a join is waited for; all else a channel handles when it comes to it.
    #[cfg(feature = "longpoll")]
    fn is_busy(&self) -> bool {
        !self.state.may_read()
    }

    fn frame(&mut self, ctx: &Context<SocketMsg>, frame: Frame, now: Instant) -> Result<(), End> {
        self.received += 1;
        let bytes = frame.len();
        let decoded = self.connection.serializer.decode(frame);
        let message = decoded.map_err(|error| End::new(CloseCode::InternalError, error.to_string()))?;
        let routed = |topic: &str| self.routes.find(topic).is_some();
        let action = self.state.message(message, now.into_std(), routed);
        self.act(ctx, action, bytes);
        Ok(())
    }

    fn receive(&mut self, ctx: &Context<SocketMsg>, received: Received<SocketMsg>) -> Result<(), End> {
        match received {
            Received::Message(SocketMsg::Frame(frame)) => self.output.queue(frame),
            Received::Message(SocketMsg::Turn(place)) => self.output.queue_place(place),
            Received::Message(SocketMsg::Shed) => self.output.note_shed(ctx),
            Received::Message(SocketMsg::Joined(pid, frame)) => {
                self.state.accepted(pid);
                self.output.queue(*frame);
            }
            Received::Message(SocketMsg::Refused(pid, frame)) => {
                self.state.refused(pid);
                self.output.queue(*frame);
            }
            Received::Message(SocketMsg::Rejoined(pid)) => self.state.accepted(pid),
            Received::Message(SocketMsg::RejoinRefused(pid)) => drop(self.state.given_up(pid)),
            Received::Message(SocketMsg::Closing(pid)) => self.state.closing(pid),
            Received::Message(SocketMsg::Resume) => {}
            Received::Message(SocketMsg::Broadcast(broadcast)) => {
                if &*broadcast.event == "disconnect" {
                    return Err(End::new(CloseCode::GoingAway, "disconnect"));
                }
            }
            Received::Message(SocketMsg::Overloaded) => {
                return Err(Output::too_slow());
            }
            Received::Info(Info::Exit(exit)) if !self.state.has(exit.from) => {
                told_to_go(ctx, &exit).map_or(Ok(()), Err)?;
            }
            Received::Info(Info::Exit(Exit { from, .. })) => {
                let action = self.state.ended(from, Instant::now().into_std());
                self.act(ctx, action, 0);
            }
            Received::Info(_) => {}
        }
        Ok(())
    }

    /// The channel that a join waits for has a deadline.
    fn deadline(&self) -> Option<Instant> {
        self.replace_deadline
    }

    fn due(&mut self, now: Instant) {
        if self.replace_deadline.take_if(|deadline| now >= *deadline).is_some()
            && let Some(pid) = self.state.replacing()
        {
            process::kill(pid);
        }
    }

    fn close(&mut self, code: Option<CloseCode>) {
        self.state.give_up_all();
        for channel in self.state.channels() {
            if !channel.deliver(Delivery::Close(closed(code))) {
                process::kill(channel.pid());
            }
        }
    }

    fn kill(&mut self) {
        for channel in self.state.channels() {
            process::kill(channel.pid());
        }
    }

    fn is_closed(&self) -> bool {
        self.state.channels_len() == 0
    }
}

impl<S: Socket> Session<S> {
    /// `bytes` is the length of the frame that led to it.
    fn act(&mut self, ctx: &Context<SocketMsg>, action: Action<Arc<dyn Inbox>>, bytes: usize) {
        match action {
            Action::Nothing => {}
            Action::ReplyOk { topic, refs } => self.reply(&topic, &refs, &Reply::ok(Payload::empty())),
            Action::ReplyError { topic, refs, why } => {
                let pid = ctx.pid();
                match &why {
                    Refused::Unmatched { event } => {
                        telemetry::emit(&TopicUnmatched { pid, topic: topic.clone(), event: event.clone() });
                    }
                    Refused::TooManyChannels | Refused::TooManyJoins => {
                        telemetry::emit(&JoinLimited { pid, topic: topic.clone(), reason: why.reason() });
                    }
                    Refused::JoinCrashed => {}
                }
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
            ("phx_error", Payload::from_static(r#"{"reason":"channel_crash"}"#))
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
        let permit = self.inflight.take(bytes);
        if !to.deliver(Delivery::Event(Box::new(message), permit))
            && process::is_alive(to.pid())
            && let Some(topic) = self.state.given_up(to.pid())
        {
            telemetry::emit(&ChannelMailboxFull { pid: to.pid(), topic });
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
            self.output.write(frame);
        }
    }
}
