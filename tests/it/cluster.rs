//! Several nodes in one program, on paused time.

mod long_poll;
mod nodes;
mod pubsub;
