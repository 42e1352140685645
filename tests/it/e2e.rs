//! Tests that need more than this workspace: a browser, Node with npm packages, brokers, valgrind, the release binaries.
//!
//! They change something, then wait for what it should lead to; none waits for a fixed time.

use std::error::Error;
use std::fmt;
use std::time::Duration;

mod browser;
mod chat;
mod cluster;
mod conformance;
mod engines;
mod footprint;
mod golden;
mod in_axum;
mod instructions;
mod measured;
mod nodes;
mod phoenix_js;
mod presence;
mod trials;
mod watchers;

/// How long a change may take to show: long enough for a loaded machine and for the client's slowest retry (5 s).
const SHOWN_WITHIN: Duration = Duration::from_secs(30);

/// What a test returns, so that `?` ends it with the error's own words.
type Outcome<T = ()> = Result<T, Failure>;

/// An error that prints, as a failed test's result, what it says to people.
struct Failure(String);

impl<E: Error> From<E> for Failure {
    fn from(error: E) -> Self {
        Self(error.to_string())
    }
}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
