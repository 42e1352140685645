//! Helpers for tests of what runs on Heronry (feature `testing`): ExUnit's `assert_receive`, `start_supervised` and kin.
//!
//! A [`TestProcess`] is the process that a test is in ExUnit: it has a mailbox, links, monitors, and a supervisor whose
//! children end with the test, in order. [`assert_receive!`] and [`refute_receive!`] look at its mailbox,
//! [`assert_down!`] and [`assert_exit!`] at how others ended. A [`TelemetryTest`] gathers the telemetry events of the
//! test; the same macros look at them. [`advance`] and [`settle`] move a paused clock.
//!
//! All of it works in `#[tokio::test]` of either flavor, and with `start_paused = true`: there a wait takes no real time,
//! and what must not come is refuted only once nothing is left to do.
//!
//! Add the feature to the dev-dependencies alone: `heronry = { version = "…", features = ["testing"] }`. It adds this module
//! and changes nothing else.
//!
//! ```
//! use heronry::prelude::*;
//! use heronry::testing::{TestProcess, assert_down, assert_receive, refute_receive};
//!
//! /// Doubles what it gets, and ends at zero.
//! struct Doubler { to: Addr<u64> }
//!
//! impl Server for Doubler {
//!     type Args = Addr<u64>;
//!     type Msg = u64;
//!
//!     async fn init(to: Addr<u64>, _: &mut Context<u64>) -> Init<Self> { Ok(Doubler { to }) }
//!
//!     async fn handle(&mut self, n: u64, _: &mut Context<u64>) -> Next {
//!         if n == 0 {
//!             return Next::Stop(ExitReason::Normal);
//!         }
//!         drop(self.to.send(2 * n));
//!         Next::Continue
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() {
//! TestProcess::run(async |test: &mut TestProcess<u64>| {
//!     let doubler = test.start_supervised_server::<Doubler>("doubler", test.addr()).await.unwrap();
//!     doubler.cast(4).unwrap();
//!     doubler.cast(5).unwrap();
//!     let large = assert_receive!(test, n if n > 8 => n);
//!     assert_eq!(large, 10);
//!     assert_receive!(test, 8);
//!     refute_receive!(test, _);
//!
//!     let monitor = test.monitor(doubler.pid());
//!     doubler.cast(0).unwrap();
//!     assert_down!(test, monitor, ExitReason::Normal);
//! })
//! .await;
//! # }
//! ```

mod clock;
mod macros;
mod process;
mod telemetry;
mod waiting;

pub use clock::{advance, settle};
pub use process::TestProcess;
pub use telemetry::{EVENTS_MAX, TelemetryTest};

#[doc(inline)]
pub use macros::{
    assert_down, assert_exit, assert_receive, assert_received, refute_down, refute_exit, refute_receive,
    refute_received,
};

use std::time::Duration;

use crate::pid::Pid;
use crate::process::Addr;

/// The address of a process of which only the pid is known; `None` if it has ended, or takes messages of another type than
/// `M`. In Erlang a pid is an address.
///
/// Programs hand addresses around, or look them up by name or key: so the types are right. A test may have no other way.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// use heronry::testing;
///
/// let idle = heronry::spawn(|mut ctx: heronry::Context<u8>| async move { ctx.receive().await; });
/// assert_eq!(testing::addr_of(idle.pid()), Some(idle.clone()));
/// assert_eq!(testing::addr_of::<String>(idle.pid()), None);
/// # }
/// ```
pub fn addr_of<M: Send + 'static>(pid: Pid) -> Option<Addr<M>> {
    crate::process::addr_of(pid)?.ok()
}

/// How long [`assert_receive!`] waits unless told otherwise; as ExUnit's `assert_receive_timeout`.
pub const ASSERT_RECEIVE_TIMEOUT_DEFAULT: Duration = Duration::from_millis(100);

/// How long [`refute_receive!`] waits unless told otherwise; as ExUnit's `refute_receive_timeout`.
pub const REFUTE_RECEIVE_TIMEOUT_DEFAULT: Duration = Duration::from_millis(100);
