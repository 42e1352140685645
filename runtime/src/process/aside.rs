//! What a process has taken out of its mailbox and not handled yet: what it told itself to do next, what selective
//! receives have passed over, and the rest of a batch.
//!
//! Pure: queues and a count. Most processes have none of it; it is made on first use and dropped when empty.

use std::collections::VecDeque;

use super::letter::{Letter, Place};
use super::mailbox::Item;
use crate::pid::Ref;

#[derive(Debug)]
pub(super) struct Aside<M> {
    /// What the process told itself to handle before anything else.
    continued: VecDeque<M>,
    /// What selective receives have passed over: older than the batch.
    passed_over: VecDeque<Item<M>>,
    /// What was taken out of the mailbox in one go: older than all that is in it now.
    batch: VecDeque<Item<M>>,
    /// A copy of the message that is being handled, if it would be redelivered.
    in_hand: Option<Box<Letter<M>>>,
    /// Messages in the three queues; they count for the mailbox's limit.
    messages: usize,
}

impl<M> Default for Aside<M> {
    fn default() -> Self {
        Self {
            continued: VecDeque::new(),
            passed_over: VecDeque::new(),
            batch: VecDeque::new(),
            in_hand: None,
            messages: 0,
        }
    }
}

impl<M> Aside<M> {
    /// Messages (not signals) that wait here.
    pub(super) fn messages(&self) -> usize {
        self.messages
    }

    /// What the process told itself to handle next.
    pub(super) fn next_continued(&mut self) -> Option<M> {
        let message = self.continued.pop_front()?;
        self.messages -= 1;
        Some(message)
    }

    /// The next, in order, of what was not taken in a batch.
    pub(super) fn next_passed_over(&mut self) -> Option<Item<M>> {
        match self.next_continued() {
            Some(message) => Some(Item::Message(message)),
            None => {
                let item = self.passed_over.pop_front();
                self.out(item)
            }
        }
    }

    /// The next that no selective receive has looked at.
    pub(super) fn next_of_batch(&mut self) -> Option<Item<M>> {
        let item = self.batch.pop_front();
        self.out(item)
    }

    /// The first that `wanted` takes among those that were passed over; the others stay in their order.
    pub(super) fn find<T>(&mut self, mut wanted: impl FnMut(Item<M>) -> Result<T, Item<M>>) -> Option<T> {
        for at in 0..self.passed_over.len() {
            let item = self.passed_over.pop_front()?;
            let messages = usize::from(item.is_message());
            match wanted(item) {
                Ok(found) => {
                    self.passed_over.rotate_right(at);
                    self.messages -= messages;
                    return Some(found);
                }
                Err(item) => self.passed_over.push_back(item),
            }
        }
        None
    }

    fn out(&mut self, item: Option<Item<M>>) -> Option<Item<M>> {
        self.messages -= usize::from(item.as_ref().is_some_and(Item::is_message));
        item
    }

    /// Keeps a copy of what is handled now, until that is done.
    pub(super) fn take_in_hand(&mut self, copy: Box<Letter<M>>) {
        self.in_hand = Some(copy);
    }

    /// What was in hand is done.
    pub(super) fn done(&mut self) {
        self.in_hand = None;
    }

    /// What was in hand was not: a signal ended the body.
    pub(super) fn cut_off(&mut self) {
        if let Some(letter) = &mut self.in_hand {
            letter.envelope.place = Place::CutOff;
        }
    }

    pub(super) fn continue_with(&mut self, message: M) {
        self.continued.push_back(message);
        self.messages += 1;
    }

    pub(super) fn pass_over(&mut self, item: Item<M>) {
        self.messages += usize::from(item.is_message());
        self.passed_over.push_back(item);
    }

    /// Exchanges the batch, which is empty, for a whole queue with this many messages.
    pub(super) fn exchange_batch(&mut self, queue: &mut VecDeque<Item<M>>, messages: usize) {
        debug_assert!(self.batch.is_empty(), "a batch is read to its end before the next is taken");
        std::mem::swap(&mut self.batch, queue);
        self.messages += messages;
    }

    /// Removes the `Down` of a monitor (a demonitor with flush).
    pub(super) fn flush_down(&mut self, reference: Ref) {
        for queue in [&mut self.passed_over, &mut self.batch] {
            queue.retain(|item| !item.is_down_of(reference));
        }
    }

    /// Whether nothing is here: then the memory is given back before the process waits.
    pub(super) fn is_empty(&self) -> bool {
        self.continued.is_empty()
            && self.passed_over.is_empty()
            && self.batch.is_empty()
            && self.in_hand.is_none()
    }

    /// Gives back memory that nothing is in.
    pub(super) fn shrink(&mut self) {
        self.continued.shrink_to_fit();
        self.passed_over.shrink_to_fit();
        self.batch.shrink_to_fit();
    }

    /// Puts everything before what a queue holds; says how many messages that is.
    pub(super) fn give_back(mut self, queue: &mut VecDeque<Item<M>>) -> usize {
        let in_hand = self.in_hand.take().map(Item::Letter);
        self.messages += usize::from(in_hand.is_some());
        let mut all: VecDeque<Item<M>> = in_hand.into_iter().collect();
        all.extend(self.continued.drain(..).map(Item::Message));
        all.append(&mut self.passed_over);
        all.append(&mut self.batch);
        all.append(queue);
        *queue = all;
        self.messages
    }
}
