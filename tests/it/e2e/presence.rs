//! The official client's `Presence`, unmodified: against the binary `conformance` (`tests/e2e/presence.mjs`), and in a topic that is
//! sampled, against a server of this process (`tests/e2e/sample.mjs`).

use std::time::Duration;

use tests::{ServerProcess, free_port, release_binary};

use super::Outcome;
use super::phoenix_js::run;
use crate::presence::large::hall;
use crate::support::TestServer;

const READY_WITHIN: Duration = Duration::from_secs(10);

#[tokio::test]
async fn the_official_client_shows_who_is_there() -> Outcome {
    let port = free_port()?.to_string();
    let binary = release_binary("conformance")?;
    let server = ServerProcess::start(binary, ["--port", &port], "listening on ", READY_WITHIN).await?;
    run("presence.mjs", &format!("http://{}", server.ready()), || server.stderr()).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_official_client_shows_a_sample() -> Outcome {
    let (presence, builder) = hall(5);
    let server = TestServer::start_after(presence.child_spec(), builder).await;
    run("sample.mjs", &format!("http://{}", server.addr), String::new).await
}
