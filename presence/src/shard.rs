//! A shard of a tracker: some of the topics, on this node and on all others.
//!
//! Each node's shard is the only one that changes the entries of that node's processes, and tells the shards of the other
//! nodes. What it publishes is small: what has changed since the last time. Who finds that it has missed something asks
//! the owner, who answers with what was missed or, part by part, with all that there is.

mod core;
mod message;
mod peer;

pub(crate) use self::core::{Core, CoreOptions, Output};
pub(crate) use message::{Home, Message};
