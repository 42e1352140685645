//! The wire with a meter on what comes off it.

use std::io;
use std::pin::Pin;
use std::task::{Context as TaskContext, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::meter::{Arrived, FrameMeter};

/// A wire that reads no further once a message is cut into too many frames.
#[derive(Debug)]
pub(super) struct Metered<I> {
    io: I,
    meter: FrameMeter,
    fragments_max: u32,
    broken: bool,
}

impl<I> Metered<I> {
    /// Over a wire of which these bytes have been read already.
    pub(super) fn new(io: I, already_read: &[u8], fragments_max: u32) -> Self {
        let mut metered = Self { io, meter: FrameMeter::default(), fragments_max, broken: false };
        metered.feed(already_read);
        metered
    }

    fn feed(&mut self, bytes: &[u8]) {
        self.broken |= self.meter.feed(bytes) > self.fragments_max;
    }

    /// Whether a message was cut into too many frames.
    pub(super) fn is_broken(&self) -> bool {
        self.broken
    }

    /// What has arrived since this was called last.
    pub(super) fn take_arrived(&mut self) -> Arrived {
        self.meter.take_arrived()
    }

    /// The wire itself, past the meter.
    pub(super) fn wire(&mut self) -> &mut I {
        &mut self.io
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for Metered<I> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut TaskContext<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.broken {
            return Poll::Ready(Err(io::Error::other("a message of too many fragments")));
        }
        let before = buf.filled().len();
        ready!(Pin::new(&mut this.io).poll_read(cx, buf))?;
        this.feed(&buf.filled()[before..]);
        Poll::Ready(Ok(()))
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for Metered<I> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut TaskContext<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().io).poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_shutdown(cx)
    }
}
