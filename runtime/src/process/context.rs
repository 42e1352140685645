//! What the body of a process sees of itself.

use std::fmt;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};
use std::time::Duration;

use super::addr::Addr;
use super::aside::Aside;
use super::ask::{Ask, Shown};
use super::core::Process;
use super::info::Callback;
use super::letter::{Envelope, Letter, Place};
use super::mailbox::Item;
use super::signal::Info;
use super::spawn::SpawnOptions;
use super::table::AnyProcess;
use crate::exit::{ExitReason, IntoExitReason};
use crate::name::Label;
use crate::pid::{Pid, Ref};

/// A process's own handle: its mailbox, links, monitors and traits.
///
/// There is one for each process; it is given to the body and to every callback.
pub struct Context<M> {
    process: Arc<Process<M>>,
    /// What was taken out of the mailbox and not handled yet.
    aside: Option<Box<Aside<M>>>,
}

/// What came out of the mailbox.
#[derive(Debug, PartialEq)]
pub enum Received<M> {
    /// A message.
    Message(M),
    /// An exit signal that was trapped, or the end of a monitored process.
    Info(Info),
}

/// What came out of the mailbox, to who knows how to handle all of it.
pub(crate) enum Opened<M> {
    Message(M),
    Info(Box<Info>),
    /// A request to end with this reason.
    Stop(Box<ExitReason>),
    /// A request to show the state.
    Ask(Box<Ask>),
}

/// What a selective receive took.
enum Found<M> {
    Received(Received<M>),
    Letter(Box<Letter<M>>),
    Stop(ExitReason),
}

/// Takes the item if it is wanted, or a request to stop; gives it back otherwise.
fn find<M>(item: Item<M>, wanted: &mut impl FnMut(&Received<M>) -> bool) -> Result<Found<M>, Item<M>> {
    let (received, envelope) = match item {
        Item::Message(message) => (Received::Message(message), None),
        Item::Letter(letter) => {
            let Letter { message, envelope } = *letter;
            (Received::Message(message), Some(envelope))
        }
        Item::Info(info) => (Received::Info(*info), None),
        Item::Stop(reason) => return Ok(Found::Stop(*reason)),
        // It waits for whoever takes what comes next, and knows what to show.
        Item::Ask(ask) => return Err(Item::Ask(ask)),
    };
    let is_wanted = wanted(&received);
    match (received, envelope) {
        (Received::Message(message), Some(envelope)) => {
            let letter = Box::new(Letter { message, envelope });
            if is_wanted { Ok(Found::Letter(letter)) } else { Err(Item::Letter(letter)) }
        }
        (received, _) if is_wanted => Ok(Found::Received(received)),
        (Received::Message(message), None) => Err(Item::Message(message)),
        (Received::Info(info), _) => Err(Item::Info(Box::new(info))),
    }
}

impl<M: Send + 'static> Context<M> {
    pub(super) fn new(process: Arc<Process<M>>) -> Self {
        Self { process, aside: None }
    }

    /// The identity of this process.
    pub fn pid(&self) -> Pid {
        self.process.pid()
    }

    /// The address of this process.
    pub fn addr(&self) -> Addr<M> {
        Addr::new(self.process.clone())
    }

    /// The process that spawned this one, if a process did.
    pub fn parent(&self) -> Option<Pid> {
        self.process.parent()
    }

    /// Waits for the next message or signal, in the order of arrival.
    ///
    /// # Cancel safety
    /// Nothing is lost when the future is dropped.
    pub async fn receive(&mut self) -> Received<M> {
        poll_fn(|cx| self.poll_receive(cx)).await
    }

    /// [`receive`](Self::receive) for bodies that are written as a `poll` function.
    ///
    /// After 128 messages in one poll it answers `Pending` and wakes itself, so that a busy process does not keep
    /// its thread from others.
    pub fn poll_receive(&mut self, cx: &mut TaskContext<'_>) -> Poll<Received<M>> {
        loop {
            return match std::task::ready!(self.poll_next(cx)) {
                Item::Message(message) => Poll::Ready(Received::Message(message)),
                Item::Letter(letter) => Poll::Ready(Received::Message(self.open(*letter))),
                Item::Info(info) => Poll::Ready(Received::Info(*info)),
                Item::Stop(reason) => self.stop(*reason),
                Item::Ask(ask) => {
                    ask.answer(|| Shown::Nothing);
                    continue;
                }
            };
        }
    }

    /// As [`poll_receive`](Self::poll_receive), with what only servers know how to handle.
    pub(crate) fn poll_item(&mut self, cx: &mut TaskContext<'_>) -> Poll<Opened<M>> {
        self.poll_next(cx).map(|item| match item {
            Item::Message(message) => Opened::Message(message),
            Item::Letter(letter) => Opened::Message(self.open(*letter)),
            Item::Info(info) => Opened::Info(info),
            Item::Stop(reason) => Opened::Stop(reason),
            Item::Ask(ask) => Opened::Ask(ask),
        })
    }

    #[inline]
    fn poll_next(&mut self, cx: &mut TaskContext<'_>) -> Poll<Item<M>> {
        self.done();
        let item = match &mut self.aside {
            Some(aside) if !self.process.is_doomed() => aside.next_passed_over(),
            Some(_) | None => None,
        };
        let item = match item {
            Some(item) => {
                self.process.set_elsewhere(self.aside.as_deref());
                item
            }
            None => std::task::ready!(self.process.poll_take(cx, &mut self.aside)),
        };
        self.process.count_handled();
        Poll::Ready(item)
    }

    /// Ends the process, since it was asked for that.
    fn stop(&self, reason: ExitReason) -> Poll<Received<M>> {
        self.process.end(reason);
        Poll::Pending
    }

    /// Takes a message out that was sent to the stable address. From now on it is this incarnation's.
    fn open(&mut self, letter: Letter<M>) -> M {
        let Letter { message, envelope: Envelope { watcher, deaths, place: _ } } = letter;
        if let Some(watcher) = watcher {
            watcher.taken_by(self.pid());
            // It runs, so it takes the watcher.
            drop(self.process.watch_exit(watcher));
        }
        if let Some(copy) = self.process.post().and_then(|post| post.copy(&message)) {
            let envelope = Envelope { watcher: None, deaths, place: Place::InHand };
            let aside = self.aside.get_or_insert_default();
            aside.take_in_hand(Box::new(Letter { message: copy, envelope }));
        }
        message
    }

    /// Whoever asks for the next message is done with the last one.
    fn done(&mut self) {
        if let Some(aside) = &mut self.aside {
            aside.done();
        }
    }

    /// Waits for the next message or signal that `wanted` accepts, and leaves the others where they are, in order.
    /// Erlang's selective receive; `None` if nothing wanted has come within `time`.
    ///
    /// What was passed over is looked at again by each later call, so a long mailbox makes this slow, as on the BEAM.
    ///
    /// # Cancel safety
    /// Nothing is lost when the future is dropped.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// use std::time::Duration;
    /// use heronry::process::{self, Received};
    ///
    /// let even_first = process::spawn(|mut ctx: heronry::Context<u8>| async move {
    ///     let even = |received: &Received<u8>| matches!(received, Received::Message(n) if n % 2 == 0);
    ///     assert_eq!(ctx.receive_match(even, Duration::from_secs(5)).await, Some(Received::Message(2)));
    ///     assert_eq!(ctx.receive().await, Received::Message(1));
    ///     assert_eq!(ctx.receive().await, Received::Message(3));
    /// });
    /// for n in 1..=3 {
    ///     even_first.send(n).unwrap();
    /// }
    /// assert_eq!(even_first.wait().await, heronry::ExitReason::Normal);
    /// # }
    /// ```
    pub async fn receive_match(
        &mut self,
        mut wanted: impl FnMut(&Received<M>) -> bool,
        time: Duration,
    ) -> Option<Received<M>> {
        self.done();
        let mut found = self.aside.as_mut().and_then(|aside| aside.find(|item| find(item, &mut wanted)));
        let matched = poll_fn(|cx| {
            loop {
                if let Some(found) = found.take() {
                    self.process.set_elsewhere(self.aside.as_deref());
                    self.process.count_handled();
                    return match found {
                        Found::Received(received) => Poll::Ready(received),
                        Found::Letter(letter) => Poll::Ready(Received::Message(self.open(*letter))),
                        Found::Stop(reason) => self.stop(reason),
                    };
                }
                let item = std::task::ready!(self.process.poll_take(cx, &mut self.aside));
                match find(item, &mut wanted) {
                    Ok(wanted) => found = Some(wanted),
                    Err(item) => {
                        let aside = self.aside.get_or_insert_default();
                        aside.pass_over(item);
                        self.process.set_elsewhere(Some(aside));
                    }
                }
            }
        });
        tokio::time::timeout(time, matched).await.ok()
    }

    /// Gives memory back that this process holds but does not need while it waits: for one that will be idle for long.
    /// Erlang's `hibernate`; the process goes on as before, and buffers come back as they are needed.
    pub fn hibernate(&mut self) {
        if let Some(aside) = &mut self.aside {
            aside.shrink();
        }
        self.process.shrink();
    }

    /// Runs blocking or long computing work on a thread made for it, so that it does not keep a scheduler thread from
    /// other processes, and waits for its result. A panic in it is a panic of this process.
    ///
    /// Once begun the work runs to its end, even if this process is killed meanwhile.
    ///
    /// # Panics
    /// If the work does, or if the tokio runtime shuts down under it.
    pub async fn block<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        match tokio::task::spawn_blocking(work).await {
            Ok(value) => value,
            Err(error) => match error.try_into_panic() {
                Ok(payload) => std::panic::resume_unwind(payload),
                Err(error) => panic!("the runtime shut down: {error}"),
            },
        }
    }

    /// Lets this process handle a message before anything that waits in its mailbox, as soon as the callback that it is in
    /// returns; several in the order in which they were given. OTP's `{continue, Term}`: for a server,
    /// [`handle_continue`](crate::Server::handle_continue) gets it.
    ///
    /// It cannot fail: a process gives itself no more than it has things to do.
    pub fn continue_with(&mut self, message: M) {
        let aside = self.aside.get_or_insert_default();
        aside.continue_with(message);
        self.process.set_elsewhere(Some(aside));
    }

    /// What `continue_with` left to do, before anything else.
    pub(crate) fn take_continued(&mut self) -> Option<M> {
        self.done();
        let message = self.aside.as_mut().and_then(|aside| aside.next_continued())?;
        self.process.set_elsewhere(self.aside.as_deref());
        self.process.count_handled();
        Some(message)
    }

    /// Says in which callback the process is.
    pub(crate) fn set_callback(&self, callback: Option<Callback>) {
        self.process.set_callback(callback);
    }

    /// Queues a message for this process behind all that waits. It cannot fail: the mailbox's limit is for others.
    pub(crate) fn send_self(&self, message: M) {
        // Refused only if it had ended, and it runs.
        drop(self.process.push_own(message));
    }

    /// From now on exit signals arrive as [`Info::Exit`] (or end the process again, with `false`); returns what it was
    /// before. As Erlang's `process_flag(trap_exit, true)`.
    pub fn trap_exit(&self, on: bool) -> bool {
        self.process.set_trap_exit(on)
    }

    pub(crate) fn traps_exit(&self) -> bool {
        self.process.traps_exit()
    }

    /// Says in logs and in the tree what this process is.
    pub fn set_label(&self, label: impl Into<Label>) {
        self.process.set_label(label.into());
    }

    /// Links this process with another: if one ends for any reason but `Normal`, the other gets an exit signal.
    ///
    /// With a process that has ended, the signal (`NoProc`) comes at once. Linking twice is linking once.
    pub fn link(&self, other: Pid) {
        self.process.link(other);
    }

    /// Undoes a link; no exit signal from it arrives after this.
    pub fn unlink(&self, other: Pid) {
        self.process.unlink(other);
    }

    /// Watches another process: when it ends, one [`Info::Down`] with this reference arrives.
    ///
    /// With a process that has ended, the `Down` (`NoProc`) comes at once. Each call is a monitor of its own.
    pub fn monitor(&self, target: Pid) -> Ref {
        self.process.monitor(target)
    }

    /// Ends a monitor: its `Down` does not arrive after this, even if it waited in the mailbox (Erlang's `flush`).
    pub fn demonitor(&mut self, reference: Ref) {
        self.process.demonitor(reference);
        if let Some(aside) = &mut self.aside {
            aside.flush_down(reference);
        }
    }

    /// Spawns a process that is linked with this one from its first moment.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn spawn_link<N, F, B>(&self, options: SpawnOptions, body: F) -> Addr<N>
    where
        N: Send + 'static,
        F: FnOnce(Context<N>) -> B,
        B: Future<Output: IntoExitReason> + Send + 'static,
    {
        options.parent(self.pid()).linked(body, self.pid())
    }
}

impl<M> Drop for Context<M> {
    /// What was taken out and not handled waits again, and is counted and dropped with the rest of the mailbox.
    fn drop(&mut self) {
        if let Some(mut aside) = self.aside.take() {
            if self.process.is_doomed() {
                aside.cut_off();
            }
            self.process.give_back(aside);
        }
    }
}

impl<M: Send + 'static> fmt::Debug for Context<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Context({})", self.pid())
    }
}
