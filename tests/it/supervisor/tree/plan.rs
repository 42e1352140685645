//! What is drawn: trees, and what is done to them.
//!
//! Pure: descriptions. The model and the real tree are made of the same ones.

use std::time::Duration;

use heronry::prelude::*;
use heronry::supervisor::Strategy as Restarting;
use proptest::prelude::*;
use proptest::sample::Index;

/// The unit of all periods: each operation has a slot of its own.
pub(crate) const SLOT: Duration = Duration::from_secs(1_000);
/// What an operation may take, with all that follows from it.
pub(crate) const OPERATION_MAX: Duration = SLOT.checked_div(4).expect("not zero");
/// How long a child that is not killed at once may take to stop.
const GRACE: Duration = Duration::from_secs(1);
/// How many operations a case has.
const OPS_MAX: usize = 15;
/// How many children the root has, and any other supervisor.
const CHILDREN_MAX: (usize, usize) = (4, 3);

// If all children stop one after the other, for each of the few restarts that one operation can cause.
const _: () = assert!(
    (CHILDREN_MAX.0 * CHILDREN_MAX.1 * CHILDREN_MAX.1 + OPS_MAX) as u64 * GRACE.as_secs() * 4
        < OPERATION_MAX.as_secs()
);

/// The root's id.
pub(crate) const ROOT: u32 = 0;

/// How a worker takes an exit signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manner {
    /// It doesn't trap exits.
    Plain,
    /// It traps them, and ends when its supervisor says so.
    Polite,
    /// It traps them and never ends of one.
    Stubborn,
}

/// A child, as described.
#[derive(Clone, Debug)]
pub(crate) struct Spec {
    /// No other child of the tree has it.
    pub(crate) id: u32,
    pub(crate) restart: Restart,
    pub(crate) shutdown: Shutdown,
    pub(crate) what: What,
}

#[derive(Clone, Debug)]
pub(crate) enum What {
    Worker(Manner),
    Supervisor(Branch),
}

/// A supervisor, as described.
#[derive(Clone, Debug)]
pub(crate) struct Branch {
    pub(crate) strategy: Restarting,
    pub(crate) intensity: u32,
    /// Its period ends half a slot after the slot that is so many later.
    pub(crate) period_slots: u32,
    pub(crate) children: Vec<Spec>,
}

/// How a worker ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Normal,
    Shutdown,
    ShutdownWith,
    Custom,
    Panic,
}

/// One thing done to a running tree. An index picks among what is there by then.
#[derive(Clone, Debug)]
pub(crate) enum Op {
    /// A worker ends by itself.
    End(Index, Way),
    /// A worker gets an exit signal of somebody who is not its supervisor.
    Signal(Index, Way),
    /// A worker is killed.
    Kill(Index),
    /// A supervisor is killed, the root too.
    KillSupervisor(Index),
    /// The next starts of a worker fail, so many.
    FailStarts(Index, u32),
    Terminate(Index),
    Restart(Index),
    Delete(Index),
    /// One more child for a supervisor, under the id of its first child if `taken`.
    Add {
        to: Index,
        spec: Spec,
        taken: bool,
    },
    /// So many slots pass.
    Pass(u32),
    /// The root is stopped.
    Stop,
}

impl Way {
    pub(crate) fn is_orderly(self) -> bool {
        match self {
            Self::Normal | Self::Shutdown | Self::ShutdownWith => true,
            Self::Custom | Self::Panic => false,
        }
    }

    /// What ends with it says so; a panic has no reason before it happens.
    pub(crate) fn reason(self) -> Option<ExitReason> {
        match self {
            Self::Normal => Some(ExitReason::Normal),
            Self::Shutdown => Some(ExitReason::Shutdown),
            Self::ShutdownWith => Some(ExitReason::shutdown_with("enough")),
            Self::Custom => Some(ExitReason::custom("boom")),
            Self::Panic => None,
        }
    }
}

impl Branch {
    pub(crate) fn period(&self) -> Duration {
        SLOT * self.period_slots + SLOT / 2
    }

    /// Gives each child an id, in the order in which they start.
    fn number(&mut self, next: &mut u32) {
        for child in &mut self.children {
            child.id = *next;
            *next += 1;
            if let What::Supervisor(branch) = &mut child.what {
                branch.number(next);
            }
        }
    }
}

fn restart() -> impl Strategy<Value = Restart> {
    prop_oneof![3 => Just(Restart::Permanent), 2 => Just(Restart::Transient), 1 => Just(Restart::Temporary)]
}

fn worker() -> impl Strategy<Value = Spec> {
    let manner =
        prop_oneof![3 => Just(Manner::Polite), 2 => Just(Manner::Plain), 1 => Just(Manner::Stubborn)];
    let shutdowns = vec![Shutdown::After(GRACE), Shutdown::BrutalKill, Shutdown::Infinity];
    (manner, prop::sample::select(shutdowns), restart()).prop_map(|(manner, shutdown, restart)| {
        let shutdown = match (manner, shutdown) {
            // It would be waited for without an end.
            (Manner::Stubborn, Shutdown::Infinity) => Shutdown::After(GRACE),
            (_, shutdown) => shutdown,
        };
        Spec { id: ROOT, restart, shutdown, what: What::Worker(manner) }
    })
}

fn branch(
    child: impl Strategy<Value = Spec>,
    children: std::ops::RangeInclusive<usize>,
) -> impl Strategy<Value = Branch> {
    let strategies = vec![Restarting::OneForOne, Restarting::OneForAll, Restarting::RestForOne];
    (prop::sample::select(strategies), 0_u32..4, 0_u32..4, prop::collection::vec(child, children)).prop_map(
        |(strategy, intensity, period_slots, children)| Branch {
            strategy,
            intensity,
            period_slots,
            children,
        },
    )
}

/// A tree of at most three levels of supervisors.
pub(crate) fn tree() -> impl Strategy<Value = Branch> {
    let child = worker().prop_recursive(2, 12, 4, |child| {
        let shutdown = prop_oneof![4 => Just(Shutdown::Infinity), 1 => Just(Shutdown::BrutalKill)];
        (branch(child, 0..=CHILDREN_MAX.1), shutdown, restart()).prop_map(|(branch, shutdown, restart)| {
            Spec { id: ROOT, restart, shutdown, what: What::Supervisor(branch) }
        })
    });
    branch(child, 1..=CHILDREN_MAX.0).prop_map(|mut root| {
        root.number(&mut (ROOT + 1));
        root
    })
}

fn op() -> impl Strategy<Value = Op> {
    let way =
        || prop::sample::select(vec![Way::Custom, Way::Normal, Way::Shutdown, Way::ShutdownWith, Way::Panic]);
    let at = any::<Index>;
    prop_oneof![
        8 => (at(), way()).prop_map(|(at, way)| Op::End(at, way)),
        2 => (at(), way()).prop_map(|(at, way)| Op::Signal(at, way)),
        4 => at().prop_map(Op::Kill),
        2 => at().prop_map(Op::KillSupervisor),
        4 => (at(), 1_u32..4).prop_map(|(at, times)| Op::FailStarts(at, times)),
        3 => at().prop_map(Op::Terminate),
        3 => at().prop_map(Op::Restart),
        2 => at().prop_map(Op::Delete),
        2 => (at(), worker(), prop::bool::weighted(0.3)).prop_map(|(to, spec, taken)| Op::Add { to, spec, taken }),
        2 => (1_u32..4).prop_map(Op::Pass),
        1 => Just(Op::Stop),
    ]
}

pub(crate) fn ops() -> impl Strategy<Value = Vec<Op>> {
    prop::collection::vec(op(), 1..=OPS_MAX)
}
