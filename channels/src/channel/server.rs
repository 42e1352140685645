//! The channel process: a server that joins, handles events, and says goodbye in the right order.

use std::marker::PhantomData;
use std::sync::Arc;

use heronry::process::SpawnOptions;
use heronry::pubsub::Subscription;
use heronry::telemetry::{self, Level};
use heronry::{Addr, Context, ExitReason, Init, Next, Pid, Server, server};
use tokio::time::Instant;

use super::events::{ChannelHandledIn, ChannelJoined};
use super::interrupt::Interrupt;
use super::join::JoinError;
use super::socket::ChannelSocket;
use super::{Channel, Handled, Outcome};
use crate::message::{Broadcast, Message, Payload, Reply};
use crate::socket::{
    ChannelLane, ChannelRestart, Delivery, Inbox, JoinRequest, Lane, Outbound, Permit, Routes, Socket,
    SocketMsg, Starter,
};

/// What arrives in a channel's mailbox. What is large is boxed: the size of this is kept several times over by every
/// idle channel, in its mailbox and in the futures of its callbacks.
#[derive(Debug)]
pub(crate) enum Incoming<M> {
    /// An event of the client; the permit goes when it is handled.
    Event(Box<Message>, Permit),
    /// A broadcast that the channel intercepts.
    Out(Box<Broadcast>),
    /// A message for `handle_info`.
    Info(M),
    /// End, for this reason.
    Close(ExitReason),
}

impl<S: Socket> Routes<S> {
    /// Serves the topics that match the pattern (`"room:lobby"`, or `"room:*"` for all that begin so) by a channel.
    #[must_use]
    pub fn channel<C: Channel<Socket = S>>(self, pattern: &str) -> Self {
        self.channel_with::<C>(pattern, ChannelRestart::Temporary)
    }

    /// Serves topics by a channel that is restarted, or not, when it crashes.
    #[must_use]
    pub fn channel_with<C: Channel<Socket = S>>(self, pattern: &str, restart: ChannelRestart) -> Self {
        self.add(pattern, Arc::new(StarterOf::<C> { restart, channel: PhantomData }))
    }
}

struct StarterOf<C> {
    restart: ChannelRestart,
    channel: PhantomData<fn() -> C>,
}

impl<C: Channel> Starter<C::Socket> for StarterOf<C> {
    fn restart(&self) -> ChannelRestart {
        self.restart
    }

    fn start(&self, ctx: &Context<SocketMsg>, join: JoinRequest<C::Socket>, restarts: u32) -> Arc<dyn Inbox> {
        let label = ["channel ", &join.topic].concat();
        let options = SpawnOptions::new().label(label).restarts(restarts);
        let interrupt = Arc::new(Interrupt::default());
        let args = (join, interrupt.clone());
        let addr = ctx.spawn_link(options, |ctx| server::enter_loop::<ChannelServer<C>>(args, ctx));
        Arc::new(InboxOf { addr, interrupt })
    }
}

struct InboxOf<M> {
    addr: Addr<Incoming<M>>,
    interrupt: Arc<Interrupt>,
}

impl<M: Send + 'static> Inbox for InboxOf<M> {
    fn pid(&self) -> Pid {
        self.addr.pid()
    }

    fn deliver(&self, delivery: Delivery) -> bool {
        let incoming = match delivery {
            Delivery::Event(message, permit) => Incoming::Event(message, permit),
            Delivery::Close(reason) => Incoming::Close(reason),
            Delivery::Interrupt(reason) => {
                self.interrupt.give(reason.clone());
                // For a channel that waits for its next message.
                Incoming::Close(reason)
            }
        };
        self.addr.send(incoming).is_ok()
    }
}

struct ChannelServer<C: Channel> {
    channel: C,
    socket: ChannelSocket<C>,
    interrupt: Arc<Interrupt>,
    _subscription: Subscription,
}

impl<C: Channel> Server for ChannelServer<C> {
    type Args = (JoinRequest<C::Socket>, Arc<Interrupt>);
    type Msg = Incoming<C::Msg>;

    async fn init((join, interrupt): Self::Args, ctx: &mut Context<Self::Msg>) -> Init<Self> {
        let JoinRequest { topic, join_ref, reference, payload, connection, rejoin } = join;
        let mut socket = ChannelSocket {
            join_ref: join_ref.clone().or_else(|| reference.clone()),
            topic,
            connection,
            addr: ctx.addr(),
            reference: None,
            joined: false,
            hibernate: false,
        };
        let start = start();
        let topic = socket.topic.clone();
        let outcome = C::join(&topic, payload, &mut socket).await;
        if let Some(start) = start {
            let (accepted, duration) = (outcome.is_ok(), start.elapsed());
            telemetry::emit(&ChannelJoined { pid: ctx.pid(), topic, accepted, duration });
        }
        let encode = |reply: &Reply| {
            let serializer = &socket.connection.serializer;
            serializer.encode_reply(join_ref.as_ref(), reference.as_ref(), &socket.topic, reply)
        };
        match outcome {
            Ok((channel, reply)) => {
                let frame = encode(&Reply::ok(reply))?;
                // Subscribed before the reply goes out: who has read it misses no broadcast.
                let subscription = subscribe::<C>(&socket, ctx);
                socket.joined = true;
                let outbound = &socket.connection.outbound;
                if rejoin {
                    outbound.tell(SocketMsg::Rejoined(ctx.pid()));
                } else {
                    outbound.send_with(frame, |frame| SocketMsg::Joined(ctx.pid(), Box::new(frame)));
                }
                Ok(Self { channel, socket, interrupt, _subscription: subscription })
            }
            Err(JoinError::Refuse(_)) if rejoin => {
                socket.connection.outbound.tell(SocketMsg::RejoinRefused(ctx.pid()));
                Err(ExitReason::Shutdown)
            }
            Err(JoinError::Refuse(reason)) => {
                let frame = encode(&Reply::error(reason))?;
                socket
                    .connection
                    .outbound
                    .send_with(frame, |frame| SocketMsg::Refused(ctx.pid(), Box::new(frame)));
                Err(ExitReason::Shutdown)
            }
            Err(JoinError::Crash(reason)) => Err(reason),
        }
    }

    async fn handle(&mut self, incoming: Self::Msg, ctx: &mut Context<Self::Msg>) -> Next {
        let interrupt = self.interrupt.clone();
        let outcome = interrupt.unless_given(self.incoming(incoming, ctx.pid())).await;
        let next = self.next(outcome);
        if std::mem::take(&mut self.socket.hibernate) {
            ctx.hibernate();
        }
        next
    }

    async fn terminate(&mut self, reason: &ExitReason, _: &mut Context<Self::Msg>) {
        self.channel.terminate(reason, &mut self.socket).await;
        if reason.is_orderly() {
            self.socket.connection.outbound.tell(SocketMsg::Closing(self.socket.pid()));
        }
    }
}

impl<C: Channel> ChannelServer<C> {
    async fn incoming(&mut self, incoming: Incoming<C::Msg>, pid: Pid) -> Outcome {
        match incoming {
            Incoming::Event(message, permit) => {
                let outcome = self.event(message, pid).await;
                drop(permit);
                outcome
            }
            Incoming::Out(broadcast) => {
                let Broadcast { event, payload, .. } = *broadcast;
                self.channel.handle_out(&event, payload, &mut self.socket).await
            }
            Incoming::Info(msg) => self.channel.handle_info(msg, &mut self.socket).await,
            Incoming::Close(reason) => Ok(Handled::Stop(reason)),
        }
    }

    /// The message stays in its box: what is taken out of it is room that every idle channel keeps.
    async fn event(&mut self, mut message: Box<Message>, pid: Pid) -> Outcome {
        self.socket.reference = message.reference.take();
        if &*message.event == "phx_leave" {
            let left = ExitReason::shutdown_with("left");
            return Ok(Handled::StopReply(left, Reply::ok(Payload::empty())));
        }
        let start = start();
        let payload = std::mem::replace(&mut message.payload, Payload::empty());
        let outcome = self.channel.handle_in(&message.event, payload, &mut self.socket).await;
        if let Some(start) = start {
            let (topic, event, duration) = (self.socket.topic.clone(), message.event, start.elapsed());
            telemetry::emit(&ChannelHandledIn { pid, topic, event, duration });
        }
        outcome
    }

    fn next(&mut self, outcome: Outcome) -> Next {
        let (reply, next) = match outcome {
            Ok(Handled::NoReply) => (None, Next::Continue),
            Ok(Handled::Reply(reply)) => (Some(reply), Next::Continue),
            Ok(Handled::Stop(reason)) => (None, Next::Stop(reason)),
            Ok(Handled::StopReply(reason, reply)) => (Some(reply), Next::Stop(reason)),
            Err(reason) => (None, Next::Stop(reason)),
        };
        let replied = reply.map_or(Ok(()), |reply| self.socket.reply(&reply));
        self.socket.reference = None;
        match replied {
            Ok(()) => next,
            Err(reason) => Next::Stop(reason),
        }
    }
}

/// When a callback begins whose duration somebody wants to know; both events are of this level.
fn start() -> Option<Instant> {
    telemetry::is_heard(Level::Debug).then(Instant::now)
}

fn subscribe<C: Channel>(socket: &ChannelSocket<C>, ctx: &Context<Incoming<C::Msg>>) -> Subscription {
    let addr = ctx.addr();
    let outbound: Outbound = socket.connection.outbound.clone();
    let lane = ChannelLane {
        outbound,
        serializer: socket.connection.serializer.clone(),
        intercepts: C::INTERCEPT,
        // A refused message is reported by the mailbox; a broadcast arrives at most once.
        intercept: Box::new(move |broadcast| drop(addr.send(Incoming::Out(Box::new(broadcast))))),
    };
    socket.connection.pubsub.subscribe(ctx.pid(), &socket.topic, Lane::Channel(Arc::new(lane)))
}
