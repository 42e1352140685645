//! Several nodes in one program, on paused time.

mod nodes;
mod pubsub;
