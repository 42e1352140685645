//! The official Phoenix client, unmodified, on Node against the chat example (`tests/e2e/phoenix.mjs`).

use std::time::Duration;

use tests::{ServerProcess, free_port, workspace_root};

use super::Outcome;
use super::chat::start_chat;

/// How long all checks of the script may take; each has a shorter limit of its own.
const SCRIPT_WITHIN: Duration = Duration::from_secs(120);

#[tokio::test]
async fn the_official_client_is_answered_as_phoenix_would() -> Outcome {
    let server = start_chat(free_port()?).await?;
    let script = workspace_root().join("tests/e2e/phoenix.mjs");
    let mut node = ServerProcess::spawn("node", [script.as_os_str(), server.ready().as_ref()])?;
    let status = node.wait(SCRIPT_WITHIN).await?;
    let (stdout, stderr) = (node.stdout(), node.stderr());
    assert!(
        status.success(),
        "phoenix.mjs ended with {status}\n{stdout}{stderr}\nstderr of the server:\n{}",
        server.stderr()
    );
    assert!(stdout.contains("ok all checks"), "phoenix.mjs did not reach its end:\n{stdout}{stderr}");
    Ok(())
}
