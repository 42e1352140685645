//! The session of the page that connects, over both transports.

use heronry_channels::prelude::*;
use heronry_channels::{SessionCookie, SocketOptions, Term, Tokens};
use serde_json::json;

use super::poller::Polled;
use crate::support::{Client, TestServer};

/// Lets in whoever has a session, and says who that is.
struct Members;

struct WhoAmI;

impl Socket for Members {
    type Assigns = i128;

    async fn connect(&self, connect: &Connect) -> Result<i128, Refusal> {
        let session = connect.session.as_ref().ok_or_else(Refusal::forbidden)?;
        session.get("user_id").and_then(Term::as_int).ok_or_else(Refusal::forbidden)
    }

    fn channels(routes: Routes<Self>) -> Routes<Self> {
        routes.channel::<WhoAmI>("me")
    }
}

impl Channel for WhoAmI {
    type Socket = Members;
    type Msg = ();

    async fn join(_: &str, _: Payload, socket: &mut ChannelSocket<Self>) -> Join<Self> {
        let user_id = i64::try_from(*socket.assigns()).expect("a small number");
        Ok((Self, json!({ "user_id": user_id }).into()))
    }
}

const SECRET: &str = "_ABCDEFGHIJKLMNOPQRSTUV_";
/// The secret under the mask `AAAAAAAAAAAAAAAAAAAAAAAA`.
const PROOF: &str = "HgADAgUEBwYJCAsKDQwPDhEQExIVFBceAAAAAAAAAAAAAAAAAAAAAAAA";

fn cookie() -> SessionCookie {
    let tokens = Tokens::new("a secret of more than twenty bytes").expect("long enough");
    SessionCookie::encrypted("_app_key", tokens, "a salt")
}

fn options() -> SocketOptions {
    SocketOptions { session: Some(cookie()), ..SocketOptions::default() }
}

fn header() -> String {
    let session = Term::json(&json!({ "user_id": 42, "_csrf_token": SECRET })).expect("JSON");
    format!("theme=dark; _app_key={}", cookie().value(session).expect("small"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_websocket() {
    let server = TestServer::start(Endpoint::builder().socket_with("/socket", Members, options())).await;
    let header = header();
    let headers = [("cookie", &*header)];
    let path = format!("/socket/websocket?vsn=2.0.0&_csrf_token={PROOF}");
    let (mut client, _) = Client::open(server.addr, &path, &headers).await.expect("accepted");
    client.push(json!("1"), "me", "phx_join", json!({})).await;
    assert_eq!(client.frame().await[4]["response"], json!({ "user_id": 42 }));
    for (path, headers) in [(&*path, &[][..]), ("/socket/websocket?vsn=2.0.0", &headers[..])] {
        let refused = Client::open(server.addr, path, headers).await.map(drop).expect_err("no session");
        assert!(refused.to_string().contains("403"), "{refused}");
    }
}

#[tokio::test(start_paused = true)]
async fn over_long_poll() {
    let server = Polled::with(Members, options()).await;
    let header = header();
    for (query, cookie, status) in [
        (format!("vsn=2.0.0&_csrf_token={PROOF}"), &*header, 410),
        (format!("vsn=2.0.0&_csrf_token={PROOF}"), "_app_key=forged", 403),
        ("vsn=2.0.0".to_owned(), &*header, 403),
    ] {
        let answer = server.request("GET", &query, &[("cookie", cookie)], "").await;
        assert_eq!(super::poller::json_of(answer).await["status"], status, "{query} {cookie}");
    }
}
