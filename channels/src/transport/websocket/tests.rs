//! The two halves by themselves, over wires that take and give a few bytes at a time.

use std::collections::VecDeque;
use std::io::{Cursor, IoSlice};
use std::task::Waker;

use bytes::Bytes;
use tungstenite::protocol::{Role, WebSocketConfig, WebSocketContext};
use tungstenite::{Error, Message};

use super::*;
use crate::serializer::Frame;
use crate::socket::{Outbound, Output, Overload};

/// One end of a connection, in memory.
#[derive(Default)]
struct Wire {
    /// What the client sent; empty is "nothing yet".
    sent: VecDeque<u8>,
    /// What the client got.
    got: Vec<u8>,
    /// How many bytes one call moves at most.
    step: usize,
    /// How many bytes more the client takes.
    room: usize,
    vectored: bool,
}

impl Wire {
    fn new(step: usize, vectored: bool) -> Self {
        Self { step, room: usize::MAX, vectored, ..Self::default() }
    }

    /// What the client got, read as a client reads it.
    fn messages(&self) -> Vec<Message> {
        let config = WebSocketConfig::default().max_frame_size(None).max_message_size(None);
        let mut client = WebSocketContext::new(Role::Client, Some(config));
        let mut stream = Cursor::new(self.got.clone());
        std::iter::from_fn(|| client.read(&mut stream).ok()).collect()
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut TaskContext<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let len = self.step.min(buf.remaining()).min(self.sent.len());
        if len == 0 {
            return Poll::Pending;
        }
        let bytes: Vec<u8> = self.sent.drain(..len).collect();
        buf.put_slice(&bytes);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut TaskContext<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let len = self.step.min(self.room).min(buf.len());
        if len == 0 {
            return Poll::Pending;
        }
        self.room -= len;
        self.got.extend(&buf[..len]);
        Poll::Ready(Ok(len))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut TaskContext<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        assert!(self.vectored, "a wire that takes no pieces is given none");
        let pieces = bufs.iter().flat_map(|piece| piece.iter().copied());
        let taken: Vec<u8> = pieces.take(self.step).collect();
        self.poll_write(cx, &taken)
    }

    fn is_write_vectored(&self) -> bool {
        self.vectored
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut TaskContext<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut TaskContext<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

fn cx() -> TaskContext<'static> {
    TaskContext::from_waker(Waker::noop())
}

/// The queue of a socket that does nothing else.
fn output() -> Output {
    let socket = heronry::process::spawn(|mut ctx: Context<SocketMsg>| async move {
        loop {
            ctx.receive().await;
        }
    });
    let limits = Limits::default();
    Output::new(Outbound::new(socket, &limits, Overload::default()), limits.outbound_age_max)
}

/// Frames of each class of length, some so small that they are copied and some not, of both kinds.
fn frames(len_max: usize) -> Vec<Frame> {
    let lens =
        [0, 1, 125, 126, 127, 5_000, 0xffff, 0x1_0000, 300_000].into_iter().filter(|len| *len <= len_max);
    let text = |len: usize| Frame::from("x".repeat(len));
    let binary = |len: usize| Frame::from(Bytes::from(vec![len as u8; len]));
    let mixed = lens.flat_map(|len| [text(len), binary(len)]);
    let many = (0..50).map(|n| Frame::from(format!("number {n}")));
    mixed.chain(many).collect()
}

fn as_message(frame: Frame) -> Message {
    match frame {
        Frame::Text(text) => Message::text(&*text),
        Frame::Binary(bytes) => Message::Binary(bytes),
    }
}

#[tokio::test]
async fn the_client_gets_the_frames_however_the_wire_takes_them() {
    for vectored in [false, true] {
        for step in [1, 3, 11, 4_095, 4_097, 70_000, usize::MAX] {
            let frames = || frames(step.saturating_mul(1_000));
            let want: Vec<Message> = frames().into_iter().map(as_message).collect();
            let (mut wire, mut output, mut writer) = (Wire::new(step, vectored), output(), Writer::default());
            frames().into_iter().for_each(|frame| output.write(frame));
            while output.has_frames() {
                let polled = writer.poll_frames(&mut wire, &mut cx(), &mut output, FRAMES_PER_WRITE);
                assert!(matches!(polled, Poll::Ready(Ok(()))), "{polled:?}");
            }
            assert!(!writer.is_amid_frame());
            assert!(wire.messages() == want, "in steps of {step}, vectored: {vectored}");
            assert_eq!(output.sent(), want.len() as u64);
        }
    }
}

#[tokio::test]
async fn what_is_forgotten_is_not_the_rest_of_a_frame() {
    for room in [1, 3, 5_000, 10_003] {
        let (mut wire, mut output, mut writer) = (Wire::new(usize::MAX, true), output(), Writer::default());
        let body = "x".repeat(10_000);
        for text in ["begun", &body, "forgotten", "forgotten too"] {
            output.write(Frame::from(text));
        }
        // The first frame has 7 bytes with its head, so the second is begun.
        wire.room = 7 + room;
        let mut write = |wire: &mut Wire, output: &mut Output| {
            while output.has_frames() && writer.poll_frames(wire, &mut cx(), output, 32).is_ready() {}
            writer.is_amid_frame()
        };
        assert!(write(&mut wire, &mut output));
        output.forget();
        output.forget();
        wire.room = usize::MAX;
        assert!(!write(&mut wire, &mut output));
        assert!(wire.messages() == [Message::text("begun"), Message::text(body)], "{room}");
        assert!(!output.has_frames());
    }
}

/// A client's bytes: messages, pings and fragments.
fn client_bytes(messages: &[Message]) -> VecDeque<u8> {
    let mut bytes = Cursor::new(Vec::new());
    let mut client = WebSocketContext::new(Role::Client, None);
    for message in messages {
        client.write(&mut bytes, message.clone()).expect("memory takes all");
    }
    client.flush(&mut bytes).expect("memory takes all");
    bytes.into_inner().into()
}

/// A message that was read, without what a close frame says.
fn read_message(incoming: Incoming) -> Message {
    match incoming {
        Incoming::Data(frame) => as_message(frame),
        Incoming::Ping(payload) => Message::Ping(payload),
        Incoming::Pong(payload) => Message::Pong(payload),
        Incoming::Close => Message::Close(None),
    }
}

fn read_all(reader: &mut Reader, wire: &mut Wire) -> (Vec<Message>, Option<Error>) {
    let (mut messages, limits) = (Vec::new(), Limits::default());
    loop {
        match reader.poll_next(wire, &mut cx(), &limits) {
            Poll::Ready(Ok(message)) => messages.push(read_message(message)),
            Poll::Ready(Err(error)) => return (messages, Some(error)),
            Poll::Pending if wire.sent.is_empty() => return (messages, None),
            Poll::Pending => {}
        }
    }
}

#[test]
fn what_the_client_said_is_read_however_it_arrives_and_nothing_stays_behind() {
    let want = [
        Message::text("hello"),
        Message::text(""),
        Message::Ping(Bytes::from_static(b"?")),
        Message::binary(vec![7; 5_000]),
        Message::Pong(Bytes::from_static(b"!")),
        Message::text("x".repeat(70_000)),
    ];
    for step in [1, 2, 3, 7, 4_095, 4_096, 4_097, usize::MAX] {
        let mut wire = Wire::new(step, true);
        wire.sent = client_bytes(&want);
        let mut reader = Reader::new(&[], &Limits::default());
        let (messages, error) = read_all(&mut reader, &mut wire);
        assert!(messages == want && error.is_none(), "in steps of {step}");
        assert_eq!(wire.messages(), [Message::Pong(Bytes::from_static(b"?"))]);
        assert!(reader.holds_nothing(), "in steps of {step}");
    }
}

#[test]
fn what_was_read_with_the_handshake_is_the_beginning() {
    let bytes: Vec<u8> = client_bytes(&[Message::text("early"), Message::text("late")]).into();
    for cut in 0..bytes.len() {
        let mut wire = Wire::new(usize::MAX, true);
        wire.sent = bytes[cut..].iter().copied().collect();
        let mut reader = Reader::new(&bytes[..cut], &Limits::default());
        let (messages, error) = read_all(&mut reader, &mut wire);
        assert!(messages == [Message::text("early"), Message::text("late")] && error.is_none(), "{cut}");
        assert!(reader.holds_nothing());
    }
}

#[test]
fn a_blocked_pong_is_written_before_anything_of_ours_and_reading_goes_on_meanwhile() {
    let mut wire = Wire::new(usize::MAX, true);
    wire.room = 2;
    wire.sent = client_bytes(&[Message::Ping(Bytes::from_static(b"first")), Message::text("hello")]);
    let mut reader = Reader::new(&[], &Limits::default());
    let (messages, error) = read_all(&mut reader, &mut wire);
    assert!(messages.len() == 2 && error.is_none(), "{messages:?}");
    assert!(reader.poll_pong(&mut wire, &mut cx()).is_pending(), "it is written in part");
    wire.room = usize::MAX;
    assert!(matches!(reader.poll_pong(&mut wire, &mut cx()), Poll::Ready(Ok(()))));
    assert_eq!(wire.messages(), [Message::Pong(Bytes::from_static(b"first"))]);
    assert!(reader.holds_nothing());
}

#[test]
fn a_close_is_answered_and_then_it_is_over() {
    for room in [0, usize::MAX] {
        let mut wire = Wire::new(usize::MAX, true);
        wire.room = room;
        wire.sent = client_bytes(&[Message::text("bye"), Message::Close(None)]);
        let mut reader = Reader::new(&[], &Limits::default());
        let limits = Limits::default();
        let mut next = |wire: &mut Wire| reader.poll_next(wire, &mut cx(), &limits);
        assert!(matches!(next(&mut wire), Poll::Ready(Ok(Incoming::Data(Frame::Text(_))))));
        assert!(matches!(next(&mut wire), Poll::Ready(Ok(Incoming::Close))));
        if room == 0 {
            assert!(next(&mut wire).is_pending());
            wire.room = usize::MAX;
        }
        assert!(matches!(next(&mut wire), Poll::Ready(Err(Error::ConnectionClosed))));
        assert!(reader.is_closed());
        assert_eq!(wire.messages(), [Message::Close(None)]);
    }
}

#[test]
fn the_buffers_are_not_the_defaults() {
    let (ours, default) =
        (reader::config(&Limits::default(), reader::READ_BYTES), WebSocketConfig::default());
    assert!(ours.read_buffer_size <= 4_096 && ours.read_buffer_size < default.read_buffer_size);
    assert!(ours.write_buffer_size <= 4_096 && ours.write_buffer_size < default.write_buffer_size);
    assert!(
        ours.max_write_buffer_size <= 4_096 && ours.max_write_buffer_size < default.max_write_buffer_size
    );
    assert_eq!(ours.max_message_size, Some(Limits::default().frame_bytes_max));
    assert_eq!(ours.max_frame_size, Some(Limits::default().frame_bytes_max));
}
