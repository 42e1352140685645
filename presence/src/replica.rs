//! Whether the entries of another replica are shown: what a node's coming and going does to them.
//!
//! Pure: a table. Who is up and who is down is the cluster's knowledge. A replica whose node is gone for good, or came
//! back in another life, is not in the table: it is forgotten.

/// What is known of another replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    /// Its node is up, and what we know of it is not up to date: its entries are not shown yet.
    Syncing,
    /// Its node is up and its entries are shown.
    Up,
    /// Its node is down for now: its entries are kept and not shown.
    Down,
}

/// What can happen to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signal {
    /// Its node is up.
    Up,
    /// What we know of it is up to date.
    Synced,
    /// Its node is down.
    Down,
    /// It began anew, or said that it ends: what we know of it is worth nothing.
    Reset,
}

/// What becomes of its entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// Nothing.
    Stay,
    /// All of them join.
    Show,
    /// All of them leave.
    Hide,
}

impl Status {
    pub(crate) fn on(self, signal: Signal) -> (Self, Turn) {
        match (self, signal) {
            (Self::Syncing, Signal::Up | Signal::Reset) => (Self::Syncing, Turn::Stay),
            (Self::Syncing, Signal::Synced) => (Self::Up, Turn::Show),
            (Self::Syncing, Signal::Down) => (Self::Down, Turn::Stay),
            (Self::Up, Signal::Up | Signal::Synced) => (Self::Up, Turn::Stay),
            (Self::Up, Signal::Down) => (Self::Down, Turn::Hide),
            (Self::Up, Signal::Reset) => (Self::Syncing, Turn::Hide),
            (Self::Down, Signal::Up) => (Self::Syncing, Turn::Stay),
            (Self::Down, Signal::Synced | Signal::Down | Signal::Reset) => (Self::Down, Turn::Stay),
        }
    }

    pub(crate) fn is_shown(self) -> bool {
        match self {
            Self::Up => true,
            Self::Syncing | Self::Down => false,
        }
    }

    pub(crate) fn is_reachable(self) -> bool {
        match self {
            Self::Up | Self::Syncing => true,
            Self::Down => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_shown_exactly_while_the_status_says_so() {
        for status in [Status::Syncing, Status::Up, Status::Down] {
            for signal in [Signal::Up, Signal::Synced, Signal::Down, Signal::Reset] {
                let (next, turn) = status.on(signal);
                let want = match (status.is_shown(), next.is_shown()) {
                    (false, true) => Turn::Show,
                    (true, false) => Turn::Hide,
                    (false, false) | (true, true) => Turn::Stay,
                };
                assert_eq!(turn, want, "{status:?} on {signal:?}");
                // Nobody is shown who is not up, and nobody comes back without being synced first.
                assert_eq!(
                    next.is_reachable(),
                    signal != Signal::Down && (status.is_reachable() || signal == Signal::Up)
                );
                assert!(turn != Turn::Show || signal == Signal::Synced);
            }
        }
    }
}
