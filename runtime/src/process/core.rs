//! The `Arc` of a process: its mailbox and everything that others may ask of or do to it.
//!
//! One lock guards it all, is held for a few instructions, never around user code and never across an await. Wakers
//! are taken out under the lock and called after it.

mod any;
mod end;

use std::sync::{Arc, Weak};
use std::task::{Context as TaskContext, Poll, Waker};
use std::time::Duration;

pub(super) use end::Estate;

use super::addr::SendError;
use super::aside::Aside;
use super::ask::Places;
use super::at_exit::{Keeper, Keepers};
use super::deposit::{Deposit, Outcome};
use super::events::{MailboxFull, MailboxLong};
use super::info::Callback;
use super::letter::Letter;
use super::links::Links;
use super::mailbox::{Item, Mailbox, Overflow, Pushed};
use super::monitors::Monitors;
use super::post::Post;
use super::signal::Origin;
use super::spawn::SpawnOptions;
use super::table::{AnyProcess, ProcessKind};
use super::watch::{ExitWatcher, Watchers};
use super::{current, table};
use crate::clock::Moment;
use crate::exit::ExitReason;
use crate::name::{Label, Name};
use crate::pid::{Pid, Ref};
use crate::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering};
use crate::sync::{Mutex, MutexGuard};
use crate::telemetry::Event;
use crate::unwind::drop_quietly;

/// How exactly the time that a process has held a thread is kept: so that a `u32` reaches for five days of it.
const RUNNING_STEP: Duration = Duration::from_micros(100);

pub(crate) struct Process<M> {
    pid: Pid,
    parent: Option<Pid>,
    kind: ProcessKind,
    restarts: u32,
    started_at: Moment,
    /// Messages and signals received; written by the process alone.
    handled: AtomicU64,
    /// Messages that are out of the queue and not handled yet; written by the process alone.
    elsewhere: AtomicU32,
    /// For how many steps of `RUNNING_STEP` the watchdog found it running.
    running_steps: AtomicU32,
    /// The callback that it is in.
    callback: AtomicU8,
    /// Set with the end's reason: spares the task a lock at each poll and each receive.
    doomed: AtomicBool,
    /// Somebody waits for room in the mailbox: spares the process a lock at each receive from a batch.
    senders_wait: AtomicBool,
    state: Mutex<State<M>>,
}

struct State<M> {
    /// Set when an exit signal took effect or the body is over; the task may not have cleaned up yet.
    end: Option<ExitReason>,
    /// The task has cleaned up: from now on the end can be seen.
    exited: bool,
    trap_exit: bool,
    label: Label,
    mailbox: Mailbox<M>,
    /// Wakes whoever waits for the mailbox.
    receiver: Option<Waker>,
    /// Wakes the task, wherever its body waits.
    task: Option<Waker>,
    relations: Option<Box<Relations<M>>>,
}

/// What most processes have little of: boxed, made on first use.
struct Relations<M> {
    links: Links,
    monitors: Monitors,
    name: Option<Name>,
    watchers: Watchers,
    keepers: Keepers,
    /// Wakes those who wait for room in the mailbox.
    senders: Vec<Waker>,
    /// Takes the mail over that is left unread.
    post: Option<Arc<Post<M>>>,
    /// For the requests to show the state; made by the first.
    asks: Option<Places>,
}

impl<M> Default for Relations<M> {
    fn default() -> Self {
        Self {
            links: Links::default(),
            monitors: Monitors::default(),
            name: None,
            watchers: Watchers::default(),
            keepers: Keepers::default(),
            senders: Vec::new(),
            post: None,
            asks: None,
        }
    }
}

/// How a message was addressed.
#[derive(Clone, Copy)]
enum Kind {
    Plain,
    Letter,
}

impl<M> State<M> {
    fn relations(&mut self) -> &mut Relations<M> {
        self.relations.get_or_insert_default()
    }

    fn exit_reason(&self) -> Option<&ExitReason> {
        self.end.as_ref().filter(|_| self.exited)
    }
}

impl<M> Process<M> {
    /// Whether an exit signal has taken effect, or the end has begun.
    pub(super) fn is_doomed(&self) -> bool {
        self.doomed.load(Ordering::Acquire)
    }

    /// Messages that are out of the queue and not handled yet.
    fn elsewhere(&self) -> usize {
        self.elsewhere.load(Ordering::Relaxed) as usize
    }

    pub(super) fn set_elsewhere(&self, aside: Option<&Aside<M>>) {
        // No mailbox holds more than a `u32` counts.
        self.elsewhere.store(aside.map_or(0, |aside| aside.messages() as u32), Ordering::Relaxed);
    }

    /// Takes back what the process took out and did not handle: it waits again, or is to be dropped if nobody will read it.
    pub(super) fn give_back(&self, aside: Box<Aside<M>>) {
        let mut state = self.state.lock();
        if state.exit_reason().is_none() {
            state.mailbox.give_back(*aside);
            self.set_elsewhere(None);
        } else {
            drop(state);
            drop_quietly(aside);
        }
    }
}

impl<M: Send + 'static> Process<M> {
    pub(super) fn new(options: &SpawnOptions) -> Self {
        Self {
            pid: table::next_pid(),
            parent: options.parent.or_else(current::pid),
            kind: options.kind,
            restarts: options.restarts,
            started_at: Moment::now(),
            handled: AtomicU64::new(0),
            elsewhere: AtomicU32::new(0),
            running_steps: AtomicU32::new(0),
            callback: AtomicU8::new(0),
            doomed: AtomicBool::new(false),
            senders_wait: AtomicBool::new(false),
            state: Mutex::new(State {
                end: None,
                exited: false,
                trap_exit: options.trap_exit,
                label: options.label.clone().unwrap_or_else(|| Label::from("process")),
                mailbox: Mailbox::new(options.mailbox_limit, options.overflow, options.mailbox_alarm),
                receiver: None,
                task: None,
                relations: None,
            }),
        }
    }

    /// Queues a message; `watcher`, if any, hears of the exit of this process from now on.
    pub(crate) fn push(&self, message: M, watcher: Option<Arc<dyn ExitWatcher>>) -> Result<(), SendError<M>> {
        let state = self.state.lock();
        self.deposit_locked(state, message, watcher, Kind::Plain, self.elsewhere()).tell()
    }

    /// As [`push`](Self::push), but waits for room if that is the mailbox's policy.
    pub(crate) fn poll_push(
        &self,
        cx: &mut TaskContext<'_>,
        message: &mut Option<M>,
        watcher: Option<&Arc<dyn ExitWatcher>>,
    ) -> Poll<Result<(), SendError<M>>> {
        self.poll_deposit(cx, message, watcher, Kind::Plain).map(Deposit::tell)
    }

    /// Queues a message to the stable address that this process stands behind.
    pub(super) fn deposit_letter(&self, message: M) -> Deposit<M> {
        let state = self.state.lock();
        self.deposit_locked(state, message, None, Kind::Letter, self.elsewhere())
    }

    /// [`deposit_letter`](Self::deposit_letter), but waits for room if that is the mailbox's policy.
    pub(super) fn poll_deposit_letter(
        &self,
        cx: &mut TaskContext<'_>,
        message: &mut Option<M>,
        watcher: Option<&Arc<dyn ExitWatcher>>,
    ) -> Poll<Deposit<M>> {
        self.poll_deposit(cx, message, watcher, Kind::Letter)
    }

    #[inline]
    fn poll_deposit(
        &self,
        cx: &mut TaskContext<'_>,
        message: &mut Option<M>,
        watcher: Option<&Arc<dyn ExitWatcher>>,
        kind: Kind,
    ) -> Poll<Deposit<M>> {
        let mut state = self.state.lock();
        // Read once: the process puts aside without the lock, and whoever need not wait is not to be refused for that.
        let elsewhere = self.elsewhere();
        if state.exit_reason().is_none() && state.mailbox.must_wait(elsewhere) {
            state.relations().senders.push(cx.waker().clone());
            self.senders_wait.store(true, Ordering::Relaxed);
            return Poll::Pending;
        }
        let message = message.take().expect("invariant: a message is sent once");
        Poll::Ready(self.deposit_locked(state, message, watcher.cloned(), kind, elsewhere))
    }

    /// Has `waker` woken once there is room in the mailbox, or none to wait for; false if there is some now.
    pub(super) fn wait_for_room(&self, waker: Waker) -> bool {
        let mut state = self.state.lock();
        let full = state.mailbox.is_full(self.elsewhere());
        let waits = state.exit_reason().is_none() && full;
        if waits {
            state.relations().senders.push(waker);
            self.senders_wait.store(true, Ordering::Relaxed);
        }
        waits
    }

    /// [`push`](Self::push) for whoever holds a lock: what is the user's runs when the deposit is told.
    pub(crate) fn deposit(&self, message: M) -> Deposit<M> {
        let state = self.state.lock();
        self.deposit_locked(state, message, None, Kind::Plain, self.elsewhere())
    }

    #[inline]
    fn deposit_locked(
        &self,
        mut state: MutexGuard<'_, State<M>>,
        message: M,
        watcher: Option<Arc<dyn ExitWatcher>>,
        kind: Kind,
        elsewhere: usize,
    ) -> Deposit<M> {
        if state.exit_reason().is_some() {
            return Deposit::no_proc(message);
        }
        let (pushed, watcher) = match kind {
            Kind::Plain => (state.mailbox.push(message, elsewhere), watcher),
            // The caller is the incarnation's that takes the letter.
            Kind::Letter => {
                let letter = |message| Item::Letter(Box::new(Letter::new(message, watcher)));
                (state.mailbox.push_as(message, elsewhere, letter), None)
            }
        };
        // What took the place of the oldest is in the mailbox as well.
        let is_in =
            matches!(pushed, Pushed::Queued { .. } | Pushed::Full { overflow: Overflow::DropOldest, .. });
        if let Some(watcher) = watcher.filter(|_| is_in) {
            state.relations().watchers.push(watcher);
        }
        match pushed {
            Pushed::Queued { alarm } => self.queued(&mut state, alarm),
            Pushed::Full { message, overflow, first } => {
                self.overflowed(&mut state, message, overflow, first)
            }
        }
    }

    #[inline]
    fn queued(&self, state: &mut State<M>, alarm: bool) -> Deposit<M> {
        let long = alarm.then(|| -> Box<dyn Event> {
            let (label, len) = (state.label.clone(), state.mailbox.len());
            Box::new(MailboxLong { pid: self.pid, label, len })
        });
        Deposit::new(Outcome::Queued, state.receiver.take(), long)
    }

    fn overflowed(&self, state: &mut State<M>, message: M, overflow: Overflow, first: bool) -> Deposit<M> {
        let full = first.then(|| -> Box<dyn Event> {
            let (label, limit) = (state.label.clone(), state.mailbox.limit());
            Box::new(MailboxFull { pid: self.pid, label, limit, overflow })
        });
        let (outcome, waker) = match overflow {
            Overflow::Reject | Overflow::Block => (Outcome::Refused(SendError::Full(message)), None),
            Overflow::DropNewest => (Outcome::Dropped(message), None),
            Overflow::DropOldest => (Outcome::Dropped(message), state.receiver.take()),
            Overflow::Exit => {
                let task = self.doom_locked(state, ExitReason::custom("mailbox full"));
                (Outcome::Refused(SendError::NoProc(message)), task)
            }
        };
        Deposit::new(outcome, waker, full)
    }

    /// Queues a message of this process to itself, past the limit: it sends no more than it has things to do.
    pub(crate) fn deposit_own(&self, message: M) -> Deposit<M> {
        let mut state = self.state.lock();
        if state.exit_reason().is_some() {
            return Deposit::no_proc(message);
        }
        let alarm = state.mailbox.push_own(message, self.elsewhere());
        self.queued(&mut state, alarm)
    }

    /// Marks the process to end with this reason, and wakes its task to do so.
    fn die(&self, mut state: MutexGuard<'_, State<M>>, reason: ExitReason) {
        let task = self.doom_locked(&mut state, reason);
        drop(state);
        if let Some(task) = task {
            task.wake();
        }
    }

    /// Marks the process to end with this reason; its task is to be woken once the lock is given back.
    fn doom_locked(&self, state: &mut State<M>, reason: ExitReason) -> Option<Waker> {
        if state.end.is_some() {
            return None;
        }
        state.end = Some(reason);
        self.doomed.store(true, Ordering::Release);
        state.task.take()
    }

    /// The next of the mailbox, in the order of arrival; what is `aside` is not looked at, but a long mailbox is put there.
    pub(super) fn poll_take(
        &self,
        cx: &mut TaskContext<'_>,
        aside: &mut Option<Box<Aside<M>>>,
    ) -> Poll<Item<M>> {
        if !current::spend() {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        if self.is_doomed() {
            // It has ended and only does not know yet: it receives no more, and its task was woken.
            return Poll::Pending;
        }
        if let Some(item) = aside.as_mut().and_then(|aside| aside.next_of_batch()) {
            self.set_elsewhere(aside.as_deref());
            if self.senders_wait.load(Ordering::Relaxed) {
                self.wake_senders(self.state.lock());
            }
            return Poll::Ready(item);
        }
        let mut state = self.state.lock();
        let item = if state.mailbox.is_worth_a_batch() {
            let aside = aside.get_or_insert_default();
            state.mailbox.take_batch(aside);
            let item = aside.next_of_batch();
            self.set_elsewhere(Some(aside));
            item
        } else {
            state.mailbox.pop()
        };
        match item {
            Some(item) => {
                self.wake_senders(state);
                Poll::Ready(item)
            }
            None => {
                match &state.receiver {
                    Some(waker) if waker.will_wake(cx.waker()) => {}
                    _ => state.receiver = Some(cx.waker().clone()),
                }
                // It will take nothing for a while, and not all that it took came through here: whatever room there is
                // is theirs who wait for it.
                if !state.mailbox.is_full(self.elsewhere()) {
                    self.wake_all_senders(state);
                } else {
                    drop(state);
                }
                if aside.as_ref().is_some_and(|aside| aside.is_empty()) {
                    *aside = None;
                }
                Poll::Pending
            }
        }
    }

    /// Stands behind a stable address from now on, and has what waited there.
    pub(super) fn inherit(&self, post: Arc<Post<M>>, letters: impl Iterator<Item = Box<Letter<M>>>) {
        let mut state = self.state.lock();
        state.mailbox.inherit(letters);
        state.relations().post = Some(post);
    }

    pub(super) fn post(&self) -> Option<Arc<Post<M>>> {
        self.state.lock().relations.as_ref().and_then(|relations| relations.post.clone())
    }

    pub(super) fn mailbox_policy(&self) -> (usize, Overflow) {
        let state = self.state.lock();
        (state.mailbox.limit(), state.mailbox.overflow())
    }

    /// Counts what the process has received. It alone writes the count: no need of a locked instruction.
    pub(super) fn count_handled(&self) {
        self.handled.store(self.handled.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
    }

    pub(super) fn set_callback(&self, callback: Option<Callback>) {
        self.callback.store(Callback::to_bits(callback), Ordering::Relaxed);
    }

    /// Asks the process to end with this reason, in order with its messages.
    pub(crate) fn push_stop(&self, reason: ExitReason) {
        let mut state = self.state.lock();
        if state.exit_reason().is_none() {
            state.mailbox.push_stop(reason);
            wake_receiver(state);
        }
    }

    /// Ends the process with this reason.
    pub(super) fn end(&self, reason: ExitReason) {
        self.die(self.state.lock(), reason);
    }

    /// Wakes those who wait for room, once there is enough of it.
    fn wake_senders(&self, state: MutexGuard<'_, State<M>>) {
        if state.mailbox.has_room_again(self.elsewhere()) {
            self.wake_all_senders(state);
        }
    }

    fn wake_all_senders(&self, mut state: MutexGuard<'_, State<M>>) {
        if state.relations.as_ref().is_none_or(|relations| relations.senders.is_empty()) {
            return;
        }
        let senders = std::mem::take(&mut state.relations().senders);
        self.senders_wait.store(false, Ordering::Relaxed);
        drop(state);
        for waker in senders {
            waker.wake();
        }
    }

    /// Gives the memory of the mailbox back.
    pub(super) fn shrink(&self) {
        self.state.lock().mailbox.shrink();
    }

    pub(super) fn set_trap_exit(&self, on: bool) -> bool {
        std::mem::replace(&mut self.state.lock().trap_exit, on)
    }

    pub(super) fn traps_exit(&self) -> bool {
        self.state.lock().trap_exit
    }

    pub(super) fn set_label(&self, label: Label) {
        self.state.lock().label = label;
    }

    pub(crate) fn parent(&self) -> Option<Pid> {
        self.parent
    }

    pub(crate) fn exit_reason(&self) -> Option<ExitReason> {
        self.state.lock().exit_reason().cloned()
    }

    pub(crate) fn mailbox_len(&self) -> usize {
        self.state.lock().mailbox.len() + self.elsewhere()
    }

    /// Links two processes; called by the one whose `Process` this is.
    pub(super) fn link(&self, other: Pid) {
        if other == self.pid {
            return;
        }
        // The far end is told even if this one has the link: an unlink of the far end's, under way at the same time, may
        // have left it on this side alone.
        self.state.lock().relations().links.insert(other);
        if !table::find(other).is_some_and(|far| far.add_link(self.pid)) {
            self.exit_signal(other, ExitReason::NoProc, Origin::Link);
        }
    }

    pub(super) fn unlink(&self, other: Pid) {
        let removed = self.state.lock().relations().links.remove(other);
        if removed && let Some(far) = table::find(other) {
            far.remove_link(self.pid);
        }
    }

    pub(super) fn monitor(&self, target: Pid) -> Ref {
        let reference = table::next_ref();
        self.state.lock().relations().monitors.watch(reference, target);
        if !table::find(target).is_some_and(|far| far.add_watcher(reference, self.pid)) {
            self.down(reference, target, &ExitReason::NoProc);
        }
        reference
    }

    /// Ends a monitor; its `Down` neither waits in the mailbox nor comes later.
    pub(super) fn demonitor(&self, reference: Ref) {
        let target = {
            let mut state = self.state.lock();
            let target = state.relations().monitors.unwatch(reference);
            if target.is_none() {
                state.mailbox.flush_down(reference);
            }
            target
        };
        if let Some(far) = target.and_then(table::find) {
            far.remove_watcher(reference);
        }
    }

    /// Has `keeper` let go when this process ends; false if it has ended, or is about to by an exit signal.
    pub(super) fn at_exit(&self, keeper: Weak<dyn Keeper>) -> bool {
        let mut state = self.state.lock();
        let running = state.end.is_none();
        if running {
            state.relations().keepers.add(keeper);
        }
        running
    }

    /// Called by the task before it polls the body: the reason to end with, if an exit signal took effect.
    pub(super) fn doom(&self) -> Option<ExitReason> {
        if !self.is_doomed() {
            return None;
        }
        let state = self.state.lock();
        state.end.clone().filter(|_| !state.exited)
    }

    pub(super) fn set_task(&self, waker: &Waker) {
        self.state.lock().task = Some(waker.clone());
    }
}

fn wake_receiver<M>(mut state: MutexGuard<'_, State<M>>) {
    let waker = state.receiver.take();
    drop(state);
    if let Some(waker) = waker {
        waker.wake();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// With the two counts of its `Arc` a process is 224 bytes, a size that allocators have.
    #[test]
    fn a_process_is_small() {
        assert!(size_of::<Process<u64>>() <= 208, "{} bytes", size_of::<Process<u64>>());
    }

    #[test]
    fn a_burst_leaves_no_memory_behind() {
        let process = Process::<u64>::new(&SpawnOptions::new());
        let mut cx = TaskContext::from_waker(Waker::noop());
        let mut aside = None;
        for n in 0..100 {
            process.push(n, None).expect("there is room");
        }
        for n in 0..100 {
            assert!(
                matches!(process.poll_take(&mut cx, &mut aside), Poll::Ready(Item::Message(m)) if m == n)
            );
        }
        assert!(aside.is_some(), "they were taken in one go");
        assert!(process.poll_take(&mut cx, &mut aside).is_pending());
        assert!(aside.is_none());
    }
}
