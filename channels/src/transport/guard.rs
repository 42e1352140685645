//! What stands between a client's connection and the HTTP layer, as long as the connection speaks HTTP.
//!
//! It ends writes that get nowhere, sees requests that give the length of their body twice, and closes without cutting
//! off the last answer. A WebSocket does these things in its own way, and has nothing of this left.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context as TaskContext, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

use super::heads::Heads;

/// How long, and how many bytes, an ended connection is listened to before it is closed. Closing with unread bytes
/// resets it, and with them the last answer may be lost on its way.
const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES_MAX: usize = 256 << 10;

/// A connection that speaks HTTP.
#[derive(Debug)]
pub(crate) struct Guarded<I> {
    io: I,
    heads: Heads,
    ambiguous: Arc<AtomicBool>,
    write_timeout: Duration,
    /// Set while a write waits for the client.
    stalled: Option<Pin<Box<Sleep>>>,
    goodbye: Option<Goodbye>,
}

#[derive(Debug)]
struct Goodbye {
    deadline: Pin<Box<Sleep>>,
    bytes: usize,
}

impl<I> Guarded<I> {
    /// A client that takes nothing for `write_timeout` while something waits to be written is gone: the write fails.
    /// `ambiguous` is set when a request arrives that gives the length of its body twice.
    pub(crate) fn new(io: I, write_timeout: Duration, ambiguous: Arc<AtomicBool>) -> Self {
        Self { io, heads: Heads::new(), ambiguous, write_timeout, stalled: None, goodbye: None }
    }

    /// The connection itself, when it speaks HTTP no more.
    pub(crate) fn into_inner(self) -> I {
        self.io
    }

    /// Watches over a write: how long it has been waiting.
    fn watch<T>(&mut self, cx: &mut TaskContext<'_>, write: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if write.is_ready() {
            self.stalled = None;
            return write;
        }
        let timeout = self.write_timeout;
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(tokio::time::sleep(timeout)));
        ready!(stalled.as_mut().poll(cx));
        let error = format!("the client took nothing of an answer for {timeout:?}");
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, error)))
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for Guarded<I> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut TaskContext<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        ready!(Pin::new(&mut this.io).poll_read(cx, buf))?;
        if this.heads.feed(&buf.filled()[before..]) {
            this.ambiguous.store(true, Ordering::Relaxed);
        }
        Poll::Ready(Ok(()))
    }
}

impl<I: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Guarded<I> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut TaskContext<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let write = Pin::new(&mut this.io).poll_write(cx, buf);
        this.watch(cx, write)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut TaskContext<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let write = Pin::new(&mut this.io).poll_write_vectored(cx, bufs);
        this.watch(cx, write)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let write = Pin::new(&mut this.io).poll_flush(cx);
        this.watch(cx, write)
    }

    /// Says goodbye, then takes what the client still sends, within limits.
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.goodbye.is_none() {
            let shutdown = Pin::new(&mut this.io).poll_shutdown(cx);
            ready!(this.watch(cx, shutdown))?;
        }
        let goodbye = this
            .goodbye
            .get_or_insert_with(|| Goodbye { deadline: Box::pin(tokio::time::sleep(LINGER)), bytes: 0 });
        let mut scratch = [0; 4_096];
        while goodbye.bytes < LINGER_BYTES_MAX && goodbye.deadline.as_mut().poll(cx).is_pending() {
            let mut buffer = ReadBuf::new(&mut scratch);
            match ready!(Pin::new(&mut this.io).poll_read(cx, &mut buffer)) {
                Ok(()) if buffer.filled().is_empty() => break,
                Ok(()) => goodbye.bytes += buffer.filled().len(),
                Err(_) => break,
            }
        }
        Poll::Ready(Ok(()))
    }
}
