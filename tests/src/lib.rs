//! What the integration tests stand on: a browser, server processes, the conformance application and the places where
//! things are built.
//!
//! Every wait in here is bounded, and every child process ends with the value that started it.

mod broker;
mod browser;
pub mod conformance;
pub mod conformance_app;
pub mod place;
mod server;

pub use broker::{BrokerProcess, find_nats_servers, find_redis_server};
pub use browser::{
    Browser, BrowserError, Context, DEFAULT_WAIT, ErrorKind, INSTALL_HINT, Key, Page, PageError, find_browser,
};
pub use server::{ServerError, ServerProcess, free_port, http_get, release_binary, workspace_root};
