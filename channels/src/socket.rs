//! Sockets: one connection of one client, and the topics it has joined.
//!
//! A connection is a socket process, a joined topic is a channel process; the socket supervises its channels. A
//! channel's crash reaches its client as `phx_error` and touches nothing else; the socket's end ends its channels.
//! `state.rs` decides, purely; `session.rs` carries it out in the socket process, whatever the transport.

mod connect;
mod connection;
mod driven;
mod events;
mod fastlane;
mod inflight;
mod limits;
mod outbound;
mod output;
mod overload;
mod router;
mod session;
mod slots;
mod small_map;
mod state;
mod waiting;

pub use connect::{Connect, Peer, Refusal};
pub use driven::ControlKind;
pub use events::{
    BroadcastDropped, ChannelMailboxFull, ChannelRestarted, ConnectsLimited, JoinLimited, SocketClosed,
    SocketConnected, SocketOverloaded, SocketShed, TopicUnmatched,
};
pub use limits::Limits;
pub use overload::{Conflation, Overload};
pub use router::{ChannelRestart, RouteError, Routes};

pub(crate) use connection::Connection;
pub(crate) use driven::{Begin, Driven};
pub(crate) use fastlane::{ChannelLane, ChannelPubSub, Fastlane, Lane};
pub(crate) use inflight::{Inflight, Permit};
pub(crate) use outbound::{Outbound, SocketMsg};
pub(crate) use output::Output;
pub(crate) use router::{Delivery, Inbox, JoinRequest, Starter};
#[cfg(feature = "testing")]
pub(crate) use session::Session;
pub(crate) use session::{End, SessionBegin, closed, draining, told_to_go};

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
