//! The endpoint's own HTTP server: a listener process, and one process for each HTTP connection.

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use heronry::server::StartError;
use heronry::supervisor::{ChildKind, DynamicRef, DynamicSupervisor, Supervisor};
use heronry::{ChildSpec, Context, telemetry};
use parking_lot::Mutex;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;

use super::events::{AcceptFailed, AcceptRecovered, ConnectionRefused};
use super::trouble::Trouble;
use super::{Endpoint, connection, with};

/// Connections that the kernel keeps ready to be accepted: a storm of reconnecting clients must find room.
const BACKLOG: i32 = 4_096;

/// What the kernel takes of a connection's output beyond what it has sent. By default that is up to 4 MB, so much memory
/// for each client that reads slowly, outside of every limit, and it says that there is room only when a third of it is:
/// then a client that reads slowly can't be told from one that does not read.
#[cfg(any(target_os = "linux", target_os = "android"))]
const UNSENT_BYTES: u32 = 128 << 10;

/// How long the listener waits after accepting failed (no more file descriptors, say) before it tries again. Clients
/// wait in the kernel's queue meanwhile.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The limits of the HTTP side of an endpoint's own server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HttpLimits {
    /// HTTP connections at a time, sockets not counted; one more is closed at once. Default 20,000.
    pub connections_max: usize,
    /// Headers of one request. Default 100; more is 431.
    pub headers_max: usize,
    /// The head of one request, in bytes. Default 16 KiB; more is 431.
    pub head_bytes_max: usize,
    /// How long a client has to send the head of a request, and how long a connection may be silent between two.
    /// Default 30 s.
    pub head_timeout: Duration,
    /// The body of one request, in bytes. Default 1 MiB; more is 413.
    pub body_bytes_max: usize,
    /// How long a client has to send the body. Default 30 s; longer is 408.
    pub body_timeout: Duration,
    /// How long a route's handler may take; then it is dropped where it waits and its client gets 503. Default 60 s.
    pub route_timeout: Duration,
    /// How long a client has for the TLS handshake, where there is one. Default 10 s.
    pub tls_timeout: Duration,
    /// How long a client may take nothing of an answer before it counts as gone. Default 30 s.
    pub write_timeout: Duration,
}

impl Default for HttpLimits {
    fn default() -> Self {
        Self {
            connections_max: 20_000,
            headers_max: 100,
            head_bytes_max: 16 << 10,
            head_timeout: Duration::from_secs(30),
            body_bytes_max: 1 << 20,
            body_timeout: Duration::from_secs(30),
            route_timeout: Duration::from_secs(60),
            tls_timeout: Duration::from_secs(10),
            write_timeout: Duration::from_secs(30),
        }
    }
}

/// An address that can't be listened on.
#[derive(Debug)]
pub struct ListenError {
    /// The address.
    pub addr: SocketAddr,
    /// What the system said.
    pub error: io::Error,
}

impl fmt::Display for ListenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot listen on {}: {}", self.addr, self.error)?;
        if self.error.kind() == io::ErrorKind::AddrInUse {
            f.write_str("; stop the program that has the port, or choose another port")?;
        }
        Ok(())
    }
}

impl std::error::Error for ListenError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.error)
    }
}

/// An endpoint and the addresses that it will serve. The ports are held from now on, also while their listeners restart,
/// and given back when the endpoint is [drained](Endpoint::drain).
#[derive(Clone, Debug)]
pub struct Bound {
    endpoint: Endpoint,
    port: Port,
    others: Vec<Port>,
}

#[derive(Clone, Debug)]
struct Port {
    /// `None` after a drain.
    listener: Arc<Mutex<Option<std::net::TcpListener>>>,
    local_addr: SocketAddr,
}

impl Port {
    fn hold(addr: SocketAddr) -> Result<Self, ListenError> {
        let listener = listen(addr).map_err(|error| ListenError { addr, error })?;
        let local_addr = listener.local_addr().map_err(|error| ListenError { addr, error })?;
        Ok(Self { listener: Arc::new(Mutex::new(Some(listener))), local_addr })
    }

    /// The port, taken again if a drain gave it back.
    fn listener(&self) -> io::Result<TcpListener> {
        let mut held = self.listener.lock();
        let listener = match held.take() {
            Some(listener) => listener,
            None => listen(self.local_addr)?,
        };
        TcpListener::from_std(held.insert(listener).try_clone()?)
    }
}

impl Bound {
    pub(super) fn new(endpoint: Endpoint, addr: SocketAddr) -> Result<Self, ListenError> {
        Ok(Self { endpoint, port: Port::hold(addr)?, others: Vec::new() })
    }

    /// Takes a further address: IPv6 beside IPv4, say. All are served by one set of processes, and drained together.
    ///
    /// # Errors
    /// [`ListenError`] if the address can't be had; then none of those before is held any more.
    pub fn also(mut self, addr: SocketAddr) -> Result<Self, ListenError> {
        self.others.push(Port::hold(addr)?);
        Ok(self)
    }

    /// The address: with the port that was chosen where 0 was asked for. Of several, the first.
    pub fn local_addr(&self) -> SocketAddr {
        self.port.local_addr
    }

    /// All addresses, in the order in which they were taken.
    pub fn local_addrs(&self) -> impl Iterator<Item = SocketAddr> {
        self.ports().map(|port| port.local_addr)
    }

    fn ports(&self) -> impl Iterator<Item = &Port> {
        std::iter::once(&self.port).chain(&self.others)
    }

    /// The endpoint and its server as a child: a supervisor with the sockets, the HTTP connections and the listeners.
    ///
    /// An endpoint runs once: a second child of it, from another [`Endpoint::bind`] or from [`Endpoint::sockets`], does
    /// not start while the first runs. For further addresses there is [`also`](Self::also).
    pub fn child_spec(&self) -> ChildSpec {
        let bound = self.clone();
        ChildSpec::supervisor("endpoint", move || {
            // A restart after a drain begins anew.
            bound.endpoint.begin();
            let supervisor = bound.endpoint.supervisor().child(bound.connections());
            let listeners = bound.ports().map(|port| listener_spec(&bound.endpoint, port));
            with(listeners.fold(supervisor, Supervisor::child), bound.endpoint.drainer())
        })
    }

    fn connections(&self) -> ChildSpec {
        let endpoint = self.endpoint.clone();
        ChildSpec::new("connections", move |spawner| {
            let endpoint = endpoint.clone();
            async move {
                let max = endpoint.inner.http.connections_max;
                let supervisor = DynamicSupervisor::new().max_children(max).start_child(spawner).await?;
                let pid = supervisor.pid();
                *endpoint.inner.connections.write() = Some(supervisor);
                Ok(pid)
            }
        })
        .kind(ChildKind::Supervisor)
    }
}

fn listener_spec(endpoint: &Endpoint, port: &Port) -> ChildSpec {
    let (endpoint, port) = (endpoint.clone(), port.clone());
    ChildSpec::new(format!("listener {}", port.local_addr), move |spawner| {
        let (endpoint, port) = (endpoint.clone(), port.clone());
        // The port is there when the child is: who starts an endpoint can connect to it.
        let listener = if endpoint.is_draining() { None } else { Some(port.listener()) };
        let start = || {
            let listener = listener.transpose().map_err(|error| StartError::Init(error.into()))?;
            Ok(spawner.spawn(move |ctx| accept(ctx, endpoint, port, listener))?.pid())
        };
        std::future::ready(start())
    })
}

fn listen(addr: SocketAddr) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    // Connections inherit it; where it can't be set, only the limits are less exact.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    drop(socket.set_tcp_notsent_lowat(UNSENT_BYTES));
    socket.bind(&addr.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// The listener's process. Without a port, and after a drain, it stays for its supervisor, which would restart it.
async fn accept(_ctx: Context<()>, endpoint: Endpoint, port: Port, listener: Option<TcpListener>) {
    let Some(listener) = listener else { return std::future::pending().await };
    let mut drained = std::pin::pin!(endpoint.drained());
    let mut trouble = Trouble::default();
    loop {
        let accepted = poll_fn(|cx| match drained.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(None),
            Poll::Pending => listener.poll_accept(cx).map(Some),
        });
        let Some(accepted) = accepted.await else { break };
        match accepted {
            Ok((stream, peer)) => {
                if let Some(after) = trouble.worked(Instant::now().into_std()) {
                    telemetry::emit(&AcceptRecovered { after });
                }
                let Some(connections) = endpoint.inner.connections.read().clone() else { continue };
                start_connection(&endpoint, &connections, stream, peer).await;
            }
            Err(error) if concerns_one(&error) => {}
            Err(error) => {
                if let Some(times) = trouble.failed(Instant::now().into_std()) {
                    telemetry::emit(&AcceptFailed { error: error.to_string(), times });
                }
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    // With both gone the port is closed.
    drop(listener);
    *port.listener.lock() = None;
    std::future::pending().await
}

async fn start_connection(
    endpoint: &Endpoint,
    connections: &DynamicRef,
    stream: TcpStream,
    peer: SocketAddr,
) {
    // Latency counts more than small packets; where it can't be set nothing else is lost.
    drop(stream.set_nodelay(true));
    let endpoint = endpoint.clone();
    let spec = ChildSpec::once(format!("http {peer}"), move |spawner| {
        // Boxed: it is large, and a process's body is moved several times before it runs and once more at its end.
        let spawned = spawner.spawn(|_: Context<()>| Box::pin(connection::open(endpoint, stream, peer)));
        std::future::ready(spawned.map(|addr| addr.pid()))
    });
    if let Err(error) = connections.start_child(spec).await {
        telemetry::emit(&ConnectionRefused { peer, why: error.to_string() });
    }
}

/// Whether only the connection that was to be accepted is lost.
fn concerns_one(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionRefused
    )
}
