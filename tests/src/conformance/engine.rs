//! What every engine does, whatever it rides on.
//!
//! A [`Lab`] makes engines that can reach each other. [`frames`] asks what becomes of frames while all is well, [`faults`] what
//! happens while the broker is away; those need a [`Broker`] to do it to.

use std::fmt;
use std::future::Future;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

use heronry::engine::{Engine, Event, Lane, PublishError, Receiver, Subject};
use heronry::node::{Incarnation, NodeId, NodeName};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout};

pub mod faults;
pub mod frames;

/// How long anything may take before it counts as never.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// How long an interest may linger once it was turned off.
pub const LINGER_MAX: Duration = Duration::from_secs(8);

/// How long a slow receiver takes for an event.
const SLOW: Duration = Duration::from_millis(1);

/// How long one frame is waited for before another is tried.
const TRY: Duration = Duration::from_millis(250);

/// Makes engines that can reach each other, and nobody else.
pub trait Lab: Sync {
    /// An engine of that node; its links are up or come up.
    fn engine(&self, node: NodeId) -> impl Future<Output = Arc<dyn Engine>> + Send;
}

/// What a lab's engines ride on, to be broken.
pub trait Broker: Sync {
    /// Ends it at once.
    fn kill(&self) -> impl Future<Output = ()> + Send;

    /// Starts it again after a kill.
    fn start(&self) -> impl Future<Output = ()> + Send;

    /// Lets it stand still: it keeps its connections, and says nothing.
    fn pause(&self);

    /// Lets it go on.
    fn resume(&self);
}

/// The node of that name in that life.
///
/// # Panics
/// If it is no name.
pub fn node(name: &str, life: u64) -> NodeId {
    NodeId::new(NodeName::parse(name).expect("a name of a node"), Incarnation::new(life))
}

/// Gathers what an engine tells.
#[derive(Default)]
pub struct Listener {
    events: Mutex<Vec<Event>>,
    changed: Notify,
    /// Whether each event takes [`SLOW`].
    slow: Mutex<bool>,
    hurry: Condvar,
}

impl Receiver for Listener {
    fn receive(&self, event: Event) {
        let slow = self.slow.lock().expect("nothing panics under this lock");
        if *slow {
            // It holds a thread of the runtime meanwhile, and gives it back: for as long as that, and not for good, since
            // other tasks can be stuck behind it.
            drop(self.hurry.wait_timeout(slow, SLOW));
        } else {
            drop(slow);
        }
        self.lock().push(event);
        self.changed.notify_one();
    }
}

impl Listener {
    /// Listens to an engine from now on.
    pub fn to(engine: &dyn Engine) -> Arc<Self> {
        let listener = Arc::new(Self::default());
        engine.start(listener.clone());
        listener
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Event>> {
        self.events.lock().expect("nothing panics under this lock")
    }

    /// Lets each event take a while, or no longer.
    ///
    /// # Panics
    /// If the receiver has.
    pub fn be_slow(&self, slow: bool) {
        *self.slow.lock().expect("nothing panics under this lock") = slow;
        self.hurry.notify_all();
    }

    /// All that was told, in order.
    pub fn events(&self) -> Vec<Event> {
        self.lock().clone()
    }

    /// Forgets what was told.
    pub fn forget(&self) {
        self.lock().clear();
    }

    /// The frames on a subject, in order.
    pub fn frames(&self, on: &Subject) -> Vec<String> {
        let text = |event: &Event| match event {
            Event::Frame { subject, frame } if subject == on => {
                Some(String::from_utf8_lossy(frame).into_owned())
            }
            Event::Frame { .. } | Event::Up(_) | Event::Down(_) | Event::Gap(_) => None,
        };
        self.lock().iter().filter_map(text).collect()
    }

    /// How many frames came on a subject.
    pub fn count(&self, on: &Subject) -> usize {
        let is_on = |event: &&Event| matches!(event, Event::Frame { subject, .. } if subject == on);
        self.lock().iter().filter(is_on).count()
    }

    /// Whether this is the newest frame on a subject.
    pub fn ends_with(&self, on: &Subject, text: &str) -> bool {
        let newest = self.lock().iter().rev().find_map(|event| match event {
            Event::Frame { subject, frame } if subject == on => Some(frame.clone()),
            Event::Frame { .. } | Event::Up(_) | Event::Down(_) | Event::Gap(_) => None,
        });
        newest.is_some_and(|frame| frame == text)
    }

    /// Whether this was told.
    pub fn has(&self, event: &Event) -> bool {
        self.lock().contains(event)
    }

    /// Waits until what was told is so.
    ///
    /// # Panics
    /// If it does not come about.
    pub async fn until(&self, what: &str, mut holds: impl FnMut(&Self) -> bool) {
        if timeout(PATIENCE, self.notified_until(&mut holds)).await.is_err() {
            let events = self.events();
            let tail = &events[events.len().saturating_sub(20)..];
            panic!("waited {PATIENCE:?} for {what}; of {} events the last are {tail:?}", events.len());
        }
    }

    async fn notified_until(&self, mut holds: impl FnMut(&Self) -> bool) {
        while !holds(self) {
            self.changed.notified().await;
        }
    }

    /// Waits until both lanes are up.
    pub async fn up(&self) {
        for lane in [Lane::Control, Lane::Data] {
            self.until("the lane to be up", |told| told.has(&Event::Up(lane))).await;
        }
    }
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listener").finish_non_exhaustive()
    }
}

/// An engine and who listens to it.
pub struct Node {
    /// The engine.
    pub engine: Arc<dyn Engine>,
    /// What it tells.
    pub told: Arc<Listener>,
}

impl Node {
    /// A node of the lab that listens and whose links are up.
    pub async fn start(lab: &impl Lab, id: NodeId) -> Self {
        let engine = lab.engine(id).await;
        let told = Listener::to(&*engine);
        told.up().await;
        Self { engine, told }
    }

    /// Publishes.
    ///
    /// # Panics
    /// If it is refused.
    pub fn publish(&self, subject: &Subject, text: impl Into<String>) {
        let frame = text.into();
        self.engine.publish(subject, frame.clone().into()).unwrap_or_else(|error| panic!("{frame}: {error}"));
    }

    /// Publishes what may find the queue full, and then waits for its room.
    ///
    /// # Panics
    /// If it is refused for another reason, or for too long.
    pub async fn publish_all(&self, subject: &Subject, texts: impl IntoIterator<Item = String>) {
        for text in texts {
            let end = Instant::now() + PATIENCE;
            loop {
                match self.engine.publish(subject, text.clone().into()) {
                    Ok(()) => break,
                    Err(PublishError::Full) if Instant::now() < end => sleep(Duration::from_millis(1)).await,
                    Err(error) => panic!("{text}: {error}"),
                }
            }
        }
    }

    /// Wants a subject, and returns once frames of `from` on it arrive; those that were tried are forgotten.
    pub async fn want(&self, subject: &Subject, from: &Node) {
        self.engine.set_interest(subject, true);
        self.hears(subject, from).await;
    }

    /// Waits until frames of `from` on a subject arrive, and forgets those that were tried.
    ///
    /// # Panics
    /// If none does.
    pub async fn hears(&self, subject: &Subject, from: &Node) {
        let end = Instant::now() + PATIENCE;
        for n in 0_u32.. {
            assert!(Instant::now() < end, "no frame on {subject:?} arrives");
            let text = format!("try {n}");
            // What is refused now, or is lost, is tried again.
            let _ = from.engine.publish(subject, text.clone().into());
            let arrives = self.told.notified_until(|told| told.ends_with(subject, &text));
            if timeout(TRY, arrives).await.is_ok() {
                break;
            }
        }
        self.told.forget();
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Node").field("engine", &self.engine).finish_non_exhaustive()
    }
}
