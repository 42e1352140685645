//! One connection to a NATS server, over `async-nats`, which is kept from reconnecting by itself.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use async_nats::connection::State;
use async_nats::{Client, Event, Message, PublishErrorKind, Subscriber};
use bytes::Bytes;
use futures_util::stream::{SelectAll, Stream, StreamExt};
use tokio::sync::Notify;
use tokio::time::{Interval, MissedTickBehavior, interval};

use super::super::linked::{Incoming, Wire, Writer};
use crate::sync::Mutex;

/// How often is looked at the state of the connection, since the client drops the word of its end if too much else happens, and at
/// what was missed: one gap in a while is better than one for each message.
const STATE_CHECK_INTERVAL: Duration = Duration::from_millis(250);

/// What the client says of its connection.
#[derive(Debug, Default)]
pub(super) struct Watch {
    down: AtomicBool,
    /// Messages that found no room before us; of many the client may tell fewer.
    missed: AtomicU64,
    last_error: Mutex<Option<String>>,
    changed: Notify,
}

impl Watch {
    pub(super) fn take(&self, event: &Event) {
        match event {
            Event::Disconnected | Event::Closed => self.down.store(true, Ordering::Release),
            Event::SlowConsumer(_) => {
                self.missed.fetch_add(1, Ordering::Relaxed);
                return;
            }
            Event::ServerError(_) | Event::ClientError(_) => {
                *self.last_error.lock() = Some(event.to_string());
                return;
            }
            Event::Connected | Event::LameDuckMode | Event::Draining => return,
        }
        self.changed.notify_one();
    }
}

/// A connection and the subscriptions on it.
pub(in super::super) struct NatsWire {
    client: Client,
    watch: Arc<Watch>,
    subscriptions: SelectAll<Subscription>,
    /// The flag of each subscription; one that is over has dropped its own.
    left: HashMap<String, Arc<AtomicBool>>,
    check: Interval,
}

/// A subscription that ends with the first message after it was left.
struct Subscription {
    subscriber: Subscriber,
    left: Arc<AtomicBool>,
}

impl Stream for Subscription {
    type Item = Message;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Message>> {
        let message = ready!(Pin::new(&mut self.subscriber).poll_next(cx));
        Poll::Ready(message.filter(|_| !self.left.load(Ordering::Relaxed)))
    }
}

impl NatsWire {
    pub(super) fn new(client: Client, watch: Arc<Watch>) -> Self {
        let mut check = interval(STATE_CHECK_INTERVAL);
        check.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { client, watch, subscriptions: SelectAll::new(), left: HashMap::new(), check }
    }

    /// Why the connection is over, if it is.
    fn end(&self) -> Option<Incoming> {
        if !self.watch.down.load(Ordering::Acquire) && self.client.connection_state() == State::Connected {
            return None;
        }
        let error = self.watch.last_error.lock().take();
        Some(Incoming::Down(error.unwrap_or_else(|| "the server does not answer any more".to_owned())))
    }
}

impl Wire for NatsWire {
    type Writer = NatsWriter;

    fn writer(&self) -> NatsWriter {
        NatsWriter(self.client.clone())
    }

    fn payload_max(&self) -> usize {
        self.client.max_payload()
    }

    async fn subscribe(&mut self, subjects: Vec<String>) -> Result<(), String> {
        self.left.retain(|_, left| Arc::strong_count(left) > 1);
        for subject in subjects {
            if let Some(left) = self.left.get(&subject) {
                left.store(false, Ordering::Relaxed);
                continue;
            }
            let subscriber =
                self.client.subscribe(subject.clone()).await.map_err(|error| error.to_string())?;
            let left = Arc::new(AtomicBool::new(false));
            self.subscriptions.push(Subscription { subscriber, left: left.clone() });
            self.left.insert(subject, left);
        }
        self.client.flush().await.map_err(|error| error.to_string())
    }

    async fn unsubscribe(&mut self, subjects: Vec<String>) -> Result<(), String> {
        for subject in subjects {
            if let Some(left) = self.left.get(&subject) {
                left.store(true, Ordering::Relaxed);
            }
        }
        Ok(())
    }

    async fn next(&mut self) -> Incoming {
        loop {
            if let Some(end) = self.end() {
                return end;
            }
            tokio::select! {
                message = self.subscriptions.next(), if !self.subscriptions.is_empty() => {
                    if let Some(message) = message {
                        return Incoming::Frame { subject: message.subject.to_string(), frame: message.payload };
                    }
                }
                () = self.watch.changed.notified() => {}
                _ = self.check.tick() => {
                    let missed = self.watch.missed.swap(0, Ordering::Relaxed);
                    if missed > 0 {
                        return Incoming::Missed(missed);
                    }
                }
            }
        }
    }
}

/// The end that frames go into.
pub(in super::super) struct NatsWriter(Client);

impl Writer for NatsWriter {
    async fn write(&self, frames: Vec<(String, Bytes)>) -> Result<u64, String> {
        let mut too_large = 0;
        for (subject, frame) in frames {
            match self.0.publish(subject, frame).await {
                Ok(()) => {}
                Err(error) if error.kind() == PublishErrorKind::MaxPayloadExceeded => too_large += 1,
                Err(error) => return Err(error.to_string()),
            }
        }
        // Until they are written, the client holds them: the next ones wait in our queue, which has limits.
        self.0.flush().await.map_err(|error| error.to_string())?;
        Ok(too_large)
    }
}
