//! The signatures of frames: who does not know the key can neither make a frame nor move one to another subject.
//!
//! HMAC-SHA256 over the subject and the frame. It says that a node of the cluster made the frame; what keeps others from
//! reading it is the engine's TLS.
//!
//! Pure: keys and bytes.

use std::fmt;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use crate::engine::{Lane, Subject};

/// How many bytes a signature has.
pub(super) const TAG_BYTES: usize = 32;

/// The shortest key, in bytes: what SHA-256 can make use of.
pub const MAC_KEY_BYTES_MIN: usize = 32;

/// A key that the frames of a cluster are signed with. Use another one for each cluster that shares an engine.
#[derive(Clone)]
pub struct MacKey(Hmac<Sha256>);

/// A key with this many bytes, fewer than [`MAC_KEY_BYTES_MIN`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MacKeyTooShort(pub usize);

/// The keys of a node: it signs with the first and takes what is signed with any.
#[derive(Clone, Debug)]
pub(super) struct Mac {
    sign: MacKey,
    old: Option<MacKey>,
}

impl MacKey {
    /// A key of these bytes, which should be random.
    ///
    /// # Errors
    /// [`MacKeyTooShort`] if they are fewer than [`MAC_KEY_BYTES_MIN`].
    pub fn new(bytes: &[u8]) -> Result<Self, MacKeyTooShort> {
        let too_short = MacKeyTooShort(bytes.len());
        if bytes.len() < MAC_KEY_BYTES_MIN {
            return Err(too_short);
        }
        Hmac::new_from_slice(bytes).map(Self).map_err(|_| too_short)
    }

    /// The computation up to the frame. Each part has a fixed length or is preceded by it, so that no two pairs of a
    /// subject and a frame are signed as the same bytes.
    fn begin(&self, subject: &Subject) -> Hmac<Sha256> {
        let mac = self.0.clone();
        match subject {
            Subject::PubSub(shard) => mac.chain_update([0]).chain_update(shard.get().to_be_bytes()),
            Subject::Heartbeats => mac.chain_update([1]),
            Subject::Tracker(number, shard) => {
                mac.chain_update([2]).chain_update(number.to_be_bytes()).chain_update(shard.to_be_bytes())
            }
            Subject::Inbox(node, lane) => {
                let name = node.name().as_str();
                let lane = match lane {
                    Lane::Control => 0,
                    Lane::Data => 1,
                };
                let len = u8::try_from(name.len()).expect("invariant: a name is at most 64 bytes");
                mac.chain_update([3, lane, len])
                    .chain_update(name)
                    .chain_update(node.incarnation().get().to_be_bytes())
            }
        }
    }
}

impl Mac {
    pub(super) fn new(sign: MacKey, old: Option<MacKey>) -> Self {
        Self { sign, old }
    }

    pub(super) fn sign(&self, subject: &Subject, frame: &[u8]) -> [u8; TAG_BYTES] {
        self.sign.begin(subject).chain_update(frame).finalize().into_bytes().into()
    }

    /// Whether one of the keys made the tag; compared in constant time.
    pub(super) fn verify(&self, subject: &Subject, frame: &[u8], tag: &[u8]) -> bool {
        [Some(&self.sign), self.old.as_ref()]
            .into_iter()
            .flatten()
            .any(|key| key.begin(subject).chain_update(frame).verify_slice(tag).is_ok())
    }
}

impl fmt::Debug for MacKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MacKey(..)")
    }
}

impl fmt::Display for MacKeyTooShort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the key has {} bytes and needs {MAC_KEY_BYTES_MIN}: take random ones", self.0)
    }
}

impl std::error::Error for MacKeyTooShort {}
