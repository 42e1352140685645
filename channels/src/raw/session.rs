//! A raw socket's connection behind its wire: hands frames to the handler process and takes what that pushes.

use std::sync::Arc;

use bytes::Bytes;
use heronry::process::{self, Info, SpawnOptions};
use heronry::{Addr, Context, ExitReason, Received, server};
use tokio::time::Instant;

use super::RawSocket;
use super::connection::RawConnection;
use super::server::{Incoming, RawServer};
use crate::close::CloseCode;
use crate::serializer::Frame;
use crate::socket::{
    Begin, ChannelPubSub, ControlKind, Driven, End, Inflight, Limits, Outbound, Output, Overload, SocketMsg,
    closed, told_to_go,
};

/// With what a connection begins.
pub(crate) struct RawBegin<R: RawSocket> {
    pub(crate) state: R,
    pub(crate) shared: Arc<R::Shared>,
    pub(crate) pubsub: ChannelPubSub,
    pub(crate) transport: &'static str,
    /// The client can be sent text alone.
    pub(crate) text_only: bool,
    /// A frame is read only when the one before is handled.
    pub(crate) one_by_one: bool,
    pub(crate) limits: Arc<Limits>,
    pub(crate) overload: Overload,
}

pub(crate) struct RawSession<M> {
    handler: Addr<Incoming<M>>,
    /// The handler's process has not ended.
    handled: bool,
    inflight: Arc<Inflight>,
    limits: Arc<Limits>,
    output: Output,
    /// What the handler's end means for the client.
    end: Option<End>,
    received: u64,
}

impl<R: RawSocket> Begin for RawBegin<R> {
    type Driven = RawSession<R::Msg>;

    fn id(&self) -> Option<&str> {
        None
    }

    fn begin(self, ctx: &Context<SocketMsg>) -> RawSession<R::Msg> {
        let Self { state, shared, pubsub, transport, text_only, one_by_one, mut limits, overload } = self;
        if one_by_one {
            Arc::make_mut(&mut limits).inflight_max = 1;
        }
        ctx.trap_exit(true);
        let outbound = Outbound::new(ctx.addr(), &limits, overload);
        let output = Output::new(outbound.clone(), limits.outbound_age_max);
        let handler = ctx.spawn_link(SpawnOptions::new().label("raw socket"), move |ctx| {
            let addr = ctx.addr();
            let connection =
                RawConnection { addr, shared, pubsub, outbound, transport, text_only, hibernate: false };
            server::enter_loop::<RawServer<R>>((state, connection), ctx)
        });
        let inflight = Inflight::new(&limits, ctx.addr());
        RawSession { handler, handled: true, inflight, limits, output, end: None, received: 0 }
    }
}

impl<M: Send + 'static> RawSession<M> {
    /// A handler that takes no more, though it lives, has a mailbox that others have filled.
    fn deliver(&self, incoming: Incoming<M>) {
        if self.handler.send(incoming).is_err() {
            process::kill(self.handler.pid());
        }
    }
}

impl<M: Send + 'static> Driven for RawSession<M> {
    fn limits(&self) -> &Limits {
        &self.limits
    }

    fn output(&mut self) -> &mut Output {
        &mut self.output
    }

    fn received(&self) -> u64 {
        self.received
    }

    fn may_read(&self) -> bool {
        self.inflight.has_room()
    }

    /// Asked where there is room for one.
    #[cfg(feature = "longpoll")]
    fn is_busy(&self) -> bool {
        !self.inflight.has_room()
    }

    fn frame(&mut self, _: &Context<SocketMsg>, frame: Frame, _: Instant) -> Result<(), End> {
        self.received += 1;
        let permit = self.inflight.take(frame.len());
        self.deliver(Incoming::Frame(frame, permit));
        Ok(())
    }

    fn control(&mut self, kind: ControlKind, payload: Bytes) {
        let permit = self.inflight.take(payload.len());
        self.deliver(Incoming::Control(kind, payload, permit));
    }

    fn receive(&mut self, ctx: &Context<SocketMsg>, received: Received<SocketMsg>) -> Result<(), End> {
        match received {
            Received::Message(SocketMsg::Frame(frame)) => self.output.queue(frame),
            Received::Message(SocketMsg::Shed) => self.output.note_shed(ctx),
            Received::Message(SocketMsg::Overloaded) => return Err(Output::too_slow()),
            // To wake it up is all that this is for.
            Received::Message(SocketMsg::Resume) => {}
            // What only channels send.
            Received::Message(
                SocketMsg::Turn(_)
                | SocketMsg::Joined(..)
                | SocketMsg::Refused(..)
                | SocketMsg::Rejoined(_)
                | SocketMsg::RejoinRefused(_)
                | SocketMsg::Closing(_)
                | SocketMsg::Broadcast(_),
            ) => {}
            Received::Info(Info::Exit(exit)) if exit.from == self.handler.pid() => {
                self.handled = false;
                self.end = Some(end(&exit.reason));
            }
            Received::Info(Info::Exit(exit)) => told_to_go(ctx, &exit).map_or(Ok(()), Err)?,
            Received::Info(_) => {}
        }
        Ok(())
    }

    fn end_after_output(&mut self) -> Option<End> {
        self.end.take()
    }

    fn deadline(&self) -> Option<Instant> {
        None
    }

    fn due(&mut self, _: Instant) {}

    fn close(&mut self, code: Option<CloseCode>) {
        if self.handled {
            self.deliver(Incoming::Close(closed(code)));
        }
    }

    fn kill(&mut self) {
        process::kill(self.handler.pid());
    }

    fn is_closed(&self) -> bool {
        !self.handled
    }
}

/// What its handler's end is to a client. A crash is told without its cause.
fn end(reason: &ExitReason) -> End {
    let why = format!("the handler ended: {reason}");
    if reason.is_normal() {
        End::new(CloseCode::Normal, why)
    } else if reason.is_orderly() {
        End::new(CloseCode::GoingAway, why)
    } else {
        End { code: CloseCode::InternalError, reason: "internal error", why }
    }
}
