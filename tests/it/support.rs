//! What the tests of this binary share: bounded waits, a server in this process, a client that speaks raw frames.

pub(crate) mod http;

use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::Pin;
use std::process::Command;
use std::time::Duration;

use futures_core::Stream;
use futures_sink::Sink;
use heronry::supervisor::SupervisorRef;
use heronry_channels::prelude::*;
use heronry_channels::{CheckOrigin, EndpointBuilder, Limits, SocketOptions};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::handshake::client::Response;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
use tokio_tungstenite::tungstenite::protocol::frame::{CloseFrame, Frame};
use tokio_tungstenite::tungstenite::{self, Bytes, Message};

/// How long anything may take before it counts as never.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// Whether this test has its process for itself. If not, it is run in a process of its own here, and must pass there:
/// for tests that measure the process, which other tests would be measured with.
pub(crate) fn is_alone(test: &str) -> bool {
    const ALONE: &str = "HERONRY_TEST_ALONE";
    if std::env::var_os(ALONE).is_some() {
        return true;
    }
    let this = std::env::current_exe().expect("this binary has a path");
    let run = Command::new(this).args(["--exact", test]).env(ALONE, "1").output().expect("it starts");
    let (out, err) = (String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr));
    assert!(run.status.success() && out.contains("1 passed"), "{test}, alone:\n{out}{err}");
    false
}

/// Waits for something that must happen.
pub(crate) async fn within<F: Future>(what: &str, future: F) -> F::Output {
    match timeout(PATIENCE, future).await {
        Ok(output) => output,
        Err(_) => panic!("waited {PATIENCE:?} for {what}"),
    }
}

/// Polls a condition until it holds.
pub(crate) async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    within(what, async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

/// An endpoint with its tree, on a port of its own.
pub(crate) struct TestServer {
    pub(crate) addr: SocketAddr,
    pub(crate) tree: SupervisorRef,
}

impl TestServer {
    pub(crate) async fn start(builder: EndpointBuilder) -> Self {
        Self::under(Supervisor::one_for_one(), builder).await
    }

    /// After something that it uses.
    pub(crate) async fn start_after(child: ChildSpec, builder: EndpointBuilder) -> Self {
        Self::under(Supervisor::one_for_one().child(child), builder).await
    }

    async fn under(supervisor: Supervisor, builder: EndpointBuilder) -> Self {
        let endpoint = builder.build().expect("the endpoint's description is right");
        let bound = endpoint.bind(SocketAddr::from(([127, 0, 0, 1], 0))).expect("a free port");
        let tree = supervisor.label("test").child(bound.child_spec()).start().await;
        Self { addr: bound.local_addr(), tree: tree.expect("the tree starts") }
    }

    /// With one socket at `/socket` and these limits.
    pub(crate) async fn of<S: Socket>(handler: S, limits: Limits) -> Self {
        let options = SocketOptions { limits, check_origin: CheckOrigin::Off, ..SocketOptions::default() };
        Self::start(Endpoint::builder().socket_with("/socket", handler, options)).await
    }
}

/// A client of the V2 protocol that sends what it is told, right or wrong.
pub(crate) struct Client<I = TcpStream> {
    stream: WebSocketStream<I>,
    next_ref: u64,
}

impl Client {
    /// Connects with these params.
    pub(crate) async fn connect(addr: SocketAddr, params: &str) -> Self {
        Self::try_connect(addr, params).await.expect("the server accepts the connection")
    }

    pub(crate) async fn try_connect(addr: SocketAddr, params: &str) -> Result<Self, tungstenite::Error> {
        let (client, _) = Self::open(addr, &format!("/socket/websocket?vsn=2.0.0&{params}"), &[]).await?;
        Ok(client)
    }

    /// Connects to a path with these headers; also the server's answer.
    pub(crate) async fn open(
        addr: SocketAddr,
        path: &str,
        headers: &[(&'static str, &str)],
    ) -> Result<(Self, Response), tungstenite::Error> {
        let mut request = format!("ws://{addr}{path}").into_client_request()?;
        for (name, value) in headers {
            request.headers_mut().append(*name, HeaderValue::from_str(value)?);
        }
        let tcp = TcpStream::connect(addr).await?;
        let (stream, response) =
            within("the handshake", tokio_tungstenite::client_async(request, tcp)).await?;
        Ok((Self { stream, next_ref: 0 }, response))
    }
}

impl<I: AsyncRead + AsyncWrite + Unpin> Client<I> {
    /// Over a connection that is there.
    pub(crate) async fn over(io: I, params: &str) -> Result<Self, tungstenite::Error> {
        let url = format!("ws://localhost/socket/websocket?vsn=2.0.0&{params}");
        let (stream, _) = within("the handshake", tokio_tungstenite::client_async(url, io)).await?;
        Ok(Self { stream, next_ref: 0 })
    }

    pub(crate) async fn send(&mut self, message: Message) {
        let sent = within("room to write", async {
            poll_fn(|cx| Pin::new(&mut self.stream).poll_ready(cx)).await?;
            Pin::new(&mut self.stream).start_send(message)?;
            poll_fn(|cx| Pin::new(&mut self.stream).poll_flush(cx)).await
        });
        sent.await.expect("the connection takes a message");
    }

    pub(crate) async fn send_text(&mut self, text: &str) {
        self.send(Message::Text(text.into())).await;
    }

    /// A text frame with any bytes in it.
    pub(crate) async fn send_raw_text(&mut self, bytes: &'static [u8]) {
        let frame = Frame::message(Bytes::from_static(bytes), OpCode::Data(Data::Text), true);
        self.send(Message::Frame(frame)).await;
    }

    /// Sends `[join_ref, ref, topic, event, payload]` with a fresh ref, which is returned.
    pub(crate) async fn push(&mut self, join_ref: Value, topic: &str, event: &str, payload: Value) -> String {
        self.next_ref += 1;
        let reference = self.next_ref.to_string();
        let join_ref = if event == "phx_join" && join_ref.is_null() { json!(reference) } else { join_ref };
        self.send_text(&json!([join_ref, reference, topic, event, payload]).to_string()).await;
        reference
    }

    /// Joins a topic and gives the join_ref.
    pub(crate) async fn join(&mut self, topic: &str) -> String {
        let join_ref = self.push(Value::Null, topic, "phx_join", json!({})).await;
        let reply = self.frame().await;
        let head = (&reply[0], &reply[1], &reply[3], &reply[4]["status"]);
        assert_eq!(head, (&json!(join_ref), &json!(join_ref), &json!("phx_reply"), &json!("ok")), "{reply}");
        join_ref
    }

    pub(crate) async fn next(&mut self) -> Option<Result<Message, tungstenite::Error>> {
        poll_fn(|cx| Pin::new(&mut self.stream).poll_next(cx)).await
    }

    /// The next text frame, as JSON.
    pub(crate) async fn frame(&mut self) -> Value {
        let message = within("a frame", self.next()).await;
        match message.expect("the connection is open").expect("a readable frame") {
            Message::Text(text) => serde_json::from_str(&text).expect("a frame is JSON"),
            other => panic!("not a text frame: {other:?}"),
        }
    }

    /// The next frame must be this one.
    pub(crate) async fn expect(&mut self, frame: Value) {
        assert_eq!(self.frame().await, frame);
    }

    /// Reads up to the close frame; its code, or `None` if the connection ended without one.
    pub(crate) async fn close_code(&mut self) -> Option<u16> {
        loop {
            match within("the close", self.next()).await {
                Some(Ok(Message::Close(Some(CloseFrame { code, .. })))) => return Some(code.into()),
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return None,
            }
        }
    }

    /// Reads up to the end of the connection, so that a close is answered.
    pub(crate) async fn read_to_end(&mut self) {
        while let Some(Ok(_)) = within("the end", self.next()).await {}
    }

    /// Shows that the connection works, with nothing unread before.
    pub(crate) async fn assert_alive(&mut self) {
        let reference = self.push(Value::Null, "phoenix", "heartbeat", json!({})).await;
        self.expect(json!([null, reference, "phoenix", "phx_reply", { "status": "ok", "response": {} }]))
            .await;
    }

    pub(crate) fn tcp(&mut self) -> &mut I {
        self.stream.get_mut()
    }
}
