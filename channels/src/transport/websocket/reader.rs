//! The reading half of a WebSocket: tungstenite while something of the client is under way, and nothing while not.
//!
//! Tungstenite has a read buffer, a write buffer and much to remember. A connection whose client has said all it has
//! to say needs none of it: what arrives next is read onto the stack. Almost always that is one message, whole, and it is
//! taken from there (`single.rs`); for anything else tungstenite is made anew, from these bytes. Its pongs and close
//! frames go through its own write buffer, so it writes only between two whole frames of ours.

use std::io::{self, Read, Write};
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context as TaskContext, Poll, ready};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tungstenite::error::ProtocolError;
use tungstenite::protocol::frame::CloseFrame;
use tungstenite::protocol::{Role, WebSocketConfig, WebSocketContext};
use tungstenite::{Error, Message};

use super::meter::{Arrived, FrameMeter};
use super::single::single;
use crate::serializer::Frame;
use crate::socket::Limits;

/// What is read at once.
pub(super) const READ_BYTES: usize = 4_096;

/// What tungstenite gathers of its own frames, pongs and closes of up to 131 bytes, before it writes.
pub(super) const WRITE_BUFFER_BYTES: usize = 1_024;

/// What may wait in tungstenite to be written. Of pongs the newest waits for room.
pub(super) const WRITE_BUFFER_BYTES_MAX: usize = 2_048;

/// What a client sends, message by message.
#[derive(Debug)]
pub(super) struct Reader {
    meter: FrameMeter,
    fragments_max: u32,
    /// A message was cut into too many frames: nothing more is read.
    broken: bool,
    /// A pong may wait to be written, whole or in part.
    owes_pong: bool,
    codec: Option<Box<WebSocketContext>>,
}

/// A message of a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Incoming {
    Data(Frame),
    /// It is answered at the next read.
    Ping(Bytes),
    Pong(Bytes),
    /// As a ping.
    Close,
}

/// The configuration of tungstenite for these limits. It allocates `read_bytes` at once.
pub(super) fn config(limits: &Limits, read_bytes: usize) -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(read_bytes)
        .write_buffer_size(WRITE_BUFFER_BYTES)
        .max_write_buffer_size(WRITE_BUFFER_BYTES_MAX)
        .max_message_size(Some(limits.frame_bytes_max))
        .max_frame_size(Some(limits.frame_bytes_max))
}

impl Reader {
    /// Over a wire of which these bytes have been read already.
    pub(super) fn new(already_read: &[u8], limits: &Limits) -> Self {
        let mut reader = Self {
            meter: FrameMeter::default(),
            fragments_max: limits.fragments_max,
            broken: false,
            owes_pong: false,
            codec: None,
        };
        if !already_read.is_empty() {
            reader.begin(already_read, limits);
        }
        reader
    }

    /// Whether a message was cut into too many frames.
    pub(super) fn is_broken(&self) -> bool {
        self.broken
    }

    /// What has arrived since this was called last.
    pub(super) fn take_arrived(&mut self) -> Arrived {
        self.meter.take_arrived()
    }

    /// Whether the client has closed: it is answered with a close frame, and nothing may follow that.
    pub(super) fn is_closed(&self) -> bool {
        self.codec.as_ref().is_some_and(|codec| !codec.can_write())
    }

    /// Whether it has no buffer.
    #[cfg(test)]
    pub(super) fn holds_nothing(&self) -> bool {
        self.codec.is_none()
    }

    /// The next message. Writes the answers to pings and to a close that were read before.
    pub(super) fn poll_next<I>(
        &mut self,
        io: &mut I,
        cx: &mut TaskContext<'_>,
        limits: &Limits,
    ) -> Poll<Result<Incoming, Error>>
    where
        I: AsyncRead + AsyncWrite + Unpin,
    {
        // While a pong is blocked, all else is read: the client may be waiting for that.
        let _blocked = self.poll_pong(io, cx)?;
        if self.codec.is_none() {
            let mut scratch = [MaybeUninit::uninit(); READ_BYTES];
            let mut read = ReadBuf::uninit(&mut scratch);
            ready!(Pin::new(&mut *io).poll_read(cx, &mut read))?;
            if read.filled().is_empty() {
                return Poll::Ready(Err(ProtocolError::ResetWithoutClosingHandshake.into()));
            }
            if self.fragments_max > 0
                && let Some(frame) = single(read.filled_mut(), limits.frame_bytes_max)
            {
                self.meter.count_message();
                return Poll::Ready(Ok(Incoming::Data(frame)));
            }
            self.begin(read.filled(), limits);
        }
        let codec = self.codec.as_mut().expect("invariant: made above");
        if self.broken {
            return Poll::Ready(Err(too_many_fragments().into()));
        }
        let (meter, broken) = (&mut self.meter, &mut self.broken);
        let mut wire =
            Wire { io, cx, meter: Some(Metered { meter, fragments_max: self.fragments_max, broken }) };
        let message = ready!(not_blocked(codec.read(&mut wire)))?;
        self.meter.take_message();
        self.owes_pong |= message.is_ping();
        self.rest();
        Poll::Ready(Ok(Incoming::of(message)))
    }

    /// Writes the pong that is owed, if one is; ready when none is and frames of ours may be written.
    pub(super) fn poll_pong<I>(&mut self, io: &mut I, cx: &mut TaskContext<'_>) -> Poll<Result<(), Error>>
    where
        I: AsyncRead + AsyncWrite + Unpin,
    {
        if !self.owes_pong || self.is_closed() {
            return Poll::Ready(Ok(()));
        }
        if let Some(codec) = &mut self.codec {
            ready!(not_blocked(codec.flush(&mut Wire { io, cx, meter: None })))?;
        }
        self.owes_pong = false;
        self.rest();
        Poll::Ready(Ok(()))
    }

    /// Closes with this frame, and writes it together with the pong that may be owed; ready when it is written. Called
    /// again until it is.
    pub(super) fn poll_close<I>(
        &mut self,
        io: &mut I,
        cx: &mut TaskContext<'_>,
        limits: &Limits,
        frame: &CloseFrame,
    ) -> Poll<Result<(), Error>>
    where
        I: AsyncRead + AsyncWrite + Unpin,
    {
        let codec = self.codec.get_or_insert_with(|| {
            Box::new(WebSocketContext::new(Role::Server, Some(config(limits, READ_BYTES))))
        });
        not_blocked(codec.close(&mut Wire { io, cx, meter: None }, Some(frame.clone())))
    }

    /// Takes bytes off the wire where there is no tungstenite yet.
    fn begin(&mut self, bytes: &[u8], limits: &Limits) {
        self.broken |= self.meter.feed(bytes) > self.fragments_max;
        // It will have read these bytes and be gone, if they are whole messages that need no answer.
        let complete = self.meter.ends_with_a_message() && !self.meter.has_controls();
        let config = Some(config(limits, if complete { 0 } else { READ_BYTES }));
        let codec = WebSocketContext::from_partially_read(bytes.to_vec(), Role::Server, config);
        self.codec = Some(Box::new(codec));
    }

    /// Lets go of a tungstenite that holds nothing.
    fn rest(&mut self) {
        if self.meter.is_empty() && !self.owes_pong && !self.is_closed() {
            self.codec = None;
        }
    }
}

impl Incoming {
    fn of(message: Message) -> Self {
        match message {
            Message::Text(text) => {
                let text = Bytes::from(text).try_into().expect("invariant: a text message is UTF-8");
                Self::Data(Frame::Text(text))
            }
            Message::Binary(bytes) => Self::Data(Frame::Binary(bytes)),
            Message::Ping(payload) => Self::Ping(payload),
            Message::Pong(payload) => Self::Pong(payload),
            Message::Close(_) => Self::Close,
            Message::Frame(_) => unreachable!("invariant: tungstenite reads messages, not frames"),
        }
    }
}

fn too_many_fragments() -> io::Error {
    io::Error::other("a message of too many fragments")
}

/// Tungstenite's word for pending is an error.
fn not_blocked<T>(result: Result<T, Error>) -> Poll<Result<T, Error>> {
    match result {
        Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => Poll::Pending,
        result => Poll::Ready(result),
    }
}

/// The wire as tungstenite sees it: what it reads is metered.
struct Wire<'a, 'c, I> {
    io: &'a mut I,
    cx: &'a mut TaskContext<'c>,
    /// None where nothing is read.
    meter: Option<Metered<'a>>,
}

struct Metered<'a> {
    meter: &'a mut FrameMeter,
    fragments_max: u32,
    broken: &'a mut bool,
}

impl<I: AsyncRead + Unpin> Read for Wire<'_, '_, I> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let mut read = ReadBuf::new(buf);
        now(Pin::new(&mut *self.io).poll_read(self.cx, &mut read))?;
        if let Some(Metered { meter, fragments_max, broken }) = &mut self.meter {
            **broken |= meter.feed(read.filled()) > *fragments_max;
            if **broken {
                return Err(too_many_fragments());
            }
        }
        Ok(read.filled().len())
    }
}

impl<I: AsyncWrite + Unpin> Write for Wire<'_, '_, I> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        now(Pin::new(&mut *self.io).poll_write(self.cx, buf))
    }

    fn flush(&mut self) -> io::Result<()> {
        now(Pin::new(&mut *self.io).poll_flush(self.cx))
    }
}

fn now<T>(polled: Poll<io::Result<T>>) -> io::Result<T> {
    match polled {
        Poll::Ready(result) => result,
        Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
    }
}
