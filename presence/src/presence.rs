//! Presence for channels: who is in a topic, told to its members as Phoenix's clients expect it.

mod events;
mod place;
mod presences;
mod summarizer;
mod summary;
mod teller;

use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use heronry::prelude::*;
use heronry_channels::{Broadcaster, Channel, ChannelSocket, Payload, PushError};
use parking_lot::RwLock;
use serde::Serialize;

pub use events::{FetchFailed, FetchFailure};
pub use place::Place;
use presences::State;
pub use presences::{KeyPresence, PresenceDiff, Presences};
use summarizer::{Summaries, Summarizer};
pub use teller::FETCHES_WAITING_MAX;
use teller::{PresenceTracker, Teller, TellerMsg, Telling};

use crate::limits::TrackError;
use crate::meta::{IntoMeta, Meta, MetaError};
use crate::shard::Shared;
use crate::tracker::{TrackerOptions, TrackerRef};

type BoxedFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;
type Fetch = dyn Fn(Arc<str>, Presences) -> BoxedFuture<Presences> + Send + Sync;
type BoxedClient = Box<dyn DynClient>;
type ModeOf = dyn Fn(&str) -> Mode + Send + Sync;

/// How often members of a topic that is [counted](Mode::Count) or [sampled](Mode::Sample) are told at most: each second. What
/// comes first after a quiet second is told at once.
pub const SUMMARY_WINDOW_DEFAULT: Duration = Duration::from_secs(1);

/// How many keys a [sample](Mode::Sample) has at most: more than anybody looks at.
pub const SAMPLE_KEYS_MAX: usize = 1_000;

/// How many metas of a key are in a sample at most: the oldest of each node first.
pub const SAMPLE_METAS_MAX: usize = 8;

/// Who is in which topic; cheap to clone, all clones are the same. Phoenix's `Phoenix.Presence`.
///
/// A channel tracks itself under a key (a user's id, say) with a [`Meta`], and pushes the state to its client. From then on
/// all members of the topic, on all nodes, are told who comes and goes by `presence_diff`, in the form that phoenix.js and all other
/// clients of Phoenix read. Those who come within a moment are told together.
///
/// Make it with the endpoint's broadcaster, and put its [`child_spec`](Self::child_spec) into the supervision tree before the
/// endpoint. The [guide](crate::guides::presence) says what it costs, and what to do in large topics.
///
/// ```
/// use heronry_channels::prelude::*;
/// use heronry_channels::Endpoint;
/// use heronry_presence::{Presence, TrackerOptions};
/// use serde_json::json;
///
/// struct UserSocket { presence: Presence }
///
/// impl Socket for UserSocket {
///     type Assigns = String; // the user's name
///     async fn connect(&self, connect: &Connect) -> Result<String, Refusal> {
///         connect.params.get_str("name").map(str::to_owned).ok_or_else(Refusal::forbidden)
///     }
///     fn channels(routes: Routes<Self>) -> Routes<Self> { routes.channel::<Room>("room:*") }
/// }
///
/// struct Room;
///
/// enum Msg { AfterJoin }
///
/// impl Channel for Room {
///     type Socket = UserSocket;
///     type Msg = Msg;
///
///     async fn join(_: &str, _: Payload, socket: &mut ChannelSocket<Self>) -> Join<Self> {
///         socket.addr().send(Msg::AfterJoin)?;
///         Ok((Room, Payload::empty()))
///     }
///
///     async fn handle_info(&mut self, Msg::AfterJoin: Msg, socket: &mut ChannelSocket<Self>) -> Outcome {
///         let presence = &socket.handler().presence;
///         presence.track(socket, socket.assigns(), json!({ "status": "online" })).await?;
///         presence.push_state(socket).await?;
///         Ok(Handled::NoReply)
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let builder = Endpoint::builder();
/// let presence = Presence::new("online", builder.broadcaster(), TrackerOptions::default());
/// let endpoint = builder.socket("/socket", UserSocket { presence: presence.clone() }).build()?;
/// let bound = endpoint.bind("127.0.0.1:0".parse()?)?;
/// let tree = Supervisor::one_for_one()
///     .child(presence.child_spec())
///     .child(bound.child_spec())
///     .start()
///     .await?;
/// assert!(presence.list("room:lobby").await.is_empty());
/// # tree.stop().await;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Presence {
    tracker: TrackerRef<PresenceTracker>,
    inner: Arc<Inner>,
}

/// What clients of a topic are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Mode {
    /// Who is there, and who comes and goes: `presence_state` and `presence_diff`.
    Full,
    /// How many are there: `presence_count` with `{"count": n}`, the number of keys. For topics so large that no client could
    /// show who is there.
    ///
    /// Members are told when it has changed, but not more often than each [`SUMMARY_WINDOW_DEFAULT`]
    /// ([`summary_window`](PresenceBuilder::summary_window)). So what it costs a client depends neither on how many there are
    /// nor on how many come and go.
    Count,
    /// How many are there, as by [`Count`](Self::Count), and who some of them are: this many keys at most, and
    /// [`SAMPLE_KEYS_MAX`] however many are asked for.
    ///
    /// The sample comes as `presence_state` and `presence_diff`, which have nobody else in them, so that every client of
    /// Phoenix shows it as it would show the whole: all of a topic that is small enough, and of a larger one some, with
    /// [`SAMPLE_METAS_MAX`] metas each at most. Diffs too are told once a window.
    ///
    /// Which keys are in it is drawn by what they are called: it is the same on all nodes and for all clients, nobody is more
    /// likely to be in it than others, and who is in it stays until they leave or somebody comes whose lot is better. When
    /// one leaves, the next one's turn comes, in the same diff. A client is not sure to be in the sample that it is told, and
    /// hears of itself as the others do: with the next diff. (A client that chooses its key can choose one that is drawn:
    /// let keys be yours.)
    Sample(usize),
}

/// A client of a presence within this program: it is told what changes in all topics. Phoenix's `handle_metas/4`, with the
/// state in the value itself.
pub trait PresenceClient: Send + 'static {
    /// Is told a diff of a topic, after this node's clients, with what there is in the topic after it.
    ///
    /// It runs in the presence's process, one diff after the other; what it waits for all diffs wait for. A panic in it
    /// ends the presence's processes, and all that are tracked, as in Phoenix.
    fn handle_metas(
        &mut self,
        topic: &str,
        diff: &PresenceDiff,
        presences: &Presences,
    ) -> impl Future<Output = ()> + Send;
}

/// A [`PresenceClient`] whose type is not known.
trait DynClient: Send {
    fn handle_metas<'a>(
        &'a mut self,
        topic: &'a str,
        diff: &'a PresenceDiff,
        presences: &'a Presences,
    ) -> Pin<Box<dyn Future<Output = ()> + Send + 'a>>;
}

impl<T: PresenceClient> DynClient for T {
    fn handle_metas<'a>(
        &'a mut self,
        topic: &'a str,
        diff: &'a PresenceDiff,
        presences: &'a Presences,
    ) -> Pin<Box<dyn Future<Output = ()> + Send + 'a>> {
        Box::pin(PresenceClient::handle_metas(self, topic, diff, presences))
    }
}

/// Makes a [`Presence`] that does more than tell who is there.
pub struct PresenceBuilder {
    name: Arc<str>,
    broadcaster: Broadcaster,
    options: TrackerOptions,
    fetch: Option<Arc<Fetch>>,
    client: Option<Box<dyn Fn() -> BoxedClient + Send + Sync>>,
    mode: Option<Box<ModeOf>>,
    summary_window: Duration,
}

/// What a presence's processes and whoever uses it have in common.
struct Inner {
    name: Arc<str>,
    broadcaster: Broadcaster,
    fetch: Option<Arc<Fetch>>,
    client: Option<Box<dyn Fn() -> BoxedClient + Send + Sync>>,
    mode: Option<Box<ModeOf>>,
    summary_window: Duration,
    summaries: Summaries,
    /// The process that fetches, if there is one.
    teller: RwLock<Option<Addr<TellerMsg>>>,
    /// To count. Weak: the tracker holds this.
    shared: OnceLock<Weak<Shared<()>>>,
}

#[derive(Serialize)]
struct Count {
    count: usize,
}

impl Presence {
    /// A presence that tells who is there. On all nodes of a cluster it has the same name.
    pub fn new(name: &str, broadcaster: Broadcaster, options: TrackerOptions) -> Self {
        Self::builder(name, broadcaster, options).build()
    }

    /// A presence that does more than that.
    pub fn builder(name: &str, broadcaster: Broadcaster, options: TrackerOptions) -> PresenceBuilder {
        PresenceBuilder {
            name: name.into(),
            broadcaster,
            options,
            fetch: None,
            client: None,
            mode: None,
            summary_window: SUMMARY_WINDOW_DEFAULT,
        }
    }

    /// Its supervisor, for a supervision tree: before the endpoint, so that it is stopped after it.
    pub fn child_spec(&self) -> ChildSpec {
        let presence = self.clone();
        ChildSpec::supervisor(format!("presence {}", self.inner.name), move || {
            let label = format!("presence {}", presence.inner.name);
            let supervisor = Supervisor::rest_for_one().label(label);
            let teller = presence
                .inner
                .needs_teller()
                .then(|| ChildSpec::server::<Teller>("teller", presence.inner.clone()));
            let supervisor = teller.into_iter().fold(supervisor, Supervisor::child);
            let supervisor = supervisor.child(presence.tracker.child_spec());
            // After the tracker: none that is tracked ends with it.
            let summarizer = presence
                .inner
                .mode
                .is_some()
                .then(|| ChildSpec::server::<Summarizer>("summarizer", presence.inner.clone()));
            summarizer.into_iter().fold(supervisor, Supervisor::child)
        })
    }

    /// Tracks a channel in its topic (give its socket), or any process in any topic (`&(pid, topic)`), under a key; the
    /// reference that clients see as `phx_ref`. It leaves when the process ends. Phoenix's `track/3` and `track/4`.
    ///
    /// # Errors
    /// [`TrackError`] says why nothing was tracked.
    ///
    /// # Cancel safety
    /// If the future is dropped, the process may be tracked or not.
    pub async fn track(
        &self,
        place: &impl Place,
        key: impl AsRef<str>,
        meta: impl IntoMeta,
    ) -> Result<String, TrackError> {
        let meta = meta.into_meta()?;
        self.tracker.track(place.pid(), place.topic(), key.as_ref(), meta).await
    }

    /// Puts another meta in the place of the one that is there; the new reference. Clients are told the new one, with
    /// `phx_ref_prev`, as a join, and the old one as a leave, in one diff. Phoenix's `update/3` and `update/4`.
    ///
    /// # Errors
    /// [`TrackError`] says why nothing was updated.
    ///
    /// # Cancel safety
    /// If the future is dropped, the presence may be updated or not.
    pub async fn update(
        &self,
        place: &impl Place,
        key: impl AsRef<str>,
        meta: impl IntoMeta,
    ) -> Result<String, TrackError> {
        let meta = meta.into_meta()?;
        self.tracker.update(place.pid(), place.topic(), key.as_ref(), meta).await
    }

    /// Makes another meta of the one that is there, as [`TrackerRef::update_with`].
    ///
    /// # Errors
    /// [`TrackError`] says why nothing was updated.
    ///
    /// # Cancel safety
    /// If the future is dropped, the presence may be updated or not.
    pub async fn update_with(
        &self,
        place: &impl Place,
        key: impl AsRef<str>,
        edit: impl FnOnce(Meta) -> Result<Meta, MetaError> + Send + 'static,
    ) -> Result<String, TrackError> {
        self.tracker.update_with(place.pid(), place.topic(), key.as_ref(), edit).await
    }

    /// Takes a presence away; nothing happens if there is none. Phoenix's `untrack/2` and `untrack/3`.
    ///
    /// # Errors
    /// [`TrackError`] if the presence does not run or does not answer.
    ///
    /// # Cancel safety
    /// If the future is dropped, the presence may be there or not.
    pub async fn untrack(&self, place: &impl Place, key: impl AsRef<str>) -> Result<(), TrackError> {
        self.tracker.untrack(place.pid(), place.topic(), key.as_ref()).await
    }

    /// Who is in a topic, on all nodes, with what a fetch says of them. Phoenix's `list/1`.
    ///
    /// To push it to a client there is [`push_state`](Self::push_state), which misses no diff.
    ///
    /// # Cancel safety
    /// Dropping the future drops the fetch.
    pub async fn list(&self, topic: &str) -> Presences {
        let presences = self.tracker.look(topic, |topic| Presences::of(topic.entries()));
        self.inner.fetched(topic, presences).await
    }

    /// Who is in a topic under a key; `None` if nobody is. Phoenix's `get_by_key/2`.
    ///
    /// # Cancel safety
    /// Dropping the future drops the fetch.
    pub async fn get_by_key(&self, topic: &str, key: &str) -> Option<KeyPresence> {
        let presences = self.tracker.read(topic, |topic| Presences::of(topic.key(key)));
        let fetched = self.inner.fetched(topic, presences).await;
        fetched.into_iter().find(|(found, _)| **found == *key).map(|(_, presence)| presence)
    }

    /// How many keys a topic has, in constant time.
    pub fn count(&self, topic: &str) -> usize {
        self.tracker.count_keys(topic)
    }

    /// Pushes `presence_state` to a channel's client; in a topic whose mode is [`Mode::Count`] `presence_count`, in one whose mode is
    /// [`Mode::Sample`] both.
    ///
    /// It is right in the order of what the client is told: what is in it is told by no diff that came before, and what is
    /// not in it by one that comes after. (`socket.push("presence_state", list)` has a moment between its two halves, in
    /// which a diff can slip; as in Phoenix.)
    ///
    /// # Errors
    /// [`PushError`] if the channel's join is not over: send yourself a message in `join` and call this when it is handled.
    ///
    /// # Cancel safety
    /// If the future is dropped while a fetch runs, the state may be pushed later or not.
    pub async fn push_state<C: Channel>(&self, socket: &ChannelSocket<C>) -> Result<(), PushError> {
        let topic = socket.topic();
        match (self.inner.mode(topic), &self.inner.fetch) {
            (Mode::Count | Mode::Sample(_), _) => self.inner.push_summary(socket),
            // Diffs are told after the table shows them, and the table stays as it is for so long.
            (Mode::Full, None) => {
                self.tracker.look(topic, |topic| socket.push("presence_state", json(&State(topic))))
            }
            (Mode::Full, Some(_)) => self
                .tracker
                .look(topic, |topic| self.inner.push_presences(socket, Presences::of(topic.entries()))),
        }
    }
}

impl PresenceBuilder {
    /// Says more of presences than their metas, for [`list`](Presence::list), [`get_by_key`](Presence::get_by_key), states and
    /// diffs: a user's name from a database, for all of a diff at once. Phoenix's `fetch/2`.
    ///
    /// It runs in a process of its own, once for the joins and once for the leaves of a diff. Diffs are told in order: one
    /// that takes long holds up those of all topics. If it panics, clients are told of these presences without it ([`FetchFailed`]).
    ///
    /// ```
    /// # use heronry_channels::{Broadcaster, Endpoint};
    /// # use heronry_presence::{Presence, TrackerOptions};
    /// # use serde_json::json;
    /// # let builder = Endpoint::builder();
    /// let presence = Presence::builder("online", builder.broadcaster(), TrackerOptions::default())
    ///     .fetch(async |_topic, mut presences| {
    ///         for (id, presence) in presences.iter_mut() {
    ///             let name = format!("user {id}"); // one query for all of them, in a real program
    ///             presence.insert("user", json!({ "name": name }));
    ///         }
    ///         presences
    ///     })
    ///     .build();
    /// ```
    #[must_use]
    pub fn fetch<F, B>(mut self, fetch: F) -> Self
    where
        F: Fn(Arc<str>, Presences) -> B + Send + Sync + 'static,
        B: Future<Output = Presences> + Send + 'static,
    {
        self.fetch = Some(Arc::new(move |topic, presences| Box::pin(fetch(topic, presences))));
        self
    }

    /// Tells a client within this program of all that changes; `make` makes it, anew if the presence is restarted.
    #[must_use]
    pub fn client<T: PresenceClient>(mut self, make: impl Fn() -> T + Send + Sync + 'static) -> Self {
        self.client = Some(Box::new(move || Box::new(make())));
        self
    }

    /// What clients are told in which topics, the same each time for a topic; [`Mode::Full`] unless set.
    #[must_use]
    pub fn mode(mut self, mode: impl Fn(&str) -> Mode + Send + Sync + 'static) -> Self {
        self.mode = Some(Box::new(mode));
        self
    }

    /// How often members of topics that are [counted](Mode::Count) or [sampled](Mode::Sample) are told at most;
    /// [`SUMMARY_WINDOW_DEFAULT`] unless set. What comes first after so long a silence is told at once.
    #[must_use]
    pub fn summary_window(mut self, window: Duration) -> Self {
        self.summary_window = window;
        self
    }

    /// The presence. It does not run yet.
    pub fn build(self) -> Presence {
        let Self { name, broadcaster, options, fetch, client, mode, summary_window } = self;
        let inner = Arc::new(Inner {
            name: name.clone(),
            broadcaster,
            fetch,
            client,
            mode,
            summary_window,
            summaries: Summaries::default(),
            teller: RwLock::new(None),
            shared: OnceLock::new(),
        });
        let tracker = TrackerRef::new(&name, inner.clone(), options);
        inner.shared.get_or_init(|| tracker.downgrade());
        Presence { tracker, inner }
    }
}

impl Inner {
    fn needs_teller(&self) -> bool {
        self.fetch.is_some() || self.client.is_some()
    }

    fn teller(&self) -> Option<Addr<TellerMsg>> {
        if self.needs_teller() { self.teller.read().clone() } else { None }
    }

    fn set_teller(&self, teller: Addr<TellerMsg>) {
        *self.teller.write() = Some(teller);
    }

    fn mode(&self, topic: &str) -> Mode {
        self.mode.as_ref().map_or(Mode::Full, |mode| mode(topic))
    }

    fn shared(&self) -> Option<Arc<Shared<()>>> {
        self.shared.get().and_then(Weak::upgrade)
    }

    /// Pushes presences as a state, with what a fetch says of them: queued behind the diffs that are in it, and before those
    /// that are not.
    fn push_presences<C: Channel>(
        &self,
        socket: &ChannelSocket<C>,
        presences: Presences,
    ) -> Result<(), PushError> {
        let teller = if self.fetch.is_some() { self.teller() } else { None };
        let Some(teller) = teller else { return socket.push("presence_state", json(&presences)) };
        let pusher = socket.pusher()?;
        let push = Box::new(move |presences: Presences| {
            // A client that has gone needs no state.
            drop(pusher.push("presence_state", json(&presences)));
        });
        let telling = TellerMsg::Tell(Telling::State(socket.topic().into(), presences, push));
        if let Err(error) = teller.send(telling)
            && let TellerMsg::Tell(Telling::State(_, presences, push)) = error.into_message()
        {
            push(presences);
        }
        Ok(())
    }

    async fn fetched(&self, topic: &str, presences: Presences) -> Presences {
        match &self.fetch {
            Some(fetch) => fetched(&**fetch, topic, presences).await,
            None => presences,
        }
    }
}

/// With what a fetch says. Of nobody there is nothing to say.
async fn fetched(fetch: &Fetch, topic: &str, presences: Presences) -> Presences {
    if presences.is_empty() { presences } else { fetch(topic.into(), presences).await }
}

fn counted(count: usize) -> Payload {
    json(&Count { count })
}

fn json<T: Serialize>(value: &T) -> Payload {
    Payload::json(value).expect("invariant: a map with texts for keys is JSON")
}

impl fmt::Debug for Presence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Presence({:?})", self.inner.name)
    }
}

impl fmt::Debug for PresenceBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PresenceBuilder").field("name", &self.name).finish_non_exhaustive()
    }
}
