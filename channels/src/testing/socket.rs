//! A client's end of a socket in memory, and of a channel that it has joined.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use bytestring::ByteString;
use heronry::{Addr, ExitReason, Pid};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::event::{ClientEvent, PushRef};
use super::frames;
use super::process::{Command, Joined};
use crate::channel::{Channel, ChannelAddr, PushError, at_most_once};
use crate::message::{Broadcast, Message, Payload};
use crate::socket::{ChannelPubSub, Connection, Socket};

/// How many commands wait for a socket that reads no more for now: as many as a mailbox takes.
pub(super) const COMMANDS_MAX: usize = 65_536;

/// How long a join may take: as long as a test in ExUnit.
const JOIN_TIMEOUT: Duration = Duration::from_secs(60);

/// What all sockets of a test share.
#[derive(Clone)]
pub(super) struct Shared {
    pub(super) pubsub: ChannelPubSub,
    pub(super) test: Addr<ClientEvent>,
    pub(super) next_ref: Arc<AtomicU64>,
}

impl Shared {
    fn next_ref(&self) -> ByteString {
        self.next_ref.fetch_add(1, Ordering::Relaxed).to_string().into()
    }
}

/// A client's end of a socket, untyped.
#[derive(Clone)]
pub(super) struct Wire {
    pub(super) shared: Shared,
    pub(super) commands: mpsc::Sender<Command>,
    pub(super) socket: Addr<crate::socket::SocketMsg>,
}

impl Wire {
    fn push(&self, join_ref: ByteString, topic: &ByteString, event: &str, payload: Payload) -> PushRef {
        let reference = self.shared.next_ref();
        let (join_ref, topic) = (Some(join_ref.into()), topic.clone());
        let message = Message {
            join_ref,
            reference: Some(reference.clone().into()),
            topic,
            event: event.into(),
            payload,
        };
        let frame =
            frames::encode(&message).unwrap_or_else(|error| panic!("{event:?} can't be pushed: {error}"));
        self.command(Command::Frame(frame));
        PushRef(reference)
    }

    /// What a client does after its socket has closed does nothing.
    fn command(&self, command: Command) {
        if let Err(mpsc::error::TrySendError::Full(_)) = self.commands.try_send(command) {
            panic!("{COMMANDS_MAX} messages wait for this socket: its channels handle nothing");
        }
    }

    async fn join(&self, topic: &str, payload: Payload) -> Result<(Payload, TestChannel), Payload> {
        let reference = self.shared.next_ref();
        let topic = ByteString::from(topic);
        let message = Message {
            join_ref: Some(reference.clone().into()),
            reference: Some(reference.clone().into()),
            topic: topic.clone(),
            event: ByteString::from_static("phx_join"),
            payload,
        };
        let frame =
            frames::encode(&message).unwrap_or_else(|error| panic!("{topic:?} can't be joined: {error}"));
        let (answer, answered) = oneshot::channel::<Joined>();
        self.command(Command::Join { reference: reference.clone(), frame, answer });
        match timeout(JOIN_TIMEOUT, answered).await {
            Ok(Ok(Ok((response, pid)))) => {
                Ok((response, TestChannel { wire: self.clone(), topic, join_ref: reference, pid }))
            }
            Ok(Ok(Err(response))) => Err(response),
            Ok(Err(_)) => panic!("the socket closed before the join of {topic:?} was answered"),
            Err(_) => panic!("the join of {topic:?} was not answered in {JOIN_TIMEOUT:?}"),
        }
    }

    async fn close(&self, wait: Option<Duration>) -> ExitReason {
        self.command(Command::Close(wait));
        self.socket.wait().await
    }
}

/// A socket that a test has connected: the client's end of it. Phoenix's `%Socket{}` in a `ChannelTest`.
///
/// Its process is a child of the test's supervisor and lives as long as the test, unless it is [closed](Self::close).
pub struct TestSocket<S: Socket> {
    pub(super) wire: Wire,
    pub(super) connection: Arc<Connection<S>>,
}

impl<S: Socket> TestSocket<S> {
    /// What [`Socket::connect`] made of the client.
    pub fn assigns(&self) -> &S::Assigns {
        &self.connection.assigns
    }

    /// Its [id](Socket::id), if it has one.
    pub fn id(&self) -> Option<&str> {
        self.connection.id.as_deref()
    }

    /// The socket's process. Phoenix's `transport_pid`.
    pub fn pid(&self) -> Pid {
        self.wire.socket.pid()
    }

    /// [`ChannelTest::join`](super::ChannelTest::join) for code that has no test at hand: the channel is linked with its
    /// socket alone.
    ///
    /// # Errors
    /// The response of the refusal; `{"reason": "join crashed"}` if it crashed.
    ///
    /// # Panics
    /// If the socket closes before, or if it takes more than 60 s.
    pub async fn join(
        &self,
        topic: &str,
        payload: impl Into<Payload>,
    ) -> Result<(Payload, TestChannel), Payload> {
        self.wire.join(topic, payload.into()).await
    }

    /// The client goes away: its channels end with `shutdown: closed`, after 5 s (or what the socket's limits say) they
    /// are killed. Returns when all have ended, with the exit reason of the socket.
    pub async fn close(&self) -> ExitReason {
        self.wire.close(None).await
    }

    /// [`close`](Self::close), and channels are killed after another time.
    pub async fn close_within(&self, time: Duration) -> ExitReason {
        self.wire.close(Some(time)).await
    }
}

impl<S: Socket> Clone for TestSocket<S> {
    fn clone(&self) -> Self {
        Self { wire: self.wire.clone(), connection: self.connection.clone() }
    }
}

impl<S: Socket> fmt::Debug for TestSocket<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TestSocket({})", self.pid())
    }
}

/// A channel that a test has joined: the client's end of it. Phoenix's joined `%Socket{}` in a `ChannelTest`.
#[derive(Clone)]
pub struct TestChannel {
    wire: Wire,
    topic: ByteString,
    join_ref: ByteString,
    pid: Pid,
}

impl TestChannel {
    /// The topic.
    pub fn topic(&self) -> &str {
        &self.topic
    }

    /// The channel's process. Phoenix's `channel_pid`.
    pub fn channel_pid(&self) -> Pid {
        self.pid
    }

    /// The channel's address, for what is handled in [`Channel::handle_info`]; `C` is its type. Phoenix's
    /// `send(socket.channel_pid, …)`.
    ///
    /// # Panics
    /// If the channel has ended, or is of another type.
    pub fn addr<C: Channel>(&self) -> ChannelAddr<C::Msg> {
        let name = std::any::type_name::<C>();
        ChannelAddr::of(self.pid).unwrap_or_else(|| panic!("{} has ended, or is no {name}", self.topic))
    }

    /// The client pushes an event, which the channel handles in [`Channel::handle_in`]. After the channel's end it does
    /// what the socket does about it then. Phoenix's `push/3`.
    ///
    /// # Panics
    /// If the payload is binary and a name too long for that, or if 65,536 pushes wait.
    pub fn push(&self, event: &str, payload: impl Into<Payload>) -> PushRef {
        self.wire.push(self.join_ref.clone(), &self.topic, event, payload.into())
    }

    /// [`push`](Self::push) of bytes. Phoenix's `push(socket, event, {:binary, data})`.
    ///
    /// # Panics
    /// As [`push`](Self::push).
    pub fn push_binary(&self, event: &str, bytes: impl Into<Bytes>) -> PushRef {
        self.push(event, Payload::binary(bytes))
    }

    /// The client leaves the topic: the channel replies and ends with `shutdown: left`. Phoenix's `leave/1`; as there,
    /// that ends the test too, unless it [traps exits](super::ChannelTest::trap_exit) or is
    /// [unlinked](super::ChannelTest::unlink).
    ///
    /// # Panics
    /// As [`push`](Self::push).
    pub fn leave(&self) -> PushRef {
        self.push("phx_leave", Payload::empty())
    }

    /// The client goes away: [`TestSocket::close`], which ends all channels of its socket. (Phoenix's `close/2` ends this
    /// one alone, which no client can do.)
    pub async fn close(&self) -> ExitReason {
        self.wire.close(None).await
    }

    /// [`close`](Self::close), and channels are killed after this time. Phoenix's `close(socket, timeout)`.
    pub async fn close_within(&self, time: Duration) -> ExitReason {
        self.wire.close(Some(time)).await
    }

    /// Broadcasts on the topic as if another member did: the channel gets it, or its client, and the test doesn't hear it
    /// as a broadcast. Phoenix's `broadcast_from/3`.
    ///
    /// # Errors
    /// [`PushError`] if the payload is neither an object nor binary.
    pub fn broadcast_from(&self, event: &str, payload: impl Into<Payload>) -> Result<(), PushError> {
        let payload = payload.into();
        if !payload.is_object() && !payload.is_binary() {
            return Err(PushError::NotAnObject);
        }
        let broadcast = Broadcast::new(self.topic.clone(), event, payload).map_err(PushError::Encode)?;
        let shared = &self.wire.shared;
        at_most_once(shared.pubsub.broadcast_from(shared.test.pid(), &self.topic, broadcast));
        Ok(())
    }
}

impl fmt::Debug for TestChannel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TestChannel({} {})", self.topic, self.pid)
    }
}
