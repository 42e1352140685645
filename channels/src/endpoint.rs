//! The endpoint: sockets, routes and files behind one HTTP server.
//!
//! An [`Endpoint`] is a value. It serves HTTP by itself ([`Endpoint::bind`]), and it is a `tower::Service`, so that it
//! can be mounted in an application that has an HTTP server already. Its processes live in the supervision tree under
//! its child spec:
//!
//! ```text
//! endpoint (one_for_one)
//! ├─ sockets (dynamic)      one child a connected socket, each with its channels below it
//! ├─ connections (dynamic)  one child an HTTP connection
//! ├─ listener               accepts
//! └─ drainer                stopped first: drains, and then the others are stopped
//! ```

mod assets;
mod connection;
mod drain;
mod events;
mod listener;
mod pattern;
mod router;
#[cfg(feature = "tls")]
mod tls;
mod trouble;

use std::convert::Infallible;
use std::fmt;
use std::net::SocketAddr;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
#[cfg(feature = "longpoll")]
use std::sync::OnceLock;
use std::task::{Context as TaskContext, Poll};

use bytes::Bytes;
use heronry::cluster::Node;
use heronry::pubsub::PubSub;
use heronry::server::StartError;
use heronry::supervisor::{ChildKind, DynamicRef, DynamicSupervisor, Supervisor};
use heronry::{ChildSpec, ExitReason, Name};
use http::{Method, Request, Response};
use parking_lot::RwLock;
use tokio::sync::watch;

pub use drain::{Drained, Drainer};
pub use events::{AcceptFailed, AcceptRecovered, ConnectionRefused, SocketDrain};
pub use listener::{Bound, HttpLimits, ListenError};
use router::Router;
#[cfg(feature = "tls")]
pub use tls::{Tls, TlsError};

use crate::body::{Body, BoxError};
use crate::channel::Broadcaster;
use crate::raw::RawSocket;
use crate::socket::{ChannelPubSub, Fastlane, RouteError, Routes, Socket};
use crate::token::{SecretTooShort, Tokens};
#[cfg(feature = "longpoll")]
use crate::transport::LongPollMount;
use crate::transport::{
    Handler, Mount, SocketHome, SocketOptions, WebSocketMount, WithChannels, WithoutChannels,
};

/// How many sockets an endpoint takes unless told otherwise.
pub const SOCKETS_MAX_DEFAULT: usize = 1_000_000;

/// An endpoint that is being described; [`build`](Self::build) makes it.
pub struct EndpointBuilder {
    router: Router,
    home: Arc<SocketHome>,
    http: HttpLimits,
    sockets_max: usize,
    drainer: Option<Drainer>,
    #[cfg(feature = "tls")]
    tls: Option<Tls>,
    error: Option<EndpointError>,
}

/// An endpoint that cannot be built.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EndpointError {
    /// A socket's channel route is wrong.
    Route(RouteError),
    /// A path does not begin with `/`, or ends with one.
    Path(String),
    /// The secret key base is too short.
    Secret(SecretTooShort),
}

impl fmt::Display for EndpointError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Route(error) => error.fmt(f),
            Self::Path(path) => write!(f, "the path {path:?} must begin with / and not end with one"),
            Self::Secret(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for EndpointError {}

/// Sockets, routes and files behind one HTTP server; cheap to clone, all clones are the same endpoint.
///
/// ```no_run
/// use heronry_channels::prelude::*;
/// # struct UserSocket;
/// # impl Socket for UserSocket {
/// #     type Assigns = ();
/// #     async fn connect(&self, _: &Connect) -> Result<(), Refusal> { Ok(()) }
/// #     fn channels(routes: Routes<Self>) -> Routes<Self> { routes }
/// # }
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
///
/// let endpoint = Endpoint::builder().socket("/socket", UserSocket).build()?;
/// let bound = endpoint.bind("127.0.0.1:4000".parse()?)?;
/// let tree = Supervisor::one_for_one().child(bound.child_spec()).start().await?;
/// tree.wait().await;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Endpoint {
    inner: Arc<Inner>,
}

struct Inner {
    router: Router,
    home: Arc<SocketHome>,
    http: HttpLimits,
    sockets_max: usize,
    drainer: Option<Drainer>,
    #[cfg(feature = "tls")]
    tls: Option<Tls>,
    /// The supervisor of the HTTP connections, while it runs.
    connections: RwLock<Option<DynamicRef>>,
}

impl EndpointBuilder {
    /// Mounts a socket: its WebSocket transport is at `path` + `/websocket`, and long polling at `path` + `/longpoll`.
    /// Phoenix's `socket/3`.
    ///
    /// Segments of the path that begin with a colon are params of the connection: with `/socket/:tenant`, a client at
    /// `/socket/acme/websocket` has the param `tenant` of value `acme`, whatever its query string says. An endpoint may
    /// have several mounts, also of one type of socket: they share topics and socket ids.
    #[must_use]
    pub fn socket<S: Socket>(self, path: &str, handler: S) -> Self {
        self.socket_with(path, handler, SocketOptions::default())
    }

    /// Mounts a socket with options.
    #[must_use]
    pub fn socket_with<S: Socket>(self, path: &str, handler: S, options: SocketOptions) -> Self {
        let routes = match Routes::of_socket() {
            Ok(routes) => routes,
            Err(error) => return self.fail(EndpointError::Route(error)),
        };
        self.mount(path, WithChannels::new(handler, routes), options)
    }

    /// Mounts a socket without channels, at the same paths below `path` as one with channels. Its connections share a
    /// value, which may be `()`. Phoenix's `socket/3` with a module that is a `Phoenix.Socket.Transport`.
    #[must_use]
    pub fn raw_socket<R: RawSocket>(self, path: &str, shared: R::Shared) -> Self {
        self.raw_socket_with::<R>(path, shared, SocketOptions::default())
    }

    /// Mounts a socket without channels with options.
    #[must_use]
    pub fn raw_socket_with<R: RawSocket>(
        self,
        path: &str,
        shared: R::Shared,
        options: SocketOptions,
    ) -> Self {
        self.mount(path, WithoutChannels::<R>::new(shared), options)
    }

    fn mount<H: Handler>(mut self, path: &str, handler: H, options: SocketOptions) -> Self {
        if !is_path(path) {
            return self.fail(EndpointError::Path(path.to_owned()));
        }
        let websocket_path = options.websocket_path.clone();
        if let Some(wrong) = websocket_path.as_ref().filter(|path| !is_path(path)) {
            return self.fail(EndpointError::Path(wrong.clone()));
        }
        let mount = Mount::new(handler, options, self.home.clone());
        #[cfg(feature = "longpoll")]
        if mount.options.long_poll.enabled {
            let long_poll = LongPollMount::new(mount.clone(), path);
            self.router = self.router.mount(format!("{path}/longpoll"), Arc::new(long_poll));
        }
        if let Some(websocket_path) = websocket_path {
            let mount = WebSocketMount::new(mount);
            self.router = self.router.mount(format!("{path}{websocket_path}"), Arc::new(mount));
        }
        self
    }

    /// Answers requests of this method and exact path. The handler gets the whole body, up to
    /// [`HttpLimits::body_bytes_max`], and has [`HttpLimits::route_timeout`]; a panic in it is a 500.
    #[must_use]
    pub fn route<F, R>(mut self, method: Method, path: &str, handler: F) -> Self
    where
        F: Fn(Request<Bytes>) -> R + Send + Sync + 'static,
        R: Future<Output = Response<Body>> + Send + 'static,
    {
        self.router = self.router.route(method, path, handler);
        self
    }

    /// Serves one file at this exact path.
    #[must_use]
    pub fn file(mut self, path: &str, file: impl AsRef<Path>) -> Self {
        self.router = self.router.file(path, file.as_ref());
        self
    }

    /// Serves the files of a folder below a path. Nothing outside of the folder can be reached: not by a path that climbs,
    /// and not by a symbolic link in it. The folder may be a link itself, which can be switched to a new version.
    #[must_use]
    pub fn files(mut self, prefix: &str, folder: impl AsRef<Path>) -> Self {
        self.router = self.router.folder(prefix, folder.as_ref());
        self
    }

    /// The way to send to topics from outside of any channel: for routes, which are described before the endpoint is
    /// built.
    pub fn broadcaster(&self) -> Broadcaster {
        Broadcaster::new(self.home.pubsub.clone())
    }

    /// The secret that the endpoint signs with what clients carry back: the tokens of long-poll sessions. Without one it draws one of its
    /// own, so that no other node, and no later run, knows them. All nodes of a cluster need the same: then a poll that lands on another node
    /// reaches its session. Phoenix's `:secret_key_base`.
    #[must_use]
    pub fn secret_key_base(self, secret: impl AsRef<[u8]>) -> Self {
        match Tokens::new(secret) {
            Ok(tokens) => {
                #[cfg(feature = "longpoll")]
                drop(self.home.tokens.set(tokens));
                #[cfg(not(feature = "longpoll"))]
                drop(tokens);
                self
            }
            Err(error) => self.fail(EndpointError::Secret(error)),
        }
    }

    /// Sets the limits of the HTTP side.
    #[must_use]
    pub fn http_limits(mut self, limits: HttpLimits) -> Self {
        self.http = limits;
        self.router = self.router.limits(&limits);
        self
    }

    /// How many sockets may be connected at a time; one more is refused with 503.
    #[must_use]
    pub fn sockets_max(mut self, sockets: usize) -> Self {
        self.sockets_max = sockets;
        self
    }

    /// Speaks TLS, and nothing else, on the addresses that the endpoint is bound to. Another server that serves the
    /// endpoint's requests has its own.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn tls(mut self, tls: Tls) -> Self {
        self.tls = Some(tls);
        self
    }

    /// How the endpoint is [drained](Endpoint::drain) when its child is stopped; with `None` it is not: its sockets are
    /// closed all at once.
    #[must_use]
    pub fn drainer(mut self, drainer: impl Into<Option<Drainer>>) -> Self {
        self.drainer = drainer.into();
        self
    }

    /// Makes the endpoint.
    ///
    /// # Errors
    /// [`EndpointError`] says what is wrong with the description.
    pub fn build(self) -> Result<Endpoint, EndpointError> {
        match self.error {
            Some(error) => Err(error),
            None => Ok(Endpoint {
                inner: Arc::new(Inner {
                    router: self.router,
                    home: self.home,
                    http: self.http,
                    sockets_max: self.sockets_max,
                    drainer: self.drainer,
                    #[cfg(feature = "tls")]
                    tls: self.tls,
                    connections: RwLock::new(None),
                }),
            }),
        }
    }

    fn fail(mut self, error: EndpointError) -> Self {
        self.error.get_or_insert(error);
        self
    }
}

fn is_path(path: &str) -> bool {
    path.starts_with('/') && !path.ends_with('/')
}

impl Endpoint {
    /// Describes an endpoint of this node alone.
    pub fn builder() -> EndpointBuilder {
        Self::with_pubsub(PubSub::new(Fastlane))
    }

    /// Describes an endpoint whose topics are those of a cluster: broadcasts, and `disconnect` of a socket id, reach the clients of all
    /// nodes' endpoints over a PubSub of this name. Phoenix's `:pubsub_server`.
    pub fn over(node: &Node, pubsub: Name) -> EndpointBuilder {
        Self::with_pubsub(PubSub::over(node, pubsub, Fastlane))
    }

    fn with_pubsub(pubsub: ChannelPubSub) -> EndpointBuilder {
        let home = SocketHome {
            pubsub,
            #[cfg(feature = "longpoll")]
            tokens: OnceLock::new(),
            supervisor: RwLock::new(None),
            draining: watch::Sender::new(false),
        };
        let http = HttpLimits::default();
        EndpointBuilder {
            router: Router::new().limits(&http),
            home: Arc::new(home),
            http,
            sockets_max: SOCKETS_MAX_DEFAULT,
            drainer: Some(Drainer::default()),
            #[cfg(feature = "tls")]
            tls: None,
            error: None,
        }
    }

    /// Takes an address for the endpoint's own HTTP server, which runs once [`Bound::child_spec`] is in the tree.
    ///
    /// # Errors
    /// [`ListenError`] if the address can't be had: another program has it, or it is not of this machine.
    pub fn bind(&self, addr: SocketAddr) -> Result<Bound, ListenError> {
        Bound::new(self.clone(), addr)
    }

    /// The socket processes and the drainer as a child: all that the tree needs when another server serves the endpoint's
    /// requests. Put it before that server, so that it is stopped after it.
    pub fn sockets(&self) -> ChildSpec {
        let endpoint = self.clone();
        ChildSpec::supervisor("endpoint", move || {
            endpoint.begin();
            with(endpoint.supervisor(), endpoint.drainer())
        })
    }

    fn socket_supervisor(&self) -> ChildSpec {
        let (home, max) = (self.inner.home.clone(), self.inner.sockets_max);
        ChildSpec::new("sockets", move |spawner| {
            let home = home.clone();
            async move {
                // Two would each have half of the sockets, and the end of one would refuse new ones for the other.
                if home.is_running() {
                    let why = "the endpoint runs already; Bound::also serves a further address";
                    return Err(StartError::Init(ExitReason::shutdown_with(why)));
                }
                let supervisor = DynamicSupervisor::new().max_children(max).start_child(spawner).await?;
                let pid = supervisor.pid();
                *home.supervisor.write() = Some(supervisor);
                Ok(pid)
            }
        })
        .kind(ChildKind::Supervisor)
    }

    /// The way to send to topics from outside of any channel.
    pub fn broadcaster(&self) -> Broadcaster {
        Broadcaster::new(self.inner.home.pubsub.clone())
    }

    /// With its first child.
    fn supervisor(&self) -> Supervisor {
        Supervisor::one_for_one().label("endpoint").child(self.socket_supervisor())
    }

    /// Serves again what is new after a drain, unless it runs: then that is no business of a second child.
    fn begin(&self) {
        if !self.inner.home.is_running() {
            self.inner.home.draining.send_replace(false);
        }
    }

    /// Whether it is to serve nothing new.
    fn is_draining(&self) -> bool {
        *self.inner.home.draining.borrow()
    }

    /// Ready when a drain begins.
    fn drained(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut draining = self.inner.home.draining.subscribe();
        async move {
            if draining.wait_for(|draining| *draining).await.is_err() {
                // The endpoint is gone, which no drain began.
                std::future::pending().await
            }
        }
    }
}

fn with(supervisor: Supervisor, child: Option<ChildSpec>) -> Supervisor {
    match child {
        Some(child) => supervisor.child(child),
        None => supervisor,
    }
}

impl<B> tower_service::Service<Request<B>> for Endpoint
where
    B: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut TaskContext<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let inner = self.inner.clone();
        Box::pin(async move { Ok(inner.router.serve(request).await) })
    }
}

impl fmt::Debug for EndpointBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EndpointBuilder").field("router", &self.router).finish_non_exhaustive()
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint").field("router", &self.inner.router).finish_non_exhaustive()
    }
}
