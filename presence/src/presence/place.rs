//! Who is tracked where: a channel in its topic, or any process in any topic.

use heronry::Pid;
use heronry_channels::{Channel, ChannelSocket};

/// A process and a topic: a channel's socket stands for its channel in its topic, and `(pid, topic)` for any other.
pub trait Place {
    /// The process.
    fn pid(&self) -> Pid;
    /// The topic.
    fn topic(&self) -> &str;
}

impl<C: Channel> Place for ChannelSocket<C> {
    fn pid(&self) -> Pid {
        Self::pid(self)
    }

    fn topic(&self) -> &str {
        Self::topic(self)
    }
}

impl Place for (Pid, &str) {
    fn pid(&self) -> Pid {
        self.0
    }

    fn topic(&self) -> &str {
        self.1
    }
}
