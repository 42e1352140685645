//! What is known of the same shard on another node.
//!
//! Its entries are shown while its node is up and they are up to date: whoever comes back is asked first, so that nobody
//! is told of a presence that has long gone.
//!
//! Pure: a state machine; messages and time come in.

use std::time::Duration;

use heronry::node::NodeId;

use super::message::{Message, Part, Resume};
use crate::clock::Fit;
use crate::delta::Delta;
use crate::replica::{Signal, Status, Turn};
use crate::state::{Remote, Seen};

#[cfg(test)]
mod tests;

/// How long an ask may stay without an answer before it is repeated, the first time; then twice as long each time.
const ASK_AGAIN: Duration = Duration::from_millis(500);
/// ... and at most, of one that is silent.
const ASK_AGAIN_MAX: Duration = Duration::from_secs(10);
/// ... and at most once it is heard: it is there, so it was the ask or its answer that was lost.
const ASK_AGAIN_HEARD_MAX: Duration = Duration::from_secs(1);

/// The same shard on another node.
#[derive(Debug)]
pub(super) struct Peer {
    node: NodeId,
    status: Status,
    /// Which of its lives we know; older ones are not listened to. The first is 1.
    generation: u64,
    remote: Remote,
    /// A snapshot that is coming in, beside what is known.
    transfer: Option<Transfer>,
    /// How far its clock had come when we last heard.
    latest: u64,
    /// Where its clock must have come for our knowledge to be shown; set by the first that we hear.
    target: Option<u64>,
    /// It said that it ends.
    gone: bool,
    ask_again: Option<Duration>,
    asked: u32,
}

#[derive(Debug)]
struct Transfer {
    stamp: u64,
    after: u64,
    remote: Remote,
    complete: bool,
}

impl Peer {
    pub(super) fn new(node: NodeId) -> Self {
        Self {
            node,
            status: Status::Syncing,
            generation: 0,
            remote: Remote::default(),
            transfer: None,
            latest: 0,
            target: None,
            gone: false,
            ask_again: None,
            asked: 0,
        }
    }

    pub(super) fn node(&self) -> &NodeId {
        &self.node
    }

    /// How many of its entries are kept.
    pub(super) fn len(&self) -> usize {
        self.remote.len()
    }

    pub(super) fn is_reachable(&self) -> bool {
        self.status.is_reachable()
    }

    /// Its node is up.
    pub(super) fn up(&mut self) {
        if !self.status.is_reachable() {
            self.target = None;
            self.stop_asking();
        }
        self.turn(Signal::Up, &mut Vec::new());
    }

    /// Its node is down.
    pub(super) fn down(&mut self, seen: &mut Vec<Seen>) {
        self.transfer = None;
        self.stop_asking();
        self.turn(Signal::Down, seen);
    }

    /// Something that it published may have been lost.
    pub(super) fn gap(&mut self) {
        // What is not known is at least one turn more; the answer says how many.
        self.latest = self.latest.max(self.clock().saturating_add(1));
    }

    /// Nothing came through, nor went: what was asked meanwhile is asked again.
    pub(super) fn relinked(&mut self) {
        self.gap();
        self.stop_asking();
    }

    /// What it told, and the ask that follows from it.
    pub(super) fn receive(
        &mut self,
        message: Message,
        now: Duration,
        seen: &mut Vec<Seen>,
    ) -> Option<Message> {
        let generation = message.generation();
        let is_over = generation < self.generation || (self.gone && generation == self.generation);
        if !self.status.is_reachable() || is_over {
            return None;
        }
        if generation > self.generation {
            self.reset(generation, seen);
        }
        let before = self.progress();
        match message {
            Message::Beat { latest, .. } => self.heard(latest),
            Message::Delta { latest, reply, delta, .. } => {
                if reply {
                    // It says how far the clock has come, also where a gap was feared.
                    self.latest = latest.min(self.latest);
                }
                self.heard(latest);
                self.delta(delta, seen);
            }
            Message::Part { latest, part, .. } => {
                self.heard(latest);
                self.part(part, latest);
            }
            Message::Bye { .. } => {
                self.reset(generation, seen);
                self.gone = true;
            }
            // Answered by the core: it is about our entries.
            Message::Ask { .. } => return None,
        }
        self.settle(seen);
        // An answer that leads nowhere is no reason to ask again at once.
        if self.progress() != before || !self.wants_to_know() {
            self.stop_asking();
        }
        self.ask_again = self.ask_again.map(|again| again.min(now + ASK_AGAIN_HEARD_MAX));
        self.ask(now)
    }

    /// What is to be asked now, if anything is: not again before the answer had its time.
    pub(super) fn ask(&mut self, now: Duration) -> Option<Message> {
        if !self.wants_to_know() || self.ask_again.is_some_and(|again| now < again) {
            return None;
        }
        self.ask_again = Some(now + ASK_AGAIN.saturating_mul(1 << self.asked.min(8)).min(ASK_AGAIN_MAX));
        self.asked += 1;
        let resume = match &self.transfer {
            Some(Transfer { stamp, after, complete: false, .. }) => {
                Some(Resume { stamp: *stamp, after: *after })
            }
            Some(Transfer { complete: true, .. }) | None => None,
        };
        Some(Message::Ask { generation: self.generation, have: self.clock(), resume })
    }

    /// When something is to be asked again.
    pub(super) fn deadline(&self) -> Option<Duration> {
        self.ask_again.filter(|_| self.wants_to_know())
    }

    /// All of it that is shown, to be forgotten.
    pub(super) fn forget(mut self, seen: &mut Vec<Seen>) {
        self.turn(Signal::Down, seen);
    }

    fn wants_to_know(&self) -> bool {
        let behind = self.clock() < self.latest || self.transfer.is_some() || self.status == Status::Syncing;
        self.status.is_reachable() && !self.gone && behind
    }

    fn progress(&self) -> (u64, Option<u64>) {
        (self.clock(), self.transfer.as_ref().map(|transfer| transfer.after))
    }

    /// How much is known of its history.
    fn clock(&self) -> u64 {
        match &self.transfer {
            Some(Transfer { complete: true, remote, .. }) => remote.clock(),
            Some(Transfer { complete: false, .. }) | None => self.remote.clock(),
        }
    }

    fn stop_asking(&mut self) {
        self.ask_again = None;
        self.asked = 0;
    }

    fn heard(&mut self, latest: u64) {
        self.latest = self.latest.max(latest);
        self.target.get_or_insert(latest);
    }

    /// It began anew: what is known is of a life that is over.
    fn reset(&mut self, generation: u64, seen: &mut Vec<Seen>) {
        self.turn(Signal::Reset, seen);
        self.generation = generation;
        self.remote = Remote::default();
        self.transfer = None;
        self.latest = 0;
        self.target = None;
        self.gone = false;
        self.stop_asking();
    }

    fn delta(&mut self, delta: Delta, seen: &mut Vec<Seen>) {
        let shown = self.status.is_shown();
        // What does not fit is not taken; if it leaves a gap, the clock is behind and we ask.
        let _: Fit = match &mut self.transfer {
            Some(Transfer { complete: true, remote, .. }) => remote.apply(delta, drop),
            Some(Transfer { complete: false, .. }) | None => self.remote.apply(delta, |change| {
                if shown {
                    seen.push(change);
                }
            }),
        };
    }

    fn part(&mut self, part: Part, latest: u64) {
        let Part { stamp, after, last, entries } = part;
        let under_way = self.transfer.as_ref().is_some_and(|transfer| !transfer.complete);
        if !under_way && after == 0 && stamp > self.clock() {
            self.transfer = Some(Transfer { stamp, after, remote: Remote::default(), complete: false });
        }
        let Some(transfer) = &mut self.transfer else { return };
        if transfer.complete || transfer.stamp != stamp || transfer.after != after {
            return;
        }
        transfer.after = entries.last().map_or(after, |entry| entry.dot().id);
        transfer.remote.add(entries);
        if last {
            transfer.remote.stamp(stamp);
            transfer.complete = true;
            self.target = Some(latest);
        }
    }

    /// Shows what is up to date.
    fn settle(&mut self, seen: &mut Vec<Seen>) {
        let Some(target) = self.target else { return };
        match self.transfer.take_if(|transfer| transfer.complete && transfer.remote.clock() >= target) {
            Some(transfer) if transfer.remote.clock() > self.remote.clock() => {
                let shown = self.status.is_shown();
                self.remote.replace(transfer.remote, |change| {
                    if shown {
                        seen.push(change);
                    }
                });
            }
            // What is known became newer by itself.
            Some(_) | None => {}
        }
        if self.transfer.is_none() && self.remote.clock() >= target && !self.gone {
            self.turn(Signal::Synced, seen);
        }
    }

    fn turn(&mut self, signal: Signal, seen: &mut Vec<Seen>) {
        let (status, turn) = self.status.on(signal);
        self.status = status;
        match turn {
            Turn::Stay => {}
            Turn::Show => seen.extend(self.remote.entries().cloned().map(Seen::Join)),
            Turn::Hide => seen.extend(self.remote.entries().cloned().map(Seen::Leave)),
        }
    }
}
