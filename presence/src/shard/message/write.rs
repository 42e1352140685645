//! Values to bytes.
//!
//! Pure: a buffer.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;

#[derive(Default)]
pub(super) struct Writer {
    bytes: Vec<u8>,
    /// Topics that were written, by their number: each is written once.
    topics: HashMap<Arc<str>, u64>,
}

impl Writer {
    pub(super) fn byte(&mut self, byte: u8) {
        self.bytes.push(byte);
    }

    pub(super) fn fixed(&mut self, number: u64) {
        self.bytes.extend_from_slice(&number.to_le_bytes());
    }

    /// Seven bits a byte, the lowest first, as LEB128.
    pub(super) fn number(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.bytes.push((number & 0x7f) as u8 | 0x80);
            number >>= 7;
        }
        self.bytes.push(number as u8);
    }

    pub(super) fn head(&mut self, kind: u8, numbers: &[u64]) {
        self.byte(kind);
        numbers.iter().for_each(|number| self.number(*number));
    }

    /// A text given in pieces.
    pub(super) fn text(&mut self, pieces: &[&str]) {
        self.number(pieces.iter().map(|piece| piece.len() as u64).sum());
        pieces.iter().for_each(|piece| self.bytes.extend_from_slice(piece.as_bytes()));
    }

    /// The number of a topic; the next number that there is says that its text follows.
    pub(super) fn topic(&mut self, topic: &Arc<str>) {
        let next = self.topics.len() as u64;
        match self.topics.get(topic) {
            Some(number) => self.number(*number),
            None => {
                self.topics.insert(topic.clone(), next);
                self.number(next);
                self.text(&[topic]);
            }
        }
    }

    pub(super) fn finish(self) -> Bytes {
        self.bytes.into()
    }
}
