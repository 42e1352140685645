//! Signals, and what an exit signal does to its receiver.
//!
//! Pure: a table, no delivery.

use crate::exit::ExitReason;
use crate::pid::{Pid, Ref};

/// What a process hears besides its messages, in order with them.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Info {
    /// An exit signal reached a process that traps exits. Erlang's `{'EXIT', From, Reason}`.
    Exit(Exit),
    /// A monitored process ended. Erlang's `{'DOWN', Ref, process, Pid, Reason}`.
    Down(Down),
}

/// An exit signal as a message.
#[derive(Clone, Debug, PartialEq)]
pub struct Exit {
    /// The process that ended, or that sent the signal.
    pub from: Pid,
    /// Its reason.
    pub reason: ExitReason,
}

/// The end of a monitored process.
#[derive(Clone, Debug, PartialEq)]
pub struct Down {
    /// The monitor, as [`Context::monitor`](crate::Context::monitor) returned it. It is used up.
    pub reference: Ref,
    /// The process that ended.
    pub pid: Pid,
    /// Its reason; [`NoProc`](ExitReason::NoProc) if it had ended before it was monitored.
    pub reason: ExitReason,
}

/// Where an exit signal comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// A linked process ended.
    Link,
    /// Somebody called `exit`.
    Exit,
    /// Somebody called `kill`.
    Kill,
}

/// What an exit signal does.
#[derive(Debug, PartialEq)]
pub(crate) enum Verdict {
    Ignore,
    /// It becomes a message.
    Deliver,
    /// The process ends with this reason.
    Die(ExitReason),
}

/// The table of Erlang's reference manual, "Receiving Exit Signals".
pub(crate) fn on_exit_signal(
    trap_exit: bool,
    origin: Origin,
    from_self: bool,
    reason: &ExitReason,
) -> Verdict {
    match (origin, trap_exit, reason.is_normal()) {
        (Origin::Kill, _, _) => Verdict::Die(ExitReason::Killed),
        (Origin::Link | Origin::Exit, true, _) => Verdict::Deliver,
        (Origin::Exit, false, true) if from_self => Verdict::Die(ExitReason::Normal),
        (Origin::Link | Origin::Exit, false, true) => Verdict::Ignore,
        (Origin::Link | Origin::Exit, false, false) => Verdict::Die(reason.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_signal_against_trap_exit() {
        let boom = ExitReason::custom("boom");
        let table = [
            // origin, trap_exit, from_self, reason, verdict
            (Origin::Link, false, false, ExitReason::Normal, Verdict::Ignore),
            (Origin::Link, false, false, ExitReason::Shutdown, Verdict::Die(ExitReason::Shutdown)),
            (Origin::Link, false, false, boom.clone(), Verdict::Die(boom.clone())),
            (Origin::Link, false, false, ExitReason::Killed, Verdict::Die(ExitReason::Killed)),
            (Origin::Link, true, false, ExitReason::Normal, Verdict::Deliver),
            (Origin::Link, true, false, boom.clone(), Verdict::Deliver),
            (Origin::Link, true, false, ExitReason::Killed, Verdict::Deliver),
            (Origin::Exit, false, false, ExitReason::Normal, Verdict::Ignore),
            (Origin::Exit, false, true, ExitReason::Normal, Verdict::Die(ExitReason::Normal)),
            (Origin::Exit, false, false, boom.clone(), Verdict::Die(boom.clone())),
            (Origin::Exit, true, false, ExitReason::Normal, Verdict::Deliver),
            (Origin::Exit, true, true, ExitReason::Normal, Verdict::Deliver),
            (Origin::Exit, true, false, boom, Verdict::Deliver),
            (Origin::Kill, false, false, ExitReason::Killed, Verdict::Die(ExitReason::Killed)),
            (Origin::Kill, true, false, ExitReason::Killed, Verdict::Die(ExitReason::Killed)),
        ];
        for (origin, trap_exit, from_self, reason, verdict) in table {
            let got = on_exit_signal(trap_exit, origin, from_self, &reason);
            assert_eq!(got, verdict, "{origin:?}, trap_exit {trap_exit}, from self {from_self}, {reason}");
        }
    }
}
