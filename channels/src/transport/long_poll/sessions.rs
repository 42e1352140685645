//! The sessions of a mount: from the token of a request to the process of its session.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, OnceLock};

use heronry::node::NodeName;
use heronry::telemetry::{self, Event, Level};
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::time::Instant;

use super::batch::Line;
use crate::serializer::Frame;
use crate::token::{MaxAge, Term, Tokens};
use crate::transport::mount::SocketHome;

/// How long a session's token is good. Phoenix's default, two weeks; the session must live, too.
const TOKEN_MAX_AGE: std::time::Duration = std::time::Duration::from_secs(1_209_600);

/// What session tokens are signed for.
const SALT: &str = "heronry long poll";

/// How many requests wait for a session's process to look at them; it looks at once.
const REQUESTS_MAX: usize = 16;

/// A request to a session. The answer goes into the slot; if the session is over, the slot is dropped.
#[derive(Debug)]
pub(super) enum Request {
    Poll(oneshot::Sender<Polled>),
    Publish {
        lines: Vec<Line>,
        done: Done,
    },
    /// What a poll of another node took did not get there: the client can't know what it missed.
    Lost,
}

/// What a poll is told.
#[derive(Debug)]
pub(super) enum Polled {
    /// Messages; none if the window is over.
    Messages(Vec<Frame>),
    /// A later poll takes the messages: there are none for this one.
    Superseded,
}

/// What a publish is told.
#[derive(Debug)]
pub(super) enum Published {
    Handled,
    /// A message took longer than the window.
    TooSlow,
}

/// Where a publish is answered. Until then no other one begins.
#[derive(Debug)]
pub(super) struct Done {
    pub(super) answer: oneshot::Sender<Published>,
    pub(super) _permit: OwnedSemaphorePermit,
}

/// A session, as requests reach it.
#[derive(Clone)]
pub(super) struct Handle {
    requests: mpsc::Sender<Request>,
    /// One publish is read and handled at a time.
    publishing: Arc<Semaphore>,
}

impl Handle {
    /// The right to publish, when its turn comes; `None` if the session is over.
    pub(super) async fn publishing(&self) -> Option<OwnedSemaphorePermit> {
        self.publishing.clone().acquire_owned().await.ok()
    }

    /// Hands a request over by the deadline; false if the session is over or does not take it.
    pub(super) async fn send(&self, request: Request, deadline: Instant) -> bool {
        matches!(tokio::time::timeout_at(deadline, self.requests.send(request)).await, Ok(Ok(())))
    }
}

/// The sessions of one mount.
pub(super) struct Sessions {
    max: usize,
    /// Where other nodes look for them too.
    node: Option<NodeName>,
    /// What this mount signs with if the endpoint has no secret.
    own_tokens: OnceLock<Tokens>,
    home: Arc<SocketHome>,
    live: Mutex<HashMap<Id, Handle>>,
}

/// What a session is called, on its node and by other nodes.
pub(super) type Id = [u8; 16];

/// Where the session of a token is.
pub(super) enum Found {
    Here(Handle),
    /// On this node, if anywhere.
    At(NodeName, Id),
}

/// The entry of a session; it goes with this.
pub(super) struct Registered {
    sessions: Arc<Sessions>,
    id: Id,
}

impl Sessions {
    pub(super) fn new(max: usize, node: Option<NodeName>, home: Arc<SocketHome>) -> Arc<Self> {
        Arc::new(Self { max, node, own_tokens: OnceLock::new(), home, live: Mutex::default() })
    }

    fn tokens(&self) -> &Tokens {
        self.home.tokens.get().unwrap_or_else(|| self.own_tokens.get_or_init(Tokens::with_random_secret))
    }

    /// Enters a session: its entry, its token, and the requests to it. `None` if there are as many as there may be.
    pub(super) fn register(self: &Arc<Self>) -> Option<(Registered, String, mpsc::Receiver<Request>)> {
        let (requests, receiver) = mpsc::channel(REQUESTS_MAX);
        let handle = Handle { requests, publishing: Arc::new(Semaphore::new(1)) };
        let id: Id = crate::token::random();
        {
            let mut live = self.live.lock();
            if live.len() >= self.max {
                drop(live);
                telemetry::emit(&LongPollSessionsFull { sessions_max: self.max });
                return None;
            }
            live.insert(id, handle);
        }
        let node = self.node.as_ref().map_or("", NodeName::as_str);
        let data = vec![Term::Atom("v1".to_owned()), Term::Binary(id.to_vec()), Term::Binary(node.into())];
        let token = self.tokens().sign(SALT, Term::Tuple(data));
        let token = token.expect("invariant: a few bytes are within the limits of a term");
        Some((Registered { sessions: self.clone(), id }, token, receiver))
    }

    /// The session that a token was given for; `None` if it lives no more.
    pub(super) fn find(&self, token: &str) -> Option<Found> {
        let data = self.tokens().verify_within(SALT, token, MaxAge::Of(TOKEN_MAX_AGE)).ok()?;
        let Term::Tuple(parts) = data else { return None };
        let [Term::Atom(version), Term::Binary(id), Term::Binary(node)] = &parts[..] else { return None };
        let id = Id::try_from(&id[..]).ok().filter(|_| version == "v1")?;
        if let Some(handle) = self.by_id(&id) {
            return Some(Found::Here(handle));
        }
        let node = NodeName::parse(str::from_utf8(node).ok()?).ok()?;
        let elsewhere = self.node.as_ref().is_some_and(|own| *own != node);
        elsewhere.then_some(Found::At(node, id))
    }

    /// The live session of that name on this node.
    pub(super) fn by_id(&self, id: &Id) -> Option<Handle> {
        self.live.lock().get(id).cloned()
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        let handle = self.sessions.live.lock().remove(&self.id);
        if let Some(handle) = handle {
            handle.publishing.close();
        }
    }
}

impl fmt::Debug for Registered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registered").finish_non_exhaustive()
    }
}

/// A long-poll session was refused, since its mount has as many as it may: `heronry.long_poll.sessions_full`.
#[derive(Debug)]
#[non_exhaustive]
pub struct LongPollSessionsFull {
    /// How many there may be.
    pub sessions_max: usize,
}

impl fmt::Display for LongPollSessionsFull {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a long-poll session is refused: there are {} already", self.sessions_max)
    }
}

impl Event for LongPollSessionsFull {
    fn name(&self) -> &'static str {
        "heronry.long_poll.sessions_full"
    }

    fn level(&self) -> Level {
        Level::Warn
    }
}
