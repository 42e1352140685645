//! Channels: what a joined topic does with the events of its client.

mod broadcaster;
mod events;
mod interrupt;
mod join;
mod server;
mod socket;

pub use broadcaster::Broadcaster;
#[cfg(feature = "testing")]
pub(crate) use broadcaster::at_most_once;
pub use events::{ChannelHandledIn, ChannelJoined};
pub use join::{Join, JoinError};
pub use socket::{ChannelAddr, ChannelSocket, PushError, Pusher, SocketRef};

use heronry::ExitReason;

use crate::message::{Payload, Reply};
use crate::socket::Socket;

/// What a callback says should happen next.
#[derive(Clone, Debug)]
#[must_use]
pub enum Handled {
    /// Nothing is sent back. Phoenix's `{:noreply, socket}`.
    NoReply,
    /// The event is answered. Phoenix's `{:reply, reply, socket}`.
    Reply(Reply),
    /// The channel ends; after an orderly reason its client gets `phx_close` and stays away, after another `phx_error`
    /// and joins again. Phoenix's `{:stop, reason, socket}`.
    Stop(ExitReason),
    /// The event is answered and the channel ends.
    StopReply(ExitReason, Reply),
}

impl Handled {
    /// Replies ok with `{}`.
    pub fn ok() -> Self {
        Self::Reply(Reply::ok(Payload::empty()))
    }

    /// Replies ok with this payload.
    pub fn ok_with(payload: impl Into<Payload>) -> Self {
        Self::Reply(Reply::ok(payload.into()))
    }

    /// Replies error with this payload.
    pub fn error(payload: impl Into<Payload>) -> Self {
        Self::Reply(Reply::error(payload.into()))
    }
}

/// What a callback returns: what happens next, or a crash.
///
/// With `?` an error ends the channel: its client gets `phx_error` and joins again, and nobody else notices.
pub type Outcome = Result<Handled, ExitReason>;

/// A topic that a client has joined: a process with a state, one callback for each thing that can arrive.
///
/// One channel handles one thing after the other; channels don't wait for each other. What a channel sends to its own
/// client arrives in the order in which it was sent. A panic ends this channel alone.
/// The counterpart in Phoenix is `Phoenix.Channel`.
///
/// ```
/// use heronry_channels::prelude::*;
/// use serde_json::json;
/// # struct UserSocket;
/// # impl Socket for UserSocket {
/// #     type Assigns = String;
/// #     async fn connect(&self, _: &Connect) -> Result<String, Refusal> { Ok("ann".to_owned()) }
/// #     fn channels(routes: Routes<Self>) -> Routes<Self> { routes.channel::<Room>("room:*") }
/// # }
///
/// struct Room { messages: u64 }
///
/// impl Channel for Room {
///     type Socket = UserSocket;
///     type Msg = ();
///
///     async fn join(topic: &str, _: Payload, socket: &mut ChannelSocket<Self>) -> Join<Self> {
///         if topic == "room:private" {
///             return Err(JoinError::refuse(json!({ "reason": "unauthorized" })));
///         }
///         Ok((Room { messages: 0 }, json!({ "you_are": socket.assigns() }).into()))
///     }
///
///     async fn handle_in(&mut self, event: &str, payload: Payload, socket: &mut ChannelSocket<Self>) -> Outcome {
///         match event {
///             "shout" => {
///                 self.messages += 1;
///                 socket.broadcast("shout", payload)?;
///                 Ok(Handled::ok())
///             }
///             other => panic!("no such event: {other}"),
///         }
///     }
/// }
/// ```
pub trait Channel: Sized + Send + 'static {
    /// The socket that this channel belongs to.
    type Socket: Socket;

    /// What other processes may send it, see [`handle_info`](Self::handle_info); `()` if nothing.
    type Msg: Send + 'static;

    /// The events that go through [`handle_out`](Self::handle_out) on their way out. Phoenix's `intercept`.
    const INTERCEPT: &'static [&'static str] = &[];

    /// Accepts or refuses a join: the state and the reply, or why not. Until it is done nothing can be pushed or
    /// broadcast; send yourself a message through [`ChannelSocket::addr`] and push in `handle_info`. Its client's
    /// socket reads no further message meanwhile. Phoenix's `join/3`.
    fn join(
        topic: &str,
        payload: Payload,
        socket: &mut ChannelSocket<Self>,
    ) -> impl Future<Output = Join<Self>> + Send;

    /// Handles an event of the client. Phoenix's `handle_in/3`. Unless implemented, any event is a crash, as there.
    fn handle_in(
        &mut self,
        event: &str,
        payload: Payload,
        socket: &mut ChannelSocket<Self>,
    ) -> impl Future<Output = Outcome> + Send {
        drop(payload);
        let error = format!("{} has no handle_in for {event:?}", socket.topic());
        async { Err(ExitReason::custom(error)) }
    }

    /// Handles a broadcast of an event in [`INTERCEPT`](Self::INTERCEPT) before it goes to this client: pushes it,
    /// changed or not, or doesn't. Phoenix's `handle_out/3`; pushes it unchanged unless implemented.
    fn handle_out(
        &mut self,
        event: &str,
        payload: Payload,
        socket: &mut ChannelSocket<Self>,
    ) -> impl Future<Output = Outcome> + Send {
        let pushed = socket.push(event, payload);
        async { Ok(pushed.map(|()| Handled::NoReply)?) }
    }

    /// Handles a message of another process, or of itself. Phoenix's `handle_info/2`; ignored unless implemented.
    fn handle_info(
        &mut self,
        msg: Self::Msg,
        socket: &mut ChannelSocket<Self>,
    ) -> impl Future<Output = Outcome> + Send {
        let _ = (msg, socket);
        async { Ok(Handled::NoReply) }
    }

    /// Called before the channel ends by its own doing, by its client's leaving or going, or by a panic in a callback.
    /// The reason is `shutdown: left`, `shutdown: closed`, `shutdown: duplicate join` or what a callback said.
    /// Phoenix's `terminate/2`.
    ///
    /// A duplicate join does not wait for a callback under way: its future is dropped where it waits.
    fn terminate(
        &mut self,
        reason: &ExitReason,
        socket: &mut ChannelSocket<Self>,
    ) -> impl Future<Output = ()> + Send {
        let _ = (reason, socket);
        async {}
    }
}
