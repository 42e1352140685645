//! The queue of a process: messages up to a limit, and what else it hears, in the order of arrival.
//!
//! Pure: a bounded queue; locking and waking are its owner's.

use std::collections::VecDeque;

use super::aside::Aside;
use super::ask::Ask;
use super::letter::Letter;
use super::signal::Info;
use crate::exit::ExitReason;
use crate::pid::Ref;

/// How many messages a mailbox holds unless its process was spawned with another limit. Deep enough for any burst
/// that a live process will work off, shallow enough that a stuck one cannot eat the machine.
pub const MAILBOX_LIMIT_DEFAULT: usize = 65_536;

/// How many waiting messages make a mailbox a long one, worth a telemetry event.
pub const MAILBOX_ALARM_DEFAULT: usize = 10_000;

/// Capacity above which an emptied queue gives its memory back.
const KEEP_CAPACITY_MAX: usize = 8;

/// How many waiting items are worth taking out in one go; two in a model, which is to see a batch among few messages.
const BATCH_MIN: usize = if cfg!(all(test, heronry_loom)) { 2 } else { 8 };

/// What becomes of a message that finds the mailbox at its limit. The mailbox says so once for each time that it fills
/// up ([`MailboxFull`](super::MailboxFull)), whatever the policy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Overflow {
    /// It is refused: its sender gets [`SendError::Full`](super::SendError::Full). The default: nobody loses anything
    /// unawares.
    #[default]
    Reject,
    /// Senders that can wait do: [`Addr::send_wait`](super::Addr::send_wait), and calls within their time. The others
    /// are refused.
    Block,
    /// It is dropped, and its sender does not know.
    DropNewest,
    /// The oldest message is dropped for it.
    DropOldest,
    /// The process ends with the reason `mailbox full`.
    Exit,
}

/// One place in the queue.
#[derive(Debug)]
pub(crate) enum Item<M> {
    Message(M),
    /// A message to a stable address. Boxed, as they are.
    Letter(Box<Letter<M>>),
    /// Boxed: signals are rare, and each place in the queue would have the size of one.
    Info(Box<Info>),
    /// A request to end with this reason, in order with the messages. Boxed, as the signals.
    Stop(Box<ExitReason>),
    /// A request to show the state. Boxed, as the signals.
    Ask(Box<Ask>),
}

impl<M> Item<M> {
    pub(crate) fn is_message(&self) -> bool {
        match self {
            Self::Message(_) | Self::Letter(_) => true,
            Self::Info(_) | Self::Stop(_) | Self::Ask(_) => false,
        }
    }

    /// Whether this is the `Down` of that monitor.
    pub(crate) fn is_down_of(&self, reference: Ref) -> bool {
        match self {
            Self::Message(_) | Self::Letter(_) | Self::Stop(_) | Self::Ask(_) => false,
            Self::Info(info) => matches!(&**info, Info::Down(down) if down.reference == reference),
        }
    }
}

#[derive(Debug)]
pub(crate) struct Mailbox<M> {
    queue: VecDeque<Item<M>>,
    messages: u32,
    limit: u32,
    overflow: Overflow,
    alarm: u32,
    peak: u32,
    /// No room since the last message that found some.
    full: bool,
    /// Longer than the alarm's length, and not half of it since.
    long: bool,
}

/// What came of a push.
#[derive(Debug)]
pub(crate) enum Pushed<M> {
    /// It is queued; true if the mailbox has just grown over its alarm.
    Queued { alarm: bool },
    /// There was no room. The message that was not queued (or the one that gave way), and whether this is news.
    Full { message: M, overflow: Overflow, first: bool },
}

impl<M> Mailbox<M> {
    pub(crate) fn new(limit: usize, overflow: Overflow, alarm: usize) -> Self {
        // Nothing has room for more messages than a `u32` counts.
        let [limit, alarm] = [limit, alarm].map(|messages| u32::try_from(messages).unwrap_or(u32::MAX));
        let queue = VecDeque::new();
        Self { queue, messages: 0, limit, overflow, alarm, peak: 0, full: false, long: false }
    }

    /// Queues a message, beside `elsewhere` messages that were taken out of the queue and are not handled yet.
    pub(crate) fn push(&mut self, message: M, elsewhere: usize) -> Pushed<M> {
        self.push_as(message, elsewhere, Item::Message)
    }

    /// Queues a message as `item` makes it one.
    #[inline]
    pub(crate) fn push_as(
        &mut self,
        message: M,
        elsewhere: usize,
        item: impl FnOnce(M) -> Item<M>,
    ) -> Pushed<M> {
        if self.is_full(elsewhere) {
            let first = !std::mem::replace(&mut self.full, true);
            let overflow = self.overflow;
            let message = match overflow {
                Overflow::DropOldest => self.replace_oldest(message, item),
                Overflow::Reject | Overflow::Block | Overflow::DropNewest | Overflow::Exit => message,
            };
            return Pushed::Full { message, overflow, first };
        }
        self.full = false;
        Pushed::Queued { alarm: self.enqueue(item(message), elsewhere) }
    }

    /// Queues a message of the process to itself, whatever waits: it sends no more than it has things to do. True if the
    /// mailbox has just grown over its alarm.
    pub(crate) fn push_own(&mut self, message: M, elsewhere: usize) -> bool {
        self.enqueue(Item::Message(message), elsewhere)
    }

    #[inline]
    fn enqueue(&mut self, item: Item<M>, elsewhere: usize) -> bool {
        if self.long && self.waiting(elsewhere) <= self.alarm / 2 {
            self.long = false;
        }
        if self.queue.capacity() == 0 {
            // Most mailboxes never hold more than one message; a queue grows from nothing to four by itself.
            self.queue.reserve_exact(1);
        }
        self.queue.push_back(item);
        self.messages += 1;
        let len = self.waiting(elsewhere);
        self.peak = self.peak.max(len);
        let alarm = len >= self.alarm && !self.long;
        if alarm {
            self.long = true;
        }
        alarm
    }

    /// Queues a message and takes the oldest out; the message itself comes back if there is no other.
    fn replace_oldest(&mut self, message: M, item: impl FnOnce(M) -> Item<M>) -> M {
        let oldest = self.queue.iter().position(Item::is_message);
        match oldest.and_then(|at| self.queue.remove(at)) {
            Some(Item::Message(oldest)) => {
                self.queue.push_back(item(message));
                oldest
            }
            Some(Item::Letter(oldest)) => {
                self.queue.push_back(item(message));
                oldest.message
            }
            Some(Item::Info(_) | Item::Stop(_) | Item::Ask(_)) | None => message,
        }
    }

    /// Whether a message would find no room now.
    pub(crate) fn is_full(&self, elsewhere: usize) -> bool {
        self.waiting(elsewhere) >= self.limit
    }

    /// Whether a sender that can wait has to.
    pub(crate) fn must_wait(&self, elsewhere: usize) -> bool {
        self.overflow == Overflow::Block && self.is_full(elsewhere)
    }

    /// Whether those who wait for room should try again: at half of the limit, so that they do not for each message.
    pub(crate) fn has_room_again(&self, elsewhere: usize) -> bool {
        self.waiting(elsewhere) <= self.limit / 2
    }

    /// Queues what a former incarnation has left, past the limit: it was within that one's.
    pub(crate) fn inherit(&mut self, letters: impl Iterator<Item = Box<Letter<M>>>) {
        let before = self.queue.len();
        self.queue.extend(letters.map(Item::Letter));
        self.messages += (self.queue.len() - before) as u32;
        self.peak = self.peak.max(self.messages);
    }

    /// Queues a signal: never refused, since the process itself asked for it by a link or a monitor.
    pub(crate) fn push_info(&mut self, info: Info) {
        self.queue.push_back(Item::Info(Box::new(info)));
    }

    /// Queues a request to stop: never refused, since a full mailbox is a good reason to ask.
    pub(crate) fn push_stop(&mut self, reason: ExitReason) {
        self.queue.push_back(Item::Stop(Box::new(reason)));
    }

    /// Queues a request to show the state: never refused, since how many there are is limited elsewhere.
    pub(crate) fn push_ask(&mut self, ask: Ask) {
        self.queue.push_back(Item::Ask(Box::new(ask)));
    }

    /// Whether so much waits that it is worth taking out in one go. Where the oldest message gives way to a new one, the
    /// oldest has to be here.
    pub(super) fn is_worth_a_batch(&self) -> bool {
        self.queue.len() >= BATCH_MIN && self.overflow != Overflow::DropOldest
    }

    /// Whether nothing is here, no memory to be given back either.
    #[inline]
    pub(super) fn is_idle(&self) -> bool {
        self.queue.is_empty() && self.queue.capacity() <= KEEP_CAPACITY_MAX
    }

    /// Puts all that waits aside.
    pub(super) fn take_batch(&mut self, aside: &mut Aside<M>) {
        aside.exchange_batch(&mut self.queue, std::mem::take(&mut self.messages) as usize);
    }

    /// Takes back, before all that waits, what was put aside and not handled.
    pub(super) fn give_back(&mut self, aside: Aside<M>) {
        self.messages += aside.give_back(&mut self.queue) as u32;
    }

    pub(crate) fn pop(&mut self) -> Option<Item<M>> {
        let item = self.queue.pop_front();
        match &item {
            Some(Item::Message(_) | Item::Letter(_)) => self.messages -= 1,
            Some(Item::Info(_) | Item::Stop(_) | Item::Ask(_)) => {}
            None if self.queue.capacity() > KEEP_CAPACITY_MAX => self.queue = VecDeque::new(),
            None => {}
        }
        item
    }

    /// Removes the `Down` of a monitor (a demonitor with flush).
    pub(crate) fn flush_down(&mut self, reference: Ref) {
        self.queue.retain(|item| !item.is_down_of(reference));
    }

    /// How many messages wait; signals not counted.
    pub(crate) fn len(&self) -> usize {
        self.messages as usize
    }

    fn waiting(&self, elsewhere: usize) -> u32 {
        self.messages.saturating_add(elsewhere as u32)
    }

    /// The most messages that ever waited.
    pub(crate) fn peak(&self) -> usize {
        self.peak as usize
    }

    pub(crate) fn limit(&self) -> usize {
        self.limit as usize
    }

    pub(crate) fn overflow(&self) -> Overflow {
        self.overflow
    }

    /// Gives the memory of an empty queue back.
    pub(crate) fn shrink(&mut self) {
        self.queue.shrink_to_fit();
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

    fn mailbox<M>(limit: usize, overflow: Overflow) -> Mailbox<M> {
        Mailbox::new(limit, overflow, usize::MAX)
    }

    fn queued<M>(pushed: Pushed<M>) -> bool {
        matches!(pushed, Pushed::Queued { .. })
    }

    fn contents<M>(mailbox: &mut Mailbox<M>) -> Vec<M> {
        let items = std::iter::from_fn(|| mailbox.pop());
        items
            .filter_map(|item| if let Item::Message(message) = item { Some(message) } else { None })
            .collect()
    }

    #[test]
    fn every_policy_at_the_limit() {
        let table = [
            (Overflow::Reject, 3, vec![1, 2]),
            (Overflow::Block, 3, vec![1, 2]),
            (Overflow::DropNewest, 3, vec![1, 2]),
            (Overflow::DropOldest, 1, vec![2, 3]),
            (Overflow::Exit, 3, vec![1, 2]),
        ];
        for (policy, victim, left) in table {
            let mut mailbox = mailbox(2, policy);
            assert!(queued(mailbox.push(1, 0)));
            mailbox.push_info(exit());
            assert!(queued(mailbox.push(2, 0)));
            let Pushed::Full { message, overflow, first: true } = mailbox.push(3, 0) else {
                panic!("{policy:?}")
            };
            assert_eq!((message, overflow), (victim, policy));
            assert!(matches!(mailbox.push(4, 0), Pushed::Full { first: false, .. }), "{policy:?}");
            if policy != Overflow::DropOldest {
                assert_eq!(contents(&mut mailbox), left, "{policy:?}");
            }
        }
    }

    #[test]
    fn room_in_between_makes_it_news_again() {
        let mut mailbox = mailbox(2, Overflow::Reject);
        assert!(queued(mailbox.push(1, 0)) && queued(mailbox.push(2, 0)));
        assert!(matches!(mailbox.push(3, 0), Pushed::Full { first: true, .. }));
        assert!(matches!(mailbox.pop(), Some(Item::Message(1))));
        assert!(queued(mailbox.push(5, 0)));
        assert!(matches!(mailbox.push(6, 0), Pushed::Full { first: true, .. }));
        assert_eq!((mailbox.len(), mailbox.peak()), (2, 2));
    }

    #[test]
    fn messages_that_are_kept_elsewhere_count() {
        let mut mailbox = mailbox(3, Overflow::Reject);
        assert!(queued(mailbox.push(1, 2)));
        assert!(!queued(mailbox.push(2, 2)));
        assert!(queued(mailbox.push(2, 1)));
    }

    #[test]
    fn the_oldest_is_the_new_one_where_all_others_are_kept_elsewhere() {
        let mut mailbox = mailbox(1, Overflow::DropOldest);
        assert!(matches!(mailbox.push(7, 1), Pushed::Full { message: 7, .. }));
    }

    #[test]
    fn the_alarm_rings_once_until_half_is_worked_off() {
        let mut mailbox = Mailbox::new(100, Overflow::Reject, 4);
        let rings = |mailbox: &mut Mailbox<u8>| matches!(mailbox.push(0, 0), Pushed::Queued { alarm: true });
        let rung: Vec<bool> = (0..6).map(|_| rings(&mut mailbox)).collect();
        assert_eq!(rung, [false, false, false, true, false, false]);
        for _ in 0..3 {
            mailbox.pop();
        }
        assert!(!rings(&mut mailbox), "three of four wait: still the same alarm");
        for _ in 0..2 {
            mailbox.pop();
        }
        assert!(!rings(&mut mailbox));
        assert!(rings(&mut mailbox), "half was worked off: a new one");
    }

    #[test]
    fn signals_keep_their_place_and_need_no_room() {
        let mut mailbox = mailbox(1, Overflow::Reject);
        assert!(queued(mailbox.push("a", 0)));
        mailbox.push_info(exit());
        assert!(matches!(mailbox.pop(), Some(Item::Message("a"))));
        assert!(queued(mailbox.push("b", 0)));
        assert!(matches!(mailbox.pop(), Some(Item::Info(_))));
        assert!(matches!(mailbox.pop(), Some(Item::Message("b"))));
        assert!(mailbox.pop().is_none());
    }

    #[test]
    fn gives_the_memory_of_a_burst_back() {
        let mut mailbox = mailbox(10_000, Overflow::Reject);
        for n in 0..10_000 {
            assert!(queued(mailbox.push(n, 0)));
        }
        while mailbox.pop().is_some() {}
        assert_eq!(mailbox.queue.capacity(), 0);
    }
}
