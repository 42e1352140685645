//! The order to end at once: it reaches a channel in the middle of a callback, past all that waits in its mailbox.
//!
//! In Phoenix that is an exit signal. Here the callback is dropped where it waits, and `terminate` still runs.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Poll, Waker};

use heronry::ExitReason;
use parking_lot::Mutex;

use super::{Handled, Outcome};

/// Shared by a channel and the socket that may give the order.
#[derive(Debug, Default)]
pub(super) struct Interrupt {
    /// Whether there is a reason: looked at for each event, without the lock.
    given: AtomicBool,
    order: Mutex<Order>,
}

#[derive(Debug, Default)]
struct Order {
    reason: Option<ExitReason>,
    waker: Option<Waker>,
}

impl Interrupt {
    /// Gives the order; the first counts.
    pub(super) fn give(&self, reason: ExitReason) {
        let waker = {
            let mut order = self.order.lock();
            order.reason.get_or_insert(reason);
            order.waker.take()
        };
        self.given.store(true, Ordering::Release);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Runs a callback unless the order was given, or until it is.
    pub(super) async fn unless_given(&self, callback: impl Future<Output = Outcome>) -> Outcome {
        if self.given.load(Ordering::Acquire) {
            return self.stop();
        }
        let mut callback = pin!(callback);
        poll_fn(|cx| {
            if let Poll::Ready(outcome) = callback.as_mut().poll(cx) {
                return Poll::Ready(outcome);
            }
            let mut order = self.order.lock();
            if order.reason.is_none() {
                order.waker = Some(cx.waker().clone());
                return Poll::Pending;
            }
            drop(order);
            Poll::Ready(self.stop())
        })
        .await
    }

    fn stop(&self) -> Outcome {
        let reason = self.order.lock().reason.clone();
        Ok(Handled::Stop(reason.expect("invariant: looked at after it was given")))
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use super::*;

    fn poll_once(interrupt: &Interrupt, callback: impl Future<Output = Outcome>) -> Poll<Outcome> {
        let mut cx = std::task::Context::from_waker(Waker::noop());
        pin!(interrupt.unless_given(callback)).poll(&mut cx)
    }

    fn is_stop(polled: &Poll<Outcome>, wanted: &str) -> bool {
        matches!(polled, Poll::Ready(Ok(Handled::Stop(reason))) if *reason == ExitReason::shutdown_with(wanted))
    }

    #[test]
    fn without_an_order_the_callback_says_what_is_next() {
        let interrupt = Interrupt::default();
        assert!(matches!(
            poll_once(&interrupt, ready(Ok(Handled::NoReply))),
            Poll::Ready(Ok(Handled::NoReply))
        ));
        assert!(poll_once(&interrupt, pending()).is_pending());
    }

    #[test]
    fn the_first_order_counts_and_no_callback_runs_after_it() {
        let interrupt = Interrupt::default();
        interrupt.give(ExitReason::shutdown_with("first"));
        interrupt.give(ExitReason::shutdown_with("second"));
        let callback = async { panic!("the callback must not run") };
        assert!(is_stop(&poll_once(&interrupt, callback), "first"));
    }

    #[tokio::test]
    async fn an_order_wakes_a_callback_that_waits() {
        let interrupt = std::sync::Arc::new(Interrupt::default());
        let waiting = interrupt.clone();
        let callback = tokio::spawn(async move { waiting.unless_given(pending()).await });
        tokio::task::yield_now().await;
        interrupt.give(ExitReason::shutdown_with("now"));
        assert!(is_stop(&Poll::Ready(callback.await.unwrap()), "now"));
    }
}
