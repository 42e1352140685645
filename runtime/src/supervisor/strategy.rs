//! Which children a dead one takes with it, and whether it is started again.
//!
//! Pure: ranks and reasons in, a plan out.

use std::ops::RangeInclusive;

use super::spec::Restart;
use crate::exit::ExitReason;

/// The place of a child in the start order: one that was added later has a higher one, and none has it twice.
pub(super) type Rank = u64;

/// Whom a supervisor restarts when a child ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strategy {
    /// The child alone.
    OneForOne,
    /// All children.
    OneForAll,
    /// The child and those started after it.
    RestForOne,
}

/// What to do about a child that ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Start it again, and count that.
    Restart,
    /// Leave it, and keep its spec: it may be restarted by hand.
    Keep,
    /// Leave it and forget its spec: it was temporary.
    Forget,
}

/// OTP's rule for one child: a clause for each restart type and reason.
pub(super) fn on_exit(restart: Restart, reason: &ExitReason) -> Verdict {
    match (restart, reason.is_orderly()) {
        (Restart::Permanent, _) | (Restart::Transient, false) => Verdict::Restart,
        (Restart::Transient, true) => Verdict::Keep,
        (Restart::Temporary, _) => Verdict::Forget,
    }
}

/// The ranks that are stopped (in reverse) and started again (in order) when the child of rank `dead` is restarted.
pub(super) fn affected(strategy: Strategy, dead: Rank) -> RangeInclusive<Rank> {
    match strategy {
        Strategy::OneForOne => dead..=dead,
        Strategy::OneForAll => Rank::MIN..=Rank::MAX,
        Strategy::RestForOne => dead..=Rank::MAX,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_restart_type_against_every_reason() {
        let orderly = [ExitReason::Normal, ExitReason::Shutdown, ExitReason::shutdown_with("left")];
        let abnormal = [
            ExitReason::Killed,
            ExitReason::NoProc,
            ExitReason::NoConnection,
            ExitReason::custom("boom"),
            std::fmt::Error.into(),
            ExitReason::Panic(std::sync::Arc::new(crate::exit::PanicReport {
                message: "boom".into(),
                location: None,
            })),
        ];
        let table = [
            (Restart::Permanent, Verdict::Restart, Verdict::Restart),
            (Restart::Transient, Verdict::Keep, Verdict::Restart),
            (Restart::Temporary, Verdict::Forget, Verdict::Forget),
        ];
        for (restart, when_orderly, when_abnormal) in table {
            for reason in &orderly {
                assert_eq!(on_exit(restart, reason), when_orderly, "{restart:?} {reason}");
            }
            for reason in &abnormal {
                assert_eq!(on_exit(restart, reason), when_abnormal, "{restart:?} {reason}");
            }
        }
    }

    #[test]
    fn every_strategy() {
        let table = [
            (Strategy::OneForOne, [false, false, true, false]),
            (Strategy::OneForAll, [true; 4]),
            (Strategy::RestForOne, [false, false, true, true]),
        ];
        for (strategy, want) in table {
            let got = [0, 1, 2, 7].map(|rank| affected(strategy, 2).contains(&rank));
            assert_eq!(got, want, "{strategy:?}");
        }
    }
}
