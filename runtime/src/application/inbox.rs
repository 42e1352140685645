//! What an application is asked from outside, until it looks.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use super::shutdown::Ask;
use crate::sync::Mutex;

/// How many asks wait; a further one says nothing new. Enough for each kind of ask, and the second signal.
const ASKS_MAX: usize = 4;

#[derive(Clone, Debug, Default)]
pub(super) struct Inbox(Arc<Mutex<Waiting>>);

#[derive(Debug, Default)]
struct Waiting {
    asks: VecDeque<Ask>,
    waker: Option<Waker>,
}

impl Inbox {
    pub(super) fn ask(&self, ask: Ask) {
        let waker = {
            let mut waiting = self.0.lock();
            match ask {
                // One that was made and not seen yet stands for both. A second signal means something else.
                Ask::Stop | Ask::Now if waiting.asks.contains(&ask) => return,
                Ask::Stop | Ask::Now | Ask::Signal(_) => {}
            }
            if waiting.asks.len() < ASKS_MAX {
                waiting.asks.push_back(ask);
            }
            waiting.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    pub(super) fn poll(&self, cx: &mut Context<'_>) -> Poll<Ask> {
        let mut waiting = self.0.lock();
        match waiting.asks.pop_front() {
            Some(ask) => Poll::Ready(ask),
            None => {
                waiting.waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}
