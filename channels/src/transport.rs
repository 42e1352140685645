//! Transports: how messages of a socket travel, over a WebSocket or by long polling.

mod guard;
mod handler;
mod handshake;
mod heads;
mod io;
#[cfg(feature = "longpoll")]
mod long_poll;
mod mount;
mod origin;
mod subprotocol;
mod websocket;

use std::fmt;
use std::pin::Pin;

use http::{Request, Response};

pub(crate) use guard::Guarded;
pub(crate) use handler::{Handler, WithChannels, WithoutChannels};
#[cfg(feature = "longpoll")]
pub(crate) use long_poll::LongPollMount;
#[cfg(feature = "longpoll")]
pub use long_poll::{LongPollForwardsFull, LongPollOptions, LongPollOverloaded, LongPollSessionsFull};
pub use mount::SocketOptions;
pub(crate) use mount::{Mount, SocketHome, WebSocketMount};
pub use origin::{CheckOrigin, OriginCheck, OriginError, OriginPattern};

use crate::body::Body;

/// Takes the requests to one path of a socket's mount.
pub(crate) trait Transport: Send + Sync + fmt::Debug {
    /// Answers a request; an upgrade hands the connection over to a socket process.
    fn serve(&self, request: Request<Body>) -> Pin<Box<dyn Future<Output = Response<Body>> + Send>>;
}
