//! The handler process of a raw socket's connection: a server that runs the callbacks one after the other.

use bytes::Bytes;
use heronry::{Context, ExitReason, Init, Next, Server};

use super::RawSocket;
use super::connection::RawConnection;
use crate::serializer::Frame;
use crate::socket::{ControlKind, Permit};

/// What arrives in its mailbox. A permit goes when its frame is handled.
#[derive(Debug)]
pub(crate) enum Incoming<M> {
    /// A frame of the client.
    Frame(Frame, Permit),
    /// A ping or a pong of the client.
    Control(ControlKind, Bytes, Permit),
    /// A message for `handle_info`.
    Info(M),
    /// End, for this reason.
    Close(ExitReason),
}

pub(super) struct RawServer<R: RawSocket> {
    state: R,
    connection: RawConnection<R>,
}

impl<R: RawSocket> Server for RawServer<R> {
    type Args = (R, RawConnection<R>);
    type Msg = Incoming<R::Msg>;

    async fn init((mut state, mut connection): Self::Args, ctx: &mut Context<Self::Msg>) -> Init<Self> {
        match state.init(&mut connection).await {
            Next::Continue => {
                let mut server = Self { state, connection };
                server.hibernate(ctx);
                Ok(server)
            }
            Next::Stop(reason) => Err(reason),
        }
    }

    async fn handle(&mut self, incoming: Self::Msg, ctx: &mut Context<Self::Msg>) -> Next {
        let next = match incoming {
            Incoming::Frame(frame, permit) => {
                let next = self.state.handle_in(frame, &mut self.connection).await;
                drop(permit);
                next
            }
            Incoming::Control(kind, payload, permit) => {
                let next = self.state.handle_control(kind, payload, &mut self.connection).await;
                drop(permit);
                next
            }
            Incoming::Info(msg) => self.state.handle_info(msg, &mut self.connection).await,
            Incoming::Close(reason) => Next::Stop(reason),
        };
        self.hibernate(ctx);
        next
    }

    async fn terminate(&mut self, reason: &ExitReason, _: &mut Context<Self::Msg>) {
        self.state.terminate(reason, &mut self.connection).await;
    }
}

impl<R: RawSocket> RawServer<R> {
    fn hibernate(&mut self, ctx: &mut Context<Incoming<R::Msg>>) {
        if std::mem::take(&mut self.connection.hibernate) {
            ctx.hibernate();
        }
    }
}
