//! What can go wrong with the browser, said so that a failed run in CI explains itself.

use std::error::Error;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use super::log::PageError;

/// What to do when no browser is there.
pub const INSTALL_HINT: &str = "no browser found: apt-get install chromium, or set HERONRY_CHROMIUM";

/// A failure of the driver, of the browser, or of the page's own script.
#[derive(Debug)]
#[non_exhaustive]
pub enum BrowserError {
    /// Neither `HERONRY_CHROMIUM` nor `PATH` leads to a browser; nothing was started.
    NotFound,
    /// `HERONRY_CHROMIUM` names something that is not a file; nothing was started.
    BadOverride {
        /// What the variable holds.
        path: PathBuf,
    },
    /// The operating system refused to start the browser, or to make its profile folder.
    Start {
        /// The program that was to run.
        program: PathBuf,
        /// The refusal.
        source: io::Error,
    },
    /// The browser did not open its debugging port in time, or ended first; it has been killed.
    NotReady {
        /// The last lines it wrote to stderr.
        stderr: String,
    },
    /// The connection to the browser has ended; no page of it will answer again.
    Gone {
        /// How it ended.
        reason: String,
    },
    /// A command got no answer; the browser may still carry it out.
    Timeout {
        /// The protocol method.
        method: &'static str,
        /// How long it was waited for.
        after: Duration,
    },
    /// The browser refused a command, or answered it in a shape that the driver does not know.
    Protocol {
        /// The protocol method.
        method: &'static str,
        /// What the browser said.
        message: String,
    },
    /// The address could not be opened; the page stays where it was.
    Navigation {
        /// The address.
        url: String,
        /// The browser's reason, such as `net::ERR_CONNECTION_REFUSED`.
        reason: String,
    },
    /// The evaluated script threw, or its promise was rejected.
    Javascript {
        /// The exception with its stack.
        text: String,
    },
    /// The script's value does not have the type that was asked for.
    Value {
        /// What did not fit.
        source: serde_json::Error,
    },
    /// A condition did not come true in time; the page is left as it is.
    Condition {
        /// The condition.
        condition: String,
        /// How long it was waited for.
        after: Duration,
        /// What the last evaluation threw, if it did.
        last_exception: Option<String>,
        /// The visible text of the page at the end.
        text: String,
        /// What the page has complained about since it was opened.
        errors: Vec<PageError>,
    },
    /// A click could not reach its element.
    Unreachable {
        /// The element that was to be clicked.
        selector: String,
        /// What lies at its place instead.
        covered_by: String,
    },
    /// A screenshot could not be written.
    File {
        /// The file.
        path: PathBuf,
        /// The refusal.
        source: io::Error,
    },
}

impl fmt::Display for BrowserError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound => f.write_str(INSTALL_HINT),
            Self::BadOverride { path } => {
                write!(f, "HERONRY_CHROMIUM is {}, which is not a file; {INSTALL_HINT}", path.display())
            }
            Self::Start { program, source } => write!(f, "could not start {}: {source}", program.display()),
            Self::NotReady { stderr } => {
                write!(f, "the browser did not open its debugging port; its stderr ends with:\n{stderr}")
            }
            Self::Gone { reason } => write!(f, "the browser is gone: {reason}"),
            Self::Timeout { method, after } => write!(f, "{method} got no answer within {after:?}"),
            Self::Protocol { method, message } => write!(f, "{method} failed: {message}"),
            Self::Navigation { url, reason } => write!(f, "could not open {url}: {reason}"),
            Self::Javascript { text } => write!(f, "the script threw: {text}"),
            Self::Value { source } => write!(f, "the script's value has another type: {source}"),
            Self::Condition { condition, after, last_exception, text, errors } => {
                writeln!(f, "not true within {after:?}: {condition}")?;
                if let Some(exception) = last_exception {
                    writeln!(f, "its last evaluation threw: {exception}")?;
                }
                writeln!(f, "the page shows:\n{text}\nits errors so far: {}", errors.len())?;
                errors.iter().try_for_each(|error| writeln!(f, "  {error}"))
            }
            Self::Unreachable { selector, covered_by } => {
                write!(f, "cannot click {selector}: {covered_by} lies at its place")
            }
            Self::File { path, source } => write!(f, "could not write {}: {source}", path.display()),
        }
    }
}

impl Error for BrowserError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Start { source, .. } | Self::File { source, .. } => Some(source),
            Self::Value { source } => Some(source),
            Self::NotFound
            | Self::BadOverride { .. }
            | Self::NotReady { .. }
            | Self::Gone { .. }
            | Self::Timeout { .. }
            | Self::Protocol { .. }
            | Self::Navigation { .. }
            | Self::Javascript { .. }
            | Self::Condition { .. }
            | Self::Unreachable { .. } => None,
        }
    }
}
