//! A small driver for Chromium over its DevTools protocol: browser, device (context), page.
//!
//! Every wait ends: with a value, with a typed error, or with a time-out that shows what the page looked like.
//! A browser lives exactly as long as its [`Browser`] value, and so does its profile folder.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

mod base64;
mod chromium;
mod connection;
mod error;
mod log;
mod page;

pub use chromium::find_browser;
pub use error::{BrowserError, INSTALL_HINT};
pub use log::{ErrorKind, PageError};
pub use page::{Key, Page};

use chromium::Chromium;
use connection::Connection;

/// How long any single command or implicit wait may take: 30 s, so that a loaded machine passes and a hang does not.
pub const DEFAULT_WAIT: Duration = Duration::from_secs(30);

/// A running browser; killed and waited for when dropped, after which its pages answer [`BrowserError::Gone`].
#[derive(Debug)]
pub struct Browser {
    connection: Arc<Connection>,
    process: Chromium,
}

impl Browser {
    /// Starts the browser that `HERONRY_CHROMIUM` names, or else the first one on `PATH`.
    ///
    /// # Errors
    /// [`BrowserError::NotFound`] or [`BrowserError::BadOverride`] when there is none to start, and
    /// [`BrowserError::Start`], [`BrowserError::NotReady`] or [`BrowserError::Gone`] when it does not come up.
    pub async fn launch() -> Result<Self, BrowserError> {
        let chosen = std::env::var_os("HERONRY_CHROMIUM");
        let path = std::env::var_os("PATH");
        let program = find_browser(chosen.as_deref(), path.as_deref())?;
        let mut process = Chromium::start(&program)?;
        let endpoint = process.endpoint().await?;
        let connection = Connection::open(&endpoint).await?;
        Ok(Self { connection: Arc::new(connection), process })
    }

    /// Makes a context: a device with its own cookies, storage and cache.
    ///
    /// # Errors
    /// [`BrowserError::Gone`], [`BrowserError::Timeout`] or [`BrowserError::Protocol`].
    pub async fn context(&self) -> Result<Context, BrowserError> {
        let made = self.connection.call(None, "Target.createBrowserContext", json!({})).await?;
        let id = connection::text_field("Target.createBrowserContext", &made, "browserContextId")?;
        Ok(Context { connection: Arc::clone(&self.connection), id })
    }

    /// The process id of the browser, for tests that look at it from outside.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }
}

/// One isolated device of a [`Browser`].
#[derive(Debug)]
pub struct Context {
    connection: Arc<Connection>,
    id: String,
}

impl Context {
    /// Opens a page of this device at `url` and returns when its document has loaded.
    ///
    /// # Errors
    /// [`BrowserError::Navigation`] when the address does not answer, [`BrowserError::Condition`] when it does not
    /// finish loading, or what a command may return.
    pub async fn open(&self, url: &str) -> Result<Page, BrowserError> {
        Page::open(Arc::clone(&self.connection), &self.id, url).await
    }
}
