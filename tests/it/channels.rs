//! Sockets and channels over a real WebSocket, frame by frame, as `phoenix.js` would see them.

mod abuse;
mod http;
mod lifecycle;
mod room;
mod v1;
