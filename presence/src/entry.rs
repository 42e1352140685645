//! One presence: who is where, and what is said of them.
//!
//! Pure: values. An entry never changes; an update is another entry in its place.

use std::fmt;
use std::hash::Hash;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use heronry::Pid;
use heronry::node::NodeId;

use serde_json::value::RawValue;

use crate::meta::Meta;

/// How many of the lowest bits of an origin and of an id are in a reference.
const REF_HALF_BITS: u32 = 48;

/// One life of one shard of a tracker, as far as references go: they differ in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Origin(u64);

/// The identity of an entry in the whole cluster: who made it, and by which turn of its clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Dot {
    pub(crate) origin: Origin,
    pub(crate) id: u64,
}

/// A presence in a topic: a key, and what is said of it.
///
/// Two presences can have one key, those of two browsers of one user, say. The counterpart in Phoenix is the pair of
/// key and meta that `Phoenix.Tracker.list/2` gives.
pub struct Entry {
    dot: Dot,
    /// The entry that this one came in the place of.
    prev: Option<u64>,
    topic: Arc<str>,
    key: Arc<str>,
    /// The meta with its references, as clients read it.
    json: Box<RawValue>,
    /// How much of it is the meta, less its closing brace.
    meta_len: usize,
    /// The process, if it is one of this node.
    pid: Option<Pid>,
}

/// Who can hold entries: processes, and in tests whatever can be compared.
pub(crate) trait Holder: Copy + Ord + Hash {
    fn pid(self) -> Option<Pid>;
}

impl Holder for Pid {
    fn pid(self) -> Option<Pid> {
        Some(self)
    }
}

impl Origin {
    pub(crate) fn new(node: &NodeId, generation: u64, shard: u16) -> Self {
        let mut mixed = mix(node.incarnation().get());
        for word in [generation, u64::from(shard)] {
            mixed = mix(mixed ^ word);
        }
        Self(mixed & ((1 << REF_HALF_BITS) - 1))
    }
}

/// The finaliser of splitmix64: every bit of what comes in has a part in each that goes out.
pub(crate) fn mix(word: u64) -> u64 {
    let word = word.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

impl Dot {
    /// Sixteen characters that no other entry has: Phoenix's `phx_ref`.
    pub(crate) fn reference(self) -> String {
        let bytes = (u128::from(self.origin.0) << REF_HALF_BITS) | u128::from(self.id);
        URL_SAFE_NO_PAD.encode(&bytes.to_be_bytes()[4..])
    }
}

impl Entry {
    pub(crate) fn new(dot: Dot, prev: Option<u64>, topic: Arc<str>, key: Arc<str>, meta: &Meta) -> Self {
        let meta = meta.as_str();
        let open = &meta[..meta.len() - 1];
        let mut json = String::with_capacity(open.len() + 64);
        json.push_str(open);
        if open.len() > 1 {
            json.push(',');
        }
        json.push_str(r#""phx_ref":""#);
        json.push_str(&dot.reference());
        if let Some(id) = prev {
            json.push_str(r#"","phx_ref_prev":""#);
            json.push_str(&Dot { id, ..dot }.reference());
        }
        json.push_str(r#""}"#);
        let json = RawValue::from_string(json).expect("invariant: a meta with two more fields is JSON");
        Self { dot, prev, topic, key, json, meta_len: open.len(), pid: None }
    }

    /// The same, held by that process.
    pub(crate) fn held_by(self, pid: Option<Pid>) -> Self {
        Self { pid, ..self }
    }

    /// The same in all that others can see, held by another process.
    pub(crate) fn handed_to(&self, pid: Option<Pid>) -> Self {
        let Self { dot, prev, topic, key, json, meta_len, pid: _ } = self;
        let (topic, key, json) = (topic.clone(), key.clone(), json.clone());
        Self { dot: *dot, prev: *prev, topic, key, json, meta_len: *meta_len, pid }
    }

    pub(crate) fn dot(&self) -> Dot {
        self.dot
    }

    pub(crate) fn prev(&self) -> Option<u64> {
        self.prev
    }

    pub(crate) fn shared_topic(&self) -> &Arc<str> {
        &self.topic
    }

    pub(crate) fn shared_key(&self) -> &Arc<str> {
        &self.key
    }

    /// The JSON of the meta, less its closing brace.
    pub(crate) fn open_meta(&self) -> &str {
        &self.json.get()[..self.meta_len]
    }

    /// Whether that is what is said of it.
    pub(crate) fn says(&self, meta: &Meta) -> bool {
        meta.as_str().len() == self.meta_len + 1 && meta.as_str().starts_with(self.open_meta())
    }

    /// The topic.
    pub fn topic(&self) -> &str {
        &self.topic
    }

    /// The key.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The process that is present, if it is one of this node.
    pub fn pid(&self) -> Option<Pid> {
        self.pid
    }

    /// What is said of it, as it was given.
    pub fn meta(&self) -> Meta {
        Meta::unchecked(format!("{}}}", self.open_meta()))
    }

    /// What is said of it, as clients read it: with `phx_ref`, and with `phx_ref_prev` after an update.
    pub fn json(&self) -> &str {
        self.json.get()
    }

    #[cfg(feature = "channels")]
    pub(crate) fn raw(&self) -> &RawValue {
        &self.json
    }

    /// What tells this presence from all others, and from itself before an update. Phoenix's `phx_ref`.
    pub fn reference(&self) -> String {
        self.dot.reference()
    }
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} in {:?}: {}", self.key, self.topic, self.json)
    }
}

#[cfg(test)]
mod tests {
    use heronry::node::{Incarnation, NodeName};

    use super::*;

    #[test]
    fn what_clients_read_is_the_meta_with_its_references() {
        let node = NodeId::new(NodeName::parse("a").unwrap(), Incarnation::new(1));
        let origin = Origin::new(&node, 0, 0);
        for (text, begin) in [("{}", "{"), (r#"{"a":1}"#, r#"{"a":1,"#)] {
            let meta = Meta::text(text).unwrap();
            let entry = Entry::new(Dot { origin, id: 2 }, Some(1), "t".into(), "k".into(), &meta);
            let [new, old] = [2, 1].map(|id| Dot { origin, id }.reference());
            assert_eq!(entry.json(), format!(r#"{begin}"phx_ref":"{new}","phx_ref_prev":"{old}"}}"#));
            assert_eq!(entry.meta(), meta);
            assert!(entry.says(&meta));
            assert!(!entry.says(&Meta::text(r#"{"a":2}"#).unwrap()));
            assert_eq!((new.len(), new == old), (16, false));
        }
    }

    #[test]
    fn origins_differ_in_all_that_they_are_made_of() {
        let node = |incarnation| NodeId::new(NodeName::parse("a").unwrap(), Incarnation::new(incarnation));
        let origins = [(1, 0, 0), (2, 0, 0), (1, 1, 0), (1, 0, 1), (0, 1, 1)]
            .map(|(incarnation, generation, shard)| Origin::new(&node(incarnation), generation, shard));
        let different: std::collections::HashSet<_> = origins.into_iter().collect();
        assert_eq!(different.len(), origins.len());
    }
}
