//! Hands events to a receiver from tasks of its own, one for each lane: whoever publishes never runs what is the receiver's.

use std::fmt;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Poll, Waker};

use tokio::runtime::Handle;
use tokio::task::coop::consume_budget;

use super::backlog::{Backlog, Taken};
use super::events::{DropCause, FramesDropped, ReceiverPanicked};
use super::{Event, Lane, Receiver};
use crate::node::NodeId;
use crate::sync::Mutex;
use crate::telemetry;
use crate::unwind::quietly;

/// Delivers to one node. Dropped, it delivers nothing more.
pub(super) struct Courier {
    node: NodeId,
    runtime: Handle,
    receiver: Arc<Mutex<Option<Arc<dyn Receiver>>>>,
    control: Arc<Queue>,
    data: Arc<Queue>,
}

struct Queue {
    state: Mutex<State>,
}

struct State {
    backlog: Backlog<Event>,
    waker: Option<Waker>,
    phase: Phase,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Nobody receives yet: what comes is for nobody.
    Idle,
    Open,
    Closed,
}

impl Courier {
    /// For that node, with its tasks on this runtime.
    pub(super) fn new(node: NodeId, runtime: Handle) -> Self {
        let queue = || Arc::new(Queue::new());
        Self { node, runtime, receiver: Arc::default(), control: queue(), data: queue() }
    }

    /// Delivers to `receiver` from now on; a second call only changes the receiver. Whether it delivers: not once it is closed.
    pub(super) fn open(&self, receiver: Arc<dyn Receiver>) -> bool {
        let replaced = self.receiver.lock().replace(receiver);
        drop(replaced);
        for (queue, lane) in [(&self.control, Lane::Control), (&self.data, Lane::Data)] {
            match queue.open() {
                Phase::Idle => {
                    let (queue, receiver) = (queue.clone(), self.receiver.clone());
                    self.runtime.spawn(run(queue, receiver, self.node.clone(), lane));
                }
                Phase::Open => {}
                Phase::Closed => {
                    self.close();
                    return false;
                }
            }
        }
        true
    }

    /// Hands an event on, in the order of the calls.
    pub(super) fn deliver(&self, lane: Lane, event: Event) {
        let queue = match lane {
            Lane::Control => &self.control,
            Lane::Data => &self.data,
        };
        queue.push(event);
    }

    /// Delivers nothing more, and lets go of the receiver.
    pub(super) fn close(&self) {
        for queue in [&self.control, &self.data] {
            queue.close();
        }
        let receiver = self.receiver.lock().take();
        drop(receiver);
    }
}

impl Drop for Courier {
    fn drop(&mut self) {
        self.close();
    }
}

impl fmt::Debug for Courier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Courier").field("node", &self.node).finish_non_exhaustive()
    }
}

impl Queue {
    fn new() -> Self {
        Self { state: Mutex::new(State { backlog: Backlog::new(), waker: None, phase: Phase::Idle }) }
    }

    /// The phase that it was in.
    fn open(&self) -> Phase {
        let mut state = self.state.lock();
        let before = state.phase;
        if before == Phase::Idle {
            state.phase = Phase::Open;
        }
        before
    }

    fn push(&self, event: Event) {
        let waker = {
            let mut state = self.state.lock();
            if state.phase != Phase::Open {
                return;
            }
            state.backlog.put(event);
            state.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn close(&self) {
        let (waker, backlog) = {
            let mut state = self.state.lock();
            state.phase = Phase::Closed;
            (state.waker.take(), std::mem::replace(&mut state.backlog, Backlog::new()))
        };
        drop(backlog);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// What is next; `None` once it is closed.
    async fn next(&self) -> Option<Taken<Event>> {
        poll_fn(|cx| {
            let mut state = self.state.lock();
            if state.phase == Phase::Closed {
                return Poll::Ready(None);
            }
            match state.backlog.pop() {
                Some(next) => Poll::Ready(Some(next)),
                None => {
                    state.waker = Some(cx.waker().clone());
                    Poll::Pending
                }
            }
        })
        .await
    }
}

async fn run(queue: Arc<Queue>, receiver: Arc<Mutex<Option<Arc<dyn Receiver>>>>, node: NodeId, lane: Lane) {
    while let Some(next) = queue.next().await {
        let Some(receiver) = receiver.lock().clone() else { return };
        let event = match next {
            Taken::Item(event) => event,
            Taken::Missed(count) => {
                tell_missed(&node, lane, count);
                Event::Gap(lane)
            }
        };
        hand_over(&node, &*receiver, event);
        consume_budget().await;
    }
}

/// Tells telemetry of frames that found no room before the receiver.
pub(super) fn tell_missed(node: &NodeId, lane: Lane, count: u64) {
    telemetry::emit(&FramesDropped { node: node.clone(), lane, cause: DropCause::ReceiverSlow, count });
}

/// Gives the receiver an event. A panic of its own loses this event and no other.
pub(super) fn hand_over(node: &NodeId, receiver: &dyn Receiver, event: Event) {
    if !quietly(|| receiver.receive(event)) {
        telemetry::emit(&ReceiverPanicked { node: node.clone() });
    }
}
