//! Transports: how messages of a socket travel. The WebSocket transport is the one there is.

mod handshake;
mod mount;
mod origin;
mod websocket;

use std::fmt;
use std::pin::Pin;

use http::{Request, Response};

pub use mount::SocketOptions;
pub(crate) use mount::{SocketHome, WebSocketMount};
pub use origin::{CheckOrigin, OriginError, OriginPattern};

use crate::body::Body;

/// Takes the requests to one path of a socket's mount.
pub(crate) trait Transport: Send + Sync + fmt::Debug {
    /// Answers a request; an upgrade hands the connection over to a socket process.
    fn serve(&self, request: Request<()>) -> Pin<Box<dyn Future<Output = Response<Body>> + Send>>;
}
