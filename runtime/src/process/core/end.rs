//! The end of a process: what it leaves, and who is told.

use std::collections::VecDeque;

use super::super::events::{DeadLetters, ProcessCrashed};
use super::super::mailbox::Item;
use super::super::names;
use super::super::signal::Origin;
use super::super::table;
use super::{Process, Relations};
use crate::exit::ExitReason;
use crate::name::Label;
use crate::sync::atomic::Ordering;
use crate::telemetry;

/// Everything that a dead process leaves behind.
pub(in crate::process) struct Estate<M> {
    label: Label,
    pub(in crate::process) unread: VecDeque<Item<M>>,
    relations: Option<Box<Relations<M>>>,
}

impl<M: Send + 'static> Process<M> {
    /// The process takes nothing more and is not found any more; what it leaves is returned.
    pub(in crate::process) fn close(&self, reason: &ExitReason) -> Estate<M> {
        // Name, entries and pid go before anybody can see the end: who waited for it finds the ground clear.
        let (name, keepers, post) = {
            let mut state = self.state.lock();
            state.end = Some(reason.clone());
            self.doomed.store(true, Ordering::Release);
            let relations = state.relations.as_mut();
            let taken =
                relations.map(|own| (own.name.take(), std::mem::take(&mut own.keepers), own.post.take()));
            taken.unwrap_or_default()
        };
        if let Some(name) = name {
            names::forget(&name, self.pid);
        }
        keepers.let_go(self.pid);
        table::remove(self.pid);
        match post {
            Some(post) => post.hand_back(self, reason, || self.shut()),
            None => self.shut(),
        }
    }

    /// From now on the end can be seen.
    fn shut(&self) -> Estate<M> {
        let mut state = self.state.lock();
        state.exited = true;
        Estate {
            label: state.label.clone(),
            unread: state.mailbox.close(),
            relations: state.relations.take(),
        }
    }

    /// Tells links, monitors and watchers, and gives the unread messages back to be dropped.
    pub(in crate::process) fn announce(&self, estate: Estate<M>, reason: &ExitReason) -> VecDeque<Item<M>> {
        let unread = estate.unread.iter().filter(|item| item.is_message()).count();
        if unread > 0 {
            telemetry::emit(&DeadLetters {
                pid: self.pid,
                label: estate.label.clone(),
                reason: reason.clone(),
                message: std::any::type_name::<M>(),
                count: unread,
            });
        }
        if !reason.is_orderly() {
            telemetry::emit(&ProcessCrashed {
                pid: self.pid,
                label: estate.label,
                reason: reason.clone(),
                unread,
            });
        }
        let Some(relations) = estate.relations else { return estate.unread };
        for waker in relations.senders {
            waker.wake();
        }
        // Links before watchers: who waits for a process that it is linked with dies of the link, on every thread, and
        // does not go on for a while with the error.
        for far in relations.links.drain().filter_map(table::find) {
            far.exit_signal(self.pid, reason.clone(), Origin::Link);
        }
        for watcher in relations.watchers {
            watcher.exited(reason);
        }
        let (watching, watched_by) = relations.monitors.into_parts();
        for (reference, target) in watching {
            if let Some(far) = table::find(target) {
                far.remove_watcher(reference);
            }
        }
        for (reference, watcher) in watched_by {
            if let Some(far) = table::find(watcher) {
                far.down(reference, self.pid, reason);
            }
        }
        estate.unread
    }
}
