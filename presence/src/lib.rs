//! Tracker and Presence for Heronry: who is where, over many nodes.
//!
//! Nothing is public here yet. The name is held by an empty crate so that the workspace has its final shape: presence
//! stands on channels, which stand on the runtime, and nothing points the other way.
