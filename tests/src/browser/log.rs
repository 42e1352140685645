//! What a page complained about: uncaught exceptions, `console.error` and the browser's own error entries.
//!
//! Nothing is lost in silence: beyond the limit the entries are counted, and the count is the last entry.

use std::fmt;
use std::sync::{Mutex, MutexGuard};

use serde_json::Value;

/// Entries kept of one page: far more than a passing test has, little enough to print.
const ENTRIES_MAX: usize = 500;

/// Where a complaint came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// An exception or a rejected promise that nobody caught.
    Exception,
    /// A call of `console.error`, or a failed `console.assert`.
    Console,
    /// The browser's own entry, such as a failed request or WebSocket.
    Browser,
    /// The page's process has crashed.
    Crash,
    /// Not an entry: the count of those dropped beyond the limit.
    Dropped,
}

/// One complaint of a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageError {
    /// Where it came from.
    pub kind: ErrorKind,
    /// Its text, with the stack if there is one.
    pub text: String,
    /// The script or resource that it is about; empty if the browser does not say.
    pub url: String,
}

impl fmt::Display for PageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.kind, self.text)?;
        if self.url.is_empty() { Ok(()) } else { write!(f, " ({})", self.url) }
    }
}

/// The complaints of one page since it was opened.
#[derive(Debug, Default)]
pub(super) struct PageLog {
    entries: Mutex<Entries>,
}

#[derive(Debug, Default)]
struct Entries {
    kept: Vec<PageError>,
    dropped: usize,
}

impl PageLog {
    /// Takes note of a protocol event if it is a complaint.
    pub(super) fn observe(&self, method: &str, params: &Value) {
        let Some(error) = complaint(method, params) else { return };
        let mut entries = self.lock();
        if entries.kept.len() < ENTRIES_MAX {
            entries.kept.push(error);
        } else {
            entries.dropped += 1;
        }
    }

    pub(super) fn errors(&self) -> Vec<PageError> {
        let entries = self.lock();
        let mut errors = entries.kept.clone();
        if entries.dropped > 0 {
            let text = format!("and {} more", entries.dropped);
            errors.push(PageError { kind: ErrorKind::Dropped, text, url: String::new() });
        }
        errors
    }

    fn lock(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().expect("invariant: nothing panics while it holds this lock")
    }
}

fn complaint(method: &str, params: &Value) -> Option<PageError> {
    match method {
        "Runtime.exceptionThrown" => {
            let details = &params["exceptionDetails"];
            Some(PageError {
                kind: ErrorKind::Exception,
                text: exception_text(details),
                url: text(&details["url"]),
            })
        }
        "Runtime.consoleAPICalled" if matches!(params["type"].as_str(), Some("error" | "assert")) => {
            let words: Vec<String> =
                params["args"].as_array().into_iter().flatten().map(remote_object).collect();
            let url = text(&params["stackTrace"]["callFrames"][0]["url"]);
            Some(PageError { kind: ErrorKind::Console, text: words.join(" "), url })
        }
        "Log.entryAdded" if params["entry"]["level"] == "error" => {
            let entry = &params["entry"];
            Some(PageError { kind: ErrorKind::Browser, text: text(&entry["text"]), url: text(&entry["url"]) })
        }
        "Inspector.targetCrashed" => Some(PageError {
            kind: ErrorKind::Crash,
            text: "the page's process crashed".to_owned(),
            url: String::new(),
        }),
        _ => None,
    }
}

/// The readable text of a protocol `ExceptionDetails`: the exception with its stack, else its summary.
pub(super) fn exception_text(details: &Value) -> String {
    let exception = &details["exception"];
    if exception.is_null() { text(&details["text"]) } else { remote_object(exception) }
}

fn remote_object(object: &Value) -> String {
    match (object["description"].as_str(), &object["value"]) {
        (Some(description), _) => description.to_owned(),
        (None, Value::String(value)) => value.clone(),
        (None, Value::Null) => text(&object["type"]),
        (None, value) => value.to_string(),
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{ENTRIES_MAX, ErrorKind, PageLog};

    fn check(method: &str, params: serde_json::Value, expect: &[(ErrorKind, &str, &str)]) {
        let log = PageLog::default();
        log.observe(method, &params);
        let errors = log.errors();
        let seen: Vec<_> = errors.iter().map(|e| (e.kind, e.text.as_str(), e.url.as_str())).collect();
        assert_eq!(seen, expect);
    }

    #[test]
    fn keeps_complaints_and_nothing_else() {
        let thrown = json!({"exceptionDetails": {
            "text": "Uncaught", "url": "http://a/x.js", "exception": {"description": "Error: boom\n  at x"}}});
        check(
            "Runtime.exceptionThrown",
            thrown,
            &[(ErrorKind::Exception, "Error: boom\n  at x", "http://a/x.js")],
        );
        let called = json!({"type": "error", "args": [
            {"type": "string", "value": "no"}, {"type": "number", "value": 7, "description": "7"}]});
        check("Runtime.consoleAPICalled", called, &[(ErrorKind::Console, "no 7", "")]);
        check("Runtime.consoleAPICalled", json!({"type": "log", "args": []}), &[]);
        let entry = json!({"entry": {"level": "error", "text": "404", "url": "http://a/b"}});
        check("Log.entryAdded", entry, &[(ErrorKind::Browser, "404", "http://a/b")]);
        check("Log.entryAdded", json!({"entry": {"level": "warning", "text": "slow"}}), &[]);
        check("Page.loadEventFired", json!({}), &[]);
    }

    #[test]
    fn counts_what_it_drops() {
        let log = PageLog::default();
        for _ in 0..ENTRIES_MAX + 3 {
            log.observe("Inspector.targetCrashed", &json!({}));
        }
        let errors = log.errors();
        assert_eq!(errors.len(), ENTRIES_MAX + 1);
        assert_eq!(errors.last().map(ToString::to_string).as_deref(), Some("Dropped: and 3 more"));
    }
}
