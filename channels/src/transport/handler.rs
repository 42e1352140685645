//! What is mounted: decides who may connect, and with what a connection begins.

use std::sync::Arc;

use serde_json::Value;

use super::mount::{SocketHome, SocketOptions};
use crate::params::Params;
use crate::raw::{RawBegin, RawSocket};
use crate::serializer::{Serializer, Serializers};
use crate::socket::{Begin, Connect, Limits, Refusal, Routes, SessionBegin, Socket};
use crate::vsn::Vsn;

/// A socket with channels, or one without, as its mount asks it.
pub(crate) trait Handler: Send + Sync + 'static {
    type Begin: Begin;
    /// The version of the protocol that is agreed on.
    type Version: Send;

    /// Agrees on a version, by the params; asked before the client counts as one that connects.
    fn negotiate(&self, serializers: &Serializers, params: &mut Params) -> Result<Self::Version, Refusal>;

    /// Asks the user's code whether the client is let in.
    fn connect(
        &self,
        version: Self::Version,
        connect: Connect,
        mounted: Mounted<'_>,
    ) -> impl Future<Output = Result<Self::Begin, Refusal>> + Send;
}

/// How and where it is mounted.
#[derive(Clone, Copy)]
pub(crate) struct Mounted<'a> {
    pub(super) options: &'a SocketOptions,
    /// The limits of the options, which all connections share.
    pub(super) limits: &'a Arc<Limits>,
    pub(super) home: &'a SocketHome,
    /// Whether the client polls: it can be sent text alone, and is answered for each message.
    pub(super) polled: bool,
}

/// A socket with channels.
pub(crate) struct WithChannels<S: Socket> {
    socket: Arc<S>,
    routes: Arc<Routes<S>>,
}

impl<S: Socket> WithChannels<S> {
    pub(crate) fn new(socket: S, routes: Arc<Routes<S>>) -> Self {
        Self { socket: Arc::new(socket), routes }
    }
}

impl<S: Socket> Handler for WithChannels<S> {
    type Begin = SessionBegin<S>;
    type Version = Arc<dyn Serializer>;

    /// The serializer for the version that a client names in its `vsn` param; a version that is none, or that nothing
    /// serves, is refused.
    fn negotiate(
        &self,
        serializers: &Serializers,
        params: &mut Params,
    ) -> Result<Arc<dyn Serializer>, Refusal> {
        let vsn = match params.remove("vsn") {
            None => Some(Vsn::DEFAULT),
            Some(Value::String(vsn)) => Vsn::parse(&vsn).ok(),
            Some(_) => None,
        };
        vsn.and_then(|vsn| serializers.choose(&vsn).cloned()).ok_or_else(Refusal::forbidden)
    }

    async fn connect(
        &self,
        serializer: Arc<dyn Serializer>,
        connect: Connect,
        mounted: Mounted<'_>,
    ) -> Result<SessionBegin<S>, Refusal> {
        let assigns = self.socket.connect(&connect).await?;
        let id = self.socket.id(&assigns);
        Ok(SessionBegin {
            handler: self.socket.clone(),
            assigns,
            id,
            routes: self.routes.clone(),
            pubsub: mounted.home.pubsub.clone(),
            serializer,
            transport: connect.transport,
            limits: mounted.limits.clone(),
            overload: mounted.options.overload.clone(),
        })
    }
}

/// A socket without channels.
pub(crate) struct WithoutChannels<R: RawSocket>(Arc<R::Shared>);

impl<R: RawSocket> WithoutChannels<R> {
    pub(crate) fn new(shared: R::Shared) -> Self {
        Self(Arc::new(shared))
    }
}

impl<R: RawSocket> Handler for WithoutChannels<R> {
    type Begin = RawBegin<R>;
    type Version = ();

    fn negotiate(&self, _: &Serializers, _: &mut Params) -> Result<(), Refusal> {
        Ok(())
    }

    async fn connect(&self, (): (), connect: Connect, mounted: Mounted<'_>) -> Result<RawBegin<R>, Refusal> {
        let state = R::connect(&self.0, &connect).await?;
        Ok(RawBegin {
            state,
            shared: self.0.clone(),
            pubsub: mounted.home.pubsub.clone(),
            transport: connect.transport,
            text_only: mounted.polled,
            one_by_one: mounted.polled,
            limits: mounted.limits.clone(),
            overload: mounted.options.overload.clone(),
        })
    }
}
