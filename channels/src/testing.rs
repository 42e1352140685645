//! Helpers for tests of channels (feature `testing`): Phoenix's `ChannelTest`.
//!
//! A [`ChannelTest`] connects clients to sockets without a network: a socket process with the same session and the same
//! channels as behind any transport, whose wire is memory, in the V2 protocol. What reaches its clients, and what is broadcast
//! on topics that it is subscribed to, arrives at the test, whose process it has ([`heronry::testing`]):
//! [`assert_push!`], [`assert_reply!`], [`assert_broadcast!`] and their refutations look there.
//!
//! Add the feature to the dev-dependencies alone: `heronry-channels = { version = "…", features = ["testing"] }`.
//!
//! ```
//! use heronry_channels::prelude::*;
//! use heronry_channels::testing::{
//!     ChannelTest, ConnectInfo, Status, assert_broadcast, assert_push, assert_reply, refute_push,
//! };
//! use serde_json::json;
//!
//! struct UserSocket;
//!
//! impl Socket for UserSocket {
//!     type Assigns = String;
//!     async fn connect(&self, connect: &Connect) -> Result<String, Refusal> {
//!         connect.params.get_str("name").map(str::to_owned).ok_or_else(Refusal::forbidden)
//!     }
//!     fn channels(routes: Routes<Self>) -> Routes<Self> { routes.channel::<Room>("room:*") }
//! }
//!
//! struct Room;
//!
//! impl Channel for Room {
//!     type Socket = UserSocket;
//!     type Msg = ();
//!     async fn join(_: &str, _: Payload, socket: &mut ChannelSocket<Self>) -> Join<Self> {
//!         Ok((Room, json!({ "you_are": socket.assigns() }).into()))
//!     }
//!     async fn handle_in(&mut self, event: &str, payload: Payload, socket: &mut ChannelSocket<Self>) -> Outcome {
//!         match event {
//!             "shout" => { socket.broadcast("shout", payload)?; Ok(Handled::NoReply) }
//!             _ => Ok(Handled::ok_with(payload)),
//!         }
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() {
//! ChannelTest::run(async |test| {
//!     let refused = test.connect(UserSocket, json!({}), ConnectInfo::default()).await;
//!     assert_eq!(refused.unwrap_err(), Refusal::forbidden());
//!
//!     let socket = test.connect(UserSocket, json!({ "name": "ann" }), ConnectInfo::default()).await.unwrap();
//!     let (reply, room) = test.subscribe_and_join(&socket, "room:lobby", json!({})).await.unwrap();
//!     assert_eq!(reply, json!({ "you_are": "ann" }).into());
//!
//!     room.push("shout", json!({ "body": "hello", "loud": true }));
//!     assert_broadcast!(test, "shout", json!({ "body": "hello" }));
//!     assert_push!(test, "shout", payload if payload["loud"] == true);
//!
//!     let reference = room.push("echo", json!({ "n": 1 }));
//!     assert_reply!(test, reference, Status::Ok, json!({ "n": 1 }));
//!     refute_push!(test, _);
//! })
//! .await;
//! # }
//! ```

mod event;
mod expected;
mod frames;
mod macros;
mod process;
mod socket;

pub use event::{ClientEvent, PushRef};
pub use expected::Expected;
#[doc(inline)]
pub use macros::{assert_broadcast, assert_push, assert_reply, refute_broadcast, refute_push, refute_reply};
pub use socket::{TestChannel, TestSocket};

pub use crate::message::Status;

use std::fmt;
use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use heronry::pubsub::{PubSub, Subscription};
use heronry::testing::TestProcess;
use heronry::{ChildSpec, Pid};
use http::{HeaderMap, Request, Uri};
use parking_lot::Mutex;
use serde_json::Value;
use tokio::sync::mpsc;

use self::process::MemoryProcess;
use self::socket::{COMMANDS_MAX, Shared, Wire};
use crate::channel::Broadcaster;
use crate::message::{Broadcast, Message, Payload};
use crate::params::Params;
use crate::serializer::Serializers;
use crate::socket::{Connect, Fastlane, Lane, Limits, Overload, Peer, Refusal, Routes, SessionBegin, Socket};
use crate::token::Term;
use crate::vsn::Vsn;

/// What channels see as the transport of a socket in memory.
const TRANSPORT: &str = "test";

/// What a client brings to [`ChannelTest::connect`] besides its params. Phoenix's `connect_info`.
///
/// ```
/// use heronry_channels::testing::ConnectInfo;
///
/// let mut info = ConnectInfo { auth_token: Some("secret".to_owned()), ..ConnectInfo::default() };
/// info.headers.insert("x-forwarded-for", "192.0.2.1".parse().unwrap());
/// ```
#[derive(Clone, Debug, Default)]
pub struct ConnectInfo {
    /// The headers of its request: for [`Connect::headers`], `x_headers`, `user_agent` and so on.
    pub headers: HeaderMap,
    /// The URI of its request.
    pub uri: Uri,
    /// Its address.
    pub peer: Option<SocketAddr>,
    /// Its token for authentication.
    pub auth_token: Option<String>,
    /// The session of its page.
    pub session: Option<Term>,
}

impl ConnectInfo {
    fn with(self, params: Params) -> Connect {
        let mut request = Request::new(());
        *request.headers_mut() = self.headers;
        *request.uri_mut() = self.uri;
        if let Some(peer) = self.peer {
            request.extensions_mut().insert(Peer(peer));
        }
        let connect = Connect::new(params, request.into_parts().0, TRANSPORT, self.auth_token, None);
        Connect { session: self.session, ..connect }
    }
}

/// A test with clients; see the [module](self).
///
/// It is a [`TestProcess`] and more: channels that it joins are linked with it, as in Phoenix, so that the crash of one
/// fails the test, unless it [traps exits](Self::trap_exit); sockets are its children and end with it.
pub struct ChannelTest {
    process: TestProcess<ClientEvent>,
    shared: Shared,
    limits: Limits,
    subscriptions: Vec<Subscription>,
    sockets: usize,
}

impl ChannelTest {
    /// Starts a test with a PubSub of its own. [`finish`](Self::finish) it.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn start() -> Self {
        Self::start_with(&Broadcaster::new(PubSub::new(Fastlane)))
    }

    /// Starts a test with the PubSub of an endpoint, which its [`Broadcaster`] stands for: broadcasts of the rest of the
    /// application reach the channels. Phoenix's `@endpoint`.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn start_with(endpoint: &Broadcaster) -> Self {
        let process = TestProcess::start();
        let shared = Shared {
            pubsub: endpoint.pubsub().clone(),
            test: process.addr(),
            next_ref: Arc::new(AtomicU64::new(1)),
        };
        Self { process, shared, limits: Limits::default(), subscriptions: Vec::new(), sockets: 0 }
    }

    /// Runs a test from [`start`](Self::start) to [`finish`](Self::finish), which it comes to even if it panics; see
    /// [`TestProcess::run`].
    ///
    /// # Panics
    /// As the test does; if an exit signal ends its process.
    pub async fn run<T>(test: impl AsyncFnOnce(&mut Self) -> T) -> T {
        TestProcess::run_in(Self::start(), test).await
    }

    /// [`run`](Self::run) with the PubSub of an endpoint.
    ///
    /// # Panics
    /// As [`run`](Self::run).
    pub async fn run_with<T>(endpoint: &Broadcaster, test: impl AsyncFnOnce(&mut Self) -> T) -> T {
        TestProcess::run_in(Self::start_with(endpoint), test).await
    }

    /// Ends the test, its sockets and their channels.
    ///
    /// # Panics
    /// If an exit signal has ended its process before.
    pub async fn finish(self) {
        self.process.finish().await;
    }

    /// The process of the test: for monitors and exits, and for what else it supervises.
    pub fn process(&mut self) -> &mut TestProcess<ClientEvent> {
        &mut self.process
    }

    /// The identity of the test's process.
    pub fn pid(&self) -> Pid {
        self.process.pid()
    }

    /// With `true`, ends of channels don't end the test; [`assert_exit!`](heronry::testing::assert_exit) on its
    /// [`process`](Self::process) sees them.
    pub fn trap_exit(&self, on: bool) -> bool {
        self.process.trap_exit(on)
    }

    /// Takes the link between the test and a channel away. Phoenix's `Process.unlink(socket.channel_pid)`.
    pub fn unlink(&self, channel: &TestChannel) {
        self.process.unlink(channel.channel_pid());
    }

    /// The way to broadcast from outside of any channel. Phoenix's `socket.endpoint`.
    pub fn broadcaster(&self) -> Broadcaster {
        Broadcaster::new(self.shared.pubsub.clone())
    }

    /// The limits of the sockets that are connected from now on.
    pub fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// Connects a client: runs [`Socket::connect`] and [`Socket::id`], and starts the socket's process. Phoenix's
    /// `connect/3`.
    ///
    /// `params` is an object; as in Phoenix its values are handed over as they are, where over a network all that is no map
    /// and no list is text.
    ///
    /// # Errors
    /// The [`Refusal`] of `connect`.
    ///
    /// # Panics
    /// If `params` is no object; if `connect` panics; if a channel's route is wrong.
    pub async fn connect<S: Socket>(
        &mut self,
        handler: S,
        params: Value,
        connect_info: ConnectInfo,
    ) -> Result<TestSocket<S>, Refusal> {
        let Value::Object(params) = params else { panic!("params must be an object, not {params}") };
        let assigns = handler.connect(&connect_info.with(Params::from(params))).await?;
        let id = handler.id(&assigns);
        Ok(self.open(handler, id, assigns).await)
    }

    /// A socket with this id and these assigns, without [`Socket::connect`]. Phoenix's `socket/3`.
    ///
    /// # Panics
    /// If a channel's route is wrong.
    pub async fn socket<S: Socket>(
        &mut self,
        handler: S,
        id: Option<&str>,
        assigns: S::Assigns,
    ) -> TestSocket<S> {
        self.open(handler, id.map(str::to_owned), assigns).await
    }

    async fn open<S: Socket>(
        &mut self,
        handler: S,
        id: Option<String>,
        assigns: S::Assigns,
    ) -> TestSocket<S> {
        let routes = Routes::of_socket().unwrap_or_else(|error| panic!("{error}"));
        let vsn = Vsn::parse("2.0.0").expect("invariant: a version");
        let serializers = Serializers::default();
        let serializer = serializers.choose(&vsn).expect("invariant: V2 is served by default").clone();
        let begin = SessionBegin {
            handler: Arc::new(handler),
            assigns,
            id,
            routes,
            pubsub: self.shared.pubsub.clone(),
            serializer,
            transport: TRANSPORT,
            limits: Arc::new(self.limits),
            overload: Overload::default(),
        };
        self.sockets += 1;
        let label = format!("socket {}", self.sockets);
        let (commands, received) = mpsc::channel(COMMANDS_MAX);
        let (test, opened) = (self.shared.test.clone(), Arc::new(Mutex::new(None)));
        let open = opened.clone();
        let spec = ChildSpec::once(label, move |spawner| {
            let spawned = spawner.options(|options| options.trap_exit(true)).spawn(|ctx| {
                let socket = ctx.addr();
                let process = MemoryProcess::new(ctx, begin, received, test);
                *open.lock() = Some((socket, process.session().connection().clone()));
                process
            });
            std::future::ready(spawned.map(|addr| addr.pid()))
        });
        let started = self.process.start_supervised(spec).await;
        started.unwrap_or_else(|error| panic!("the socket does not start: {error}"));
        let opened = opened.lock().take();
        let (socket, connection) = opened.expect("invariant: a socket that has started is noted");
        TestSocket { wire: Wire { shared: self.shared.clone(), commands, socket }, connection }
    }

    /// Joins a topic: the response and the channel, which is linked with the test. Phoenix's `join/3`.
    ///
    /// # Errors
    /// The response of the refusal; `{"reason": "join crashed"}` if it crashed.
    ///
    /// # Panics
    /// If the socket closes before, or if it takes more than 60 s.
    pub async fn join<S: Socket>(
        &mut self,
        socket: &TestSocket<S>,
        topic: &str,
        payload: impl Into<Payload>,
    ) -> Result<(Payload, TestChannel), Payload> {
        let joined = socket.join(topic, payload).await;
        if let Ok((_, channel)) = &joined {
            self.process.link(channel.channel_pid());
        }
        joined
    }

    /// [`subscribe`](Self::subscribe) and [`join`](Self::join). Phoenix's `subscribe_and_join/3`.
    ///
    /// # Errors
    /// As [`join`](Self::join).
    ///
    /// # Panics
    /// As [`join`](Self::join).
    pub async fn subscribe_and_join<S: Socket>(
        &mut self,
        socket: &TestSocket<S>,
        topic: &str,
        payload: impl Into<Payload>,
    ) -> Result<(Payload, TestChannel), Payload> {
        self.subscribe(topic);
        self.join(socket, topic, payload).await
    }

    /// Subscribes the test to a topic: [`assert_broadcast!`] sees what is broadcast on it. Phoenix's
    /// `Endpoint.subscribe/1`.
    pub fn subscribe(&mut self, topic: &str) {
        let test = self.shared.test.clone();
        // The mailbox reports what it refuses; a broadcast arrives at most once.
        let take = move |broadcast| drop(test.send(ClientEvent::Broadcast(broadcast)));
        let lane = Lane::Process(Arc::new(take));
        self.subscriptions.push(self.shared.pubsub.subscribe(self.process.pid(), topic, lane));
    }

    async fn assert<T>(
        &mut self,
        what: String,
        time: Option<Duration>,
        wanted: impl FnMut(ClientEvent) -> ControlFlow<T, ClientEvent>,
    ) -> Result<T, String> {
        self.process.assert_message(&what, time, wanted).await
    }

    async fn refute(
        &mut self,
        what: String,
        time: Option<Duration>,
        wanted: impl Fn(&ClientEvent) -> bool,
    ) -> Result<(), String> {
        let wanted =
            |event| if wanted(&event) { ControlFlow::Break(event) } else { ControlFlow::Continue(event) };
        self.process.refute_message(&what, time, wanted).await
    }

    /// What [`assert_push!`] does; the text of its failure.
    #[doc(hidden)]
    pub async fn assert_push(
        &mut self,
        event: Option<&str>,
        expected: Expected<'_>,
        time: Option<Duration>,
    ) -> Result<Message, String> {
        let wanted = |heard| match heard {
            ClientEvent::Push(message)
                if is(event, &message.event) && expected.is_met_by(&message.payload) =>
            {
                ControlFlow::Break(message)
            }
            heard => ControlFlow::Continue(heard),
        };
        self.assert(named("push", event, &expected), time, wanted).await
    }

    /// What [`refute_push!`] does; the text of its failure.
    #[doc(hidden)]
    pub async fn refute_push(
        &mut self,
        event: Option<&str>,
        expected: Expected<'_>,
        time: Option<Duration>,
    ) -> Result<(), String> {
        let wanted = |heard: &ClientEvent| match heard {
            ClientEvent::Push(message) => is(event, &message.event) && expected.is_met_by(&message.payload),
            ClientEvent::Reply { .. } | ClientEvent::Broadcast(_) | ClientEvent::Closed { .. } => false,
        };
        self.refute(named("push", event, &expected), time, wanted).await
    }

    /// What [`assert_broadcast!`] does; the text of its failure.
    #[doc(hidden)]
    pub async fn assert_broadcast(
        &mut self,
        event: Option<&str>,
        expected: Expected<'_>,
        time: Option<Duration>,
    ) -> Result<Broadcast, String> {
        let wanted = |heard| match heard {
            ClientEvent::Broadcast(broadcast)
                if is(event, &broadcast.event) && expected.is_met_by(&broadcast.payload) =>
            {
                ControlFlow::Break(broadcast)
            }
            heard => ControlFlow::Continue(heard),
        };
        self.assert(named("broadcast", event, &expected), time, wanted).await
    }

    /// What [`refute_broadcast!`] does; the text of its failure.
    #[doc(hidden)]
    pub async fn refute_broadcast(
        &mut self,
        event: Option<&str>,
        expected: Expected<'_>,
        time: Option<Duration>,
    ) -> Result<(), String> {
        let wanted = |heard: &ClientEvent| match heard {
            ClientEvent::Broadcast(broadcast) => {
                is(event, &broadcast.event) && expected.is_met_by(&broadcast.payload)
            }
            ClientEvent::Push(_) | ClientEvent::Reply { .. } | ClientEvent::Closed { .. } => false,
        };
        self.refute(named("broadcast", event, &expected), time, wanted).await
    }

    /// What [`assert_reply!`] does; the text of its failure.
    #[doc(hidden)]
    pub async fn assert_reply(
        &mut self,
        to: &PushRef,
        pattern: &str,
        matches: impl Fn(&Status) -> bool,
        expected: Expected<'_>,
        time: Option<Duration>,
    ) -> Result<Payload, String> {
        let wanted = |heard| match heard {
            ClientEvent::Reply { reference, status, response, .. }
                if reference == *to && matches(&status) && expected.is_met_by(&response) =>
            {
                ControlFlow::Break(response)
            }
            heard => ControlFlow::Continue(heard),
        };
        self.assert(format!("reply to {to:?}: {pattern} {expected}"), time, wanted).await
    }

    /// What [`refute_reply!`] does; the text of its failure.
    #[doc(hidden)]
    pub async fn refute_reply(
        &mut self,
        to: &PushRef,
        pattern: &str,
        matches: impl Fn(&Status) -> bool,
        expected: Expected<'_>,
        time: Option<Duration>,
    ) -> Result<(), String> {
        let wanted = |heard: &ClientEvent| match heard {
            ClientEvent::Reply { reference, status, response, .. } => {
                reference == to && matches(status) && expected.is_met_by(response)
            }
            ClientEvent::Push(_) | ClientEvent::Broadcast(_) | ClientEvent::Closed { .. } => false,
        };
        self.refute(format!("reply to {to:?}: {pattern} {expected}"), time, wanted).await
    }

    /// Waits until the server has closed a socket of the test: the code and the reason.
    ///
    /// # Panics
    /// If none is closed within 100 ms (or the timeout that its process was given); if that process has ended.
    pub async fn assert_closed(&mut self) -> (crate::close::CloseCode, String) {
        let wanted = |heard| match heard {
            ClientEvent::Closed { code, reason } => ControlFlow::Break((code, reason)),
            heard => ControlFlow::Continue(heard),
        };
        let closed = self.assert("closed by the server".to_owned(), None, wanted).await;
        closed.unwrap_or_else(|failure| panic!("{failure}"))
    }
}

fn is(wanted: Option<&str>, event: &str) -> bool {
    wanted.is_none_or(|wanted| wanted == event)
}

fn named(kind: &str, event: Option<&str>, expected: &Expected<'_>) -> String {
    match event {
        Some(event) => format!("{kind} {event:?}: {expected}"),
        None => format!("{kind} of any event: {expected}"),
    }
}

impl AsMut<TestProcess<ClientEvent>> for ChannelTest {
    fn as_mut(&mut self) -> &mut TestProcess<ClientEvent> {
        &mut self.process
    }
}

impl fmt::Debug for ChannelTest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ChannelTest({})", self.pid())
    }
}
