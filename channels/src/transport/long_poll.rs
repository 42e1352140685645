//! The long-poll transport: a socket for clients that can't have a WebSocket.
//!
//! A session is a socket process ([`process`]) like that of a WebSocket, with the same channels below it; what takes the
//! place of the wire are requests. A GET fetches the messages that wait, or waits for one; a POST brings messages. What
//! that means is decided in [`session`]; this file turns requests into it. A request finds its session by a signed token,
//! also if the session is on another node ([`forward`]).

mod answer;
mod batch;
mod forward;
mod process;
mod session;
mod sessions;
mod wire;

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use bytestring::ByteString;
use heronry::node::NodeName;
use http::header::CONTENT_TYPE;
use http::request::Parts;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use tokio::sync::oneshot;
use tokio::time::Instant;

use self::answer::Answer;
use self::batch::Batch;
pub use self::forward::LongPollForwardsFull;
use self::forward::{Forwarder, Late};
use self::process::{LongPollProcess, Start};
use self::sessions::{Done, Found, Handle, Id, Polled, Published, Request as SessionRequest, Sessions};
use self::wire::{Answered, Call, Said};
use super::Transport;
use super::handler::Handler;
use super::mount::{Mount, SocketOptions};
use crate::body::{self, Body};
use crate::params::Params;
use crate::serializer::{Frame, Serializers};
use crate::socket::{Begin as _, Connect, Refusal, SocketConnected};

pub use self::process::LongPollOverloaded;
pub use self::sessions::LongPollSessionsFull;

/// The name of the transport, as channels see it.
const NAME: &str = "longpoll";

/// Where the session token comes in; where it is absent, the param `token` counts.
const TOKEN_HEADER: &str = "x-phoenix-longpoll-token";
const TOKEN_PARAM: &str = "token";

/// Where the token for authentication comes in.
const AUTH_TOKEN_HEADER: &str = "x-phoenix-authtoken";

/// How long a client has to send the body of a publish. Plug's read timeout.
const BODY_TIMEOUT: Duration = Duration::from_secs(15);

/// How a socket is served to clients that poll. Phoenix's `:longpoll` option.
///
/// ```
/// use std::time::Duration;
/// use heronry_channels::{LongPollOptions, SocketOptions};
///
/// let long_poll = LongPollOptions { window: Duration::from_secs(5), ..LongPollOptions::default() };
/// let options = SocketOptions { long_poll, ..SocketOptions::default() };
/// # drop(options);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LongPollOptions {
    /// Whether the socket is served so at all. Default true. (Phoenix's default is false.)
    pub enabled: bool,
    /// How long a poll waits for a message, and how long a message that is published may take to be handled. A session
    /// that is not polled for one and a half windows ends. Phoenix's `:window_ms`; default 10 s.
    pub window: Duration,
    /// How long a request waits for its session to take it before the session counts as gone. Phoenix's
    /// `:pubsub_timeout_ms`; default 2 s.
    pub lookup_timeout: Duration,
    /// The body of one publish, in bytes; more is answered with the status 413. Each message in it is bounded by
    /// [`Limits::frame_bytes_max`](crate::Limits::frame_bytes_max). Plug's default, 8,000,000.
    pub body_bytes_max: usize,
    /// How many messages may wait for a poll, beside [`Limits::outbound_bytes_max`](crate::Limits::outbound_bytes_max);
    /// with one more the session ends, since what its client would miss it could not know of. Default 10,000.
    pub messages_max: usize,
    /// How many sessions there may be at a time; one more is answered with the status 500, at which clients try again.
    /// Default 100,000.
    pub sessions_max: usize,
}

impl Default for LongPollOptions {
    fn default() -> Self {
        Self {
            enabled: true,
            window: Duration::from_secs(10),
            lookup_timeout: Duration::from_secs(2),
            body_bytes_max: 8_000_000,
            messages_max: 10_000,
            sessions_max: 100_000,
        }
    }
}

/// The long-poll mount of a socket.
pub(crate) struct LongPollMount<H>(Arc<Inner<H>>);

struct Inner<H> {
    mount: Mount<H>,
    serializers: Serializers,
    sessions: Arc<Sessions>,
    forwarder: Forwarder,
}

impl<H: Handler> LongPollMount<H> {
    /// Of a socket that is mounted at `path`.
    pub(crate) fn new(mount: Mount<H>, path: &str) -> Self {
        let serializers = mount.options.serializers.text_only();
        let forwarder = Forwarder::new(mount.home.pubsub.clone(), path);
        let max = mount.options.long_poll.sessions_max;
        let sessions = Sessions::new(max, forwarder.node().cloned(), mount.home.clone());
        Self(Arc::new(Inner { mount, serializers, sessions, forwarder }))
    }
}

impl<H: Handler> Transport for LongPollMount<H> {
    fn serve(&self, request: Request<Body>) -> Pin<Box<dyn Future<Output = Response<Body>> + Send>> {
        let inner = self.0.clone();
        Box::pin(async move { inner.answer(request).await.into_response() })
    }
}

impl<H> fmt::Debug for LongPollMount<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LongPollMount").field("options", &self.0.mount.options).finish_non_exhaustive()
    }
}

impl<H: Handler> Inner<H> {
    fn options(&self) -> &SocketOptions {
        &self.mount.options
    }

    async fn answer(self: &Arc<Self>, request: Request<Body>) -> Answer {
        if !self.options().check_origin.allows(&request) {
            return Answer::Status(StatusCode::FORBIDDEN);
        }
        match *request.method() {
            Method::OPTIONS => return Answer::preflight(request.headers()),
            Method::GET | Method::POST => {}
            _ => return Answer::BadMethod,
        }
        let (parts, body) = request.into_parts();
        let Ok(params) = Params::parse(parts.uri.query().unwrap_or_default()) else {
            return Answer::Status(StatusCode::BAD_REQUEST);
        };
        let session = token(&parts.headers, &params)
            .and_then(|token| self.sessions.find(token).map(|session| (session, token.to_owned())));
        if parts.method == Method::POST {
            return match session {
                Some((Found::Here(session), _)) => self.publish(&session, &parts.headers, body).await,
                Some((Found::At(node, id), _)) => {
                    self.publish_elsewhere(&node, id, &parts.headers, body).await
                }
                None => Answer::gone(),
            };
        }
        let polled = match session {
            Some((Found::Here(session), token)) => {
                let frames = self.poll(&session).await;
                frames.map(|frames| {
                    let status = if frames.is_empty() { StatusCode::NO_CONTENT } else { StatusCode::OK };
                    messages(status, token, frames)
                })
            }
            Some((Found::At(node, id), token)) => self.poll_elsewhere(&node, id, token).await,
            None => None,
        };
        match polled {
            Some(answer) => answer,
            None => self.open(params, parts).await,
        }
    }

    /// The messages that wait, or the first that comes within the window; `None` if the session is over.
    async fn poll(&self, session: &Handle) -> Option<Vec<Frame>> {
        let options = &self.options().long_poll;
        let now = Instant::now();
        let (answer, polled) = oneshot::channel();
        if !session.send(SessionRequest::Poll(answer), now + options.lookup_timeout).await {
            return None;
        }
        match polled.await.ok()? {
            Polled::Messages(frames) => Some(frames),
            // Answered at once, two clients with one token would chase each other round.
            Polled::Superseded => {
                tokio::time::sleep_until(now + options.window).await;
                Some(Vec::new())
            }
        }
    }

    /// Hands messages over and waits until they are handled.
    async fn publish(&self, session: &Handle, headers: &HeaderMap, body: Body) -> Answer {
        let options = &self.options().long_poll;
        // One publish at a time: its body is read when its turn comes, so that no bodies pile up.
        let permit = match tokio::time::timeout(options.window, session.publishing()).await {
            Ok(Some(permit)) => permit,
            Ok(None) => return Answer::gone(),
            Err(_) => return Answer::Status(StatusCode::REQUEST_TIMEOUT),
        };
        let body = match body::read(body, options.body_bytes_max, BODY_TIMEOUT).await {
            Ok(body) => body,
            Err(error) => return Answer::Status(error.status()),
        };
        let is_batch = headers.get(CONTENT_TYPE).is_some_and(batch::is_ndjson);
        let done = |answer| Done { answer, _permit: permit };
        Answer::Status(self.hand_over(session, is_batch, &body, done).await)
    }

    /// Hands the messages of a body over, and waits until they are handled; the status that this comes to.
    async fn hand_over(
        &self,
        session: &Handle,
        is_batch: bool,
        body: &Bytes,
        done: impl FnOnce(oneshot::Sender<Published>) -> Done,
    ) -> StatusCode {
        let batch = Batch::read(is_batch, body, self.options().limits.frame_bytes_max);
        let (answer, handled) = oneshot::channel();
        let publish = SessionRequest::Publish { lines: batch.lines, done: done(answer) };
        if !session.send(publish, Instant::now() + self.options().long_poll.lookup_timeout).await {
            return StatusCode::GONE;
        }
        match handled.await {
            Ok(Published::Handled) if batch.broken => StatusCode::BAD_REQUEST,
            Ok(Published::Handled) => StatusCode::OK,
            Ok(Published::TooSlow) => StatusCode::REQUEST_TIMEOUT,
            Err(_) => StatusCode::GONE,
        }
    }

    /// [`poll`](Self::poll) for a session of another node; `None` if it is not there.
    async fn poll_elsewhere(self: &Arc<Self>, node: &NodeName, session: Id, token: String) -> Option<Answer> {
        let LongPollOptions { window, lookup_timeout, .. } = self.options().long_poll;
        self.be_reachable();
        let taken_by = Instant::now() + lookup_timeout;
        let call = Call { session, publish: None };
        match self.forwarder.ask(node, call, taken_by, taken_by + window).await {
            Ok(answered) => {
                let Answered { status, frames } = answered?;
                let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
                Some(messages(status, token, frames.into_iter().map(Frame::Text).collect()))
            }
            Err(Late) => Some(messages(StatusCode::NO_CONTENT, token, Vec::new())),
        }
    }

    /// [`publish`](Self::publish) for a session of another node.
    async fn publish_elsewhere(
        self: &Arc<Self>,
        node: &NodeName,
        session: Id,
        headers: &HeaderMap,
        body: Body,
    ) -> Answer {
        let LongPollOptions { window, lookup_timeout, body_bytes_max, .. } = self.options().long_poll;
        self.be_reachable();
        let turn = self.forwarder.bodies.acquire();
        let Ok(Ok(_turn)) = tokio::time::timeout(window, turn).await else {
            return Answer::Status(StatusCode::REQUEST_TIMEOUT);
        };
        let body = match body::read(body, body_bytes_max, BODY_TIMEOUT).await {
            Ok(body) => body,
            Err(error) => return Answer::Status(error.status()),
        };
        let is_batch = headers.get(CONTENT_TYPE).is_some_and(batch::is_ndjson);
        let taken_by = Instant::now() + lookup_timeout;
        let call = Call { session, publish: Some((is_batch, &body)) };
        // It waits for its turn at the session, then for each message.
        let lines = u32::try_from(batch::LINES_MAX).unwrap_or(u32::MAX);
        match self.forwarder.ask(node, call, taken_by, taken_by + window.saturating_mul(lines + 1)).await {
            Ok(Some(Answered { status, frames: _ })) => {
                Answer::Status(StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR))
            }
            Ok(None) => Answer::gone(),
            Err(Late) => Answer::Status(StatusCode::REQUEST_TIMEOUT),
        }
    }

    /// From now on this mount hears the same one on other nodes.
    fn be_reachable(self: &Arc<Self>) {
        let supervisor = self.mount.home.supervisor.read().as_ref().map(|supervisor| supervisor.pid());
        let Some(supervisor) = supervisor else { return };
        let inner = Arc::downgrade(self);
        self.forwarder.be_reachable(supervisor, move |bytes| {
            if let Some(inner) = inner.upgrade() {
                inner.hear(&bytes);
            }
        });
    }

    /// Another node has said something. Must not wait.
    fn hear(self: &Arc<Self>, bytes: &Bytes) {
        match Said::decode(bytes) {
            Some(Said::Call { from, number, call: Call { session, publish } }) => {
                let Ok(from) = NodeName::parse(from) else { return };
                let session = self.sessions.by_id(&session).zip(self.forwarder.serving());
                let Some((session, serving)) = session else {
                    self.forwarder.say(&from, &Said::Gone { number });
                    return;
                };
                let publish = publish.map(|(is_batch, body)| (is_batch, bytes.slice_ref(body)));
                let inner = self.clone();
                tokio::spawn(async move {
                    inner.serve_elsewhere(&from, number, &session, publish).await;
                    drop(serving);
                });
            }
            Some(Said::Taken { number }) => self.forwarder.taken(number),
            Some(Said::Gone { number }) => self.forwarder.answered(number, None),
            Some(Said::Answer { number, answer }) => self.forwarder.answered(number, Some(answer)),
            None => {}
        }
    }

    /// Answers a request that landed on another node.
    async fn serve_elsewhere(
        &self,
        from: &NodeName,
        number: u64,
        session: &Handle,
        publish: Option<(bool, Bytes)>,
    ) {
        self.forwarder.say(from, &Said::Taken { number });
        let answer = match publish {
            None => self.poll(session).await.map(|frames| {
                let status = if frames.is_empty() { StatusCode::NO_CONTENT } else { StatusCode::OK };
                let frames = frames.into_iter().filter_map(text).collect();
                Answered { status: status.as_u16(), frames }
            }),
            Some((is_batch, body)) => {
                let turn = tokio::time::timeout(self.options().long_poll.window, session.publishing());
                let status = match turn.await {
                    Ok(Some(permit)) => {
                        let done = |answer| Done { answer, _permit: permit };
                        self.hand_over(session, is_batch, &body, done).await
                    }
                    Ok(None) => StatusCode::GONE,
                    Err(_) => StatusCode::REQUEST_TIMEOUT,
                };
                Some(Answered { status: status.as_u16(), frames: Vec::new() })
            }
        };
        let Some(answer) = answer else {
            self.forwarder.say(from, &Said::Gone { number });
            return;
        };
        let has_messages = !answer.frames.is_empty();
        if !self.forwarder.say(from, &Said::Answer { number, answer }) && has_messages {
            session
                .send(SessionRequest::Lost, Instant::now() + self.options().long_poll.lookup_timeout)
                .await;
        }
    }

    /// A new session, if the socket lets the client in.
    async fn open(self: &Arc<Self>, params: Params, parts: Parts) -> Answer {
        match self.try_open(params, parts).await {
            Ok(token) => messages(StatusCode::GONE, token, Vec::new()),
            Err(refusal) => Answer::refused(refusal),
        }
    }

    /// The token with which phoenix.js authenticates its client (`authToken`), if the mount takes one.
    fn auth_token(&self, headers: &HeaderMap) -> Result<Option<String>, Refusal> {
        let header = headers.get(AUTH_TOKEN_HEADER).filter(|_| self.options().auth_token);
        let token = header.map(|token| token.to_str().map(str::to_owned)).transpose();
        token.map_err(|_| Refusal::forbidden())
    }

    async fn try_open(self: &Arc<Self>, params: Params, parts: Parts) -> Result<String, Refusal> {
        let start = Instant::now();
        let auth_token = self.auth_token(&parts.headers)?;
        let connect = Connect::new(params, parts, NAME, auth_token, self.options().session.as_ref());
        let begin = self.mount.admit(&self.serializers, true, connect).await?;
        let id = begin.id().map(str::to_owned);
        let full = || Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "as many sessions as this server takes");
        let (registered, token, requests) = self.sessions.register().ok_or_else(full)?;
        let LongPollOptions { window, messages_max, .. } = self.options().long_poll;
        let begin = Start { begin, window, messages_max, registered, requests };
        let pid = self.mount.start(id.as_deref(), |ctx| LongPollProcess::new(ctx, begin)).await?;
        self.be_reachable();
        heronry::telemetry::emit(&SocketConnected { pid, id, transport: NAME, duration: start.elapsed() });
        Ok(token)
    }
}

fn messages(status: StatusCode, token: String, frames: Vec<Frame>) -> Answer {
    Answer::Messages { status, token, frames }
}

/// Only text is ever queued for a client that polls.
fn text(frame: Frame) -> Option<ByteString> {
    match frame {
        Frame::Text(text) => Some(text),
        Frame::Binary(_) => None,
    }
}

fn token<'a>(headers: &'a HeaderMap, params: &'a Params) -> Option<&'a str> {
    match headers.get(TOKEN_HEADER) {
        Some(token) => token.to_str().ok(),
        None => params.get_str(TOKEN_PARAM),
    }
}
