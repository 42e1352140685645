//! What a transport drives: the part of a socket process behind its wire.

use heronry::{Context, Received};
use tokio::time::Instant;

use super::limits::Limits;
use super::outbound::SocketMsg;
use super::output::Output;
use super::session::End;
use crate::close::CloseCode;
use crate::serializer::Frame;

/// A ping or a pong of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ControlKind {
    /// A ping, which the transport has answered.
    Ping,
    /// A pong.
    Pong,
}

/// One connection behind its wire: it is given what the client sends and what is in the mailbox, says when it may be
/// given more, and queues what goes to the client. Sockets with channels and [raw sockets](crate::RawSocket) are the
/// two of them; WebSockets and long-poll sessions drive either.
pub(crate) trait Driven: Send + 'static {
    fn limits(&self) -> &Limits;

    /// What waits for the client.
    fn output(&mut self) -> &mut Output;

    /// Messages received from the client.
    fn received(&self) -> u64;

    /// Whether the next frame of the client may be given.
    fn may_read(&self) -> bool;

    /// Whether the frame that was given last is not handled yet, for a transport that answers for each.
    #[cfg(feature = "longpoll")]
    fn is_busy(&self) -> bool;

    /// A frame of the client, that came at about this time.
    fn frame(&mut self, ctx: &Context<SocketMsg>, frame: Frame, now: Instant) -> Result<(), End>;

    /// A ping or a pong of the client.
    fn control(&mut self, kind: ControlKind, payload: bytes::Bytes) {
        let _ = (kind, payload);
    }

    /// Something out of the mailbox.
    fn receive(&mut self, ctx: &Context<SocketMsg>, received: Received<SocketMsg>) -> Result<(), End>;

    /// The end that is due once all that waits is written.
    fn end_after_output(&mut self) -> Option<End> {
        None
    }

    /// When [`due`](Self::due) has something to do.
    fn deadline(&self) -> Option<Instant>;

    /// Does what is due by now.
    fn due(&mut self, now: Instant);

    /// Asks the processes below it to end, since the connection does, closed with this code if by the server.
    fn close(&mut self, code: Option<CloseCode>);

    /// The processes below it have had their time.
    fn kill(&mut self);

    /// Whether they have all ended.
    fn is_closed(&self) -> bool;
}

/// With what a connection begins; what is not kept while its HTTP request is upgraded.
pub(crate) trait Begin: Send + 'static {
    type Driven: Driven;

    /// The socket's id, if it has one.
    fn id(&self) -> Option<&str>;

    /// Begins in the process of `ctx`, which from now on traps exits: it supervises what it starts.
    fn begin(self, ctx: &Context<SocketMsg>) -> Self::Driven;
}
