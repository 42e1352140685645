//! The servers that are compared: started for one scenario and ended after it, or there already.

use std::io::{self, BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use crate::Error;
use crate::load::Target;

/// What is measured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Subject {
    Heronry,
    Floor,
    /// Another server, which runs already.
    Beside {
        name: String,
        addr: std::net::SocketAddr,
        pid: u32,
    },
}

/// A server that runs.
#[derive(Debug)]
pub(super) struct Server {
    target: Target,
    /// Ours, and ended with this.
    child: Option<Child>,
}

impl Subject {
    /// Reads `NAME=HOST:PORT,PID`.
    pub(super) fn parse(text: &str) -> Result<Self, Error> {
        let parts = text.split_once('=').and_then(|(name, rest)| Some((name, rest.split_once(',')?)));
        let (name, (addr, pid)) = parts.ok_or_else(|| format!("{text:?} is not NAME=HOST:PORT,PID"))?;
        Ok(Self::Beside { name: name.to_owned(), addr: addr.parse()?, pid: pid.parse()? })
    }

    pub(super) fn name(&self) -> &str {
        match self {
            Self::Heronry => "heronry",
            Self::Floor => "floor",
            Self::Beside { name, .. } => name,
        }
    }

    pub(super) fn start(&self) -> Result<Server, Error> {
        match self {
            Self::Heronry => {
                let path = std::env::current_exe()?.with_file_name("bench_server");
                if !path.exists() {
                    return Err(format!("no {}: cargo build --release -p bench", path.display()).into());
                }
                Server::spawn(Command::new(path).args(["--port", "0"]))
            }
            Self::Floor => Server::spawn(Command::new(std::env::current_exe()?).arg("floor")),
            Self::Beside { addr, pid, .. } => {
                Ok(Server { target: Target { addr: *addr, pid: *pid }, child: None })
            }
        }
    }
}

impl Server {
    /// Starts it and waits until it says where it listens.
    fn spawn(command: &mut Command) -> Result<Self, Error> {
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
        let mut stdout = BufReader::new(child.stdout.take().ok_or("a child without its output")?);
        let mut line = String::new();
        stdout.read_line(&mut line)?;
        let addr = line.trim().strip_prefix("listening on ").map(str::parse);
        let Some(Ok(addr)) = addr else {
            child.kill()?;
            child.wait()?;
            return Err(format!("the server said {line:?} and not where it listens").into());
        };
        // What it logs must go somewhere, lest it wait for room.
        std::thread::spawn(move || io::copy(&mut stdout, &mut io::sink()));
        Ok(Self { target: Target { addr, pid: child.id() }, child: Some(child) })
    }

    pub(super) fn target(&self) -> &Target {
        &self.target
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            // If it has ended already there is nothing to end.
            drop(child.kill());
            drop(child.wait());
        }
    }
}
