//! ractor as a neighbour: its actors under our supervisors, and our servers among its actors.
//!
//! [ractor](https://docs.rs/ractor) is an actor library with a large set of parts. A program need not choose:
//!
//! - [`ChildSpec::ractor`](crate::ChildSpec::ractor) makes a ractor actor a child of a supervisor: it is restarted,
//!   linked, monitored, named and shown in the tree as a process is.
//! - [`Hosted`] makes a [`Server`](crate::Server) of ours an actor: ractor code has it as a child, sends to it and calls it.
//! - [`Pool`] runs jobs that compute long or block, off the scheduler's threads, on `ractor::factory`.
//!
//! What ractor does not have, its actors do not get: their own mailboxes have no limit, and their links are one-way.
//! Where something of ours stands before such a mailbox, it brings the limit with it.
//!
//! Needs ractor without its features `cluster` and `async-trait`, which change the traits that are implemented here.

mod child;
mod hosted;
mod link;
mod pool;
mod reason;
mod supervised;
mod window;

pub use child::{ActorStuck, FORWARDED_MAX, start, start_child};
pub use hosted::{Hosted, reply_to};
pub use pool::{Discard, JobRefused, Pool, PoolError, PoolRef, Priority, QUEUE_LIMIT_DEFAULT, Refusal};
pub use reason::ExitError;

/// The crate itself, in the version that this module works with.
pub use ::ractor;
