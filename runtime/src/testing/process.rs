//! The process of a test.

use std::fmt::{self, Debug};
use std::future::poll_fn;
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::timeout;

use super::waiting::{Waiting, unexpected};
use super::{ASSERT_RECEIVE_TIMEOUT_DEFAULT, REFUTE_RECEIVE_TIMEOUT_DEFAULT};
use crate::exit::ExitReason;
use crate::name::Label;
use crate::pid::{Pid, Ref};
use crate::process::{
    self, Addr, Context, Down, Exit, ExitWatch, Info, MAILBOX_LIMIT_DEFAULT, Received, SpawnOptions,
};
use crate::server::Server;
use crate::supervisor::{ChildError, ChildSpec, Supervisor, SupervisorRef};
use crate::sync::Mutex;

/// How many restarts the test's supervisor takes for normal in a second: as many as ExUnit's. What a test does to its
/// children is meant.
const INTENSITY: (u32, Duration) = (1_000_000, Duration::from_secs(1));

/// The process that a test is: it takes messages of type `M`, has links and monitors, and supervises what the test starts.
/// In ExUnit each test runs in such a process.
///
/// The test's code reads the mailbox by [`assert_receive!`](super::assert_receive) and its kin. The code itself runs where
/// it always does, outside of any process: [`process::self_pid`] knows nothing of it, [`pid`](Self::pid) does.
///
/// Within [`run`](Self::run) an exit signal that is not trapped ends the test at once, and when the test is over, however
/// it ends, its children are stopped, the last first, before anything else happens: names are free for the next test. With
/// [`start`](Self::start) the next assertion fails after such a signal, or else the end of the test, and one has to call
/// [`finish`](Self::finish) for the rest.
///
/// # Panics
/// When it is dropped without [`finish`](Self::finish), if an exit signal has ended it and no assertion has told.
///
/// ```
/// use std::time::Duration;
/// use heronry::prelude::*;
/// use heronry::testing::{TestProcess, assert_receive};
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
/// let mut test = TestProcess::start();
/// heronry::timer::send_after(&test.addr(), Duration::from_millis(20), "tick");
/// assert_receive!(test, "tick");
/// test.finish().await;
/// # }
/// ```
pub struct TestProcess<M: Send + 'static> {
    context: Context<M>,
    exit: ExitWatch,
    ended: Option<ExitReason>,
    /// The test knows of the end, or it is its own doing.
    told: bool,
    /// What was taken out of the mailbox and not asserted yet.
    waiting: Waiting<Received<M>>,
    supervisor: Option<SupervisorRef>,
    assert_timeout: Duration,
    refute_timeout: Duration,
}

impl<M: Send + 'static> TestProcess<M> {
    /// Starts the process of a test.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn start() -> Self {
        let (mut given, exit) = (None, ExitWatch::new());
        let addr = SpawnOptions::new().label("test").spawn(|context| {
            given = Some(context);
            std::future::pending::<()>()
        });
        let ended = process::watch_exit(&addr, exit.watcher()).err();
        Self {
            context: given.expect("invariant: a body is given its context before it is spawned"),
            exit,
            ended,
            told: false,
            waiting: Waiting::new(),
            supervisor: None,
            assert_timeout: ASSERT_RECEIVE_TIMEOUT_DEFAULT,
            refute_timeout: REFUTE_RECEIVE_TIMEOUT_DEFAULT,
        }
    }

    /// Runs a test from its start to its [`finish`](Self::finish), which it comes to even if the test panics.
    ///
    /// If an exit signal ends the process of the test, the test is dropped where it awaits.
    ///
    /// # Panics
    /// As the test does; if an exit signal ends its process; outside of a tokio runtime.
    ///
    /// ```should_panic
    /// use heronry::prelude::*;
    /// use heronry::testing::TestProcess;
    ///
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
    /// TestProcess::run(async |test: &mut TestProcess<()>| {
    ///     test.context().spawn_link(SpawnOptions::new(), |_: Context<()>| async { panic!("ill") });
    ///     std::future::pending::<()>().await // the crash of what it is linked with ends the test
    /// })
    /// .await;
    /// # }
    /// ```
    pub async fn run<T>(test: impl AsyncFnOnce(&mut Self) -> T) -> T {
        Self::run_in(Self::start(), test).await
    }

    /// [`run`](Self::run) for what has a process and more.
    #[doc(hidden)]
    pub async fn run_in<H: AsMut<Self>, T>(mut host: H, test: impl AsyncFnOnce(&mut H) -> T) -> T {
        let mut exit = ExitWatch::new();
        let ended = process::watch_exit(&host.as_mut().addr(), exit.watcher()).err();
        let outcome = {
            let mut body = pin!(test(&mut host));
            poll_fn(|cx| {
                let exit = ended.clone().map_or_else(|| Pin::new(&mut exit).poll(cx), Poll::Ready);
                if exit.is_ready() {
                    return Poll::Ready(None);
                }
                match catch_unwind(AssertUnwindSafe(|| body.as_mut().poll(cx))) {
                    Ok(polled) => polled.map(|value| Some(Ok(value))),
                    Err(panic) => Poll::Ready(Some(Err(panic))),
                }
            })
            .await
        };
        let ended = host.as_mut().end().await;
        match (outcome, ended) {
            (Some(Err(panic)), _) => resume_unwind(panic),
            (_, Some(exit)) => panic!("{exit}"),
            (Some(Ok(value)), None) => value,
            (None, None) => unreachable!("invariant: a test that is not over is cut short by an exit alone"),
        }
    }

    /// Ends the test: its process with `Shutdown`, then its children, the last first. Returns when all have ended.
    ///
    /// # Panics
    /// If an exit signal has ended its process before.
    pub async fn finish(mut self) {
        if let Some(exit) = self.end().await {
            panic!("{exit}");
        }
    }

    /// Its address.
    pub fn addr(&self) -> Addr<M> {
        self.context.addr()
    }

    /// Its identity.
    pub fn pid(&self) -> Pid {
        self.context.pid()
    }

    /// The context of the process, for what wants one ([`Task::spawn`](crate::Task::spawn),
    /// [`spawn_link`](Context::spawn_link), [`send_after`](Context::send_after)).
    pub fn context(&self) -> &Context<M> {
        &self.context
    }

    /// [`Context::link`].
    pub fn link(&self, other: Pid) {
        self.context.link(other);
    }

    /// [`Context::unlink`].
    pub fn unlink(&self, other: Pid) {
        self.context.unlink(other);
    }

    /// [`Context::trap_exit`].
    pub fn trap_exit(&self, on: bool) -> bool {
        self.context.trap_exit(on)
    }

    /// [`Context::monitor`]; [`assert_down!`](super::assert_down) waits for its `Down`.
    pub fn monitor(&self, target: Pid) -> Ref {
        self.context.monitor(target)
    }

    /// [`Context::demonitor`]: no `Down` of it is there after this.
    pub fn demonitor(&mut self, monitor: Ref) {
        self.context.demonitor(monitor);
        self.waiting.discard(|received| is_down(received, monitor));
    }

    /// How long assertions wait that are not told otherwise. ExUnit's `assert_receive_timeout`.
    pub fn set_assert_receive_timeout(&mut self, time: Duration) {
        self.assert_timeout = time;
    }

    /// How long refutations wait that are not told otherwise. ExUnit's `refute_receive_timeout`.
    pub fn set_refute_receive_timeout(&mut self, time: Duration) {
        self.refute_timeout = time;
    }

    /// Starts a child under the test's supervisor (one for one, and it bears any number of restarts) and gives its pid.
    /// It is stopped when the test is over, before those that were started earlier. ExUnit's `start_supervised/2`.
    ///
    /// # Errors
    /// [`ChildError`] if the id is taken or the child does not start.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub async fn start_supervised(&mut self, spec: ChildSpec) -> Result<Pid, ChildError> {
        let supervisor = match &self.supervisor {
            Some(supervisor) => supervisor,
            None => {
                let supervisor = Supervisor::one_for_one().label("test supervisor");
                let started = supervisor.intensity(INTENSITY.0, INTENSITY.1).start().await;
                let started =
                    started.map_err(|error| ChildError::Start(Label::from("test supervisor"), error))?;
                self.supervisor.insert(started)
            }
        };
        supervisor.start_child(spec).await
    }

    /// [`start_supervised`](Self::start_supervised) for a server, of whose first incarnation this gives the address.
    ///
    /// # Errors
    /// As [`start_supervised`](Self::start_supervised).
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub async fn start_supervised_server<S: Server<Args: Clone + Sync>>(
        &mut self,
        id: impl Into<Label>,
        args: S::Args,
    ) -> Result<Addr<S::Msg>, ChildError> {
        let first: Arc<Mutex<Option<Addr<S::Msg>>>> = Arc::default();
        let noted = first.clone();
        let spec = ChildSpec::new(id, move |spawner| {
            let (args, noted) = (args.clone(), noted.clone());
            async move {
                let addr = spawner.server::<S>(args).await?;
                let pid = addr.pid();
                noted.lock().get_or_insert(addr);
                Ok(pid)
            }
        });
        self.start_supervised(spec).await?;
        let first = first.lock().take();
        Ok(first.expect("invariant: a child that has started was noted"))
    }

    /// [`start_supervised`](Self::start_supervised), linked with the test: if the child crashes, so does the test. ExUnit's
    /// `start_link_supervised!/2`.
    ///
    /// # Errors
    /// As [`start_supervised`](Self::start_supervised).
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub async fn start_link_supervised(&mut self, spec: ChildSpec) -> Result<Pid, ChildError> {
        let pid = self.start_supervised(spec).await?;
        self.context.link(pid);
        Ok(pid)
    }

    /// Stops a child of the test's supervisor and forgets it; returns when it has ended, and its name and its id are free.
    /// ExUnit's `stop_supervised/1`.
    ///
    /// # Errors
    /// [`ChildError::NotFound`] if there is no such child.
    pub async fn stop_supervised(&mut self, id: impl Into<Label>) -> Result<(), ChildError> {
        let id = id.into();
        let supervisor = self.supervisor.as_ref().ok_or(ChildError::NotFound)?;
        let children = supervisor.which_children().await?;
        if let Some(pid) = children.iter().find(|child| child.id == id).and_then(|child| child.pid) {
            self.context.unlink(pid);
        }
        supervisor.terminate_child(id.clone()).await?;
        match supervisor.delete_child(id).await {
            // The spec of a temporary child went with it.
            Ok(()) | Err(ChildError::NotFound) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// The test's supervisor, if it has started a child.
    pub fn supervisor(&self) -> Option<&SupervisorRef> {
        self.supervisor.as_ref()
    }

    /// Ends everything; says so if an exit signal had ended the process before.
    async fn end(&mut self) -> Option<String> {
        self.told = true;
        let was_over = self.exit_reason().is_some();
        self.exit_now();
        let reason = match self.ended.take() {
            Some(reason) => reason,
            None => poll_fn(|cx| Pin::new(&mut self.exit).poll(cx)).await,
        };
        if let Some(supervisor) = self.supervisor.take() {
            supervisor.stop().await;
        }
        (was_over || reason != ExitReason::Shutdown).then(|| self.ended_by(&reason))
    }

    fn exit_now(&self) {
        self.context.trap_exit(false);
        process::exit(self.pid(), ExitReason::Shutdown);
    }

    fn exit_reason(&self) -> Option<ExitReason> {
        self.context.addr().process().exit_reason()
    }

    fn ended_by(&self, reason: &ExitReason) -> String {
        format!("EXIT from {}, the process of this test: {reason}", self.pid())
    }

    /// Takes everything out of the mailbox; or says that the process has ended.
    fn poll_pull(&mut self, cx: &mut TaskContext<'_>) -> Result<(), ExitReason> {
        if self.ended.is_none()
            && let Poll::Ready(reason) = Pin::new(&mut self.exit).poll(cx)
        {
            self.ended = Some(reason);
        }
        if let Some(reason) = &self.ended {
            self.told = true;
            return Err(reason.clone());
        }
        // Beyond the limit the rest waits in the mailbox, which has one of its own.
        while self.waiting.len() < MAILBOX_LIMIT_DEFAULT
            && let Poll::Ready(received) = self.context.poll_receive(cx)
        {
            self.waiting.push(received);
        }
        Ok(())
    }
}

impl<M: Debug + Send + 'static> TestProcess<M> {
    async fn take<R>(
        &mut self,
        time: Duration,
        mut wanted: impl FnMut(Received<M>) -> ControlFlow<R, Received<M>>,
    ) -> Result<Option<R>, String> {
        let mut seen = 0;
        let found = poll_fn(|cx| match self.poll_pull(cx) {
            Ok(()) => self
                .waiting
                .take(&mut seen, &mut wanted)
                .map_or(Poll::Pending, |found| Poll::Ready(Ok(found))),
            Err(reason) => Poll::Ready(Err(reason)),
        });
        match timeout(time, found).await {
            Ok(Ok(found)) => Ok(Some(found)),
            Ok(Err(reason)) => Err(self.ended_by(&reason)),
            Err(_) => Ok(None),
        }
    }

    async fn assert_taken<R>(
        &mut self,
        what: &str,
        time: Option<Duration>,
        wanted: impl FnMut(Received<M>) -> ControlFlow<R, Received<M>>,
    ) -> Result<R, String> {
        let time = time.unwrap_or(self.assert_timeout);
        let found = self.take(time, wanted).await?;
        found.ok_or_else(|| self.waiting.no_match(what, time, "process mailbox", Shown))
    }

    async fn refute_taken<R: Debug>(
        &mut self,
        what: &str,
        time: Option<Duration>,
        wanted: impl FnMut(Received<M>) -> ControlFlow<R, Received<M>>,
    ) -> Result<(), String> {
        match self.take(time.unwrap_or(self.refute_timeout), wanted).await? {
            Some(found) => Err(unexpected(what, &found)),
            None => Ok(()),
        }
    }

    /// What [`assert_receive!`](super::assert_receive) does; the text of its failure.
    #[doc(hidden)]
    pub async fn assert_message<R>(
        &mut self,
        pattern: &str,
        time: Option<Duration>,
        wanted: impl FnMut(M) -> ControlFlow<R, M>,
    ) -> Result<R, String> {
        self.assert_taken(pattern, time, of_message(wanted)).await
    }

    /// What [`refute_receive!`](super::refute_receive) does; the text of its failure.
    #[doc(hidden)]
    pub async fn refute_message(
        &mut self,
        pattern: &str,
        time: Option<Duration>,
        wanted: impl FnMut(M) -> ControlFlow<M, M>,
    ) -> Result<(), String> {
        self.refute_taken(pattern, time, of_message(wanted)).await
    }

    /// What [`assert_down!`](super::assert_down) does; the text of its failure.
    #[doc(hidden)]
    pub async fn assert_down(
        &mut self,
        monitor: Ref,
        pattern: &str,
        time: Option<Duration>,
        mut wanted: impl FnMut(ExitReason) -> ControlFlow<ExitReason, ExitReason>,
    ) -> Result<ExitReason, String> {
        let what = format!("the Down of {monitor:?} with the reason {pattern}");
        let wanted = |received| match received {
            Received::Info(Info::Down(Down { reference, pid, reason })) if reference == monitor => {
                wanted(reason)
                    .map_continue(|reason| Received::Info(Info::Down(Down { reference, pid, reason })))
            }
            received => ControlFlow::Continue(received),
        };
        self.assert_taken(&what, time, wanted).await
    }

    /// What [`refute_down!`](super::refute_down) does; the text of its failure.
    #[doc(hidden)]
    pub async fn refute_down(&mut self, monitor: Ref, time: Option<Duration>) -> Result<(), String> {
        let wanted = |received: Received<M>| match received {
            Received::Info(Info::Down(down)) if down.reference == monitor => ControlFlow::Break(down),
            received => ControlFlow::Continue(received),
        };
        self.refute_taken(&format!("the Down of {monitor:?}"), time, wanted).await
    }

    /// What [`assert_exit!`](super::assert_exit) does; the text of its failure.
    #[doc(hidden)]
    pub async fn assert_exit(
        &mut self,
        pid: Pid,
        pattern: &str,
        time: Option<Duration>,
        mut wanted: impl FnMut(ExitReason) -> ControlFlow<ExitReason, ExitReason>,
    ) -> Result<ExitReason, String> {
        let what = format!("the Exit from {pid} with the reason {pattern}");
        let wanted = |received| match received {
            Received::Info(Info::Exit(Exit { from, reason })) if from == pid => {
                wanted(reason).map_continue(|reason| Received::Info(Info::Exit(Exit { from, reason })))
            }
            received => ControlFlow::Continue(received),
        };
        self.assert_taken(&what, time, wanted).await
    }

    /// What [`refute_exit!`](super::refute_exit) does; the text of its failure.
    #[doc(hidden)]
    pub async fn refute_exit(&mut self, pid: Pid, time: Option<Duration>) -> Result<(), String> {
        let wanted = |received: Received<M>| match received {
            Received::Info(Info::Exit(exit)) if exit.from == pid => ControlFlow::Break(exit),
            received => ControlFlow::Continue(received),
        };
        self.refute_taken(&format!("the Exit from {pid}"), time, wanted).await
    }
}

impl<M: Send + 'static> AsMut<Self> for TestProcess<M> {
    fn as_mut(&mut self) -> &mut Self {
        self
    }
}

/// Looks at messages alone.
fn of_message<M, R>(
    mut wanted: impl FnMut(M) -> ControlFlow<R, M>,
) -> impl FnMut(Received<M>) -> ControlFlow<R, Received<M>> {
    move |received| match received {
        Received::Message(message) => wanted(message).map_continue(Received::Message),
        Received::Info(_) => ControlFlow::Continue(received),
    }
}

fn is_down<M>(received: &Received<M>, monitor: Ref) -> bool {
    matches!(received, Received::Info(Info::Down(down)) if down.reference == monitor)
}

/// What was received, without the wrapping that the test does not see either.
struct Shown<'a, M>(&'a Received<M>);

impl<M: Debug> Debug for Shown<'_, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Received::Message(message) => message.fmt(f),
            Received::Info(Info::Down(down)) => down.fmt(f),
            Received::Info(Info::Exit(exit)) => exit.fmt(f),
        }
    }
}

impl<M: Send + 'static> Drop for TestProcess<M> {
    /// Ends what [`finish`](TestProcess::finish) did not.
    fn drop(&mut self) {
        let ended = self.exit_reason();
        self.exit_now();
        // Without a runtime the children ended with it.
        if let (Some(supervisor), Ok(runtime)) = (self.supervisor.take(), Handle::try_current()) {
            runtime.spawn(async move { supervisor.stop().await });
        }
        if let Some(reason) = ended
            && !self.told
            && !std::thread::panicking()
        {
            panic!("{}", self.ended_by(&reason));
        }
    }
}

impl<M: Send + 'static> fmt::Debug for TestProcess<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TestProcess({})", self.pid())
    }
}
