//! The process of a socket whose wire is memory: the same session and the same channels as behind any transport.

use std::collections::HashMap;
use std::pin::Pin;
use std::task::{Context as TaskContext, Poll};
use std::time::Duration;

use bytestring::ByteString;
use heronry::{Addr, Context, ExitReason, Pid, Received, SendError, telemetry};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, Sleep};

use super::event::{ClientEvent, PushRef};
use super::frames::{self, FromServer};
use crate::close::CloseCode;
use crate::message::{Payload, Status};
use crate::serializer::Frame;
use crate::socket::{Begin as _, Driven as _, End, Session, SessionBegin, Socket, SocketClosed, SocketMsg};

/// What the test does as the client.
#[derive(Debug)]
pub(super) enum Command {
    Frame(Frame),
    Join {
        reference: ByteString,
        frame: Frame,
        answer: oneshot::Sender<Joined>,
    },
    /// The client goes away; its channels are killed after this time.
    Close(Option<Duration>),
}

/// The answer to a join.
pub(super) type Joined = Result<(Payload, Pid), Payload>;

pub(super) struct MemoryProcess<S: Socket> {
    ctx: Context<SocketMsg>,
    session: Session<S>,
    commands: mpsc::Receiver<Command>,
    test: Addr<ClientEvent>,
    /// Joins under way, by their references; which channel has accepted is known before its reply goes out.
    joins: HashMap<ByteString, oneshot::Sender<Joined>>,
    accepted: HashMap<ByteString, Pid>,
    closing: Option<Closing>,
    timer: Pin<Box<Sleep>>,
}

struct Closing {
    why: String,
    code: Option<CloseCode>,
    /// When channels that have not ended are killed; `None` once they were.
    channels_deadline: Option<Instant>,
}

impl<S: Socket> MemoryProcess<S> {
    pub(super) fn new(
        ctx: Context<SocketMsg>,
        begin: SessionBegin<S>,
        commands: mpsc::Receiver<Command>,
        test: Addr<ClientEvent>,
    ) -> Self {
        let session = begin.begin(&ctx);
        let timer = Box::pin(tokio::time::sleep(Duration::ZERO));
        let (joins, accepted) = (HashMap::new(), HashMap::new());
        Self { ctx, session, commands, test, joins, accepted, closing: None, timer }
    }

    pub(super) fn session(&self) -> &Session<S> {
        &self.session
    }

    fn receive(&mut self, received: Received<SocketMsg>) -> Result<(), End> {
        if let Received::Message(SocketMsg::Joined(pid, frame)) = &received
            && let FromServer::Reply { reference: Some(reference), .. } = self.decode(Frame::clone(frame))?
        {
            self.accepted.insert(reference, *pid);
        }
        self.session.receive(&self.ctx, received)
    }

    /// Reads what the client sent, for as long as the socket takes it.
    fn read(&mut self, cx: &mut TaskContext<'_>) -> Result<(), End> {
        while self.closing.is_none() && self.session.may_read() {
            match self.commands.poll_recv(cx) {
                // With no handle left the client does nothing more; its socket lives as long as the test.
                Poll::Pending | Poll::Ready(None) => break,
                Poll::Ready(Some(Command::Frame(frame))) => self.frame(frame)?,
                Poll::Ready(Some(Command::Join { reference, frame, answer })) => {
                    self.joins.insert(reference, answer);
                    self.frame(frame)?;
                }
                Poll::Ready(Some(Command::Close(wait))) => self.close("closed".to_owned(), None, wait),
            }
        }
        Ok(())
    }

    fn frame(&mut self, frame: Frame) -> Result<(), End> {
        let (len, max) = (frame.len(), self.session.limits().frame_bytes_max);
        if len > max {
            return Err(End::new(CloseCode::TooBig, format!("a message of {len} bytes, {max} are allowed")));
        }
        self.session.frame(&self.ctx, frame, Instant::now())
    }

    /// Hands the test all that there is for the client.
    fn write(&mut self) -> Result<(), End> {
        while let Some(frame) = self.session.output().pop() {
            match self.decode(frame)? {
                FromServer::Reply { reference, topic, status, response } => {
                    let reference = reference.unwrap_or_default();
                    match self.joins.remove(&reference) {
                        Some(answer) => self.answer(&reference, answer, &status, response),
                        None => {
                            let reference = PushRef(reference);
                            self.tell(ClientEvent::Reply { reference, topic, status, response })?;
                        }
                    }
                }
                FromServer::Message(message) => self.tell(ClientEvent::Push(message))?,
            }
        }
        self.session.output().written();
        Ok(())
    }

    fn answer(
        &mut self,
        reference: &ByteString,
        answer: oneshot::Sender<Joined>,
        status: &Status,
        response: Payload,
    ) {
        let joined = match (status, self.accepted.remove(reference)) {
            (Status::Ok, Some(pid)) => Ok((response, pid)),
            _ => Err(response),
        };
        // Whoever joined may not wait any more.
        drop(answer.send(joined));
    }

    fn tell(&self, event: ClientEvent) -> Result<(), End> {
        match self.test.send(event) {
            // A test that has ended hears no more; this socket is about to end with it.
            Ok(()) | Err(SendError::NoProc(_)) => Ok(()),
            Err(error) => Err(End::new(CloseCode::PolicyViolation, format!("the test: {error}"))),
        }
    }

    fn decode(&self, frame: Frame) -> Result<FromServer, End> {
        let serializer = &self.session.connection().serializer;
        let decoded = frames::decode(&**serializer, frame);
        decoded.map_err(|error| End::new(CloseCode::InternalError, error.0))
    }

    /// The server closes the socket.
    fn end(&mut self, end: End) {
        if self.closing.is_none() {
            let closed = ClientEvent::Closed { code: end.code, reason: end.why.clone() };
            // A mailbox that is full was the reason.
            drop(self.test.send(closed));
        }
        self.close(end.why, Some(end.code), None);
    }

    fn close(&mut self, why: String, code: Option<CloseCode>, wait: Option<Duration>) {
        if self.closing.is_some() {
            return;
        }
        self.commands.close();
        self.joins.clear();
        self.session.close(code);
        let wait = wait.unwrap_or(self.session.limits().channel_shutdown);
        self.closing = Some(Closing { why, code, channels_deadline: Some(Instant::now() + wait) });
    }

    fn deadline(&mut self) -> Option<Instant> {
        let closing = self.closing.as_ref().and_then(|closing| closing.channels_deadline);
        let own = [self.session.deadline(), self.session.output().report_deadline(), closing];
        own.into_iter().flatten().min()
    }

    fn due(&mut self, now: Instant) {
        self.session.due(now);
        if self.session.output().report_deadline().is_some_and(|deadline| now >= deadline) {
            self.session.output().report_shed(&self.ctx);
        }
        if let Some(closing) = &mut self.closing
            && closing.channels_deadline.take_if(|deadline| now >= *deadline).is_some()
        {
            self.session.kill();
        }
    }

    fn poll_timer(&mut self, cx: &mut TaskContext<'_>) {
        while let Some(next) = self.deadline() {
            if self.timer.deadline() != next {
                self.timer.as_mut().reset(next);
            }
            if self.timer.as_mut().poll(cx).is_pending() {
                return;
            }
            self.due(Instant::now());
        }
    }

    fn poll_closed(&mut self) -> Poll<ExitReason> {
        let Some(Closing { why, code, .. }) = &self.closing else { return Poll::Pending };
        self.session.output().forget();
        if !self.session.is_closed() {
            return Poll::Pending;
        }
        let (received, sent) = (self.session.received(), self.session.output().sent());
        telemetry::emit(&SocketClosed { pid: self.ctx.pid(), why: why.clone(), code: *code, received, sent });
        Poll::Ready(ExitReason::shutdown_with(why.as_str()))
    }
}

/// Nothing in it is pinned in place.
impl<S: Socket> Unpin for MemoryProcess<S> {}

impl<S: Socket> Future for MemoryProcess<S> {
    type Output = ExitReason;

    fn poll(self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<ExitReason> {
        let this = self.get_mut();
        while let Poll::Ready(received) = this.ctx.poll_receive(cx) {
            if let Err(end) = this.receive(received) {
                this.end(end);
            }
        }
        let served = this.write().and_then(|()| this.read(cx)).and_then(|()| this.write());
        if let Err(end) = served {
            this.end(end);
        }
        this.poll_timer(cx);
        this.poll_closed()
    }
}
