//! Sockets: one connection of one client, and the topics it has joined.
//!
//! A connection is a socket process, a joined topic is a channel process; the socket supervises its channels. A
//! channel's crash reaches its client as `phx_error` and touches nothing else; the socket's end ends its channels.
//! `state.rs` decides, purely; `session.rs` carries it out in the socket process, whatever the transport.

mod connection;
mod events;
mod fastlane;
mod inflight;
mod limits;
mod outbound;
mod overload;
mod router;
mod session;
mod slots;
mod state;
mod waiting;

pub use events::{
    BroadcastDropped, ChannelMailboxFull, SocketClosed, SocketConnected, SocketOverloaded, SocketShed,
    TopicUnmatched,
};
pub use limits::Limits;
pub use overload::{Conflation, Overload};
pub use router::{RouteError, Routes};

pub(crate) use connection::Connection;
pub(crate) use fastlane::{ChannelLane, ChannelPubSub, Fastlane, Lane};
pub(crate) use inflight::Permit;
pub(crate) use outbound::{Outbound, SocketMsg};
pub(crate) use router::{Delivery, Inbox, JoinRequest, Starter};
pub(crate) use session::{Begin, End, Session, draining};

use std::fmt;
use std::net::SocketAddr;

use http::{HeaderMap, StatusCode, Uri};

use crate::params::Params;

/// What a client connects to: decides who may, and which channels there are.
///
/// The value is shared by all connections: it is the place for what they need of the application. What belongs to one
/// connection is its [`Assigns`](Self::Assigns). The counterpart in Phoenix is a `UserSocket` module.
///
/// ```
/// use heronry_channels::{Connect, Refusal, Routes, Socket};
/// # use heronry_channels::{Channel, ChannelSocket, Handled, Join, Outcome, Payload};
/// # struct Room;
/// # impl Channel for Room {
/// #     type Socket = UserSocket;
/// #     type Msg = ();
/// #     async fn join(_: &str, _: Payload, _: &mut ChannelSocket<Self>) -> Join<Self> { Ok((Room, Payload::empty())) }
/// # }
///
/// struct UserSocket;
///
/// impl Socket for UserSocket {
///     type Assigns = String;
///
///     async fn connect(&self, connect: &Connect) -> Result<String, Refusal> {
///         connect.params.get_str("name").map(str::to_owned).ok_or_else(Refusal::forbidden)
///     }
///
///     fn id(&self, name: &String) -> Option<String> {
///         Some(format!("user_socket:{name}"))
///     }
///
///     fn channels(routes: Routes<Self>) -> Routes<Self> {
///         routes.channel::<Room>("room:*")
///     }
/// }
/// ```
pub trait Socket: Sized + Send + Sync + 'static {
    /// What a connection knows of its client; shared by its channels.
    type Assigns: Send + Sync + 'static;

    /// Accepts or refuses a client, before the connection is upgraded. Phoenix's `connect/3`.
    fn connect(&self, connect: &Connect) -> impl Future<Output = Result<Self::Assigns, Refusal>> + Send;

    /// The topic by which all sockets of this client can be closed: a broadcast of `disconnect` on it does so. Phoenix's
    /// `id/1`.
    fn id(&self, assigns: &Self::Assigns) -> Option<String> {
        let _ = assigns;
        None
    }

    /// Which topics are which channels; the first route that matches counts. Phoenix's `channel/3`.
    fn channels(routes: Routes<Self>) -> Routes<Self>;
}

/// What a client sent when it connected.
#[derive(Debug)]
#[non_exhaustive]
pub struct Connect {
    /// The params of the query string, without `vsn`.
    pub params: Params,
    /// The headers of the request.
    pub headers: HeaderMap,
    /// The URI of the request.
    pub uri: Uri,
    /// The client's address, where the server knows it.
    pub peer: Option<SocketAddr>,
}

impl Connect {
    pub(crate) fn new(params: Params, parts: http::request::Parts) -> Self {
        let peer = parts.extensions.get::<Peer>().map(|peer| peer.0);
        Self { params, headers: parts.headers, uri: parts.uri, peer }
    }
}

/// The address of the client, as an extension of its requests.
///
/// The endpoint's own listener sets it; a server that the endpoint is mounted in may.
#[derive(Clone, Copy, Debug)]
pub struct Peer(pub SocketAddr);

/// A connection that is not accepted: the HTTP answer to the upgrade request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The status.
    pub status: StatusCode,
    /// The body, as plain text.
    pub body: String,
}

impl Refusal {
    /// 403 with an empty body, as Phoenix answers `:error`.
    pub fn forbidden() -> Self {
        Self::new(StatusCode::FORBIDDEN, "")
    }

    /// Any status and body, such as 429 and "Too many requests".
    pub fn new(status: StatusCode, body: impl Into<String>) -> Self {
        Self { status, body: body.into() }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "connection refused: {} {}", self.status, self.body)
    }
}
