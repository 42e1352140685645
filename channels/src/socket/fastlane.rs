//! The fastlane: a broadcast goes from PubSub straight to the sockets of its topic, encoded once for each serializer,
//! past the channel processes. Only a channel that intercepts the event gets it as a message.
//!
//! The counterpart in Phoenix is the dispatcher in `Phoenix.Channel.Server`.

use std::fmt;
use std::sync::Arc;

use heronry::pubsub::{Dispatcher, Entry, PubSub};
use heronry::telemetry;

use super::events::BroadcastDropped;
use super::outbound::Outbound;
use super::overload::{Conflation, Key};
use crate::message::Broadcast;
use crate::serializer::{Frame, Serializer};

/// The PubSub of an endpoint.
pub(crate) type ChannelPubSub = PubSub<Fastlane>;

/// The dispatcher.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fastlane;

/// How a subscriber takes a broadcast.
#[derive(Clone)]
pub(crate) enum Lane {
    /// A channel: its socket gets the frame, or the channel itself an event that it intercepts.
    Channel(Arc<ChannelLane>),
    /// Any process: it gets the broadcast as a message.
    Process(Arc<dyn Fn(Broadcast) + Send + Sync>),
}

pub(crate) struct ChannelLane {
    pub(crate) outbound: Outbound,
    pub(crate) serializer: Arc<dyn Serializer>,
    pub(crate) intercepts: &'static [&'static str],
    pub(crate) intercept: Box<dyn Fn(Broadcast) + Send + Sync>,
}

impl Dispatcher for Fastlane {
    type Message = Broadcast;
    type Subscriber = Lane;

    fn dispatch(&self, entries: &mut dyn Iterator<Item = &Entry<Lane>>, broadcast: &Broadcast) {
        let (mut encoded, mut keys) = (Encoded::default(), Keys::default());
        for entry in entries {
            match &entry.subscriber {
                Lane::Process(take) => take(broadcast.clone()),
                Lane::Channel(lane) if lane.intercepts.contains(&&*broadcast.event) => {
                    (lane.intercept)(broadcast.clone());
                }
                Lane::Channel(lane) => {
                    let Some(frame) = encoded.with(&lane.serializer, broadcast) else { continue };
                    match lane.outbound.conflation().and_then(|rules| keys.by(rules, broadcast)) {
                        Some(key) => lane.outbound.replace(&key, frame),
                        None => lane.outbound.push(frame),
                    }
                }
            }
        }
    }
}

/// The broadcast in each serializer met so far; there are few, so a list.
#[derive(Default)]
struct Encoded(Vec<(*const (), Option<Frame>)>);

impl Encoded {
    /// `None` if this serializer cannot carry the broadcast.
    fn with(&mut self, serializer: &Arc<dyn Serializer>, broadcast: &Broadcast) -> Option<Frame> {
        let identity = Arc::as_ptr(serializer).cast();
        if let Some((_, frame)) = self.0.iter().find(|(other, _)| *other == identity) {
            return frame.clone();
        }
        let frame = match serializer.encode_broadcast(broadcast) {
            Ok(frame) => Some(frame),
            Err(error) => {
                let Broadcast { topic, event, .. } = broadcast.clone();
                telemetry::emit(&BroadcastDropped { topic, event, error });
                None
            }
        };
        self.0.push((identity, frame.clone()));
        frame
    }
}

/// The broadcast's key by each mount's rules met so far, made once for all sockets of the mount.
#[derive(Default)]
struct Keys(Vec<(Conflation, Option<Arc<Key>>)>);

impl Keys {
    fn by(&mut self, rules: &Conflation, broadcast: &Broadcast) -> Option<Arc<Key>> {
        if let Some((_, key)) = self.0.iter().find(|(other, _)| other.is(rules)) {
            return key.clone();
        }
        let key = rules.key(broadcast).map(Arc::new);
        self.0.push((rules.clone(), key.clone()));
        key
    }
}

impl fmt::Debug for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Channel(_) => "Lane::Channel",
            Self::Process(_) => "Lane::Process",
        })
    }
}
