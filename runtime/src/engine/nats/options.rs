//! How to reach a NATS server, and what went wrong with it.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use async_nats::{ConnectError, ConnectErrorKind, ConnectOptions, ServerAddr};
use percent_encoding::percent_decode_str;

use super::super::Safeguard;
use super::super::linked::missing;
use crate::node::{ClusterName, NodeId};

/// Where a [`Nats`](super::Nats) engine connects to, and as whom.
///
/// Over a network TLS (`tls://`) and credentials are asked for: see [`insecure`](Self::insecure).
#[derive(Clone)]
pub struct NatsOptions {
    pub(super) servers: Vec<String>,
    pub(super) cluster: ClusterName,
    pub(super) node: NodeId,
    login: Login,
    roots: Vec<PathBuf>,
    client: Option<(PathBuf, PathBuf)>,
    insecure: bool,
}

#[derive(Clone)]
enum Login {
    /// None, or what the URL has.
    Url,
    Token(String),
    Password(String, String),
    Nkey(String),
    CredentialsFile(PathBuf),
}

/// Why there is no connection to a NATS server. Nothing was kept open.
#[derive(Debug)]
#[non_exhaustive]
pub enum NatsError {
    /// The text is not the URL of a NATS server; write `nats://host:port`, or `tls://host:port`.
    Url {
        /// Which of the servers, counted from 0. The text itself may hold a password.
        index: usize,
        /// What is wrong with it.
        source: io::Error,
    },
    /// The server is on another machine, and the link would lack this; nothing was sent. Add it, or write
    /// [`insecure`](NatsOptions::insecure).
    Insecure {
        /// Host and port.
        server: String,
        /// What is missing.
        missing: Safeguard,
    },
    /// The credentials file could not be read, or holds none.
    Credentials {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The server refused the credentials, or wants some.
    Refused {
        /// Host and port.
        server: String,
        /// What the client says.
        source: Arc<ConnectError>,
    },
    /// No encrypted connection came about: a certificate that is not trusted, or a file that cannot be read.
    Tls {
        /// Host and port.
        server: String,
        /// What the client says.
        source: Arc<ConnectError>,
    },
    /// The server does not answer in time (2 s).
    Timeout {
        /// Host and port.
        server: String,
    },
    /// The server is not there, or something else is.
    Unreachable {
        /// Host and port.
        server: String,
        /// What the client says.
        source: Arc<ConnectError>,
    },
}

impl NatsOptions {
    /// The server at `url` (`nats://host:port`, or `tls://`), for this node of this cluster. The URL may say as whom
    /// (`nats://user:password@host`, `nats://token@host`).
    pub fn new(url: impl Into<String>, cluster: ClusterName, node: NodeId) -> Self {
        let servers = vec![url.into()];
        Self { servers, cluster, node, login: Login::Url, roots: Vec::new(), client: None, insecure: false }
    }

    /// Another server of the same NATS cluster, to go to when the ones before do not answer.
    #[must_use]
    pub fn server(mut self, url: impl Into<String>) -> Self {
        self.servers.push(url.into());
        self
    }

    /// Logs in by a token.
    #[must_use]
    pub fn token(mut self, token: impl Into<String>) -> Self {
        self.login = Login::Token(token.into());
        self
    }

    /// Logs in as a user.
    #[must_use]
    pub fn user_and_password(mut self, user: impl Into<String>, password: impl Into<String>) -> Self {
        self.login = Login::Password(user.into(), password.into());
        self
    }

    /// Logs in by an NKey; this is its seed (`SU…`).
    #[must_use]
    pub fn nkey(mut self, seed: impl Into<String>) -> Self {
        self.login = Login::Nkey(seed.into());
        self
    }

    /// Logs in by a credentials file (a JWT and its NKey). It is read anew for each connection.
    #[must_use]
    pub fn credentials_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.login = Login::CredentialsFile(path.into());
        self
    }

    /// Trusts the certificates of this PEM file, in the place of the system's.
    #[must_use]
    pub fn root_certificates(mut self, path: impl Into<PathBuf>) -> Self {
        self.roots.push(path.into());
        self
    }

    /// Shows the server this certificate, with its key; two PEM files.
    #[must_use]
    pub fn client_certificate(mut self, certificate: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        self.client = Some((certificate.into(), key.into()));
        self
    }

    /// Connects over a network without TLS or without credentials, if it is told so. Whoever can reach such a server can read
    /// and write all that the nodes tell each other.
    #[must_use]
    pub fn insecure(mut self) -> Self {
        self.insecure = true;
        self
    }

    /// The servers, looked at.
    pub(super) fn parse(&self) -> Result<Vec<ServerAddr>, NatsError> {
        self.servers.iter().enumerate().map(|(index, url)| self.parse_one(index, url)).collect()
    }

    fn parse_one(&self, index: usize, url: &str) -> Result<ServerAddr, NatsError> {
        let addr: ServerAddr = url.parse().map_err(|source| NatsError::Url { index, source })?;
        if !matches!(addr.scheme(), "nats" | "tls") || addr.host().is_empty() {
            let source =
                io::Error::new(io::ErrorKind::InvalidInput, "it is not nats://host:port or tls://host:port");
            return Err(NatsError::Url { index, source });
        }
        let credentials = match &self.login {
            Login::Url => addr.has_user_pass() || self.client.is_some(),
            Login::Token(_) | Login::Password(..) | Login::Nkey(_) | Login::CredentialsFile(_) => true,
        };
        match missing(addr.host(), addr.tls_required(), credentials) {
            Some(missing) if !self.insecure => Err(NatsError::Insecure { server: place(&addr), missing }),
            Some(_) | None => Ok(addr),
        }
    }

    /// What the client is told of who we are.
    pub(super) async fn client_options(&self, server: &ServerAddr) -> Result<ConnectOptions, NatsError> {
        let mut options = match &self.login {
            Login::Url => of_url(server),
            Login::Token(token) => ConnectOptions::with_token(token.clone()),
            Login::Password(user, password) => {
                ConnectOptions::with_user_and_password(user.clone(), password.clone())
            }
            Login::Nkey(seed) => ConnectOptions::with_nkey(seed.clone()),
            Login::CredentialsFile(path) => ConnectOptions::with_credentials_file(path)
                .await
                .map_err(|source| NatsError::Credentials { path: path.clone(), source })?,
        };
        for path in &self.roots {
            options = options.add_root_certificates(path.clone());
        }
        if let Some((certificate, key)) = &self.client {
            options = options.add_client_certificate(certificate.clone(), key.clone());
        }
        Ok(options)
    }
}

/// As whom the URL says; the client does not look. Without a password it is a token, as for NATS's own tools.
fn of_url(server: &ServerAddr) -> ConnectOptions {
    let decode = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    match (server.username().map(decode), server.password().map(decode)) {
        (Some(user), Some(password)) => ConnectOptions::with_user_and_password(user, password),
        (Some(token), None) => ConnectOptions::with_token(token),
        (None, _) => ConnectOptions::new(),
    }
}

/// Host and port, and nothing secret.
pub(super) fn place(addr: &ServerAddr) -> String {
    format!("{}:{}", addr.host(), addr.port())
}

impl NatsError {
    pub(super) fn of(addr: &ServerAddr, error: ConnectError) -> Self {
        let server = place(addr);
        let kind = error.kind();
        let source = Arc::new(error);
        match kind {
            ConnectErrorKind::Authentication | ConnectErrorKind::AuthorizationViolation => {
                Self::Refused { server, source }
            }
            ConnectErrorKind::TimedOut => Self::Timeout { server },
            ConnectErrorKind::Tls => Self::Tls { server, source },
            ConnectErrorKind::ServerParse
            | ConnectErrorKind::Dns
            | ConnectErrorKind::Io
            | ConnectErrorKind::MaxReconnects => Self::Unreachable { server, source },
        }
    }
}

impl fmt::Display for NatsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url { index, source } => write!(f, "the URL of NATS server {index} is not right: {source}"),
            Self::Insecure { server, missing } => write!(
                f,
                "the link to NATS server {server} would be without {missing}: add it (tls://…, a token, a password, a \
                 key), or write `insecure` out"
            ),
            Self::Credentials { path, source } => {
                write!(f, "the credentials file {} is of no use: {source}", path.display())
            }
            Self::Refused { server, source } => {
                write!(f, "NATS server {server} refuses the credentials: {source}")
            }
            Self::Tls { server, source } => {
                write!(f, "no encrypted connection to NATS server {server}: {source}")
            }
            Self::Timeout { server } => write!(f, "NATS server {server} does not answer within 2 s"),
            Self::Unreachable { server, source } => {
                write!(f, "NATS server {server} can't be reached: {source}")
            }
        }
    }
}

impl std::error::Error for NatsError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Url { source, .. } | Self::Credentials { source, .. } => Some(source),
            Self::Refused { source, .. } | Self::Tls { source, .. } | Self::Unreachable { source, .. } => {
                Some(&**source)
            }
            Self::Insecure { .. } | Self::Timeout { .. } => None,
        }
    }
}

impl fmt::Debug for NatsOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NatsOptions")
            .field("cluster", &self.cluster)
            .field("node", &self.node)
            .field("insecure", &self.insecure)
            .finish_non_exhaustive()
    }
}
