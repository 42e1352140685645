//! The link from an actor to its process: a ractor supervisor of one child, which notes how that ends.

use std::sync::Arc;

use ::ractor::{Actor, ActorProcessingErr, ActorRef, SupervisionEvent};

use super::reason::{of_failure, of_stop};
use crate::exit::ExitReason;
use crate::sync::Mutex;
use crate::unwind::drop_quietly;

/// What is known of the end of an actor.
#[derive(Clone, Default)]
pub(super) struct Outcome(Arc<Mutex<Told>>);

#[derive(Default)]
struct Told {
    /// Whether `post_stop` was called: then the actor was stopped, and not killed.
    in_order: bool,
    reason: Option<ExitReason>,
}

impl Outcome {
    /// `post_stop` is called.
    pub(super) fn in_order(&self) {
        self.0.lock().in_order = true;
    }

    /// The reason, if the end was told.
    pub(super) fn take(&self) -> Option<ExitReason> {
        self.0.lock().reason.take()
    }
}

/// The supervisor. It decides nothing: the process does.
pub(super) struct Link;

impl Actor for Link {
    type Msg = ();
    type State = Outcome;
    type Arguments = Outcome;

    async fn pre_start(&self, _: ActorRef<()>, outcome: Outcome) -> Result<Outcome, ActorProcessingErr> {
        Ok(outcome)
    }

    async fn handle_supervisor_evt(
        &self,
        _: ActorRef<()>,
        event: SupervisionEvent,
        outcome: &mut Outcome,
    ) -> Result<(), ActorProcessingErr> {
        let reason = match event {
            SupervisionEvent::ActorTerminated(_, state, reason) => {
                let in_order = outcome.0.lock().in_order && state.is_some();
                drop_quietly(state);
                of_stop(reason, in_order)
            }
            SupervisionEvent::ActorFailed(_, error) => of_failure(error),
            // It has started, or a group of ractor's has changed.
            _ => return Ok(()),
        };
        outcome.0.lock().reason = Some(reason);
        Ok(())
    }
}
