//! Processes as a stranger sees them: signals, lives, mailboxes, names, scheduling, and a storm of all at once.

mod info;
mod life;
mod links;
mod mailbox;
mod monitors;
mod names;
mod panics;
mod schedule;
mod stress;
mod watchdog;

use heronry::process::SpawnOptions;
use heronry::{Addr, Context, ExitReason, Pid, Received, process::Info};
use tokio::sync::{mpsc, oneshot};

use crate::support::within;

/// What a puppet does when told; a reason ends it.
struct Job(Box<Act>);

type Act = dyn FnOnce(&mut Context<Job>) -> Option<ExitReason> + Send;

/// A process that does with its context what the test says and hands on what it hears.
struct Puppet {
    addr: Addr<Job>,
    infos: mpsc::UnboundedReceiver<Info>,
}

impl Puppet {
    fn new(trap_exit: bool) -> Self {
        let (heard, infos) = mpsc::unbounded_channel();
        let body = move |mut ctx: Context<Job>| async move {
            loop {
                match ctx.receive().await {
                    Received::Message(Job(act)) => {
                        if let Some(reason) = act(&mut ctx) {
                            return reason;
                        }
                    }
                    Received::Info(info) => drop(heard.send(info)),
                }
            }
        };
        Self { addr: SpawnOptions::new().label("puppet").trap_exit(trap_exit).spawn(body), infos }
    }

    fn pid(&self) -> Pid {
        self.addr.pid()
    }

    /// Has it act; everything that was in its mailbox before has then been heard.
    async fn act<R: Send + 'static>(&self, act: impl FnOnce(&mut Context<Job>) -> R + Send + 'static) -> R {
        let (done, result) = oneshot::channel();
        let job = Job(Box::new(move |ctx| {
            drop(done.send(act(ctx)));
            None
        }));
        self.addr.send(job).expect("the puppet lives");
        within("the puppet's answer", result).await.expect("the puppet did not end meanwhile")
    }

    /// Ends with this reason, by returning it.
    async fn end(&self, reason: ExitReason) {
        self.addr.send(Job(Box::new(move |_| Some(reason)))).expect("the puppet lives");
        self.wait().await;
    }

    async fn wait(&self) -> ExitReason {
        within("the puppet's end", self.addr.wait()).await
    }

    /// The next thing that it hears.
    async fn hears(&mut self) -> Info {
        within("a signal", self.infos.recv()).await.expect("the puppet did not end meanwhile")
    }

    /// It lives and has heard nothing more.
    async fn hears_nothing(&mut self) {
        self.act(|_| ()).await;
        assert_eq!(self.infos.try_recv().ok(), None);
    }
}

/// A process that does nothing until it is ended.
fn idle() -> Addr<u32> {
    heronry::spawn(|_ctx| std::future::pending::<()>())
}

/// A process that has ended.
async fn dead() -> Addr<u32> {
    let addr = heronry::spawn(|_ctx| async {});
    assert_eq!(within("its end", addr.wait()).await, ExitReason::Normal);
    addr
}
