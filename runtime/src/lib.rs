//! Heronry: supervised lightweight processes for Rust, with Erlang's semantics.
//!
//! A process ([`process`]) is one tokio task with a mailbox, links and monitors. A server ([`server`]) is a process
//! with a state and callbacks. A task ([`task`]) is a process that comes to a value. A timer ([`timer`]) sends a process
//! a message later. A supervisor ([`supervisor`]) starts, watches and restarts others. A [`registry`] finds processes by
//! key, a [`group`] gathers them. [`pubsub`] carries messages by topic, [`inspect`] shows the living tree, [`telemetry`]
//! tells what happened.
//! A [`cluster`] is many nodes over an [`engine`].
//! [`application`] is a whole program that ends in order.
//! [`ractor`] has ractor's actors as neighbours (feature `ractor`, on by default).
//!
//! ```
//! use std::time::Duration;
//! use heronry::prelude::*;
//!
//! struct Counter { count: u64 }
//!
//! enum Msg { Add(u64), Get(ReplyTo<u64>) }
//!
//! impl Server for Counter {
//!     type Args = u64;
//!     type Msg = Msg;
//!
//!     async fn init(start: u64, _: &mut Context<Msg>) -> Init<Self> { Ok(Counter { count: start }) }
//!
//!     async fn handle(&mut self, msg: Msg, _: &mut Context<Msg>) -> Next {
//!         match msg {
//!             // A panic ends this process alone, and its supervisor starts it again.
//!             Msg::Add(n) => self.count = self.count.checked_add(n).expect("counter overflow"),
//!             Msg::Get(reply_to) => reply_to.send(self.count),
//!         }
//!         Next::Continue
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let tree = Supervisor::one_for_one()
//!     .intensity(3, Duration::from_secs(5))
//!     .child(ChildSpec::server::<Counter>("counter", 0).named("counter"))
//!     .start()
//!     .await?;
//! let counter: Addr<Msg> = whereis("counter")?;
//! counter.cast(Msg::Add(2))?;
//! let count = counter.call(Msg::Get, Duration::from_secs(5)).await?; // a dead callee fails at once, with its reason
//! assert_eq!(count, 2);
//! # tree.stop().await;
//! # Ok(()) }
//! ```
//!
//! The [`guides`] go through it topic by topic.
//!
//! Everything runs on tokio: spawning needs a runtime. Panics must unwind (`panic = "unwind"`, cargo's default):
//! supervision rests on it.

mod clock;
mod codec;
mod exit;
mod name;
mod pid;
mod sync;
mod unwind;

pub mod application;
pub mod cluster;
pub mod engine;
pub mod group;
pub mod guides;
pub mod inspect;
pub mod node;
pub mod prelude;
pub mod process;
pub mod pubsub;
#[cfg(feature = "ractor")]
pub mod ractor;
pub mod registry;
pub mod server;
pub mod supervisor;
pub mod task;
pub mod telemetry;
#[cfg(feature = "testing")]
pub mod testing;
pub mod timer;

pub use exit::{ExitReason, IntoExitReason, PanicReport};
pub use name::{Label, NAME_BYTES_MAX, Name, NameError};
pub use pid::{Pid, Ref};
pub use process::{Addr, Context, Received, SendError, spawn};
pub use server::{CallError, Init, Next, ReplyTo, Server};
pub use supervisor::{ChildSpec, Restart, Shutdown, Supervisor};
pub use task::{Task, TaskError};
pub use timer::TimerRef;
