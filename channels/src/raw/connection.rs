//! What a raw socket's callbacks see: the ways out, and the address for other processes.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use heronry::pubsub::Subscription;
use heronry::timer::{self, TimerRef};
use heronry::{Addr, CallError, Pid, ReplyTo, SendError};

use super::RawSocket;
use super::server::Incoming;
use crate::channel::{Broadcaster, PushError};
use crate::message::Broadcast;
use crate::serializer::{EncodeError, Frame};
use crate::socket::{ChannelPubSub, Lane, Outbound};

/// The connection of a [`RawSocket`]: given to each of its callbacks.
pub struct RawConnection<R: RawSocket> {
    pub(super) addr: Addr<Incoming<R::Msg>>,
    pub(super) shared: Arc<R::Shared>,
    pub(super) pubsub: ChannelPubSub,
    pub(super) outbound: Outbound,
    pub(super) transport: &'static str,
    pub(super) text_only: bool,
    /// The callback asked to hibernate once it is done.
    pub(super) hibernate: bool,
}

impl<R: RawSocket> RawConnection<R> {
    /// Sends a frame to the client: a text of a `&str` or a `String`, bytes of a `Vec<u8>` or `Bytes`. Frames arrive in
    /// the order in which they were pushed. Phoenix's `{:push, …}` and `{:reply, …}`.
    ///
    /// It never waits: what becomes of a client that reads too slowly is said by the mount's
    /// [`Overload`](crate::Overload).
    ///
    /// # Errors
    /// [`PushError::Encode`] with [`EncodeError::Binary`] for bytes to a client that polls: it can be sent text alone.
    pub fn push(&self, frame: impl Into<Frame>) -> Result<(), PushError> {
        let frame = frame.into();
        if self.text_only && matches!(frame, Frame::Binary(_)) {
            return Err(PushError::Encode(EncodeError::Binary));
        }
        self.outbound.push(frame);
        Ok(())
    }

    /// What all connections of the mount share: the value that was mounted.
    pub fn shared(&self) -> &R::Shared {
        &self.shared
    }

    /// `websocket` or `longpoll`.
    pub fn transport(&self) -> &'static str {
        self.transport
    }

    /// The process of the callbacks.
    pub fn pid(&self) -> Pid {
        self.addr.pid()
    }

    /// The address of this connection, for what is handled in [`RawSocket::handle_info`].
    pub fn addr(&self) -> RawAddr<R::Msg> {
        RawAddr(self.addr.clone())
    }

    /// The way to send to the topics of the endpoint.
    pub fn broadcaster(&self) -> Broadcaster {
        Broadcaster::new(self.pubsub.clone())
    }

    /// Subscribes this connection to a topic of the endpoint: each broadcast on it is handled in
    /// [`RawSocket::handle_info`], made into a message by `wrap`. The subscription lasts as long as the connection, or
    /// until it is dropped. Phoenix's `Endpoint.subscribe/2`.
    pub fn subscribe(
        &self,
        topic: &str,
        wrap: impl Fn(Broadcast) -> R::Msg + Send + Sync + 'static,
    ) -> Subscription {
        let addr = self.addr.clone();
        // A refused message is reported by the mailbox; PubSub promises no more than at most once.
        let take = move |broadcast| drop(addr.send(Incoming::Info(wrap(broadcast))));
        self.pubsub.subscribe(self.pid(), topic, Lane::Process(Arc::new(take)))
    }

    /// Sends this connection a message later, which it handles in [`RawSocket::handle_info`]. The timer ends with the
    /// connection. Erlang's `Process.send_after(self(), message, delay)`.
    pub fn send_after(&self, delay: Duration, message: R::Msg) -> TimerRef {
        timer::send_after(&self.addr, delay, Incoming::Info(message))
    }

    /// Sends this connection a message that `make` makes for each period, until cancelled or until the connection ends.
    /// Erlang's `:timer.send_interval(period, message)`.
    pub fn send_interval(
        &self,
        period: Duration,
        mut make: impl FnMut() -> R::Msg + Send + 'static,
    ) -> TimerRef {
        timer::send_interval(&self.addr, period, move || Incoming::Info(make()))
    }

    /// Gives back memory that the connection does not need while it waits, once the callback has returned.
    pub fn hibernate(&mut self) {
        self.hibernate = true;
    }
}

impl<R: RawSocket> fmt::Debug for RawConnection<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RawConnection")
            .field("pid", &self.pid())
            .field("transport", &self.transport)
            .finish_non_exhaustive()
    }
}

/// The address of a raw socket's connection, for other processes.
pub struct RawAddr<M>(Addr<Incoming<M>>);

impl<M: Send + 'static> RawAddr<M> {
    /// The process of the connection's callbacks.
    pub fn pid(&self) -> Pid {
        self.0.pid()
    }

    /// Sends a message, which the connection handles in [`RawSocket::handle_info`].
    ///
    /// # Errors
    /// [`SendError`], with the message, if the connection has ended or its mailbox is full.
    pub fn send(&self, msg: M) -> Result<(), SendError<M>> {
        self.0.send(Incoming::Info(msg)).map_err(|error| {
            let no_proc = matches!(error, SendError::NoProc(_));
            match error.into_message() {
                Incoming::Info(msg) if no_proc => SendError::NoProc(msg),
                Incoming::Info(msg) => SendError::Full(msg),
                Incoming::Frame(..) | Incoming::Control(..) | Incoming::Close(_) => {
                    unreachable!("invariant: a refused message comes back as it was")
                }
            }
        })
    }

    /// Sends a message with a reply slot and waits for the reply, as [`Addr::call`].
    ///
    /// # Errors
    /// [`CallError`] says why there is no reply.
    ///
    /// # Cancel safety
    /// Dropping the future drops the reply; the connection still handles the message.
    pub async fn call<T: Send + 'static>(
        &self,
        make: impl FnOnce(ReplyTo<T>) -> M,
        timeout: Duration,
    ) -> Result<T, CallError> {
        self.0.call(|reply_to| Incoming::Info(make(reply_to)), timeout).await
    }
}

impl<M> Clone for RawAddr<M> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<M: Send + 'static> fmt::Debug for RawAddr<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RawAddr({})", self.pid())
    }
}
