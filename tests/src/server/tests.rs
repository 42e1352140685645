//! The process helper, tried on shell commands.

use std::time::Duration;

use super::{ServerError, ServerProcess, free_port, http_get, release_binary, workspace_root};

const LONG: Duration = Duration::from_secs(20);

async fn shell(script: &str, deadline: Duration) -> Result<ServerProcess, ServerError> {
    ServerProcess::start("/bin/sh", ["-c", script], "listening on ", deadline).await
}

#[tokio::test]
async fn tells_the_rest_of_the_ready_line_and_ends_on_request() {
    let script = "echo hello; echo oops >&2; echo listening on here; exec sleep 600";
    let mut process = shell(script, LONG).await.unwrap();
    assert_eq!(process.ready(), "here");
    assert!(process.rss_bytes().unwrap() > 0);
    process.terminate().unwrap();
    let status = process.wait(LONG).await.unwrap();
    assert_eq!(status.code(), None, "a signal leaves no exit code: {status}");
    assert_eq!(
        (process.stdout().as_str(), process.stderr().as_str()),
        ("hello\nlistening on here\n", "oops\n")
    );
    assert!(process.rss_bytes().is_err());
}

#[tokio::test]
async fn an_early_end_is_an_error_with_status_and_output() {
    match shell("echo broken >&2; exit 3", LONG).await {
        Err(ServerError::Exited { status, stderr, .. }) => {
            assert_eq!((status.code(), stderr.as_str()), (Some(3), "broken\n"));
        }
        other => panic!("expected an early end, got {other:?}"),
    }
}

#[tokio::test]
async fn a_late_process_is_an_error_and_is_killed() {
    let started = shell("echo $$ >&2; exec sleep 600", Duration::from_millis(300)).await;
    let Err(ServerError::Late { stderr, .. }) = started else { panic!("expected to be late: {started:?}") };
    let pid: u32 = stderr.trim().parse().unwrap();
    assert!(!std::fs::exists(format!("/proc/{pid}")).unwrap(), "process {pid} still runs");
}

#[tokio::test]
async fn kill_9_and_drop_leave_nothing_behind() {
    let mut killed = shell("echo listening on a; exec sleep 600", LONG).await.unwrap();
    killed.kill_9().unwrap();
    let dropped = shell("echo listening on b; exec sleep 600", LONG).await.unwrap();
    let pids = [killed.pid(), dropped.pid()];
    drop(dropped);
    for pid in pids {
        assert!(!std::fs::exists(format!("/proc/{pid}")).unwrap(), "process {pid} still runs");
    }
}

#[tokio::test]
async fn errors_say_what_to_do() {
    let missing = release_binary("no-such-binary").unwrap_err().to_string();
    assert!(missing.contains("build it first: cargo build --release --bin no-such-binary"), "{missing}");
    let nobody = format!("127.0.0.1:{}", free_port().unwrap());
    let refused = http_get(&nobody, "/x").await.unwrap_err().to_string();
    assert!(refused.starts_with(&format!("GET http://{nobody}/x failed: ")), "{refused}");
    assert!(workspace_root().join("clippy.toml").is_file());
}
