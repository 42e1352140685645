//! What a payload is for: the part of the program, on all nodes, that speaks with its like on others.
//!
//! Pure: values and their bytes.

use crate::engine::{ShardId, Subject};

/// What a payload is for, and so which [`Subscriber`](super::Subscriber)s get it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Channel(Kind);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Kind {
    PubSub(ShardId),
    Tracker(u32, u16),
    Remote,
    Global,
    Groups,
}

/// How many bytes a channel has in front of a payload for one node.
pub(super) const CHANNEL_BYTES: usize = 7;

impl Channel {
    /// A shard of PubSub's topics.
    pub fn pubsub(shard: ShardId) -> Self {
        Self(Kind::PubSub(shard))
    }

    /// A shard of a tracker, by the tracker's number in the cluster's table of trackers.
    pub fn tracker(number: u32, shard: u16) -> Self {
        Self(Kind::Tracker(number, shard))
    }

    /// Of remote processes: between two nodes alone.
    pub(super) fn remote() -> Self {
        Self(Kind::Remote)
    }

    /// Of names of the cluster: between two nodes alone.
    pub(super) fn global() -> Self {
        Self(Kind::Global)
    }

    /// Of process groups: between two nodes alone.
    pub(super) fn groups() -> Self {
        Self(Kind::Groups)
    }

    /// Where it is published for all; `None` if nothing is.
    pub(super) fn subject(self) -> Option<Subject> {
        match self.0 {
            Kind::PubSub(shard) => Some(Subject::PubSub(shard)),
            Kind::Tracker(number, shard) => Some(Subject::Tracker(number, shard)),
            Kind::Remote | Kind::Global | Kind::Groups => None,
        }
    }

    /// What is published there; `None` for what belongs to the node itself.
    pub(super) fn of(subject: &Subject) -> Option<Self> {
        match subject {
            Subject::PubSub(shard) => Some(Self::pubsub(*shard)),
            Subject::Tracker(number, shard) => Some(Self::tracker(*number, *shard)),
            Subject::Heartbeats | Subject::Inbox(..) => None,
        }
    }

    pub(super) fn encode(self) -> [u8; CHANNEL_BYTES] {
        let (kind, number, shard) = match self.0 {
            Kind::PubSub(shard) => (0, 0, shard.get()),
            Kind::Tracker(number, shard) => (1, number, shard),
            Kind::Remote => (2, 0, 0),
            Kind::Global => (3, 0, 0),
            Kind::Groups => (4, 0, 0),
        };
        let ([a, b, c, d], [e, f]) = (u32::to_be_bytes(number), u16::to_be_bytes(shard));
        [kind, a, b, c, d, e, f]
    }

    pub(super) fn decode(bytes: [u8; CHANNEL_BYTES]) -> Option<Self> {
        let [kind, a, b, c, d, e, f] = bytes;
        let (number, shard) = (u32::from_be_bytes([a, b, c, d]), u16::from_be_bytes([e, f]));
        match (kind, number) {
            (0, 0) => ShardId::new(shard).map(Self::pubsub),
            (1, _) => Some(Self::tracker(number, shard)),
            (2, 0) if shard == 0 => Some(Self::remote()),
            (3, 0) if shard == 0 => Some(Self::global()),
            (4, 0) if shard == 0 => Some(Self::groups()),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_channel_is_read_as_it_was_written() {
        let shard = ShardId::new(1023).unwrap();
        for channel in
            [Channel::pubsub(shard), Channel::tracker(7, 300), Channel::tracker(u32::MAX, u16::MAX)]
        {
            assert_eq!(Channel::decode(channel.encode()), Some(channel));
            assert_eq!(Channel::of(&channel.subject().unwrap()), Some(channel));
        }
        for channel in [Channel::remote(), Channel::global(), Channel::groups()] {
            assert_eq!(Channel::decode(channel.encode()), Some(channel));
            assert_eq!(channel.subject(), None);
        }
        for bytes in [
            [9; 7],
            [0, 0, 0, 0, 1, 0, 0],
            [0, 0, 0, 0, 0, 4, 0],
            [2, 0, 0, 0, 0, 0, 1],
            [3, 0, 0, 0, 1, 0, 0],
        ] {
            assert_eq!(Channel::decode(bytes), None);
        }
    }
}
