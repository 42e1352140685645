//! A ractor actor as a process.
//!
//! A process stands for the actor: it starts it, passes messages on to it, and ends with it. So whatever can be done with
//! a process can be done with the actor, and neither outlives the other.

use std::fmt;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Poll, ready};
use std::time::Duration;

use ::ractor::concurrency::JoinHandle;
use ::ractor::{Actor, ActorCell, ActorRef, MessagingErr, SpawnErr};
use tokio::time::{timeout, timeout_at};

use super::link::{Link, Outcome};
use super::reason::of_failure;
use super::supervised::Supervised;
use super::window::Window;
use crate::clock;
use crate::exit::ExitReason;
use crate::name::Label;
use crate::pid::Pid;
use crate::process::{self, Addr, Context, Exit, Info, Opened, Shown, SpawnOptions};
use crate::server::{self, ReplyTo, StartError};
use crate::supervisor::{ChildSpec, SHUTDOWN_DEFAULT, Spawner};
use crate::sync::Mutex;
use crate::telemetry::{self, Event, Level};

/// How many messages the process has passed on to its actor and the actor has not handled yet; the next one waits in the
/// mailbox of the process, under its limit and policy. ractor's own mailboxes have no limit.
///
/// Each message that goes to the actor directly, past the process, can let one more through.
pub const FORWARDED_MAX: usize = 128;

/// How long a killed actor is waited for. It ends at its next await, which a blocked one never reaches.
const KILL_WAIT: Duration = Duration::from_secs(5);

impl ChildSpec {
    /// A ractor actor; `describe` gives the actor and its arguments for each start.
    ///
    /// A process stands for the actor. Its messages are the actor's: its [`Addr`] takes casts and calls (found by
    /// [`whereis`](crate::process::whereis) if the child is [`named`](Self::named); ractor's registry then has the actor
    /// under the same name), and in the tree its label says that it is a ractor actor.
    ///
    /// - The actor's end is the end of the process. A panic in a callback is a `Panic` with its location, an error is an
    ///   `Error`, `stop` without a reason is `Normal`, `stop` with one (and `drain`) is `ShutdownWith`, `kill` is
    ///   `Killed`.
    /// - An exit signal for the process, from its supervisor or a link, stops the actor: it handles the message that it
    ///   is at and runs `post_stop`. If that takes longer than the child's shutdown allows (5 s for a link's signal), or
    ///   the process is killed, the actor is killed; a restart waits until it has ended. [`Addr::stop`] does the same
    ///   without a time of its own.
    /// - In the actor's callbacks [`self_pid`](crate::process::self_pid) is the process, and what they spawn stands
    ///   below it.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::time::Duration;
    /// use heronry::prelude::*;
    /// use heronry::ractor::ractor::{Actor, ActorProcessingErr, ActorRef};
    ///
    /// struct Adder;
    ///
    /// enum Msg { Add(u64), Sum(ReplyTo<u64>) }
    ///
    /// impl Actor for Adder {
    ///     type Msg = Msg;
    ///     type State = u64;
    ///     type Arguments = u64;
    ///
    ///     async fn pre_start(&self, _: ActorRef<Msg>, start: u64) -> Result<u64, ActorProcessingErr> {
    ///         Ok(start)
    ///     }
    ///
    ///     async fn handle(&self, _: ActorRef<Msg>, msg: Msg, sum: &mut u64) -> Result<(), ActorProcessingErr> {
    ///         match msg {
    ///             Msg::Add(n) => *sum += n,
    ///             Msg::Sum(reply_to) => reply_to.send(*sum),
    ///         }
    ///         Ok(())
    ///     }
    /// }
    ///
    /// let tree = Supervisor::one_for_one()
    ///     .child(ChildSpec::ractor("adder", || (Adder, 40)).named("adder"))
    ///     .start()
    ///     .await?;
    /// let adder: Addr<Msg> = whereis("adder")?;
    /// adder.cast(Msg::Add(2))?;
    /// assert_eq!(adder.call(Msg::Sum, Duration::from_secs(5)).await?, 42);
    /// assert!(heronry::inspect::tree().to_string().contains("adder (ractor)"));
    /// # tree.stop().await;
    /// # Ok(()) }
    /// ```
    pub fn ractor<A, F>(id: impl Into<Label>, describe: F) -> Self
    where
        A: Actor,
        F: Fn() -> (A, A::Arguments) + Send + Sync + 'static,
    {
        let (describe, ghosts) = (Arc::new(describe), Ghosts::default());
        Self::new(id, move |spawner| {
            let (describe, ghosts) = (describe.clone(), ghosts.clone());
            async move { Ok(under(spawner, "ractor", ghosts, move || describe()).await?.pid()) }
        })
    }
}

/// Starts a ractor actor with a process that stands for it, linked to nobody. See [`ChildSpec::ractor`].
///
/// # Errors
/// [`StartError::Init`] if `pre_start` fails or panics.
///
/// # Panics
/// Outside of a tokio runtime.
pub async fn start<A: Actor>(actor: A, args: A::Arguments) -> Result<Addr<A::Msg>, StartError> {
    alone("actor (ractor)".to_owned(), || (actor, args)).await
}

/// Starts a ractor actor as a child, within the start function of a [`ChildSpec`]: for when the address is needed.
///
/// Unlike [`ChildSpec::ractor`] it does not wait for a killed predecessor of the actor.
///
/// # Errors
/// [`StartError`] if the name is taken, here or in ractor's registry, or `pre_start` fails or panics.
pub async fn start_child<A: Actor>(
    spawner: Spawner,
    actor: A,
    args: A::Arguments,
) -> Result<Addr<A::Msg>, StartError> {
    under(spawner, "ractor", Ghosts::default(), || (actor, args)).await
}

/// Starts an actor and its process, linked to nobody.
pub(super) async fn alone<A: Actor>(
    label: String,
    describe: impl FnOnce() -> (A, A::Arguments) + Send + 'static,
) -> Result<Addr<A::Msg>, StartError> {
    let options = SpawnOptions::new().label(label).trap_exit(true);
    let body = |ctx, ready| stand_for(describe, None, Ghosts::default(), ctx, ready);
    server::start(options, None, body).await
}

/// Starts an actor and its process as a child; `kind` says in its label what it is.
pub(super) async fn under<A: Actor>(
    spawner: Spawner,
    kind: &str,
    ghosts: Ghosts,
    describe: impl FnOnce() -> (A, A::Arguments) + Send + 'static,
) -> Result<Addr<A::Msg>, StartError> {
    let (label, name) = spawner.called();
    let label = format!("{} ({kind})", label.map_or("actor", Label::as_str));
    let name = name.map(ToString::to_string);
    let spawner = spawner.options(|options| options.label(label).trap_exit(true));
    spawner.spawn_ready(|ctx, ready| stand_for(describe, name, ghosts, ctx, ready)).await
}

/// Actors of one child that were killed and may not have ended yet: who comes next waits for them, as for the end of any
/// process, so that it finds their names and whatever they held free.
#[derive(Clone, Default)]
pub(super) struct Ghosts(Arc<Mutex<Vec<ActorCell>>>);

impl Ghosts {
    async fn wait(&self) {
        let ghosts = std::mem::take(&mut *self.0.lock());
        let deadline = clock::now() + KILL_WAIT;
        for ghost in ghosts {
            // One that never awaits is not waited for longer: its successor then says what it lacks.
            drop(timeout_at(deadline, ghost.wait(None)).await);
        }
    }
}

/// The actor of a process, and the actor that hears of its end. When the process ends, both do.
struct Pair<A: Actor> {
    actor: ActorRef<A::Msg>,
    task: JoinHandle<()>,
    link: ActorRef<()>,
    link_task: JoinHandle<()>,
    outcome: Outcome,
    ghosts: Ghosts,
}

impl<A: Actor> Drop for Pair<A> {
    fn drop(&mut self) {
        if !self.task.is_finished() {
            self.actor.kill();
            self.ghosts.0.lock().push(self.actor.get_cell());
        }
        self.link.kill();
    }
}

/// The body of the process.
async fn stand_for<A: Actor>(
    describe: impl FnOnce() -> (A, A::Arguments) + Send,
    name: Option<String>,
    ghosts: Ghosts,
    ctx: Context<A::Msg>,
    ready: ReplyTo<()>,
) -> ExitReason {
    ghosts.wait().await;
    let (actor, args) = describe();
    let window = Arc::new(Window::new(FORWARDED_MAX));
    let outcome = Outcome::default();
    let supervised = Supervised::new(actor, ctx.pid(), window.clone(), outcome.clone());
    // Boxed: it runs once, and would else be room that the process keeps.
    let pair = match Box::pin(Pair::start(supervised, args, name, outcome, ghosts)).await {
        Ok(pair) => pair,
        Err(SpawnErr::StartupFailed(error)) => return of_failure(error),
        Err(error) => return error.into(),
    };
    ready.send(());
    StandIn { ctx, pair, window, undelivered: None }.run().await
}

impl<A: Actor> Pair<A> {
    async fn start(
        supervised: Supervised<A>,
        args: A::Arguments,
        name: Option<String>,
        outcome: Outcome,
        ghosts: Ghosts,
    ) -> Result<Self, SpawnErr> {
        let (link, link_task) = Actor::spawn(None, Link, outcome.clone()).await?;
        let (actor, task) = match Actor::spawn_linked(name, supervised, args, link.get_cell()).await {
            Ok(started) => started,
            Err(error) => {
                link.kill();
                return Err(error);
            }
        };
        Ok(Self { actor, task, link, link_task, outcome, ghosts })
    }

    /// Why the actor ended, once its task is over.
    async fn reason(&mut self) -> ExitReason {
        // The news of the end waits before the order to drain, which has the link read it first.
        drop(self.link.drain());
        drop((&mut self.link_task).await);
        let told = self.outcome.take();
        told.unwrap_or_else(|| {
            ExitReason::custom("the ractor actor was taken over by another supervisor, and ended")
        })
    }
}

/// The process while its actor runs.
struct StandIn<A: Actor> {
    ctx: Context<A::Msg>,
    pair: Pair<A>,
    window: Arc<Window>,
    /// A message that the actor does not take any more. Kept until the end, so that a call in it hears the exit reason.
    undelivered: Option<A::Msg>,
}

/// What ends the waiting of the process.
enum Step {
    /// The actor has ended.
    Ended,
    /// Somebody asks for its end.
    Stop(ExitReason, Patience),
}

/// How long an actor that was asked to stop may take; then it is killed.
enum Patience {
    /// As long as it takes: whoever asked waits as long as it wants, and may kill the process.
    Endless,
    /// As long as its supervisor lives, which has a deadline of its own and kills the process then.
    Supervisor(Pid),
    /// 5 s.
    Link,
}

impl<A: Actor> StandIn<A> {
    async fn run(mut self) -> ExitReason {
        match poll_fn(|cx| self.poll_forward(cx)).await {
            Step::Stop(reason, patience) => {
                let told = self.stop(&reason, patience).await;
                if told.is_orderly() { reason } else { told }
            }
            Step::Ended => self.pair.reason().await,
        }
    }

    /// Passes messages on until the actor ends or is to end.
    fn poll_forward(&mut self, cx: &mut std::task::Context<'_>) -> Poll<Step> {
        if Pin::new(&mut self.pair.task).poll(cx).is_ready() {
            return Poll::Ready(Step::Ended);
        }
        while self.undelivered.is_none() {
            ready!(self.window.poll_room(cx));
            match ready!(self.ctx.poll_item(cx)) {
                Opened::Message(message) => {
                    self.window.take();
                    match self.pair.actor.send_message(message) {
                        Ok(()) => {}
                        Err(MessagingErr::SendErr(message)) => self.undelivered = Some(message),
                        Err(MessagingErr::ChannelClosed | MessagingErr::InvalidActorType) => {
                            unreachable!(
                                "invariant: a message has its actor's type, and comes back if it is not sent"
                            )
                        }
                    }
                }
                Opened::Info(info) => match *info {
                    Info::Exit(Exit { reason, .. }) if reason.is_normal() => {}
                    Info::Exit(Exit { from, reason }) => {
                        let asked = self.ctx.parent() == Some(from) && reason == ExitReason::Shutdown;
                        let patience = if asked { Patience::Supervisor(from) } else { Patience::Link };
                        return Poll::Ready(Step::Stop(reason, patience));
                    }
                    Info::Down(_) => {}
                },
                Opened::Stop(reason) => return Poll::Ready(Step::Stop(*reason, Patience::Endless)),
                Opened::Ask(ask) => ask.answer(|| Shown::Nothing),
            }
        }
        Poll::Pending
    }

    /// Stops the actor in order, or kills it when its time is up; gives the reason of its end.
    async fn stop(&mut self, reason: &ExitReason, patience: Patience) -> ExitReason {
        self.pair.actor.stop(Some(reason.to_string()));
        let mut patience = pin!(async {
            match patience {
                Patience::Endless => std::future::pending().await,
                Patience::Supervisor(supervisor) => drop(process::wait(supervisor).await),
                Patience::Link => {}
            }
            tokio::time::sleep(SHUTDOWN_DEFAULT).await;
        });
        let task = &mut self.pair.task;
        let stopped = poll_fn(|cx| match Pin::new(&mut *task).poll(cx) {
            Poll::Ready(_) => Poll::Ready(true),
            Poll::Pending => patience.as_mut().poll(cx).map(|()| false),
        });
        if !stopped.await {
            self.pair.actor.kill();
            if timeout(KILL_WAIT, &mut self.pair.task).await.is_err() {
                telemetry::emit(&ActorStuck { pid: self.ctx.pid() });
                return ExitReason::Killed;
            }
        }
        self.pair.reason().await
    }
}

/// A killed actor did not end, since it never awaits: `heronry.ractor.actor_stuck`.
#[derive(Debug)]
#[non_exhaustive]
pub struct ActorStuck {
    /// The process that stood for the actor, and ends without it.
    pub pid: Pid,
}

impl fmt::Display for ActorStuck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pid = self.pid;
        write!(
            f,
            "the ractor actor of {pid} was killed but goes on: it blocks its thread without an await; its process no \
             longer waits for it"
        )
    }
}

impl Event for ActorStuck {
    fn name(&self) -> &'static str {
        "heronry.ractor.actor_stuck"
    }

    fn level(&self) -> Level {
        Level::Error
    }
}
