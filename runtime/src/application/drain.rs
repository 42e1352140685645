//! The drain hooks: what an application does before its supervisors stop.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::name::Label;
use crate::pid::Pid;
use crate::process::{self, SpawnOptions};

/// What runs, or its end.
type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A hook that was not run yet.
pub(super) struct Hook {
    label: Label,
    work: Box<dyn FnOnce() -> Work + Send>,
}

impl Hook {
    pub(super) fn new<F, B>(label: Label, work: F) -> Self
    where
        F: FnOnce() -> B + Send + 'static,
        B: Future<Output = ()> + Send + 'static,
    {
        Self { label, work: Box::new(move || Box::pin(work())) }
    }
}

impl fmt::Debug for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Hook").field(&self.label).finish()
    }
}

/// Runs hooks one after the other, each as a process: one that crashes is reported as any, and the next one runs.
///
/// Dropping it kills the one that runs.
pub(super) struct Drain {
    left: std::vec::IntoIter<Hook>,
    running: Option<(Label, Pid, Work)>,
}

impl Drain {
    pub(super) fn new(hooks: Vec<Hook>) -> Self {
        Self { left: hooks.into_iter(), running: None }
    }

    /// The hook that runs, and how many have not begun.
    pub(super) fn unfinished(&self) -> Option<(Label, usize)> {
        let (label, ..) = self.running.as_ref()?;
        Some((label.clone(), self.left.len()))
    }
}

impl Future for Drain {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            if let Some((_, _, ended)) = &mut self.running {
                std::task::ready!(ended.as_mut().poll(cx));
                self.running = None;
            }
            let Some(Hook { label, work }) = self.left.next() else { return Poll::Ready(()) };
            let options = SpawnOptions::new().label(format!("drain: {}", label.as_str()));
            let hook = options.spawn(|_: process::Context<()>| async move { work().await });
            let pid = hook.pid();
            let ended = Box::pin(async move { drop(hook.wait().await) });
            self.running = Some((label, pid, ended));
        }
    }
}

impl Drop for Drain {
    fn drop(&mut self) {
        if let Some((_, pid, _)) = self.running.take() {
            process::kill(pid);
        }
    }
}
