//! The WebSocket transport: one task, one queue, one flush.
//!
//! The socket process polls everything itself: its mailbox, the frames that wait to be written, the frames that the
//! client sent. It reads only while it can write and its channels keep up, so that a client that floods or does not
//! read waits in its own kernel buffers.

mod meter;
mod metered;

use std::io;
use std::pin::Pin;
use std::task::{Context as TaskContext, Poll, ready};
use std::time::Duration;

use futures_core::Stream;
use futures_sink::Sink;
use heronry::{Context, ExitReason, telemetry};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::{CapacityError, ProtocolError};
use tokio_tungstenite::tungstenite::protocol::frame::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{self, Bytes, Utf8Bytes};

use self::metered::Metered;
use crate::close::CloseCode;
use crate::rate::Bucket;
use crate::serializer::Frame;
use crate::socket::{ControlKind, Driven, End, Limits, SocketClosed, SocketMsg};

/// The read buffer of a connection. Tungstenite allocates it at once and keeps it; its default of 128 KiB would be by
/// far the largest part of an idle connection.
pub(crate) const READ_BUFFER_BYTES: usize = 1_024;

/// What is gathered before it is written without a flush.
pub(crate) const WRITE_BUFFER_BYTES: usize = 4_096;

/// What may wait in tungstenite. The next message is fed only when the one before is through, so this is the largest
/// message that can be sent at all; a larger one ends the connection.
pub(crate) const WRITE_BUFFER_BYTES_MAX: usize = 64 << 20;

/// How long a client has to take the close frame and answer it.
const CLOSE_WAIT: Duration = Duration::from_secs(2);

/// Messages read in one poll before others get the thread.
const READS_PER_POLL: usize = 64;

/// The configuration of tungstenite for these limits.
pub(crate) fn config(limits: &Limits) -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER_BYTES)
        .write_buffer_size(WRITE_BUFFER_BYTES)
        .max_write_buffer_size(WRITE_BUFFER_BYTES_MAX)
        .max_message_size(Some(limits.frame_bytes_max))
        .max_frame_size(Some(limits.frame_bytes_max))
}

/// A socket process over a WebSocket; a future that ends when both the client and the channels have.
pub(crate) struct WebSocketLoop<D, I> {
    stream: WebSocketStream<Metered<I>>,
    session: D,
    phase: Phase,
    /// The last time that the client showed to be there: it sent something, or took what had waited for it.
    heard: Instant,
    controls: Bucket,
    timer: Pin<Box<Sleep>>,
    /// A write is under way that the client's window does not take.
    blocked: bool,
    /// Something was fed and not flushed.
    unflushed: bool,
}

enum Phase {
    Open,
    Closing(Closing),
}

struct Closing {
    why: String,
    code: Option<CloseCode>,
    /// The client takes part no more: it has closed, is gone, or had its time.
    client_gone: bool,
    client_deadline: Instant,
    /// When channels that have not ended are killed; `None` once they were.
    channels_deadline: Option<Instant>,
    /// Tungstenite reads no more after an error, but what the client still sends must be taken off the wire: closing
    /// with unread bytes resets the connection, and the close frame may be lost with it.
    drain_raw: bool,
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
    pub(crate) fn new(io: I, already_read: Vec<u8>, session: D, mut timer: Pin<Box<Sleep>>) -> Self {
        let config = Some(config(session.limits()));
        let io = Metered::new(io, &already_read, session.limits().fragments_max);
        let stream = if already_read.is_empty() {
            ready_now(WebSocketStream::from_raw_socket(io, Role::Server, config))
        } else {
            ready_now(WebSocketStream::from_partially_read(io, already_read, Role::Server, config))
        };
        let heard = Instant::now();
        timer.as_mut().reset(heard + session.limits().idle_timeout);
        let controls = Bucket::new(session.limits().control_frames);
        Self { stream, session, phase: Phase::Open, heard, controls, timer, blocked: false, unflushed: false }
    }

    /// Does all that can be done now; ready with the exit reason of the process.
    pub(crate) fn poll(
        &mut self,
        cx: &mut TaskContext<'_>,
        ctx: &mut Context<SocketMsg>,
    ) -> Poll<ExitReason> {
        while let Err(end) = self.receive(cx, ctx) {
            self.close(end, false);
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
        let mut reads = READS_PER_POLL;
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
            match self.read(cx, ctx, &mut reads) {
                // The answers to what was read are written before more is.
                Read::Blocked if self.session.output().has_frames() => {}
                Read::Blocked => return,
                Read::More if reads == 0 => {
                    cx.waker().wake_by_ref();
                    return;
                }
                Read::More => {}
                Read::End(end) => return self.close(end, true),
                Read::Told(end) => return self.close(end, false),
                Read::Gone(why) => return self.gone(why),
            }
        }
    }

    /// Feeds all that waits, then flushes once.
    fn write(&mut self, cx: &mut TaskContext<'_>) -> Result<(), tungstenite::Error> {
        let was_blocked = std::mem::take(&mut self.blocked);
        let mut moved = false;
        loop {
            if self.session.output().has_frames() {
                self.blocked = Pin::new(&mut self.stream).poll_ready(cx)?.is_pending();
                if !self.blocked {
                    let frame = self.session.output().pop().expect("invariant: there is output");
                    Pin::new(&mut self.stream).start_send(to_wire(frame))?;
                    (self.unflushed, moved) = (true, true);
                    continue;
                }
            } else if self.unflushed {
                self.blocked = Pin::new(&mut self.stream).poll_flush(cx)?.is_pending();
                if !self.blocked {
                    (self.unflushed, moved) = (false, true);
                    self.session.output().written();
                    continue;
                }
            }
            // A client that takes what had waited for it is there, though nothing of what it sends was read meanwhile.
            if was_blocked && moved {
                self.heard = Instant::now();
            }
            return Ok(());
        }
    }

    fn read(&mut self, cx: &mut TaskContext<'_>, ctx: &mut Context<SocketMsg>, reads: &mut usize) -> Read {
        while *reads > 0 {
            let next = Pin::new(&mut self.stream).poll_next(cx);
            if let Err(end) = self.weigh() {
                return Read::End(end);
            }
            let message = match next {
                Poll::Pending => return Read::Blocked,
                Poll::Ready(None) => return Read::Gone("closed by the client".to_owned()),
                Poll::Ready(Some(Err(error))) => return on_error(error),
                Poll::Ready(Some(Ok(message))) => message,
            };
            *reads -= 1;
            // The client may have sent this because of what is in the mailbox by now: that comes first.
            if let Err(end) = self.receive(cx, ctx) {
                return Read::Told(end);
            }
            let handled = match message {
                tungstenite::Message::Text(text) => {
                    let text = Bytes::from(text).try_into().expect("invariant: a text message is UTF-8");
                    self.session.frame(ctx, Frame::Text(text))
                }
                tungstenite::Message::Binary(bytes) => self.session.frame(ctx, Frame::Binary(bytes)),
                // Tungstenite answers a ping and a close at its next read.
                tungstenite::Message::Ping(payload) => {
                    self.session.control(ControlKind::Ping, payload);
                    Ok(())
                }
                tungstenite::Message::Pong(payload) => {
                    self.session.control(ControlKind::Pong, payload);
                    Ok(())
                }
                tungstenite::Message::Close(_) | tungstenite::Message::Frame(_) => Ok(()),
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
    fn weigh(&mut self) -> Result<(), End> {
        let wire = self.stream.get_mut();
        if wire.is_broken() {
            return Err(End::policy("too many fragments"));
        }
        let arrived = wire.take_arrived();
        if arrived.frames == 0 {
            return Ok(());
        }
        self.heard = Instant::now();
        if arrived.controls > 0 && self.controls.take_many(self.heard.into_std(), arrived.controls).is_err() {
            return Err(End::policy("too many control frames"));
        }
        Ok(())
    }

    /// Begins to close with a code: the client is told, the channels are asked to end.
    fn close(&mut self, end: End, drain_raw: bool) {
        if let Phase::Closing(_) = self.phase {
            return;
        }
        self.session.output().forget();
        let frame = CloseFrame { code: end.code.code().into(), reason: close_reason(&end) };
        let told = Pin::new(&mut self.stream).start_send(tungstenite::Message::Close(Some(frame)));
        self.begin_closing(end.why, Some(end.code), told.is_err(), drain_raw);
    }

    fn gone(&mut self, why: String) {
        if let Phase::Open = self.phase {
            self.begin_closing(why, None, true, false);
        }
    }

    fn begin_closing(&mut self, why: String, code: Option<CloseCode>, client_gone: bool, drain_raw: bool) {
        self.session.close(code);
        let now = Instant::now();
        let closing = Closing {
            why,
            code,
            client_gone,
            client_deadline: now + CLOSE_WAIT,
            channels_deadline: Some(now + self.session.limits().channel_shutdown),
            drain_raw,
        };
        self.timer.as_mut().reset(now + CLOSE_WAIT);
        self.phase = Phase::Closing(closing);
    }

    fn poll_closing(&mut self, cx: &mut TaskContext<'_>, ctx: &Context<SocketMsg>) -> Poll<ExitReason> {
        // What channels still send has no reader.
        self.session.output().forget();
        let Phase::Closing(closing) = &mut self.phase else { return Poll::Pending };
        if !closing.client_gone {
            closing.client_gone = poll_goodbye(&mut self.stream, cx, closing.drain_raw).is_ready();
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

/// Tungstenite's constructors are `async` in name: they make a value and wait for nothing.
fn ready_now<T>(future: impl Future<Output = T>) -> T {
    let mut cx = TaskContext::from_waker(std::task::Waker::noop());
    match std::pin::pin!(future).poll(&mut cx) {
        Poll::Ready(value) => value,
        Poll::Pending => unreachable!("invariant: taking over a connection does no IO"),
    }
}

/// Flushes the close frame and takes what the client sends until it closes too.
fn poll_goodbye<I>(
    stream: &mut WebSocketStream<Metered<I>>,
    cx: &mut TaskContext<'_>,
    drain_raw: bool,
) -> Poll<()>
where
    I: AsyncRead + AsyncWrite + Unpin,
{
    match Pin::new(&mut *stream).poll_flush(cx) {
        Poll::Ready(Ok(())) => {}
        Poll::Ready(Err(_)) => return Poll::Ready(()),
        Poll::Pending => return Poll::Pending,
    }
    if !drain_raw {
        return loop {
            match ready!(Pin::new(&mut *stream).poll_next(cx)) {
                Some(Ok(_)) => {}
                Some(Err(_)) | None => break Poll::Ready(()),
            }
        };
    }
    let wire = stream.get_mut().wire();
    ready!(Pin::new(&mut *wire).poll_shutdown(cx)).ok();
    let mut scratch = [0; 1_024];
    loop {
        let mut buffer = ReadBuf::new(&mut scratch);
        match ready!(Pin::new(&mut *wire).poll_read(cx, &mut buffer)) {
            Ok(()) if buffer.filled().is_empty() => return Poll::Ready(()),
            Ok(()) => {}
            Err(_) => return Poll::Ready(()),
        }
    }
}

fn to_wire(frame: Frame) -> tungstenite::Message {
    match frame {
        Frame::Text(text) => {
            let text = Utf8Bytes::try_from(text.into_bytes()).expect("invariant: a text frame is UTF-8");
            tungstenite::Message::Text(text)
        }
        Frame::Binary(bytes) => tungstenite::Message::Binary(bytes),
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
mod tests {
    use super::*;

    #[test]
    fn the_buffers_are_not_the_defaults() {
        let (ours, default) = (config(&Limits::default()), WebSocketConfig::default());
        assert!(ours.read_buffer_size <= 4_096 && ours.read_buffer_size < default.read_buffer_size);
        assert!(ours.write_buffer_size <= 4_096 && ours.write_buffer_size < default.write_buffer_size);
        assert!(ours.max_write_buffer_size < default.max_write_buffer_size);
        assert_eq!(ours.max_message_size, Some(Limits::default().frame_bytes_max));
        assert_eq!(ours.max_frame_size, Some(Limits::default().frame_bytes_max));
    }
}
