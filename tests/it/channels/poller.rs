//! A client that polls, without a network: the endpoint is called as the service that it is, so that time can be paused.

use std::net::SocketAddr;

use heronry::supervisor::SupervisorRef;
use heronry_channels::http::{HeaderMap, Request, Response, StatusCode};
use heronry_channels::prelude::*;
use heronry_channels::{Body, LongPollOptions, Peer, SocketOptions};
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Bytes;
use tower_service::Service;

/// An endpoint with one socket at `/socket`, and its tree.
pub(crate) struct Polled {
    pub(crate) endpoint: Endpoint,
    pub(crate) tree: SupervisorRef,
}

impl Polled {
    pub(crate) async fn start<S: Socket>(handler: S, long_poll: LongPollOptions) -> Self {
        Self::with(handler, SocketOptions { long_poll, ..SocketOptions::default() }).await
    }

    pub(crate) async fn with<S: Socket>(handler: S, options: SocketOptions) -> Self {
        let endpoint = Endpoint::builder().socket_with("/socket", handler, options).build();
        Self::of(endpoint.expect("the endpoint's description is right")).await
    }

    pub(crate) async fn of(endpoint: Endpoint) -> Self {
        let tree = Supervisor::one_for_one().child(endpoint.sockets()).start().await;
        let tree = tree.expect("the tree starts");
        Self { endpoint, tree }
    }

    /// A request to `/socket/longpoll`.
    pub(crate) async fn request(
        &self,
        method: &str,
        query: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Response<Body> {
        let mut request =
            Request::builder().method(method).uri(format!("http://localhost/socket/longpoll?{query}"));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request =
            request.extension(Peer(SocketAddr::from(([127, 0, 0, 1], 1)))).body(Full::new(body.into()));
        let Ok(response) = self.endpoint.clone().call(request.expect("a request")).await;
        response
    }

    /// Opens a session.
    pub(crate) async fn open(&self, query: &str) -> Poller<'_> {
        let answer = self.get(query, None).await;
        assert_eq!((&answer["status"], &answer["messages"]), (&json!(410), &json!([])), "{answer}");
        Poller { server: self, token: answer["token"].as_str().expect("a token").to_owned() }
    }

    pub(crate) async fn get(&self, query: &str, token: Option<&str>) -> Value {
        let headers: Vec<_> = token.iter().map(|token| ("x-phoenix-longpoll-token", *token)).collect();
        json_of(self.request("GET", query, &headers, "").await).await
    }
}

/// The body of an answer that is JSON, as all but few are.
pub(crate) async fn json_of(response: Response<Body>) -> Value {
    assert_eq!(response.status(), StatusCode::OK);
    let headers: &HeaderMap = response.headers();
    assert_eq!(headers["content-type"], "application/json; charset=utf-8");
    assert_eq!(headers["cache-control"], "no-store");
    assert_eq!(headers["access-control-allow-origin"], "*");
    let body = response.into_body().collect().await.expect("a body in memory").to_bytes();
    serde_json::from_slice(&body).expect("JSON")
}

/// A client with a session.
pub(crate) struct Poller<'a> {
    pub(crate) server: &'a Polled,
    pub(crate) token: String,
}

impl Poller<'_> {
    /// Polls; the status and the messages.
    pub(crate) async fn poll(&self) -> (u64, Vec<Value>) {
        let answer = self.server.get("", Some(&self.token)).await;
        let status = answer["status"].as_u64().expect("a status");
        if status != 410 {
            assert_eq!(answer["token"], self.token);
        }
        let frames = answer["messages"].as_array().expect("messages").iter();
        let parsed = frames
            .map(|frame| serde_json::from_str(frame.as_str().expect("a frame is a string")).expect("JSON"));
        (status, parsed.collect())
    }

    /// Polls until there are so many messages.
    pub(crate) async fn messages(&self, count: usize) -> Vec<Value> {
        let mut all = Vec::new();
        while all.len() < count {
            let (status, messages) = self.poll().await;
            assert_eq!(status, 200, "after {all:?}");
            all.extend(messages);
        }
        assert_eq!(all.len(), count, "{all:?}");
        all
    }

    /// Publishes a body; the status.
    pub(crate) async fn publish(&self, content_type: &str, body: impl Into<Bytes>) -> u64 {
        let headers = [("x-phoenix-longpoll-token", &*self.token), ("content-type", content_type)];
        let answer = json_of(self.server.request("POST", "", &headers, body).await).await;
        answer["status"].as_u64().expect("a status")
    }

    /// Publishes one message; the status.
    pub(crate) async fn send(&self, message: Value) -> u64 {
        self.publish("application/json", message.to_string()).await
    }

    /// Joins a topic with the join_ref 1 and takes the reply.
    pub(crate) async fn join(&self, topic: &str) {
        assert_eq!(self.send(json!(["1", "1", topic, "phx_join", {}])).await, 200);
        let reply = self.messages(1).await.remove(0);
        assert_eq!(reply[4]["status"], "ok", "{reply}");
    }
}
