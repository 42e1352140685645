//! Channels for Rust that any Phoenix client uses unmodified, on the supervised processes of [`heronry`].
//!
//! A connection is a socket process ([`Socket`]), a joined topic is a channel process ([`Channel`]), and an
//! [`Endpoint`] serves them over HTTP. A crash of one channel reaches its client as `phx_error`, and nobody else notices.
//! The [`guides`] go through it topic by topic.
//!
//! ```
//! use heronry_channels::prelude::*;
//! use serde_json::json;
//!
//! struct UserSocket;
//!
//! impl Socket for UserSocket {
//!     type Assigns = String; // the user's name
//!
//!     async fn connect(&self, connect: &Connect) -> Result<String, Refusal> {
//!         connect.params.get_str("name").map(str::to_owned).ok_or_else(Refusal::forbidden)
//!     }
//!
//!     fn channels(routes: Routes<Self>) -> Routes<Self> {
//!         routes.channel::<Room>("room:*")
//!     }
//! }
//!
//! struct Room;
//!
//! impl Channel for Room {
//!     type Socket = UserSocket;
//!     type Msg = ();
//!
//!     async fn join(_: &str, _: Payload, _: &mut ChannelSocket<Self>) -> Join<Self> {
//!         Ok((Room, Payload::empty()))
//!     }
//!
//!     async fn handle_in(&mut self, event: &str, payload: Payload, socket: &mut ChannelSocket<Self>) -> Outcome {
//!         match event {
//!             "shout" => {
//!                 socket.broadcast("shout", payload)?;
//!                 Ok(Handled::ok())
//!             }
//!             other => Ok(Handled::error(json!({ "reason": format!("no such event: {other}") }))),
//!         }
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let endpoint = Endpoint::builder().socket("/socket", UserSocket).build()?;
//! let bound = endpoint.bind("127.0.0.1:0".parse()?)?;
//! let tree = Supervisor::one_for_one().label("chat").child(bound.child_spec()).start().await?;
//! // ... until it is time to stop:
//! tree.stop().await;
//! # Ok(()) }
//! ```

mod body;
mod channel;
mod close;
mod cookie;
mod endpoint;
pub mod guides;
#[cfg(feature = "jwt")]
mod jwt;
mod message;
mod params;
pub mod prelude;
mod rate;
mod raw;
mod serializer;
mod socket;
#[cfg(feature = "testing")]
pub mod testing;
#[cfg(test)]
mod tests;
mod token;
mod topic;
mod transport;
mod vsn;

pub use http;

pub use body::{Body, BoxError};
pub use channel::{
    Broadcaster, Channel, ChannelAddr, ChannelHandledIn, ChannelJoined, ChannelSocket, Handled, Join,
    JoinError, Outcome, PushError, Pusher, SocketRef,
};
pub use close::CloseCode;
pub use cookie::SessionCookie;
pub use endpoint::{
    AcceptFailed, AcceptRecovered, Bound, ConnectionRefused, Drained, Drainer, Endpoint, EndpointBuilder,
    EndpointError, HttpLimits, ListenError, SOCKETS_MAX_DEFAULT, SocketDrain,
};
#[cfg(feature = "tls")]
pub use endpoint::{Tls, TlsError};
#[cfg(feature = "jwt")]
pub use jwt::{Jwt, JwtError, JwtKey, JwtKeyError};
pub use message::{Broadcast, Message, MessageRef, Payload, PayloadError, Reply, Status};
pub use params::{Params, ParamsError};
pub use rate::Rate;
pub use raw::{RawAddr, RawConnection, RawSocket};
pub use serializer::{DecodeError, EncodeError, Frame, Serializer, Serializers, V1, V2};
pub use socket::{
    BroadcastDropped, ChannelMailboxFull, ChannelRestart, ChannelRestarted, Conflation, Connect,
    ConnectsLimited, ControlKind, JoinLimited, Limits, Overload, Peer, Refusal, RouteError, Routes, Socket,
    SocketClosed, SocketConnected, SocketOverloaded, SocketShed, TopicUnmatched,
};
pub use token::{
    Digest, KeyOptions, MaxAge, SecretTooShort, Term, TermError, TokenError, TokenKeysFull, Tokens,
};
pub use topic::{TopicError, TopicPattern};
pub use transport::{CheckOrigin, OriginCheck, OriginError, OriginPattern, SocketOptions};
#[cfg(feature = "longpoll")]
pub use transport::{LongPollForwardsFull, LongPollOptions, LongPollOverloaded, LongPollSessionsFull};
pub use vsn::VsnError;
