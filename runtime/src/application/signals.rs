//! Signals of the operating system, on a thread of their own: they are heard when every scheduler thread is stuck, too.

use std::io;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use super::inbox::Inbox;
use super::shutdown::{Ask, Signal};
use crate::sync::outside::Mutex;

/// How long the program may take to end after a second signal, or after an application that did not stop in time. What is
/// stuck then (a thread that blocks, a runtime that waits for it) ends with the program.
const END_WITHIN: Duration = Duration::from_secs(1);

/// The applications that want to hear of signals; `None` until the thread was started.
static LISTENERS: Mutex<Option<Listeners>> = Mutex::new(None);

#[derive(Default)]
struct Listeners {
    listeners: Vec<Listener>,
    next_id: u64,
}

struct Listener {
    id: u64,
    inbox: Inbox,
    /// Whether it has heard a signal before.
    signalled: bool,
}

/// An application's wish to hear of signals, until it is dropped.
///
/// From the first one on, the program's signals are ours: with no application left to tell, a signal ends the program as
/// it would by default.
#[derive(Debug)]
pub(super) struct Subscription(u64);

impl Subscription {
    /// Starts to listen.
    pub(super) fn new(inbox: Inbox) -> io::Result<Self> {
        let mut all = LISTENERS.lock();
        if all.is_none() {
            start()?;
        }
        let all = all.get_or_insert_default();
        let id = all.next_id;
        all.next_id += 1;
        all.listeners.push(Listener { id, inbox, signalled: false });
        Ok(Self(id))
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        if let Some(all) = LISTENERS.lock().as_mut() {
            all.listeners.retain(|listener| listener.id != self.0);
        }
    }
}

/// Ends the program soon, if it has not ended by itself: what is stuck in it may keep it from that.
pub(super) fn end_soon(status: u8) {
    let ender = move || {
        let begin = crate::clock::now();
        while begin.elapsed() < END_WITHIN {
            thread::park_timeout(END_WITHIN);
        }
        std::process::exit(i32::from(status));
    };
    if thread::Builder::new().name("heronry-end".to_owned()).spawn(ender).is_err() {
        std::process::exit(i32::from(status));
    }
}

/// Starts the thread, and waits until it listens.
fn start() -> io::Result<()> {
    let (ready, is_ready) = mpsc::sync_channel(1);
    thread::Builder::new().name("heronry-signals".to_owned()).spawn(move || {
        let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => runtime,
            Err(error) => return drop(ready.send(Err(error))),
        };
        runtime.block_on(async {
            match Source::new() {
                Ok(signals) => {
                    drop(ready.send(Ok(())));
                    listen(signals).await;
                }
                Err(error) => drop(ready.send(Err(error))),
            }
        });
    })?;
    is_ready.recv().unwrap_or_else(|_| Err(io::Error::other("the thread for signals ended")))
}

async fn listen(mut signals: Source) {
    loop {
        let signal = signals.next().await;
        if tell(signal) {
            end_soon(128 + signal.number());
        }
    }
}

/// Tells all; says whether the program is to end, since one of them hears it for the second time. With nobody to tell it
/// ends now.
fn tell(signal: Signal) -> bool {
    let mut all = LISTENERS.lock();
    let listeners = &mut all.get_or_insert_default().listeners;
    if listeners.is_empty() {
        std::process::exit(i32::from(128 + signal.number()));
    }
    let mut again = false;
    for listener in listeners {
        listener.inbox.ask(Ask::Signal(signal));
        again |= std::mem::replace(&mut listener.signalled, true);
    }
    again
}

/// Where signals come from.
#[cfg(unix)]
struct Source {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Source {
    fn new() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    async fn next(&mut self) -> Signal {
        std::future::poll_fn(|cx| {
            if self.terminate.poll_recv(cx).is_ready() {
                return std::task::Poll::Ready(Signal::Terminate);
            }
            self.interrupt.poll_recv(cx).map(|_| Signal::Interrupt)
        })
        .await
    }
}

#[cfg(windows)]
struct Source(tokio::signal::windows::CtrlC);

#[cfg(windows)]
impl Source {
    fn new() -> io::Result<Self> {
        Ok(Self(tokio::signal::windows::ctrl_c()?))
    }

    async fn next(&mut self) -> Signal {
        self.0.recv().await;
        Signal::Interrupt
    }
}
