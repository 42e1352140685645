//! The queue of a process: messages up to a limit, and what else it hears, in the order of arrival.
//!
//! Pure: a bounded queue; locking and waking are its owner's.

use std::collections::VecDeque;

use super::signal::Info;

/// How many messages a mailbox holds unless its process was spawned with another limit. Deep enough for any burst
/// that a live process will work off, shallow enough that a stuck one cannot eat the machine.
pub const MAILBOX_LIMIT_DEFAULT: usize = 65_536;

/// Capacity above which an emptied queue gives its memory back.
const KEEP_CAPACITY_MAX: usize = 64;

/// One place in the queue.
#[derive(Debug)]
pub(crate) enum Item<M> {
    Message(M),
    Info(Info),
}

#[derive(Debug)]
pub(crate) struct Mailbox<M> {
    queue: VecDeque<Item<M>>,
    messages: usize,
    limit: usize,
    peak: usize,
    full: bool,
}

/// A message that found no room, and whether it is the first since there was room.
#[derive(Debug)]
pub(crate) struct Full<M> {
    pub(crate) message: M,
    pub(crate) first: bool,
}

impl<M> Mailbox<M> {
    pub(crate) fn new(limit: usize) -> Self {
        Self { queue: VecDeque::new(), messages: 0, limit, peak: 0, full: false }
    }

    /// Queues a message, or gives it back if `limit` messages wait.
    pub(crate) fn push(&mut self, message: M) -> Result<(), Full<M>> {
        if self.messages >= self.limit {
            let first = !std::mem::replace(&mut self.full, true);
            return Err(Full { message, first });
        }
        self.full = false;
        self.queue.push_back(Item::Message(message));
        self.messages += 1;
        self.peak = self.peak.max(self.messages);
        Ok(())
    }

    /// Queues a signal: never refused, since the process itself asked for it by a link or a monitor.
    pub(crate) fn push_info(&mut self, info: Info) {
        self.queue.push_back(Item::Info(info));
    }

    pub(crate) fn pop(&mut self) -> Option<Item<M>> {
        let item = self.queue.pop_front();
        match &item {
            Some(Item::Message(_)) => self.messages -= 1,
            Some(Item::Info(_)) => {}
            None if self.queue.capacity() > KEEP_CAPACITY_MAX => self.queue = VecDeque::new(),
            None => {}
        }
        item
    }

    /// Removes the signals that `wanted` accepts (a demonitor with flush).
    pub(crate) fn flush_info(&mut self, wanted: impl Fn(&Info) -> bool) {
        self.queue.retain(|item| match item {
            Item::Message(_) => true,
            Item::Info(info) => !wanted(info),
        });
    }

    /// How many messages wait; signals not counted.
    pub(crate) fn len(&self) -> usize {
        self.messages
    }

    /// The most messages that ever waited.
    pub(crate) fn peak(&self) -> usize {
        self.peak
    }

    pub(crate) fn limit(&self) -> usize {
        self.limit
    }

    /// Everything that waits; the mailbox takes no more.
    pub(crate) fn close(&mut self) -> VecDeque<Item<M>> {
        self.messages = 0;
        self.limit = 0;
        std::mem::take(&mut self.queue)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::ExitReason;
    use crate::process::signal::Exit;

    fn exit() -> Info {
        let pid = crate::pid::Pid::new(std::num::NonZeroU64::MIN);
        Info::Exit(Exit { from: pid, reason: ExitReason::Normal })
    }

    #[test]
    fn refuses_over_the_limit_and_says_so_once() {
        let mut mailbox = Mailbox::new(2);
        assert!(mailbox.push(1).is_ok());
        assert!(mailbox.push(2).is_ok());
        let refused = mailbox.push(3).unwrap_err();
        assert_eq!((refused.message, refused.first), (3, true));
        assert!(!mailbox.push(4).unwrap_err().first);
        assert!(matches!(mailbox.pop(), Some(Item::Message(1))));
        assert!(mailbox.push(5).is_ok());
        assert!(mailbox.push(6).unwrap_err().first, "room in between makes it news again");
        assert_eq!((mailbox.len(), mailbox.peak()), (2, 2));
    }

    #[test]
    fn signals_keep_their_place_and_need_no_room() {
        let mut mailbox = Mailbox::new(1);
        assert!(mailbox.push("a").is_ok());
        mailbox.push_info(exit());
        assert!(matches!(mailbox.pop(), Some(Item::Message("a"))));
        assert!(mailbox.push("b").is_ok());
        assert!(matches!(mailbox.pop(), Some(Item::Info(_))));
        assert!(matches!(mailbox.pop(), Some(Item::Message("b"))));
        assert!(mailbox.pop().is_none());
    }

    #[test]
    fn gives_the_memory_of_a_burst_back() {
        let mut mailbox = Mailbox::new(10_000);
        for n in 0..10_000 {
            assert!(mailbox.push(n).is_ok());
        }
        while mailbox.pop().is_some() {}
        assert_eq!(mailbox.queue.capacity(), 0);
    }
}
