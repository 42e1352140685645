//! Processes that other nodes may reach, by name.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll, Waker};
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::wire::{Body, Failure, Reason};
use crate::codec;
use crate::pid::Pid;
use crate::process::{self, Addr, ExitWatcher, Keeper};
use crate::server::{CallError, ReplyTo};
use crate::unwind::drop_quietly;

/// What travels between nodes as a message, a request or a reply: whatever serde can write and read. A message for a process of this
/// node needs none of it.
///
/// How it is written down is compact and says nothing of names: both nodes must mean the same type. While a cluster is
/// updated from one version to another, that is: new variants of an enum go to its end, and what else changes gets a type and
/// a name of its own. A recursive type can be nested so deep by who can send frames that reading it overflows the stack: use none.
///
/// ```
/// #[derive(serde::Serialize, serde::Deserialize)]
/// enum Order { Place { item: u64 }, Cancel }
///
/// fn travels<T: heronry::cluster::RemoteMessage>() {}
/// travels::<Order>();
/// ```
pub trait RemoteMessage: Serialize + DeserializeOwned + Send + 'static {}

impl<T: Serialize + DeserializeOwned + Send + 'static> RemoteMessage for T {}

/// A process as other nodes may reach it: what of theirs becomes which message of its own.
///
/// The functions run on the engine's task and must not wait. A panic in one is an exit signal to the process, whose mistake it is.
pub struct Exported<M> {
    addr: Addr<M>,
    casts: Option<Casts<M>>,
    calls: Option<Calls<M>>,
}

type Casts<M> = Box<dyn Fn(&[u8]) -> Result<M, String> + Send + Sync>;
type Calls<M> = Box<dyn Fn(&Addr<M>, &[u8], Duration) -> Result<Answer, String> + Send + Sync>;

/// What a call comes to.
pub(in crate::cluster) type Answer = Pin<Box<dyn Future<Output = Result<Body, Failure>> + Send>>;

impl<M: Send + 'static> Exported<M> {
    /// The process of this address, which takes nothing yet: it can be monitored.
    pub fn new(addr: &Addr<M>) -> Self {
        Self { addr: addr.clone(), casts: None, calls: None }
    }

    /// Its address.
    pub(in crate::cluster) fn addr(&self) -> &Addr<M> {
        &self.addr
    }

    /// It takes messages `W` of other nodes, each of which `wrap` makes one of its own.
    #[must_use]
    pub fn casts<W: RemoteMessage>(mut self, wrap: impl Fn(W) -> M + Send + Sync + 'static) -> Self {
        self.casts = Some(Box::new(move |bytes| Ok(wrap(read(bytes)?))));
        self
    }

    /// It takes calls of other nodes with a request `Q` and a reply `R`, each of which `wrap` makes a message of its own.
    #[must_use]
    pub fn calls<Q: RemoteMessage, R: RemoteMessage>(
        mut self,
        wrap: impl Fn(Q, ReplyTo<R>) -> M + Send + Sync + 'static,
    ) -> Self {
        let wrap = Arc::new(wrap);
        self.calls = Some(Box::new(move |addr, bytes, time| {
            let request: Q = read(bytes)?;
            let (addr, wrap) = (addr.clone(), wrap.clone());
            Ok(Box::pin(async move {
                let reply =
                    addr.call(|reply_to| wrap(request, reply_to), time).await.map_err(Failure::from)?;
                codec::encode(&reply).map(Body).map_err(|error| Failure::Unfit(error.to_string()))
            }))
        }));
        self
    }
}

fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    codec::decode(bytes).map_err(|error| error.to_string())
}

impl From<CallError> for Failure {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Exited(reason) => Self::Exited(Reason::from(&reason)),
            CallError::Timeout(_) => Self::Timeout,
            CallError::NoReply => Self::NoReply,
            CallError::Full => Self::Full,
            CallError::CallingSelf => Self::Unfit(error.to_string()),
        }
    }
}

/// An exported process, whatever its messages are.
pub(in crate::cluster) trait Export: Send + Sync {
    fn pid(&self) -> Pid;
    /// Hands it a message; what is wrong with the message, if it is not one that it takes. A process that has ended or is full
    /// takes it as any other message: the sender does not learn of it.
    fn send(&self, body: &[u8]) -> Result<(), String>;
    /// Calls it. By the time that this returns the request is in its mailbox, or waits for room in it.
    fn call(&self, body: &[u8], time: Duration) -> Called;
    /// Tells the watcher of its end; at once if it has ended.
    fn watch(&self, watcher: Arc<dyn ExitWatcher>);
    /// Has `keeper` forget it when it ends; false if it has ended.
    fn at_exit(&self, keeper: std::sync::Weak<dyn Keeper>) -> bool;
}

/// A call that was made.
pub(in crate::cluster) enum Called {
    Done(Result<Body, Failure>),
    Waits(Answer),
}

impl<M: Send + 'static> Export for Exported<M> {
    fn pid(&self) -> Pid {
        self.addr.pid()
    }

    fn send(&self, body: &[u8]) -> Result<(), String> {
        let Some(casts) = &self.casts else { return Err("it takes no messages of other nodes".to_owned()) };
        if let Some(message) = self.blame(|| casts(body)) {
            drop_quietly(self.addr.send(message?));
        }
        Ok(())
    }

    fn call(&self, body: &[u8], time: Duration) -> Called {
        let Some(calls) = &self.calls else {
            return Called::Done(Err(Failure::Unfit("it takes no calls of other nodes".to_owned())));
        };
        let begun = self.blame(|| {
            let mut answer = calls(&self.addr, body, time)?;
            // Polled here, so that its place in the mailbox is that of its arrival.
            Ok(match answer.as_mut().poll(&mut TaskContext::from_waker(Waker::noop())) {
                Poll::Ready(result) => Called::Done(result),
                Poll::Pending => Called::Waits(answer),
            })
        });
        match begun {
            Some(Ok(called)) => called,
            Some(Err(what)) => Called::Done(Err(Failure::Unfit(what))),
            None => Called::Done(Err(Failure::NoReply)),
        }
    }

    fn watch(&self, watcher: Arc<dyn ExitWatcher>) {
        if let Err(reason) = process::watch_exit(&self.addr, watcher.clone()) {
            watcher.exited(&reason);
        }
    }

    fn at_exit(&self, keeper: std::sync::Weak<dyn Keeper>) -> bool {
        self.addr.at_exit(keeper)
    }
}

impl<M: Send + 'static> Exported<M> {
    /// Runs code of the process's owner; a panic is the process's.
    fn blame<T>(&self, run: impl FnOnce() -> Result<T, String>) -> Option<Result<T, String>> {
        match catch_unwind(AssertUnwindSafe(run)) {
            Ok(result) => Some(result),
            Err(payload) => {
                process::exit(self.addr.pid(), process::panic_reason(&*payload));
                drop_quietly(payload);
                None
            }
        }
    }
}

impl<M: Send + 'static> fmt::Debug for Exported<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (casts, calls) = (self.casts.is_some(), self.calls.is_some());
        let mut shown = f.debug_struct("Exported");
        shown.field("addr", &self.addr).field("casts", &casts).field("calls", &calls).finish()
    }
}
