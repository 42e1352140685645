//! The writing half of a WebSocket: whole frames straight from the queue to the wire.
//!
//! A frame stays in the queue until it is written to its end. The bytes of a broadcast are shared by all who get it, so
//! nothing is copied but what is small, and no buffer stays behind.

use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context as TaskContext, Poll, ready};

use tokio::io::{AsyncWrite, ReadBuf};

use super::head::Head;
use crate::serializer::Frame;
use crate::socket::Output;

/// Frames given to the wire at once.
pub(super) const FRAMES_PER_WRITE: usize = 32;

/// Frames that come to no more than this are copied together: one short copy costs less than a list of pieces.
const COPIED_BYTES: usize = 4_096;

/// More is not given to the wire at once: it takes no more anyway.
const BYTES_PER_WRITE: usize = 256 << 10;

/// How far writing has come.
#[derive(Debug, Default)]
pub(super) struct Writer {
    /// How much of the first frame of the queue is written, its head included.
    begun: usize,
    /// Something was written and not flushed.
    unflushed: bool,
}

impl Writer {
    /// Whether a frame is written in part: nothing else may be written before its rest.
    pub(super) fn is_amid_frame(&self) -> bool {
        self.begun > 0
    }

    /// Whether something was written and not flushed.
    pub(super) fn is_unflushed(&self) -> bool {
        self.unflushed
    }

    /// Writes as much of the first frames as the wire takes at once; up to `frames` of them are decided on, which may not
    /// be replaced any more. There is one at least.
    pub(super) fn poll_frames<I: AsyncWrite + Unpin>(
        &mut self,
        io: &mut I,
        cx: &mut TaskContext<'_>,
        output: &mut Output,
        frames: usize,
    ) -> Poll<io::Result<()>> {
        output.settle(frames.min(FRAMES_PER_WRITE));
        let (mut heads, mut frames, mut bytes) = ([Head::NONE; FRAMES_PER_WRITE], 0, 0);
        for (head, frame) in heads.iter_mut().zip(output.settled()) {
            *head = Head::of(frame);
            frames += 1;
            bytes += head.as_bytes().len() + frame.len();
            if bytes >= BYTES_PER_WRITE {
                break;
            }
        }
        let pieces = heads[..frames].iter().zip(output.settled());
        let taken = if bytes - self.begun <= COPIED_BYTES || !io.is_write_vectored() {
            ready!(self.poll_copied(io, cx, pieces))?
        } else {
            ready!(self.poll_vectored(io, cx, pieces))?
        };
        if taken == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        self.unflushed = true;
        self.advance(taken, output);
        Poll::Ready(Ok(()))
    }

    /// Writes what fits into a buffer on the stack.
    fn poll_copied<'a, I: AsyncWrite + Unpin>(
        &self,
        io: &mut I,
        cx: &mut TaskContext<'_>,
        pieces: impl Iterator<Item = (&'a Head, &'a Frame)>,
    ) -> Poll<io::Result<usize>> {
        let mut scratch = [MaybeUninit::uninit(); COPIED_BYTES];
        let mut copied = ReadBuf::uninit(&mut scratch);
        let mut skip = self.begun;
        for piece in pieces.flat_map(|(head, frame)| [head.as_bytes(), frame.as_bytes()]) {
            let piece = rest(piece, &mut skip);
            copied.put_slice(&piece[..piece.len().min(copied.remaining())]);
        }
        Pin::new(io).poll_write(cx, copied.filled())
    }

    /// Writes the pieces where they are.
    fn poll_vectored<'a, I: AsyncWrite + Unpin>(
        &self,
        io: &mut I,
        cx: &mut TaskContext<'_>,
        pieces: impl Iterator<Item = (&'a Head, &'a Frame)>,
    ) -> Poll<io::Result<usize>> {
        let mut slices = [IoSlice::new(&[]); 2 * FRAMES_PER_WRITE];
        let (mut len, mut skip) = (0, self.begun);
        let pieces = pieces.flat_map(|(head, frame)| [head.as_bytes(), frame.as_bytes()]);
        for (slice, piece) in slices.iter_mut().zip(pieces) {
            *slice = IoSlice::new(rest(piece, &mut skip));
            len += 1;
        }
        // What is written to its end stands first, and writers without a list of pieces of their own write the first.
        let first = slices[..len].iter().position(|slice| !slice.is_empty()).unwrap_or(0);
        Pin::new(io).poll_write_vectored(cx, &slices[first..len])
    }

    /// So many bytes more are written.
    fn advance(&mut self, bytes: usize, output: &mut Output) {
        let (mut begun, mut done) = (self.begun + bytes, 0);
        for frame in output.settled() {
            let len = Head::of(frame).as_bytes().len() + frame.len();
            if begun < len {
                break;
            }
            begun -= len;
            done += 1;
        }
        self.begun = begun;
        output.advance(done, begun > 0);
    }

    /// Flushes what was written.
    pub(super) fn poll_flush<I: AsyncWrite + Unpin>(
        &mut self,
        io: &mut I,
        cx: &mut TaskContext<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(Pin::new(io).poll_flush(cx))?;
        self.unflushed = false;
        Poll::Ready(Ok(()))
    }
}

/// The piece without what is to be skipped of it.
fn rest<'a>(piece: &'a [u8], skip: &mut usize) -> &'a [u8] {
    let here = piece.len().min(*skip);
    *skip -= here;
    &piece[here..]
}
