//! The official Phoenix client, unmodified, on Node: over WebSockets against the chat example
//! (`tests/e2e/phoenix.mjs`), and over long polling against a server of this process (`tests/e2e/longpoll.mjs`).

use std::time::Duration;

use heronry_channels::http::{Method, Response};
use heronry_channels::prelude::*;
use heronry_channels::{Body, CheckOrigin, LongPollOptions, SocketOptions};
use tests::{ServerProcess, free_port, workspace_root};

use super::Outcome;
use super::chat::start_chat;
use crate::channels::room::Lab;
use crate::support::TestServer;

/// How long all checks of a script may take; each has a shorter limit of its own.
pub(super) const SCRIPT_WITHIN: Duration = Duration::from_secs(120);

/// Runs a script of `tests/e2e` to its end; what the server wrote is shown if it fails.
pub(super) async fn run(script: &str, url: &str, server_stderr: impl Fn() -> String) -> Outcome {
    let path = workspace_root().join("tests/e2e").join(script);
    let mut node = ServerProcess::spawn("node", [path.as_os_str(), url.as_ref()])?;
    let status = node.wait(SCRIPT_WITHIN).await?;
    let (stdout, stderr) = (node.stdout(), node.stderr());
    assert!(
        status.success(),
        "{script} ended with {status}\n{stdout}{stderr}\nstderr of the server:\n{}",
        server_stderr()
    );
    assert!(stdout.contains("ok all checks"), "{script} did not reach its end:\n{stdout}{stderr}");
    Ok(())
}

#[tokio::test]
async fn the_official_client_is_answered_as_phoenix_would() -> Outcome {
    let server = start_chat(free_port()?).await?;
    run("phoenix.mjs", server.ready(), || server.stderr()).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_official_client_polls() -> Outcome {
    // A short window, so that it ends a few times in the test.
    let long_poll = LongPollOptions { window: Duration::from_millis(500), ..LongPollOptions::default() };
    let options = SocketOptions { long_poll, check_origin: CheckOrigin::Off, ..SocketOptions::default() };
    let builder = Endpoint::builder().socket_with("/socket", Lab::default(), options);
    let broadcaster = builder.broadcaster();
    let builder = builder.route(Method::POST, "/disconnect/poller", move |_| {
        let told = broadcaster.broadcast("user_socket:poller", "disconnect", Payload::empty());
        async move { Response::new(Body::from(format!("{told:?}"))) }
    });
    let server = TestServer::start(builder).await;
    run("longpoll.mjs", &format!("http://{}", server.addr), String::new).await
}
