//! Who tells clients of diffs: the tracker of a presence, and the process that fetches what more there is to say.
//!
//! Without a fetch and without a client in this program a shard tells diffs itself. With one, everything goes through one
//! process, so that what takes time keeps no shard busy: fetches run at the same time, each in a process of its own, and
//! what they say is told in the order in which it happened.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use heronry::prelude::*;
use heronry::process::Down;
use heronry::telemetry;
use heronry_channels::Payload;

use super::events::{FetchFailed, FetchFailure};
use super::presences::{PresenceDiff, Presences};
use super::{BoxedClient, Inner, Mode, json};
use crate::diff::TopicDiff;
use crate::shard::Tracker;

/// How many fetches run at the same time.
const FETCHES_RUNNING_MAX: usize = 32;

/// How many diffs and states wait for a fetch at most; what comes then is told without one ([`FetchFailed`]).
pub const FETCHES_WAITING_MAX: usize = 1_024;

/// The tracker of a presence.
pub(super) struct PresenceTracker(Arc<Inner>);

impl Tracker for PresenceTracker {
    type Args = Arc<Inner>;
    type Msg = ();

    async fn init(inner: Arc<Inner>) -> Result<Self, ExitReason> {
        Ok(Self(inner))
    }

    async fn handle_diff(&mut self, diffs: &[TopicDiff]) {
        for diff in diffs {
            let audience = match self.0.mode(diff.topic()) {
                Mode::Full => Audience::All,
                Mode::Count | Mode::Sample(_) => {
                    self.0.summaries.changed(diff.topic());
                    if self.0.client.is_none() {
                        continue;
                    }
                    Audience::Client
                }
            };
            self.0.pass_on(diff.shared_topic(), PresenceDiff::of(diff), audience);
        }
    }
}

impl Inner {
    /// Has a diff told, with what a fetch says of it.
    pub(super) fn pass_on(&self, topic: &Arc<str>, diff: PresenceDiff, audience: Audience) {
        let Some(teller) = self.teller() else { return self.tell(topic, &diff, audience) };
        let telling = Telling::Diff(topic.clone(), diff, audience);
        if let Err(error) = teller.send(TellerMsg::Tell(telling))
            && let TellerMsg::Tell(Telling::Diff(topic, diff, audience)) = error.into_message()
        {
            telemetry::emit(&FetchFailed { presence: self.name.clone(), why: FetchFailure::Full });
            self.tell(&topic, &diff, audience);
        }
    }

    fn tell(&self, topic: &str, diff: &PresenceDiff, audience: Audience) {
        match audience {
            Audience::All | Audience::Members => self.broadcast(topic, "presence_diff", json(diff)),
            Audience::Client => {}
        }
    }

    /// Broadcasts on this node: the other nodes tell their own clients.
    pub(super) fn broadcast(&self, topic: &str, event: &str, payload: Payload) {
        self.broadcaster.local_broadcast(topic, event, payload).expect("invariant: it is an object");
    }
}

/// Who is told a diff.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Audience {
    /// The members of the topic, and the client within this program.
    All,
    Members,
    /// The client within this program.
    Client,
}

/// What is told.
pub(super) enum Telling {
    /// A diff, to those who want it.
    Diff(Arc<str>, PresenceDiff, Audience),
    /// A state, to whoever pushes it.
    State(Arc<str>, Presences, Push),
}

pub(super) type Push = Box<dyn FnOnce(Presences) + Send>;

pub(super) enum TellerMsg {
    Tell(Telling),
    /// A fetch is done.
    Fetched(Fetched),
}

/// What a fetch made of a telling's presences: joins and leaves, or a state.
pub(super) struct Fetched {
    number: u64,
    first: Presences,
    second: Presences,
}

/// The process.
pub(super) struct Teller {
    inner: Arc<Inner>,
    client: Option<BoxedClient>,
    /// What the client knows of each topic.
    topics: HashMap<Arc<str>, Presences>,
    /// What is to be told, in order; the first has this number.
    queue: VecDeque<Waiting>,
    first: u64,
    /// How many of the queue were begun.
    begun: usize,
    running: HashMap<Ref, u64>,
}

struct Waiting {
    telling: Telling,
    ready: bool,
}

impl Server for Teller {
    type Args = Arc<Inner>;
    type Msg = TellerMsg;

    async fn init(inner: Arc<Inner>, ctx: &mut Context<TellerMsg>) -> Init<Self> {
        inner.set_teller(ctx.addr());
        let client = inner.client.as_ref().map(|make| make());
        let topics = HashMap::new();
        let (queue, running) = (VecDeque::new(), HashMap::new());
        Ok(Self { inner, client, topics, queue, first: 0, begun: 0, running })
    }

    async fn handle(&mut self, msg: TellerMsg, ctx: &mut Context<TellerMsg>) -> Next {
        match msg {
            TellerMsg::Tell(telling) => {
                let is_full = self.queue.len() >= FETCHES_WAITING_MAX;
                if is_full {
                    self.failed(FetchFailure::Full);
                }
                self.queue.push_back(Waiting { telling, ready: is_full || self.inner.fetch.is_none() });
            }
            TellerMsg::Fetched(Fetched { number, first, second }) => {
                if let Some(waiting) = self.waiting(number) {
                    match &mut waiting.telling {
                        Telling::Diff(_, diff, _) => *diff = PresenceDiff { joins: first, leaves: second },
                        Telling::State(_, presences, _) => *presences = first,
                    }
                    waiting.ready = true;
                }
            }
        }
        self.go_on(ctx).await;
        Next::Continue
    }

    async fn handle_info(&mut self, info: Info, ctx: &mut Context<TellerMsg>) -> Next {
        if let Info::Down(Down { reference, reason, .. }) = info
            && let Some(number) = self.running.remove(&reference)
        {
            // What it said, if it said something, came before.
            let silent = self.waiting(number).filter(|waiting| !waiting.ready);
            if let Some(waiting) = silent {
                waiting.ready = true;
                self.failed(FetchFailure::Crashed(reason));
            }
            self.go_on(ctx).await;
        }
        Next::Continue
    }
}

impl Teller {
    fn failed(&self, why: FetchFailure) {
        telemetry::emit(&FetchFailed { presence: self.inner.name.clone(), why });
    }

    fn waiting(&mut self, number: u64) -> Option<&mut Waiting> {
        self.queue.get_mut(usize::try_from(number.checked_sub(self.first)?).ok()?)
    }

    /// Tells what is ready and has its turn, and begins what there is room for.
    async fn go_on(&mut self, ctx: &mut Context<TellerMsg>) {
        while let Some(Waiting { telling, .. }) = self.queue.pop_front_if(|waiting| waiting.ready) {
            self.first += 1;
            self.begun = self.begun.saturating_sub(1);
            match telling {
                Telling::Diff(topic, diff, audience) => {
                    self.inner.tell(&topic, &diff, audience);
                    if audience != Audience::Members {
                        self.tell_client(topic, &diff).await;
                    }
                }
                Telling::State(_, presences, push) => push(presences),
            }
        }
        while self.running.len() < FETCHES_RUNNING_MAX && self.begun < self.queue.len() {
            let number = self.first + self.begun as u64;
            if !self.queue[self.begun].ready {
                self.begin(number, ctx);
            }
            self.begun += 1;
        }
    }

    fn begin(&mut self, number: u64, ctx: &Context<TellerMsg>) {
        let Some(fetch) = self.inner.fetch.clone() else { return };
        let Some(waiting) = self.waiting(number) else { return };
        let (topic, first, second) = match &waiting.telling {
            Telling::Diff(topic, diff, _) => (topic.clone(), diff.joins.clone(), diff.leaves.clone()),
            Telling::State(topic, presences, _) => (topic.clone(), presences.clone(), Presences::default()),
        };
        let teller = ctx.addr();
        let fetcher = spawn(move |_: Context<()>| async move {
            let first = super::fetched(&*fetch, &topic, first).await;
            let second = super::fetched(&*fetch, &topic, second).await;
            // If it is full, its process is told of our end, and tells without a fetch.
            drop(teller.send(TellerMsg::Fetched(Fetched { number, first, second })));
        });
        self.running.insert(ctx.monitor(fetcher.pid()), number);
    }

    async fn tell_client(&mut self, topic: Arc<str>, diff: &PresenceDiff) {
        let Some(client) = &mut self.client else { return };
        let presences = self.topics.entry(topic.clone()).or_default();
        presences.apply(diff);
        client.handle_metas(&topic, diff, presences).await;
        if presences.is_empty() {
            self.topics.remove(&topic);
        }
    }
}
