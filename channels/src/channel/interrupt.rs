//! The order to end at once: it reaches a channel in the middle of a callback, past all that waits in its mailbox.
//!
//! In Phoenix that is an exit signal. Here the callback is dropped where it waits, and `terminate` still runs.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context as TaskContext, Poll, Waker};

use heronry::ExitReason;
use parking_lot::Mutex;
use pin_project_lite::pin_project;

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
    pub(super) fn unless_given<F: Future<Output = Outcome>>(&self, callback: F) -> UnlessGiven<'_, F> {
        UnlessGiven { interrupt: self, began: false, callback }
    }

    fn stop(&self) -> Outcome {
        let reason = self.order.lock().reason.clone();
        Ok(Handled::Stop(reason.expect("invariant: looked at after it was given")))
    }
}

pin_project! {
    /// A callback that ends with the order. Not an `async fn`: that would have room for the callback twice, and every
    /// idle channel keeps this room.
    pub(super) struct UnlessGiven<'a, F> {
        interrupt: &'a Interrupt,
        began: bool,
        #[pin]
        callback: F,
    }
}

impl<F: Future<Output = Outcome>> Future for UnlessGiven<'_, F> {
    type Output = Outcome;

    fn poll(self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Outcome> {
        let this = self.project();
        if !std::mem::replace(this.began, true) && this.interrupt.given.load(Ordering::Acquire) {
            return Poll::Ready(this.interrupt.stop());
        }
        if let Poll::Ready(outcome) = this.callback.poll(cx) {
            return Poll::Ready(outcome);
        }
        let mut order = this.interrupt.order.lock();
        if order.reason.is_none() {
            order.waker = Some(cx.waker().clone());
            return Poll::Pending;
        }
        drop(order);
        Poll::Ready(this.interrupt.stop())
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};
    use std::pin::pin;

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
