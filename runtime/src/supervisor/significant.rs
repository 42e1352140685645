//! Significant children: a supervisor that has no work left without them ends by itself. OTP's `auto_shutdown`.
//!
//! Pure: flags in, a decision or an error out.

use std::fmt;

use super::spec::Restart;
use crate::name::Label;

/// Whether a supervisor ends by itself when its significant children have ended; OTP's `auto_shutdown`.
///
/// Only an end of the child's own counts, and only if the child is not restarted after it: a transient child that ends
/// in order, a temporary one that ends anyhow. A child that its supervisor stops, because somebody asked for that or
/// because a sibling is restarted, ends nobody.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use heronry::prelude::*;
/// use heronry::supervisor::AutoShutdown;
///
/// // A connection: when the socket is done, so is everything that serves it.
/// let socket = ChildSpec::process("socket", |_: Context<()>| async {});
/// let buffer = ChildSpec::process("buffer", |_: Context<()>| std::future::pending::<()>());
/// let connection = Supervisor::one_for_all()
///     .auto_shutdown(AutoShutdown::AnySignificant)
///     .child(buffer)
///     .child(socket.restart(Restart::Transient).significant(true))
///     .start()
///     .await?;
/// assert_eq!(connection.wait().await, ExitReason::Shutdown);
/// # Ok(()) }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AutoShutdown {
    /// It does not, and takes no significant children.
    #[default]
    Never,
    /// When one of them has ended.
    AnySignificant,
    /// When none of them is left.
    AllSignificant,
}

/// A description that no supervisor can follow. No child was started.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SpecError {
    /// Two children of one supervisor have this id; give one of them another. OTP's `duplicate_child_name`.
    DuplicateId(Label),
    /// This child is significant, and its supervisor never shuts down by itself: set its
    /// [`auto_shutdown`](super::Supervisor::auto_shutdown).
    SignificantNever(Label),
    /// A partition supervisor can't have this many partitions: it has from 1 to
    /// [`PARTITIONS_MAX`](super::PARTITIONS_MAX).
    Partitions(usize),
    /// This child is significant and permanent, so that its end would never count: make it transient or temporary.
    SignificantPermanent(Label),
}

impl fmt::Display for SpecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DuplicateId(id) => write!(f, "two children have the id {id}"),
            Self::Partitions(number) => write!(
                f,
                "a partition supervisor has from 1 to {} partitions, not {number}",
                super::PARTITIONS_MAX
            ),
            Self::SignificantNever(id) => {
                write!(f, "child {id} is significant, but auto_shutdown is never: set it on the supervisor")
            }
            Self::SignificantPermanent(id) => {
                write!(f, "child {id} is significant and permanent: make it transient or temporary")
            }
        }
    }
}

impl std::error::Error for SpecError {}

/// OTP's `bad_combination`s.
pub(super) fn check(
    auto_shutdown: AutoShutdown,
    id: &Label,
    restart: Restart,
    significant: bool,
) -> Result<(), SpecError> {
    match (significant, auto_shutdown, restart) {
        (false, _, _) => Ok(()),
        (true, AutoShutdown::Never, _) => Err(SpecError::SignificantNever(id.clone())),
        (true, _, Restart::Permanent) => Err(SpecError::SignificantPermanent(id.clone())),
        (true, _, Restart::Transient | Restart::Temporary) => Ok(()),
    }
}

/// Whether a supervisor ends now: one of its children did and is not restarted. `others` are significant children that
/// run or are being restarted.
pub(super) fn ends_supervisor(auto_shutdown: AutoShutdown, significant: bool, others: bool) -> bool {
    match auto_shutdown {
        AutoShutdown::Never => false,
        AutoShutdown::AnySignificant => significant,
        AutoShutdown::AllSignificant => significant && !others,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use AutoShutdown::{AllSignificant, AnySignificant, Never};

    #[test]
    fn every_combination_is_taken_or_refused() {
        let id = || Label::from("child");
        let restarts = [Restart::Permanent, Restart::Transient, Restart::Temporary];
        for restart in restarts {
            for policy in [Never, AnySignificant, AllSignificant] {
                assert_eq!(check(policy, &id(), restart, false), Ok(()), "{policy:?}, {restart:?}");
            }
            assert_eq!(check(Never, &id(), restart, true), Err(SpecError::SignificantNever(id())));
        }
        for policy in [AnySignificant, AllSignificant] {
            let answers = restarts.map(|restart| check(policy, &id(), restart, true));
            assert_eq!(answers, [Err(SpecError::SignificantPermanent(id())), Ok(()), Ok(())]);
        }
    }

    #[test]
    fn every_end_under_every_policy() {
        let table = [
            // policy, significant, others, ends
            (Never, false, false, false),
            (Never, true, false, false),
            (Never, true, true, false),
            (AnySignificant, false, false, false),
            (AnySignificant, false, true, false),
            (AnySignificant, true, false, true),
            (AnySignificant, true, true, true),
            (AllSignificant, false, false, false),
            (AllSignificant, false, true, false),
            (AllSignificant, true, false, true),
            (AllSignificant, true, true, false),
        ];
        for (policy, significant, others, ends) in table {
            let got = ends_supervisor(policy, significant, others);
            assert_eq!(got, ends, "{policy:?}, significant {significant}, others {others}");
        }
    }
}
