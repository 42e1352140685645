//! The process of a long-poll session: a socket process whose wire are requests.

use std::fmt;
use std::pin::Pin;
use std::task::{Context as TaskContext, Poll};
use std::time::{Duration, Instant as StdInstant};

use heronry::telemetry::{self, Event, Level};
use heronry::{Context, ExitReason, Pid};
use tokio::sync::mpsc;
use tokio::sync::oneshot;
use tokio::time::{Instant, Sleep};

use super::batch::Line;
use super::session::{Due, LongPoll, Step, inactivity};
use super::sessions::{Done, Polled, Published, Registered, Request};
use crate::close::CloseCode;
use crate::socket::{Begin, Driven, End, Output, SocketClosed, SocketMsg};

/// The body of a session's process.
pub(super) struct LongPollProcess<D> {
    ctx: Context<SocketMsg>,
    session: D,
    window: Duration,
    messages_max: usize,
    timer: Pin<Box<Sleep>>,
    phase: Phase,
}

enum Phase {
    Open(Box<Open>),
    Closing(Closing),
}

struct Open {
    requests: mpsc::Receiver<Request>,
    polls: LongPoll<oneshot::Sender<Polled>, Done, Line>,
    /// While it is here, requests find the session.
    _registered: Registered,
}

struct Closing {
    end: End,
    /// When channels that have not ended are killed; `None` once they were.
    channels_deadline: Option<Instant>,
}

/// With what a session's process begins.
pub(super) struct Start<B> {
    pub(super) begin: B,
    pub(super) window: Duration,
    pub(super) messages_max: usize,
    pub(super) registered: Registered,
    pub(super) requests: mpsc::Receiver<Request>,
}

impl<D: Driven> LongPollProcess<D> {
    pub(super) fn new(ctx: Context<SocketMsg>, start: Start<impl Begin<Driven = D>>) -> Self {
        let Start { begin, window, messages_max, registered, requests } = start;
        let polls = LongPoll::new(window, now());
        let timer = Box::pin(tokio::time::sleep_until(polls.deadline().into()));
        let session = begin.begin(&ctx);
        let phase = Phase::Open(Box::new(Open { requests, polls, _registered: registered }));
        Self { ctx, session, window, messages_max, timer, phase }
    }

    /// Does what can be done now for the client; the end of the session if it is over.
    fn serve(&mut self, cx: &mut TaskContext<'_>) -> Result<(), End> {
        let Phase::Open(open) = &mut self.phase else { return Ok(()) };
        let now = now();
        while let Poll::Ready(Some(request)) = open.requests.poll_recv(cx) {
            open.request(request, now)?;
        }
        let handled = open.publish(&mut self.session, &self.ctx, now);
        open.answer_poll(self.session.output(), now);
        handled?;
        if let Some(end) = self.session.end_after_output() {
            return Err(end);
        }
        let messages = self.session.output().len();
        if messages > self.messages_max {
            telemetry::emit(&LongPollOverloaded {
                pid: self.ctx.pid(),
                messages,
                messages_max: self.messages_max,
            });
            return Err(End::new(CloseCode::PolicyViolation, "overloaded: the client polls too rarely"));
        }
        Ok(())
    }

    /// Begins to end: requests find the session no more, the channels are asked to end.
    fn close(&mut self, end: End) {
        if let Phase::Closing(_) = self.phase {
            return;
        }
        self.session.close(Some(end.code));
        let channels_deadline = Some(Instant::now() + self.session.limits().channel_shutdown);
        // With the registration go the slots of all requests that wait: they learn of the end.
        self.phase = Phase::Closing(Closing { end, channels_deadline });
    }

    fn poll_timer(&mut self, cx: &mut TaskContext<'_>) {
        loop {
            let Some(next) = self.next_deadline() else { return };
            if self.timer.deadline() != next {
                self.timer.as_mut().reset(next);
            }
            if self.timer.as_mut().poll(cx).is_pending() {
                return;
            }
            if let Err(end) = self.due(Instant::now()) {
                self.close(end);
            }
        }
    }

    fn next_deadline(&mut self) -> Option<Instant> {
        match &self.phase {
            Phase::Open(open) => {
                let session = [self.session.deadline(), self.session.output().report_deadline()];
                session.into_iter().flatten().chain([open.polls.deadline().into()]).min()
            }
            Phase::Closing(closing) => closing.channels_deadline,
        }
    }

    fn due(&mut self, now: Instant) -> Result<(), End> {
        match &mut self.phase {
            Phase::Open(open) => {
                self.session.due(now);
                if self.session.output().report_deadline().is_some_and(|deadline| now >= deadline) {
                    self.session.output().report_shed(&self.ctx);
                }
                open.due(now.into_std(), self.window)
            }
            Phase::Closing(closing) => {
                if closing.channels_deadline.take_if(|deadline| now >= *deadline).is_some() {
                    self.session.kill();
                }
                Ok(())
            }
        }
    }

    fn poll_closed(&mut self) -> Poll<ExitReason> {
        let Phase::Closing(closing) = &self.phase else { return Poll::Pending };
        // What channels still send has no reader.
        self.session.output().forget();
        if !self.session.is_closed() {
            return Poll::Pending;
        }
        self.session.output().report_shed(&self.ctx);
        let (received, sent) = (self.session.received(), self.session.output().sent());
        let (why, code) = (closing.end.why.clone(), Some(closing.end.code));
        let reason = ExitReason::shutdown_with(why.as_str());
        telemetry::emit(&SocketClosed { pid: self.ctx.pid(), why, code, received, sent });
        Poll::Ready(reason)
    }
}

impl Open {
    fn request(&mut self, request: Request, now: StdInstant) -> Result<(), End> {
        // Whoever asked and is gone by now needs no answer.
        match request {
            Request::Poll(poll) => {
                if let Some(earlier) = self.polls.poll(poll, now) {
                    drop(earlier.send(Polled::Superseded));
                }
            }
            Request::Publish { lines, done } => {
                if let Some(earlier) = self.polls.publish(done, lines, now) {
                    drop(earlier.answer.send(Published::TooSlow));
                }
            }
            Request::Lost => {
                let why = "messages were lost on their way to the node that was polled";
                return Err(End::new(CloseCode::GoingAway, why));
            }
        }
        Ok(())
    }

    /// Hands over lines for as long as the socket takes them.
    fn publish(
        &mut self,
        session: &mut impl Driven,
        ctx: &Context<SocketMsg>,
        now: StdInstant,
    ) -> Result<(), End> {
        loop {
            match self.polls.step(!session.is_busy(), session.may_read(), now) {
                Step::Wait => return Ok(()),
                Step::Line(Line::Frame(frame)) => session.frame(ctx, frame, Instant::from_std(now))?,
                Step::Line(Line::End(end)) => return Err(end),
                Step::Done(done) => drop(done.answer.send(Published::Handled)),
            }
        }
    }

    /// Gives what waits to the poll that waits. A poll whose client has gone takes nothing.
    fn answer_poll(&mut self, output: &mut Output, now: StdInstant) {
        if !output.has_frames() || !self.polls.is_polled() {
            return;
        }
        let Some(poll) = self.polls.take_poll(now) else { return };
        let frames = std::iter::from_fn(|| output.pop()).collect();
        if let Err(Polled::Messages(frames)) = poll.send(Polled::Messages(frames)) {
            output.give_back(frames);
        }
    }

    fn due(&mut self, now: StdInstant, window: Duration) -> Result<(), End> {
        match self.polls.due(now) {
            Due::Nothing => {}
            Due::Window(poll) => drop(poll.send(Polled::Messages(Vec::new()))),
            Due::TimedOut(done) => drop(done.answer.send(Published::TooSlow)),
            Due::Inactive => {
                let why = format!("inactive: not polled for {:?}", inactivity(window));
                return Err(End::new(CloseCode::GoingAway, why));
            }
        }
        Ok(())
    }
}

/// The pausable clock, in the form of the pure core.
fn now() -> StdInstant {
    Instant::now().into_std()
}

/// Nothing in it is pinned in place.
impl<D> Unpin for LongPollProcess<D> {}

impl<D: Driven> Future for LongPollProcess<D> {
    type Output = ExitReason;

    fn poll(self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<ExitReason> {
        let this = self.get_mut();
        while let Poll::Ready(received) = this.ctx.poll_receive(cx) {
            if let Err(end) = this.session.receive(&this.ctx, received) {
                this.close(end);
            }
        }
        if let Err(end) = this.serve(cx) {
            this.close(end);
        }
        this.poll_timer(cx);
        this.poll_closed()
    }
}

/// More messages wait for a client than may, since it polls too rarely; its session ends: `heronry.long_poll.overloaded`.
#[derive(Debug)]
#[non_exhaustive]
pub struct LongPollOverloaded {
    /// The session's process.
    pub pid: Pid,
    /// How many wait.
    pub messages: usize,
    /// How many may wait.
    pub messages_max: usize,
}

impl fmt::Display for LongPollOverloaded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { pid, messages, messages_max } = self;
        write!(f, "long-poll session {pid} ends: {messages} messages wait for its client, {messages_max} may")
    }
}

impl Event for LongPollOverloaded {
    fn name(&self) -> &'static str {
        "heronry.long_poll.overloaded"
    }

    fn level(&self) -> Level {
        Level::Warn
    }
}
