//! What the body of a process sees of itself.

use std::fmt;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};

use super::addr::Addr;
use super::core::Process;
use super::mailbox::Item;
use super::signal::Info;
use super::spawn::SpawnOptions;
use super::table::AnyProcess;
use crate::exit::IntoExitReason;
use crate::name::Label;
use crate::pid::{Pid, Ref};

/// A process's own handle: its mailbox, links, monitors and traits.
///
/// There is one for each process; it is given to the body and to every callback.
pub struct Context<M> {
    process: Arc<Process<M>>,
}

/// What came out of the mailbox.
#[derive(Debug, PartialEq)]
pub enum Received<M> {
    /// A message.
    Message(M),
    /// An exit signal that was trapped, or the end of a monitored process.
    Info(Info),
}

impl<M: Send + 'static> Context<M> {
    pub(super) fn new(process: Arc<Process<M>>) -> Self {
        Self { process }
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
        self.process.poll_pop(cx).map(|item| match item {
            Item::Message(message) => Received::Message(message),
            Item::Info(info) => Received::Info(info),
        })
    }

    /// From now on exit signals arrive as [`Info::Exit`] (or end the process again, with `false`); returns what it was
    /// before. As Erlang's `process_flag(trap_exit, true)`.
    pub fn trap_exit(&self, on: bool) -> bool {
        self.process.set_trap_exit(on)
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
    pub fn demonitor(&self, reference: Ref) {
        self.process.demonitor(reference);
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
        options.parent(self.pid()).linked(body, self.process.clone())
    }
}

impl<M: Send + 'static> fmt::Debug for Context<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Context({})", self.pid())
    }
}
