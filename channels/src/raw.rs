//! Sockets without channels: frames in, frames out, and nothing of Phoenix's protocol between.
//!
//! The transports are those of the other sockets, with all their limits. The socket process has the wire; below it is one
//! handler process ([`server`]), as a channel is below its socket.

mod connection;
mod server;
mod session;

pub use connection::{RawAddr, RawConnection};
pub(crate) use session::RawBegin;

use bytes::Bytes;
use heronry::{ExitReason, Next};

use crate::serializer::Frame;
use crate::socket::{Connect, ControlKind, Refusal};

/// A socket without channels: one connection of a client that speaks a protocol of its own. The value is the state of the
/// connection. The counterpart in Phoenix is a module with the behaviour `Phoenix.Socket.Transport`.
///
/// It is mounted by [`EndpointBuilder::raw_socket`](crate::EndpointBuilder::raw_socket) and served over WebSocket and, to
/// clients that poll, over long poll; the limits, the check of the origin, overload and drain are those of any socket.
///
/// Each connection has a process for its callbacks, linked to and supervised by the process that has the wire, which
/// writes on while a callback waits. In Phoenix the two are one. Callbacks run one after the other; frames that come
/// meanwhile wait, up to [`Limits::inflight_max`](crate::Limits::inflight_max), and over long poll none: a publish is
/// answered when its message is handled.
///
/// How it ends is what its client reads as the close code:
///
/// | the handler's process ended with | code |
/// |---|---|
/// | `Normal` | 1000 |
/// | `Shutdown`, `ShutdownWith` | 1001 |
/// | anything else: a panic, an error, a kill | 1011 |
///
/// What it had pushed before is written first. Over long poll what no poll has fetched by then is lost.
///
/// ```
/// use heronry_channels::prelude::*;
/// use heronry_channels::{Frame, RawConnection, RawSocket};
///
/// struct Echo { greeting: String }
///
/// impl RawSocket for Echo {
///     type Shared = ();
///     type Msg = ();
///
///     async fn connect((): &(), connect: &Connect) -> Result<Self, Refusal> {
///         let name = connect.params.get_str("name").ok_or_else(Refusal::forbidden)?;
///         Ok(Echo { greeting: format!("hello {name}") })
///     }
///
///     async fn init(&mut self, connection: &mut RawConnection<Self>) -> Next {
///         connection.push(&*self.greeting).expect("text can always be sent");
///         Next::Continue
///     }
///
///     async fn handle_in(&mut self, frame: Frame, connection: &mut RawConnection<Self>) -> Next {
///         match connection.push(frame) {
///             Ok(()) => Next::Continue,
///             Err(error) => Next::Stop(error.into()),
///         }
///     }
/// }
///
/// let endpoint = Endpoint::builder().raw_socket::<Echo>("/echo", ()).build()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait RawSocket: Sized + Send + 'static {
    /// What all connections of the mount share.
    type Shared: Send + Sync + 'static;

    /// What other processes may send it, see [`handle_info`](Self::handle_info); `()` if nothing.
    type Msg: Send + 'static;

    /// Accepts or refuses a client, before the connection is upgraded, in the process of its request. `vsn` is a param as
    /// any other here. Phoenix's `connect/1`.
    fn connect(
        shared: &Self::Shared,
        connect: &Connect,
    ) -> impl Future<Output = Result<Self, Refusal>> + Send;

    /// Called first, in the process of the connection. With [`Next::Stop`] the connection ends at once, without
    /// [`terminate`](Self::terminate). Phoenix's `init/1`.
    fn init(&mut self, connection: &mut RawConnection<Self>) -> impl Future<Output = Next> + Send {
        let _ = connection;
        async { Next::Continue }
    }

    /// Handles a frame of the client: what the protocol is. To answer, [`push`](RawConnection::push). Phoenix's
    /// `handle_in/2`.
    fn handle_in(
        &mut self,
        frame: Frame,
        connection: &mut RawConnection<Self>,
    ) -> impl Future<Output = Next> + Send;

    /// Handles a ping or a pong of a client with a WebSocket; a ping is answered already. Phoenix's `handle_control/2`.
    fn handle_control(
        &mut self,
        kind: ControlKind,
        payload: Bytes,
        connection: &mut RawConnection<Self>,
    ) -> impl Future<Output = Next> + Send {
        let _ = (kind, payload, connection);
        async { Next::Continue }
    }

    /// Handles a message of another process, or of itself. Phoenix's `handle_info/2`; ignored unless implemented.
    fn handle_info(
        &mut self,
        msg: Self::Msg,
        connection: &mut RawConnection<Self>,
    ) -> impl Future<Output = Next> + Send {
        let _ = (msg, connection);
        async { Next::Continue }
    }

    /// Called before the connection's process ends: by its own doing or by a panic in a callback, with what that said;
    /// when the client is gone or was disconnected, with `shutdown: closed`; when the server stops, with
    /// `shutdown: draining`. Phoenix's `terminate/2`.
    fn terminate(
        &mut self,
        reason: &ExitReason,
        connection: &mut RawConnection<Self>,
    ) -> impl Future<Output = ()> + Send {
        let _ = (reason, connection);
        async {}
    }
}
