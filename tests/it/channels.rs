//! Sockets and channels over a real WebSocket, frame by frame, as `phoenix.js` would see them.

mod abuse;
mod callbacks;
mod drain;
mod edge;
mod guide;
mod http;
mod lifecycle;
mod long_poll;
mod mounted;
mod mounts;
mod overload;
pub(crate) mod poller;
mod raw;
mod restart;
pub(crate) mod room;
mod session;
mod tls;
mod v1;
mod wire;
