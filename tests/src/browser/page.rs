//! One page: run script in it, wait for it, use it with mouse and keyboard as a person would.
//!
//! Input goes through the browser's own input events, so the page's handlers see what a user would cause.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::connection::{Connection, text_field};
use super::log::{PageError, PageLog, exception_text};
use super::{BrowserError, DEFAULT_WAIT, base64};

/// How often a condition is looked at again: often enough to add little to a test, seldom enough to leave the page alone.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// How much of the page's text a time-out shows.
const SHOWN_TEXT_CHARS_MAX: usize = 2000;

/// A key that is more than a character.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Key {
    /// Submits forms.
    Enter,
    /// Moves the focus.
    Tab,
    /// Closes what is open.
    Escape,
}

impl Key {
    fn parts(self) -> (&'static str, u32, &'static str) {
        match self {
            Self::Enter => ("Enter", 13, "\r"),
            Self::Tab => ("Tab", 9, "\t"),
            Self::Escape => ("Escape", 27, ""),
        }
    }
}

/// An open page of a [`Context`](super::Context).
#[derive(Debug)]
pub struct Page {
    connection: Arc<Connection>,
    session: String,
    log: Arc<PageLog>,
}

impl Page {
    pub(super) async fn open(
        connection: Arc<Connection>,
        context: &str,
        url: &str,
    ) -> Result<Self, BrowserError> {
        let target = json!({ "url": "about:blank", "browserContextId": context });
        let made = connection.call(None, "Target.createTarget", target).await?;
        let target =
            json!({ "targetId": text_field("Target.createTarget", &made, "targetId")?, "flatten": true });
        let attached = connection.call(None, "Target.attachToTarget", target).await?;
        let session = text_field("Target.attachToTarget", &attached, "sessionId")?;
        let log = Arc::new(PageLog::default());
        connection.register(session.clone(), Arc::clone(&log));
        let page = Self { connection, session, log };
        for method in ["Runtime.enable", "Log.enable", "Page.enable", "Network.enable", "Inspector.enable"] {
            page.call(method, json!({})).await?;
        }
        // Several devices are used side by side: each has to believe that it is the one in front.
        page.call("Emulation.setFocusEmulationEnabled", json!({ "enabled": true })).await?;
        page.navigate(url).await?;
        Ok(page)
    }

    async fn call(&self, method: &'static str, params: Value) -> Result<Value, BrowserError> {
        self.connection.call(Some(&self.session), method, params).await
    }

    /// Goes to `url` and returns when its document has loaded.
    ///
    /// # Errors
    /// As [`Context::open`](super::Context::open).
    pub async fn navigate(&self, url: &str) -> Result<(), BrowserError> {
        let reply = self.call("Page.navigate", json!({ "url": url })).await?;
        if let Some(reason) = reply["errorText"].as_str() {
            return Err(BrowserError::Navigation { url: url.to_owned(), reason: reason.to_owned() });
        }
        self.wait_for("document.readyState === 'complete'", DEFAULT_WAIT).await
    }

    /// Loads the page again and returns when its new document has loaded.
    ///
    /// # Errors
    /// As [`wait_for`](Self::wait_for).
    pub async fn reload(&self) -> Result<(), BrowserError> {
        // A property of the old window tells it from the new one, which the reply to the command does not.
        self.eval::<bool>("window.heronryStale = true").await?;
        self.call("Page.reload", json!({})).await?;
        self.wait_for("!window.heronryStale && document.readyState === 'complete'", DEFAULT_WAIT).await
    }

    /// Evaluates an expression, awaits it if it is a promise, and returns its value (`undefined` is JSON's `null`).
    ///
    /// # Errors
    /// [`BrowserError::Javascript`] with the exception, [`BrowserError::Value`] if the value is no `T`, or what a
    /// command may return.
    pub async fn eval<T: DeserializeOwned>(&self, js: &str) -> Result<T, BrowserError> {
        let params =
            json!({ "expression": js, "awaitPromise": true, "returnByValue": true, "userGesture": true });
        let mut reply = self.call("Runtime.evaluate", params).await?;
        if let Some(details) = reply.get("exceptionDetails") {
            return Err(BrowserError::Javascript { text: exception_text(details) });
        }
        let value = reply["result"]["value"].take();
        serde_json::from_value(value).map_err(|source| BrowserError::Value { source })
    }

    /// Polls an expression (or promise) until it is truthy. An exception counts as not yet, a syntax error does not.
    ///
    /// # Errors
    /// [`BrowserError::Condition`] after `timeout`, [`BrowserError::Javascript`] if the condition cannot be parsed,
    /// or [`BrowserError::Gone`].
    pub async fn wait_for(&self, condition: &str, timeout: Duration) -> Result<(), BrowserError> {
        let deadline = Instant::now() + timeout;
        let js = format!("(async () => Boolean(await ({condition})))()");
        loop {
            let last_exception = match self.eval::<bool>(&js).await {
                Ok(true) => return Ok(()),
                Ok(false) => None,
                Err(BrowserError::Javascript { text }) if text.starts_with("SyntaxError") => {
                    return Err(BrowserError::Javascript { text: format!("{text} in: {condition}") });
                }
                // A page that is being replaced has no context to evaluate in for a moment.
                Err(BrowserError::Javascript { text } | BrowserError::Protocol { message: text, .. }) => {
                    Some(text)
                }
                Err(error) => return Err(error),
            };
            if Instant::now() >= deadline {
                return Err(self.not_true(condition, timeout, last_exception).await);
            }
            sleep(POLL_INTERVAL).await;
        }
    }

    async fn not_true(
        &self,
        condition: &str,
        after: Duration,
        last_exception: Option<String>,
    ) -> BrowserError {
        let text = match self.eval::<String>("String(document.body?.innerText ?? '')").await {
            Ok(text) => text.chars().take(SHOWN_TEXT_CHARS_MAX).collect(),
            Err(error) => format!("(its text could not be read: {error})"),
        };
        let condition = condition.to_owned();
        BrowserError::Condition { condition, after, last_exception, text, errors: self.errors() }
    }

    /// Waits until the element is there, enabled and has a size, then clicks into its middle.
    ///
    /// # Errors
    /// As [`wait_for`](Self::wait_for), and [`BrowserError::Unreachable`] if another element covers it.
    pub async fn click(&self, selector: &str) -> Result<(), BrowserError> {
        let element = element(selector);
        let usable = format!("{element} && !{element}.disabled && {element}.getClientRects().length > 0");
        self.wait_for(&usable, DEFAULT_WAIT).await?;
        let place = format!(
            "(() => {{ const element = {element};
                element.scrollIntoView({{ block: 'center', inline: 'center', behavior: 'instant' }});
                const box = element.getBoundingClientRect();
                const [x, y] = [box.x + box.width / 2, box.y + box.height / 2];
                const top = document.elementFromPoint(x, y);
                const covered = element.contains(top) ? null : top ? top.outerHTML.slice(0, 100) : 'nothing';
                return [x, y, covered]; }})()"
        );
        let (x, y, covered): (f64, f64, Option<String>) = self.eval(&place).await?;
        if let Some(covered_by) = covered {
            return Err(BrowserError::Unreachable { selector: selector.to_owned(), covered_by });
        }
        for kind in ["mousePressed", "mouseReleased"] {
            let event = json!({ "type": kind, "x": x, "y": y, "button": "left", "clickCount": 1 });
            self.call("Input.dispatchMouseEvent", event).await?;
        }
        Ok(())
    }

    /// Waits for the element, focuses it and inserts `text` at its cursor, with the input events of real typing.
    ///
    /// # Errors
    /// As [`wait_for`](Self::wait_for).
    pub async fn type_into(&self, selector: &str, text: &str) -> Result<(), BrowserError> {
        let element = element(selector);
        self.wait_for(&format!("{element} && !{element}.disabled"), DEFAULT_WAIT).await?;
        self.eval::<()>(&format!("{element}.focus()")).await?;
        self.call("Input.insertText", json!({ "text": text })).await?;
        Ok(())
    }

    /// Presses and releases a key in the element that has the focus.
    ///
    /// # Errors
    /// What a command may return.
    pub async fn press(&self, key: Key) -> Result<(), BrowserError> {
        let (name, code, text) = key.parts();
        for (kind, text) in [("keyDown", text), ("keyUp", "")] {
            let event = json!({
                "type": kind, "key": name, "code": name, "text": text, "windowsVirtualKeyCode": code });
            self.call("Input.dispatchKeyEvent", event).await?;
        }
        Ok(())
    }

    /// What the page has complained about since it was opened, in order; it outlives reloads.
    ///
    /// All that happened before an [`eval`](Self::eval) is in here when that returns, but for the browser's own
    /// entries on requests, which come when the request ends.
    pub fn errors(&self) -> Vec<PageError> {
        self.log.errors()
    }

    /// Cuts this page off from the network, or connects it again: requests and new WebSockets fail, open ones stay open.
    ///
    /// # Errors
    /// What a command may return.
    pub async fn set_offline(&self, offline: bool) -> Result<(), BrowserError> {
        let conditions =
            json!({ "offline": offline, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1 });
        self.call("Network.emulateNetworkConditions", conditions).await?;
        Ok(())
    }

    /// Writes a PNG of what the page shows to `path`.
    ///
    /// # Errors
    /// [`BrowserError::File`] if it cannot be written, or what a command may return.
    pub async fn screenshot(&self, path: impl AsRef<Path>) -> Result<(), BrowserError> {
        const METHOD: &str = "Page.captureScreenshot";
        let reply = self.call(METHOD, json!({ "format": "png" })).await?;
        let data = text_field(METHOD, &reply, "data")?;
        let picture = base64::decode(&data).ok_or_else(|| BrowserError::Protocol {
            method: METHOD,
            message: "data is not base64".to_owned(),
        })?;
        let path = path.as_ref();
        std::fs::write(path, picture)
            .map_err(|source| BrowserError::File { path: path.to_path_buf(), source })
    }
}

fn element(selector: &str) -> String {
    format!("document.querySelector({})", json!(selector))
}
