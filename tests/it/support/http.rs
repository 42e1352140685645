//! HTTP without a client library between the test and the server.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::within;

/// Sends bytes and reads until the server closes.
pub(crate) async fn exchange(addr: SocketAddr, request: &str) -> String {
    let mut tcp = TcpStream::connect(addr).await.expect("the server listens");
    tcp.write_all(request.as_bytes()).await.expect("the server takes a request");
    let mut answer = Vec::new();
    // A reset after the answer is how a server ends a request that it has not read.
    drop(within("the answer", tcp.read_to_end(&mut answer)).await);
    String::from_utf8_lossy(&answer).into_owned()
}

pub(crate) fn head(method: &str, path: &str, headers: &str) -> String {
    format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{headers}\r\n")
}

pub(crate) fn status(answer: &str) -> &str {
    answer.split(' ').nth(1).unwrap_or("no answer")
}

/// As [`exchange`], for a request that asks to keep the connection: reads the head and the body that it announces.
pub(crate) async fn exchange_open(addr: SocketAddr, request: &str) -> String {
    let mut tcp = TcpStream::connect(addr).await.expect("the server listens");
    tcp.write_all(request.as_bytes()).await.expect("the server takes a request");
    let mut answer = String::new();
    let mut buffer = [0; 4_096];
    loop {
        let n = within("the answer", tcp.read(&mut buffer)).await.expect("readable");
        answer.push_str(&String::from_utf8_lossy(&buffer[..n]));
        let whole = answer.split_once("\r\n\r\n").is_some_and(|(head, body)| {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            length.and_then(|length| length.parse().ok()).unwrap_or(0) <= body.len()
        });
        if whole || n == 0 {
            return answer;
        }
    }
}
