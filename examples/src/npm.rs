//! Gets the front-end packages of an example from npm, once, before its runtime starts.
//!
//! The repository holds no copy of anybody's JavaScript: a `package.json` names exact versions, and [`ensure`] installs
//! them where they are missing. It promises to do nothing when they are there, never to ask a question on the terminal,
//! and to be done, one way or the other, within two minutes.

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::fmt;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use serde_json::{Map, Value};

#[cfg(test)]
mod tests;

const NPM: &str = if cfg!(windows) { "npm.cmd" } else { "npm" };

/// A cold install of a handful of packages takes seconds; past this the registry is out of reach.
const INSTALL_LIMIT: Duration = Duration::from_secs(120);

/// How much of npm's output is kept: its last part, where the reason stands.
const OUTPUT_BYTES_MAX: usize = 16 * 1024;

/// How many of npm's last lines an error shows.
const OUTPUT_LINES_MAX: usize = 12;

/// Why the front-end packages are not there. `node_modules` may be partly filled after each of these but
/// [`NpmError::Manifest`]; starting again mends it.
#[derive(Debug)]
#[non_exhaustive]
pub enum NpmError {
    /// A `package.json` could not be read or is not one. Nothing was installed.
    Manifest {
        /// The file.
        path: PathBuf,
        /// What was wrong with it.
        source: io::Error,
    },
    /// There is no npm on PATH. Nothing was installed.
    NotFound {
        /// Where the packages are wanted.
        dir: PathBuf,
    },
    /// npm is there but could not be started or watched. Nothing was installed, or too little.
    Start {
        /// Where the packages are wanted.
        dir: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// npm ran and reported a failure.
    Failed {
        /// Where the packages are wanted.
        dir: PathBuf,
        /// How npm ended.
        status: ExitStatus,
        /// The last lines it wrote.
        output: String,
    },
    /// npm did not end in time and was stopped.
    TimedOut {
        /// Where the packages are wanted.
        dir: PathBuf,
        /// The time it was given.
        limit: Duration,
    },
    /// npm reported success, but a package is missing or has another version.
    Incomplete {
        /// Where the packages are wanted.
        dir: PathBuf,
        /// The package.
        package: String,
        /// The version `package.json` asks for.
        wanted: String,
    },
}

impl fmt::Display for NpmError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Manifest { path, source } => write!(f, "{} cannot be used: {source}", path.display()),
            Self::NotFound { dir } => write!(
                f,
                "npm was not found on PATH; install Node.js 18 or newer (Debian: apt-get install nodejs npm) and \
                 start again, or run \"npm install\" in {} yourself",
                dir.display()
            ),
            Self::Start { dir, source } => write!(
                f,
                "npm could not be run: {source}; run \"npm install\" in {} yourself and start again",
                dir.display()
            ),
            Self::Failed { dir, status, output } => {
                write!(f, "\"npm install\" in {} failed ({status})", dir.display())?;
                if output.is_empty() {
                    write!(f, " and wrote nothing; run it yourself to see more")
                } else {
                    write!(f, "; its last lines:\n{output}")
                }
            }
            Self::TimedOut { dir, limit } => write!(
                f,
                "\"npm install\" in {} did not end within {} s and was stopped; is the npm registry reachable from \
                 here? Run it yourself and start again",
                dir.display(),
                limit.as_secs()
            ),
            Self::Incomplete { dir, package, wanted } => write!(
                f,
                "\"npm install\" in {} succeeded, but {package} {wanted} is not there; package.json must name an \
                 exact version, and deleting node_modules clears what an older install left",
                dir.display()
            ),
        }
    }
}

impl std::error::Error for NpmError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Manifest { source, .. } | Self::Start { source, .. } => Some(source),
            Self::NotFound { .. } | Self::Failed { .. } | Self::TimedOut { .. } | Self::Incomplete { .. } => {
                None
            }
        }
    }
}

/// Makes sure that each dependency in `dir/package.json` is in `dir/node_modules`, in the exact version it names.
///
/// Does nothing if they are all there, so only a first start needs npm and a network. Otherwise runs `npm install` in
/// `dir` and waits for it, two minutes at most. It blocks its thread: call it before the runtime starts.
///
/// # Errors
///
/// [`NpmError`] says what is missing and what to do about it.
pub fn ensure(dir: &Path) -> Result<(), NpmError> {
    ensure_with(OsStr::new(NPM), dir, INSTALL_LIMIT)
}

/// The program is an argument so that tests bring their own npm and leave PATH alone.
fn ensure_with(npm: &OsStr, dir: &Path, limit: Duration) -> Result<(), NpmError> {
    let wanted = wanted(dir)?;
    if missing(dir, &wanted).is_none() {
        return Ok(());
    }
    install(npm, dir, limit)?;
    match missing(dir, &wanted) {
        None => Ok(()),
        Some((package, version)) => Err(NpmError::Incomplete {
            dir: dir.to_owned(),
            package: package.to_owned(),
            wanted: version.to_owned(),
        }),
    }
}

/// The names and versions that `dir/package.json` depends on.
fn wanted(dir: &Path) -> Result<Vec<(String, String)>, NpmError> {
    let path = dir.join("package.json");
    let parse = || -> io::Result<Vec<(String, String)>> {
        let invalid = |what: String| io::Error::new(io::ErrorKind::InvalidData, what);
        let manifest: Map<String, Value> = serde_json::from_slice(&fs::read(&path)?)?;
        let dependencies = match manifest.get("dependencies") {
            None => return Ok(Vec::new()),
            Some(listed) => {
                listed.as_object().ok_or_else(|| invalid("its \"dependencies\" is not an object".into()))?
            }
        };
        let pair = |(name, version): (&String, &Value)| match version.as_str() {
            Some(version) => Ok((name.clone(), version.to_owned())),
            None => Err(invalid(format!("the version of {name} is not a string"))),
        };
        dependencies.iter().map(pair).collect()
    };
    parse().map_err(|source| NpmError::Manifest { path: path.clone(), source })
}

/// The first package that is absent or has another version.
fn missing<'a>(dir: &Path, wanted: &'a [(String, String)]) -> Option<(&'a str, &'a str)> {
    let modules = dir.join("node_modules");
    wanted
        .iter()
        .find(|(name, version)| installed(&modules.join(name)).as_ref() != Some(version))
        .map(|(name, version)| (name.as_str(), version.as_str()))
}

/// The version of an installed package. An unreadable one counts as absent: installing again is what mends it.
fn installed(package: &Path) -> Option<String> {
    let manifest: Value = serde_json::from_slice(&fs::read(package.join("package.json")).ok()?).ok()?;
    Some(manifest.get("version")?.as_str()?.to_owned())
}

fn install(npm: &OsStr, dir: &Path, limit: Duration) -> Result<(), NpmError> {
    let start_error = |source| NpmError::Start { dir: dir.to_owned(), source };
    let (child, output) = spawn(npm, dir).map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => NpmError::NotFound { dir: dir.to_owned() },
        _ => start_error(source),
    })?;
    let mut child = Reaped(child);

    let (sender, receiver) = mpsc::channel();
    // It ends when the last holder of the pipe does. After a timeout nobody waits for it.
    thread::Builder::new()
        .name("npm-output".into())
        .spawn(move || sender.send(tail(output)))
        .map_err(start_error)?;
    // A process has closed its output when it has ended, so waiting for the end of the output is waiting for npm, and
    // this wait has a limit.
    let Ok(output) = receiver.recv_timeout(limit) else {
        return Err(NpmError::TimedOut { dir: dir.to_owned(), limit });
    };
    let status = child.0.wait().map_err(start_error)?;
    if status.success() { Ok(()) } else { Err(NpmError::Failed { dir: dir.to_owned(), status, output }) }
}

/// Starts npm with both its outputs in one pipe, so that its lines stay in order and one reader is enough.
fn spawn(npm: &OsStr, dir: &Path) -> io::Result<(Child, io::PipeReader)> {
    let (reader, writer) = io::pipe()?;
    let child = Command::new(npm)
        .args(["install", "--no-audit", "--no-fund", "--no-package-lock", "--loglevel=error"])
        .current_dir(dir)
        .stdin(Stdio::null())
        .stdout(writer.try_clone()?)
        .stderr(writer)
        .spawn()?;
    Ok((child, reader))
}

/// Reads to the end and keeps the last lines; what npm writes is not ours to trust with memory.
fn tail(mut output: impl Read) -> String {
    let mut kept = VecDeque::with_capacity(OUTPUT_BYTES_MAX);
    let mut chunk = [0; 4096];
    loop {
        match output.read(&mut chunk) {
            Ok(0) => break,
            Ok(read) => {
                let surplus = (kept.len() + read).saturating_sub(OUTPUT_BYTES_MAX);
                kept.drain(..surplus);
                kept.extend(&chunk[..read]);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => break,
        }
    }
    let text = String::from_utf8_lossy(kept.make_contiguous());
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(OUTPUT_LINES_MAX)..].join("\n")
}

/// A child that is killed and waited for when it goes out of scope, so that no way out of [`install`] leaves npm running
/// or a zombie behind.
struct Reaped(Child);

impl Drop for Reaped {
    fn drop(&mut self) {
        // Both fail only for a child that has been waited for already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
