//! Heartbeats: what a node says of itself.
//!
//! `[kind u8][age u64, in milliseconds]`
//!
//! Pure: no clock; an age comes in.

use std::time::Duration;

const ALIVE: u8 = 1;
const LEAVE: u8 = 2;

/// What a heartbeat says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Beat {
    /// The node lives, for so long already, on the clock that nobody sets.
    Alive { age: Duration },
    /// The node ends.
    Leave,
}

impl Beat {
    pub(super) fn encode(self) -> [u8; 9] {
        let (kind, age) = match self {
            Self::Alive { age } => (ALIVE, age),
            Self::Leave => (LEAVE, Duration::ZERO),
        };
        let mut bytes = [kind; 9];
        bytes[1..].copy_from_slice(&u64::try_from(age.as_millis()).unwrap_or(u64::MAX).to_be_bytes());
        bytes
    }

    /// `None` if it is no heartbeat. More than this version knows may follow.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let (kind, rest) = bytes.split_first()?;
        let (age, _) = rest.split_first_chunk()?;
        match *kind {
            ALIVE => Some(Self::Alive { age: Duration::from_millis(u64::from_be_bytes(*age)) }),
            LEAVE => Some(Self::Leave),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_heartbeat_is_read_as_it_was_written() {
        for beat in [Beat::Alive { age: Duration::from_millis(1_500) }, Beat::Leave] {
            assert_eq!(Beat::decode(&beat.encode()), Some(beat));
        }
        let golden = [1, 0, 0, 0, 0, 0, 0, 5, 220];
        assert_eq!(Beat::Alive { age: Duration::from_millis(1_500) }.encode(), golden);
        assert_eq!(Beat::decode(&[golden.as_slice(), b"later"].concat()), Beat::decode(&golden));
        for bytes in [&[][..], &[1], &[1, 0, 0, 0], &[3, 0, 0, 0, 0, 0, 0, 0, 0]] {
            assert_eq!(Beat::decode(bytes), None);
        }
    }
}
