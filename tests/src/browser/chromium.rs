//! The browser process: finding it, starting it with a fresh profile, learning its port, ending it.
//!
//! Dropping a [`Chromium`] kills it, waits for it and removes its profile.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::{BrowserError, DEFAULT_WAIT};

/// The names under which distributions install Chromium, in the order of preference.
const PROGRAMS: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];

/// Without these the browser talks to the network and to the desktop on its own account.
const FLAGS: [&str; 9] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--remote-debugging-port=0",
];

/// How much of the browser's stderr an error shows: its last 4 KiB.
const STDERR_SHOWN_BYTES_MAX: usize = 4096;

/// How often, and how many times, the helpers of a killed browser are looked at: 2 s in all, they need a few ms.
const HELPER_POLL_INTERVAL: Duration = Duration::from_millis(5);
const HELPER_POLLS_MAX: usize = 400;

/// Finds the program to run: `chosen` (the value of `HERONRY_CHROMIUM`) if given, else the first one on `path`.
///
/// # Errors
/// [`BrowserError::BadOverride`] if `chosen` is not a file, [`BrowserError::NotFound`] if `path` holds no browser.
pub fn find_browser(chosen: Option<&OsStr>, path: Option<&OsStr>) -> Result<PathBuf, BrowserError> {
    if let Some(chosen) = chosen {
        let chosen = PathBuf::from(chosen);
        return if chosen.is_file() { Ok(chosen) } else { Err(BrowserError::BadOverride { path: chosen }) };
    }
    let folders: Vec<PathBuf> = path.map(|path| std::env::split_paths(path).collect()).unwrap_or_default();
    PROGRAMS
        .iter()
        .flat_map(|program| folders.iter().map(move |folder| folder.join(program)))
        .find(|candidate| candidate.is_file())
        .ok_or(BrowserError::NotFound)
}

/// A browser process and its profile folder.
#[derive(Debug)]
pub(super) struct Chromium {
    child: Child,
    profile: Profile,
}

impl Chromium {
    pub(super) fn start(program: &Path) -> Result<Self, BrowserError> {
        let refused = |source| BrowserError::Start { program: program.to_path_buf(), source };
        let profile = Profile::create().map_err(refused)?;
        let stderr = File::create(profile.stderr_path()).map_err(refused)?;
        let child = Command::new(program)
            .args(FLAGS)
            .arg(format!("--user-data-dir={}", profile.path.display()))
            .arg("about:blank")
            // A killed browser leaves its socket there: it goes with the profile.
            .env("TMPDIR", &profile.path)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(stderr)
            .spawn()
            .map_err(refused)?;
        Ok(Self { child, profile })
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits for the file in which the browser announces its port, and makes the WebSocket address of it.
    pub(super) async fn endpoint(&mut self) -> Result<String, BrowserError> {
        let file = self.profile.path.join("DevToolsActivePort");
        let deadline = Instant::now() + DEFAULT_WAIT;
        loop {
            // The second line is written last: before it ends the file is not complete.
            if let Ok(text) = fs::read_to_string(&file)
                && let Some((port, path)) = text.split_once('\n')
                && path.starts_with("/devtools/browser/")
            {
                return Ok(format!("ws://127.0.0.1:{port}{}", path.trim_end()));
            }
            let ended = !matches!(self.child.try_wait(), Ok(None));
            if ended || Instant::now() >= deadline {
                return Err(BrowserError::NotReady { stderr: self.profile.stderr_tail() });
            }
            sleep(Duration::from_millis(10)).await;
        }
    }
}

impl Drop for Chromium {
    fn drop(&mut self) {
        let helpers = descendants(self.child.id());
        // Both fail only for a process that has already been waited for.
        let _ = self.child.kill();
        let _ = self.child.wait();
        // Helpers end when they notice; one that still writes would bring the removed profile back.
        for _ in 0..HELPER_POLLS_MAX {
            if !helpers.iter().copied().any(runs) {
                return;
            }
            std::thread::park_timeout(HELPER_POLL_INTERVAL);
        }
    }
}

/// All processes below `pid`.
fn descendants(pid: u32) -> Vec<u32> {
    let mut found = Vec::new();
    let mut parents = vec![pid];
    while let Some(parent) = parents.pop() {
        let Ok(threads) = fs::read_dir(format!("/proc/{parent}/task")) else { continue };
        for thread in threads.flatten() {
            let children = fs::read_to_string(thread.path().join("children")).unwrap_or_default();
            let children = children.split_whitespace().filter_map(|child| child.parse::<u32>().ok());
            found.extend(children.clone());
            parents.extend(children);
        }
    }
    found
}

/// Whether `pid` still runs; one that only waits to be reaped does not.
fn runs(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(") ").next().is_some_and(|state| !state.is_empty() && !state.starts_with('Z'))
}

/// A folder of its own for one browser, removed on drop.
#[derive(Debug)]
struct Profile {
    path: PathBuf,
}

impl Profile {
    fn create() -> io::Result<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        loop {
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let name = format!("heronry-browser-{}-{number}", std::process::id());
            let path = std::env::temp_dir().join(name);
            match fs::create_dir(&path) {
                Ok(()) => return Ok(Self { path }),
                // Left behind by an earlier process of the same id that was killed.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn stderr_path(&self) -> PathBuf {
        self.path.join("stderr.log")
    }

    fn stderr_tail(&self) -> String {
        let bytes = fs::read(self.stderr_path()).unwrap_or_default();
        let start = bytes.len().saturating_sub(STDERR_SHOWN_BYTES_MAX);
        String::from_utf8_lossy(&bytes[start..]).into_owned()
    }
}

impl Drop for Profile {
    fn drop(&mut self) {
        // What cannot be removed is a few files in the system's temporary folder, which no test reads again.
        let _ = fs::remove_dir_all(&self.path);
    }
}
