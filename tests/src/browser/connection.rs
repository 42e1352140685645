//! The one WebSocket to the browser: replies go to their callers by id, events to their page by session.
//!
//! When it ends, every call that waits and every later one gets [`BrowserError::Gone`].

use std::collections::HashMap;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};

use futures_core::Stream as _;
use futures_sink::Sink as _;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::{Error as WsError, Message};
use tokio_tungstenite::{WebSocketStream, client_async};

use super::log::PageLog;
use super::{BrowserError, DEFAULT_WAIT};

/// Commands that may wait to be written: tests send one after the other, so this is never reached.
const QUEUED_COMMANDS_MAX: usize = 64;

type Sessions = Arc<Mutex<HashMap<String, Arc<PageLog>>>>;

/// A handle on the task that owns the socket; the task ends when the handle is dropped.
#[derive(Debug)]
pub(super) struct Connection {
    commands: mpsc::Sender<Command>,
    sessions: Sessions,
}

#[derive(Debug)]
struct Command {
    session: Option<String>,
    method: &'static str,
    params: Value,
    reply: oneshot::Sender<Result<Value, BrowserError>>,
}

impl Connection {
    pub(super) async fn open(endpoint: &str) -> Result<Self, BrowserError> {
        let gone =
            |reason: String| BrowserError::Gone { reason: format!("no connection to {endpoint}: {reason}") };
        let address = endpoint.trim_start_matches("ws://").split('/').next().unwrap_or_default();
        let handshake = async {
            let stream = TcpStream::connect(address).await.map_err(|error| gone(error.to_string()))?;
            client_async(endpoint, stream).await.map_err(|error| gone(error.to_string()))
        };
        let (socket, _response) =
            timeout(DEFAULT_WAIT, handshake).await.map_err(|_| gone("the handshake timed out".into()))??;
        let (commands, queue) = mpsc::channel(QUEUED_COMMANDS_MAX);
        let sessions = Sessions::default();
        tokio::spawn(run(socket, queue, Arc::clone(&sessions)));
        Ok(Self { commands, sessions })
    }

    /// Sends the events of `session` to `log` from now on.
    pub(super) fn register(&self, session: String, log: Arc<PageLog>) {
        lock(&self.sessions).insert(session, log);
    }

    /// Carries out one protocol method, in a page's session or for the browser as a whole.
    pub(super) async fn call(
        &self,
        session: Option<&str>,
        method: &'static str,
        params: Value,
    ) -> Result<Value, BrowserError> {
        let (reply, answer) = oneshot::channel();
        let command = Command { session: session.map(str::to_owned), method, params, reply };
        let exchange = async {
            self.commands.send(command).await.ok()?;
            answer.await.ok()
        };
        match timeout(DEFAULT_WAIT, exchange).await {
            Ok(Some(result)) => result,
            Ok(None) => {
                Err(BrowserError::Gone { reason: format!("{method} came after its connection ended") })
            }
            Err(_) => Err(BrowserError::Timeout { method, after: DEFAULT_WAIT }),
        }
    }
}

/// Takes a string out of a reply; its absence is a [`BrowserError::Protocol`].
pub(super) fn text_field(method: &'static str, reply: &Value, field: &str) -> Result<String, BrowserError> {
    match reply[field].as_str() {
        Some(text) => Ok(text.to_owned()),
        None => Err(BrowserError::Protocol { method, message: format!("no {field} in {reply}") }),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("invariant: nothing panics while it holds this lock")
}

type Pending = HashMap<u64, (&'static str, oneshot::Sender<Result<Value, BrowserError>>)>;

async fn run(mut socket: WebSocketStream<TcpStream>, mut queue: mpsc::Receiver<Command>, sessions: Sessions) {
    let mut pending = Pending::new();
    let mut last_id = 0;
    let reason = loop {
        tokio::select! {
            command = queue.recv() => {
                let Some(command) = command else { return };
                last_id += 1;
                let text = encode(last_id, &command);
                pending.insert(last_id, (command.method, command.reply));
                if let Err(error) = send(&mut socket, Message::text(text)).await {
                    break error.to_string();
                }
            }
            frame = next(&mut socket) => match frame {
                Some(Ok(Message::Text(text))) => dispatch(&text, &mut pending, &sessions),
                Some(Ok(Message::Close(_))) | None => break "it closed its connection".to_owned(),
                Some(Ok(_)) => {}
                Some(Err(error)) => break error.to_string(),
            },
        }
    };
    for (_method, reply) in pending.into_values() {
        // The caller may have stopped waiting.
        let _ = reply.send(Err(BrowserError::Gone { reason: reason.clone() }));
    }
}

fn encode(id: u64, command: &Command) -> String {
    let mut message = json!({ "id": id, "method": command.method, "params": command.params });
    if let Some(session) = &command.session {
        message["sessionId"] = json!(session);
    }
    message.to_string()
}

fn dispatch(text: &str, pending: &mut Pending, sessions: &Sessions) {
    // What the browser sends is JSON by contract; a caller whose reply is lost gets its time-out.
    let Ok(mut message) = serde_json::from_str::<Value>(text) else { return };
    if let Some(id) = message["id"].as_u64() {
        let Some((method, reply)) = pending.remove(&id) else { return };
        let result = match message.get("error") {
            Some(error) => {
                let message = error["message"].as_str().map_or_else(|| error.to_string(), str::to_owned);
                Err(BrowserError::Protocol { method, message })
            }
            None => Ok(message["result"].take()),
        };
        // The caller may have stopped waiting.
        let _ = reply.send(result);
    } else if let (Some(session), Some(method)) = (message["sessionId"].as_str(), message["method"].as_str())
    {
        let log = lock(sessions).get(session).cloned();
        if let Some(log) = log {
            log.observe(method, &message["params"]);
        }
    }
}

async fn next(socket: &mut WebSocketStream<TcpStream>) -> Option<Result<Message, WsError>> {
    poll_fn(|context| Pin::new(&mut *socket).poll_next(context)).await
}

async fn send(socket: &mut WebSocketStream<TcpStream>, message: Message) -> Result<(), WsError> {
    poll_fn(|context| Pin::new(&mut *socket).poll_ready(context)).await?;
    Pin::new(&mut *socket).start_send(message)?;
    poll_fn(|context| Pin::new(&mut *socket).poll_flush(context)).await
}
