//! The official Phoenix client, unmodified, against the binary `conformance` (`tests/e2e/conformance.mjs`).

use std::time::Duration;

use tests::{ServerError, ServerProcess, free_port, release_binary, workspace_root};

use super::Outcome;
use super::phoenix_js::{SCRIPT_WITHIN, run};
use crate::support::eventually;

const READY_WITHIN: Duration = Duration::from_secs(10);
/// Longer than a server waits for its clients.
const STOPPED_WITHIN: Duration = Duration::from_secs(30);

async fn start(port: &str) -> Result<ServerProcess, ServerError> {
    ServerProcess::start(release_binary("conformance")?, ["--port", port], "listening on ", READY_WITHIN)
        .await
}

#[tokio::test]
async fn the_official_client_finds_all_that_the_conformance_server_promises() -> Outcome {
    let server = start(&free_port()?.to_string()).await?;
    run("conformance.mjs", &format!("http://{}", server.ready()), || server.stderr()).await
}

#[tokio::test]
async fn the_official_client_comes_back_when_the_server_does() -> Outcome {
    let port = free_port()?.to_string();
    let mut server = start(&port).await?;
    let script = workspace_root().join("tests/e2e/restart.mjs");
    let mut node =
        ServerProcess::spawn("node", [script.as_os_str(), format!("http://{}", server.ready()).as_ref()])?;
    eventually("both transports have joined", || node.stdout().contains("joined 1\n")).await;
    server.terminate()?;
    assert!(
        server.wait(STOPPED_WITHIN).await?.success(),
        "a server that is asked to stop ends well:\n{}",
        server.stderr()
    );
    server = start(&port).await?;
    eventually("both have come back", || node.stdout().contains("joined 2\n")).await;
    server.kill_9()?;
    server = start(&port).await?;
    let status = node.wait(SCRIPT_WITHIN).await?;
    assert!(
        status.success(),
        "{status}\n{}{}\nstderr of the server:\n{}",
        node.stdout(),
        node.stderr(),
        server.stderr()
    );
    Ok(())
}
