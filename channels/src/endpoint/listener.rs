//! The endpoint's own HTTP server: a listener process, and one process for each HTTP connection.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use heronry::supervisor::{ChildKind, DynamicRef, DynamicSupervisor};
use heronry::{ChildSpec, Context, telemetry};
use parking_lot::RwLock;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;

use super::events::{AcceptFailed, AcceptRecovered, ConnectionRefused};
use super::trouble::Trouble;
use super::{Endpoint, connection};

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

/// An endpoint and the address that it will serve. The port is held from now on, also while its listener restarts.
#[derive(Clone, Debug)]
pub struct Bound {
    endpoint: Endpoint,
    listener: Arc<std::net::TcpListener>,
    local_addr: SocketAddr,
}

impl Bound {
    pub(super) fn new(endpoint: Endpoint, addr: SocketAddr) -> Result<Self, ListenError> {
        let listen = || {
            let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
            socket.set_reuse_address(true)?;
            socket.set_nonblocking(true)?;
            // Connections inherit it; where it can't be set, only the limits are less exact.
            #[cfg(any(target_os = "linux", target_os = "android"))]
            drop(socket.set_tcp_notsent_lowat(UNSENT_BYTES));
            socket.bind(&addr.into())?;
            socket.listen(BACKLOG)?;
            let listener = std::net::TcpListener::from(socket);
            let local_addr = listener.local_addr()?;
            Ok((listener, local_addr))
        };
        let (listener, local_addr) = listen().map_err(|error| ListenError { addr, error })?;
        Ok(Self { endpoint, listener: Arc::new(listener), local_addr })
    }

    /// The address: with the port that was chosen where 0 was asked for.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// The endpoint and its server as a child: a supervisor with the sockets, the HTTP connections and the listener.
    pub fn child_spec(&self) -> ChildSpec {
        let bound = self.clone();
        ChildSpec::supervisor("endpoint", move || {
            let connections: Arc<RwLock<Option<DynamicRef>>> = Arc::default();
            bound.endpoint.supervisor(bound.connections(&connections), bound.listener(&connections))
        })
    }

    fn connections(&self, slot: &Arc<RwLock<Option<DynamicRef>>>) -> ChildSpec {
        let (slot, max) = (slot.clone(), self.endpoint.inner.http.connections_max);
        ChildSpec::new("connections", move |spawner| {
            let slot = slot.clone();
            async move {
                let supervisor = DynamicSupervisor::new().max_children(max).start_child(spawner).await?;
                let pid = supervisor.pid();
                *slot.write() = Some(supervisor);
                Ok(pid)
            }
        })
        .kind(ChildKind::Supervisor)
    }

    fn listener(&self, connections: &Arc<RwLock<Option<DynamicRef>>>) -> ChildSpec {
        let (bound, connections) = (self.clone(), connections.clone());
        let label = format!("listener {}", self.local_addr);
        ChildSpec::process(label, move |ctx| accept(ctx, bound.clone(), connections.clone()))
    }
}

async fn accept(
    _ctx: Context<()>,
    bound: Bound,
    connections: Arc<RwLock<Option<DynamicRef>>>,
) -> Result<(), io::Error> {
    let listener = TcpListener::from_std(bound.listener.try_clone()?)?;
    let mut trouble = Trouble::default();
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                if let Some(after) = trouble.worked(Instant::now().into_std()) {
                    telemetry::emit(&AcceptRecovered { after });
                }
                let Some(connections) = connections.read().clone() else { continue };
                start_connection(&bound, &connections, stream, peer).await;
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
}

async fn start_connection(bound: &Bound, connections: &DynamicRef, stream: TcpStream, peer: SocketAddr) {
    // Latency counts more than small packets; where it can't be set nothing else is lost.
    drop(stream.set_nodelay(true));
    let endpoint = bound.endpoint.clone();
    let spec = ChildSpec::once(format!("http {peer}"), move |spawner| {
        let spawned = spawner.spawn(|_: Context<()>| connection::serve(endpoint, stream, peer));
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
