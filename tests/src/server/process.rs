//! One child process: start, ready line, signals, exit status, memory.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use super::ServerError;
use super::output::Output;

/// How long the last output of an ended process is waited for: a grandchild may keep its pipe open for ever.
const LAST_OUTPUT_WAIT: Duration = Duration::from_secs(2);

/// How often an exit is looked for.
const EXIT_POLL_INTERVAL: Duration = Duration::from_millis(5);

/// A running program whose output is read all the time; killed and waited for when dropped.
#[derive(Debug)]
pub struct ServerProcess {
    child: Child,
    stdout: Output,
    stderr: Output,
    ready: String,
}

impl ServerProcess {
    /// Starts `program` and waits until a line of its stdout begins with `ready_prefix`.
    ///
    /// # Errors
    /// [`ServerError::Start`] if it cannot be started, [`ServerError::Exited`] if it ends first, and
    /// [`ServerError::Late`] if the line does not come within `deadline`; a process that is late has been killed.
    pub async fn start<A: AsRef<OsStr>>(
        program: impl AsRef<Path>,
        args: impl IntoIterator<Item = A>,
        ready_prefix: &str,
        deadline: Duration,
    ) -> Result<Self, ServerError> {
        let mut process = Self::spawn_awaiting(program.as_ref(), args, Some(ready_prefix))?;
        match timeout(deadline, process.stdout.found()).await {
            Ok(Some(ready)) => {
                process.ready = ready;
                Ok(process)
            }
            Ok(None) => {
                let status = process.wait(deadline).await?;
                Err(ServerError::Exited { status, stdout: process.stdout(), stderr: process.stderr() })
            }
            Err(_) => {
                Err(process.late(format!("line on stdout that begins with `{ready_prefix}`"), deadline))
            }
        }
    }

    /// Starts `program` without waiting for it to be ready: for scripts that run to their end.
    ///
    /// # Errors
    /// [`ServerError::Start`] if it cannot be started.
    pub fn spawn<A: AsRef<OsStr>>(
        program: impl AsRef<Path>,
        args: impl IntoIterator<Item = A>,
    ) -> Result<Self, ServerError> {
        Self::spawn_awaiting(program.as_ref(), args, None)
    }

    fn spawn_awaiting<A: AsRef<OsStr>>(
        program: &Path,
        args: impl IntoIterator<Item = A>,
        ready_prefix: Option<&str>,
    ) -> Result<Self, ServerError> {
        let mut child = Command::new(program)
            .args(args)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|source| ServerError::Start { program: PathBuf::from(program), source })?;
        let stdout = Output::read(child.stdout.take().expect("invariant: stdout is piped"), ready_prefix);
        let stderr = Output::read(child.stderr.take().expect("invariant: stderr is piped"), None);
        Ok(Self { child, stdout, stderr, ready: String::new() })
    }

    /// The rest of the line that said the process is ready, behind the prefix.
    pub fn ready(&self) -> &str {
        &self.ready
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The last 64 KiB of its stdout.
    pub fn stdout(&self) -> String {
        self.stdout.text()
    }

    /// The last 64 KiB of its stderr.
    pub fn stderr(&self) -> String {
        self.stderr.text()
    }

    /// Ends it at once, as a crash of the machine would, and waits until it is gone.
    ///
    /// # Errors
    /// [`ServerError::Process`] with the refusal.
    pub fn kill_9(&mut self) -> Result<(), ServerError> {
        self.child
            .kill()
            .and_then(|()| self.child.wait())
            .map(|_status| ())
            .map_err(asked("kill the process"))
    }

    /// Asks it to end (SIGTERM) and returns at once.
    ///
    /// # Errors
    /// [`ServerError::Process`] with the refusal.
    pub fn terminate(&self) -> Result<(), ServerError> {
        self.signal("-TERM", "send SIGTERM")
    }

    /// Asks it to end as Ctrl-C does (SIGINT) and returns at once.
    ///
    /// # Errors
    /// [`ServerError::Process`] with the refusal.
    pub fn interrupt(&self) -> Result<(), ServerError> {
        self.signal("-INT", "send SIGINT")
    }

    /// Lets it stand still until [`resume`](Self::resume): its connections stay, and it says nothing (SIGSTOP).
    ///
    /// # Errors
    /// [`ServerError::Process`] with the refusal.
    pub fn pause(&self) -> Result<(), ServerError> {
        self.signal("-STOP", "send SIGSTOP")
    }

    /// Lets it go on (SIGCONT).
    ///
    /// # Errors
    /// [`ServerError::Process`] with the refusal.
    pub fn resume(&self) -> Result<(), ServerError> {
        self.signal("-CONT", "send SIGCONT")
    }

    fn signal(&self, signal: &str, what: &'static str) -> Result<(), ServerError> {
        let told = Command::new("kill").args([signal, &self.pid().to_string()]).output();
        let told = told.and_then(|output| match output.status.success() {
            true => Ok(()),
            false => Err(io::Error::other(String::from_utf8_lossy(&output.stderr).into_owned())),
        });
        told.map_err(asked(what))
    }

    /// Waits until it has ended by itself and its output has been read.
    ///
    /// # Errors
    /// [`ServerError::Late`] if it still runs after `deadline`.
    pub async fn wait(&mut self, deadline: Duration) -> Result<ExitStatus, ServerError> {
        let end = Instant::now() + deadline;
        let status = loop {
            match self.child.try_wait().map_err(asked("wait for the process"))? {
                Some(status) => break status,
                None if Instant::now() >= end => return Err(self.late("exit".to_owned(), deadline)),
                None => sleep(EXIT_POLL_INTERVAL).await,
            }
        };
        let read = async {
            self.stdout.ended().await;
            self.stderr.ended().await;
        };
        // What is missing then is missing from a message only.
        let _ = timeout(LAST_OUTPUT_WAIT, read).await;
        Ok(status)
    }

    /// The memory that it holds at the moment (`VmRSS`), in bytes.
    ///
    /// # Errors
    /// [`ServerError::Process`] if it has ended.
    pub fn rss_bytes(&self) -> Result<u64, ServerError> {
        let status =
            fs::read_to_string(format!("/proc/{}/status", self.pid())).map_err(asked("read its status"))?;
        let kibibytes = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .and_then(|rest| rest.trim().trim_end_matches(" kB").parse::<u64>().ok())
            .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "no VmRSS: the process has ended"))
            .map_err(asked("read its memory"))?;
        Ok(kibibytes * 1024)
    }

    fn late(&self, awaited: String, after: Duration) -> ServerError {
        ServerError::Late { awaited, after, stdout: self.stdout(), stderr: self.stderr() }
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        // Both fail only for a process that has already been waited for.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn asked(asked: &'static str) -> impl Fn(io::Error) -> ServerError {
    move |source| ServerError::Process { asked, source }
}
