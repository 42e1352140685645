//! What nodes say about processes.
//!
//! A new variant goes to the end: older nodes of a cluster that is being updated read the others as before.
//!
//! Pure: values.

use std::fmt;

use serde::de::{Deserializer, Visitor};
use serde::{Deserialize, Serialize, Serializer};

use crate::exit::{ExitReason, PanicReport};

/// What stands in front of a name of the cluster on its way to another node.
pub(super) const GLOBAL: char = '\0';

/// What one node says to another.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) enum Wire {
    /// A message for the process of that name.
    Send { name: String, body: Body },
    /// A call; its number is the caller's.
    Call { id: u64, name: String, timeout_ms: u64, body: Body },
    /// What became of a call.
    Reply { id: u64, result: Result<Body, Failure> },
    /// The end of the process of that name is of interest, under the watcher's number.
    Monitor { id: u64, name: String },
    /// It is not any more.
    Demonitor { id: u64 },
    /// It has ended.
    Down { id: u64, reason: Reason },
}

/// A message that is written down already.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::cluster) struct Body(pub(super) Vec<u8>);

/// Why a call has no reply.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(in crate::cluster) enum Failure {
    NoProc,
    Exited(Reason),
    Timeout,
    NoReply,
    Full,
    /// The callee takes no calls, or none like this.
    Unfit(String),
}

/// An exit reason.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(in crate::cluster) enum Reason {
    Normal,
    Shutdown,
    ShutdownWith(String),
    Killed,
    NoProc,
    NoConnection,
    Panic { message: String, location: Option<String> },
    Error(String),
    Custom(String),
}

/// An error that ended a process on another node: what is left of it is what it said.
#[derive(Debug)]
struct RemoteFailure(String);

impl From<&ExitReason> for Reason {
    fn from(reason: &ExitReason) -> Self {
        match reason {
            ExitReason::Normal => Self::Normal,
            ExitReason::Shutdown => Self::Shutdown,
            ExitReason::ShutdownWith(why) => Self::ShutdownWith((**why).to_owned()),
            ExitReason::Killed => Self::Killed,
            ExitReason::NoProc => Self::NoProc,
            ExitReason::NoConnection => Self::NoConnection,
            ExitReason::Panic(report) => {
                Self::Panic { message: report.message.clone(), location: report.location.clone() }
            }
            ExitReason::Error(error) => Self::Error(error.to_string()),
            ExitReason::Custom(what) => Self::Custom((**what).to_owned()),
        }
    }
}

impl From<Reason> for ExitReason {
    fn from(reason: Reason) -> Self {
        match reason {
            Reason::Normal => Self::Normal,
            Reason::Shutdown => Self::Shutdown,
            Reason::ShutdownWith(why) => Self::shutdown_with(why),
            Reason::Killed => Self::Killed,
            Reason::NoProc => Self::NoProc,
            Reason::NoConnection => Self::NoConnection,
            Reason::Panic { message, location } => Self::Panic(PanicReport { message, location }.into()),
            Reason::Error(what) => RemoteFailure(what).into(),
            Reason::Custom(what) => Self::custom(what),
        }
    }
}

impl fmt::Display for RemoteFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for RemoteFailure {}

/// As one piece, and not byte by byte.
impl Serialize for Body {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Body {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_byte_buf(Bytes)
    }
}

struct Bytes;

impl Visitor<'_> for Bytes {
    type Value = Body;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("bytes")
    }

    fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Body, E> {
        Ok(Body(bytes.to_vec()))
    }

    fn visit_byte_buf<E>(self, bytes: Vec<u8>) -> Result<Body, E> {
        Ok(Body(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec;

    /// Nodes of two versions talk to each other while a cluster is updated: these bytes don't change.
    #[test]
    fn what_nodes_say_has_these_bytes() {
        let (id, name) = (7, "db".to_owned());
        let body = Body(vec![1, 2]);
        let panic = Reason::Panic { message: "no".to_owned(), location: None };
        let table: [(Wire, &[u8]); 8] = [
            (Wire::Send { name: name.clone(), body: body.clone() }, b"\x01\x00\x02db\x02\x01\x02"),
            (
                Wire::Call { id, name: name.clone(), timeout_ms: 5_000, body: body.clone() },
                b"\x01\x01\x07\x02db\xfb\x88\x13\x02\x01\x02",
            ),
            (Wire::Reply { id, result: Ok(body) }, b"\x01\x02\x07\x00\x02\x01\x02"),
            (Wire::Reply { id, result: Err(Failure::Exited(panic)) }, b"\x01\x02\x07\x01\x01\x06\x02no\x00"),
            (Wire::Monitor { id, name }, b"\x01\x03\x07\x02db"),
            (Wire::Demonitor { id }, b"\x01\x04\x07"),
            (Wire::Down { id, reason: Reason::NoProc }, b"\x01\x05\x07\x04"),
            (Wire::Down { id, reason: Reason::Custom("x".to_owned()) }, b"\x01\x05\x07\x08\x01x"),
        ];
        for (wire, golden) in table {
            assert_eq!(codec::encode(&wire).as_deref(), Ok(golden), "{wire:?}");
            assert_eq!(codec::decode(golden), Ok(wire));
        }
    }

    #[test]
    fn an_exit_reason_arrives_as_what_it_was() {
        let report = PanicReport { message: "no".to_owned(), location: Some("a.rs:1:2".to_owned()) };
        let reasons = [
            ExitReason::Normal,
            ExitReason::Shutdown,
            ExitReason::shutdown_with("why"),
            ExitReason::Killed,
            ExitReason::NoProc,
            ExitReason::NoConnection,
            ExitReason::Panic(report.into()),
            ExitReason::custom("what"),
        ];
        for reason in reasons {
            assert_eq!(ExitReason::from(Reason::from(&reason)), reason);
        }
        let error = ExitReason::from(std::fmt::Error);
        let there = ExitReason::from(Reason::from(&error));
        assert!(matches!(there, ExitReason::Error(_)));
        assert_eq!(there.to_string(), error.to_string());
    }
}
