//! The frames by which the serializers are tested are those of the official clients (`tests/e2e/golden.mjs`).

use std::fs;
use std::time::Duration;

use tests::{ServerProcess, workspace_root};

use super::Outcome;

const RECORDED_WITHIN: Duration = Duration::from_secs(30);

#[tokio::test]
async fn the_stored_frames_are_what_the_official_clients_send_and_read() -> Outcome {
    let root = workspace_root();
    let mut node = ServerProcess::spawn("node", [root.join("tests/e2e/golden.mjs")])?;
    let status = node.wait(RECORDED_WITHIN).await?;
    let (stdout, stderr) = (node.stdout(), node.stderr());
    assert!(status.success(), "golden.mjs ended with {status}\n{stdout}{stderr}");
    let stored = fs::read_to_string(root.join("channels/src/serializer/phoenix-js-frames.json"))?;
    for (line, (recorded, stored)) in stdout.lines().zip(stored.lines()).enumerate() {
        assert_eq!(recorded, stored, "line {}; node golden.mjs FILE records anew", line + 1);
    }
    assert_eq!(stdout.lines().count(), stored.lines().count());
    Ok(())
}
