//! The `Arc` of a process: its mailbox and everything that others may ask of or do to it.
//!
//! One lock guards it all, is held for a few instructions, never around user code and never across an await. Wakers
//! are taken out under the lock and called after it.

mod any;
mod end;
mod send;
mod wait;

use std::sync::{Arc, Weak};
use std::task::{Context as TaskContext, Poll, Waker};
use std::time::Duration;

pub(super) use end::Estate;
use wait::{Wait, Wake};

use super::aside::Aside;
use super::ask::Places;
use super::at_exit::{Keeper, Keepers};
use super::info::Callback;
use super::letter::Letter;
use super::links::Links;
use super::mailbox::{Item, Mailbox, Overflow};
use super::monitors::Monitors;
use super::post::Post;
use super::signal::Origin;
use super::spawn::SpawnOptions;
use super::table::{AnyProcess, ProcessKind};
use super::watch::Watchers;
use super::{current, table};
use crate::clock::Moment;
use crate::exit::ExitReason;
use crate::name::{Label, Name};
use crate::pid::{Pid, Ref};
use crate::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering};
use crate::sync::{Mutex, MutexGuard};
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
    /// Somebody waits for room in the mailbox; written under the lock. Spares the process a lock at each receive from a
    /// batch, and a look at its relations at each other.
    senders_wait: AtomicBool,
    wait: Wait,
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
    relations: Option<Box<Relations<M>>>,
}

/// What most processes have little of: boxed, made on first use.
struct Relations<M> {
    links: Links,
    monitors: Monitors,
    name: Option<Name>,
    watchers: Watchers,
    keepers: Keepers,
    /// Wakes what waits for the mailbox within the task, if it has a waker of its own.
    receiver: Option<Waker>,
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
            receiver: None,
            senders: Vec::new(),
            post: None,
            asks: None,
        }
    }
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

    /// Nobody waits for the mailbox any more; who is to be woken.
    #[inline]
    fn end_wait(&self, state: &mut State<M>) -> Wake {
        self.wait.end(|| state.relations.as_mut().and_then(|relations| relations.receiver.take()))
    }

    /// Takes back what the process took out and did not handle: it waits again, or is to be dropped if nobody will read it.
    pub(super) fn give_back(&self, aside: Box<Aside<M>>) {
        let mut state = self.state.lock();
        if state.exit_reason().is_none() {
            state.mailbox.give_back(*aside);
            self.set_elsewhere(None);
            // Whoever reads on, if anybody does, has something to look for.
            let wait = self.end_wait(&mut state);
            drop(state);
            drop(wait);
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
            wait: Wait::default(),
            state: Mutex::new(State {
                end: None,
                exited: false,
                trap_exit: options.trap_exit,
                label: options.label.clone().unwrap_or_else(|| Label::from("process")),
                mailbox: Mailbox::new(options.mailbox_limit, options.overflow, options.mailbox_alarm),
                relations: None,
            }),
        }
    }

    fn wake_receiver(&self, mut state: MutexGuard<'_, State<M>>) {
        let wake = self.end_wait(&mut state);
        drop(state);
        self.wait.wake(wake);
    }

    /// Marks the process to end with this reason, and wakes its task to do so.
    fn die(&self, mut state: MutexGuard<'_, State<M>>, reason: ExitReason) {
        let dies = self.doom_locked(&mut state, reason);
        drop(state);
        if dies {
            self.wait.wake_task();
        }
    }

    /// Marks the process to end with this reason; whether its task is to be woken once the lock is given back.
    fn doom_locked(&self, state: &mut State<M>, reason: ExitReason) -> bool {
        if state.end.is_some() {
            return false;
        }
        state.end = Some(reason);
        self.doomed.store(true, Ordering::Release);
        true
    }

    /// The next of the mailbox, in the order of arrival; what is `aside` is not looked at, but a long mailbox is put there.
    pub(super) fn poll_take(
        &self,
        cx: &mut TaskContext<'_>,
        aside: &mut Option<Box<Aside<M>>>,
    ) -> Poll<Item<M>> {
        let Some(nth) = current::spend() else {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        };
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
        let habit = self.wait.habit();
        if self.wait.is_on() && aside.is_none() && self.wait.is_task(cx.waker()) {
            self.wait.set_habit(habit.waits_on(nth));
            return Poll::Pending;
        }
        let habit = habit.looks();
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
                let foreseen = habit
                    .takes_last(nth)
                    .filter(|_| aside.is_none() && state.mailbox.is_idle() && self.wait.is_task(cx.waker()));
                if foreseen.is_some() {
                    self.wait.begin();
                }
                self.wait.set_habit(foreseen.unwrap_or(habit));
                if self.senders_wait.load(Ordering::Relaxed) {
                    self.wake_senders(state);
                }
                Poll::Ready(item)
            }
            None => {
                self.wait.set_habit(habit.waits(nth));
                if self.wait.is_task(cx.waker()) {
                    self.wait.begin();
                } else {
                    let receiver = &mut state.relations().receiver;
                    if receiver.as_ref().is_none_or(|known| !known.will_wake(cx.waker())) {
                        *receiver = Some(cx.waker().clone());
                    }
                    self.wait.begin_elsewhere();
                }
                // It will take nothing for a while, and not all that it took came through here: whatever room there is
                // is theirs who wait for it.
                if self.senders_wait.load(Ordering::Relaxed) && !state.mailbox.is_full(self.elsewhere()) {
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
        if !state.exited {
            state.mailbox.push_stop(reason);
            self.wake_receiver(state);
        }
    }

    /// Ends the process with this reason.
    pub(super) fn end(&self, reason: ExitReason) {
        self.die(self.state.lock(), reason);
    }

    /// Wakes those who wait for room, once there is enough of it.
    #[cold]
    fn wake_senders(&self, state: MutexGuard<'_, State<M>>) {
        if state.mailbox.has_room_again(self.elsewhere()) {
            self.wake_all_senders(state);
        }
    }

    #[cold]
    fn wake_all_senders(&self, mut state: MutexGuard<'_, State<M>>) {
        let senders = state.relations.as_mut().map(|relations| std::mem::take(&mut relations.senders));
        self.senders_wait.store(false, Ordering::Relaxed);
        drop(state);
        senders.into_iter().flatten().for_each(Waker::wake);
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
    #[inline]
    pub(super) fn doom(&self) -> Option<ExitReason> {
        if self.is_doomed() { self.doom_reason() } else { None }
    }

    #[cold]
    fn doom_reason(&self) -> Option<ExitReason> {
        let state = self.state.lock();
        state.end.clone().filter(|_| !state.exited)
    }

    /// Whether the task has told who it is.
    pub(super) fn has_task(&self) -> bool {
        self.wait.has_task()
    }

    pub(super) fn set_task(&self, waker: &Waker) {
        let _state = self.state.lock();
        self.wait.set_task(waker);
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

    /// A process whose task has a waker that counts.
    fn with_task() -> (Process<u64>, Waker, Arc<Wakes>) {
        let wakes = Arc::new(Wakes::default());
        let waker = Waker::from(wakes.clone());
        let process = Process::new(&SpawnOptions::new());
        process.set_task(&waker);
        (process, waker, wakes)
    }

    #[derive(Default)]
    struct Wakes(std::sync::atomic::AtomicUsize);

    impl std::task::Wake for Wakes {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    impl Wakes {
        fn take(&self) -> usize {
            self.0.swap(0, Ordering::Relaxed)
        }
    }

    /// One poll of a body that takes all there is and waits; what it took.
    fn poll(
        process: &Process<u64>,
        cx: &mut TaskContext<'_>,
        aside: &mut Option<Box<Aside<u64>>>,
    ) -> Vec<u64> {
        let _entered = current::enter(process.pid);
        let mut taken = Vec::new();
        while let Poll::Ready(Item::Message(message)) = process.poll_take(cx, aside) {
            taken.push(message);
        }
        taken
    }

    /// Has a process take one message and wait so often that it foresees its next wait.
    fn form_habit(process: &Process<u64>, cx: &mut TaskContext<'_>) {
        for _ in 0..10 {
            process.push(0, None).expect("there is room");
            assert_eq!(poll(process, cx, &mut None), [0]);
        }
    }

    #[test]
    fn each_message_wakes_who_waits_for_it_alone() {
        let (process, waker, wakes) = with_task();
        let mut cx = TaskContext::from_waker(&waker);
        for number in 0..10 {
            assert!(poll(&process, &mut cx, &mut None).is_empty());
            process.push(number, None).expect("there is room");
            process.push(number, None).expect("there is room");
            assert_eq!(wakes.take(), 1);
            assert_eq!(poll(&process, &mut cx, &mut None), [number, number]);
        }
    }

    #[test]
    fn a_message_that_comes_before_a_wait_that_was_foreseen_is_taken_before_it() {
        let (process, waker, wakes) = with_task();
        let mut cx = TaskContext::from_waker(&waker);
        form_habit(&process, &mut cx);
        wakes.take();
        process.push(1, None).expect("there is room");
        let entered = current::enter(process.pid);
        assert!(matches!(process.poll_take(&mut cx, &mut None), Poll::Ready(Item::Message(1))));
        assert!(process.wait.is_on(), "it is foreseen");
        process.push(2, None).expect("there is room");
        assert_eq!(wakes.take(), 2);
        assert!(matches!(process.poll_take(&mut cx, &mut None), Poll::Ready(Item::Message(2))));
        assert!(process.poll_take(&mut cx, &mut None).is_pending());
        drop(entered);
        process.push(3, None).expect("there is room");
        assert_eq!((wakes.take(), poll(&process, &mut cx, &mut None)), (1, vec![3]));
    }

    #[test]
    fn no_wait_is_foreseen_while_more_is_there() {
        let (process, waker, _) = with_task();
        let mut cx = TaskContext::from_waker(&waker);
        form_habit(&process, &mut cx);
        (1..4).for_each(|number| process.push(number, None).expect("there is room"));
        assert_eq!(poll(&process, &mut cx, &mut None), [1, 2, 3]);
    }

    #[test]
    fn what_is_given_back_is_found_though_a_wait_was_foreseen() {
        let (process, waker, _) = with_task();
        let mut cx = TaskContext::from_waker(&waker);
        form_habit(&process, &mut cx);
        let mut aside = Box::<Aside<u64>>::default();
        aside.continue_with(1);
        process.give_back(aside);
        assert_eq!(poll(&process, &mut cx, &mut None), [1]);
    }

    #[test]
    fn who_waits_within_the_task_with_a_waker_of_its_own_is_woken_by_that() {
        let (process, waker, wakes) = with_task();
        form_habit(&process, &mut TaskContext::from_waker(&waker));
        wakes.take();
        let others = Arc::new(Wakes::default());
        let other = Waker::from(others.clone());
        assert!(poll(&process, &mut TaskContext::from_waker(&other), &mut None).is_empty());
        process.push(1, None).expect("there is room");
        assert_eq!((wakes.take(), others.take()), (0, 1));
        assert_eq!(poll(&process, &mut TaskContext::from_waker(&other), &mut None), [1]);
        assert!(poll(&process, &mut TaskContext::from_waker(&waker), &mut None).is_empty());
        process.push(2, None).expect("there is room");
        assert_eq!((wakes.take(), others.take()), (1, 0));
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
