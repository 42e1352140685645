//! The paused clock of a test.

use std::time::Duration;

/// Lets `time` pass on the paused clock, as if it had passed: what becomes due on the way runs at its own moment, in
/// order, and all that follows from it before the clock goes on.
///
/// `tokio::time::advance` jumps instead: a timer that is set on the way sees the time of the end. What becomes due at the
/// very last moment may not have run yet when this returns; [`settle`] waits for it.
///
/// # Panics
/// If the clock is not paused: see `#[tokio::test(start_paused = true)]` and `tokio::time::pause`.
///
/// ```
/// use std::time::Duration;
/// use heronry::testing::{TestProcess, advance, assert_received, refute_received, settle};
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
/// let mut test = TestProcess::start();
/// heronry::timer::send_after(&test.addr(), Duration::from_secs(60), "a minute");
/// advance(Duration::from_secs(59)).await;
/// refute_received!(test, "a minute");
/// advance(Duration::from_secs(1)).await;
/// settle().await;
/// assert_received!(test, "a minute");
/// # }
/// ```
pub async fn advance(time: Duration) {
    // Panics, and says why, if the clock runs.
    tokio::time::advance(Duration::ZERO).await;
    tokio::time::sleep(time).await;
}

/// Waits until all processes wait: each has handled what it was sent, and what followed from that. One millisecond passes
/// on the paused clock, which goes on only when nothing is left to do.
///
/// Work on other threads ([`Context::block`](crate::Context::block)) is waited for too. What comes from outside of the
/// runtime, such as from a socket, is not.
///
/// # Panics
/// If the clock is not paused.
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
/// use heronry::prelude::*;
/// use heronry::process;
///
/// let brief = spawn(|_: Context<()>| async {});
/// heronry::testing::settle().await;
/// assert!(!process::is_alive(brief.pid()));
/// # }
/// ```
pub async fn settle() {
    advance(Duration::from_millis(1)).await;
}
