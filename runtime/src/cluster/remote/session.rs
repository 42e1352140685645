//! Sessions: what two nodes say to each other from life to life, all of it and in order, or else the session is lost for both.
//!
//! Erlang's processes rest on a connection: signals from one node to another arrive in order, and if one could not, the connection
//! is gone and both sides know. An engine gives no such thing. A session makes it: what is sent is kept until the other side has
//! it, and sent again; and each side has an **epoch**, a number that grows whenever it begins anew, so that each sees
//! that the other did.
//!
//! `[kind u8][epoch of the sender u64][epoch of the receiver u64, 0 if unknown][ack u64][seq u64][body]`. An ack is the
//! number of the next message that is expected.
//!
//! Pure: packets and the time come in, and what is to be done comes out.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};

use crate::clock::Instant;

/// How many messages to one node wait for its word that it has them; beyond that, more are refused.
pub const SESSION_MESSAGES_MAX: usize = 16_384;

/// How many bytes they may have.
pub const SESSION_BYTES_MAX: usize = 64 * 1024 * 1024;

/// After which time without an answer something is sent again.
pub(super) const RETRY: Duration = Duration::from_millis(500);

/// How many messages are under way at once; as more is known to have arrived, more are sent.
const WINDOW_MESSAGES: u64 = 1_024;

/// How many are sent again at once, where something was lost.
const RETRY_MESSAGES: u64 = 64;

/// How long the word that something has arrived may wait for something else to say.
const ACK_TIME: Duration = Duration::from_millis(20);

/// How many messages may arrive without that word.
const ACK_MESSAGES: u32 = 64;

const HEAD_BYTES: usize = 33;

/// What a packet is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// It says where its sender stands.
    Ack,
    /// So too, and that something after it is missing.
    Nack,
    /// It has a message.
    Message,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// Send this packet.
    Send(Bytes),
    /// This message has arrived.
    Deliver(Bytes),
    /// The other side has begun anew: what was under way, and all that rests on it, is lost.
    Lost,
}

/// More was to be sent than may wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Full;

/// One side of the conversation with one node.
#[derive(Debug)]
pub(super) struct Session {
    own: u64,
    /// The other side's epoch, once it has said something.
    peer: Option<u64>,
    /// Messages that the other side may not have.
    waiting: VecDeque<Bytes>,
    bytes: usize,
    /// The number of the first of them.
    first: u64,
    /// The number of the first that was not sent, or is to be sent again.
    unsent: u64,
    /// When something was sent last that asks for an answer.
    asked: Option<Instant>,
    /// The number of the next message from there.
    expected: u64,
    is_missing: bool,
    unsaid: u32,
    ack_due: Option<Instant>,
}

impl Session {
    /// Begins a session in this epoch, larger than any before: says hello.
    pub(super) fn begin(epoch: u64, now: Instant, out: &mut Vec<Action>) -> Self {
        let mut session = Self {
            own: epoch,
            peer: None,
            waiting: VecDeque::new(),
            bytes: 0,
            first: 1,
            unsent: 1,
            asked: None,
            expected: 1,
            is_missing: false,
            unsaid: 0,
            ack_due: None,
        };
        session.asked = Some(now);
        session.say(Kind::Ack, 0, &[], out);
        session
    }

    /// Sends a message.
    pub(super) fn push(&mut self, message: Bytes, now: Instant, out: &mut Vec<Action>) -> Result<(), Full> {
        if self.waiting.len() >= SESSION_MESSAGES_MAX || self.bytes + message.len() > SESSION_BYTES_MAX {
            return Err(Full);
        }
        self.bytes += message.len();
        self.waiting.push_back(message);
        if self.peer.is_some() {
            self.asked.get_or_insert(now);
            // Behind what is to be sent again it waits for its turn.
            if self.unsent + 1 == self.first + self.waiting.len() as u64 {
                self.pump(WINDOW_MESSAGES, out);
            }
        }
        Ok(())
    }

    /// Takes a packet; one that is none is passed over.
    pub(super) fn receive(&mut self, packet: &Bytes, now: Instant, out: &mut Vec<Action>) {
        let Some((kind, [from, to, ack, seq])) = parse(packet) else { return };
        let is_new = match self.peer {
            Some(known) if from < known => return,
            Some(known) if from == known => false,
            Some(_) => {
                out.push(Action::Lost);
                self.forget();
                true
            }
            None => true,
        };
        self.peer = Some(from);
        if to == self.own {
            self.acked(ack, now, out);
            match kind {
                Kind::Ack => {}
                Kind::Nack => self.retry(now, out),
                Kind::Message => self.message(seq, packet.slice(HEAD_BYTES..), now, out),
            }
        } else {
            // It does not know this side, or the one before.
            self.say(Kind::Ack, 0, &[], out);
        }
        if is_new {
            self.asked = None;
            self.retry(now, out);
        }
    }

    /// The other side has begun anew.
    fn forget(&mut self) {
        self.waiting.clear();
        self.bytes = 0;
        self.first = 1;
        self.unsent = 1;
        self.asked = None;
        self.expected = 1;
        self.is_missing = false;
        self.unsaid = 0;
        self.ack_due = None;
    }

    fn acked(&mut self, ack: u64, now: Instant, out: &mut Vec<Action>) {
        // More than was sent is nonsense.
        if ack <= self.first || ack - self.first > self.waiting.len() as u64 {
            return;
        }
        while self.first < ack {
            if let Some(message) = self.waiting.pop_front() {
                self.bytes -= message.len();
            }
            self.first += 1;
        }
        self.unsent = self.unsent.max(self.first);
        self.asked = (!self.waiting.is_empty()).then_some(now);
        self.pump(WINDOW_MESSAGES, out);
    }

    fn message(&mut self, seq: u64, body: Bytes, now: Instant, out: &mut Vec<Action>) {
        if seq > self.expected {
            // Said once: what is sent again begins with what is missing.
            if !std::mem::replace(&mut self.is_missing, true) {
                self.say(Kind::Nack, 0, &[], out);
            }
            return;
        }
        if seq == self.expected {
            self.expected += 1;
            self.is_missing = false;
            out.push(Action::Deliver(body));
        }
        self.unsaid += 1;
        self.ack_due.get_or_insert(now + ACK_TIME);
        if self.unsaid >= ACK_MESSAGES {
            self.say(Kind::Ack, 0, &[], out);
        }
    }

    /// Does what the time asks for.
    pub(super) fn tick(&mut self, now: Instant, out: &mut Vec<Action>) {
        if self.ack_due.is_some_and(|due| due <= now) {
            self.say(Kind::Ack, 0, &[], out);
        }
        if self.asked.is_some_and(|asked| asked + RETRY <= now) {
            // What was said to be missing may be so once more.
            self.retry(now, out);
        }
    }

    /// When that is.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let retry = self.asked.map(|asked| asked + RETRY);
        [retry, self.ack_due].into_iter().flatten().min()
    }

    /// Sends the first messages that the other side may not have; or a hello, if it has not been heard.
    fn retry(&mut self, now: Instant, out: &mut Vec<Action>) {
        if self.peer.is_none() {
            self.asked = Some(now);
            return self.say(Kind::Ack, 0, &[], out);
        }
        self.asked = (!self.waiting.is_empty()).then_some(now);
        self.unsent = self.first;
        self.pump(RETRY_MESSAGES, out);
    }

    /// Sends what was not sent, as long as no more than that is under way.
    fn pump(&mut self, window: u64, out: &mut Vec<Action>) {
        let end = self.first + (self.waiting.len() as u64).min(window);
        while self.unsent < end {
            let at =
                usize::try_from(self.unsent - self.first).expect("invariant: fewer wait than fit in memory");
            let (seq, body) = (self.unsent, self.waiting[at].clone());
            self.say(Kind::Message, seq, &body, out);
            self.unsent += 1;
        }
    }

    fn say(&mut self, kind: Kind, seq: u64, body: &[u8], out: &mut Vec<Action>) {
        let mut packet = BytesMut::with_capacity(HEAD_BYTES + body.len());
        packet.put_u8(match kind {
            Kind::Ack => 0,
            Kind::Nack => 1,
            Kind::Message => 2,
        });
        for number in [self.own, self.peer.unwrap_or(0), self.expected, seq] {
            packet.put_u64(number);
        }
        packet.put_slice(body);
        out.push(Action::Send(packet.freeze()));
        // Each packet says what has arrived.
        self.unsaid = 0;
        self.ack_due = None;
    }
}

fn parse(packet: &[u8]) -> Option<(Kind, [u64; 4])> {
    let kind = match packet.first()? {
        0 => Kind::Ack,
        1 => Kind::Nack,
        2 => Kind::Message,
        _ => return None,
    };
    let mut numbers = [0; 4];
    let head = packet.get(1..HEAD_BYTES)?;
    for (number, bytes) in numbers.iter_mut().zip(head.chunks_exact(8)) {
        *number = u64::from_be_bytes(bytes.try_into().ok()?);
    }
    // Epochs begin at one.
    (numbers[0] > 0).then_some((kind, numbers))
}

#[cfg(test)]
mod tests;
