//! The edge under abuse: raw bytes on raw sockets, and what becomes of the connections that send them.

mod descriptors;
mod files;
mod frames;
mod requests;

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::within;

/// Sends bytes and reads until the server closes.
pub(super) async fn exchange(addr: SocketAddr, request: impl AsRef<[u8]>) -> String {
    let mut tcp = TcpStream::connect(addr).await.expect("the server listens");
    tcp.write_all(request.as_ref()).await.expect("the server takes a request");
    rest_of(&mut tcp).await
}

/// Reads until the server closes.
async fn rest_of(tcp: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    // A reset after the answer ends it as well.
    drop(within("the end of the connection", tcp.read_to_end(&mut answer)).await);
    String::from_utf8_lossy(&answer).into_owned()
}

/// The statuses of the answers in what was read.
pub(super) fn statuses(answers: &str) -> Vec<&str> {
    answers.split("HTTP/1.1 ").skip(1).map(|answer| &answer[..3]).collect()
}
