//! The sessions of a mount: from the token of a request to the process of its session.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use heronry::telemetry::{self, Event, Level};
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::time::Instant;

use super::batch::Line;
use crate::serializer::Frame;
use crate::token::{MaxAge, Term, Tokens};

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
    Publish { lines: Vec<Line>, done: Done },
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
    tokens: Tokens,
    live: Mutex<HashMap<Id, Handle>>,
}

type Id = [u8; 16];

/// The entry of a session; it goes with this.
pub(super) struct Registered {
    sessions: Arc<Sessions>,
    id: Id,
}

impl Sessions {
    pub(super) fn new(max: usize) -> Arc<Self> {
        let tokens = Tokens::with_random_secret().max_age(TOKEN_MAX_AGE);
        Arc::new(Self { max, tokens, live: Mutex::default() })
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
        let data = Term::Tuple(vec![Term::Atom("v1".to_owned()), Term::Binary(id.to_vec())]);
        let token =
            self.tokens.sign(SALT, data).expect("invariant: a few bytes are within the limits of a term");
        Some((Registered { sessions: self.clone(), id }, token, receiver))
    }

    /// The live session that a token was given for.
    pub(super) fn find(&self, token: &str) -> Option<Handle> {
        let data = self.tokens.verify_within(SALT, token, MaxAge::Of(TOKEN_MAX_AGE)).ok()?;
        let Term::Tuple(parts) = data else { return None };
        let [Term::Atom(version), Term::Binary(id)] = &parts[..] else { return None };
        let id = Id::try_from(&id[..]).ok().filter(|_| version == "v1")?;
        self.live.lock().get(&id).cloned()
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
