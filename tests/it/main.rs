//! All integration tests, in one binary: one link, not one for each file.
//!
//! Without the feature `e2e` they need nothing but this workspace; with it, what `tests/run` installs and builds.

mod application;
mod behaviours;
mod channels;
mod cluster;
mod conformance;
#[cfg(feature = "e2e")]
mod e2e;
mod engine;
mod exits;
mod floors;
mod fuzz;
mod group;
mod presence;
mod process;
mod pubsub;
mod puppet;
mod ractor;
mod registry;
mod scenarios;
mod server;
mod supervisor;
mod support;
mod tables;
mod task;
mod telemetry;
mod testing;
mod timer;
