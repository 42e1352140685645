//! What leaves this node: numbered for each subject, signed, in parts where it is large.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::frame::{self, Part};
use super::mac::Mac;
use super::parts::{MESSAGE_BYTES_MAX, PART_BYTES};
use crate::clock::{self, Instant};
use crate::engine::{Engine, PublishError, Subject};
use crate::node::NodeId;
use crate::sync::{Mutex, RwLock};

pub(super) struct Outbound {
    own: NodeId,
    mac: Option<Mac>,
    started: Instant,
    /// How many bytes of a payload go into one frame.
    part: usize,
    streams: RwLock<HashMap<Subject, Arc<Mutex<Stream>>>>,
}

/// What this node has sent on one subject.
struct Stream {
    next: u64,
    last: Option<Instant>,
}

impl Outbound {
    pub(super) fn new(own: NodeId, mac: Option<Mac>, max_payload: usize, started: Instant) -> Self {
        let part = PART_BYTES.min(max_payload - frame::overhead(&own, mac.as_ref()));
        Self { own, mac, started, part, streams: RwLock::default() }
    }

    /// Gives `prefix` and `payload` to the engine as one message. A message of which not all was taken reaches nobody.
    pub(super) fn publish(
        &self,
        engine: &dyn Engine,
        subject: &Subject,
        prefix: &[u8],
        payload: &[u8],
    ) -> Result<(), PublishError> {
        let total = prefix.len() + payload.len();
        if total > MESSAGE_BYTES_MAX {
            return Err(PublishError::TooLarge { bytes: total, limit: MESSAGE_BYTES_MAX });
        }
        let stream = self.stream(subject);
        // Held while the engine takes the frames: their numbers must be in the order in which they leave, and the parts of a
        // message next to each other. An engine never waits.
        let mut stream = stream.lock();
        if total <= self.part {
            return self.frame(engine, subject, &mut stream, Part::Whole, (prefix, payload));
        }
        let total = u32::try_from(total).expect("invariant: the limit of a message is below 4 GiB");
        let (first, mut rest) = payload.split_at(self.part - prefix.len());
        self.frame(engine, subject, &mut stream, Part::First(total), (prefix, first))?;
        while rest.len() > self.part {
            let (middle, more) = rest.split_at(self.part);
            self.frame(engine, subject, &mut stream, Part::Middle, (&[], middle))?;
            rest = more;
        }
        self.frame(engine, subject, &mut stream, Part::Last, (&[], rest))
    }

    fn frame(
        &self,
        engine: &dyn Engine,
        subject: &Subject,
        stream: &mut Stream,
        part: Part,
        body: (&[u8], &[u8]),
    ) -> Result<(), PublishError> {
        let now = clock::now();
        let quiet = stream.last.map_or(Duration::MAX, |last| now.saturating_duration_since(last));
        let place = (stream.next, quiet, part);
        let frame: Bytes = frame::encode(subject, &self.own, place, body, self.mac.as_ref());
        engine.publish(subject, frame)?;
        // A frame that was not taken leaves its number to the next.
        stream.next += 1;
        stream.last = Some(now);
        Ok(())
    }

    fn stream(&self, subject: &Subject) -> Arc<Mutex<Stream>> {
        if let Some(stream) = self.streams.read().get(subject) {
            return stream.clone();
        }
        let new = || {
            // A stream that was forgotten and begins again has higher numbers than before, as long as less than one frame a
            // microsecond is sent.
            let micros = clock::now().saturating_duration_since(self.started).as_micros();
            let next = u64::try_from(micros).unwrap_or(u64::MAX / 2).saturating_add(1);
            Arc::new(Mutex::new(Stream { next, last: None }))
        };
        self.streams.write().entry(subject.clone()).or_insert_with(new).clone()
    }

    /// Forgets what was sent to a node alone.
    pub(super) fn forget(&self, node: &NodeId) {
        self.streams.write().retain(|subject, _| match subject {
            Subject::Inbox(to, _) => to != node,
            Subject::PubSub(_) | Subject::Heartbeats | Subject::Tracker(..) => true,
        });
    }
}
