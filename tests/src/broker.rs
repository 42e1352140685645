//! Message brokers under test: NATS and Redis servers on ports of their own, ended, stopped and started again by pid.

use std::ffi::OsString;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::{Instant, sleep};

use crate::server::{ServerError, ServerProcess, free_port, workspace_root};

/// How long a broker may take to be there.
const READY_WITHIN: Duration = Duration::from_secs(20);

const POLL_INTERVAL: Duration = Duration::from_millis(10);

/// A broker on a port of its own; it ends with this value.
#[derive(Debug)]
pub struct BrokerProcess {
    program: PathBuf,
    args: Vec<OsString>,
    port: u16,
    process: ServerProcess,
}

/// All NATS servers that are there: that of the operating system, and the newer one that `tests/run` installs.
pub fn find_nats_servers() -> Vec<PathBuf> {
    let newer = workspace_root().join("tests/e2e/nats/bin/nats-server");
    find("nats-server").into_iter().chain([newer].into_iter().filter(|path| path.is_file())).collect()
}

/// The Redis server of the operating system.
pub fn find_redis_server() -> Option<PathBuf> {
    find("redis-server")
}

fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    // Debian has servers where only root's PATH looks.
    let folders =
        std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin"), PathBuf::from("/usr/local/sbin")]);
    folders.map(|folder| folder.join(program)).find(|path| path.is_file())
}

impl BrokerProcess {
    /// A NATS server, with more arguments.
    ///
    /// # Errors
    /// [`ServerError`] if it does not start.
    pub async fn nats(program: &Path, args: &[&str]) -> Result<Self, ServerError> {
        let port = port()?;
        let mut all = vec!["--addr".into(), "127.0.0.1".into(), "--port".into(), port.to_string().into()];
        all.extend(args.iter().map(OsString::from));
        Self::start(program, all, port).await
    }

    /// A Redis server that keeps nothing, with more arguments.
    ///
    /// # Errors
    /// [`ServerError`] if it does not start.
    pub async fn redis(program: &Path, args: &[&str]) -> Result<Self, ServerError> {
        let port = port()?;
        let own = ["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", "/tmp"];
        let mut all: Vec<OsString> = own.iter().map(OsString::from).collect();
        if args.contains(&"--tls-port") {
            all.extend(["--port".into(), "0".into()]);
        } else {
            all.extend(["--port".into(), port.to_string().into()]);
        }
        all.extend(args.iter().map(|arg| OsString::from(arg.replace("PORT", &port.to_string()))));
        Self::start(program, all, port).await
    }

    async fn start(program: &Path, args: Vec<OsString>, port: u16) -> Result<Self, ServerError> {
        let process = ServerProcess::spawn(program, &args)?;
        let mut broker = Self { program: program.to_owned(), args, port, process };
        broker.until_ready().await?;
        Ok(broker)
    }

    async fn until_ready(&mut self) -> Result<(), ServerError> {
        let end = Instant::now() + READY_WITHIN;
        while TcpStream::connect(self.addr()).await.is_err() {
            if Instant::now() >= end {
                return Err(ServerError::Late {
                    awaited: format!("connection to port {}", self.port),
                    after: READY_WITHIN,
                    stdout: self.process.stdout(),
                    stderr: self.process.stderr(),
                });
            }
            sleep(POLL_INTERVAL).await;
        }
        Ok(())
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// Ends it at once (SIGKILL).
    ///
    /// # Errors
    /// [`ServerError::Process`] with the refusal.
    pub fn kill_9(&mut self) -> Result<(), ServerError> {
        self.process.kill_9()
    }

    /// Starts it again, on the same port.
    ///
    /// # Errors
    /// [`ServerError`] if it does not start.
    pub async fn restart(&mut self) -> Result<(), ServerError> {
        self.process = ServerProcess::spawn(&self.program, &self.args)?;
        self.until_ready().await
    }

    /// Lets it stand still (SIGSTOP).
    ///
    /// # Errors
    /// [`ServerError::Process`] with the refusal.
    pub fn pause(&self) -> Result<(), ServerError> {
        self.process.pause()
    }

    /// Lets it go on (SIGCONT).
    ///
    /// # Errors
    /// [`ServerError::Process`] with the refusal.
    pub fn resume(&self) -> Result<(), ServerError> {
        self.process.resume()
    }
}

fn port() -> Result<u16, ServerError> {
    free_port().map_err(|source| ServerError::Process { asked: "find a free port", source })
}
