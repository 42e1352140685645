//! Topic patterns.
//!
//! Pure: parsed once, then a comparison.

use std::fmt;

/// Which topics a route serves: one exactly, or all that begin with a prefix.
///
/// ```
/// use heronry_channels::TopicPattern;
///
/// let rooms = TopicPattern::parse("room:*").unwrap();
/// assert!(rooms.matches("room:lobby"));
/// assert!(!rooms.matches("Room:lobby"));
/// assert!(TopicPattern::parse("room:*:x").is_err());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicPattern {
    text: Box<str>,
    prefix: bool,
}

/// A text that is no topic pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TopicError {
    /// It is empty; name a topic, or `*` for all.
    Empty,
    /// It has a `*` that is not its last character.
    StarInside,
}

impl TopicPattern {
    /// Takes a topic, or a prefix followed by `*`.
    ///
    /// # Errors
    /// [`TopicError`] if it is empty or has a `*` elsewhere.
    pub fn parse(text: &str) -> Result<Self, TopicError> {
        if text.is_empty() {
            return Err(TopicError::Empty);
        }
        let (stem, prefix) = text.strip_suffix('*').map_or((text, false), |stem| (stem, true));
        if stem.contains('*') {
            return Err(TopicError::StarInside);
        }
        Ok(Self { text: stem.into(), prefix })
    }

    /// Whether it serves this topic; case counts.
    pub fn matches(&self, topic: &str) -> bool {
        if self.prefix { topic.starts_with(&*self.text) } else { topic == &*self.text }
    }
}

impl fmt::Display for TopicError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "a topic pattern must not be empty",
            Self::StarInside => "a topic pattern may have one *, as its last character",
        })
    }
}

impl std::error::Error for TopicError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_against_topics() {
        let table = [
            ("room:*", "room:lobby", true),
            ("room:*", "room:", true),
            ("room:*", "room", false),
            ("room:*", "ROOM:lobby", false),
            ("system", "system", true),
            ("system", "system:x", false),
            ("*", "anything", true),
        ];
        for (pattern, topic, want) in table {
            assert_eq!(TopicPattern::parse(pattern).unwrap().matches(topic), want, "{pattern} {topic}");
        }
    }

    #[test]
    fn wrong_patterns() {
        for (pattern, error) in
            [("", TopicError::Empty), ("a*b", TopicError::StarInside), ("a**", TopicError::StarInside)]
        {
            assert_eq!(TopicPattern::parse(pattern), Err(error), "{pattern}");
        }
    }
}
