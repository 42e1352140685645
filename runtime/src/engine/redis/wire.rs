//! One connection to a Redis server that publishes and receives, over RESP3.

use std::sync::Arc;
use std::time::Duration;

use ::redis::aio::MultiplexedConnection;
use ::redis::{PushInfo, PushKind, Value, cmd, pipe};
use bytes::Bytes;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::super::backlog::{Backlog, Taken};
use super::super::linked::{Incoming, Wire, Writer};
use super::REDIS_PAYLOAD_BYTES_MAX;
use crate::sync::Mutex;

/// How often the server is asked whether it is there.
const PING_INTERVAL: Duration = Duration::from_secs(1);

/// How long its answer may take: with the interval before it a link that looks alive and is not is down within 3 s.
const PONG_MAX: Duration = Duration::from_millis(1_800);

/// What the connection has brought, which must not wait for us.
pub(super) struct Inbox {
    state: Mutex<State>,
    changed: Notify,
}

struct State {
    backlog: Backlog<(Bytes, Bytes)>,
    down: Option<String>,
}

impl Inbox {
    pub(super) fn new() -> Self {
        let state = State { backlog: Backlog::new(), down: None };
        Self { state: Mutex::new(state), changed: Notify::new() }
    }

    /// Takes what the connection has brought.
    pub(super) fn take(&self, push: PushInfo) {
        match push.kind {
            PushKind::Message => {
                let mut parts = push.data.into_iter();
                if let (Some(Value::BulkString(subject)), Some(Value::BulkString(frame)), None) =
                    (parts.next(), parts.next(), parts.next())
                {
                    let bytes = frame.len();
                    self.state.lock().backlog.push((subject.into(), frame.into()), bytes);
                    self.changed.notify_one();
                }
            }
            PushKind::Disconnection => self.end("the connection was closed".to_owned()),
            // Answers to what we asked, and what we have not asked for.
            _ => {}
        }
    }

    fn end(&self, reason: String) {
        self.state.lock().down.get_or_insert(reason);
        self.changed.notify_one();
    }

    /// The end comes before what is left: a link is down at once.
    fn next(&self) -> Option<Incoming> {
        let mut state = self.state.lock();
        if let Some(reason) = &state.down {
            return Some(Incoming::Down(reason.clone()));
        }
        Some(match state.backlog.pop()? {
            Taken::Item((subject, frame)) => {
                Incoming::Frame { subject: String::from_utf8_lossy(&subject).into_owned(), frame }
            }
            Taken::Missed(count) => Incoming::Missed(count),
        })
    }
}

/// A connection and its pings.
pub(in super::super) struct RedisWire {
    connection: MultiplexedConnection,
    inbox: Arc<Inbox>,
    pings: JoinHandle<()>,
}

impl RedisWire {
    pub(super) fn new(connection: MultiplexedConnection, inbox: Arc<Inbox>) -> Self {
        let pings = tokio::spawn(ping(connection.clone(), inbox.clone()));
        Self { connection, inbox, pings }
    }
}

impl Drop for RedisWire {
    fn drop(&mut self) {
        self.pings.abort();
    }
}

async fn ping(mut connection: MultiplexedConnection, inbox: Arc<Inbox>) {
    loop {
        sleep(PING_INTERVAL).await;
        let reason = match timeout(PONG_MAX, cmd("PING").exec_async(&mut connection)).await {
            Ok(Ok(())) => continue,
            Ok(Err(error)) => error.to_string(),
            Err(_) => "the server does not answer any more".to_owned(),
        };
        return inbox.end(reason);
    }
}

impl Wire for RedisWire {
    type Writer = RedisWriter;

    fn writer(&self) -> RedisWriter {
        RedisWriter(self.connection.clone())
    }

    fn payload_max(&self) -> usize {
        REDIS_PAYLOAD_BYTES_MAX
    }

    async fn subscribe(&mut self, subjects: Vec<String>) -> Result<(), String> {
        self.connection.subscribe(subjects).await.map_err(|error| error.to_string())
    }

    async fn unsubscribe(&mut self, subjects: Vec<String>) -> Result<(), String> {
        self.connection.unsubscribe(subjects).await.map_err(|error| error.to_string())
    }

    async fn next(&mut self) -> Incoming {
        loop {
            if let Some(incoming) = self.inbox.next() {
                return incoming;
            }
            self.inbox.changed.notified().await;
        }
    }
}

/// The end that frames go into.
pub(in super::super) struct RedisWriter(MultiplexedConnection);

impl Writer for RedisWriter {
    async fn write(&self, frames: Vec<(String, Bytes)>) -> Result<u64, String> {
        let mut batch = pipe();
        for (subject, frame) in &frames {
            batch.cmd("PUBLISH").arg(subject).arg(&**frame).ignore();
        }
        let mut connection = self.0.clone();
        batch.exec_async(&mut connection).await.map_err(|error| error.to_string())?;
        Ok(0)
    }
}
