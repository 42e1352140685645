//! Where a task's value goes, and the body that brings it there.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll, Waker, ready};

use pin_project_lite::pin_project;

use crate::exit::ExitReason;
use crate::process::ExitWatcher;
use crate::sync::Mutex;

/// What a task reports to: first its value, if it comes to one, then its end.
pub(crate) trait Outlet<T>: ExitWatcher {
    /// The task has come to a value. Its process ends next.
    fn settle(&self, value: T);
    /// Whether the task was given up before it began to run.
    fn is_cancelled(&self) -> bool;
}

pin_project! {
    /// The body of a task's process. The work's own state is dropped before its value is handed over.
    pub(crate) struct Body<F, O> {
        #[pin]
        work: Option<F>,
        outlet: Arc<O>,
        begun: bool,
    }
}

impl<F, O> Body<F, O> {
    pub(crate) fn new(work: F, outlet: Arc<O>) -> Self {
        Self { work: Some(work), outlet, begun: false }
    }
}

impl<F: Future, O: Outlet<F::Output>> Future for Body<F, O> {
    type Output = ExitReason;

    fn poll(self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<ExitReason> {
        let mut this = self.project();
        // Whoever asked a supervisor for this task may have gone before the supervisor got to it.
        if !std::mem::replace(this.begun, true) && this.outlet.is_cancelled() {
            return Poll::Ready(ExitReason::Shutdown);
        }
        let work = this.work.as_mut().as_pin_mut().expect("invariant: a body is not polled after its end");
        let value = ready!(work.poll(cx));
        this.work.set(None);
        this.outlet.settle(value);
        Poll::Ready(ExitReason::Normal)
    }
}

/// The outlet of one task that is held by a [`Task`](super::Task).
#[derive(Debug)]
pub(crate) struct Slot<T> {
    state: Mutex<State<T>>,
}

#[derive(Debug)]
struct State<T> {
    value: Option<T>,
    exit: Option<ExitReason>,
    waker: Option<Waker>,
    interest: Interest,
}

/// What the holder of the task wants of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Interest {
    Wanted,
    /// It may run on, but nobody takes its value.
    Ignored,
    /// It is not to run.
    Cancelled,
}

impl<T> Slot<T> {
    pub(crate) fn new() -> Arc<Self> {
        let state = State { value: None, exit: None, waker: None, interest: Interest::Wanted };
        Arc::new(Self { state: Mutex::new(state) })
    }

    /// Takes the value, or the exit reason if the task has ended without one.
    pub(super) fn poll_outcome(&self, cx: &mut TaskContext<'_>) -> Poll<Result<T, ExitReason>> {
        let mut state = self.state.lock();
        if let Some(value) = state.value.take() {
            return Poll::Ready(Ok(value));
        }
        match &state.exit {
            Some(reason) => Poll::Ready(Err(reason.clone())),
            None => {
                state.waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    /// Waits for the end of the process, value or not.
    pub(super) fn poll_exit(&self, cx: &mut TaskContext<'_>) -> Poll<ExitReason> {
        let mut state = self.state.lock();
        match &state.exit {
            Some(reason) => Poll::Ready(reason.clone()),
            None => {
                state.waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    /// What there is now: the value, or the exit reason.
    pub(super) fn take(&self) -> Option<Result<T, ExitReason>> {
        let mut state = self.state.lock();
        state.value.take().map(Ok).or_else(|| state.exit.clone().map(Err))
    }

    /// Whether the task has a value or has ended: there is nothing left to stop.
    pub(super) fn is_settled(&self) -> bool {
        let state = self.state.lock();
        state.value.is_some() || state.exit.is_some()
    }

    /// From now on nobody takes the value; the task runs.
    pub(super) fn ignore(&self) {
        self.lose_interest(Interest::Ignored);
    }

    /// From now on nobody takes the value, and a task that has not begun does not begin.
    pub(crate) fn cancel(&self) {
        self.lose_interest(Interest::Cancelled);
    }

    fn lose_interest(&self, interest: Interest) {
        let mut state = self.state.lock();
        if state.interest == Interest::Wanted {
            state.interest = interest;
        }
        state.waker = None;
        let value = state.value.take();
        drop(state);
        drop(value); // its destructor is the user's, so not under the lock
    }
}

impl<T: Send> Outlet<T> for Slot<T> {
    fn settle(&self, value: T) {
        let mut state = self.state.lock();
        match state.interest {
            Interest::Wanted => {
                state.value = Some(value);
                let waker = state.waker.take();
                drop(state);
                if let Some(waker) = waker {
                    waker.wake();
                }
            }
            Interest::Ignored | Interest::Cancelled => {
                drop(state);
                drop(value);
            }
        }
    }

    fn is_cancelled(&self) -> bool {
        self.state.lock().interest == Interest::Cancelled
    }
}

impl<T: Send> ExitWatcher for Slot<T> {
    fn exited(&self, reason: &ExitReason) {
        let waker = {
            let mut state = self.state.lock();
            state.exit = Some(reason.clone());
            state.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn forgiven(&self) {}

    fn is_done(&self) -> bool {
        self.state.lock().interest != Interest::Wanted
    }
}
