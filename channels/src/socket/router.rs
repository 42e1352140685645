//! Topic to channel: the routes of a socket, and how a socket starts a channel and hands it events.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytestring::ByteString;
use heronry::{Context, ExitReason, Pid};

use super::Socket;
use super::connection::Connection;
use super::inflight::Permit;
use super::outbound::SocketMsg;
use crate::message::{Message, MessageRef, Payload};
use crate::topic::{TopicError, TopicPattern};

/// The channels of a socket by topic; made in [`Socket::channels`].
pub struct Routes<S: Socket> {
    routes: Vec<(TopicPattern, Arc<dyn Starter<S>>)>,
    error: Option<RouteError>,
}

/// A route whose topic pattern is wrong; the endpoint does not start with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteError {
    /// The pattern.
    pub pattern: String,
    /// What is wrong with it.
    pub error: TopicError,
}

impl<S: Socket> Routes<S> {
    pub(crate) fn of_socket() -> Result<Arc<Self>, RouteError> {
        let routes = S::channels(Self { routes: Vec::new(), error: None });
        match routes.error {
            Some(error) => Err(error),
            None => Ok(Arc::new(routes)),
        }
    }

    pub(crate) fn add(mut self, pattern: &str, starter: Arc<dyn Starter<S>>) -> Self {
        match TopicPattern::parse(pattern) {
            Ok(parsed) => self.routes.push((parsed, starter)),
            Err(error) => {
                self.error.get_or_insert(RouteError { pattern: pattern.to_owned(), error });
            }
        }
        self
    }

    /// The channel for a topic: the first route that matches.
    pub(super) fn find(&self, topic: &str) -> Option<&Arc<dyn Starter<S>>> {
        self.routes.iter().find(|(pattern, _)| pattern.matches(topic)).map(|(_, starter)| starter)
    }
}

impl<S: Socket> fmt::Debug for Routes<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.routes.iter().map(|(pattern, _)| pattern)).finish()
    }
}

impl fmt::Display for RouteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the channel route {:?} is wrong: {}", self.pattern, self.error)
    }
}

impl std::error::Error for RouteError {}

/// What happens to a channel that crashes: a strategy of its route.
///
/// ```
/// use std::time::Duration;
/// use heronry_channels::ChannelRestart;
///
/// let restart = ChannelRestart::Transient { intensity: 3, period: Duration::from_secs(5) };
/// # drop(restart);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ChannelRestart {
    /// It is gone: its client gets `phx_error` and joins again. Phoenix's `restart: :temporary`.
    #[default]
    Temporary,
    /// Its socket starts it again with the payload of its join, and its client notices nothing: what it sends meanwhile
    /// is handled after the rejoin. What waited in the mailbox of the channel that crashed is lost, as are broadcasts in
    /// between; the event that it crashed on gets no reply.
    ///
    /// When it crashes more often than `intensity` times in `period`, or when the rejoin is refused, its client gets
    /// `phx_error` as with `Temporary`. A first join that crashes is told to the client at once.
    /// Phoenix has no counterpart; the word is OTP's.
    Transient {
        /// How many crashes in the period are met by a restart.
        intensity: u32,
        /// The period.
        period: Duration,
    },
}

/// A join on its way to a channel process.
pub(crate) struct JoinRequest<S: Socket> {
    pub(crate) topic: ByteString,
    pub(crate) join_ref: Option<MessageRef>,
    pub(crate) reference: Option<MessageRef>,
    pub(crate) payload: Payload,
    pub(crate) connection: Arc<Connection<S>>,
    /// The client has joined already, and hears nothing of it: the channel is started again after a crash.
    pub(crate) rejoin: bool,
}

/// Starts channels of one type.
pub(crate) trait Starter<S: Socket>: Send + Sync {
    /// What happens when such a channel crashes.
    fn restart(&self) -> ChannelRestart;

    /// Spawns a channel process, linked to the socket process of `ctx`, that begins with the join.
    fn start(&self, ctx: &Context<SocketMsg>, join: JoinRequest<S>, restarts: u32) -> Arc<dyn Inbox>;
}

/// What a socket hands a channel.
#[derive(Debug)]
pub(crate) enum Delivery {
    /// An event of the client.
    Event(Box<Message>, Permit),
    /// End when all before is handled, for this reason.
    Close(ExitReason),
    /// End at once, in the middle of a callback too.
    Interrupt(ExitReason),
}

/// The mailbox of a channel, whatever its type.
pub(crate) trait Inbox: Send + Sync {
    fn pid(&self) -> Pid;
    /// False if the channel takes nothing: it has ended, or its mailbox is full.
    fn deliver(&self, delivery: Delivery) -> bool;
}
