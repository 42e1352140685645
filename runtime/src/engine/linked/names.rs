//! Subjects as a broker spells them: `hr1.<cluster>.ps.<shard>` and its kin. Whatever else arrives under a name is foreign.
//!
//! Pure: text.

use std::fmt::Write;

use super::super::{Lane, ShardId, Subject};
use crate::node::{ClusterName, Incarnation, NodeId, NodeName};

/// The subjects of one cluster.
#[derive(Clone, Debug)]
pub(in super::super) struct Names {
    /// `hr1.<cluster>.`; the number is the version of what travels, so that versions can share a broker.
    prefix: String,
}

impl Names {
    pub(in super::super) fn new(cluster: &ClusterName) -> Self {
        Self { prefix: format!("hr1.{cluster}.") }
    }

    pub(in super::super) fn spell(&self, subject: &Subject) -> String {
        let mut text = String::with_capacity(self.prefix.len() + 32);
        text.push_str(&self.prefix);
        let written = match subject {
            Subject::PubSub(shard) => write!(text, "ps.{}", shard.get()),
            Subject::Heartbeats => write!(text, "hb"),
            Subject::Tracker(tracker, shard) => write!(text, "tr.{tracker}.{shard}"),
            Subject::Inbox(node, lane) => {
                write!(text, "n.{}-{}.{lane}", node.name(), node.incarnation())
            }
        };
        written.expect("invariant: a string takes all text");
        text
    }

    /// The subject that is spelled so; `None` if none is.
    pub(in super::super) fn read(&self, text: &str) -> Option<Subject> {
        let mut parts = text.strip_prefix(&self.prefix)?.split('.');
        let subject = match parts.next()? {
            "ps" => Subject::PubSub(ShardId::new(parts.next()?.parse().ok()?)?),
            "hb" => Subject::Heartbeats,
            "tr" => Subject::Tracker(parts.next()?.parse().ok()?, parts.next()?.parse().ok()?),
            "n" => {
                let (name, life) = parts.next()?.rsplit_once('-')?;
                let life = Incarnation::new(u64::from_str_radix(life, 16).ok()?);
                let lane = match parts.next()? {
                    "control" => Lane::Control,
                    "data" => Lane::Data,
                    _ => return None,
                };
                Subject::Inbox(NodeId::new(NodeName::parse(name).ok()?, life), lane)
            }
            _ => return None,
        };
        // One spelling each: what reads the same and is spelled differently (`+7`, `007`, more parts) is foreign.
        (self.spell(&subject) == text).then_some(subject)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn names() -> Names {
        Names::new(&ClusterName::parse("shop").expect("a name"))
    }

    fn check(subject: &Subject, expect: &str) {
        assert_eq!(names().spell(subject), expect);
        assert_eq!(names().read(expect).as_ref(), Some(subject));
    }

    #[test]
    fn each_subject_has_one_spelling() {
        let node = NodeId::new(NodeName::parse("a-b@c").expect("a name"), Incarnation::new(0x2a));
        check(&Subject::PubSub(ShardId::new(1023).expect("a shard")), "hr1.shop.ps.1023");
        check(&Subject::Heartbeats, "hr1.shop.hb");
        check(&Subject::Tracker(7, 65_535), "hr1.shop.tr.7.65535");
        check(&Subject::Inbox(node.clone(), Lane::Control), "hr1.shop.n.a-b@c-000000000000002a.control");
        check(&Subject::Inbox(node, Lane::Data), "hr1.shop.n.a-b@c-000000000000002a.data");
    }

    #[test]
    fn what_is_spelled_otherwise_is_foreign() {
        for text in [
            "",
            "hr1",
            "hr1.shop",
            "hr1.shop.",
            "hr1.shop.ps",
            "hr1.shop.ps.1024",
            "hr1.shop.ps.007",
            "hr1.shop.ps.+7",
            "hr1.shop.ps.7.7",
            "hr1.shop.ps.-1",
            "hr1.other.hb",
            "hr2.shop.hb",
            "hr1.shop.hb.x",
            "hr1.shop.tr.1",
            "hr1.shop.tr.4294967296.1",
            "hr1.shop.n.a.control",
            "hr1.shop.n.a-2a.control",
            "hr1.shop.n.a-000000000000002A.control",
            "hr1.shop.n.a-000000000000002a.bulk",
            "hr1.shop.n.-000000000000002a.data",
            "hr1.shop.*",
            "hr1.shop.>",
            "hr1.shop.ps.é",
        ] {
            assert_eq!(names().read(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_is_read_that_would_be_spelled_otherwise(text in "(hr1\\.shop\\.)?(ps|hb|tr|n)?[-.a-f0-9@]{0,24}(control|data)?|.{0,40}") {
            if let Some(subject) = names().read(&text) {
                prop_assert_eq!(names().spell(&subject), text);
            }
        }
    }
}
