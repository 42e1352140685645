//! The load generator. `load connect URL PID N` joins N idle connections and measures what each costs the server.
//!
//! One thread, one runtime, hand-written framing, so that the generator takes little of the machine it measures on.
//! Prints one line of JSON.

use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

/// Connections that are being made at a time.
const CONCURRENCY: usize = 100;
/// How long one connection may take to be joined.
const JOIN_TIMEOUT: Duration = Duration::from_secs(30);
/// How long memory is left to settle before it is read.
const SETTLE: Duration = Duration::from_secs(2);

fn main() -> ExitCode {
    match run() {
        Ok(line) => {
            drop(writeln!(io::stdout(), "{line}"));
            ExitCode::SUCCESS
        }
        Err(error) => {
            // Nothing else can be done if not even this can be written.
            drop(writeln!(io::stderr(), "load: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<serde_json::Value, Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [scenario, addr, pid, n] = args.as_slice() else {
        return Err("usage: load connect HOST:PORT SERVER_PID CONNECTIONS".into());
    };
    if scenario != "connect" {
        return Err(format!("there is no scenario {scenario:?}; there is: connect").into());
    }
    let (addr, pid, n) = (addr.parse()?, pid.parse()?, n.parse()?);
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(connect(addr, pid, n))
}

/// Joins `n` connections to a quiet topic each, and reads the server's memory and CPU before and after.
async fn connect(
    addr: SocketAddr,
    pid: u32,
    n: usize,
) -> Result<serde_json::Value, Box<dyn std::error::Error>> {
    // The first connection pays for what the server allocates once.
    let _first = joined(addr, usize::MAX).await?;
    sleep(SETTLE).await;
    let (rss_before, cpu_before) = (bench::rss_bytes(pid)?, bench::cpu_us(pid)?);
    let start = Instant::now();
    let mut joining = JoinSet::new();
    let mut open = Vec::with_capacity(n);
    for at in 0..n {
        if joining.len() >= CONCURRENCY
            && let Some(done) = joining.join_next().await
        {
            open.push(done??);
        }
        joining.spawn(joined(addr, at));
    }
    while let Some(done) = joining.join_next().await {
        open.push(done??);
    }
    let elapsed = start.elapsed();
    let cpu = bench::cpu_us(pid)? - cpu_before;
    sleep(SETTLE).await;
    let rss = bench::rss_bytes(pid)?.saturating_sub(rss_before);
    let each = |total: u64| total as f64 / n as f64;
    Ok(json!({
        "scenario": "connect",
        "connections": open.len(),
        "per_s": (n as f64 / elapsed.as_secs_f64()).round(),
        "cpu_us_per_join": (each(cpu) * 10.0).round() / 10.0,
        "rss_bytes_per_connection": each(rss).round(),
    }))
}

/// A connection that has joined a topic of its own.
async fn joined(addr: SocketAddr, at: usize) -> io::Result<TcpStream> {
    let join = async {
        let mut stream = TcpStream::connect(addr).await?;
        stream.set_nodelay(true)?;
        let request = format!(
            "GET /socket/websocket?vsn=2.0.0 HTTP/1.1\r\nHost: {addr}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await?;
        expect(&mut stream, b"\r\n\r\n", "101 Switching Protocols").await?;
        let frame = masked_text(&format!(r#"["1","1","bench:quiet:{at}","phx_join",{{}}]"#))?;
        stream.write_all(&frame).await?;
        expect(&mut stream, b"]", r#""status":"ok""#).await?;
        Ok(stream)
    };
    timeout(JOIN_TIMEOUT, join).await?
}

/// Reads up to `end`, which must come after `wanted`.
async fn expect(stream: &mut TcpStream, end: &[u8], wanted: &str) -> io::Result<()> {
    let mut got = Vec::with_capacity(512);
    while !got.ends_with(end) {
        if stream.read_buf(&mut got).await? == 0 || got.len() > 4_096 {
            break;
        }
    }
    let text = String::from_utf8_lossy(&got);
    if text.contains(wanted) {
        return Ok(());
    }
    Err(io::Error::other(format!("expected {wanted:?}, got {text:?}")))
}

/// A client's text frame of up to 125 bytes; the mask is zero, which leaves the text as it is.
fn masked_text(text: &str) -> io::Result<Vec<u8>> {
    let len = u8::try_from(text.len()).ok().filter(|len| *len < 126);
    let len = len.ok_or_else(|| io::Error::other("the frame is too long for a short one"))?;
    let mut frame = vec![0x81, 0x80 | len, 0, 0, 0, 0];
    frame.extend_from_slice(text.as_bytes());
    Ok(frame)
}
