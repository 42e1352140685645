//! A client on a connection of its own, which hands on what it reads.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use crate::Error;
use crate::wire::{self, Message, Opcode};

const HEAD_END: &[u8] = b"\r\n\r\n";

/// What a client has read, from its join on.
#[derive(Debug, Default)]
pub(super) struct Read {
    bytes: AtomicU64,
    frames: AtomicU64,
}

/// It reads as long as this lives.
pub(super) struct Client {
    pub(super) read: Arc<Read>,
    reading: JoinHandle<()>,
}

impl Read {
    /// Bytes, and frames.
    pub(super) fn so_far(&self) -> [u64; 2] {
        [&self.bytes, &self.frames].map(|counter| counter.load(Ordering::Relaxed))
    }
}

impl Client {
    /// Joins a topic; `hear` is given events with their payloads.
    pub(super) async fn join(
        addr: SocketAddr,
        topic: &str,
        mut hear: impl FnMut(&[u8], &[u8]) + Send + 'static,
    ) -> Result<Self, Error> {
        let mut stream = TcpStream::connect(addr).await?;
        stream.set_nodelay(true)?;
        let head = format!(
            "GET /socket/websocket?vsn=2.0.0 HTTP/1.1\r\nHost: {addr}\r\nConnection: Upgrade\r\n\
             Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await?;
        let mut unread = Vec::new();
        let end = loop {
            stream.read_buf(&mut unread).await?;
            if let Some(at) = unread.windows(HEAD_END.len()).position(|four| four == HEAD_END) {
                break at + HEAD_END.len();
            }
        };
        unread.drain(..end);
        let mut join = Vec::new();
        wire::push_masked(
            &mut join,
            Opcode::Text,
            format!(r#"["1","1","{topic}","phx_join",{{}}]"#).as_bytes(),
        );
        stream.write_all(&join).await?;
        let read = Arc::new(Read::default());
        let tally = read.clone();
        let reading = tokio::spawn(async move {
            // The end of the connection is the end of what is read; whoever wants more finds that nothing comes.
            while let Ok(len @ 1..) = stream.read_buf(&mut unread).await {
                tally.bytes.fetch_add(len as u64, Ordering::Relaxed);
                let mut used = 0;
                while let Ok(Some(frame)) = wire::first_frame(&unread[used..]) {
                    let text = &unread[used..][frame.payload.clone()];
                    if let Some(message) = Message::parse(text) {
                        tally.frames.fetch_add(1, Ordering::Relaxed);
                        hear(message.event, message.payload);
                    }
                    used += frame.payload.end;
                }
                unread.drain(..used);
            }
        });
        Ok(Self { read, reading })
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.reading.abort();
    }
}
