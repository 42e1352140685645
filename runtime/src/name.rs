//! Names and labels of processes, bounded in length.
//!
//! Pure: values only. Which process has which name is known to `process/names.rs`.

use std::borrow::Borrow;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// The longest name or label, in bytes: enough for a topic, too short for a payload that strayed into a name.
pub const NAME_BYTES_MAX: usize = 255;

/// A short text that is cheap to clone: static, or shared.
#[derive(Clone)]
enum Text {
    Static(&'static str),
    Shared(Arc<str>),
}

/// What a process is called in logs and in the tree; need not be unique.
///
/// Longer text is cut at [`NAME_BYTES_MAX`] bytes (at a character's border): a label is for people, and must not be
/// able to fail. The counterpart in Elixir is `Process.set_label/1`.
///
/// ```
/// use heronry::Label;
///
/// assert_eq!(Label::from("counter").as_str(), "counter");
/// assert_eq!(Label::from("é".repeat(200)).as_str().len(), 254);
/// ```
#[derive(Clone)]
pub struct Label(Text);

/// The unique name under which a process of this node can be found.
///
/// ```
/// use heronry::Name;
///
/// assert_eq!(Name::parse("counter").unwrap().as_str(), "counter");
/// assert!(Name::parse("").is_err());
/// ```
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name(Arc<str>);

/// A text that cannot be a name. Nothing was registered.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NameError {
    /// The name was empty; give the process a name of at least one byte.
    Empty,
    /// The name had this many bytes, more than [`NAME_BYTES_MAX`]; shorten it.
    TooLong(usize),
}

impl Label {
    /// The label as text.
    pub fn as_str(&self) -> &str {
        match &self.0 {
            Text::Static(text) => text,
            Text::Shared(text) => text,
        }
    }
}

impl From<&'static str> for Label {
    fn from(text: &'static str) -> Self {
        Self(Text::Static(cut(text)))
    }
}

impl From<String> for Label {
    fn from(text: String) -> Self {
        Self(Text::Shared(Arc::from(cut(&text))))
    }
}

impl From<Arc<str>> for Label {
    fn from(text: Arc<str>) -> Self {
        let short = cut(&text);
        Self(Text::Shared(if short.len() == text.len() { text } else { Arc::from(short) }))
    }
}

impl From<Name> for Label {
    fn from(name: Name) -> Self {
        Self(Text::Shared(name.0))
    }
}

impl PartialEq for Label {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Label {}

impl Hash for Label {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(NAME_BYTES_MAX)]
}

impl Name {
    /// Takes `text` as a name.
    ///
    /// # Errors
    /// [`NameError`] if it is empty or longer than [`NAME_BYTES_MAX`].
    pub fn parse(text: impl Into<Arc<str>>) -> Result<Self, NameError> {
        let text = text.into();
        match text.len() {
            0 => Err(NameError::Empty),
            len if len > NAME_BYTES_MAX => Err(NameError::TooLong(len)),
            _ => Ok(Self(text)),
        }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for Name {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl fmt::Display for Label {
    /// With control characters escaped: a label may hold what a client sent, and must not be able to forge lines of a
    /// log or of the tree.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.as_str().chars() {
            if c.is_control() { write!(f, "{}", c.escape_default())? } else { write!(f, "{c}")? }
        }
        Ok(())
    }
}

impl fmt::Debug for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("a process name must have at least one byte"),
            Self::TooLong(len) => {
                write!(f, "a process name may have {NAME_BYTES_MAX} bytes, this one has {len}: shorten it")
            }
        }
    }
}

impl std::error::Error for NameError {}
