//! The official client's `Presence`, unmodified, against the binary `conformance` (`tests/e2e/presence.mjs`).

use std::time::Duration;

use tests::{ServerProcess, free_port, release_binary};

use super::Outcome;
use super::phoenix_js::run;

const READY_WITHIN: Duration = Duration::from_secs(10);

#[tokio::test]
async fn the_official_client_shows_who_is_there() -> Outcome {
    let port = free_port()?.to_string();
    let binary = release_binary("conformance")?;
    let server = ServerProcess::start(binary, ["--port", &port], "listening on ", READY_WITHIN).await?;
    run("presence.mjs", &format!("http://{}", server.ready()), || server.stderr()).await
}
