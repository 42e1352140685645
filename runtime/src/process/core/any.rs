//! What may be done to a process without knowing the type of its messages.

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use super::super::ask::{Asker, NotAsked};
use super::super::current;
use super::super::info::{Callback, ProcessInfo};
use super::super::signal::{Down, Exit, Info, Origin, Verdict, on_exit_signal};
use super::super::table::{AnyProcess, ProcessKind, ProcessStats};
use super::super::watch::ExitWatcher;
use super::{Process, RUNNING_STEP};
use crate::exit::ExitReason;
use crate::name::Name;
use crate::pid::{Pid, Ref};
use crate::sync::atomic::Ordering;

impl<M: Send + 'static> AnyProcess for Process<M> {
    fn pid(&self) -> Pid {
        self.pid
    }

    fn exit_signal(&self, from: Pid, reason: ExitReason, origin: Origin) {
        let mut state = self.state.lock();
        if state.end.is_some() {
            return;
        }
        if origin == Origin::Link && !state.relations().links.remove(from) {
            return; // unlinked meanwhile
        }
        match on_exit_signal(state.trap_exit, origin, current::is_in(self.pid), &reason) {
            Verdict::Ignore => {}
            Verdict::Deliver => {
                state.mailbox.push_info(Info::Exit(Exit { from, reason }));
                self.wake_receiver(state);
            }
            Verdict::Die(reason) => self.die(state, reason),
        }
    }

    fn add_link(&self, with: Pid) -> bool {
        let mut state = self.state.lock();
        if state.exit_reason().is_some() {
            return false;
        }
        state.relations().links.insert(with);
        true
    }

    fn remove_link(&self, with: Pid) {
        self.state.lock().relations().links.remove(with);
    }

    fn add_watcher(&self, reference: Ref, watcher: Pid) -> bool {
        let mut state = self.state.lock();
        if state.exit_reason().is_some() {
            return false;
        }
        state.relations().monitors.add_watcher(reference, watcher);
        true
    }

    fn remove_watcher(&self, reference: Ref) {
        self.state.lock().relations().monitors.remove_watcher(reference);
    }

    fn watch_exit(&self, watcher: Arc<dyn ExitWatcher>) -> Result<(), ExitReason> {
        let mut state = self.state.lock();
        if let Some(reason) = state.exit_reason() {
            return Err(reason.clone());
        }
        state.relations().watchers.push(watcher);
        Ok(())
    }

    fn ask(&self, asker: Box<dyn Asker>, watcher: Arc<dyn ExitWatcher>) -> Result<(), NotAsked> {
        let mut state = self.state.lock();
        if let Some(reason) = state.exit_reason() {
            return Err(NotAsked::Exited(reason.clone()));
        }
        let relations = state.relations();
        let ask = relations.asks.get_or_insert_default().take(asker).ok_or(NotAsked::Full)?;
        relations.watchers.push(watcher);
        state.mailbox.push_ask(ask);
        self.wake_receiver(state);
        Ok(())
    }

    fn down(&self, reference: Ref, pid: Pid, reason: &ExitReason) {
        let mut state = self.state.lock();
        if state.exit_reason().is_some() || state.relations().monitors.unwatch(reference).is_none() {
            return;
        }
        state.mailbox.push_info(Info::Down(Down { reference, pid, reason: reason.clone() }));
        self.wake_receiver(state);
    }

    fn set_name(&self, name: &Name) -> bool {
        let mut state = self.state.lock();
        if state.end.is_some() || state.relations().name.is_some() {
            return false;
        }
        state.relations().name = Some(name.clone());
        true
    }

    fn take_name(&self) -> Option<Name> {
        self.state.lock().relations().name.take()
    }

    fn stats(&self) -> ProcessStats {
        let state = self.state.lock();
        let relations = state.relations.as_deref();
        ProcessStats {
            pid: self.pid,
            parent: self.parent,
            kind: self.kind,
            label: state.label.clone(),
            name: relations.and_then(|relations| relations.name.clone()),
            restarts: self.restarts,
            mailbox_len: state.mailbox.len() + self.elsewhere(),
            mailbox_len_max: state.mailbox.peak(),
            handled: self.handled.load(Ordering::Relaxed),
            links: relations.map_or(0, |relations| relations.links.len()),
            monitors: relations.map_or(0, |relations| relations.monitors.watching_len()),
            started_at: self.started_at.instant(),
        }
    }

    fn info(&self) -> ProcessInfo {
        let stats = self.stats();
        let state = self.state.lock();
        let relations = state.relations.as_deref();
        ProcessInfo {
            pid: stats.pid,
            parent: stats.parent,
            label: stats.label,
            name: stats.name,
            supervisor: stats.kind == ProcessKind::Supervisor,
            trap_exit: state.trap_exit,
            restarts: stats.restarts,
            links: relations.map_or_else(Vec::new, |relations| relations.links.pids()),
            monitors: relations.map_or_else(Vec::new, |relations| relations.monitors.watching()),
            monitored_by: relations.map_or_else(Vec::new, |relations| relations.monitors.watched_by()),
            mailbox_len: stats.mailbox_len,
            mailbox_len_max: stats.mailbox_len_max,
            mailbox_limit: state.mailbox.limit(),
            handled: stats.handled,
            callback: Callback::from_bits(self.callback.load(Ordering::Relaxed)),
            running: RUNNING_STEP * self.running_steps.load(Ordering::Relaxed),
            started_at: self.started_at.instant(),
        }
    }

    fn sample(&self, time: Duration) {
        let steps = u32::try_from(time.as_micros() / RUNNING_STEP.as_micros()).unwrap_or(u32::MAX);
        let so_far = self.running_steps.load(Ordering::Relaxed);
        self.running_steps.store(so_far.saturating_add(steps), Ordering::Relaxed);
    }

    fn as_any(self: Arc<Self>) -> Arc<dyn Any + Send + Sync> {
        self
    }
}
