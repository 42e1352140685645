//! A server among ractor's actors: the mirror image of `child.rs`.
//!
//! An actor stands for the server's process: it starts it, passes messages on to it, and ends with it.

use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use ::ractor::{Actor, ActorProcessingErr, ActorRef, Message, RpcReplyPort, SupervisionEvent};
use tokio::time::timeout;

use super::reason::ExitError;
use crate::exit::ExitReason;
use crate::pid::Pid;
use crate::process::{self, Addr};
use crate::server::{ReplyTo, Server, ServerOptions, StopError};
use crate::supervisor::SHUTDOWN_DEFAULT;

/// How long the actor waits for a server that it had to kill, and that ends at its next await.
const KILL_WAIT: Duration = Duration::from_secs(5);

/// A [`Server`] as a ractor actor: spawn it as any actor, with the server's arguments, and send it the server's messages.
///
/// - `pre_start` waits for `init`; if that fails, so does the spawn.
/// - What is sent to the actor is passed on to the server's mailbox in order. If that is full, its policy decides, and a
///   message that is refused is dropped (`heronry.mailbox.full` tells): ractor's senders are told of no limit.
/// - The server's end is the actor's. `Normal` is a stop without a reason, another orderly one a stop with it; anything else
///   is a failure, and the actor's supervisor is given an [`ExitError`] with the exit reason.
/// - Stopping the actor stops the server with `Shutdown`, as [`Addr::stop`]: it handles what waits in its mailbox, then
///   `terminate` runs. After 5 s it is killed. Killing the actor kills the server.
///
/// The actor's state is the server's address.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use heronry::prelude::*;
/// use heronry::ractor::ractor::{Actor, rpc::CallResult};
/// use heronry::ractor::{Hosted, reply_to};
///
/// struct Counter { count: u64 }
///
/// enum Msg { Add(u64), Get(ReplyTo<u64>) }
///
/// impl Server for Counter {
///     type Args = u64;
///     type Msg = Msg;
///
///     async fn init(start: u64, _: &mut Context<Msg>) -> Init<Self> { Ok(Counter { count: start }) }
///
///     async fn handle(&mut self, msg: Msg, _: &mut Context<Msg>) -> Next {
///         match msg {
///             Msg::Add(n) => self.count += n,
///             Msg::Get(reply_to) => reply_to.send(self.count),
///         }
///         Next::Continue
///     }
/// }
///
/// let (counter, task) = Actor::spawn(None, Hosted::<Counter>::new(), 40).await?;
/// counter.cast(Msg::Add(2))?;
/// let count = counter.call(|port| Msg::Get(reply_to(port)), None).await?;
/// assert!(matches!(count, CallResult::Success(42)));
/// counter.stop(None);
/// task.await?;
/// # Ok(()) }
/// ```
pub struct Hosted<S> {
    options: ServerOptions,
    server: PhantomData<fn() -> S>,
}

impl<S: Server> Hosted<S> {
    /// With the default [`ServerOptions`].
    pub fn new() -> Self {
        Self::with(ServerOptions::new())
    }

    /// With a name, a label or a mailbox limit.
    pub fn with(options: ServerOptions) -> Self {
        Self { options, server: PhantomData }
    }
}

impl<S: Server> Default for Hosted<S> {
    fn default() -> Self {
        Self::new()
    }
}

impl<S> fmt::Debug for Hosted<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hosted").field("options", &self.options).finish_non_exhaustive()
    }
}

/// The reply slot for a call of ractor's: the reply goes to `port`, and a slot that is dropped unused closes it.
///
/// With it the messages of a [`Server`] serve calls from both sides; see [`Hosted`].
pub fn reply_to<T: Send + 'static>(port: RpcReplyPort<T>) -> ReplyTo<T> {
    // A caller whose time is up does not take the reply any more.
    ReplyTo::relay(move |reply| drop(port.send(reply)))
}

impl<S> Actor for Hosted<S>
where
    S: Server<Msg: Message>,
{
    type Msg = S::Msg;
    type State = Addr<S::Msg>;
    type Arguments = S::Args;

    async fn pre_start(
        &self,
        myself: ActorRef<S::Msg>,
        args: S::Args,
    ) -> Result<Addr<S::Msg>, ActorProcessingErr> {
        let mut owned = Owned(None);
        let claim = |addr: &Addr<S::Msg>| {
            owned.0 = Some(addr.pid());
            Ok(())
        };
        let started = self.options.clone().start_if::<S>(args, claim).await;
        let addr = started.map_err(|error| ExitError::new(error.into_reason()))?;
        let server = (addr.clone(), owned);
        Actor::spawn_linked(None, Watch(PhantomData), server, myself.get_cell()).await?;
        Ok(addr)
    }

    async fn handle(
        &self,
        _: ActorRef<S::Msg>,
        message: S::Msg,
        addr: &mut Addr<S::Msg>,
    ) -> Result<(), ActorProcessingErr> {
        // A server that has ended is the watch's to tell; a full mailbox has told already.
        drop(addr.send_wait(message).await);
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        myself: ActorRef<S::Msg>,
        event: SupervisionEvent,
        _: &mut Addr<S::Msg>,
    ) -> Result<(), ActorProcessingErr> {
        let SupervisionEvent::ActorFailed(_, error) = event else { return Ok(()) };
        match error.downcast_ref::<ExitError>().map(ExitError::reason) {
            Some(ExitReason::Normal) => myself.stop(None),
            Some(reason) if reason.is_orderly() => myself.stop(Some(reason.to_string())),
            Some(_) | None => return Err(error),
        }
        Ok(())
    }

    async fn post_stop(
        &self,
        _: ActorRef<S::Msg>,
        addr: &mut Addr<S::Msg>,
    ) -> Result<(), ActorProcessingErr> {
        let ended = match addr.stop(ExitReason::Shutdown, SHUTDOWN_DEFAULT).await {
            Ok(()) => return Ok(()),
            Err(StopError::Exited(ended)) => ended,
            Err(StopError::Timeout(_)) => {
                process::kill(addr.pid());
                timeout(KILL_WAIT, addr.wait()).await.unwrap_or(ExitReason::Killed)
            }
            Err(StopError::StoppingSelf) => {
                unreachable!("invariant: an actor is not the process that it stands for")
            }
        };
        if ended.is_orderly() { Ok(()) } else { Err(ExitError::new(ended).into()) }
    }
}

/// A process that is killed when this is dropped.
struct Owned(Option<Pid>);

impl Drop for Owned {
    fn drop(&mut self) {
        if let Some(pid) = self.0 {
            process::kill(pid);
        }
    }
}

/// The link from the server to its actor: a child of the actor that fails when the server ends, whyever. It ends with the
/// actor, and then the server does.
struct Watch<M>(PhantomData<fn() -> M>);

impl<M: Send + 'static> Actor for Watch<M> {
    type Msg = ();
    type State = (Addr<M>, Owned);
    type Arguments = Self::State;

    async fn pre_start(
        &self,
        _: ActorRef<()>,
        server: Self::State,
    ) -> Result<Self::State, ActorProcessingErr> {
        Ok(server)
    }

    async fn post_start(
        &self,
        _: ActorRef<()>,
        (addr, owned): &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        let reason = addr.wait().await;
        owned.0 = None;
        Err(ExitError::new(reason).into())
    }
}
