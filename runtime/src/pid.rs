//! The identity of a process and of a monitor.
//!
//! Pure: values only. Ids are handed out by the process table.

use std::fmt;
use std::num::NonZeroU64;

/// The identity of a process; never used twice while the program runs.
///
/// A pid says nothing about the type of messages that its process takes: it is for links, monitors, exit signals and
/// inspection. To send messages one needs an [`Addr`](crate::Addr). It prints like Erlang's: `<0.17.0>`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Pid(NonZeroU64);

/// The identity of one monitor, as [`Context::monitor`](crate::Context::monitor) returns it and its `Down` carries it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ref(NonZeroU64);

impl Pid {
    pub(crate) fn new(id: NonZeroU64) -> Self {
        Self(id)
    }

    pub(crate) fn id(self) -> u64 {
        self.0.get()
    }

    pub(crate) fn from_id(id: u64) -> Option<Self> {
        NonZeroU64::new(id).map(Self)
    }
}

impl Ref {
    pub(crate) fn new(id: NonZeroU64) -> Self {
        Self(id)
    }
}

impl fmt::Display for Pid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<0.{}.0>", self.0)
    }
}

impl fmt::Debug for Pid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Ref {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#Ref<{}>", self.0)
    }
}

impl fmt::Debug for Ref {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
