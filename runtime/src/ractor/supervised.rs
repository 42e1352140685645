//! An actor with its process around it: what the actor's callbacks do, the process does.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use ::ractor::{Actor, ActorProcessingErr, ActorRef, SupervisionEvent};

use super::link::Outcome;
use super::reason::ExitError;
use super::window::Window;
use crate::pid::Pid;
use crate::process;

/// The actor that ractor runs; of the same messages, state and arguments as the one within.
pub(super) struct Supervised<A> {
    actor: A,
    pid: Pid,
    window: Arc<Window>,
    outcome: Outcome,
}

impl<A: Actor> Supervised<A> {
    pub(super) fn new(actor: A, pid: Pid, window: Arc<Window>, outcome: Outcome) -> Self {
        Self { actor, pid, window, outcome }
    }

    /// Runs a callback as the process does: within it, a panic as an exit reason. If the callback ends the actor, the
    /// calls that it dropped unanswered hear the exit reason when the process ends.
    async fn as_process<T>(
        &self,
        callback: impl Future<Output = Result<T, ActorProcessingErr>>,
    ) -> Result<T, ActorProcessingErr> {
        let mut callback = pin!(callback);
        poll_fn(|cx| {
            let (polled, unanswered) = process::run_as(self.pid, || callback.as_mut().poll(cx));
            let polled = polled.unwrap_or_else(|reason| Poll::Ready(Err(ExitError::new(reason).into())));
            if !matches!(polled, Poll::Ready(Err(_))) {
                for watcher in unanswered {
                    watcher.forgiven();
                }
            }
            polled
        })
        .await
    }
}

impl<A: Actor> Actor for Supervised<A> {
    type Msg = A::Msg;
    type State = A::State;
    type Arguments = A::Arguments;

    async fn pre_start(
        &self,
        myself: ActorRef<A::Msg>,
        args: A::Arguments,
    ) -> Result<A::State, ActorProcessingErr> {
        self.as_process(async { self.actor.pre_start(myself, args).await }).await
    }

    async fn post_start(
        &self,
        myself: ActorRef<A::Msg>,
        state: &mut A::State,
    ) -> Result<(), ActorProcessingErr> {
        self.as_process(async { self.actor.post_start(myself, state).await }).await
    }

    async fn post_stop(
        &self,
        myself: ActorRef<A::Msg>,
        state: &mut A::State,
    ) -> Result<(), ActorProcessingErr> {
        self.outcome.in_order();
        self.as_process(async { self.actor.post_stop(myself, state).await }).await
    }

    async fn handle(
        &self,
        myself: ActorRef<A::Msg>,
        message: A::Msg,
        state: &mut A::State,
    ) -> Result<(), ActorProcessingErr> {
        let handled = self.as_process(async { self.actor.handle(myself, message, state).await }).await;
        self.window.give_back();
        handled
    }

    async fn handle_supervisor_evt(
        &self,
        myself: ActorRef<A::Msg>,
        event: SupervisionEvent,
        state: &mut A::State,
    ) -> Result<(), ActorProcessingErr> {
        self.as_process(async { self.actor.handle_supervisor_evt(myself, event, state).await }).await
    }
}
