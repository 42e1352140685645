//! The mount of a socket: from an HTTP request to a socket process. What is the WebSocket's own comes last.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
#[cfg(feature = "longpoll")]
use std::sync::OnceLock;
use std::task::{Context as TaskContext, Poll};
use std::time::Duration;

use heronry::process::SpawnOptions;
use heronry::supervisor::{ChildError, DynamicRef};
use heronry::{ChildSpec, Context, ExitReason, Pid, telemetry};
use http::{Request, Response, StatusCode};
use hyper::upgrade::OnUpgrade;
use parking_lot::{Mutex, RwLock};
use tokio::sync::watch;
use tokio::time::{Instant, Sleep};

use super::Transport;
use super::handler::{Handler, Mounted};
use super::handshake::{self, HandshakeError};
use super::io::Io;
use super::origin::CheckOrigin;
use super::subprotocol::{self, Agreed, Disagreed};
use super::websocket::WebSocketLoop;
use crate::body::Body;
use crate::cookie::SessionCookie;
use crate::params::Params;
use crate::rate::{Bucket, Rate};
use crate::serializer::Serializers;
use crate::socket::{
    Begin, ChannelPubSub, Connect, ConnectsLimited, Limits, Overload, Refusal, SocketConnected, SocketMsg,
};
#[cfg(feature = "longpoll")]
use crate::token::Tokens;

/// The name of the transport, as channels see it.
const NAME: &str = "websocket";

/// How long the HTTP layer has to hand the connection over after it has answered.
const UPGRADE_TIMEOUT: Duration = Duration::from_secs(10);

/// How many messages wait for a socket at most. Its outbound queue is bounded by bytes; this bounds the count for very
/// short ones. A socket over it is disconnected as one over its bytes is.
const MAILBOX_LIMIT: usize = 131_072;

/// How a socket is mounted. A [raw socket](crate::RawSocket) has no use for `serializers`, nor for the limits of channels
/// and joins.
#[derive(Clone, Debug)]
pub struct SocketOptions {
    /// What one connection may use.
    pub limits: Limits,
    /// Connections, over all transports of the mount; one more is refused with 503 before the socket is asked, and
    /// [`ConnectsLimited`](crate::ConnectsLimited) says so. Clients come back after a pause that grows, so that a storm
    /// of reconnecting clients becomes a queue. Default 50,000 a second and at once: more than one machine
    /// accepts, so that who knows theirs sets it.
    pub connects: Rate,
    /// Where the WebSocket transport is, below the path of the mount; it may have params too. `None`: it is not served.
    /// Default `/websocket`. Phoenix's `websocket: [path: …]`.
    pub websocket_path: Option<String>,
    /// Which pages may connect; by default those of the same host.
    pub check_origin: CheckOrigin,
    /// What becomes of a client that reads more slowly than its topics speak; by default it is disconnected.
    pub overload: Overload,
    /// Which serializer serves which version of the protocol; by default Phoenix's V1 and V2.
    pub serializers: Serializers,
    /// Whether clients may send a token for authentication, which is then [`Connect::auth_token`]: over WebSocket as
    /// the subprotocol `base64url.bearer.phx.` followed by the token in base64, as phoenix.js does with its
    /// `authToken`; over long poll in the header `x-phoenix-authtoken`. Off by default, as in Phoenix.
    pub auth_token: bool,
    /// Where the session of the page that connects is read from, to be [`Connect::session`]. `None`, the default: it is
    /// not. Phoenix's `connect_info: [session: …]`.
    pub session: Option<SessionCookie>,
    /// The WebSocket subprotocols that are served, best first; a client that names others alone is refused with 403.
    /// None by default: what a client names is ignored.
    pub subprotocols: Vec<String>,
    /// How it is served to clients that poll.
    #[cfg(feature = "longpoll")]
    pub long_poll: super::LongPollOptions,
}

impl Default for SocketOptions {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            connects: Rate::per_second(50_000),
            websocket_path: Some("/websocket".to_owned()),
            check_origin: CheckOrigin::default(),
            overload: Overload::default(),
            serializers: Serializers::default(),
            auth_token: false,
            session: None,
            subprotocols: Vec::new(),
            #[cfg(feature = "longpoll")]
            long_poll: super::LongPollOptions::default(),
        }
    }
}

/// What the sockets of an endpoint share.
pub(crate) struct SocketHome {
    pub(crate) pubsub: ChannelPubSub,
    /// Signs with the endpoint's secret, once it has one.
    #[cfg(feature = "longpoll")]
    pub(crate) tokens: OnceLock<Tokens>,
    /// The supervisor of the socket processes, while it runs.
    pub(crate) supervisor: RwLock<Option<DynamicRef>>,
    /// Whether no new sockets are let in, since the endpoint stops.
    pub(crate) draining: watch::Sender<bool>,
}

impl SocketHome {
    /// Whether the endpoint's processes run.
    pub(crate) fn is_running(&self) -> bool {
        let supervisor = self.supervisor.read().as_ref().map(DynamicRef::pid);
        supervisor.is_some_and(heronry::process::is_alive)
    }
}

/// A socket, and where and how it is mounted: what its transports share.
pub(crate) struct Mount<H> {
    handler: Arc<H>,
    pub(crate) options: SocketOptions,
    limits: Arc<Limits>,
    pub(super) home: Arc<SocketHome>,
    connects: Arc<Mutex<Bucket>>,
}

impl<H: Handler> Mount<H> {
    pub(crate) fn new(handler: H, options: SocketOptions, home: Arc<SocketHome>) -> Self {
        let connects = Arc::new(Mutex::new(Bucket::new(options.connects)));
        let limits = Arc::new(options.limits);
        Self { handler: Arc::new(handler), options, limits, home, connects }
    }

    /// Asks the socket whether it lets a client in: with what its process begins.
    pub(super) async fn admit(
        &self,
        serializers: &Serializers,
        polled: bool,
        mut connect: Connect,
    ) -> Result<H::Begin, Refusal> {
        if *self.home.draining.borrow() {
            return Err(Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "this server is stopping; try again"));
        }
        let version = self.handler.negotiate(serializers, &mut connect.params)?;
        let taken = self.connects.lock().take(Instant::now().into_std());
        if let Err(wait) = taken {
            let (transport, path) = (connect.transport, connect.uri.path().to_owned());
            telemetry::emit(&ConnectsLimited { transport, path, wait });
            let body = "more clients connect at once than this server takes; try again later";
            return Err(Refusal::new(StatusCode::SERVICE_UNAVAILABLE, body).retry_after(wait));
        }
        let mounted = Mounted { options: &self.options, limits: &self.limits, home: &self.home, polled };
        self.handler.connect(version, connect, mounted).await
    }

    /// Starts the socket process of a client that was let in.
    pub(super) async fn start<B>(
        &self,
        id: Option<&str>,
        body: impl FnOnce(Context<SocketMsg>) -> B + Send + 'static,
    ) -> Result<Pid, Refusal>
    where
        B: Future<Output = ExitReason> + Send + 'static,
    {
        let supervisor = self.home.supervisor.read().clone();
        let Some(supervisor) = supervisor else {
            return Err(Refusal::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "the endpoint's child spec is not running: put it into the supervision tree",
            ));
        };
        let label = id.map_or_else(|| "socket".to_owned(), |id| format!("socket {id}"));
        let spec = ChildSpec::once(label, move |spawner| {
            let spawned = spawner
                .options(|options: SpawnOptions| options.trap_exit(true).mailbox_limit(MAILBOX_LIMIT))
                .spawn(body);
            std::future::ready(spawned.map(|addr| addr.pid()))
        });
        supervisor.start_child(spec).await.map_err(|error| {
            let body = match &error {
                ChildError::MaxChildren(_) => {
                    "this server has as many connections as it takes; try again later"
                }
                _ => "this server is stopping or restarting; try again",
            };
            Refusal::new(StatusCode::SERVICE_UNAVAILABLE, body)
        })
    }
}

impl<H> Clone for Mount<H> {
    fn clone(&self) -> Self {
        let Self { handler, options, limits, home, connects } = self;
        Self {
            handler: handler.clone(),
            options: options.clone(),
            limits: limits.clone(),
            home: home.clone(),
            connects: connects.clone(),
        }
    }
}

/// The WebSocket mount of a socket.
pub(crate) struct WebSocketMount<H>(Arc<Mount<H>>);

impl<H> WebSocketMount<H> {
    pub(crate) fn new(mount: Mount<H>) -> Self {
        Self(Arc::new(mount))
    }
}

impl<H: Handler> Transport for WebSocketMount<H> {
    fn serve(&self, request: Request<Body>) -> Pin<Box<dyn Future<Output = Response<Body>> + Send>> {
        let mount = self.0.clone();
        Box::pin(async move { connect(&mount, request.map(drop)).await.unwrap_or_else(refuse) })
    }
}

impl<H> fmt::Debug for WebSocketMount<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebSocketMount").field("options", &self.0.options).finish_non_exhaustive()
    }
}

fn refuse(refusal: Refusal) -> Response<Body> {
    let mut response = Response::new(Body::from(refusal.body.clone()));
    *response.status_mut() = refusal.status;
    *response.headers_mut() = refusal.into_headers();
    response
}

/// Phoenix's order: who may not connect is told so also where the request could not be upgraded.
async fn connect<H: Handler>(mount: &Mount<H>, mut request: Request<()>) -> Result<Response<Body>, Refusal> {
    let accept = handshake::check(&request);
    if let Err(error @ HandshakeError::Method) = &accept {
        return Ok(error.into_response());
    }
    let options = &mount.options;
    if !options.check_origin.allows(&request) {
        return Err(Refusal::forbidden());
    }
    let Agreed { subprotocol, auth_token } =
        subprotocol::agree(request.headers(), &options.subprotocols, options.auth_token)
            .map_err(|Disagreed| Refusal::forbidden())?;
    let params = Params::parse(request.uri().query().unwrap_or_default())
        .map_err(|error| Refusal::new(StatusCode::BAD_REQUEST, error.to_string()))?;
    let on_upgrade = hyper::upgrade::on(&mut request);
    let start = Instant::now();
    let (parts, ()) = request.into_parts();
    let connect = Connect::new(params, parts, NAME, auth_token, options.session.as_ref());
    let begin = mount.admit(&options.serializers, false, connect).await?;
    let accept = match accept {
        Ok(accept) => accept,
        Err(error) => return Ok(error.into_response()),
    };
    let id = begin.id().map(str::to_owned);
    let pid = mount.start(id.as_deref(), |ctx| SocketProcess::new(ctx, begin, on_upgrade)).await?;
    telemetry::emit(&SocketConnected { pid, id, transport: NAME, duration: start.elapsed() });
    Ok(accept.into_response(subprotocol))
}

/// The body of a socket process: waits for its connection, then serves it. Written as an enum, since an `async` body
/// would keep room for both all the time, and there are many of these.
struct SocketProcess<B: Begin> {
    ctx: Context<SocketMsg>,
    state: SocketState<B>,
}

enum SocketState<B: Begin> {
    Upgrading(Upgrading<B>),
    Open(WebSocketLoop<B::Driven, Io>),
    Ended,
}

struct Upgrading<B> {
    begin: B,
    on_upgrade: OnUpgrade,
    deadline: Pin<Box<Sleep>>,
}

impl<B: Begin> SocketProcess<B> {
    fn new(ctx: Context<SocketMsg>, begin: B, on_upgrade: OnUpgrade) -> Self {
        let deadline = Box::pin(tokio::time::sleep(UPGRADE_TIMEOUT));
        Self { ctx, state: SocketState::Upgrading(Upgrading { begin, on_upgrade, deadline }) }
    }
}

/// Nothing in it is pinned in place.
impl<B: Begin> Unpin for SocketProcess<B> {}

impl<B: Begin> Future for SocketProcess<B> {
    type Output = ExitReason;

    fn poll(self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<ExitReason> {
        let this = self.get_mut();
        loop {
            match &mut this.state {
                SocketState::Open(socket) => return socket.poll(cx, &mut this.ctx),
                SocketState::Upgrading(waiting) => {
                    let upgraded = match Pin::new(&mut waiting.on_upgrade).poll(cx) {
                        Poll::Ready(upgraded) => upgraded.ok(),
                        Poll::Pending if waiting.deadline.as_mut().poll(cx).is_ready() => None,
                        Poll::Pending => return Poll::Pending,
                    };
                    let SocketState::Upgrading(done) = std::mem::replace(&mut this.state, SocketState::Ended)
                    else {
                        unreachable!("invariant: matched above")
                    };
                    let Some(upgraded) = upgraded else {
                        let why = "the client went away before the connection was upgraded";
                        return Poll::Ready(ExitReason::shutdown_with(why));
                    };
                    let (io, already_read) = Io::of(upgraded);
                    let session = done.begin.begin(&this.ctx);
                    this.state =
                        SocketState::Open(WebSocketLoop::new(io, &already_read, session, done.deadline));
                }
                SocketState::Ended => unreachable!("invariant: a process is not polled after its end"),
            }
        }
    }
}
