//! A whole program: one tree of supervisors, and an end in order. OTP's `application`, with what a release adds.
//!
//! An application starts its root supervisor and runs until it is asked to stop, by `SIGTERM`, by `SIGINT` (Ctrl-C) or by a
//! [`StopHandle`]. Then, in this order:
//!
//! 1. Its drain hooks run, one after the other: the place to refuse new work and to finish what is under way.
//! 2. Its root supervisor stops the children in reverse start order, each as its spec says.
//! 3. The program ends with exit status 0.
//!
//! Both phases have a deadline. A second signal stops it at once. If the root supervisor ends by itself, restarting did not
//! help: the application has nothing left to run and ends with status 1, for whoever started the program to decide, as
//! OTP's permanent application ends its node.

mod drain;
mod inbox;
mod report;
mod shutdown;
mod signals;

pub use report::{ApplicationEnded, ApplicationStopping, DrainOverdue};
pub use shutdown::{Outcome, Signal};

use std::fmt;
use std::future::poll_fn;
use std::io::{self, Write as _};
use std::pin::Pin;
use std::process::ExitCode;
use std::task::{Context as TaskContext, Poll};
use std::time::Duration;

use tokio::time::Sleep;

use self::drain::{Drain, Hook};
use self::inbox::Inbox;
use self::shutdown::{Action, Ask, Deadlines, Event, Shutdown};
use self::signals::Subscription;
use crate::clock;
use crate::exit::ExitReason;
use crate::name::Label;
use crate::process;
use crate::server::StartError;
use crate::supervisor::{ChildSpec, Strategy, Supervisor, SupervisorRef};
use crate::telemetry;

/// How long the drain hooks take together, unless said otherwise.
pub const DRAIN_DEADLINE_DEFAULT: Duration = Duration::from_secs(10);

/// How long the supervisors take to stop, unless said otherwise. With the drain's it stays below the 30 s after which
/// Kubernetes and most service managers kill.
pub const STOP_DEADLINE_DEFAULT: Duration = Duration::from_secs(15);

/// An application that is being described; [`run`](Self::run) runs it to its end.
#[derive(Debug)]
#[must_use = "it does nothing until it is run"]
pub struct ApplicationBuilder {
    label: Label,
    root: Supervisor,
    hooks: Vec<Hook>,
    deadlines: Deadlines,
    signals: bool,
}

/// A running application.
///
/// ```no_run
/// use std::process::ExitCode;
/// use heronry::prelude::*;
/// use heronry::application::Application;
///
/// # #[derive(Clone)] struct Listener;
/// # impl Listener { async fn close(&self) {} }
/// #[tokio::main]
/// async fn main() -> ExitCode {
/// #   let listener = Listener;
///     Application::builder()
///         .label("shop")
///         .child(ChildSpec::process("clock", |mut ctx: Context<()>| async move { ctx.receive().await; }))
///         .on_drain("listener", move || async move { listener.close().await })
///         .run()
///         .await
/// }
/// ```
///
/// A program that has something to do once everything runs, or a test, starts it and waits:
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use heronry::prelude::*;
/// use heronry::application::{Application, Outcome};
///
/// let application = Application::builder()
///     .without_signals()
///     .child(ChildSpec::process("clock", |mut ctx: Context<()>| async move { ctx.receive().await; }))
///     .start()
///     .await?;
/// application.stop_handle().stop();
/// assert_eq!(application.wait().await, Outcome::Stopped);
/// # Ok(()) }
/// ```
pub struct Application {
    label: Label,
    tree: SupervisorRef,
    hooks: Vec<Hook>,
    inbox: Inbox,
    shutdown: Shutdown,
    deadlines: Deadlines,
    _signals: Option<Subscription>,
}

/// Stops an application from anywhere in its program. Cheap to clone.
#[derive(Clone, Debug)]
pub struct StopHandle(Inbox);

/// An application that did not start. Nothing of it is left.
#[derive(Debug)]
#[non_exhaustive]
pub enum ApplicationError {
    /// A child did not start; those that had were stopped again.
    Start(StartError),
    /// The system does not let the program listen to signals; run it [`without_signals`](ApplicationBuilder::without_signals)
    /// or find out why.
    Signals(io::Error),
}

impl fmt::Display for ApplicationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start(error) => write!(f, "the application did not start: {error}"),
            Self::Signals(error) => write!(f, "the application cannot listen to signals: {error}"),
        }
    }
}

impl std::error::Error for ApplicationError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Start(error) => Some(error),
            Self::Signals(error) => Some(error),
        }
    }
}

impl ApplicationBuilder {
    fn new() -> Self {
        Self {
            label: Label::from("application"),
            root: Supervisor::one_for_one().label("application"),
            hooks: Vec::new(),
            deadlines: Deadlines { drain: DRAIN_DEADLINE_DEFAULT, stop: STOP_DEADLINE_DEFAULT },
            signals: true,
        }
    }

    /// What the application, and its root supervisor, is called in logs and in the tree.
    pub fn label(self, label: impl Into<Label>) -> Self {
        let label = label.into();
        Self { root: self.root.label(label.clone()), label, ..self }
    }

    /// The root supervisor's strategy; `OneForOne` unless said otherwise.
    pub fn strategy(self, strategy: Strategy) -> Self {
        Self { root: self.root.strategy(strategy), ..self }
    }

    /// The root supervisor's intensity, [`Supervisor::intensity`]: one restart more, and the application ends.
    pub fn intensity(self, restarts: u32, period: Duration) -> Self {
        Self { root: self.root.intensity(restarts, period), ..self }
    }

    /// Adds a child; children start in the order in which they were added and stop in reverse.
    pub fn child(self, spec: ChildSpec) -> Self {
        Self { root: self.root.child(spec), ..self }
    }

    /// Adds a drain hook; hooks run in the order in which they were added, before any child is stopped.
    ///
    /// Each is a process of its own: if it crashes, that is reported, and the next one runs.
    pub fn on_drain<F, B>(mut self, label: impl Into<Label>, hook: F) -> Self
    where
        F: FnOnce() -> B + Send + 'static,
        B: Future<Output = ()> + Send + 'static,
    {
        self.hooks.push(Hook::new(label.into(), hook));
        self
    }

    /// How long the drain hooks may take together; what has not ended then is killed, or does not begin.
    pub fn drain_deadline(mut self, deadline: Duration) -> Self {
        self.deadlines.drain = deadline;
        self
    }

    /// How long the supervisors may take to stop; what has not stopped then is killed, and the exit status is 1. For an
    /// end in order it must be longer than the shutdown times of the children together.
    pub fn stop_deadline(mut self, deadline: Duration) -> Self {
        self.deadlines.stop = deadline;
        self
    }

    /// Leaves signals alone: for tests, and for programs that have a use of their own for them.
    pub fn without_signals(self) -> Self {
        Self { signals: false, ..self }
    }

    /// Listens to signals and starts the root supervisor with its children.
    ///
    /// # Errors
    /// [`ApplicationError`] if a child does not start, or signals can't be had.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub async fn start(self) -> Result<Application, ApplicationError> {
        let inbox = Inbox::default();
        // First: a signal that comes while the children start is not lost.
        let signals = self.signals.then(|| Subscription::new(inbox.clone())).transpose();
        let signals = signals.map_err(ApplicationError::Signals)?;
        let tree = self.root.start().await.map_err(ApplicationError::Start)?;
        Ok(Application {
            label: self.label,
            tree,
            hooks: self.hooks,
            inbox,
            shutdown: Shutdown::new(self.deadlines),
            deadlines: self.deadlines,
            _signals: signals,
        })
    }

    /// Starts the application and runs it to its end, [`Application::run`]: the body of `main`. If it does not start, that is
    /// told in the same way.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub async fn run(self) -> ExitCode {
        let label = self.label.clone();
        match self.start().await {
            Ok(application) => application.run().await,
            Err(error) => {
                complain(&label, &error);
                ExitCode::FAILURE
            }
        }
    }
}

/// Nothing is done about a standard error that can't be written to: there is nobody left to tell.
fn complain(label: &Label, what: &dyn fmt::Display) {
    if !telemetry::log::has_reader() {
        drop(writeln!(io::stderr(), "{label}: {what}"));
    }
}

impl Application {
    /// Begins to describe one.
    pub fn builder() -> ApplicationBuilder {
        ApplicationBuilder::new()
    }

    /// Its root supervisor.
    pub fn tree(&self) -> &SupervisorRef {
        &self.tree
    }

    /// What stops it from elsewhere.
    pub fn stop_handle(&self) -> StopHandle {
        StopHandle(self.inbox.clone())
    }

    /// Runs to the end and gives the exit status of the program.
    ///
    /// What went wrong is written to standard error if nothing reads the log. An application that was overdue or forced to
    /// stop has something stuck in it: the program ends within a second of this, whatever keeps `main` from its end.
    ///
    /// After an end in order tokio still waits for jobs that block a thread (`spawn_blocking`) when `main` drops its runtime;
    /// one more signal ends that.
    pub async fn run(self) -> ExitCode {
        let label = self.label.clone();
        let outcome = self.wait().await;
        match outcome {
            Outcome::Stopped => {}
            Outcome::GaveUp(_) => complain(&label, &outcome),
            Outcome::Overdue | Outcome::Forced(_) => {
                complain(&label, &outcome);
                signals::end_soon(outcome.status());
            }
        }
        ExitCode::from(outcome.status())
    }

    /// Runs to the end: until it has stopped, or its root supervisor has given up.
    ///
    /// A second signal ends the program a second later, whatever it does then.
    ///
    /// # Cancel safety
    /// If the future is dropped, the drain hook that runs is killed, the tree runs on, and nothing stops it in order.
    pub async fn wait(self) -> Outcome {
        let label = self.label.clone();
        let outcome = Shell::new(self).run().await;
        telemetry::emit(&ApplicationEnded { application: label, outcome: outcome.clone() });
        outcome
    }
}

impl fmt::Debug for Application {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Application")
            .field("label", &self.label)
            .field("tree", &self.tree.pid())
            .finish_non_exhaustive()
    }
}

impl StopHandle {
    /// Asks the application to stop, as a first signal does. Asking twice is asking once.
    pub fn stop(&self) {
        self.0.ask(Ask::Stop);
    }

    /// Has the application stop at once, as a second signal does: nothing is drained, its root supervisor is killed.
    pub fn stop_now(&self) {
        self.0.ask(Ask::Now);
    }
}

type Waiting<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Feeds the shutdown with what happens, and does what it says.
struct Shell {
    application: Application,
    /// The end of the root supervisor.
    ended: Waiting<ExitReason>,
    drain: Option<Drain>,
    /// The request to the root supervisor.
    stopping: Option<Waiting<()>>,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Shell {
    fn new(application: Application) -> Self {
        let tree = application.tree.clone();
        let ended = Box::pin(async move { tree.wait().await });
        Self { application, ended, drain: None, stopping: None, timer: None }
    }

    async fn run(mut self) -> Outcome {
        loop {
            let event = poll_fn(|cx| self.poll_event(cx)).await;
            let actions = self.application.shutdown.on(event, clock::now());
            let deadline = self.application.shutdown.deadline();
            self.timer = deadline.map(|deadline| Box::pin(tokio::time::sleep_until(deadline)));
            for action in actions {
                if let Some(outcome) = self.perform(action) {
                    return outcome;
                }
            }
        }
    }

    fn poll_event(&mut self, cx: &mut TaskContext<'_>) -> Poll<Event> {
        if let Poll::Ready(ask) = self.application.inbox.poll(cx) {
            return Poll::Ready(Event::Ask(ask));
        }
        if let Poll::Ready(reason) = self.ended.as_mut().poll(cx) {
            return Poll::Ready(Event::TreeEnded(reason));
        }
        if let Some(drain) = &mut self.drain
            && Pin::new(drain).poll(cx).is_ready()
        {
            self.drain = None;
            return Poll::Ready(Event::Drained);
        }
        if let Some(stopping) = &mut self.stopping
            && stopping.as_mut().poll(cx).is_ready()
        {
            // That it has ended comes as its end.
            self.stopping = None;
        }
        match &mut self.timer {
            Some(timer) => timer.as_mut().poll(cx).map(|()| Event::Tick),
            None => Poll::Pending,
        }
    }

    fn perform(&mut self, action: Action) -> Option<Outcome> {
        match action {
            Action::Drain(cause) => {
                let application = self.application.label.clone();
                telemetry::emit(&ApplicationStopping { application, cause: cause.to_string() });
                self.drain = Some(Drain::new(std::mem::take(&mut self.application.hooks)));
            }
            Action::AbandonDrain => self.drain = None,
            Action::DrainOverdue => {
                if let Some((hook, not_begun)) = self.drain.take().and_then(|drain| drain.unfinished()) {
                    let application = self.application.label.clone();
                    let deadline = self.application.deadlines.drain;
                    telemetry::emit(&DrainOverdue { application, hook, not_begun, deadline });
                }
            }
            Action::StopTree => {
                let tree = self.application.tree.clone();
                self.stopping = Some(Box::pin(async move { tree.stop().await }));
            }
            Action::KillTree => {
                process::kill(self.application.tree.pid());
            }
            Action::End(outcome) => return Some(outcome),
        }
        None
    }
}
