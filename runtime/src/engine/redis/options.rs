//! How to reach a Redis server, and what went wrong with it.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use ::redis::{
    Client, ConnectionAddr, ErrorKind, IntoConnectionInfo, ProtocolVersion, RedisError as ClientError,
    ServerErrorKind, TlsCertificates,
};

use super::super::Safeguard;
use super::super::linked::missing;
use crate::node::{ClusterName, NodeId};

/// Where a [`Redis`](super::Redis) engine connects to, and as whom.
///
/// Over a network TLS (`rediss://`) and a password are asked for: see [`insecure`](Self::insecure).
#[derive(Clone)]
pub struct RedisOptions {
    url: String,
    pub(super) cluster: ClusterName,
    pub(super) node: NodeId,
    user: Option<String>,
    password: Option<String>,
    roots: Option<PathBuf>,
    insecure: bool,
}

/// Why there is no connection to a Redis server. Nothing was kept open.
#[derive(Debug)]
#[non_exhaustive]
pub enum RedisError {
    /// The text is not the URL of a Redis server; write `redis://host:port`, `rediss://host:port` or `unix:///path`.
    Url {
        /// What the client says. The text itself may hold a password.
        source: Arc<ClientError>,
    },
    /// The server is on another machine, and the link would lack this; nothing was sent. Add it, or write
    /// [`insecure`](RedisOptions::insecure).
    Insecure {
        /// Host and port.
        server: String,
        /// What is missing.
        missing: Safeguard,
    },
    /// The file of certificates could not be read.
    Certificates {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The server refused the user or the password, or wants some.
    Refused {
        /// Host and port.
        server: String,
        /// What the client says.
        source: Arc<ClientError>,
    },
    /// The server is older than Redis 6 and does not know RESP3, in which one connection can publish and receive.
    TooOld {
        /// Host and port.
        server: String,
    },
    /// The server does not answer in time (2 s).
    Timeout {
        /// Host and port.
        server: String,
    },
    /// The server is not there, something else is, or no encrypted connection came about.
    Unreachable {
        /// Host and port.
        server: String,
        /// What the client says.
        source: Arc<ClientError>,
    },
}

impl RedisOptions {
    /// The server at `url` (`redis://host:port`, `rediss://` with TLS, or `unix:///path`), for this node of this cluster. The
    /// number of a database means nothing here: subjects are the server's.
    pub fn new(url: impl Into<String>, cluster: ClusterName, node: NodeId) -> Self {
        Self { url: url.into(), cluster, node, user: None, password: None, roots: None, insecure: false }
    }

    /// Logs in by the server's password (`requirepass`).
    #[must_use]
    pub fn password(mut self, password: impl Into<String>) -> Self {
        self.password = Some(password.into());
        self
    }

    /// Logs in as a user of the server's access control list.
    #[must_use]
    pub fn user_and_password(mut self, user: impl Into<String>, password: impl Into<String>) -> Self {
        self.user = Some(user.into());
        self.password(password)
    }

    /// Trusts the certificates of this PEM file, in the place of the system's.
    #[must_use]
    pub fn root_certificates(mut self, path: impl Into<PathBuf>) -> Self {
        self.roots = Some(path.into());
        self
    }

    /// Connects over a network without TLS or without a password, if it is told so. Whoever can reach such a server can read and
    /// write all that the nodes tell each other.
    #[must_use]
    pub fn insecure(mut self) -> Self {
        self.insecure = true;
        self
    }

    /// The client, which has not connected yet, and where it will connect to.
    pub(super) fn client(&self) -> Result<(Client, String), RedisError> {
        let url = |source| RedisError::Url { source: Arc::new(source) };
        let info = self.url.as_str().into_connection_info().map_err(url)?;
        let mut login = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP3);
        if let Some(user) = &self.user {
            login = login.set_username(user);
        }
        if let Some(password) = &self.password {
            login = login.set_password(password);
        }
        let (server, missing) = match info.addr() {
            ConnectionAddr::Tcp(host, port) => {
                (place(host, *port), missing(host, false, login.password().is_some()))
            }
            ConnectionAddr::TcpTls { host, port, .. } => {
                (place(host, *port), missing(host, true, login.password().is_some()))
            }
            ConnectionAddr::Unix(path) => (path.display().to_string(), None),
            other => (other.to_string(), Some(Safeguard::Tls)),
        };
        if let Some(missing) = missing.filter(|_| !self.insecure) {
            return Err(RedisError::Insecure { server, missing });
        }
        let info = info.set_redis_settings(login);
        let client = match &self.roots {
            Some(path) => {
                let certificates = |source| RedisError::Certificates { path: path.clone(), source };
                let roots = std::fs::read(path).map_err(certificates)?;
                Client::build_with_tls(info, TlsCertificates { client_tls: None, root_cert: Some(roots) })
            }
            None => Client::open(info),
        };
        Ok((client.map_err(url)?, server))
    }
}

fn place(host: &str, port: u16) -> String {
    format!("{host}:{port}")
}

impl RedisError {
    pub(super) fn of(server: &str, error: ClientError) -> Self {
        let server = server.to_owned();
        match error.kind() {
            ErrorKind::AuthenticationFailed | ErrorKind::Server(ServerErrorKind::NoPerm) => {
                Self::Refused { server, source: Arc::new(error) }
            }
            // The handshake says nothing but this to who has not logged in.
            _ if matches!(error.code(), Some("NOAUTH" | "WRONGPASS")) => {
                Self::Refused { server, source: Arc::new(error) }
            }
            ErrorKind::RESP3NotSupported => Self::TooOld { server },
            _ if error.is_timeout() => Self::Timeout { server },
            _ => Self::Unreachable { server, source: Arc::new(error) },
        }
    }
}

impl fmt::Display for RedisError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url { source } => write!(f, "the URL of the Redis server is not right: {source}"),
            Self::Insecure { server, missing } => write!(
                f,
                "the link to Redis server {server} would be without {missing}: add it (rediss://…, a password), or write \
                 `insecure` out"
            ),
            Self::Certificates { path, source } => {
                write!(f, "the certificates of {} can't be read: {source}", path.display())
            }
            Self::Refused { server, source } => {
                write!(f, "Redis server {server} refuses the credentials: {source}")
            }
            Self::TooOld { server } => {
                write!(f, "Redis server {server} is too old: RESP3 came with Redis 6")
            }
            Self::Timeout { server } => write!(f, "Redis server {server} does not answer within 2 s"),
            Self::Unreachable { server, source } => {
                write!(f, "Redis server {server} can't be reached: {source}")
            }
        }
    }
}

impl std::error::Error for RedisError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Url { source } | Self::Refused { source, .. } | Self::Unreachable { source, .. } => {
                Some(&**source)
            }
            Self::Certificates { source, .. } => Some(source),
            Self::Insecure { .. } | Self::TooOld { .. } | Self::Timeout { .. } => None,
        }
    }
}

impl fmt::Debug for RedisOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisOptions")
            .field("cluster", &self.cluster)
            .field("node", &self.node)
            .field("insecure", &self.insecure)
            .finish_non_exhaustive()
    }
}
