//! The WebSocket transport: one task, one queue, one flush.
//!
//! The socket process polls everything itself: its mailbox, the frames that wait to be written, the frames that the
//! client sent. It reads only while it can write and its channels keep up, so that a client that floods or does not
//! read waits in its own kernel buffers. While nothing is under way it has no buffers at all.

mod head;
mod meter;
mod reader;
mod single;
mod writer;

use std::io;
use std::pin::Pin;
use std::task::{Context as TaskContext, Poll, ready};
use std::time::Duration;

use heronry::{Context, ExitReason, telemetry};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};
use tungstenite::Utf8Bytes;
use tungstenite::error::{CapacityError, ProtocolError};
use tungstenite::protocol::frame::CloseFrame;

use self::reader::{Incoming, Reader};
use self::writer::{FRAMES_PER_WRITE, Writer};
use crate::close::CloseCode;
use crate::rate::Bucket;
use crate::socket::{ControlKind, Driven, End, Limits, SocketClosed, SocketMsg};

/// How long a client has to take the close frame and answer it.
const CLOSE_WAIT: Duration = Duration::from_secs(2);

/// Messages read in one poll before others get the thread.
const READS_PER_POLL: usize = 64;

/// A socket process over a WebSocket; a future that ends when both the client and the channels have.
pub(crate) struct WebSocketLoop<D, I> {
    io: I,
    reader: Reader,
    writer: Writer,
    session: D,
    phase: Phase,
    /// The last time that the client showed to be there: it sent something, or took what had waited for it.
    heard: Instant,
    controls: Bucket,
    timer: Pin<Box<Sleep>>,
    /// A write is under way that the client's window does not take.
    blocked: bool,
}

enum Phase {
    Open,
    Closing(Box<Closing>),
}

struct Closing {
    why: String,
    code: Option<CloseCode>,
    /// The close frame that is still to be written, after the rest of a frame that is written in part.
    farewell: Option<CloseFrame>,
    /// The client takes part no more: it has closed, is gone, or had its time.
    client_gone: bool,
    client_deadline: Instant,
    /// When channels that have not ended are killed; `None` once they were.
    channels_deadline: Option<Instant>,
    /// Tungstenite reads no more after an error, but what the client still sends must be taken off the wire: closing
    /// with unread bytes resets the connection, and the close frame may be lost with it.
    drain_raw: bool,
}

/// One poll of an open socket.
struct Turn {
    /// How many messages it may still read.
    reads: usize,
    /// The time, from when it was first asked for: once a poll, and not for each message.
    now: Option<Instant>,
}

impl Turn {
    fn now(&mut self) -> Instant {
        *self.now.get_or_insert_with(Instant::now)
    }
}

/// What reading came to.
enum Read {
    More,
    Blocked,
    /// The client did something that ends the socket.
    End(End),
    /// Something in the mailbox ends it.
    Told(End),
    Gone(String),
}

impl<D: Driven, I: AsyncRead + AsyncWrite + Unpin> WebSocketLoop<D, I> {
    pub(crate) fn new(io: I, already_read: &[u8], session: D, mut timer: Pin<Box<Sleep>>) -> Self {
        let reader = Reader::new(already_read, session.limits());
        let heard = Instant::now();
        timer.as_mut().reset(heard + session.limits().idle_timeout);
        let controls = Bucket::new(session.limits().control_frames);
        let writer = Writer::default();
        Self { io, reader, writer, session, phase: Phase::Open, heard, controls, timer, blocked: false }
    }

    /// Does all that can be done now; ready with the exit reason of the process.
    pub(crate) fn poll(
        &mut self,
        cx: &mut TaskContext<'_>,
        ctx: &mut Context<SocketMsg>,
    ) -> Poll<ExitReason> {
        while let Err(end) = self.receive(cx, ctx) {
            self.told(cx, end);
        }
        if let Phase::Open = self.phase {
            self.poll_open(cx, ctx);
        }
        self.poll_timer(cx, ctx);
        match self.phase {
            Phase::Open => Poll::Pending,
            Phase::Closing(_) => self.poll_closing(cx, ctx),
        }
    }

    /// Takes what is in the mailbox, up to what ends the socket.
    fn receive(&mut self, cx: &mut TaskContext<'_>, ctx: &mut Context<SocketMsg>) -> Result<(), End> {
        while let Poll::Ready(received) = ctx.poll_receive(cx) {
            self.session.receive(ctx, received)?;
        }
        Ok(())
    }

    fn poll_open(&mut self, cx: &mut TaskContext<'_>, ctx: &mut Context<SocketMsg>) {
        let mut turn = Turn { reads: READS_PER_POLL, now: None };
        loop {
            if let Err(error) = self.write(cx) {
                return self.gone(error.to_string());
            }
            if self.blocked {
                if let Err(end) = self.session.output().stays(Instant::now()) {
                    self.close(end, false);
                }
                return;
            }
            if let Some(end) = self.session.end_after_output() {
                return self.close(end, false);
            }
            if !self.session.may_read() {
                return;
            }
            match self.read(cx, ctx, &mut turn) {
                // The answers to what was read are written before more is.
                Read::Blocked if self.session.output().has_frames() => {}
                Read::Blocked => return,
                Read::More if turn.reads == 0 => {
                    cx.waker().wake_by_ref();
                    return;
                }
                Read::More => {}
                Read::End(end) => return self.close(end, true),
                Read::Told(end) => return self.told(cx, end),
                Read::Gone(why) => return self.gone(why),
            }
        }
    }

    /// Writes all that waits, then flushes once.
    fn write(&mut self, cx: &mut TaskContext<'_>) -> Result<(), tungstenite::Error> {
        if self.reader.is_closed() {
            return Ok(());
        }
        let was_blocked = std::mem::take(&mut self.blocked);
        // What a client that does not read will be sent next can be decided when it does.
        let mut frames = if was_blocked { 1 } else { FRAMES_PER_WRITE };
        let Self { io, reader, writer, session, .. } = self;
        let output = session.output();
        let mut moved = false;
        loop {
            let written = if output.has_frames() {
                match reader.poll_pong(io, cx)? {
                    Poll::Ready(()) => writer.poll_frames(io, cx, output, frames)?,
                    Poll::Pending => Poll::Pending,
                }
            } else if writer.is_unflushed() {
                writer.poll_flush(io, cx)?.map(|()| output.written())
            } else {
                break;
            };
            if written.is_pending() {
                self.blocked = true;
                break;
            }
            (moved, frames) = (true, FRAMES_PER_WRITE);
        }
        // A client that takes what had waited for it is there, though nothing of what it sends was read meanwhile.
        if was_blocked && moved {
            self.heard = Instant::now();
        }
        Ok(())
    }

    fn read(&mut self, cx: &mut TaskContext<'_>, ctx: &mut Context<SocketMsg>, turn: &mut Turn) -> Read {
        while turn.reads > 0 {
            let next = self.reader.poll_next(&mut self.io, cx, self.session.limits());
            if let Err(end) = self.weigh(turn) {
                return Read::End(end);
            }
            let message = match next {
                Poll::Pending => return Read::Blocked,
                Poll::Ready(Err(error)) => return on_error(error),
                Poll::Ready(Ok(message)) => message,
            };
            turn.reads -= 1;
            // The client may have sent this because of what is in the mailbox by now: that comes first.
            if let Err(end) = self.receive(cx, ctx) {
                return Read::Told(end);
            }
            let handled = match message {
                Incoming::Data(frame) => self.session.frame(ctx, frame, turn.now()),
                Incoming::Ping(payload) => {
                    self.session.control(ControlKind::Ping, payload);
                    Ok(())
                }
                Incoming::Pong(payload) => {
                    self.session.control(ControlKind::Pong, payload);
                    Ok(())
                }
                Incoming::Close => Ok(()),
            };
            if let Err(end) = handled {
                return Read::End(end);
            }
            if !self.session.may_read() {
                return Read::More;
            }
        }
        Read::More
    }

    /// What the frames that have just arrived say, whatever is in them: the client is there, and what they cost.
    fn weigh(&mut self, turn: &mut Turn) -> Result<(), End> {
        if self.reader.is_broken() {
            return Err(End::policy("too many fragments"));
        }
        let arrived = self.reader.take_arrived();
        if arrived.frames == 0 {
            return Ok(());
        }
        self.heard = turn.now();
        if arrived.controls > 0 && self.controls.take_many(self.heard.into_std(), arrived.controls).is_err() {
            return Err(End::policy("too many control frames"));
        }
        Ok(())
    }

    /// Ends because of something in the mailbox. What came before that goes out before the close, as far as the client
    /// takes it at once; who reads too slowly is sent no more.
    fn told(&mut self, cx: &mut TaskContext<'_>, end: End) {
        if let (Phase::Open, false) = (&self.phase, end.code == CloseCode::PolicyViolation)
            && let Err(error) = self.write(cx)
        {
            return self.gone(error.to_string());
        }
        self.close(end, false);
    }

    /// Begins to close with a code: the client is told, the channels are asked to end.
    fn close(&mut self, end: End, drain_raw: bool) {
        if let Phase::Closing(_) = self.phase {
            return;
        }
        self.session.output().forget();
        let frame = CloseFrame { code: end.code.code().into(), reason: close_reason(&end) };
        self.begin_closing(end.why, Some((end.code, frame)), drain_raw);
    }

    fn gone(&mut self, why: String) {
        if let Phase::Open = self.phase {
            self.begin_closing(why, None, false);
        }
    }

    /// With what the client is told, unless it is gone.
    fn begin_closing(&mut self, why: String, farewell: Option<(CloseCode, CloseFrame)>, drain_raw: bool) {
        let (code, farewell) = farewell.unzip();
        self.session.close(code);
        let now = Instant::now();
        let closing = Closing {
            why,
            code,
            client_gone: farewell.is_none(),
            farewell,
            client_deadline: now + CLOSE_WAIT,
            channels_deadline: Some(now + self.session.limits().channel_shutdown),
            drain_raw,
        };
        self.timer.as_mut().reset(now + CLOSE_WAIT);
        self.phase = Phase::Closing(Box::new(closing));
    }

    fn poll_closing(&mut self, cx: &mut TaskContext<'_>, ctx: &Context<SocketMsg>) -> Poll<ExitReason> {
        // What channels still send has no reader.
        self.session.output().forget();
        let Phase::Closing(closing) = &mut self.phase else { return Poll::Pending };
        if !closing.client_gone {
            let Self { io, reader, writer, session, .. } = self;
            let farewell = poll_farewell(io, cx, reader, writer, session, &mut closing.farewell);
            closing.client_gone = match farewell {
                Poll::Ready(true) if closing.drain_raw => poll_drain(io, cx).is_ready(),
                Poll::Ready(true) => poll_goodbye(io, cx, reader, session.limits()).is_ready(),
                Poll::Ready(false) => true,
                Poll::Pending => false,
            };
        }
        if !closing.client_gone || !self.session.is_closed() {
            return Poll::Pending;
        }
        self.session.output().report_shed(ctx);
        let (received, sent) = (self.session.received(), self.session.output().sent());
        telemetry::emit(&SocketClosed {
            pid: ctx.pid(),
            why: closing.why.clone(),
            code: closing.code,
            received,
            sent,
        });
        Poll::Ready(ExitReason::shutdown_with(closing.why.as_str()))
    }

    /// When the session has to be looked after, though nothing happens.
    fn session_deadline(&mut self) -> Option<Instant> {
        let own = self.session.deadline();
        let output = self.session.output();
        let oldest = if self.blocked { output.deadline() } else { None };
        [own, output.report_deadline(), oldest].into_iter().flatten().min()
    }

    fn poll_timer(&mut self, cx: &mut TaskContext<'_>, ctx: &Context<SocketMsg>) {
        if let Phase::Open = self.phase
            && let Some(deadline) = self.session_deadline()
            && deadline < self.timer.deadline()
        {
            self.timer.as_mut().reset(deadline);
        }
        while self.timer.as_mut().poll(cx).is_ready() {
            let now = Instant::now();
            let next = match &mut self.phase {
                Phase::Open => self.open_deadline(ctx, now),
                Phase::Closing(closing) => {
                    closing.client_gone |= now >= closing.client_deadline;
                    match closing.channels_deadline {
                        Some(deadline) if now >= deadline => {
                            closing.channels_deadline = None;
                            self.session.kill();
                            None
                        }
                        deadline => deadline,
                    }
                }
            };
            match next {
                Some(deadline) => self.timer.as_mut().reset(deadline),
                None => return,
            }
        }
    }

    /// Acts on what is due while the socket is open; the next deadline.
    fn open_deadline(&mut self, ctx: &Context<SocketMsg>, now: Instant) -> Option<Instant> {
        self.session.due(now);
        if self.session.output().report_deadline().is_some_and(|deadline| now >= deadline) {
            self.session.output().report_shed(ctx);
        }
        if self.blocked
            && let Err(end) = self.session.output().stays(now)
        {
            self.close(end, false);
            return Some(now + CLOSE_WAIT);
        }
        if !self.session.may_read() {
            self.heard = now; // its silence can't be told from our not listening
        }
        let idle = self.heard + self.session.limits().idle_timeout;
        if now >= idle {
            let why = format!("no sign of the client for {:?}", self.session.limits().idle_timeout);
            self.close(End::new(CloseCode::GoingAway, why), false);
            return Some(now + CLOSE_WAIT);
        }
        // What is past and still stands (a client too slow that is not to be disconnected) needs no timer.
        let next = self.session_deadline().filter(|deadline| *deadline > now);
        Some(next.map_or(idle, |deadline| deadline.min(idle)))
    }
}

/// Writes the rest of a frame that is written in part, then the close frame; whether the client got it.
fn poll_farewell<D: Driven, I: AsyncRead + AsyncWrite + Unpin>(
    io: &mut I,
    cx: &mut TaskContext<'_>,
    reader: &mut Reader,
    writer: &mut Writer,
    session: &mut D,
    farewell: &mut Option<CloseFrame>,
) -> Poll<bool> {
    let Some(frame) = &*farewell else { return Poll::Ready(true) };
    while writer.is_amid_frame() {
        if ready!(writer.poll_frames(io, cx, session.output(), 1)).is_err() {
            return Poll::Ready(false);
        }
    }
    let told = ready!(reader.poll_close(io, cx, session.limits(), frame)).is_ok();
    *farewell = None;
    Poll::Ready(told)
}

/// Takes what the client sends until it closes too.
fn poll_goodbye<I: AsyncRead + AsyncWrite + Unpin>(
    io: &mut I,
    cx: &mut TaskContext<'_>,
    reader: &mut Reader,
    limits: &Limits,
) -> Poll<()> {
    while ready!(reader.poll_next(io, cx, limits)).is_ok() {}
    Poll::Ready(())
}

/// As [`poll_goodbye`], after something that can't be read as frames.
fn poll_drain<I: AsyncRead + AsyncWrite + Unpin>(io: &mut I, cx: &mut TaskContext<'_>) -> Poll<()> {
    ready!(Pin::new(&mut *io).poll_shutdown(cx)).ok();
    let mut scratch = [0; 1_024];
    loop {
        let mut buffer = ReadBuf::new(&mut scratch);
        match ready!(Pin::new(&mut *io).poll_read(cx, &mut buffer)) {
            Ok(()) if buffer.filled().is_empty() => return Poll::Ready(()),
            Ok(()) => {}
            Err(_) => return Poll::Ready(()),
        }
    }
}

/// A close frame has room for 123 bytes of reason.
fn close_reason(end: &End) -> Utf8Bytes {
    let reason = end.reason;
    reason[..reason.floor_char_boundary(123)].into()
}

fn on_error(error: tungstenite::Error) -> Read {
    use tungstenite::Error;
    match error {
        Error::ConnectionClosed | Error::AlreadyClosed => Read::Gone("closed by the client".to_owned()),
        Error::Capacity(CapacityError::MessageTooLong { size, max_size }) => {
            let why = format!("a message of {size} bytes, {max_size} are allowed");
            Read::End(End::new(CloseCode::TooBig, why))
        }
        Error::Utf8(_) => Read::End(End::new(CloseCode::InvalidUtf8, "text that is not UTF-8")),
        Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => {
            Read::Gone("the connection broke off".to_owned())
        }
        Error::Protocol(error) => Read::End(End::new(CloseCode::ProtocolError, error.to_string())),
        Error::Io(error) if error.kind() == io::ErrorKind::ConnectionReset => {
            Read::Gone("the connection was reset".to_owned())
        }
        other => Read::Gone(other.to_string()),
    }
}

#[cfg(test)]
mod tests;
