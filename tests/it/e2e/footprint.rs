//! What an idle connection costs: measured on the release server, from outside.

use std::time::Duration;

use serde_json::Value;
use tests::{ServerProcess, free_port, release_binary};

use super::Outcome;

const CONNECTIONS: u64 = 10_000;

/// A joined connection is a socket process and a channel process, 6.2 KB measured. Tungstenite's default buffers alone would
/// be 134 KB.
const RSS_BYTES_MAX: u64 = 8 << 10;

/// The same once it has had a burst of broadcasts and has nothing to do again, 7.4 KB measured: what the allocator keeps for
/// the next burst is in it.
const RSS_BYTES_AGAIN_MAX: u64 = 9 << 10;

const READY_WITHIN: Duration = Duration::from_secs(10);
const MEASURED_WITHIN: Duration = Duration::from_secs(90);

#[tokio::test]
async fn an_idle_joined_connection_is_small() -> Outcome {
    let port = free_port()?.to_string();
    let bench_server = release_binary("bench_server")?;
    let server = ServerProcess::start(bench_server, ["--port", &port], "listening on ", READY_WITHIN).await?;
    let (pid, connections) = (server.pid().to_string(), CONNECTIONS.to_string());
    let mut load =
        ServerProcess::spawn(release_binary("load")?, ["memory", server.ready(), &pid, &connections])?;
    let status = load.wait(MEASURED_WITHIN).await?;
    let (stdout, stderr) = (load.stdout(), load.stderr());
    assert!(status.success(), "load ended with {status}: {stdout}{stderr}");
    let measured: Value = serde_json::from_str(&stdout)?;
    assert_eq!(measured["connections"], CONNECTIONS, "{measured}");
    let allowed = [
        ("rss_bytes_per_connection", RSS_BYTES_MAX),
        ("rss_bytes_per_connection_idle_again", RSS_BYTES_AGAIN_MAX),
    ];
    for (figure, max) in allowed {
        let rss = measured[figure].as_f64().unwrap_or(f64::MAX);
        assert!(rss > 1_000.0, "not plausible: {measured}");
        assert!(rss <= max as f64, "{figure}: {max} bytes a connection are allowed: {measured}");
    }
    Ok(())
}
