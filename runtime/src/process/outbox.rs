//! Events on their way to one process that asked for them: monitors of groups, listeners of registries.
//!
//! Whoever changes something puts the event in under the lock of what it changes, which gives the events their order;
//! they are made into messages without any lock, since that is code of the user's, by one thread at a time, which keeps
//! the order. A thread that finds another at it leaves its event to it. If the mailbox is full, the events wait for room
//! in it, up to a limit; beyond that they are dropped, and the process is told to look anew.

use std::collections::VecDeque;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::task::{Wake, Waker};

use super::addr::{Addr, SendError};
use super::events::EventsMissed;
use crate::pid::Pid;
use crate::sync::Mutex;
use crate::telemetry;
use crate::unwind::drop_quietly;

/// How many events of a registry or a group wait for one listener or monitor beside what its mailbox holds; what it
/// misses beyond that is made up for in one event. Enough for a burst, and little beside a full mailbox.
pub const EVENTS_WAITING_MAX: usize = 1_024;

pub(crate) struct Outbox<E> {
    door: Box<dyn Door<E>>,
    /// Makes what stands for all that was missed; must call [`renewed`](Outbox::renewed).
    anew: Anew<E>,
    queue: Mutex<Queue<E>>,
}

type Anew<E> = Box<dyn Fn(&Outbox<E>) -> Option<E> + Send + Sync>;

struct Queue<E> {
    waiting: VecDeque<E>,
    /// How many events were dropped; then those that wait are void too.
    missed: usize,
    turn: Turn,
}

/// Whose turn it is to deliver.
#[derive(Clone, Copy, PartialEq)]
enum Turn {
    /// Whoever has something.
    Free,
    /// A thread is at it.
    Taken,
    /// The waker's that waits for room in the mailbox.
    Room,
    /// Nobody's, ever: nobody listens any more.
    Over,
}

enum Outcome {
    Delivered,
    Refused,
    /// Nobody is there to take it.
    Gone,
}

/// The mailbox of the process, without the type of its messages.
trait Door<E>: Send + Sync {
    fn pid(&self) -> Pid;
    fn send(&self, event: E) -> Outcome;
    /// Sends again what was refused, if anything was.
    fn send_refused(&self) -> Outcome;
    fn wait_for_room(&self, waker: Waker) -> bool;
}

struct Mailbox<N, W> {
    addr: Addr<N>,
    wrap: W,
    refused: Mutex<Option<N>>,
}

impl<E: Send + 'static> Outbox<E> {
    /// For the process of `addr`; `wrap` makes messages of events, `anew` what stands for all that was missed.
    pub(crate) fn new<N: Send + 'static>(
        addr: Addr<N>,
        wrap: impl Fn(E) -> N + Send + Sync + 'static,
        anew: impl Fn(&Self) -> Option<E> + Send + Sync + 'static,
    ) -> Self {
        Self {
            door: Box::new(Mailbox { addr, wrap, refused: Mutex::new(None) }),
            anew: Box::new(anew),
            queue: Mutex::new(Queue { waiting: VecDeque::new(), missed: 0, turn: Turn::Free }),
        }
    }

    /// Puts in an event. The caller holds the lock of what has changed, and what the event consists of elsewhere too:
    /// an event that finds no room is dropped here.
    pub(crate) fn push(&self, event: E) {
        let mut queue = self.queue.lock();
        match queue.turn {
            Turn::Over => {}
            Turn::Free | Turn::Taken | Turn::Room => {
                if queue.missed == 0 && queue.waiting.len() < EVENTS_WAITING_MAX {
                    queue.waiting.push_back(event);
                } else {
                    queue.missed += 1;
                }
            }
        }
    }

    /// What the process is about to be given holds all that happened so far; the caller holds the lock of that.
    pub(crate) fn renewed(&self) {
        self.queue.lock().missed = 0;
    }

    /// No further event is delivered, but for one that is being delivered at this moment.
    pub(crate) fn end(&self) {
        let waiting = {
            let mut queue = self.queue.lock();
            queue.turn = Turn::Over;
            std::mem::take(&mut queue.waiting)
        };
        drop_quietly(waiting);
    }

    /// Delivers what waits, unless another thread is at it or there is no room; no lock is held.
    pub(crate) fn flush(self: &Arc<Self>) {
        if self.take_turn(Turn::Free) {
            self.deliver();
        }
    }

    fn take_turn(&self, from: Turn) -> bool {
        let mut queue = self.queue.lock();
        let mine = queue.turn == from;
        if mine {
            queue.turn = Turn::Taken;
        }
        mine
    }

    /// It is this thread's turn.
    fn deliver(self: &Arc<Self>) {
        let mut outcome = self.door.send_refused();
        loop {
            outcome = match outcome {
                Outcome::Delivered => {
                    // A panic of the listener's code must not reach whoever changed something.
                    let sent =
                        catch_unwind(AssertUnwindSafe(|| self.next().map(|event| self.door.send(event))));
                    match sent {
                        Ok(Some(outcome)) => outcome,
                        Ok(None) => return,
                        Err(payload) => {
                            drop_quietly(payload);
                            Outcome::Gone
                        }
                    }
                }
                Outcome::Refused => {
                    if self.wait_for_room() {
                        return;
                    }
                    self.door.send_refused()
                }
                Outcome::Gone => return self.end(),
            }
        }
    }

    /// Leaves the turn to a waker; false if there is room meanwhile.
    fn wait_for_room(self: &Arc<Self>) -> bool {
        {
            let mut queue = self.queue.lock();
            if queue.turn == Turn::Over {
                return true;
            }
            queue.turn = Turn::Room;
        }
        self.door.wait_for_room(Waker::from(self.clone())) || !self.take_turn(Turn::Room)
    }

    /// What to deliver next; with `None` this thread's turn is over.
    fn next(&self) -> Option<E> {
        let (void, missed) = {
            let mut queue = self.queue.lock();
            if queue.missed == 0 {
                let next = queue.waiting.pop_front();
                if next.is_none() && queue.turn == Turn::Taken {
                    queue.turn = Turn::Free;
                }
                return next;
            }
            (std::mem::take(&mut queue.waiting), queue.missed)
        };
        let missed = missed + void.len();
        drop(void);
        telemetry::emit(&EventsMissed { pid: self.door.pid(), missed });
        let anew = (self.anew)(self);
        if anew.is_none() {
            self.end();
        }
        anew
    }
}

impl<E: Send + 'static> Wake for Outbox<E> {
    /// There is room in the mailbox (or the process has ended): in the process itself, which has just received.
    fn wake(self: Arc<Self>) {
        if self.take_turn(Turn::Room) {
            self.deliver();
        }
    }
}

impl<E, N, W> Door<E> for Mailbox<N, W>
where
    N: Send + 'static,
    W: Fn(E) -> N + Send + Sync,
{
    fn pid(&self) -> Pid {
        self.addr.pid()
    }

    fn send(&self, event: E) -> Outcome {
        self.send_message((self.wrap)(event))
    }

    fn send_refused(&self) -> Outcome {
        let refused = self.refused.lock().take();
        refused.map_or(Outcome::Delivered, |message| self.send_message(message))
    }

    fn wait_for_room(&self, waker: Waker) -> bool {
        self.addr.process().wait_for_room(waker)
    }
}

impl<N: Send + 'static, W> Mailbox<N, W> {
    fn send_message(&self, message: N) -> Outcome {
        match self.addr.send(message) {
            Ok(()) => Outcome::Delivered,
            Err(SendError::Full(message)) => {
                *self.refused.lock() = Some(message);
                Outcome::Refused
            }
            Err(SendError::NoProc(message)) => {
                drop_quietly(message);
                Outcome::Gone
            }
        }
    }
}

impl<E> fmt::Debug for Outbox<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outbox").finish_non_exhaustive()
    }
}

/// Does something when it is dropped, once.
pub(crate) struct OnDrop(Option<Box<dyn FnOnce() + Send + Sync>>);

impl OnDrop {
    pub(crate) fn new(run: impl FnOnce() + Send + Sync + 'static) -> Self {
        Self(Some(Box::new(run)))
    }
}

impl Drop for OnDrop {
    fn drop(&mut self) {
        if let Some(run) = self.0.take() {
            run();
        }
    }
}
