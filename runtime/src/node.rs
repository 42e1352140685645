//! The identity of a node and of the cluster it belongs to.
//!
//! Pure: values only, but for [`Incarnation::draw`]. Who is up is known to the cluster.

mod life;

use std::fmt;
use std::sync::Arc;

/// The longest name of a node or of a cluster, in bytes.
pub const NODE_NAME_BYTES_MAX: usize = 64;

/// The name of a node, unique in its cluster while the node lives; a restarted node takes its name again.
///
/// Letters, digits, `_`, `-` and `@`, in ASCII: a name becomes a part of an engine's subjects, where dots, stars and blanks
/// mean something.
///
/// ```
/// use heronry::node::NodeName;
///
/// assert_eq!(NodeName::parse("shop@eu-1").unwrap().as_str(), "shop@eu-1");
/// assert!(NodeName::parse("shop.*").is_err());
/// ```
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeName(Arc<str>);

/// The name that all nodes of a cluster have in common: nodes of different clusters can share an engine and do not hear each
/// other. Takes what a [`NodeName`] takes.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClusterName(Arc<str>);

/// One life of a node. Two lives of one name differ in it; it is not an order in time.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Incarnation(u64);

/// A node in one of its lives. Prints like `shop@eu-1#9f2c41d07b3a5e18`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId {
    name: NodeName,
    incarnation: Incarnation,
}

/// A text that cannot name a node or a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NodeNameError {
    /// The name was empty; give it at least one byte.
    Empty,
    /// The name had this many bytes, more than [`NODE_NAME_BYTES_MAX`]; shorten it.
    TooLong(usize),
    /// The name had this character, which is neither an ASCII letter or digit nor `_`, `-` or `@`.
    Character(char),
}

impl NodeName {
    /// Takes `text` as a name.
    ///
    /// # Errors
    /// [`NodeNameError`] if it is empty, too long or holds a character that subjects cannot have.
    pub fn parse(text: &str) -> Result<Self, NodeNameError> {
        check(text).map(|()| Self(text.into()))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl ClusterName {
    /// Takes `text` as a name.
    ///
    /// # Errors
    /// [`NodeNameError`] if it is empty, too long or holds a character that subjects cannot have.
    pub fn parse(text: &str) -> Result<Self, NodeNameError> {
        check(text).map(|()| Self(text.into()))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn check(text: &str) -> Result<(), NodeNameError> {
    let stray = |c: &char| !c.is_ascii_alphanumeric() && !matches!(c, '_' | '-' | '@');
    match (text.len(), text.chars().find(stray)) {
        (0, _) => Err(NodeNameError::Empty),
        (len, _) if len > NODE_NAME_BYTES_MAX => Err(NodeNameError::TooLong(len)),
        (_, Some(c)) => Err(NodeNameError::Character(c)),
        (_, None) => Ok(()),
    }
}

impl Incarnation {
    /// The life of that number: one that another node told, or [drawn](Self::draw).
    pub fn new(number: u64) -> Self {
        Self(number)
    }

    /// The number.
    pub fn get(self) -> u64 {
        self.0
    }
}

impl NodeId {
    /// The node of that name in that life.
    pub fn new(name: NodeName, incarnation: Incarnation) -> Self {
        Self { name, incarnation }
    }

    /// The node's name.
    pub fn name(&self) -> &NodeName {
        &self.name
    }

    /// The life.
    pub fn incarnation(&self) -> Incarnation {
        self.incarnation
    }
}

impl fmt::Display for NodeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for NodeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl fmt::Display for ClusterName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ClusterName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl fmt::Display for Incarnation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for Incarnation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}", self.name, self.incarnation)
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for NodeNameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("the name of a node or cluster must have at least one byte"),
            Self::TooLong(len) => {
                write!(
                    f,
                    "the name of a node or cluster may have {NODE_NAME_BYTES_MAX} bytes, this one has {len}: shorten it"
                )
            }
            Self::Character(c) => {
                write!(
                    f,
                    "the name of a node or cluster may have ASCII letters, digits, _, - and @, this one has {c:?}"
                )
            }
        }
    }
}

impl std::error::Error for NodeNameError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_what_a_subject_can_carry() {
        assert!(NodeName::parse(&"n".repeat(NODE_NAME_BYTES_MAX)).is_ok());
        assert_eq!(NodeName::parse(""), Err(NodeNameError::Empty));
        assert_eq!(NodeName::parse(&"n".repeat(65)), Err(NodeNameError::TooLong(65)));
        for (text, stray) in
            [("a.b", '.'), ("a>", '>'), ("*", '*'), ("a b", ' '), ("é", 'é'), ("a\r\n", '\r')]
        {
            assert_eq!(NodeName::parse(text), Err(NodeNameError::Character(stray)));
            assert_eq!(ClusterName::parse(text), Err(NodeNameError::Character(stray)));
        }
    }

    #[test]
    fn a_node_prints_its_name_and_its_life() {
        let id = NodeId::new(NodeName::parse("shop@eu-1").unwrap(), Incarnation::new(0x2a));
        assert_eq!(id.to_string(), "shop@eu-1#000000000000002a");
    }
}
