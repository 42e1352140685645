//! What shards tell each other, and its bytes.
//!
//! A message is read by nodes of other versions and may come from a stranger: decoding takes no more memory than the
//! bytes have, checks each meta, and never panics.
//!
//! Pure: bytes in, values out.

mod read;
mod write;

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use heronry::node::NodeId;

use crate::clock::Interval;
use crate::delta::{Change, Delta};
use crate::entry::{Dot, Entry, Origin};
use read::Reader;
use write::Writer;

/// The first byte of each message. Another one is another format, which is not read.
const FORMAT: u8 = 1;

/// What an owner tells of its entries, and what others ask of it.
#[derive(Clone, Debug)]
pub(crate) enum Message {
    /// I live, and so far has my clock come. To all.
    Beat { generation: u64, latest: u64 },
    /// This has changed. To all, or in reply to an ask.
    Delta { generation: u64, latest: u64, reply: bool, delta: Delta },
    /// These are some of my entries as they were at `stamp`; with the last part it is all of them.
    Part { generation: u64, latest: u64, part: Part },
    /// I know this much of you: tell me the rest.
    Ask { generation: u64, have: u64, resume: Option<Resume> },
    /// I end, and so do my entries. To all.
    Bye { generation: u64 },
}

/// A part of a snapshot: the entries of which the ids are beyond `after`, in order, as many as fit.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    pub(crate) stamp: u64,
    pub(crate) after: u64,
    pub(crate) last: bool,
    pub(crate) entries: Vec<Arc<Entry>>,
}

/// Where a snapshot goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Resume {
    pub(crate) stamp: u64,
    pub(crate) after: u64,
}

/// Whose shard this is: both sides have to agree on it, since a topic's shard is a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Home {
    /// A hash of the tracker's name.
    pub(crate) tracker: u64,
    /// How many shards it has.
    pub(crate) shards: u16,
    /// Which one of them this is.
    pub(crate) shard: u16,
}

/// Bytes that are no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MessageError {
    /// Of a format that this version does not know.
    Format,
    /// Of another tracker, or of one that has another number of shards there.
    Home,
    /// They end early, go on too long or make no sense.
    Malformed,
}

impl Message {
    /// Which life of the owner it is of.
    pub(crate) fn generation(&self) -> u64 {
        match self {
            Self::Beat { generation, .. }
            | Self::Delta { generation, .. }
            | Self::Part { generation, .. }
            | Self::Ask { generation, .. }
            | Self::Bye { generation } => *generation,
        }
    }

    pub(crate) fn encode(&self, home: Home) -> Bytes {
        let mut writer = Writer::default();
        writer.byte(FORMAT);
        writer.fixed(home.tracker);
        writer.number(home.shards.into());
        writer.number(home.shard.into());
        match self {
            Self::Beat { generation, latest } => writer.head(0, &[*generation, *latest]),
            Self::Delta { generation, latest, reply, delta } => {
                let Interval { from, to } = delta.interval;
                writer.head(1, &[*generation, *latest, u64::from(*reply), from, to]);
                writer.number(delta.changes.len() as u64);
                for change in &delta.changes {
                    match change {
                        Change::Remove(id) => writer.head(0, &[*id]),
                        Change::Add { entry, replaces } => {
                            writer.head(1, &[replaces.unwrap_or(0)]);
                            writer.entry(entry);
                        }
                    }
                }
            }
            Self::Part { generation, latest, part: Part { stamp, after, last, entries } } => {
                writer.head(2, &[*generation, *latest, *stamp, *after, u64::from(*last)]);
                writer.number(entries.len() as u64);
                entries.iter().for_each(|entry| writer.entry(entry));
            }
            Self::Ask { generation, have, resume } => {
                let Resume { stamp, after } = resume.unwrap_or(Resume { stamp: 0, after: 0 });
                writer.head(3, &[*generation, *have, u64::from(resume.is_some()), stamp, after]);
            }
            Self::Bye { generation } => writer.head(4, &[*generation]),
        }
        writer.finish()
    }

    /// Reads a message of that node.
    pub(crate) fn decode(bytes: &[u8], from: &NodeId, home: Home) -> Result<Self, MessageError> {
        let mut reader = Reader::new(bytes);
        let malformed = MessageError::Malformed;
        if reader.byte().ok_or(malformed)? != FORMAT {
            return Err(MessageError::Format);
        }
        let sent = reader.fixed().zip(reader.number()).zip(reader.number()).ok_or(malformed)?;
        if sent != ((home.tracker, home.shards.into()), home.shard.into()) {
            return Err(MessageError::Home);
        }
        let message = Self::body(&mut reader, |generation| Origin::new(from, generation, home.shard));
        message.filter(|_| reader.is_empty()).ok_or(malformed)
    }

    fn body(reader: &mut Reader<'_>, origin: impl Fn(u64) -> Origin) -> Option<Self> {
        let (kind, generation) = (reader.byte()?, reader.number()?);
        let origin = origin(generation);
        Some(match kind {
            0 => Self::Beat { generation, latest: reader.number()? },
            1 => {
                let (latest, reply) = (reader.number()?, reader.flag()?);
                let interval = Interval { from: reader.number()?, to: reader.number()? };
                let changes = reader.list(|reader| {
                    Some(match reader.byte()? {
                        0 => Change::Remove(reader.number()?),
                        1 => {
                            let replaces = Some(reader.number()?).filter(|id| *id > 0);
                            Change::Add { entry: reader.entry(origin)?, replaces }
                        }
                        _ => return None,
                    })
                })?;
                Self::Delta { generation, latest, reply, delta: Delta { interval, changes } }
            }
            2 => {
                let (latest, stamp, after) = (reader.number()?, reader.number()?, reader.number()?);
                let last = reader.flag()?;
                let entries = reader.list(|reader| reader.entry(origin))?;
                Self::Part { generation, latest, part: Part { stamp, after, last, entries } }
            }
            3 => {
                let (have, resumes) = (reader.number()?, reader.flag()?);
                let resume = Resume { stamp: reader.number()?, after: reader.number()? };
                Self::Ask { generation, have, resume: resumes.then_some(resume) }
            }
            4 => Self::Bye { generation },
            _ => return None,
        })
    }
}

impl Reader<'_> {
    fn entry(&mut self, origin: Origin) -> Option<Arc<Entry>> {
        let (id, prev) = (self.number()?, self.number()?);
        let topic = self.topic()?;
        let (key, meta) = (self.text()?, self.meta()?);
        let dot = Dot { origin, id };
        Some(Arc::new(Entry::new(dot, Some(prev).filter(|id| *id > 0), topic, key.into(), &meta)))
    }
}

impl Writer {
    fn entry(&mut self, entry: &Entry) {
        self.number(entry.dot().id);
        self.number(entry.prev().unwrap_or(0));
        self.topic(entry.shared_topic());
        self.text(&[entry.key()]);
        self.text(&[entry.open_meta(), "}"]);
    }
}

impl fmt::Display for MessageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Format => "it is of a format that this version does not know",
            Self::Home => {
                "the tracker of that name has another number of shards there; set the same on all nodes"
            }
            Self::Malformed => "its bytes make no sense",
        })
    }
}

#[cfg(test)]
mod tests;
