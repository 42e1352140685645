//! What a channel's callbacks see: their topic, their connection, and the ways out.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytestring::ByteString;
use heronry::pubsub::Subscription;
use heronry::timer::{self, TimerRef};
use heronry::{Addr, ExitReason, Pid, SendError};

use super::broadcaster::at_most_once;
use super::server::Incoming;
use super::{Broadcaster, Channel};
use crate::message::{Broadcast, Message, MessageRef, Payload, Reply};
use crate::serializer::EncodeError;
use crate::socket::{Connection, Lane, Socket};

/// The socket of a channel: given to each of its callbacks. The counterpart in Phoenix is the `socket`.
pub struct ChannelSocket<C: Channel> {
    pub(super) topic: ByteString,
    pub(super) join_ref: Option<MessageRef>,
    pub(super) connection: Arc<Connection<C::Socket>>,
    pub(super) addr: Addr<Incoming<C::Msg>>,
    /// The reference of the event that is being handled.
    pub(super) reference: Option<MessageRef>,
    pub(super) joined: bool,
    /// The channel asked to hibernate once the callback is done.
    pub(super) hibernate: bool,
}

/// A message that did not go out. Nothing was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PushError {
    /// The join is not over: send yourself a message and push when it is handled.
    NotJoined,
    /// The payload of a push or broadcast must be a JSON object (or binary).
    NotAnObject,
    /// The serializer can't carry it.
    Encode(EncodeError),
    /// The event had no reference, so no reply to it can be told apart.
    NoReference,
}

impl fmt::Display for PushError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotJoined => f.write_str(
                "nothing can be pushed or broadcast before the join is over; send yourself a message in join and push \
                 in handle_info",
            ),
            Self::NotAnObject => f.write_str("the payload of a push or broadcast must be a JSON object or binary"),
            Self::Encode(error) => error.fmt(f),
            Self::NoReference => f.write_str("the client did not ask for a reply: its event has no reference"),
        }
    }
}

impl std::error::Error for PushError {}

impl<C: Channel> ChannelSocket<C> {
    /// The topic.
    pub fn topic(&self) -> &str {
        &self.topic
    }

    /// The reference of the join, which tells this channel from an earlier one of the same topic.
    pub fn join_ref(&self) -> Option<&str> {
        self.join_ref.as_deref()
    }

    /// What the connection knows of its client: made by [`Socket::connect`], shared by its channels.
    pub fn assigns(&self) -> &<C::Socket as Socket>::Assigns {
        &self.connection.assigns
    }

    /// The socket's handler: the value that was mounted.
    pub fn handler(&self) -> &C::Socket {
        &self.connection.handler
    }

    /// The socket's [id](Socket::id), if it has one. Phoenix's `socket.id`.
    pub fn id(&self) -> Option<&str> {
        self.connection.id.as_deref()
    }

    /// `websocket` or `longpoll`.
    pub fn transport(&self) -> &'static str {
        self.connection.transport
    }

    /// The process of this channel.
    pub fn pid(&self) -> Pid {
        self.addr.pid()
    }

    /// The address of this channel, for what is handled in [`Channel::handle_info`].
    pub fn addr(&self) -> ChannelAddr<C::Msg> {
        ChannelAddr(self.addr.clone())
    }

    /// Sends an event to this client.
    ///
    /// # Errors
    /// [`PushError`] if the join is not over or the message can't be encoded.
    pub fn push(&self, event: &str, payload: impl Into<Payload>) -> Result<(), PushError> {
        self.pusher()?.push(event, payload)
    }

    /// The way to this client for other processes: they can push to it as this channel does. In Phoenix a socket can be
    /// handed on for that.
    ///
    /// # Errors
    /// [`PushError::NotJoined`] if the join is not over.
    pub fn pusher(&self) -> Result<Pusher<C::Socket>, PushError> {
        if !self.joined {
            return Err(PushError::NotJoined);
        }
        let (connection, topic) = (self.connection.clone(), self.topic.clone());
        Ok(Pusher { connection, topic, join_ref: self.join_ref.clone() })
    }

    /// Sends an event to all members of the topic, this client too, on all nodes. Phoenix's `broadcast/3`.
    ///
    /// Members on this node are sure to be sent it; those on others get it at most once: while the engine is down they do not
    /// ([`BroadcastRefused`](heronry::pubsub::BroadcastRefused)), which is no error here, since `?` would end the channel for it.
    ///
    /// # Errors
    /// [`PushError`] if the join is not over or the message can't be encoded.
    pub fn broadcast(&self, event: &str, payload: impl Into<Payload>) -> Result<(), PushError> {
        let broadcast = self.outgoing_broadcast(event, payload.into())?;
        at_most_once(self.connection.pubsub.broadcast(&self.topic, broadcast));
        Ok(())
    }

    /// Sends an event to all members of the topic but this one, on all nodes. Phoenix's `broadcast_from/3`.
    ///
    /// # Errors
    /// [`PushError`] if the join is not over or the message can't be encoded.
    pub fn broadcast_from(&self, event: &str, payload: impl Into<Payload>) -> Result<(), PushError> {
        let broadcast = self.outgoing_broadcast(event, payload.into())?;
        at_most_once(self.connection.pubsub.broadcast_from(self.pid(), &self.topic, broadcast));
        Ok(())
    }

    /// The way to send to other topics, and to socket ids. Phoenix's `socket.endpoint`.
    pub fn broadcaster(&self) -> Broadcaster {
        Broadcaster::new(self.connection.pubsub.clone())
    }

    /// Subscribes this channel to another topic: each broadcast on it is handled in [`Channel::handle_info`], made into
    /// a message by `wrap`. The subscription lasts as long as the channel, or until it is dropped. Phoenix's
    /// `Endpoint.subscribe/2`.
    pub fn subscribe(
        &self,
        topic: &str,
        wrap: impl Fn(Broadcast) -> C::Msg + Send + Sync + 'static,
    ) -> Subscription {
        let addr = self.addr.clone();
        // A refused message is reported by the mailbox; PubSub promises no more than at most once.
        let take = move |broadcast| drop(addr.send(Incoming::Info(wrap(broadcast))));
        self.connection.pubsub.subscribe(self.pid(), topic, Lane::Process(Arc::new(take)))
    }

    /// Sends this channel a message later, which it handles in [`Channel::handle_info`]. Erlang's
    /// `Process.send_after(self(), message, delay)`.
    ///
    /// The timer ends with the channel; [`TimerRef::cancel`] disarms it before. What becomes of the message if the
    /// channel's mailbox is full is said in [`timer`](heronry::timer).
    pub fn send_after(&self, delay: Duration, message: C::Msg) -> TimerRef {
        timer::send_after(&self.addr, delay, Incoming::Info(message))
    }

    /// Sends this channel a message that `make` makes for each period, until cancelled or until the channel ends, as
    /// [`timer::send_interval`](heronry::timer::send_interval). Erlang's `:timer.send_interval(period, message)`.
    pub fn send_interval(
        &self,
        period: Duration,
        mut make: impl FnMut() -> C::Msg + Send + 'static,
    ) -> TimerRef {
        timer::send_interval(&self.addr, period, move || Incoming::Info(make()))
    }

    /// Gives back memory that the channel does not need while it waits, once the callback has returned: for one that
    /// will be idle for long. Phoenix's `:hibernate`; the state is kept and the channel goes on as before.
    pub fn hibernate(&mut self) {
        self.hibernate = true;
    }

    /// A reference to the event that is being handled, to [reply](SocketRef::reply) to it later and from elsewhere.
    ///
    /// # Errors
    /// [`PushError::NoReference`] if the client did not ask for a reply.
    pub fn socket_ref(&self) -> Result<SocketRef<C::Socket>, PushError> {
        Ok(SocketRef {
            connection: self.connection.clone(),
            topic: self.topic.clone(),
            join_ref: self.join_ref.clone(),
            reference: self.reference.clone().ok_or(PushError::NoReference)?,
        })
    }

    pub(super) fn reply(&self, reply: &Reply) -> Result<(), ExitReason> {
        let (join_ref, reference) = (self.join_ref.as_ref(), self.reference.as_ref());
        let frame = self.connection.serializer.encode_reply(join_ref, reference, &self.topic, reply)?;
        self.connection.outbound.send(frame);
        Ok(())
    }

    fn outgoing_broadcast(&self, event: &str, payload: Payload) -> Result<Broadcast, PushError> {
        if !self.joined {
            return Err(PushError::NotJoined);
        }
        let payload = outgoing(payload)?;
        Broadcast::new(self.topic.clone(), event, payload).map_err(PushError::Encode)
    }
}

/// What can be pushed or broadcast.
fn outgoing(payload: Payload) -> Result<Payload, PushError> {
    if payload.is_object() || payload.is_binary() { Ok(payload) } else { Err(PushError::NotAnObject) }
}

/// The way to the client of a channel, for other processes: [`ChannelSocket::pusher`] makes it.
///
/// It says nothing of whether the channel is still there. Once the client has left the topic, what is pushed has a
/// join_ref that it does not know any more, and it ignores it.
pub struct Pusher<S: Socket> {
    connection: Arc<Connection<S>>,
    topic: ByteString,
    join_ref: Option<MessageRef>,
}

impl<S: Socket> Pusher<S> {
    /// Sends an event to the client. If it has gone, nothing happens.
    ///
    /// # Errors
    /// [`PushError`] if the message can't be encoded.
    pub fn push(&self, event: &str, payload: impl Into<Payload>) -> Result<(), PushError> {
        let message = Message {
            join_ref: self.join_ref.clone(),
            reference: None,
            topic: self.topic.clone(),
            event: event.into(),
            payload: outgoing(payload.into())?,
        };
        let frame = self.connection.serializer.encode_message(&message).map_err(PushError::Encode)?;
        self.connection.outbound.push(frame);
        Ok(())
    }
}

impl<S: Socket> Clone for Pusher<S> {
    fn clone(&self) -> Self {
        let Self { connection, topic, join_ref } = self;
        Self { connection: connection.clone(), topic: topic.clone(), join_ref: join_ref.clone() }
    }
}

impl<S: Socket> fmt::Debug for Pusher<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pusher").field("topic", &self.topic).finish_non_exhaustive()
    }
}

impl<C: Channel> fmt::Debug for ChannelSocket<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChannelSocket")
            .field("topic", &self.topic)
            .field("join_ref", &self.join_ref)
            .field("pid", &self.pid())
            .finish_non_exhaustive()
    }
}

/// The address of a channel, for other processes.
pub struct ChannelAddr<M>(Addr<Incoming<M>>);

impl<M: Send + 'static> ChannelAddr<M> {
    /// Of a channel of which only the process's address is known.
    #[cfg(feature = "testing")]
    pub(crate) fn of(pid: Pid) -> Option<Self> {
        heronry::testing::addr_of(pid).map(Self)
    }

    /// The channel's process.
    pub fn pid(&self) -> Pid {
        self.0.pid()
    }

    /// Sends a message, which the channel handles in [`Channel::handle_info`].
    ///
    /// # Errors
    /// [`SendError`], with the message, if the channel has ended or its mailbox is full.
    pub fn send(&self, msg: M) -> Result<(), SendError<M>> {
        self.0.send(Incoming::Info(msg)).map_err(|error| {
            let no_proc = matches!(error, SendError::NoProc(_));
            match error.into_message() {
                Incoming::Info(msg) if no_proc => SendError::NoProc(msg),
                Incoming::Info(msg) => SendError::Full(msg),
                _ => unreachable!("invariant: a refused message comes back as it was"),
            }
        })
    }
}

impl<M> Clone for ChannelAddr<M> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<M: Send + 'static> fmt::Debug for ChannelAddr<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ChannelAddr({})", self.pid())
    }
}

/// An event that waits for its reply. Phoenix's `socket_ref`.
pub struct SocketRef<S: Socket> {
    connection: Arc<Connection<S>>,
    topic: ByteString,
    join_ref: Option<MessageRef>,
    reference: MessageRef,
}

impl<S: Socket> SocketRef<S> {
    /// Replies, from any process or task. If the client has gone, nothing happens.
    ///
    /// # Errors
    /// [`PushError::Encode`] if the reply can't be encoded.
    pub fn reply(self, reply: &Reply) -> Result<(), PushError> {
        let (join_ref, reference) = (self.join_ref.as_ref(), Some(&self.reference));
        let encoded = self.connection.serializer.encode_reply(join_ref, reference, &self.topic, reply);
        self.connection.outbound.send(encoded.map_err(PushError::Encode)?);
        Ok(())
    }
}

impl<S: Socket> fmt::Debug for SocketRef<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SocketRef")
            .field("topic", &self.topic)
            .field("reference", &self.reference)
            .finish_non_exhaustive()
    }
}
