//! The official Phoenix client, unmodified, against the binary `conformance` (`tests/e2e/conformance.mjs`).

use std::time::Duration;

use tests::{ServerProcess, free_port, release_binary};

use super::Outcome;
use super::phoenix_js::run;

const READY_WITHIN: Duration = Duration::from_secs(10);

#[tokio::test]
async fn the_official_client_finds_all_that_the_conformance_server_promises() -> Outcome {
    let port = free_port()?.to_string();
    let binary = release_binary("conformance")?;
    let server = ServerProcess::start(binary, ["--port", &port], "listening on ", READY_WITHIN).await?;
    run("conformance.mjs", &format!("http://{}", server.ready()), || server.stderr()).await
}
