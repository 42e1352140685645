//! An `init` that finds nothing to do. OTP's `ignore`.

use std::fmt;

use super::Init;
use crate::exit::ExitReason;

/// What an `init` fails with that is no failure. It is seen by the loop alone, which ends with `Normal`.
#[derive(Debug)]
struct Ignored;

impl fmt::Display for Ignored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ignored")
    }
}

impl std::error::Error for Ignored {}

/// For an [`init`](super::Server::init) that finds that its server is not needed here, which is no failure: a feature is
/// switched off, a device is not there. OTP's `ignore`.
///
/// The process ends with `Normal`, and its start with [`StartError::Ignored`](super::StartError::Ignored). A supervisor
/// goes on without the child: it keeps the spec, so that the child can be
/// [started](crate::supervisor::SupervisorRef::restart_child) later, unless it is temporary; a dynamic supervisor forgets
/// it.
///
/// # Errors
/// Always: this is the one error of an `init` that is no failure.
///
/// ```
/// use heronry::prelude::*;
/// use heronry::server::ignore;
///
/// struct Printer;
///
/// impl Server for Printer {
///     type Args = bool;
///     type Msg = ();
///
///     async fn init(has_paper: bool, _: &mut Context<()>) -> Init<Self> {
///         if has_paper { Ok(Printer) } else { ignore() }
///     }
///
///     async fn handle(&mut self, (): (), _: &mut Context<()>) -> Next {
///         Next::Continue
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// assert_eq!(Printer::start(false).await, Err(StartError::Ignored));
/// let printer = ChildSpec::server::<Printer>("printer", false);
/// let tree = Supervisor::one_for_one().child(printer).start().await?;
/// assert_eq!(tree.which_children().await?[0].pid, None);
/// tree.stop().await;
/// # Ok(()) }
/// ```
#[must_use = "it does nothing but to be returned by init"]
pub fn ignore<S>() -> Init<S> {
    Err(Ignored.into())
}

/// Whether an `init` failed so.
pub(super) fn is_ignored(reason: &ExitReason) -> bool {
    matches!(reason, ExitReason::Error(error) if error.is::<Ignored>())
}
